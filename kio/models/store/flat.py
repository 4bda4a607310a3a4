"""From a live model to the contents of a file without structure: variables by their paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kio.contents import Contents
from kio.errors import UnsupportedError
from kio.mapping import flat
from kio.mapping.keras3 import rules
from kio.mapping.tree import Tree
from kio.models.live import audit, saving
from kio.models.live.saving import Kept, Stored
from kio.models.store.keras_paths import describe, values_of

__all__ = ["OF_TF_KERAS", "describe", "fill"]

OF_TF_KERAS = False


def fill(
    made: Contents, model: Any, tree: Tree, version: tuple[int, ...], skipped: Sequence[Any], *, whole: bool
) -> list[Stored]:
    """Enter a model's variables and their names: see the package."""
    stored = saving.stored(tree, version)
    audit.check(model, audit.safe(stored), skipped, rules.rule_of(version).name)
    names = flat.names(tree)
    targets: dict[str, Kept] = {}
    for one in stored:
        leaves = {leaf.key: leaf for leaf in one.node.leaves}
        if one.kept.keys() - leaves.keys():
            raise UnsupportedError(
                f"{one.node.name or one.node.cls}: expected variables alone, found a save_own_variables of its own, "
                "whose values have no names in a flat file",
                hint="save as .weights.h5 or .keras",
            )
        targets.update((names[leaves[key]], kept) for key, kept in one.kept.items())
    made.tensors = dict(zip(targets, values_of(list(targets.values())), strict=True))
    return stored
