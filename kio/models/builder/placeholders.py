"""What a variable without a value shows while Keras only infers shapes.

Keras calls layers on symbolic inputs to learn their output shapes.  A variable
read then must have a shape and a dtype; its numbers are not looked at, except by
code that divides by them or branches on a scalar.  So a stand-in holds ones, or
the constant of a constant initialiser, and takes no memory: a broadcast view on
NumPy, the meta device on torch, a traced constant on JAX and TensorFlow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from kio.keras_private import HANDLE_READERS
from kio.models.memory import backends


def wanted(in_scope: bool) -> bool:
    """Whether the reader infers shapes rather than wants the value."""
    return in_scope or backends.current().infers()


def handle_wanted() -> bool:
    """Whether the reader of ``value`` is after the identity of a tf.Variable, not its numbers."""
    if backends.current().hollow is None:
        return False
    # Called by _Deferred.value, which the reader called.
    return sys._getframe(2).f_globals.get("__name__") in HANDLE_READERS


def stand_in(variable: Any) -> Any:
    """A tensor of the variable's shape and dtype for shape inference."""
    make = backends.current().stand_in
    if make is None:
        raise RuntimeError("variables wait on backends with a stand-in only")
    shape = tuple(variable._shape)
    return variable._maybe_autocast(make(variable, shape, variable._dtype, _fill(variable)))


def _fill(variable: Any) -> Any:
    initializer = variable._initializer
    name = type(initializer).__name__
    if name == "Zeros" or initializer == "zeros":
        return 0
    constant = getattr(initializer, "value", None) if name == "Constant" else None
    return constant if isinstance(constant, (bool, int, float)) else 1


def hollow(variable: Any) -> Any:
    """An identity without a value: see ``handle_wanted``."""
    make = backends.current().hollow
    return variable._value if make is None else make(variable)


def owned(value: Any) -> Any:
    """``value`` as the first value of a variable, not sharing memory with the caller's."""
    return backends.current().owned(value)


def outside_traces(run: Callable[[], None], variable: Any) -> None:
    """Run an initialiser so that its result is a value even inside a trace."""
    backends.current().outside_traces(run, variable)
