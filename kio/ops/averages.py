"""Averages of windows that reach over the border, alike on all backends.

TensorFlow divides by the number of values that are there.  Where the padding is wider at one end than
at the other, Keras's backend for torch repeats the last value instead and counts it.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def averaged(inputs: Any, pool_size: Any, strides: Any, padding: str, data_format: str | None = None) -> Any:
    """``keras.ops.average_pool`` with nothing but the inputs' own values in any average.

    Args:
        inputs: ``(batch, *sizes, channels)``, or channels first.
        pool_size, strides: A number, or one for each axis; strides of None are the windows' sizes.
        padding: ``"same"`` or ``"valid"``.
        data_format: As in Keras; None takes Keras's own.
    """
    if padding != "same" or keras.config.backend() != "torch":
        return ops.average_pool(inputs, pool_size, strides, padding, data_format)
    rank = len(inputs.shape) - 2
    first = (data_format or keras.config.image_data_format()) == "channels_first"
    sizes = _each(pool_size, rank)
    steps = sizes if strides is None else _each(strides, rank)
    shape = inputs.shape[2:] if first else inputs.shape[1:-1]
    inner = [_ends(n, size, step) for n, size, step in zip(shape, sizes, steps, strict=True)]
    border = [(0, 0), (0, 0), *inner] if first else [(0, 0), *inner, (0, 0)]
    there = ops.ones_like(inputs[:1])
    sums = ops.average_pool(ops.pad(inputs, border), sizes, steps, "valid", data_format)
    share = ops.average_pool(ops.pad(there, border), sizes, steps, "valid", data_format)
    return ops.divide(sums, share)


def _each(value: Any, rank: int) -> tuple[int, ...]:
    given = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return given * rank if len(given) == 1 else given


def _ends(n: int, size: int, step: int) -> tuple[int, int]:
    """How much TensorFlow pads in front and behind."""
    whole = max((-(-n // step) - 1) * step + size - n, 0)
    return whole // 2, whole - whole // 2
