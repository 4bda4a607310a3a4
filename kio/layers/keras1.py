"""Activations with weights and the merge by cosine, which Keras 1 had and Keras 2 dropped."""

from __future__ import annotations

from typing import Any

import keras
from keras import initializers, ops


class _Weighted(keras.layers.Layer):  # type: ignore[misc]
    """One weight of each kind for every place of the input, or for all places along an axis."""

    names: tuple[str, ...] = ()

    def __init__(self, shared_axes: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.shared_axes = [axis for axis in shared_axes or () if axis is not None]
        self.supports_masking = True

    def starts(self) -> tuple[Any, ...]:
        """The initializers, in the order of the names."""
        raise NotImplementedError

    def build(self, input_shape: Any) -> None:
        shape = [1 if i + 1 in self.shared_axes else n for i, n in enumerate(input_shape[1:])]
        for name, start in zip(self.names, self.starts(), strict=True):
            setattr(self, name, self.add_weight(name=name, shape=tuple(shape), initializer=start))
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "shared_axes": self.shared_axes}


@keras.saving.register_keras_serializable("kio", "ParametricSoftplus")
class ParametricSoftplus(_Weighted):
    """``alpha * softplus(beta * x)``; weights: alphas, betas."""

    names = ("alphas", "betas")

    def __init__(self, alpha_init: float = 0.2, beta_init: float = 5.0, **options: Any) -> None:
        super().__init__(**options)
        self.alpha_init, self.beta_init = alpha_init, beta_init

    def starts(self) -> tuple[Any, ...]:
        return initializers.Constant(self.alpha_init), initializers.Constant(self.beta_init)

    def call(self, x: Any) -> Any:
        return ops.softplus(self.betas * x) * self.alphas

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha_init": self.alpha_init, "beta_init": self.beta_init}


@keras.saving.register_keras_serializable("kio", "SReLU")
class SReLU(_Weighted):
    """The line itself between two thresholds, other slopes beyond them.

    Weights: t_left, a_left, t_right, a_right; the right threshold is ``t_left + |t_right|``.
    """

    names = ("t_left", "a_left", "t_right", "a_right")

    def __init__(
        self,
        t_left_init: Any = "zeros",
        a_left_init: Any = "glorot_uniform",
        t_right_init: Any = "glorot_uniform",
        a_right_init: Any = "ones",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.inits = (t_left_init, a_left_init, t_right_init, a_right_init)

    def starts(self) -> tuple[Any, ...]:
        return tuple(map(initializers.get, self.inits))

    def call(self, x: Any) -> Any:
        right = self.t_left + ops.absolute(self.t_right)
        over = x - self.t_left
        near = ops.where(over < 0, self.a_left * over, ops.minimum(over, right - self.t_left))
        return self.t_left + near + ops.relu(x - right) * self.a_right

    def get_config(self) -> dict[str, Any]:
        stored = [init if isinstance(init, (str, dict)) else initializers.serialize(init) for init in self.inits]
        return {**super().get_config(), **{f"{name}_init": each for name, each in zip(self.names, stored, strict=True)}}


@keras.saving.register_keras_serializable("kio", "CosineMerge")
class CosineMerge(keras.layers.Layer):  # type: ignore[misc]
    """The cosine of the angle between two vectors: inputs ``(batch, n)``, output ``(batch, 1, 1)``."""

    def call(self, inputs: Any) -> Any:
        a, b = inputs
        if len(a.shape) != 2 or len(b.shape) != 2:
            raise ValueError(f"CosineMerge: expected two inputs of two dimensions, found {a.shape} and {b.shape}")
        sizes = ops.sqrt(ops.sum(a * a, -1, keepdims=True) * ops.sum(b * b, -1, keepdims=True))
        return ops.expand_dims(ops.sum(a * b, -1, keepdims=True) / ops.maximum(sizes, keras.config.epsilon()), 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0][0], 1, 1)
