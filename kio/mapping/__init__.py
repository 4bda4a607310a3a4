"""Names to variables.  Knows no framework and reads no bytes; never sees ``formats``.

A layout is one naming scheme, a module of this room with

    names(tree) -> {leaf: name}                   for writing
    match(checkpoint, tree, selection) -> Plan    for reading: what goes where; nothing is refused but what is asked
                                                  for and matches nothing
    BACKENDS                                      where a backend turned what is stored: those that a user may name

What a layout needs of a model beyond its leaves it asks the tree for (``Tree.stack``, ``Tree.order_of``, …).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kio.errors import MatchError, UnsupportedError, shown
from kio.mapping.plan import Plan, Skipped
from kio.mapping.selection import Selection, nearest
from kio.mapping.tree import Tree

# One line a layout; a checkpoint says which one its names follow.
LAYOUTS = ("keras_paths", "h5_layers", "flat")


def match(checkpoint: Any, tree: Tree, selection: Selection) -> Plan:
    """Decide which stored tensor goes to which variable, by the layout that the checkpoint names.

    Args:
        checkpoint: ``Mapping[str, Tensor]`` with ``layout`` and ``name``.
        tree: The model.
        selection: What of it is wanted.

    Returns:
        The plan; nothing is refused before ``plan.check``.

    Raises:
        UnsupportedError: for a layout that is none of ``LAYOUTS``.
        MatchError: for a pattern or a key of ``rename`` that matches nothing, or an ``original_backend`` that is none,
            or is of no meaning for the layout.
    """
    if checkpoint.layout not in LAYOUTS:
        raise UnsupportedError(
            f"layout: expected one of {', '.join(LAYOUTS)}, found {checkpoint.layout}",
            source=checkpoint.name,
            hint="kio does not match these names to a model yet; kio.open gives the tensors, and kio.convert with "
            "rename= makes a .safetensors or .npz file of them",
        )
    layout: Any = import_module(f"kio.mapping.{checkpoint.layout}")
    _check_backend(selection.original_backend, layout.BACKENDS)
    left = [node.name or node.cls for node in tree.nodes if node.skip]
    plan: Plan = layout.match(checkpoint, tree, selection)
    plan.skipped += [Skipped(name, "one of objects_to_skip", asked=True) for name in left]
    if selection.by_name and plan.ambiguous is None:
        plan.ambiguous = _without_namesakes(plan, checkpoint)
    return plan


def _check_backend(name: str | None, backends: tuple[str, ...]) -> None:
    if name is None:
        return
    if not backends:
        raise MatchError("original_backend: expected a legacy HDF5 file, found one whose kernels no backend turns")
    if name not in backends:
        raise MatchError(f"original_backend: expected one of {', '.join(backends)}, found {shown(str(name))}")


def _without_namesakes(plan: Plan, checkpoint: Any) -> str | None:
    """Why a load by name that would find nothing is none; None where it finds something, or is refused anyway."""
    if plan.pairs or plan.converted or plan.customs or plan.mismatched or plan.missing:
        return None
    wanted = [skip.what for skip in plan.skipped if not skip.asked]
    if not wanted:
        return None
    return (
        f"by_name: expected at least one layer of the model in the file, found none of {shown(wanted[0])} … "
        f"({shown(checkpoint.name)}); {nearest(wanted[0], checkpoint)}"
    )
