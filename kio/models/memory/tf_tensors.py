"""NumPy arrays as TensorFlow tensors and values of tf.Variables, without a copy.

``tf.constant`` and ``tf.convert_to_tensor`` copy.  The constructor of the eager
tensor underneath shares the memory of an array that begins at a 64-byte boundary
(TensorFlow's own requirement: it aborts the process on less, so kio never takes
the DLPack road, which does not check).  ``AssignVariableOp`` then makes that
tensor the variable's buffer; TensorFlow counts references and copies before it
writes to a buffer that somebody else holds.

Checked against TensorFlow 2.21.  Public functions are used where the private
constructor is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kio.models.memory import variables

Array = npt.NDArray[Any]


def tensor(array: Array) -> Any:
    """An eager tensor on the CPU that shares the array's memory if it is aligned."""
    make = _eager()
    return tf.constant(array) if make is None else make(array)


@cache
def _eager() -> Callable[[Array], Any] | None:
    try:
        from tensorflow.python.framework.ops import EagerTensor

        device = tf.constant(0).device.rsplit("/device:", 1)[0] + "/device:CPU:0"

        def make(array: Array) -> Any:
            return EagerTensor(array, device=device, dtype=None)

        sample = np.arange(6, dtype=np.float32).reshape(2, 3)
        found = make(sample)
        if found.dtype is not tf.float32 or not np.array_equal(found.numpy(), sample):
            return None
    except Exception:  # any change of a private interface: use the public one
        return None
    return make


def writable(variable: Any) -> bool:
    """Whether the value may be replaced by one assignment, now, on this replica."""
    if not tf.executing_eagerly() or tf.distribute.has_strategy():
        return False
    value = variables.raw_value(variable)
    return value is None or type(value).__name__ == "ResourceVariable"


def replace(value: Any, new: Any) -> None:
    """Make ``new``, of the same shape and dtype, the buffer of a tf.Variable."""
    tf.raw_ops.AssignVariableOp(resource=value.handle, value=new)
