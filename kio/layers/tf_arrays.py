"""Shapes and places for ``TFFunction``: reshaping, slicing, gathering, filling."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kio.layers.tf_function import is_tensor, named, sizes, tensor


@named("identity", "convert_to_tensor", "debugging.check_numerics", "grad_pass_through")
def identity(x: Any, *_: Any, **__: Any) -> Any:
    return tensor(x)


@named("ensure_shape")
def ensure_shape(x: Any, shape: Any) -> Any:
    found = tuple(x.shape)
    if len(found) != len(shape) or any(
        a is not None and b is not None and a != b for a, b in zip(found, shape, strict=True)
    ):
        raise ValueError(f"tf.ensure_shape: expected {tuple(shape)}, found {found}")
    return x


@named("shape", "compat.v1.shape")
def shape(input: Any, **_: Any) -> Any:
    # In a jitted function of JAX a NumPy array stays a constant, which reshape needs.
    found = ops.shape(input)
    return (
        np.asarray(found, "int32") if all(isinstance(n, int) for n in found) else ops.stack([tensor(n) for n in found])
    )


@named("size", "compat.v1.size")
def size(input: Any, **_: Any) -> Any:
    return ops.prod(tensor(ops.shape(input)))


@named("rank")
def rank(input: Any) -> Any:
    return ops.convert_to_tensor(np.int32(len(input.shape)))


@named("reshape")
def reshape(x: Any, shape: Any) -> Any:
    return ops.reshape(x, sizes(shape))


@named("broadcast_to")
def broadcast_to(x: Any, shape: Any) -> Any:
    return ops.broadcast_to(x, sizes(shape))


@named("tile")
def tile(x: Any, multiples: Any) -> Any:
    return ops.tile(x, sizes(multiples))


@named("fill")
def fill(dims: Any, value: Any) -> Any:
    return ops.broadcast_to(tensor(value), sizes(dims))


@named("zeros")
def zeros(shape: Any, dtype: Any = "float32") -> Any:
    return ops.zeros(sizes(shape), dtype=dtype)


@named("ones")
def ones(shape: Any, dtype: Any = "float32") -> Any:
    return ops.ones(sizes(shape), dtype=dtype)


@named("zeros_like")
def zeros_like(input: Any, dtype: Any = None, **_: Any) -> Any:
    return ops.zeros_like(input, dtype=dtype)


@named("ones_like")
def ones_like(input: Any, dtype: Any = None, **_: Any) -> Any:
    return ops.ones_like(input, dtype=dtype)


@named("range")
def arange(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None) -> Any:
    if any(isinstance(each, float) for each in (start, limit, delta)):
        raise ValueError(f"range: expected whole numbers, found {start}, {limit}, {delta}")
    ends = sizes([start] if limit is None else [start, limit])
    return (
        ops.arange(*ends, step=delta, dtype=dtype or "int32")
        if limit is not None
        else ops.arange(ends[0], dtype=dtype or "int32")
    )


@named("__operators__.getitem")
def getitem(x: Any, slice_spec: Any) -> Any:
    key = _key(slice_spec)
    return x[tuple(key) if isinstance(key, list) else key]


def _key(spec: Any) -> Any:
    if isinstance(spec, (list, tuple)):
        return [_key(each) for each in spec]
    if isinstance(spec, dict) and set(spec) == {"start", "stop", "step"}:
        return slice(*(None if spec[k] is None else sizes([spec[k]])[0] for k in ("start", "stop", "step")))
    if isinstance(spec, str) and spec == "...":
        return Ellipsis
    return sizes([spec])[0] if is_tensor(spec) else spec


@named("slice")
def cut(input_: Any, begin: Any, size: Any) -> Any:
    ends = [None if n == -1 else b + n for b, n in zip(begin, size, strict=True)]
    return input_[tuple(slice(b, e) for b, e in zip(begin, ends, strict=True))]


@named("strided_slice")
def strided_slice(input_: Any, begin: Any, end: Any, strides: Any = None, **masks: Any) -> Any:
    if any(masks.values()):
        raise ValueError(f"tf.strided_slice: expected no masks, found {masks}")
    return input_[tuple(slice(b, e, s) for b, e, s in zip(begin, end, strides or [1] * len(begin), strict=True))]


@named("stack")
def stack(values: Any, axis: int = 0) -> Any:
    return ops.stack([tensor(each) for each in values], axis=axis)


@named("concat")
def concat(values: Any, axis: int = 0) -> Any:
    values = values if isinstance(values, (list, tuple)) else [values]
    like = next((each for each in values if is_tensor(each)), None)
    return ops.concatenate([tensor(each, like=like) for each in values], axis=axis)


@named("split")
def split(value: Any, num_or_size_splits: Any, axis: int = 0, **_: Any) -> Any:
    parts = list(num_or_size_splits) if isinstance(num_or_size_splits, (list, tuple)) else num_or_size_splits
    if isinstance(parts, list) and -1 in parts:
        parts[parts.index(-1)] = value.shape[axis] - sum(n for n in parts if n >= 0)
    if isinstance(parts, list):
        parts = [sum(parts[: i + 1]) for i in range(len(parts) - 1)]
    return ops.split(value, parts, axis=axis)


@named("gather", "compat.v1.gather")
def gather(params: Any, indices: Any, axis: Any = None, batch_dims: int = 0, **_: Any) -> Any:
    params, indices = tensor(params), tensor(indices)
    axis = batch_dims if axis is None else axis
    if batch_dims == 0:
        return ops.take(params, indices, axis=axis)
    if batch_dims != 1 or axis != 1 or len(indices.shape) != 2:
        raise ValueError(f"tf.gather: expected one batch dimension and rows, found {batch_dims} and axis {axis}")
    picked = ops.reshape(indices, (*indices.shape, *[1] * (len(params.shape) - 2)))
    picked = ops.broadcast_to(picked, (*indices.shape, *params.shape[2:]))
    return ops.take_along_axis(params, picked, axis=1)


@named("gather_nd", "compat.v1.gather_nd")
def gather_nd(params: Any, indices: Any, batch_dims: int = 0) -> Any:
    params, indices = tensor(params), tensor(indices)
    if batch_dims:
        raise ValueError(f"tf.gather_nd: expected no batch dimensions, found {batch_dims}")
    depth = indices.shape[-1]
    flat = ops.reshape(params, (-1, *params.shape[depth:]))
    place = ops.zeros_like(indices[..., 0])
    for i in range(depth):
        place = place * params.shape[i] + indices[..., i]
    return ops.take(flat, place, axis=0)


@named("compat.v1.nn.embedding_lookup", "nn.embedding_lookup")
def embedding_lookup(params: Any, ids: Any, max_norm: Any = None) -> Any:
    if max_norm is not None:
        raise ValueError(f"tf.nn.embedding_lookup: expected no max_norm, found {max_norm}")
    return ops.take(tensor(params), tensor(ids), axis=0)


@named("sort")
def sort(values: Any, axis: int = -1, direction: str = "ASCENDING") -> Any:
    found = ops.sort(values, axis=axis)
    return ops.flip(found, axis) if direction == "DESCENDING" else found


@named("argsort")
def argsort(values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False) -> Any:
    if direction != "DESCENDING":
        return ops.argsort(values, axis=axis)
    # Turned round twice, not negated, which unsigned numbers cannot be: of equals the first stays first.
    found = ops.flip(ops.argsort(ops.flip(values, axis), axis=axis), axis)
    return ops.subtract(values.shape[axis] - 1, found)


@named("sequence_mask")
def sequence_mask(lengths: Any, maxlen: Any, dtype: Any = "bool") -> Any:
    found = ops.less(ops.arange(int(maxlen), dtype="int32"), ops.expand_dims(ops.cast(lengths, "int32"), -1))
    return ops.cast(found, dtype)


@named("one_hot")
def one_hot(
    indices: Any, depth: int, on_value: Any = None, off_value: Any = None, axis: int = -1, dtype: Any = None
) -> Any:
    given = [value for value in (on_value, off_value) if value is not None]
    whole = bool(given) and all(isinstance(value, int) for value in given)
    hot = ops.one_hot(indices, depth, axis=axis, dtype=dtype or ("int32" if whole else "float32"))
    on, off = 1 if on_value is None else on_value, off_value or 0
    return hot if (on, off) == (1, 0) else hot * on + (1 - hot) * off


@named("keras.backend.batch_flatten")
def batch_flatten(x: Any) -> Any:
    return ops.reshape(x, (-1, int(np.prod(x.shape[1:]))))


@named("dtypes.saturate_cast", "saturate_cast")
def saturate_cast(value: Any, dtype: Any) -> Any:
    name = keras.backend.standardize_dtype(dtype)
    if name.startswith(("int", "uint")):
        ends = np.iinfo(name)
        # The largest float32 below 2^31: the number itself is not one.
        value = ops.clip(value, float(ends.min), float(np.nextafter(np.float32(ends.max), np.float32(0))))
    return ops.cast(value, name)


@named("compat.v1.floor_div", "floor_div")
def floor_div(x: Any, y: Any) -> Any:
    x = tensor(x, like=y if is_tensor(y) else None)
    return ops.floor_divide(x, tensor(y, like=x))


@named("nn.crelu", "compat.v1.nn.crelu")
def crelu(features: Any, axis: int = -1) -> Any:
    return ops.relu(ops.concatenate([features, ops.negative(features)], axis=axis))


@named("nn.dropout")
def dropout(x: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    if noise_shape is not None:
        raise ValueError(f"tf.nn.dropout: expected no noise_shape, found {noise_shape}")
    if rate:
        # TensorFlow's function drops in every call, not in training only.
        return keras.random.dropout(x, rate)
    return x


@named("depth_to_space", "nn.depth_to_space", "compat.v1.depth_to_space")
def depth_to_space(input: Any, block_size: int, data_format: str = "NHWC") -> Any:
    last(data_format)
    _, h, w, c = input.shape
    n = block_size
    x = ops.reshape(input, (-1, h, w, n, n, c // (n * n)))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, h * n, w * n, c // (n * n)))


@named("space_to_depth", "nn.space_to_depth", "compat.v1.space_to_depth")
def space_to_depth(input: Any, block_size: int, data_format: str = "NHWC") -> Any:
    last(data_format)
    _, h, w, c = input.shape
    n = block_size
    x = ops.reshape(input, (-1, h // n, n, w // n, n, c))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, h // n, w // n, n * n * c))


def last(data_format: Any) -> None:
    """Refuse channels first."""
    if data_format not in (None, "NHWC", "NWC", "NDHWC"):
        raise ValueError(f"data_format: expected channels last, found {data_format}")
