"""The values of live variables as bytes to write, without a copy where there is memory to read.

+------------+------------------------------------+--------------------------------------+
| backend    | in the CPU's memory                | elsewhere, or not one piece of it    |
+============+====================================+======================================+
| torch      | the parameter's own memory         | copied when its turn comes           |
| jax        | the array's own buffer             | fetched when its turn comes, and     |
|            |                                    | not kept: jax would cache the copy   |
| tensorflow | the tensor's own buffer            | fetched when its turn comes          |
| numpy      | the array itself                   |                                      |
| other      | ``convert_to_numpy`` when its turn comes                                  |
+------------+------------------------------------+--------------------------------------+

What a backend stores wider than Keras declares it (uint32 on torch) is written as it is
stored, as stock Keras writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kio.contents import Value
from kio.errors import MatchError
from kio.models.memory import backends, fetch, variables


def values(targets: Sequence[Any]) -> list[Value]:
    """What each variable holds now.

    Args:
        targets: Keras variables, with values.

    Returns:
        For each its bytes, or how to get them; alive as long as the value is.

    Raises:
        MatchError: for a variable without a value.  UnsupportedError: for one of a type that kio does not know.
    """
    value = backends.current().value
    plain = variables.Plain()
    scoped = variables.in_stateless_scope()
    found = []
    for variable in targets:
        raw = variables.raw_value(variable)
        if raw is None:
            where = getattr(variable, "path", variable)
            raise MatchError(f"variable {where}: expected a value, found one that was never initialised")
        found.append(fetch.general(variable, raw) if scoped or not plain[type(variable)] else value(variable, raw))
    return found
