"""Layers without weights that Keras 0.x had and Keras 1 dropped."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_OVER_TIME = {"sum": ops.sum, "mul": ops.prod, "ave": ops.mean}


@keras.saving.register_keras_serializable("kio", "TimeDistributedMerge")
class TimeDistributedMerge(keras.layers.Layer):  # type: ignore[misc]
    """The sum, product or mean over time: inputs ``(batch, time, n)``, output ``(batch, n)``.

    Args:
        mode: ``"sum"``, ``"mul"`` or ``"ave"``.
    """

    def __init__(self, mode: str = "sum", **options: Any) -> None:
        super().__init__(**options)
        if mode not in _OVER_TIME:
            raise ValueError(f"TimeDistributedMerge: expected one of {', '.join(_OVER_TIME)}, found {mode!r}")
        self.mode = mode

    def call(self, x: Any) -> Any:
        return _OVER_TIME[self.mode](x, 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], *input_shape[2:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}


@keras.saving.register_keras_serializable("kio", "ThresholdedLinear")
class ThresholdedLinear(keras.layers.Layer):  # type: ignore[misc]
    """``x`` where its amount is at least ``theta``, else 0."""

    def __init__(self, theta: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.theta = theta
        self.supports_masking = True

    def call(self, x: Any) -> Any:
        return ops.where(ops.absolute(x) < self.theta, ops.zeros_like(x), x)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "theta": self.theta}
