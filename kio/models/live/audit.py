"""Before a save: is every variable of the model in the file?

Stock Keras drops some in silence: layers in lists of lists (before 3.15), in sets (3.15),
weights that a subclass of Dense added.  Seed generators and metrics are no part of Keras's
files, so they are no part of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kio.errors import MatchError

_SHOWN = 10


def safe(stored: Sequence[Any]) -> set[int]:
    """Ids of the variables that are in what each object writes (``saving.Stored``)."""
    found: set[int] = set()
    for one in stored:
        if one.covered is None:
            found.update(map(id, _own(one.node.handle)))
            found.update(id(kept) for kept in one.kept.values())
        else:
            found |= one.covered
    return found


def check(model: Any, safe: set[int], skipped: Iterable[Any], writer: str) -> None:
    """Refuse a save that would lose variables.

    Args:
        model: The live model.
        safe: Ids of those that are in the file.
        skipped: Objects that are left out on purpose.
        writer: By whose rules, for the message.

    Raises:
        MatchError: with the list of those that would be lost.
    """
    left = {id(variable) for obj in skipped for variable in _all(obj)}
    wanted = _all(model)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        wanted += _all(optimizer)
    lost = [variable for variable in wanted if id(variable) not in safe and id(variable) not in left]
    if not lost:
        return
    names = [str(getattr(variable, "path", variable)) for variable in lost[:_SHOWN]]
    more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    raise MatchError(
        f"save of {getattr(model, 'name', 'model')}: expected every variable in the file, found {len(lost)} that "
        f"{writer} has no place for: {', '.join(names)}{more}; make their layers attributes of their parents "
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
