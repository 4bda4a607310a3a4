"""Variables of the tensorflow backend; see ``tf_tensors`` for how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kio.contents import Value
from kio.models.memory import tf_tensors, variables
from kio.models.memory.backend import Array, Backend, aligned_zeros, split
from kio.models.memory.fetch import general, here


def _put(targets: Sequence[Any], arrays: Sequence[Array]) -> None:
    targets, arrays = split(targets, arrays, lambda variable, _: tf_tensors.writable(variable))
    for variable, array in zip(targets, arrays, strict=True):
        value = tf_tensors.tensor(array)
        if variables.is_deferred(variable):
            variables.initialise_with(variable, value)
        else:
            variables.settle(variable)
            tf_tensors.replace(variables.raw_value(variable), value)
            variable._initializer = None  # of a variable that was made for its handle


def _snapshot(variable: Any) -> Any:
    # Shares the buffer; a later assignment replaces it, an update in place copies it first.
    return variables.raw_value(variable).read_value()


def _restore(variable: Any, value: Any) -> None:
    variables.raw_value(variable).assign(value)


def _value(variable: Any, raw: Any) -> Value:
    if type(raw).__name__ != "ResourceVariable" or "CPU" not in str(raw.device or "CPU"):
        return general(variable, raw)
    tensor = raw.read_value()  # shares the buffer; an assignment replaces it, an update in place copies first
    share = getattr(tensor, "_numpy", None)
    array = share() if share is not None else tensor.numpy()
    return here(variable, np.asarray(array))


def _stand_in(variable: Any, shape: tuple[int, ...], dtype: str, fill: Any) -> Any:
    return tf.fill(shape, tf.cast(fill, dtype))


def _hollow(variable: Any) -> Any:
    """A tf.Variable over memory that is never touched."""
    if variable._value is None:
        with variables.as_created(variable):
            variable._initialize(tf_tensors.tensor(aligned_zeros(variable._shape, variable._dtype)))
    return variable._value


BACKEND = Backend(
    put=_put,
    snapshot=_snapshot,
    restore=_restore,
    value=_value,
    defers=True,
    stand_in=_stand_in,
    hollow=_hollow,
)
