"""Before a save: is every variable of the model in the file?

Stock Keras drops some in silence: layers in lists of lists (before 3.15), in sets (3.15),
weights that a subclass of Dense added.  Seed generators and metrics are no part of Keras's
files, so they are no part of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kio.errors import MatchError
from kio.mapping.rules import Rule

_SHOWN = 10


def check(model: Any, stored: Sequence[Any], skipped: Iterable[Any], rule: Rule) -> None:
    """Refuse a save that would lose variables.

    Args:
        model: The live model.
        stored: What each object writes (``save.Stored``).
        skipped: Objects that are left out on purpose.
        rule: The writer's, for the message.

    Raises:
        MatchError: with the list of those that would be lost.
    """
    safe: set[int] = set()
    for one in stored:
        if one.covered is None:
            safe.update(map(id, _own(one.node.handle)))
            safe.update(id(kept) for kept in one.kept.values())
        else:
            safe |= one.covered
    for obj in skipped:
        safe.update(map(id, _all(obj)))
    wanted = _all(model)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        wanted += _all(optimizer)
    lost = [variable for variable in wanted if id(variable) not in safe]
    if not lost:
        return
    names = [str(getattr(variable, "path", variable)) for variable in lost[:_SHOWN]]
    more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    raise MatchError(
        f"save of {getattr(model, 'name', 'model')}: expected every variable in the file, found {len(lost)} that "
        f"{rule.name} has no place for: {', '.join(names)}{more}; make their layers attributes of their parents "
        "(or members of lists that are), or give a layer with weights of its own a save_own_variables"
    )


def _own(obj: Any) -> list[Any]:
    if hasattr(obj, "_trainable_variables") and hasattr(obj, "_non_trainable_variables"):
        return [*obj._trainable_variables, *obj._non_trainable_variables]
    return list(getattr(obj, "variables", None) or ())


def _all(obj: Any) -> list[Any]:
    """Variables of an object and of all below it, without seeds and metrics."""
    weights = getattr(obj, "weights", None)
    return list(weights if weights is not None else getattr(obj, "variables", None) or ())
