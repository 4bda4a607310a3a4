"""Convolutions with channels first, whose bias TensorFlow's backend may put elsewhere.

Since 3.8 Keras adds what looks like a bias by TensorFlow's ``bias_add``, and looks at the last
axis first: a bias of ``(1, filters, 1, 1)`` goes along the width where that is as large as
there are filters.  Here it is subtracted with the sign turned, which is the same number.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class _Biased:
    """What adds its bias itself.  Cost: one more negation of the bias."""

    def call(self: Any, inputs: Any) -> Any:
        made = self.plain(inputs)
        if self.use_bias:
            shape = [1] * (self.rank + 2)
            shape[1 if self.data_format == "channels_first" else -1] = -1
            made = ops.subtract(made, ops.negative(ops.reshape(self.bias, shape)))
        return made if self.activation is None else self.activation(made)


class _Conv(_Biased):
    def plain(self: Any, inputs: Any) -> Any:
        return self.convolution_op(inputs, self.kernel)


class _Transposed(_Biased):
    def plain(self: Any, inputs: Any) -> Any:
        return ops.conv_transpose(
            inputs, self.kernel, list(self.strides), self.padding, self.output_padding, self.data_format,
            self.dilation_rate,
        )  # fmt: skip


class _Depthwise(_Biased):
    def plain(self: Any, inputs: Any) -> Any:
        return ops.depthwise_conv(inputs, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate)


class _Separable(_Biased):
    def plain(self: Any, inputs: Any) -> Any:
        return ops.separable_conv(
            inputs, self.depthwise_kernel, self.pointwise_kernel, self.strides, self.padding, self.data_format,
            self.dilation_rate,
        )  # fmt: skip


def _causal(layer: Any, shape: Any) -> list[list[int]]:
    """Zeros before the first step, so that no step sees a later one."""
    left = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
    steps = 1 if layer.data_format == "channels_last" else 2
    return [[left if axis == steps else 0, 0] for axis in range(len(shape))]


@keras.saving.register_keras_serializable("kio", "Conv1D")
class Conv1D(_Conv, keras.layers.Conv1D):  # type: ignore[misc]
    """``keras.layers.Conv1D``, alike on all backends with channels first."""

    def plain(self, inputs: Any) -> Any:
        if self.padding != "causal":
            return super().plain(inputs)
        inputs = ops.pad(inputs, _causal(self, inputs.shape))
        return ops.conv(inputs, self.kernel, list(self.strides), "valid", self.data_format, self.dilation_rate)


@keras.saving.register_keras_serializable("kio", "Conv2D")
class Conv2D(_Conv, keras.layers.Conv2D):  # type: ignore[misc]
    """``keras.layers.Conv2D``, alike on all backends with channels first."""


@keras.saving.register_keras_serializable("kio", "Conv3D")
class Conv3D(_Conv, keras.layers.Conv3D):  # type: ignore[misc]
    """``keras.layers.Conv3D``, alike on all backends with channels first."""


@keras.saving.register_keras_serializable("kio", "Conv1DTranspose")
class Conv1DTranspose(_Transposed, keras.layers.Conv1DTranspose):  # type: ignore[misc]
    """``keras.layers.Conv1DTranspose``, alike on all backends with channels first."""


@keras.saving.register_keras_serializable("kio", "Conv2DTranspose")
class Conv2DTranspose(_Transposed, keras.layers.Conv2DTranspose):  # type: ignore[misc]
    """``keras.layers.Conv2DTranspose``, alike on all backends with channels first."""


@keras.saving.register_keras_serializable("kio", "Conv3DTranspose")
class Conv3DTranspose(_Transposed, keras.layers.Conv3DTranspose):  # type: ignore[misc]
    """``keras.layers.Conv3DTranspose``, alike on all backends with channels first."""


@keras.saving.register_keras_serializable("kio", "DepthwiseConv1D")
class DepthwiseConv1D(_Depthwise, keras.layers.DepthwiseConv1D):  # type: ignore[misc]
    """``keras.layers.DepthwiseConv1D``, alike on all backends with channels first."""


@keras.saving.register_keras_serializable("kio", "DepthwiseConv2D")
class DepthwiseConv2D(_Depthwise, keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """``keras.layers.DepthwiseConv2D``, alike on all backends with channels first."""


@keras.saving.register_keras_serializable("kio", "SeparableConv2D")
class SeparableConv2D(_Separable, keras.layers.SeparableConv2D):  # type: ignore[misc]
    """``keras.layers.SeparableConv2D``, alike on all backends with channels first."""


@keras.saving.register_keras_serializable("kio", "SeparableConv1D")
class SeparableConv1D(_Separable, keras.layers.SeparableConv1D):  # type: ignore[misc]
    """``keras.layers.SeparableConv1D`` with ``padding="causal"`` too, alike on all backends with channels first."""

    def __init__(self, filters: int, kernel_size: Any, padding: str = "valid", **options: Any) -> None:
        super().__init__(filters, kernel_size, padding="valid" if padding == "causal" else padding, **options)
        self.causal = padding == "causal"

    def call(self, inputs: Any) -> Any:
        return super().call(ops.pad(inputs, _causal(self, inputs.shape)) if self.causal else inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = list(input_shape)
        for axis, (left, _) in enumerate(_causal(self, shape) if self.causal else []):
            shape[axis] = None if shape[axis] is None else shape[axis] + left
        return super().compute_output_shape(tuple(shape))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **({"padding": "causal"} if self.causal else {})}
