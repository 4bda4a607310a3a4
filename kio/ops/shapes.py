"""Shapes: asked for, changed, filled with one number."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from kio.ops import specs, stock
from kio.ops.table import row
from kio.ops.values import constant, is_tensor, sizes, tensor


@row(
    "identity convert_to_tensor debugging.check_numerics grad_pass_through",
    "Identity(x)",
    "Snapshot(x)",
    "PreventGradient(x)",
    "CheckNumerics(x)",
    "PlaceholderWithDefault(x)",
)
def identity(x: Any, dtype: Any = None, dtype_hint: Any = None, preferred_dtype: Any = None) -> Any:
    # What is a tensor already has the dtype that is asked for: TensorFlow takes no other.
    return tensor(x) if is_tensor(x) or dtype is None else ops.cast(tensor(x), dtype)


@row("stop_gradient", "StopGradient(input)", stock=stock.unary("StopGradient", stock.CORE), own=False)
def stop_gradient(input: Any) -> Any:
    return ops.stop_gradient(tensor(input))


@row("ensure_shape")
def ensure_shape(x: Any, shape: Any) -> Any:
    found = tuple(x.shape)
    if len(found) != len(shape) or any(
        a is not None and b is not None and a != b for a, b in zip(found, shape, strict=True)
    ):
        raise ValueError(f"tf.ensure_shape: expected {tuple(shape)}, found {found}")
    return x


def _extents(input: Any) -> Any:
    """The shape as NumPy's numbers; as a tensor where some are known only when the graph runs."""
    found = ops.shape(input)
    if all(isinstance(n, int) for n in found):
        return np.asarray(found, "int32")
    return ops.stack([tensor(n) for n in found])


@row("shape compat.v1.shape", "Shape(input)", spec=specs.shape)
def shape(input: Any, optimize: bool = True) -> Any:
    found = _extents(input)
    return constant(found) if isinstance(found, np.ndarray) else found


@row("size compat.v1.size", "Size(input)", spec=specs.size)
def size(input: Any, optimize: bool = True) -> Any:
    found = _extents(input)
    return constant(np.asarray(np.prod(found, dtype="int32"))) if isinstance(found, np.ndarray) else ops.prod(found)


@row("rank", "Rank(input)")
def rank(input: Any) -> Any:
    return ops.convert_to_tensor(np.int32(len(input.shape)))


@row("reshape", "Reshape(x, shape)", stock=stock.having("Reshape", stock.NUMPY, newshape=("shape", None)),
     computed="shape", spec=specs.reshape)  # fmt: skip
def reshape(x: Any, shape: Any) -> Any:
    return ops.reshape(tensor(x), sizes(shape))


@row("broadcast_to", "BroadcastTo(x, shape)", computed="shape", spec=specs.broadcast_to)
def broadcast_to(x: Any, shape: Any) -> Any:
    return ops.broadcast_to(tensor(x), sizes(shape))


@row("tile", "Tile(x, multiples)", stock=stock.having("Tile", stock.NUMPY, repeats=("multiples", None)),
     computed="multiples", spec=specs.tile)  # fmt: skip
def tile(x: Any, multiples: Any) -> Any:
    return ops.tile(tensor(x), sizes(multiples))


@row("fill", "Fill(dims, value)", computed="dims", spec=specs.fill)
def fill(dims: Any, value: Any) -> Any:
    return ops.broadcast_to(tensor(value), sizes(dims))


@row("zeros", computed="shape", spec=specs.filled)
def zeros(shape: Any, dtype: Any = "float32") -> Any:
    return ops.zeros(sizes(shape), dtype=dtype)


@row("ones", computed="shape", spec=specs.filled)
def ones(shape: Any, dtype: Any = "float32") -> Any:
    return ops.ones(sizes(shape), dtype=dtype)


@row("zeros_like", "ZerosLike(input)", stock=stock.having("ZerosLike", stock.NUMPY, dtype=("dtype", None)))
def zeros_like(input: Any, dtype: Any = None, layout: Any = None, optimize: bool = True) -> Any:
    return ops.zeros_like(input, dtype=dtype)


@row("ones_like", "OnesLike(input)", stock=stock.having("OnesLike", stock.NUMPY, dtype=("dtype", None)))
def ones_like(input: Any, dtype: Any = None, layout: Any = None, optimize: bool = True) -> Any:
    return ops.ones_like(input, dtype=dtype)


@row("range", "Range(start, limit, delta)")
def arange(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None) -> Any:
    if any(isinstance(each, float) for each in (start, limit, delta)):
        raise ValueError(f"range: expected whole numbers, found {start}, {limit}, {delta}")
    ends = sizes([start] if limit is None else [start, limit])
    return (
        ops.arange(*ends, step=delta, dtype=dtype or "int32")
        if limit is not None
        else ops.arange(ends[0], dtype=dtype or "int32")
    )


@row("expand_dims", "ExpandDims(input, axis)",
     stock=stock.having("ExpandDims", stock.NUMPY, axis=("axis", "dim", None)), own=False)  # fmt: skip
def expand_dims(input: Any, axis: Any = None, dim: Any = None) -> Any:
    return ops.expand_dims(tensor(input), int(dim if axis is None else axis))


@row("squeeze", "Squeeze(input; squeeze_dims>axis, axis)",
     stock=stock.having("Squeeze", stock.NUMPY, axis=("axis", "squeeze_dims", None)), own=False)  # fmt: skip
def squeeze(input: Any, axis: Any = None, squeeze_dims: Any = None) -> Any:
    axis = squeeze_dims if axis is None else axis
    if isinstance(axis, (list, tuple)):
        axis = tuple(axis) or None  # none named: all of length 1
    return ops.squeeze(tensor(input), axis=axis)


@row("transpose", "Transpose(a, perm)", stock=stock.transpose, own=False)
def transpose(a: Any, perm: Any = None, conjugate: bool = False) -> Any:
    if conjugate:
        raise ValueError("tf.transpose: expected conjugate=False, found True")
    a = tensor(a)
    # Said in full: torch warns of tensors that are turned round as a whole.
    axes = reversed(range(len(a.shape))) if perm is None else sizes(perm)
    return ops.transpose(a, axes=tuple(axes))


@row("keras.backend.batch_flatten")
def batch_flatten(x: Any) -> Any:
    return ops.reshape(x, (-1, int(np.prod(x.shape[1:]))))
