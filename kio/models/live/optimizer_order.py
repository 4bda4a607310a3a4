"""The order of an optimizer's variables, which was another before Keras 3.10.

    up to 3.9.2   iteration, learning_rate, average 0, sum 0, average 1, sum 1, …, slots
    3.10          iteration, learning_rate, average 0, average 1, …, sum 0, sum 1, …, slots

    Nadam up to 3.9.2   iteration, learning_rate, product of momenta, slots
    Nadam since 3.10    iteration, learning_rate, slots, product of momenta

Only Nadam, and optimizers that keep both moving averages (``use_ema``) and accumulated gradients
are concerned.  A file of weights does not say who wrote it, but only one order has the shapes that
are in it, unless all variables of the model have the same; stock Keras goes by its own.

The sums of Adagrad and Ftrl were all called ``accumulator`` up to 3.9.2, whatever they are of.

Spec: ``BaseOptimizer.build`` and ``Nadam.build`` of Keras 3.9.2 and 3.10.0.
"""

from __future__ import annotations

from typing import Any

from kio.mapping.tree import Node, Tree

_GROUPED = (3, 10)


def ordered(optimizer: Any, version: tuple[int, ...] | None) -> list[Any]:
    """An optimizer's variables in the order of that Keras; None for the order that they have."""
    found = list(optimizer.variables)
    averages = list(getattr(optimizer, "_model_variables_moving_average", None) or ())
    sums = list(getattr(optimizer, "_accumulated_gradients", None) or ())
    if version is not None:
        found = _with_product(optimizer, found, version)
    if version is None or len(averages) != len(sums) or len(averages) < 2:
        return found
    block = {id(variable) for variable in (*averages, *sums)}
    at = [i for i, variable in enumerate(found) if id(variable) in block]
    if len(at) != 2 * len(sums) or at[-1] - at[0] != len(at) - 1:
        return found
    if version >= _GROUPED:
        wanted = [*averages, *sums]
    else:
        wanted = [each for pair in zip(averages, sums, strict=True) for each in pair]
    found[at[0] : at[-1] + 1] = wanted
    return found


def _with_product(optimizer: Any, found: list[Any], version: tuple[int, ...]) -> list[Any]:
    """The variables with Nadam's product of momenta where that Keras had it."""
    product, momenta = getattr(optimizer, "_u_product", None), getattr(optimizer, "_momentums", None)
    others = [variable for variable in found if variable is not product]
    if product is None or not momenta or len(others) != len(found) - 1:
        return found
    at = len(others) if version >= _GROUPED else next(i for i, v in enumerate(others) if v is momenta[0])
    return [*others[:at], product, *others[at:]]


def rekey(tree: Tree, version: tuple[int, ...] | None) -> bool:
    """Give optimizers' leaves the keys that a writer of that version used.

    Args:
        tree: Of a live model; changed in place.
        version: Of the writer, or None where the file does not say.

    Returns:
        Whether the order matters for this model and nothing tells which it is.
    """
    unknown = False
    for node in tree.nodes:
        if node.kind != "Optimizer" or node.custom or not node.leaves:
            continue
        if version is None:
            unknown = _undecided(node) or unknown
            continue
        key_of = {id(variable): str(i) for i, variable in enumerate(ordered(node.handle, version))}
        if len(key_of) == len(node.leaves) and all(id(leaf.handle) in key_of for leaf in node.leaves):
            for leaf in node.leaves:
                leaf.key = key_of[id(leaf.handle)]
            node.leaves.sort(key=lambda leaf: int(leaf.key))
    return unknown


def _undecided(node: Node) -> bool:
    """Whether both orders matter and have the same shapes; where those differ the node gets the other keys."""
    old, new = ordered(node.handle, (3, 0)), ordered(node.handle, _GROUPED)
    if all(a is b for a, b in zip(old, new, strict=True)):
        return False
    if all(tuple(a.shape) == tuple(b.shape) for a, b in zip(old, new, strict=True)):
        return True
    now = list(node.handle.variables)
    other = new if all(a is b for a, b in zip(now, old, strict=True)) else old
    key_of = {id(variable): str(i) for i, variable in enumerate(other)}
    if len(key_of) == len(node.leaves) and all(id(leaf.handle) in key_of for leaf in node.leaves):
        node.others = {leaf: key_of[id(leaf.handle)] for leaf in node.leaves}
    return False


def rename(tree: Tree) -> None:
    """Give sums that are all called alike the names that they have since 3.10: of the variables that they are of."""
    for node in tree.nodes:
        sums = getattr(node.handle, "_accumulators", None) if node.kind == "Optimizer" else None
        owners = getattr(node.handle, "_trainable_variables", None)
        if not sums or not owners or len(sums) != len(owners):
            continue
        owner_of = {id(each): owner for each, owner in zip(sums, owners, strict=True)}
        for leaf in node.leaves:
            if leaf.name == "accumulator" and id(leaf.handle) in owner_of:
                leaf.name = f"{owner_of[id(leaf.handle)].path.replace('/', '_')}_accumulator"
