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

import numpy as np

from kio.keras_private import HANDLE_READERS, get_global_attribute
from kio.models.memory import variables

# A JAX stand-in up to this many elements is a concrete array: code may branch on it.
_CONCRETE = 64


def wanted(in_scope: bool) -> bool:
    """Whether the reader infers shapes rather than wants the value."""
    if variables.backend_name() == "torch" and _torch_device() == "meta":
        return True
    return in_scope


def handle_wanted() -> bool:
    """Whether the reader of ``value`` is after the identity of a tf.Variable, not its numbers."""
    if variables.backend_name() != "tensorflow":
        return False
    # Called by _Deferred.value, which the reader called.
    return sys._getframe(2).f_globals.get("__name__") in HANDLE_READERS


def stand_in(variable: Any) -> Any:
    """A tensor of the variable's shape and dtype for shape inference."""
    make = _MAKERS[variables.backend_name()]
    shape = tuple(variable._shape)
    return variable._maybe_autocast(make(variable, shape, variable._dtype, _fill(variable)))


def _fill(variable: Any) -> Any:
    initializer = variable._initializer
    name = type(initializer).__name__
    if name == "Zeros" or initializer == "zeros":
        return 0
    constant = getattr(initializer, "value", None) if name == "Constant" else None
    return constant if isinstance(constant, (bool, int, float)) else 1


def _numpy(variable: Any, shape: tuple[int, ...], dtype: str, fill: Any) -> Any:
    return np.broadcast_to(np.array(fill).astype(dtype), shape)


def _jax(variable: Any, shape: tuple[int, ...], dtype: str, fill: Any) -> Any:
    import jax

    if int(np.prod(shape, dtype=np.int64)) <= _CONCRETE:
        with jax.ensure_compile_time_eval():
            return jax.numpy.full(shape, fill, dtype)
    return jax.numpy.full(shape, fill, dtype)


def _tensorflow(variable: Any, shape: tuple[int, ...], dtype: str, fill: Any) -> Any:
    import tensorflow as tf

    return tf.fill(shape, tf.cast(fill, dtype))


def _torch_device() -> str:
    # The literal KERAS_TORCH_DEVICE and tests on names are Keras's; see torch/core.py.
    device = get_global_attribute("torch_device")
    return "" if device is None else str(device)


def _torch(variable: Any, shape: tuple[int, ...], dtype: str, fill: Any) -> Any:
    import torch

    from kio.keras_private import get_device, to_torch_dtype

    kind = to_torch_dtype(dtype)
    if _torch_device() == "meta":
        meta = torch.empty(shape, dtype=kind, device="meta")
        return torch.nn.Parameter(meta, requires_grad=variable.trainable and kind.is_floating_point)
    return torch.full((), fill, dtype=kind, device=get_device()).expand(shape)


_MAKERS: dict[str, Callable[[Any, tuple[int, ...], str, Any], Any]] = {
    "numpy": _numpy,
    "jax": _jax,
    "tensorflow": _tensorflow,
    "torch": _torch,
}


def hollow(variable: Any) -> Any:
    """A tf.Variable over memory that is never touched: an identity without a value."""
    if variable._value is None:
        from kio.models.memory.backends import aligned_zeros, tensorflow_tensor

        with variables.as_created(variable):
            variable._initialize(tensorflow_tensor(aligned_zeros(variable._shape, variable._dtype)))
    return variable._value


def owned(value: Any) -> Any:
    """``value`` as the first value of a variable, not sharing memory with the caller's."""
    if variables.backend_name() == "torch":
        return value.detach().clone()
    if variables.backend_name() == "numpy":
        return np.array(value)
    return value


def outside_traces(run: Callable[[], None], variable: Any) -> None:
    """Run an initialiser so that its result is a value even inside a JAX trace."""
    if variables.backend_name() != "jax":
        run()
        return
    import jax

    initializer = variable._initializer
    run()
    if isinstance(variable._value, jax.core.Tracer):
        with jax.ensure_compile_time_eval():
            variable._value = None
            variable._initializer = initializer
            run()
