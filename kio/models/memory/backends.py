"""Hand filled memory to live Keras variables with at most one copy, and their values back.  One row a backend.

+------------+------------------------------+-----------------------------------------+
| backend    | bytes are read into          | an array is handed over by              |
+============+==============================+=========================================+
| torch, CPU | the parameter's own memory   | copy into the parameter                 |
| torch, GPU | an array                     | copy to the device                      |
| jax, CPU   | large: the old value's memory| donation (see ``jax_memory``)           |
|            | else an array                | alias (64-byte aligned) or one copy     |
| jax, GPU   | an array                     | copy to the device                      |
| jax, laid  | an array                     | to each device its own part             |
| out        |                              |                                         |
| tensorflow | an array                     | alias (64-byte aligned) or one copy     |
| numpy      | an array                     | the array itself                        |
| other      | an array                     | ``Variable.assign``                     |
+------------+------------------------------+-----------------------------------------+

Arrays handed over belong to the variable from then on: the caller must not write
to them again.  Anything a backend's module does not know for certain (another dtype, a layout
of ``keras.distribution``, a subclass of ``Variable``, a ``StatelessScope``) goes
through ``Variable.assign``, whose result every backend reproduces.  How the values of live variables
are read is said in ``values``; the contract is ``backend.Backend``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

from kio.models.memory import variables
from kio.models.memory.backend import Array, Backend, Memory, assign_each
from kio.models.memory.backend import aligned_zeros as aligned_zeros

# Keras's name of a backend -> the module of its ``BACKEND``, which is imported when Keras runs on it.
BACKENDS = {
    "jax": "kio.models.memory.on_jax",
    "torch": "kio.models.memory.on_torch",
    "tensorflow": "kio.models.memory.on_tensorflow",
    "numpy": "kio.models.memory.on_numpy",
}


@cache
def named(name: str) -> Backend:
    """The backend of this name; one that is not listed is dealt with in the general way."""
    found: Backend = import_module(BACKENDS[name]).BACKEND if name in BACKENDS else Backend()
    return found


def current() -> Backend:
    """The backend Keras runs on in this process."""
    return named(variables.backend_name())


def destinations(targets: Sequence[Any]) -> list[Memory | None]:
    """Where the bytes of each variable may be written directly.

    A deferred variable gets its memory here and is left with whatever it holds, so
    ask only for variables that will be filled, and call ``settled`` when they are.

    Args:
        targets: Keras variables.

    Returns:
        For each, address and size of the value as stored in the variable's dtype,
        or None where an array must be handed to ``put``.
    """
    if variables.in_stateless_scope():
        return [None] * len(targets)
    return current().destinations(targets)


def settled(targets: Sequence[Any]) -> None:
    """Tell the backend that the memory given by ``destinations`` was written."""
    current().settled(targets)


def put(targets: Sequence[Any], arrays: Sequence[Array]) -> None:
    """Make each array the value of its variable, as ``variable.assign(array)`` would.

    Args:
        targets: Keras variables, deferred or not.
        arrays: Owned, C-contiguous, native byte order; 64-byte aligned for no copy.

    Raises:
        ValueError: if an array's shape is not its variable's.
    """
    if variables.in_stateless_scope():
        assign_each(targets, arrays)
    else:
        current().put(targets, arrays)


def snapshot(targets: Sequence[Any]) -> list[Any]:
    """What ``restore`` needs to undo any change to the variables: references where they are immutable."""
    keep = current().snapshot
    return [None if variables.is_deferred(v) else keep(v) for v in targets]


def restore(targets: Sequence[Any], snapshots: Sequence[Any]) -> None:
    """Give each variable back the value it had; one that had none keeps what it has."""
    undo = current().restore
    for variable, kept in zip(targets, snapshots, strict=True):
        if kept is not None:
            undo(variable, kept)


def narrowed(targets: Sequence[Any]) -> str:
    """What the backend cannot keep of these variables' values, for people; empty if it keeps all."""
    return current().narrowed(targets)
