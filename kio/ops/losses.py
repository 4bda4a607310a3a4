"""Losses that models compute inside."""

from __future__ import annotations

from typing import Any

from keras import ops

from kio.ops.table import row
from kio.ops.values import both


@row("compat.v1.nn.sigmoid_cross_entropy_with_logits nn.sigmoid_cross_entropy_with_logits")
def sigmoid_cross_entropy(labels: Any, logits: Any) -> Any:
    labels, logits = both(labels, logits)
    return ops.maximum(logits, 0.0) - logits * labels + ops.log1p(ops.exp(-ops.absolute(logits)))


@row("compat.v1.nn.softmax_cross_entropy_with_logits_v2 nn.softmax_cross_entropy_with_logits")
def softmax_cross_entropy(labels: Any, logits: Any, axis: Any = None, dim: Any = None) -> Any:
    # TensorFlow 1 said dim.
    axis = next((each for each in (axis, dim) if each is not None), -1)
    labels, logits = both(labels, logits)
    return ops.negative(ops.sum(labels * ops.log_softmax(logits, axis=axis), axis=axis))


@row("keras.backend.binary_crossentropy")
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    if from_logits:
        return sigmoid_cross_entropy(target, output)
    # Not the logits behind a sigmoid, which are the same to rounding.
    output = ops.clip(output, 1e-7, 1 - 1e-7)
    return -(target * ops.log(output + 1e-7) + (1 - target) * ops.log(1 - output + 1e-7))


@row("keras.backend.categorical_crossentropy")
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    if from_logits:
        return softmax_cross_entropy(target, output, axis)
    output = output / ops.sum(output, axis=axis, keepdims=True)
    return ops.negative(ops.sum(target * ops.log(ops.clip(output, 1e-7, 1 - 1e-7)), axis=axis))
