"""Keras weights split over several HDF5 files, and the JSON that maps them.

    x.weights.json             {"metadata": {"total_size": bytes},
                                "weight_map": {"/layers/dense/vars": "x_00000.weights.h5", …}}
    x_00000.weights.h5 …       each as a ``.weights.h5`` file; a layer may be in two

Keras 3.10 maps a group to its first shard only, later versions to a list where there are
several, so the map alone cannot say which shards belong to a save, and a save with fewer
shards leaves the rest of an older one behind.  The data decides: the shards of the map
are read, then as many of the numbered files beside them as ``total_size`` asks for.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kio import dtypes
from kio.checkpoint import Checkpoint, Members
from kio.containers import hdf5
from kio.contents import Contents, Value
from kio.errors import CorruptError, LimitError, MatchError, UnsupportedError, shown
from kio.formats.format import Format
from kio.formats.keras_weights import Weights, drafted, read_weights, refuse_model
from kio.formats.probe import Probe
from kio.formats.target import Options, Target, joined
from kio.limits import Limits
from kio.raw.source import Source
from kio.raw.tensor import Tensor

# The first version with shards, and the first that reads an object from two files rightly.
_FIRST, _SPLIT = (3, 10), (3, 15)
# The first whose map has lists.
_LISTS = (3, 11)

# A plain file name: nothing that leads to another folder, device or drive.
_SHARD = re.compile(r"(?P<base>[^./\\:\0-\x1f][^/\\:\0-\x1f]{0,200})_(?P<number>\d{5,9})\.weights\.h5")


def is_map(document: Any) -> bool:
    """Whether a JSON document is the map of a sharded save."""
    if not isinstance(document, dict) or not isinstance(document.get("weight_map"), dict):
        return False
    named = [name for value in document["weight_map"].values() for name in _listed(value)]
    # The index of sharded safetensors has the same keys and other files.
    return all(isinstance(name, str) and not name.endswith(".safetensors") for name in named)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def read_shards(document: Any, members: Members, source_name: str, limits: Limits) -> Weights:
    """Read the structure of every shard that belongs to a map.

    Args:
        document: The map, as parsed.
        members: What holds the shards.
        source_name: Of the map, for messages.
        limits: Caps for each shard; ``members`` bounds their number.

    Returns:
        All as one.  Its metadata: ``total_size``; ``shards``, the files in use;
        ``stale_shards``, files of another save that lie beside them; ``unlisted_tensors``,
        those whose group the map does not have.

    Raises:
        CorruptError: for a shard that is missing, a variable that is in two, a group of the
            map without any, or another total than the map states.
        FormatError: as opening each shard does.
    """
    reader = _Reader(document, members, source_name, limits)
    try:
        return reader.shards()
    except BaseException:
        for source in reader.sources:
            source.close()
        raise


class _Reader:
    def __init__(self, document: Any, members: Members, source_name: str, limits: Limits) -> None:
        self.members, self.source_name, self.limits = members, source_name, limits
        self.weight_map: dict[str, list[str]] = {key: _listed(value) for key, value in document["weight_map"].items()}
        metadata = document.get("metadata")
        self.total = metadata.get("total_size") if isinstance(metadata, dict) else None
        self.sources: list[Source] = []
        self.weights: dict[str, Weights] = {}
        self.tensors: dict[str, Tensor] = {}
        self.owner_of: dict[str, str] = {}

    def corrupt(self, what: str, hint: str | None = None) -> CorruptError:
        return CorruptError(what, source=self.source_name, hint=hint)

    def shards(self) -> Weights:
        listed = self.listed()
        for name in listed:
            if name not in self.members:
                raise self.corrupt(
                    f"shard {name!r}: expected it beside the map, found none",
                    "copy every shard of the save into one folder",
                )
            self.add(name, self.read(name))
        stale = self.add_unlisted(listed)
        self.check_map()
        metadata: dict[str, Any] = {"total_size": self.total, "shards": list(self.weights)}
        if stale:
            metadata["stale_shards"] = stale
        groups = {key.strip("/") for key in self.weight_map}
        unlisted = [path for path in self.tensors if _group_of(path) not in groups]
        if unlisted:
            metadata["unlisted_tensors"] = unlisted
        layouts = {weights.layout for weights in self.weights.values()}
        layout = "keras_paths" if "keras_paths" in layouts or not layouts else "flat"
        return Weights(self.tensors, layout, metadata, self.names_of, self.attributes, tuple(self.sources))

    def listed(self) -> list[str]:
        """Names of the shards in the map, in order of their numbers."""
        names: dict[str, int] = {}
        bases = set()
        for key, listed in self.weight_map.items():
            for name in listed:
                match = _SHARD.fullmatch(name) if isinstance(name, str) else None
                if match is None:
                    raise self.corrupt(
                        f"weight_map[{key[:80]!r}]: expected a plain name like 'x_00000.weights.h5', "
                        f"found {str(name)[:80]!r}"
                    )
                bases.add(match["base"])
                names[name] = int(match["number"])
        if len(names) > self.limits.members:
            raise LimitError(
                f"shards: expected at most limits.members={self.limits.members}, found {len(names)}",
                source=self.source_name,
                field="members",
            )
        if len(bases) > 1:
            raise self.corrupt(f"shards: expected one base name, found {', '.join(sorted(bases))[:200]}")
        return sorted(names, key=names.__getitem__)

    def read(self, name: str) -> Weights:
        source = self.members.source(name)
        self.sources.append(source)
        return read_weights(hdf5.open(source, self.limits), "", source.name)

    def add(self, name: str, weights: Weights) -> None:
        for path, tensor in weights.tensors.items():
            if path in self.tensors:
                raise self.corrupt(
                    f"variable {path}: expected it in one shard, found it in {self.owner_of[path]!r} and {name!r}",
                    "these shards are of different saves",
                )
            self.tensors[path] = tensor
            self.owner_of[path] = name
        self.weights[name] = weights

    def add_unlisted(self, listed: list[str]) -> list[str]:
        """Add numbered shards that the map does not name, up to the total that it states.

        Returns:
            Names of the shards left over.
        """
        beside = self.beside(listed)
        if self.total is None:
            if beside:
                raise self.corrupt(
                    f"total_size: expected it to tell whether {beside[0]!r} belongs to the save, found none"
                )
            return []
        if type(self.total) not in (int, float):
            raise self.corrupt(f"total_size: expected a number, found {str(self.total)[:80]}")
        while self.nbytes_counted() < self.total and beside:
            name = beside.pop(0)
            weights = self.read(name)
            if weights.tensors.keys() & self.tensors.keys():
                beside.insert(0, name)
                break
            self.add(name, weights)
        if self.nbytes_counted() != self.total:
            raise self.corrupt(
                f"total_size: expected {self.total} bytes of variables, found {self.nbytes_counted()} in "
                f"{len(self.weights)} shards",
                "a shard is missing, or of another save",
            )
        return beside

    def beside(self, listed: list[str]) -> list[str]:
        """Numbered files next to the listed ones, from 0 on, as far as they go without a gap."""
        match = _SHARD.fullmatch(listed[0]) if listed else None
        found: list[str] = []
        number = 0
        while match is not None:
            name = f"{match['base']}_{number:05}.weights.h5"
            if name not in self.members:
                break
            if name not in listed:
                found.append(name)
            number += 1
        return found

    def nbytes_counted(self) -> float:
        """Size of all variables as Keras counts it."""
        return sum(map(nbytes_counted, self.tensors.values()))

    def check_map(self) -> None:
        groups = {_group_of(path) for path in self.tensors}
        for key, names in self.weight_map.items():
            if key.strip("/") not in groups:
                raise self.corrupt(
                    f"weight_map[{key[:200]!r}]: expected variables in {', '.join(names)[:200]}, found none"
                )

    def names_of(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for weights in self.weights.values():
            for path, name in weights.names_of().items():
                if found.setdefault(path, name) != name:
                    raise self.corrupt(
                        f"name of {path}: expected one over all shards, found {found[path]!r} and {name!r}",
                        "these shards are of different saves",
                    )
        return found

    def attributes(self, path: str) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        known = False
        for weights in self.weights.values():
            try:
                found = {**(weights.attributes(path) if weights.attributes else {}), **found}
                known = True
            except KeyError:
                continue
        if not known:
            raise KeyError(path)
        return found


def _group_of(path: str) -> str:
    """Path of the ``vars`` group that a variable is in; its own key may hold a ``/``."""
    head, vars_, _ = f"/{path}".rpartition("/vars/")
    return (head + vars_).strip("/")


def claims(probe: Probe) -> bool:
    return is_map(probe.json)


def open(probe: Probe) -> Checkpoint:
    """All shards as one checkpoint.

    Raises:
        UnsupportedError: if the map came without a folder to find the shards in.
        FormatError: as ``read_shards``.
    """
    if probe.siblings is None:
        raise UnsupportedError(
            "shards: expected a path, found the map alone, whose shards cannot be found",
            source=probe.name,
            hint="open the .weights.json by its path",
        )
    return read_shards(probe.json, probe.siblings, probe.name, probe.limits).checkpoint(probe, "keras_shards")


@dataclass(slots=True)
class Shard:
    """What goes into one file.

    Attributes:
        tensors: By path.
        groups: As in ``Contents``.
        nbytes: Size of the tensors as Keras counts it.
    """

    tensors: dict[str, Value] = field(default_factory=dict)
    groups: dict[str, str | None] = field(default_factory=dict)
    nbytes: float = 0.0


def split(contents: Contents, nbytes_max: float, together: bool = False) -> list[Shard]:
    """Distribute tensors over shards, as Keras does: in order, and a new one when one is full.

    Args:
        contents: What is to be written.
        nbytes_max: Most bytes of tensors in a shard.
        together: Begin a new shard rather than have the variables of one object in two.

    Raises:
        MatchError: for a tensor (or, together, an object) that no shard can hold.
    """
    by_group: dict[str, dict[str, Value]] = {group: {} for group in contents.groups}
    for name, value in contents.tensors.items():
        by_group.setdefault(_group_of(name), {})[name] = value
    shards = [Shard()]
    for group, tensors in by_group.items():
        whole = sum(map(nbytes_counted, tensors.values()))
        if together and shards[-1].nbytes + whole > nbytes_max:
            shards.append(Shard())
        if group in contents.groups:
            shards[-1].groups[group] = contents.groups[group]
        for name, value in tensors.items():
            nbytes = nbytes_counted(value)
            if max(nbytes, whole if together else 0) > nbytes_max:
                raise MatchError(
                    f"max_shard_size: expected room for {'all variables of ' + group if together else name}, "
                    f"{max(nbytes, whole if together else 0):.0f} bytes, found {nbytes_max:.0f}"
                    + ("; Keras before 3.15 cannot read an object from two shards" if together else "")
                )
            if shards[-1].nbytes + nbytes > nbytes_max:
                shards.append(Shard())
            shards[-1].tensors[name] = value
            shards[-1].nbytes += nbytes
    return shards


def nbytes_counted(value: Value | Tensor) -> float:
    """Size of a variable as Keras counts it: a bool is one bit."""
    if value.dtype_name == "bool":
        return value.nelems / 8
    return value.nelems * dtypes.BY_NAME[value.dtype_name].itemsize


def create(target: Target, contents: Contents, options: Options) -> int:
    """Shards, then the map that names them.

    Every save gives its shards numbers that no file has, so that the old map and its shards
    are whole until the new map takes its place.  Readers of Keras 3 open number 0 before
    they look at the map: where an earlier save had that name, a file without tensors gets it.

    Raises:
        MatchError: if a tensor is larger than a shard may be.
        UnsupportedError: for a name without ``.weights.json``, or a version of Keras without
            shards.
    """
    refuse_model(contents, "keras_shards")
    head = os.path.realpath(target.path) if target.path is not None else ""
    base = _base(os.path.basename(target.path or ""))
    if target.path is not None and _SHARD.fullmatch(_name(base, 0)) is None:
        raise UnsupportedError(f"name of a sharded save: expected one like 'x.weights.json', found {shown(base)}")
    version = contents.version
    if version is not None and version < _FIRST:
        raise UnsupportedError(f"compat: expected Keras 3.10 or later for shards, found {'.'.join(map(str, version))}")
    # Readers before 3.15 count the variables of an object wrongly where it lies in two files.
    shards = split(contents, options.max_shard_nbytes or math.inf, version is not None and version < _SPLIT)
    several = version is None or version >= _LISTS
    progress = joined(options.progress, contents.nbytes)
    files = [drafted(shard.tensors, shard.groups, replace(options, progress=None)) for shard in shards]
    first = _first_free(os.path.dirname(head), base, len(shards))
    names = [_name(base, first + i) for i in range(len(shards))]
    text = json.dumps(_map(shards, names, several), indent=4).encode()
    with target.group(lambda name: _is_stale(name, base)) as group:
        nbytes = len(text)
        for name, file, shard in zip(names, files, shards, strict=True):
            nbytes += file.write(group.open(name))[0]
            progress(sum(value.nbytes for value in shard.tensors.values()))
        group.head.write_at(0, text)
    if first:
        with target.beside(_name(base, 0)) as placeholder:
            drafted({}, {}, Options(engine=options.engine)).write(placeholder)
    return nbytes


def _name(base: str, number: int) -> str:
    return f"{base}_{number:05}.weights.h5"


def is_shard_of(name: str, map_name: str) -> bool:
    """Whether a save of the map ``map_name`` may write a file called ``name`` beside it."""
    match = _SHARD.fullmatch(name) if map_name.endswith(".json") else None
    return match is not None and match["base"] == _base(map_name)


def _base(map_name: str) -> str:
    return map_name.removesuffix(".json").replace(".weights", "")


def _is_stale(name: str, base: str) -> bool:
    match = _SHARD.fullmatch(name)
    return match is not None and match["base"] == base and int(match["number"]) > 0


def _first_free(folder: str, base: str, count: int) -> int:
    """The number of the first shard, so that none of them has the name of a file that exists."""
    try:
        found = [match for name in os.listdir(folder) if (match := _SHARD.fullmatch(name))]
    except FileNotFoundError:
        found = []  # which opening the map will report
    taken = {int(match["number"]) for match in found if match["base"] == base}
    for first in (0, 1):
        if not taken.intersection(range(first, first + count)):
            return first
    return max(taken) + 1


def _map(shards: list[Shard], names: list[str], lists: bool) -> dict[str, Any]:
    """The map.

    Args:
        lists: As Keras 3.11 and later write it: a list for a group of several variables.
    """
    weight_map: dict[str, Any] = {}
    for shard, file in zip(shards, names, strict=True):
        for name in shard.tensors:
            group = "/" + _group_of(name)
            if group not in weight_map:
                weight_map[group] = file
            elif lists:
                if not isinstance(weight_map[group], list):
                    weight_map[group] = [weight_map[group]]
                if file not in weight_map[group]:
                    weight_map[group].append(file)
    return {"metadata": {"total_size": float(sum(shard.nbytes for shard in shards))}, "weight_map": weight_map}


FORMAT = Format(
    "keras_shards",
    claims,
    open,
    create,
    suffixes=(".weights.json",),
    layout="keras_paths",
    holds=("weights",),
    writes=("group",),
)
