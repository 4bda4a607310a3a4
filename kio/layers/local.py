"""Convolutions with a kernel of its own at every place, as Keras 1 and 2 had them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import activations, constraints, initializers, ops, regularizers


class _LocallyConnected(keras.layers.Layer):  # type: ignore[misc]
    """What one and two dimensions have in common.

    The kernel has the shape ``(places, patch, filters)``; a patch is flattened in the order
    of the data: channels last in ``channels_last``, first in ``channels_first``.
    """

    rank = 0

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        implementation: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=regularizers.get(activity_regularizer), **options)
        if padding != "valid" or implementation != 1:
            raise ValueError(
                f"{type(self).__name__}: expected padding='valid' and implementation=1, "
                f"found {padding!r} and {implementation}"
            )
        self.filters = filters
        self.kernel_size = self._each(kernel_size)
        self.strides = self._each(strides)
        self.data_format = data_format or keras.config.image_data_format()
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def _each(self, value: int | Sequence[int]) -> tuple[int, ...]:
        return (value,) * self.rank if isinstance(value, int) else tuple(value)

    @property
    def _first(self) -> bool:
        return self.data_format == "channels_first"

    def _places(self, input_shape: Sequence[Any]) -> tuple[int, ...]:
        sides = input_shape[2:] if self._first else input_shape[1:-1]
        if any(side is None for side in sides):
            raise ValueError(f"{self.name}: expected a known size in every dimension, found {tuple(input_shape)}")
        return tuple((n - k) // s + 1 for n, k, s in zip(sides, self.kernel_size, self.strides, strict=True))

    def build(self, input_shape: Any) -> None:
        channels = input_shape[1 if self._first else -1]
        places = self._places(input_shape)
        total, patch = 1, channels
        for n, k in zip(places, self.kernel_size, strict=True):
            total, patch = total * n, patch * k
        self.kernel = self.add_weight(
            name="kernel",
            shape=(total, patch, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(*places, self.filters),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.built = True

    def call(self, x: Any) -> Any:
        places = self._places(x.shape)
        patches = self._patches(x, places)
        y = ops.einsum("bpi,pif->bpf", patches, self.kernel)
        y = ops.reshape(y, (-1, *places, self.filters))
        if self._first:
            y = ops.moveaxis(y, -1, 1)
        if self.use_bias:
            # Keras 2 reshaped the bias to channels first instead of transposing it; so it was trained.
            y = y + (ops.reshape(self.bias, (self.filters, *places)) if self._first else self.bias)
        return self.activation(y)

    def _patches(self, x: Any, places: tuple[int, ...]) -> Any:
        """``(batch, places, patch)``, by one strided view for each cell of the kernel."""
        cells: list[tuple[int, ...]] = [()]
        for k in self.kernel_size:
            cells = [(*cell, i) for cell in cells for i in range(k)]
        views = []
        for cell in cells:
            cut = tuple(slice(i, i + s * (n - 1) + 1, s) for i, s, n in zip(cell, self.strides, places, strict=True))
            views.append(x[(slice(None), slice(None), *cut)] if self._first else x[(slice(None), *cut, slice(None))])
        if self._first:
            stacked = ops.moveaxis(ops.stack(views, axis=2), (1, 2), (-2, -1))
        else:
            stacked = ops.stack(views, axis=-2)
        total = 1
        for n in places:
            total *= n
        return ops.reshape(stacked, (-1, total, stacked.shape[-2] * stacked.shape[-1]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        places = self._places(input_shape)
        return (input_shape[0], self.filters, *places) if self._first else (input_shape[0], *places, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": "valid",
            "data_format": self.data_format,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            "implementation": 1,
        }


@keras.saving.register_keras_serializable("kio", "LocallyConnected1D")
class LocallyConnected1D(_LocallyConnected):
    """One dimension: input ``(batch, steps, channels)``, output ``(batch, steps', filters)``.

    Args:
        filters, kernel_size, strides: As of ``keras.layers.Conv1D``.
        padding: ``"valid"``; Keras 2 had ``"same"`` in other implementations only.
        implementation: 1, a kernel for each place.
    """

    rank = 1


@keras.saving.register_keras_serializable("kio", "LocallyConnected2D")
class LocallyConnected2D(_LocallyConnected):
    """Two dimensions: input and output as of ``keras.layers.Conv2D`` without padding."""

    rank = 2
