"""Dense layers of Keras 1 that Keras 2 dropped."""

from __future__ import annotations

from typing import Any

import keras
from keras import activations, constraints, initializers, ops, regularizers


class _Weighted(keras.layers.Layer):  # type: ignore[misc]
    """What both have: initializer, regularizers and constraints of kernel and bias."""

    def __init__(
        self,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def kernel_weight(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def bias_weight(self, name: str, shape: tuple[int, ...], initializer: Any = "zeros") -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }


@keras.saving.register_keras_serializable("kio", "Highway")
class Highway(_Weighted):
    """A dense layer with a gate: ``t * activation(x W + b) + (1 - t) * x``, ``t = sigmoid(x C + c)``.

    Args:
        activation: Of the dense branch.
        transform_bias: First value of the gate's bias ``c``.
        options: As of ``keras.layers.Dense``.

    Input and output: ``(batch, features)``.  Weights: W, C, b, c.
    """

    def __init__(self, activation: Any = None, transform_bias: float = -2, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)
        self.transform_bias = transform_bias

    def build(self, input_shape: Any) -> None:
        n = input_shape[-1]
        self.kernel = self.kernel_weight("kernel", (n, n))
        self.gate_kernel = self.kernel_weight("gate_kernel", (n, n))
        if self.use_bias:
            self.bias = self.bias_weight("bias", (n,))
            self.gate_bias = self.bias_weight("gate_bias", (n,), initializers.Constant(self.transform_bias))
        self.built = True

    def call(self, x: Any) -> Any:
        gate, value = ops.matmul(x, self.gate_kernel), ops.matmul(x, self.kernel)
        if self.use_bias:
            gate, value = gate + self.gate_bias, value + self.bias
        gate = ops.sigmoid(gate)
        return gate * self.activation(value) + (1 - gate) * x

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activation": activations.serialize(self.activation),
            "transform_bias": self.transform_bias,
        }


@keras.saving.register_keras_serializable("kio", "MaxoutDense")
class MaxoutDense(_Weighted):
    """The largest of several linear functions, unit by unit.

    Args:
        units: Number of outputs.
        nb_feature: Number of functions.
        options: As of ``keras.layers.Dense``.

    Input: ``(batch, features)``, output ``(batch, units)``.
    """

    def __init__(self, units: int, nb_feature: int = 4, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.nb_feature = nb_feature

    def build(self, input_shape: Any) -> None:
        self.kernel = self.kernel_weight("kernel", (self.nb_feature, input_shape[-1], self.units))
        if self.use_bias:
            self.bias = self.bias_weight("bias", (self.nb_feature, self.units))
        self.built = True

    def call(self, x: Any) -> Any:
        values = ops.einsum("bi,fio->bfo", x, self.kernel)
        if self.use_bias:
            values = values + self.bias
        return ops.max(values, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "nb_feature": self.nb_feature}
