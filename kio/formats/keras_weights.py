"""Keras 3 weights in HDF5, and any other HDF5 file that is not a legacy one.

    layers/dense/vars          group; its attribute ``name`` is the layer's (3.6 and later)
    layers/dense/vars/0        dataset; bfloat16 is two opaque bytes and ``dtype="bfloat16"``
    optimizer/vars/0           …

The same structure is in a ``.weights.h5`` file, in ``model.weights.h5`` of an archive and
in each shard, so the reader here serves all three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kio import dtypes
from kio.checkpoint import Checkpoint
from kio.containers import hdf5
from kio.contents import Contents, Value, parents
from kio.errors import UnsupportedError, shown
from kio.formats.format import Format
from kio.formats.probe import Probe
from kio.formats.target import Options, Target
from kio.raw.sink import Sink
from kio.raw.source import Source
from kio.raw.tensor import Tensor

# What opaque bytes are by an attribute ``dtype``.  Keras writes bfloat16; the others are kio's.
MARKED = {(row.raw, row.name) for row in dtypes.TABLE if row.raw is not None}


@dataclass(frozen=True, slots=True)
class Weights:
    """What a file of weights says, or several as one; paths count from the root group.

    Attributes:
        tensors: By path.
        layout: ``keras_paths``, or ``flat`` without any ``vars`` group.
        metadata: Text attributes of the root; ``separator`` if names hold literal backslashes;
            ``group_aliases``, second paths of groups.  Of shards: see ``keras_shards``.
        names_of: Gives the stored layer name, by path of the ``vars`` group.
        attributes: Gives the attributes of the object at a path; None without any.
        sources: Opened on the way, to be closed with the checkpoint.
    """

    tensors: Mapping[str, Tensor]
    layout: str
    metadata: dict[str, Any] = field(default_factory=dict)
    names_of: Callable[[], dict[str, str]] = dict
    attributes: Callable[[str], Mapping[str, Any]] | None = None
    sources: tuple[Source, ...] = ()

    def checkpoint(self, probe: Probe, format: str, **facts: Any) -> Checkpoint:
        """The checkpoint of these weights; ``facts`` are more arguments of it."""
        given = {"layout": self.layout, "metadata": self.metadata, **facts}
        return Checkpoint(
            self.tensors,
            format=format,
            name=probe.name,
            source=probe.source,
            names_of=self.names_of,
            attributes=self.attributes,
            closing=(*self.sources, *probe.closing),
            **given,
        )


def text_of(value: Any) -> str | None:
    """A text attribute, whichever of HDF5's string kinds it is; None for anything else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value) if isinstance(value, str) else None


def refuse_links(file: hdf5.File, source_name: str) -> None:
    """Stop links that lead elsewhere: no Keras ever wrote one.

    Raises:
        UnsupportedError: naming path and kind of the first.
    """
    for path, kind in file.refused.items():
        # A datatype with a name of its own holds no data and leads nowhere.
        if kind != "named datatype":
            raise UnsupportedError(
                f"HDF5 link {shown(path)}: expected a hard link, found {kind}",
                source=source_name,
                hint="kio follows no links to other places or files; copy the data into this file",
            )


def read_weights(file: hdf5.File, group: str, source_name: str) -> Weights:
    """Interpret an HDF5 file below ``group`` as weights.

    Raises:
        UnsupportedError: for soft, external and user-defined links.
        CorruptError: if an attribute contradicts its dataset.
    """
    refuse_links(file, source_name)
    index = file.tensors
    if index.opaque:
        for path, value in file.attribute_of_all("dtype").items():
            if path in index and (index.dtype_name_of(path), text_of(value)) in MARKED:
                index.set_dtype(path, str(text_of(value)))
    prefix = group + "/" if group else ""

    def names_of() -> dict[str, str]:
        found = file.attribute_of_all("name")
        if prefix:
            found = {path.removeprefix(prefix): value for path, value in found.items() if path.startswith(prefix)}
        return {
            path: text
            for path, value in found.items()
            if (path.endswith("/vars") or path == "vars") and (text := text_of(value)) is not None
        }

    def attributes(path: str) -> Mapping[str, Any]:
        return file.attributes(prefix + path if path else group)

    tensors: Mapping[str, Tensor] = index
    if file.aliases or prefix:
        reals = {path: path for path in index} | {a: real for a, real in file.aliases.items() if real in index}
        tensors = {path[len(prefix) :]: index[real] for path, real in reals.items() if path.startswith(prefix)}
    metadata: dict[str, Any] = {key: text_of(value) for key, value in attributes("").items()}
    metadata = {key: value for key, value in metadata.items() if value is not None}
    twins = {path: real for path, real in file.aliases.items() if real not in index}
    if twins:
        # A second hard link to a group: its variables are listed under the first path only.
        metadata["group_aliases"] = twins
    if "\\" in "/".join(tensors):
        # TensorFlow on Windows joined paths with backslashes; names stay as they are.
        metadata["separator"] = "\\"
    keras = any("/vars/" in f"/{path}" for path in tensors)
    keras = keras or any(f"/{path}".endswith("/vars") for path in file.groups)
    return Weights(tensors, "keras_paths" if keras else "flat", metadata, names_of, attributes)


def claims(probe: Probe) -> bool:
    return probe.hdf5 is not None and not probe.is_legacy


def open(probe: Probe) -> Checkpoint:
    """Any HDF5 file; Keras 3 names where it has ``vars`` groups.

    Raises:
        FormatError: for links to elsewhere.
    """
    return read_weights(probe.known(probe.hdf5), probe.group, probe.name).checkpoint(probe, "keras_weights")


def check(tensors: Mapping[str, Value], groups: Iterable[str]) -> None:
    """Find names that HDF5 cannot hold.

    Raises:
        UnsupportedError: for an empty part of a path, ``.``, a zero byte, or a path that is
            at once a tensor and a group.
    """
    groups = list(groups)
    for name in (*tensors, *groups):
        parts = name.split("/")
        if "" in parts or "." in parts or "\0" in name:
            raise UnsupportedError(
                f"name: expected parts of an HDF5 path, none of them empty or '.', found {shown(name)}"
            )
    inner = {*groups, *parents(tensors), *parents(groups)}
    both = next((name for name in tensors if name in inner), None)
    if both is not None:
        raise UnsupportedError(f"name: expected either a tensor or a group, found both at {shown(both)}")


@dataclass(frozen=True, slots=True)
class Drafted:
    """One HDF5 file of weights, checked and ready to be written.

    Attributes:
        nbytes_max: Most bytes that it can take.
        write: Given a sink and where in it the file begins, writes the file and returns its
            size and CRC-32.
    """

    nbytes_max: int
    write: Callable[..., tuple[int, int]]


def drafted(tensors: Mapping[str, Value], groups: Mapping[str, str | None], options: Options) -> Drafted:
    """The file of these tensors.

    Args:
        tensors: By path.
        groups: Names of objects by path of their group, as in ``Contents``.
        options: Compression, engine, progress.

    Raises:
        UnsupportedError: for names that HDF5 cannot hold.
    """
    attributes = {path: {} if name is None else {"name": name} for path, name in groups.items()}
    return drafted_with(tensors, attributes, options)


def drafted_with(tensors: Mapping[str, Value], groups: Mapping[str, Mapping[str, Any]], options: Options) -> Drafted:
    """The file of these tensors and groups; ``groups`` has all attributes of each, and ``""`` is the root."""
    check(tensors, [path for path in groups if path])
    if options.engine == "h5py":
        return _drafted_by_h5py(tensors, groups, options)
    draft = hdf5.Draft(options.compression)
    for path, attributes in groups.items():
        draft.group(path, attributes)
    for path, value in tensors.items():
        # Not to be compressed anew: what is stored in chunks stays in them.
        like = value.data if options.compression is None and isinstance(value.data, Tensor) else None
        draft.dataset(path, value.dtype_name, value.shape, _attributes(value), like=like)
    values = {path: value.data for path, value in tensors.items() if value.nelems}

    def write(sink: Sink, base: int = 0) -> tuple[int, int]:
        return hdf5.write(sink, draft, values, base=base, progress=options.progress)

    return Drafted(hdf5.nbytes_of(draft), write)


def _drafted_by_h5py(
    tensors: Mapping[str, Value], groups: Mapping[str, Mapping[str, Any]], options: Options
) -> Drafted:
    from kio.containers import hdf5_lib

    datasets = [(path, value.array, _attributes(value) or {}) for path, value in tensors.items()]

    def write(sink: Sink, base: int = 0) -> tuple[int, int]:
        return hdf5_lib.write(
            sink, groups, datasets, base=base, compression=options.compression, progress=options.progress
        )

    # Headers of objects, heaps and trees; a generous bound, since it only says how wide sizes are.
    names = sum(map(len, (*tensors, *groups))) + 4 * sum(len(str(each)) for each in groups.values())
    return Drafted(sum(v.nbytes for v in tensors.values()) + 4096 * (len(tensors) + len(groups) + 8) + 8 * names, write)


def _attributes(value: Value) -> dict[str, str] | None:
    # HDF5 has no bfloat16: Keras stores two opaque bytes, and this.
    return {"dtype": value.dtype_name} if dtypes.BY_NAME[value.dtype_name].raw is not None else None


def refuse_model(contents: Contents, format: str, *, metadata: bool = False) -> None:
    """Stop what a file of weights alone would lose in silence.

    Raises:
        UnsupportedError: for a configuration, assets, or metadata where there is no place for it.
    """
    for what, given in (("configuration", contents.config), ("assets", contents.assets)):
        if given:
            raise UnsupportedError(
                f"{format}: expected weights alone, found {what}, too", hint="write a .keras file for a whole model"
            )
    if contents.metadata and not metadata:
        raise UnsupportedError(f"{format}: expected no metadata, found {', '.join(contents.metadata)}")


def create(target: Target, contents: Contents, options: Options) -> int:
    """One HDF5 file."""
    refuse_model(contents, "keras_weights")
    file = drafted(contents.tensors, contents.groups, options)
    with target.file() as sink:
        nbytes, _ = file.write(sink)
    return nbytes


FORMAT = Format(
    "keras_weights",
    claims,
    open,
    create,
    suffixes=(".weights.h5",),
    layout="keras_paths",
    holds=("weights",),
    writes=("file",),
)
