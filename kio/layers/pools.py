"""Pooling that averages alike on all backends where the padding is uneven; see ``kio.ops.averages``."""

from __future__ import annotations

from typing import Any

import keras

from kio.ops.averages import averaged


class _Averaged:
    def call(self: Any, inputs: Any) -> Any:
        return averaged(inputs, self.pool_size, self.strides, self.padding, self.data_format)


@keras.saving.register_keras_serializable("kio", "AveragePooling1D")
class AveragePooling1D(_Averaged, keras.layers.AveragePooling1D):  # type: ignore[misc]
    """``keras.layers.AveragePooling1D``, alike on all backends with uneven padding."""


@keras.saving.register_keras_serializable("kio", "AveragePooling2D")
class AveragePooling2D(_Averaged, keras.layers.AveragePooling2D):  # type: ignore[misc]
    """``keras.layers.AveragePooling2D``, alike on all backends with uneven padding."""


@keras.saving.register_keras_serializable("kio", "AveragePooling3D")
class AveragePooling3D(_Averaged, keras.layers.AveragePooling3D):  # type: ignore[misc]
    """``keras.layers.AveragePooling3D``, alike on all backends with uneven padding."""
