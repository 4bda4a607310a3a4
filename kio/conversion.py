"""From one checkpoint to the contents of another file: what ``kio.convert`` writes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from kio import dtypes
from kio.checkpoint import Checkpoint
from kio.contents import Contents, Value, cast, parents, value_of
from kio.errors import UnsupportedError, shown
from kio.formats.format import Format
from kio.formats.keras_weights import text_of
from kio.mapping.h5.stored import TOP
from kio.mapping.selection import Renamer, renamer
from kio.raw import transfer
from kio.raw.tensor import Tensor

Rename = Callable[[str], str] | Mapping[str, str] | None

# Layouts by what a file has beside its tensors: groups with names of objects; lists of layers and weights, in order.
_GROUPED = "keras_paths"
_LISTED = "h5_layers"
_METADATA = ("keras_version", "date_saved")
_SHOWN = 10  # names a warning lists


def contents_of(
    checkpoint: Checkpoint,
    format: Format,
    dtype: str | None = None,
    rename: Rename = None,
    verify: bool = True,
    unsupported: str = "refuse",
) -> Contents:
    """What a checkpoint holds, as another format has it.

    A format of weights alone leaves configuration and assets behind.

    Args:
        checkpoint: Open, and open until the contents are written.
        format: Of the file to write.
        dtype: Floats become this; None leaves them.
        rename: From names in the checkpoint to names in the file: a function, or a mapping of
            names, leading parts or globs, each of which must match something.
        verify: Check every checksum first, since bytes are copied as they are stored.
        unsupported: As for ``kio.convert``.

    Raises:
        UnsupportedError: for a model format without a configuration, names that another
            layout explains, and two tensors of one new name.
        MatchError: for a key of ``rename`` that matches nothing; names the nearest.
        FormatError: for a tensor that cannot be read, or damaged bytes.
    """
    _check_layout(checkpoint, format, rename)
    left = _left_out(checkpoint, format, unsupported)
    chosen = {name: tensor for name, tensor in checkpoint.items() if name not in left}
    renamed = renamer(rename)
    tensors = _tensors(chosen, dtype, renamed)
    if renamed is not None:
        renamed.meet(checkpoint.names_of)
        renamed.check("a name in the file")
    if verify and transfer.fragile(chosen.values(), verify=True):
        transfer.check(chosen.values(), verify=True)
    made = Contents(tensors)
    if format.layout == _LISTED:
        made.attributes = _attributes(checkpoint)
        return made  # all that it says is in them
    if format.layout == checkpoint.layout == _GROUPED:
        made.groups = _groups(checkpoint, dict(zip(chosen, tensors, strict=True)), renamed)
    if "model" in format.holds:
        made.config = checkpoint.config
        made.metadata = {key: str(checkpoint.metadata[key]) for key in _METADATA if key in checkpoint.metadata}
        made.assets = {
            name: checkpoint.assets.read(name) if verify else checkpoint.assets[name] for name in checkpoint.assets
        }
    elif "metadata" in format.holds and format.name == checkpoint.format:
        made.metadata = {key: str(value) for key, value in checkpoint.metadata.items()}
    return made


def check_dtype(format: Format, dtype: str | None) -> None:
    """Refuse floats that a format would have to widen again.

    Raises:
        UnsupportedError: for bfloat16 and float8 in legacy HDF5.
    """
    row = dtypes.BY_NAME.get(dtype or "")
    if format.widens and row is not None and row.raw is not None:
        raise UnsupportedError(
            f"dtype: expected one that legacy .h5 has, found {dtype}",
            hint="float16 is one; .keras and .weights.h5 hold bfloat16",
        )


def _check_layout(checkpoint: Checkpoint, format: Format, rename: Rename) -> None:
    only_models = "weights" not in format.holds
    if only_models and checkpoint.config is None:
        raise UnsupportedError(
            f"{format.name}: expected a model's configuration, found weights alone",
            source=checkpoint.name,
            hint="build the model in code, load the weights, and use kio.save_model",
        )
    if format.layout == _LISTED:
        if checkpoint.layout != _LISTED:
            raise UnsupportedError(
                f"names for {format.name}: expected layers in order, found layout {checkpoint.layout}",
                source=checkpoint.name,
                hint="load the model (or its weights) and save it as .h5",
            )
        if rename is not None:
            raise UnsupportedError(f"rename: expected None, as {format.name} lists its names, found one")
    fits = format.layout != _GROUPED or checkpoint.layout in (_GROUPED, "flat")
    if not fits or (only_models and checkpoint.layout != format.layout):
        raise UnsupportedError(
            f"names for {format.name}: expected those of Keras 3 files, found layout {checkpoint.layout}",
            source=checkpoint.name,
            hint="load the model and save it, or convert to .safetensors or .npz",
        )


def _left_out(checkpoint: Checkpoint, format: Format, unsupported: str) -> dict[str, str]:
    """What of the file cannot be written, and why; refused unless the caller leaves it out.

    Raises:
        UnsupportedError: naming the first of it.
    """
    if unsupported not in ("refuse", "skip"):
        raise UnsupportedError(f"unsupported: expected 'refuse' or 'skip', found {unsupported!r}")
    left = checkpoint.unread
    left |= {name: "text" for name, tensor in checkpoint.items() if dtypes.is_text(tensor.dtype_name)}
    if not left:
        return left
    name, why = next(iter(left.items()))
    if unsupported == "refuse":
        more = f", and {len(left) - 1} more such" if len(left) > 1 else ""
        raise UnsupportedError(
            f"tensor to convert: expected numbers that kio reads, found {why}{more}",
            source=checkpoint.name,
            tensor=name,
            hint="unsupported='skip' (--unsupported skip) leaves it out",
        )
    if format.layout == _LISTED:
        raise UnsupportedError(
            f"unsupported: expected 'refuse', as {format.name} lists its weights, found 'skip'",
            source=checkpoint.name,
            tensor=name,
            hint="convert to .safetensors or .npz, or load the model and save it as .h5",
        )
    listed = ", ".join(f"{shown(name)} ({why})" for name, why in list(left.items())[:_SHOWN])
    more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    warnings.warn(f"left out, as kio cannot convert it: {listed}{more}", UserWarning, stacklevel=4)
    return left


def _tensors(chosen: Mapping[str, Tensor], dtype: str | None, renamed: Renamer | None) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, tensor in chosen.items():
        new = renamed(name) if renamed else name
        if new in found:
            raise UnsupportedError(f"rename: expected a name for each tensor, found two for {shown(new)}")
        value = value_of(name, tensor)
        found[new] = cast(value, dtype) if dtype is not None else value
    return found


def _attributes(checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
    """What a legacy file says of its groups, those without weights, too."""
    todo = ["", "model_weights", "optimizer_weights", TOP, f"model_weights/{TOP}", *parents(checkpoint)]
    found: dict[str, dict[str, Any]] = {}
    while todo:
        path = todo.pop()
        if path in found or path in checkpoint:
            continue
        try:
            found[path] = dict(checkpoint.attributes(path))
        except KeyError:
            continue
        for key, names in found[path].items():
            if key.rstrip("0123456789") == "layer_names":
                todo += [f"{path}/{text_of(name)}".strip("/") for name in names]
    return dict(sorted(found.items()))


def _groups(checkpoint: Checkpoint, names: Mapping[str, str], renamed: Renamer | None) -> dict[str, str | None]:
    """The groups of the new file with the names of their objects; where a group's tensors went, it goes.

    Args:
        names: Of the tensors: old -> new.
    """
    moved = {_group(old): _group(new) for old, new in names.items()}
    groups: dict[str, str | None] = {new: None for new in moved.values() if new}
    for old, name in checkpoint.names_of.items():
        groups[moved.get(old) or (renamed(old) if renamed else old)] = name
    return groups


def _group(name: str) -> str:
    """The ``vars`` group that a tensor is in, or "" for none."""
    head, vars_, _ = f"/{name}".rpartition("/vars/")
    return (head + vars_).strip("/")
