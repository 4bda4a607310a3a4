"""From a live model to the contents of a legacy HDF5 file.

    model_weights/dense/sequential/dense/kernel      layers by name, weights by their paths
    optimizer_weights/adam/iteration                 the optimizer's variables, in its order

A file of weights has what is in ``model_weights`` at its root, and nothing else.  Such files
hold variables alone: what a layer keeps beside them (a vocabulary, say) is refused.

Spec: ``save_model_to_hdf5`` of ``keras/src/legacy/saving/legacy_h5_format.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kio.contents import Contents, Value
from kio.errors import UnsupportedError, shown
from kio.mapping.h5.names import distinct, groups
from kio.mapping.h5.stored import TOP
from kio.mapping.tree import Tree
from kio.models.eras import versions
from kio.models.live import audit, optimizer_order, saving
from kio.models.live.saving import Stored
from kio.models.memory.values import values
from kio.models.store import serialise_h5

# tf.keras 2 reads it, too.
OF_TF_KERAS = True

WEIGHTS, OPTIMIZER = "model_weights", "optimizer_weights"
# Older readers, asked for layers by name, want weights of the model itself even where it has none.
_TOP_LEVEL = (3, 10)


def fill(
    made: Contents, model: Any, tree: Tree, version: tuple[int, ...], skipped: Sequence[Any], *, whole: bool
) -> list[Stored]:
    """Enter a model's variables and their names: see the package.

    With ``whole`` the optimizer is written, too, and all is below ``model_weights``.
    """
    # What there is of each object, as files of today's Keras 3 would have it.
    stored = saving.stored(tree, versions.installed())
    _check(tree, stored)
    found = _enter(made, model, tree, version, whole)
    optimizer = getattr(model, "optimizer", None)
    audit.check(model, found, skipped if whole else [*skipped, optimizer], "legacy HDF5")
    return stored


def describe(made: Contents, model: Any, objects: list[Any], version: tuple[int, ...], *, compiled: bool) -> None:
    """Enter what a model is: see the package."""
    made.config = serialise_h5.config(model, version, objects)
    made.metadata = serialise_h5.metadata(model, version, compiled=compiled)


def _enter(made: Contents, model: Any, tree: Tree, version: tuple[int, ...], whole: bool) -> set[int]:
    """Layers by name; returns the ids of the variables that are in the file, in one way or the other."""
    prefix = f"{WEIGHTS}/" if whole else ""
    found: dict[str, Any] = {}
    marks = made.attributes.setdefault(WEIGHTS if whole else "", {})
    rows = groups(tree.stack()) if tree.stack is not None else []
    marks["layer_names"] = _bytes(row.path for row in rows[:-1])
    marks["backend"] = versions.backend(version).encode()
    marks["keras_version"] = versions.release(version).encode()
    for row in rows:
        if row.path == TOP and not row.names and version < _TOP_LEVEL:
            continue
        made.attributes[prefix + row.path] = {"weight_names": _bytes(row.names)}
        for name, leaf in zip(row.names, row.leaves, strict=True):
            found[f"{prefix}{row.path}/{name}"] = leaf.handle
    elsewhere: set[int] = set()
    optimizer = getattr(model, "optimizer", None)
    if whole and optimizer is not None and not any(node.skip and node.handle is optimizer for node in tree.nodes):
        state = optimizer_order.ordered(optimizer, version)
        if version < (3,):
            # It reads all that is there by order, has the rate in its configuration alone, and
            # stores no product of momenta: its own Nadam, too, goes on from a product of 1.
            product = getattr(optimizer, "_u_product", None)
            elsewhere = {id(v) for v in state if v.name == "learning_rate" or v is product}
            state = [v for v in state if id(v) not in elsewhere]
        names = distinct(str(variable.path) for variable in state)
        if names:
            made.attributes[OPTIMIZER] = {"weight_names": _bytes(names)}
        found.update((f"{OPTIMIZER}/{name}", variable) for name, variable in zip(names, state, strict=True))
    made.tensors = dict(zip(found, values(list(found.values())), strict=True))
    if version < (3,):
        _count_wide(made)
    return elsewhere | set(map(id, found.values()))


def _count_wide(made: Contents) -> None:
    """Counters as tf.keras 2 has them: int64 on any backend."""
    for name, value in made.tensors.items():
        if value.dtype_name == "int32" and not value.shape:
            made.tensors[name] = Value("int64", (), value.array().astype("<i8"), lasting=True)


def _bytes(names: Any) -> list[bytes]:
    # As Keras stores names: bytes, whatever is in them.
    return [name.encode("utf-8", "surrogateescape") for name in names]


def _check(tree: Tree, stored: Sequence[Stored]) -> None:
    """Refuse what would be lost in silence.

    Raises:
        UnsupportedError: for layers to skip, and for layers with a state that is no variable.
    """
    for node in tree.nodes:
        if node.skip and node.kind != "Optimizer":
            raise UnsupportedError(
                f"objects_to_skip: expected none for legacy HDF5, whose layers are known by their order, "
                f"found {node.name or node.cls}"
            )
    for one in stored:
        handle = one.node.handle
        owns = getattr(handle, "weights", None) or getattr(handle, "variables", None)
        lost = one.others if owns else list(one.kept)
        if lost:
            raise UnsupportedError(
                f"keras_h5: expected layers with variables alone, found {one.node.name or one.node.cls}, which stores "
                f"{', '.join(map(shown, lost))}",
                hint="save as .keras or .weights.h5",
            )
