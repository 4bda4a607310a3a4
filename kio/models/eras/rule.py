"""What a rule of the upgrader is, and what it is told.

A rule changes the arguments of one kind of object from what an older Keras wrote to what
means the same today.  Rules are rows of tables, one table an era; ``source`` says where
the old meaning is written down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kio.errors import UnsupportedError, shown
from kio.models.eras.era import Era

Config = dict[str, Any]


class UpgradeError(UnsupportedError, TypeError):
    """A configuration asks for something that today's Keras cannot do with the same meaning."""


@dataclass(slots=True)
class Context:
    """What is known while a configuration is upgraded.

    Attributes:
        era: Who wrote it.
        is_custom: Whether a name is the user's own.
        applied: How often each rule changed something.
        kio_objects: Names of kio's own layers and functions that the result needs.
        renamed: Names of layers that Keras 3 takes no more, and what they became.
        unfused: Names of normalizations that never took the mean and variance from one kernel.
    """

    era: Era
    is_custom: Callable[[str], bool]
    applied: Counter[str] = field(default_factory=Counter)
    kio_objects: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    unfused: set[str] = field(default_factory=set)


Apply = Callable[[Config, Context], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """One change of one kind of arguments.

    Attributes:
        name: What it does, for the report.
        classes: Which classes it is for, by today's name; None for all layers.
        apply: Changes the arguments in place; says whether it did.
        source: Where the old meaning comes from.
    """

    name: str
    classes: frozenset[str] | None
    apply: Apply
    source: str


def classes(names: str) -> frozenset[str]:
    return frozenset(names.split())


def refuse(what: str, expected: str, found: object, hint: str | None = None) -> UpgradeError:
    """The error for what has no equal today."""
    return UpgradeError(f"{what}: expected {expected}, found {shown(found)}", hint=hint)


def renamed(old: str, new: str, values: Mapping[Any, Any] | None = None) -> Apply:
    """An argument that is called otherwise today, some of its values too."""

    def apply(config: Config, context: Context) -> bool:
        if old not in config:
            return False
        value = config.pop(old)
        if values is not None and isinstance(value, (str, int, float, bool, type(None))):
            value = values.get(value, value)
        config.setdefault(new, value)
        return True

    return apply


def dropped(argument: str, *harmless: Any, instead: str = "") -> Apply:
    """An argument that is gone: left out where it said nothing, refused where it did.

    Args:
        argument: Its name.
        harmless: Values at which it changed nothing; none given: it never did.
        instead: What the user can do otherwise.
    """

    def apply(config: Config, context: Context) -> bool:
        if argument not in config:
            return False
        value = config[argument]
        # 1 == True and 0 == False: compare what JSON tells apart.
        if harmless and not any(value == h and isinstance(value, bool) == isinstance(h, bool) for h in harmless):
            raise refuse(
                f"{argument} of {shown(str(config.get('name')))}",
                " or ".join(map(repr, harmless)),
                value,
                instead or "Keras 3 has no such argument; the tensors can be read with kio.open",
            )
        del config[argument]
        return True

    return apply


def rules(source: str, rows: Iterable[tuple[str, str, Apply]]) -> tuple[Rule, ...]:
    """A table: name, classes (``"*"`` for all layers), change."""
    return tuple(Rule(name, None if names == "*" else classes(names), apply, source) for name, names, apply in rows)
