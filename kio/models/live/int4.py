"""Kernels of four bits, which Keras 3.14 began to pack along another axis.

    to 3.13     Dense (ceil(in/2), out); EinsumDense packed along its first reduced axis, its
                scale in the shape of the output
    from 3.14   (in, ceil(out/2)), an EinsumDense flattened to (reduced, others); scale (others,)

Two values a byte, the first in the low half.  What is converted is exact.  Kernels scaled in
blocks, which 3.14 brought, have no other form; nor has an EinsumDense whose reduced axes are
not the leading ones, since the two forms then share their scales out otherwise.

Spec: ``_int4_build`` of ``Dense`` and ``EinsumDense``, ``pack_int4`` of Keras 3.11 and 3.15.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kio.contents import Value, value_of
from kio.mapping.tree import Form, Node
from kio.models.eras.int4_configs import BLOCKS
from kio.models.memory.values import values

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

SINCE = BLOCKS
_OLD = "int4 as packed by Keras up to 3.13"
_NEW = "int4 as packed by Keras since 3.14"


def forms(layer: Any, node: Node) -> Mapping[str, Form]:
    """The form in which the other versions of Keras kept the variables of a layer.

    Args:
        layer: A built ``Dense`` or ``EinsumDense``, quantized as int4.
        node: The same with its leaves.
    """
    kernel = _Kernel.of(layer)
    if kernel is None:
        return {}
    found = {}
    for leaf in node.leaves:
        # A grouped layer has no other form, a name without one is the same in both.
        form = kernel.form(leaf.name)
        if form is not None and form.shape != leaf.shape:
            found[leaf.key] = form
    return found


def store_before(kept: dict[str, Any], node: Node) -> None:
    """Put what a layer stores into the form of the other versions of Keras.

    Args:
        kept: Variables and values by key; changed in place.
        node: The layer's.
    """
    for key, form in node.forms.items():
        value = kept[key]
        array = (value if isinstance(value, Value) else values([value])[0]).array()
        kept[key] = value_of(node.name or node.cls, form.unmake([array]))
        kept[key].lasting = True


class _Kernel:
    """What the two forms of a kernel have in common.

    Args:
        layer: The layer.
        shape: Of the kernel before it was packed.
        axis: Along which it was packed up to 3.13.
        reduced: How many of its leading axes the layer sums over.
        packed: How this Keras has it.
    """

    def __init__(self, layer: Any, shape: Shape, axis: int, reduced: int, packed: Shape) -> None:
        self.layer, self.shape, self.axis = layer, shape, axis
        self.rows, self.columns = math.prod(shape[:reduced]), math.prod(shape[reduced:])
        self.old_shape = (*shape[:axis], (shape[axis] + 1) // 2, *shape[axis + 1 :])
        self.new_shape = (self.rows, (self.columns + 1) // 2)
        self.is_new = packed == self.new_shape and packed != self.old_shape

    @classmethod
    def of(cls, layer: Any) -> _Kernel | None:
        """The kernel of a layer, None where it has one form only."""
        packed = tuple(layer._kernel.shape)
        axes = getattr(layer, "_kernel_reduced_axes", None)
        if axes is None:
            rows = getattr(layer, "_orig_input_dim", packed[0])
            found = cls(layer, (rows, layer.units), 0, 1, packed)
        else:
            shape = getattr(layer, "original_kernel_shape", None)
            if sorted(axes) != list(range(len(axes))) or not axes:
                return None
            axis = int(axes[0])
            length = getattr(layer, "_orig_length_along_pack_axis", None)
            if shape is None:
                # From 3.16 on kernel_shape is the shape before packing.
                shape = layer.kernel_shape if length is None else (*packed[:axis], length, *packed[axis + 1 :])
            found = cls(layer, tuple(shape), axis, len(axes), packed)
        # In blocks: the scale is a table.
        grouped = _block_size(layer) not in (None, -1)
        return None if grouped or packed not in (found.old_shape, found.new_shape) else found

    def form(self, name: str) -> Form | None:
        if name == "kernel":
            if self.is_new:
                return Form(_OLD, self.old_shape, self.newer, self.older)
            return Form(_NEW, self.new_shape, self.older, self.newer)
        if name == "kernel_scale" and hasattr(self.layer, "_get_kernel_scale_shape"):
            old = tuple(self.layer._get_kernel_scale_shape(self.shape))
            if self.is_new:
                return Form(_OLD, old, self.newer_scale, self.older_scale)
            return Form(_NEW, (self.columns,), self.older_scale, self.newer_scale)
        return None

    def newer(self, stored: Sequence[Array]) -> Array:
        values = unpacked(stored[0], self.shape[self.axis], self.axis)
        return packed(values.reshape(self.rows, self.columns), 1)

    def older(self, stored: Sequence[Array]) -> Array:
        values = unpacked(stored[0], self.columns, 1)
        return packed(values.reshape(self.shape), self.axis)

    def newer_scale(self, stored: Sequence[Array]) -> Array:
        from keras.ops import convert_to_numpy, convert_to_tensor

        scale = self.layer._adjust_scale_for_dequant(convert_to_tensor(stored[0]))
        return np.asarray(convert_to_numpy(scale)).reshape(self.columns)

    def older_scale(self, stored: Sequence[Array]) -> Array:
        from keras.ops import convert_to_numpy, convert_to_tensor

        reduced = len(self.layer._kernel_reduced_axes)
        scale = np.asarray(stored[0]).reshape((1,) * reduced + self.shape[reduced:])
        return np.asarray(convert_to_numpy(self.layer._adjust_scale_for_quant(convert_to_tensor(scale), "kernel")))


def _block_size(layer: Any) -> Any:
    """How many rows share a scale; from 3.16 on the layer's configuration alone says it."""
    if hasattr(layer, "_int4_block_size"):
        return layer._int4_block_size
    return getattr(getattr(layer, "quantization_config", None), "block_size", None)


def unpacked(bytes_: Array, n: int, axis: int) -> Array:
    """Values -8 to 7, two for each byte along an axis.

    Args:
        bytes_: ``int8``.
        n: How many values the axis has; the last byte of an odd number holds one.
        axis: Along which pairs were packed.
    """
    pairs = np.moveaxis(bytes_.view(np.int8), axis, 0)
    values = np.empty((2 * len(pairs), *pairs.shape[1:]), np.int8)
    # Shifts of signed numbers carry the sign of the half along.
    values[0::2] = (pairs << 4) >> 4
    values[1::2] = pairs >> 4
    return np.moveaxis(values[:n], 0, axis)


def packed(values: Array, axis: int) -> Array:
    """The reverse of ``unpacked``; a last value alone has zero beside it."""
    halves = np.moveaxis(values, axis, 0)
    if len(halves) % 2:
        halves = np.concatenate([halves, np.zeros_like(halves[:1])])
    made = (halves[0::2] & 0x0F) | (halves[1::2] << 4)
    return np.ascontiguousarray(np.moveaxis(made, 0, axis))
