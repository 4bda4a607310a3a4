"""From a live model to the contents of a Keras 3 file: groups by the paths of objects, variables by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kio.contents import Contents, Value
from kio.errors import UnsupportedError
from kio.mapping.keras3 import rules
from kio.mapping.tree import Tree
from kio.models.live import audit, saving
from kio.models.live.saving import Kept, Stored
from kio.models.memory.values import values
from kio.models.store import serialise

OF_TF_KERAS = False

# Before this version an object without a name had an empty group, too.
_LAZY_GROUPS = (3, 10)


def fill(
    made: Contents, model: Any, tree: Tree, version: tuple[int, ...], skipped: Sequence[Any], *, whole: bool
) -> list[Stored]:
    """Enter a model's variables and their names: see the package."""
    stored = saving.stored(tree, version)
    rule = rules.rule_of(version)
    audit.check(model, audit.safe(stored), skipped, rule.name)
    names: list[str] = []
    kept: list[Kept] = []
    for one in stored:
        group = f"{one.path}/vars" if one.path else "vars"
        name = getattr(one.node.handle, "name", None) if rule.named else None
        name = name if isinstance(name, str) else None
        if one.kept or name is not None or version < _LAZY_GROUPS:
            made.groups[group] = name
        names += [f"{group}/{key}" for key in one.kept]
        kept += one.kept.values()
    made.tensors = dict(zip(names, values_of(kept), strict=True))
    if len(made.tensors) != len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise UnsupportedError(f"name: expected one variable for each, found two for {twice}")
    return stored


def describe(made: Contents, model: Any, objects: list[Any], version: tuple[int, ...], *, compiled: bool) -> None:
    """Enter what a model is: see the package.  The optimizer is in every such file."""
    made.config = serialise.config(model, version, objects)
    made.metadata = serialise.metadata(version)


def values_of(kept: Sequence[Kept]) -> list[Value]:
    """The values of what objects keep, in order: variables, and what is a value already."""
    wanted = [each for each in kept if not isinstance(each, Value)]
    found = iter(values(wanted))
    return [each if isinstance(each, Value) else next(found) for each in kept]
