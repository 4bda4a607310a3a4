"""Checkpoint: what every format opens to, and the only thing a mapping sees.

Named tensors, the model's configuration, metadata and assets.  Opening one has read
structure only; ``read``, ``stream`` and the tensors themselves move bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from types import TracebackType
from typing import Any, Protocol

import numpy.typing as npt

from kio.errors import ChangedError, UnknownNameError, shown
from kio.limits import DEFAULT
from kio.raw import transfer
from kio.raw.source import Source
from kio.raw.tensor import Tensor

Array = npt.NDArray[Any]

_ASSETS = "assets/"  # where Keras keeps them
_SEARCHED = 2000  # names that are compared for a suggestion
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {f"{unit}I": 1 << 10 * power for power, unit in enumerate("KMGT", 1)}
_AMOUNT = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*([KMGT]?I?)B?\s*", re.IGNORECASE)


def nbytes_of(amount: int | str) -> int:
    """A number of bytes from ``256_000_000``, ``"256MB"`` or ``"256 MiB"``.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(amount, int):
        return amount
    match = _AMOUNT.fullmatch(amount)
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError(f"amount of bytes: expected one like '256MB' or '1GiB', found {amount!r}")
    return int(float(match[1]) * _UNITS[match[2].upper()])


class Members(Protocol):
    """An archive or a folder: files by name."""

    @property
    def name(self) -> str: ...
    def __contains__(self, name: object, /) -> bool: ...
    def nbytes_of(self, name: str) -> int: ...
    def under(self, prefix: str) -> list[str]: ...
    def source(self, name: str) -> Source: ...
    def read(self, name: str, nbytes_max: int) -> bytes: ...
    def close(self) -> None: ...


class Assets(Mapping[str, Source]):
    """Files stored beside the weights, read where they lie: nothing is extracted.

    Args:
        members: What holds them, in a folder that names do not include; None for none.
    """

    def __init__(self, members: Members | None = None) -> None:
        self._members = members

    @cached_property
    def _names(self) -> dict[str, str]:
        found = self._members.under(_ASSETS) if self._members is not None else ()
        return {name.removeprefix(_ASSETS): name for name in found}

    def __getitem__(self, name: str) -> Source:
        return self._at(name)[0].source(self._names[name])

    def nbytes_of(self, name: str) -> int:
        """Size of an asset in bytes."""
        members, full = self._at(name)
        return members.nbytes_of(full)

    def read(self, name: str) -> bytes:
        """The content of an asset, its checksum verified where the container has one."""
        members, full = self._at(name)
        return members.read(full, members.nbytes_of(full))

    def _at(self, name: str) -> tuple[Members, str]:
        if self._members is None:
            raise KeyError(name)
        return self._members, self._names[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        raise TypeError("cannot pickle or copy assets alone: pickle the Checkpoint, or the sources of single ones")


class Checkpoint(Mapping[str, Tensor]):
    """An opened checkpoint.

    One of a local file, a folder or bytes can be pickled and copied: the other end opens it
    again, and refuses another file in its place.

    Args:
        tensors: By name, sealed.
        format: Name of the format it was read as.
        layout: Name of the mapping that explains the tensors' names.
        name: Of the file or folder, for messages.
        source: The file itself; None for a folder.
        config: JSON text of the model's configuration, as stored, or None.
        metadata: What the file says about itself.
        assets: Files beside the weights.
        names_of: Name of the layer that a group of variables belongs to, by the group's
            path; a function if finding out costs something.
        attributes: Attributes of the group or tensor at a path, ``""`` being the root.
        structure: What the format knows beyond names, for a layout that knows the format: an object graph,
            say.  None where names are all there is.
        closing: What to close with it.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        *,
        format: str,
        layout: str,
        name: str,
        source: Source | None = None,
        config: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        assets: Assets | None = None,
        names_of: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
        attributes: Callable[[str], Mapping[str, Any]] | None = None,
        structure: Any = None,
        closing: Iterable[Source | Members] = (),
    ) -> None:
        self.tensors = tensors
        self.format = format
        self.layout = layout
        self.name = name
        self.source = source
        self.config = config
        self.metadata = dict(metadata or {})
        self.assets = assets or Assets()
        self._names_of = names_of
        self._attributes = attributes
        self.structure = structure
        self._closing = tuple(closing)
        self._closed = False
        self._again: Callable[[], Checkpoint] | None = None
        # Those that it was opened under; what is made of it later, a model say, keeps to them, too.
        self.limits = DEFAULT

    @cached_property
    def names_of(self) -> Mapping[str, str]:
        """Name of the layer that each group of variables belongs to, where the file says so."""
        return (self._names_of() if callable(self._names_of) else self._names_of) or {}

    def attributes(self, path: str = "") -> Mapping[str, Any]:
        """Attributes stored with a group or tensor; empty where the format has none.

        Raises:
            KeyError: if nothing is stored at ``path``.
        """
        return self._attributes(path) if self._attributes is not None else {}

    # ---------------------------------------------------------------------- a Mapping

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self.tensors[name]
        except KeyError:
            raise self._unknown(name) from None

    def get(self, name: str, default: Any = None) -> Any:
        """The tensor of this name, or ``default``."""
        return self.tensors.get(name, default)

    def _unknown(self, name: object) -> UnknownNameError:
        near = get_close_matches(str(name), list(islice(self.tensors, _SEARCHED)), n=3, cutoff=0.4)
        known = near or list(islice(self.tensors, 3))
        return UnknownNameError(
            f"tensor: expected one of the {len(self)} names in the file, found {shown(repr(name))} "
            f"({shown(self.name)}); {'nearest' if near else 'it has'}: {', '.join(map(shown, known)) or 'none'}"
        )

    def _listed(self, names: Iterable[str] | None) -> list[str]:
        """The names that are meant; a text alone is one."""
        found = list(self) if names is None else [names] if isinstance(names, str) else list(names)
        for name in found:
            if name not in self.tensors:
                raise self._unknown(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    @property
    def unread(self) -> dict[str, str]:
        """Tensors that are valid, but of a kind that kio does not read: name -> what kind that is."""
        return {name: tensor.problem for name, tensor in self.items() if tensor.problem is not None}

    @property
    def nbytes(self) -> int:
        """Decoded size of all tensors."""
        return sum(tensor.nbytes for tensor in self.values())

    # ------------------------------------------------------------------------ reading

    def read(
        self, names: Iterable[str] | None = None, *, threads: int | None = None, verify: bool | None = None
    ) -> dict[str, Array]:
        """Read tensors into memory.

        Args:
            names: Which; None for all.
            threads: Number of reading threads; None for what pays.
            verify: True checks every checksum of these tensors, False only those that are
                part of a chunk's codecs, None all but those over archive members of which
                less than half is read.

        Returns:
            The arrays, by name.

        Raises:
            UnknownNameError: a KeyError for a name that is not there; says what is nearest.
            FormatError: for a tensor that cannot be read, or damaged bytes.

        Memory: the arrays, in one 64-byte aligned arena.
        """
        names = self._listed(names)
        arrays = transfer.read([self[name] for name in names], threads=threads, verify=verify)
        return dict(zip(names, arrays, strict=True))

    def stream(
        self,
        names: Iterable[str] | None = None,
        *,
        budget: int | str = "256MB",
        threads: int | None = None,
        verify: bool = False,
    ) -> Iterator[tuple[str, Array]]:
        """Read tensors one after the other, in the order of the file.

        Args:
            names: Which; None for all.
            budget: Bytes of arrays alive inside the stream at any time.
            threads: Number of reading threads; None for what pays.
            verify: True checks the checksums of each tensor as it is read; where there are
                only those over archive members, these before the first tensor comes.

        Yields:
            ``(name, array)``; the array is the caller's to keep.

        Raises:
            As ``read``.
        """
        wanted: dict[int, tuple[Tensor, list[str]]] = {}
        for name in self._listed(names):
            tensor = self[name]
            wanted.setdefault(id(tensor), (tensor, []))[1].append(name)
        tensors = [tensor for tensor, _ in wanted.values()]
        for tensor, array in transfer.stream(tensors, budget=nbytes_of(budget), threads=threads, verify=verify):
            for name in wanted[id(tensor)][1]:
                yield name, array

    def read_shards(self, boxes: Mapping[str, tuple[slice, ...]], *, verify: bool | None = None) -> dict[str, Array]:
        """Read a part of each tensor, in one pass over the file, and no more bytes than it needs.

        Args:
            boxes: By name, one slice a dimension, as a sharding's index has them.
            verify: True compares the checksums that the file has of these tensors, and reads
                whole blocks of 1 MiB for that; None only those of chunks.

        Returns:
            The parts, by name.
        """
        keys = {name: (self[name], transfer.box_of_key(self[name], box)) for name, box in boxes.items()}
        wanted = [(tensor, found[0] if found is not None else None) for tensor, found in keys.values()]
        arrays = transfer.read([tensor for tensor, _ in wanted], boxes=[box for _, box in wanted], verify=verify)
        return {
            name: array[boxes[name] if found is None else found[1]]
            for (name, (_, found)), array in zip(keys.items(), arrays, strict=True)
        }

    def verify(self, *, threads: int | None = None) -> None:
        """Check every checksum, and that every tensor that kio reads decodes; keep nothing.

        Raises:
            FormatError: for the first thing that is damaged.

        Memory: a few megabytes a thread.
        """
        readable = [tensor for tensor in self.values() if tensor.problem is None]
        transfer.check(readable, threads=threads, members=True)
        for name in self.assets:
            self.assets.read(name)

    # ------------------------------------------------------------------------ closing

    def close(self) -> None:
        """Give the files back.  Arrays stay; tensors can no longer be read."""
        self._closed = True
        for each in self._closing:
            each.close()

    # ---------------------------------------------------------------------- travelling

    def opened_by(self, again: Callable[[], Checkpoint]) -> Checkpoint:
        """Say how this checkpoint is opened once more, in another process as well.

        Args:
            again: A function that can be pickled, or a partial of one.

        Returns:
            This checkpoint.
        """
        self._again = again
        return self

    def _identity(self) -> tuple[Any, ...]:
        """What tells this checkpoint from another in the same place."""
        places = [each.place for each in (self.source, *self._closing) if isinstance(each, Source)]
        return self.format, self.config, *dict.fromkeys(place.identity for place in places if place is not None)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if self._closed:
            raise ValueError("copy of a closed checkpoint")
        if self._again is None:
            raise TypeError(
                f"cannot pickle or copy a checkpoint of {self.name}: open it by the path of a local file, "
                "or pass what read() gives"
            )
        return _reopened, (self._again, self._identity())

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Checkpoint {self.name!r}: {len(self)} tensors, {self.format}, {self.layout}>"


def _reopened(again: Callable[[], Checkpoint], identity: tuple[Any, ...]) -> Checkpoint:
    checkpoint = again()
    if checkpoint._identity() != identity:
        checkpoint.close()
        raise ChangedError(
            "checkpoint: expected the one that was opened, found one that was written later",
            source=checkpoint.name,
            hint="open it again with kio.open",
        )
    return checkpoint
