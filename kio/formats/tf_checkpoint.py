"""TensorFlow checkpoints: of version 2, an index and shards of data; of version 1, tables; and a state file.

    PREFIX.index, PREFIX.data-00000-of-00001 …     one checkpoint; opened by PREFIX or by the index
    PREFIX, or PREFIX-00000-of-00002 …             one of version 1 (TensorFlow 0.x); opened by PREFIX or a file
    checkpoint                                     the state file of a folder: names the latest; opened by the folder

Checkpoints of ``tf.train.Checkpoint`` and Keras hold an object graph, which says what each tensor belongs to; it is
``Checkpoint.structure``.  Those of TensorFlow 1 have names alone.  A SavedModel keeps its variables in one more such
checkpoint, ``variables/variables``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from kio.checkpoint import Checkpoint
from kio.containers import bundle, saved_slices
from kio.containers.bundle import GRAPH, Bundle
from kio.containers.checkpoint_state import NAME, CheckpointState, parse_state
from kio.containers.folder import Folder
from kio.containers.object_graph import ObjectGraph
from kio.errors import CorruptError, LimitError, UnsupportedError, shown
from kio.formats.format import Format
from kio.formats.probe import Probe, version_1
from kio.limits import Limits
from kio.raw.source import Source
from kio.raw.tensor import Tensor

_INDEX = ".index"
# A folder with one of these is of another format, whatever else is in it.
_OTHERS = {"saved_model.pb", "saved_model.pbtxt", "_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt", "pytree"}


def claims(probe: Probe) -> bool:
    if probe.folder is None:
        return probe.container == "tf_index"
    names = probe.folder.names
    return _OTHERS.isdisjoint(names) and (NAME in probe.folder or any(name.endswith(_INDEX) for name in names))


def open(probe: Probe) -> Checkpoint:
    """The tensors by their keys.

    Raises:
        UnsupportedError: for an index without a path to find its shards by, a state file that names a checkpoint of
            another folder, or a folder of several checkpoints without a state file.
        FormatError: for anything damaged.

    Reads: the state file, the index, the object graph.
    """
    metadata: dict[str, Any] = {"checkpoint_version": 2}
    if probe.folder is not None:
        folder, base = probe.folder, latest(probe.folder, probe.limits)
        metadata["checkpoint"] = base
        if base + _INDEX not in folder:
            files = version_1(os.path.join(folder.name, base))
            return _open_version_1(probe, folder, [os.path.relpath(file, folder.name) for file in files], metadata)
        index = folder.source(base + _INDEX)
    elif (names := _files_of_version_1(probe)) is not None:
        return _open_version_1(
            probe, Folder(os.path.dirname(os.path.abspath(probe.path or "")), probe.limits), names, {}
        )
    else:
        path = _path_of(probe)
        folder, base = Folder(os.path.dirname(path), probe.limits), os.path.basename(path)
        index = probe.source if probe.source is not None else Source.open(path + _INDEX)
    try:
        tensors = read_bundle(index, folder, base, probe.limits)
        closing = (index, *tensors.shards.values())
    except BaseException:
        if index is not probe.source:
            index.close()
        raise
    try:
        graph = graph_of(tensors, probe.limits)
    except BaseException:
        for source in closing:
            source.close()
        raise
    metadata["shards"] = tensors.nshards
    if tensors.big_endian:
        metadata["byte_order"] = "big"
    return Checkpoint(
        tensors if graph is None else tensors.without(GRAPH),
        format="tf_checkpoint",
        layout="tf_names" if graph is None else "tf_objects",
        name=probe.name,
        source=probe.source,
        metadata=metadata,
        structure=graph,
        closing=closing,
    )


def _files_of_version_1(probe: Probe) -> list[str] | None:
    """Names of the files of a checkpoint of version 1, none for a file without a path; None for version 2."""
    if probe.source is None:
        files = [] if os.path.isfile(f"{probe.path}{_INDEX}") else version_1(str(probe.path))
        return [os.path.basename(file) for file in files] or None
    if not saved_slices.claims(probe.source, probe.limits):
        return None
    prefix = re.sub(r"-\d{5}-of-\d{5}$", "", probe.path or "")
    if probe.path is None or prefix == probe.path:
        return []
    files = [os.path.basename(file) for file in version_1(prefix)]
    if not files:
        raise CorruptError(
            "files: expected all of the numbers in its name, found some",
            source=probe.name,
            hint="copy all files of the checkpoint into one folder",
        )
    return files


def _open_version_1(probe: Probe, folder: Folder, names: list[str], metadata: dict[str, Any]) -> Checkpoint:
    """Tables of saved slices; ``names`` are none where the probe's own file is all."""
    sources: list[Source] = []
    try:
        for name in names:
            sources.append(folder.source(name))
        tensors = saved_slices.open(sources or [probe.known(probe.source)], probe.limits)
    except BaseException:
        for source in sources:
            source.close()
        raise
    return Checkpoint(
        tensors,
        format="tf_checkpoint",
        layout="tf_names",
        name=probe.name,
        source=probe.source,
        metadata={**metadata, "checkpoint_version": 1, "shards": len(sources) or 1},
        closing=(*probe.closing, *sources),
    )


def stored(checkpoint: Checkpoint) -> tuple[Mapping[str, Tensor], Mapping[str, int]]:
    """All that an opened checkpoint of this format lists, the object graph too.

    Returns:
        Tensors and TensorFlow's numbers of their types, by name.
    """
    tensors: Any = checkpoint.tensors
    return tensors.whole, tensors.numbers


def read_bundle(index: Source, folder: Folder, base: str, limits: Limits) -> Bundle:
    """The tensors of an index, and of the shards beside it.

    Args:
        index: The index.
        folder: Where the shards are.
        base: Prefix of their names, which may be in a folder of that folder.
        limits: Caps.
    """
    return bundle.open(index, lambda shard, of: folder.source(f"{base}.data-{shard:05}-of-{of:05}"), limits)


def graph_of(tensors: Bundle, limits: Limits) -> ObjectGraph | None:
    """The object graph that is stored beside the tensors, or None.

    Raises:
        FormatError: if it is damaged, or larger than ``limits.config_bytes``.
    """
    if GRAPH not in tensors:
        return None
    tensor = tensors[GRAPH]
    if tensor.dtype_name != "text" or tensor.shape != ():
        raise CorruptError(
            f"object graph: expected one string, found {tensor.dtype_name} of shape {tensor.shape}",
            source=tensors.source.name,
            tensor=GRAPH,
        )
    if tensor.nbytes > limits.config_bytes:
        raise LimitError(
            f"object graph: expected at most limits.config_bytes={limits.config_bytes}, found {tensor.nbytes} bytes",
            source=tensors.source.name,
            tensor=GRAPH,
            field="config_bytes",
        )
    name = f"{tensors.source.name}!{GRAPH}"
    return ObjectGraph(Source.of_bytes(np.asarray(tensor).item(), name), limits)


def state_of(folder: Folder, limits: Limits) -> CheckpointState | None:
    """What the state file of a folder says; None where there is none.

    Raises:
        CorruptError: for one that is damaged.
    """
    if NAME not in folder:
        return None
    return parse_state(folder.read(NAME, limits.config_bytes), os.path.join(folder.name, NAME))


def latest(folder: Folder, limits: Limits) -> str:
    """Prefix of the checkpoint that a folder is opened for, relative to it.

    A state file names it.  A path that does not begin at the root counts from the folder and stays in it.  Of one that
    does, the last part counts where the folder has such a checkpoint: the folder may have been moved since.

    Raises:
        CorruptError: if it leads out of the folder, or to nothing.
        UnsupportedError: if it is in another folder, or nothing says which of several checkpoints is meant.
    """
    state = state_of(folder, limits)
    if state is None:
        found = [name.removesuffix(_INDEX) for name in folder.names if name.endswith(_INDEX)]
        if len(found) == 1:
            return found[0]
        raise UnsupportedError(
            f"folder: expected a state file {NAME!r}, or one index, found {len(found)}",
            source=folder.name,
            hint=f"open one by its prefix, as {shown(os.path.join(folder.name, found[0]))}" if found else None,
        )
    path, where = state.model_checkpoint_path, os.path.join(folder.name, NAME)
    if not path:
        raise CorruptError("state file: expected a path of a checkpoint, found none", source=where)
    inside = relative(path, folder.name)
    if inside is not None and _exists(folder, inside):
        return inside
    if os.path.isabs(path):
        moved = os.path.basename(path)
        if moved and _exists(folder, moved):
            return moved
        raise UnsupportedError(
            f"state file: expected a checkpoint of this folder, found {shown(path)}",
            source=where,
            hint=f"if that is the one you want, open {shown(path)} itself",
        )
    if inside is None:
        raise CorruptError(f"state file: expected a path that stays in the folder, found {shown(path)}", source=where)
    raise CorruptError(
        f"state file: expected a checkpoint in this folder, found no {shown(inside + _INDEX)}",
        source=where,
        hint="copy all files of the checkpoint into the folder, or open another one by its prefix",
    )


def _exists(folder: Folder, base: str) -> bool:
    return base + _INDEX in folder or bool(version_1(os.path.join(folder.name, base)))


def relative(path: str, folder: str) -> str | None:
    """A path of a state file, as seen from its folder; None if it leads out."""
    here = os.path.abspath(folder)
    full = os.path.normpath(os.path.join(here, path))
    inside = os.path.relpath(full, here) if full.startswith(here.rstrip(os.sep) + os.sep) else None
    if inside is None or ".." in path.replace("\\", "/").split("/") or "\0" in path:
        return None
    return inside.replace(os.sep, "/")


def _path_of(probe: Probe) -> str:
    """The prefix that a path stands for."""
    if probe.path is None:
        raise UnsupportedError(
            "checkpoint: expected a path, found an index alone, whose shards cannot be found",
            source=probe.name,
            hint="open the checkpoint by the path of its index",
        )
    path = os.path.abspath(probe.path)
    if probe.is_prefix:
        return path
    if not path.endswith(_INDEX):
        raise UnsupportedError(
            f"name of the index: expected it to end in {_INDEX}, as the names of shards follow from it, found "
            f"{shown(os.path.basename(path))}",
            source=probe.name,
            hint=f"rename it to what comes before .data-… in the names of its shards, and {_INDEX}",
        )
    return path.removesuffix(_INDEX)


FORMAT = Format("tf_checkpoint", claims, open)
