"""Convolutions with a kernel of its own at every place, as Keras 1 and 2 had them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import activations, constraints, initializers, ops, regularizers

from kio.limits import TABLE_ITEMS


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
        if implementation not in (1, 2, 3) or padding not in (("valid",) if implementation == 1 else ("valid", "same")):
            raise ValueError(
                f"{type(self).__name__}: expected implementation 1 with padding 'valid', or 2 or 3, "
                f"found {implementation} and {padding!r}"
            )
        self.padding, self.implementation = padding, implementation
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
        if self.padding == "same":
            return tuple(-(-n // s) for n, s in zip(sides, self.strides, strict=True))
        return tuple((n - k) // s + 1 for n, k, s in zip(sides, self.kernel_size, self.strides, strict=True))

    def build(self, input_shape: Any) -> None:
        channels = input_shape[1 if self._first else -1]
        places = self._places(input_shape)
        total, patch = 1, channels
        for n, k in zip(places, self.kernel_size, strict=True):
            total, patch = total * n, patch * k
        shape: tuple[int, ...] = (total, patch, self.filters)
        if self.implementation != 1:
            self._wires = Wires(input_shape, places, self)
            shape = self._wires.shape
        self.kernel = self.add_weight(
            name="kernel",
            shape=shape,
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
        if self.implementation == 1:
            y = ops.einsum("bpi,pif->bpf", self._patches(x, places), self.kernel)
            y = ops.reshape(y, (-1, *places, self.filters))
            y = ops.moveaxis(y, -1, 1) if self._first else y
        else:
            y = ops.reshape(self._wires(x, self.kernel), (-1, *self.compute_output_shape(x.shape)[1:]))
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
            "padding": self.padding,
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
            "implementation": self.implementation,
        }


class Wires:
    """Which input a number of the kernel leads to which output, where the kernel is one matrix.

    Implementation 2 keeps the whole matrix, in the order of the data on both sides, and leaves
    out what is not connected; 3 keeps the connected numbers alone, by output, then by input.
    """

    def __init__(self, input_shape: Sequence[Any], places: tuple[int, ...], layer: _LocallyConnected) -> None:
        first = layer._first
        sides = tuple(input_shape[2:] if first else input_shape[1:-1])
        channels, filters = input_shape[1 if first else -1], layer.filters
        self._dense = layer.implementation == 2
        self.sides_in = (channels, *sides) if first else (*sides, channels)
        self.sides_out = (filters, *places) if first else (*places, filters)
        reach = (channels, *layer.kernel_size) if first else (*layer.kernel_size, channels)
        self._sizes = math.prod(self.sides_in), math.prod(self.sides_out)
        most = max(*self._sizes, self._sizes[1] * math.prod(reach))
        if most > TABLE_ITEMS:
            raise ValueError(f"{layer.name}: expected at most {TABLE_ITEMS} connections, found {most}")
        # One axis for each of an output's numbers, then one for each of an input's: so flattened,
        # what is connected comes by output, then by input.
        n = len(reach)
        grid = (*self.sides_out, *reach)
        inputs, connected = np.zeros((1,) * (2 * n), "int32"), np.ones((1,) * (2 * n), bool)
        for at in range(n):
            step = math.prod(self.sides_in[at + 1 :])
            if at == (0 if first else n - 1):
                place, inside = np.arange(channels)[None, :], np.ones((1, channels), bool)
            else:
                d = at - first
                left = layer.kernel_size[d] // 2
                start = np.arange(places[d]) * layer.strides[d] - (0 if layer.padding == "valid" else left)
                place = start[:, None] + np.arange(layer.kernel_size[d])
                inside = (place >= 0) & (place < sides[d])
            shape = [1] * (2 * n)
            shape[at], shape[n + at] = place.shape
            inputs = inputs + (place.reshape(shape) * step).astype("int32")
            connected = connected & inside.reshape(shape)
        connected = np.broadcast_to(connected, grid)
        outputs = np.arange(self._sizes[1], dtype="int32").reshape(*self.sides_out, *[1] * n)
        self.outputs = np.broadcast_to(outputs, grid)[connected]
        self.inputs = np.broadcast_to(inputs, grid)[connected]
        self.shape = (*self.sides_in, *self.sides_out) if self._dense else (len(self.inputs),)

    def __call__(self, x: Any, kernel: Any) -> Any:
        """``(batch, outputs)`` from inputs of any shape."""
        flat = ops.reshape(x, (-1, self._sizes[0]))
        if self._dense:
            mask = np.zeros(self._sizes, "float32")
            mask[self.inputs, self.outputs] = 1
            wired = ops.multiply(ops.reshape(kernel, self._sizes), ops.cast(ops.convert_to_tensor(mask), kernel.dtype))
            return ops.matmul(flat, wired)
        terms = ops.transpose(ops.take(flat, self.inputs, axis=1) * kernel)
        # TensorFlow takes no number of segments with those that are sorted.
        return ops.transpose(ops.segment_sum(terms, self.outputs, self._sizes[1]))


@keras.saving.register_keras_serializable("kio", "LocallyConnected1D")
class LocallyConnected1D(_LocallyConnected):
    """One dimension: input ``(batch, steps, channels)``, output ``(batch, steps', filters)``.

    Args:
        filters, kernel_size, strides: As of ``keras.layers.Conv1D``.
        padding: ``"valid"``, or ``"same"`` in implementations 2 and 3.
        implementation: 1, a kernel for each place; 2, one matrix; 3, a sparse one.
    """

    rank = 1


@keras.saving.register_keras_serializable("kio", "LocallyConnected2D")
class LocallyConnected2D(_LocallyConnected):
    """Two dimensions: input and output as of ``keras.layers.Conv2D``."""

    rank = 2
