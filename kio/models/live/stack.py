"""A live Keras 3 model as a list of layers, the way legacy HDF5 files know it.

Keras walks ``layer._layers`` for the order of weights: an object's own variables first,
then those of its sub-layers, each variable once.

Spec: ``Layer.weights`` and ``keras/src/legacy/saving/legacy_h5_format.py``, ``_legacy_weights``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

from kio.mapping.tree import Leaf, Node, Part, Stack


def stack_of(model: Any, node_of: Callable[[Any], Node], leaves: Mapping[int, Leaf]) -> Stack:
    """Describe a live model as a list of layers.

    Args:
        model: The model.
        node_of: The node of the tree for an object; makes one where the tree has none.
        leaves: Leaves of the tree, by ``id`` of the variable.
    """
    layers: list[tuple[Node, list[Part]]] = []
    skipped: set[int] = set()
    for layer in getattr(model, "layers", ()):
        node = node_of(layer)
        if node.skip:
            skipped.add(len(layers))
        found: list[Part] = []
        _collect(layer, (str(layer.name),), node_of, leaves, set(), set(), found)
        layers.append((node, found))
    own = _part(model, (), node_of, leaves, set())

    def weights() -> list[list[Leaf]]:
        known = {id(leaf.handle): leaf for _, parts in layers for part in parts for leaf in part.leaves}
        known |= {id(leaf.handle): leaf for leaf in own.leaves}
        listed = [(*node.handle.trainable_weights, *node.handle.non_trainable_weights) for node, _ in layers]
        return [[known[id(v)] for v in each] for each in listed] + [own.leaves]

    order = tuple(getattr(model, "_kio_order", ()))
    return Stack(layers, own, frozenset(skipped), weights, order, _chained(model))


def _chained(model: Any) -> bool:
    """Whether a model is a row of layers, however it was made."""
    depths = getattr(getattr(model, "_functional", model), "_operations_by_depth", None)
    return depths is not None and all(len(operations) == 1 for operations in depths.values())


def _collect(
    layer: Any,
    names: tuple[str, ...],
    node_of: Callable[[Any], Node],
    leaves: Mapping[int, Leaf],
    seen: set[int],
    open_: set[int],
    found: list[Part],
) -> None:
    if id(layer) in open_:
        return  # a layer that holds itself: its variables are on the list already
    part = _part(layer, names, node_of, leaves, seen)
    if part.leaves:
        found.append(part)
    open_.add(id(layer))
    for inner in getattr(layer, "_layers", ()):
        _collect(inner, (*names, str(inner.name)), node_of, leaves, seen, open_, found)
    open_.discard(id(layer))


def _part(
    layer: Any,
    names: tuple[str, ...],
    node_of: Callable[[Any], Node],
    leaves: Mapping[int, Leaf],
    seen: set[int],
) -> Part:
    node = node_of(layer)
    trainable = _new(layer._trainable_variables, seen)
    fixed = _new(layer._non_trainable_variables, seen)
    variables = [leaves.get(id(v)) or _leaf(v, node) for v in (*trainable, *fixed)]
    epsilon = getattr(layer, "epsilon", None)
    return Part(
        node,
        variables,
        len(trainable),
        tuple(bool(v.trainable) for v in (*trainable, *fixed)),
        names,
        getattr(layer, "data_format", None) == "channels_first",
        getattr(layer, "finalize_state", None),
        float(epsilon) if isinstance(epsilon, Real) else 0.0,  # a layer of the user's may call anything so
    )


def _new(variables: Sequence[Any], seen: set[int]) -> list[Any]:
    fresh = [v for v in variables if id(v) not in seen]
    seen.update(map(id, fresh))
    return fresh


def _leaf(variable: Any, node: Node) -> Leaf:
    shape = tuple(variable.shape)
    return Leaf(
        "",
        str(variable.path),
        str(variable.name),
        shape,
        str(getattr(variable, "_dtype", variable.dtype)),
        variable,
        node,
    )
