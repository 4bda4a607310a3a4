"""Shapes and places for ``TFFunction``: reshaping, slicing, gathering, filling."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kio.layers.tf_function import flatten, is_tensor, named, places_only, rows_only, sizes, tensor


@named("identity", "convert_to_tensor", "debugging.check_numerics", "grad_pass_through")
def identity(x: Any, dtype: Any = None, dtype_hint: Any = None, preferred_dtype: Any = None) -> Any:
    # What is a tensor already has the dtype that is asked for: TensorFlow takes no other.
    return tensor(x) if is_tensor(x) or dtype is None else ops.cast(tensor(x), dtype)


@named("ensure_shape")
def ensure_shape(x: Any, shape: Any) -> Any:
    found = tuple(x.shape)
    if len(found) != len(shape) or any(
        a is not None and b is not None and a != b for a, b in zip(found, shape, strict=True)
    ):
        raise ValueError(f"tf.ensure_shape: expected {tuple(shape)}, found {found}")
    return x


@named("shape", "compat.v1.shape")
def shape(input: Any, optimize: bool = True) -> Any:
    found = ops.shape(input)
    if not all(isinstance(n, int) for n in found):
        return ops.stack([tensor(n) for n in found])
    return _constant(np.asarray(found, "int32"))


def _constant(value: Any) -> Any:
    """Numbers that shapes are computed from: in a jitted function of JAX only NumPy's stay constants."""
    return value if keras.config.backend() == "jax" else ops.convert_to_tensor(value)


def _fixed(values: Any) -> Any:
    """The parts of a shape that JAX has to know, as NumPy's; None if there is a tensor among them, or no shape."""
    shape = next((each for each in values if isinstance(each, (np.ndarray, np.integer))), None)
    if keras.config.backend() != "jax" or shape is None or any(map(is_tensor, flatten(values))):
        return None
    return [np.asarray(each, shape.dtype) for each in values]


@named("size", "compat.v1.size")
def size(input: Any, optimize: bool = True) -> Any:
    found = ops.shape(input)
    if not all(isinstance(n, int) for n in found):
        return ops.prod(ops.stack([tensor(n) for n in found]))
    return _constant(np.asarray(np.prod(found, dtype="int32")))


@named("rank")
def rank(input: Any) -> Any:
    return ops.convert_to_tensor(np.int32(len(input.shape)))


@named("reshape")
def reshape(x: Any, shape: Any) -> Any:
    return ops.reshape(tensor(x), sizes(shape))


@named("broadcast_to")
def broadcast_to(x: Any, shape: Any) -> Any:
    return ops.broadcast_to(tensor(x), sizes(shape))


@named("tile")
def tile(x: Any, multiples: Any) -> Any:
    return ops.tile(tensor(x), sizes(multiples))


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
def zeros_like(input: Any, dtype: Any = None, layout: Any = None, optimize: bool = True) -> Any:
    return ops.zeros_like(input, dtype=dtype)


@named("ones_like")
def ones_like(input: Any, dtype: Any = None, layout: Any = None, optimize: bool = True) -> Any:
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
    keys = list(key) if isinstance(key, list) else [key]
    axis = 0
    for i, each in enumerate(keys):
        if each is None:
            continue
        if each is Ellipsis:
            axis += len(x.shape) - sum(k is not None and k is not Ellipsis for k in keys)
            continue
        if isinstance(each, slice) and isinstance(each.step, int) and each.step < 0:
            # Not every backend has steps backward.
            n = x.shape[axis]
            if n is None or any(map(is_tensor, (each.start, each.stop))):
                raise ValueError(f"tf.__operators__.getitem: expected a known size to step back in, found {x.shape}")
            x = ops.take(x, np.arange(n, dtype="int32")[each], axis=axis)
            keys[i] = slice(None)
        axis += 1
    return x[tuple(keys)]


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
def strided_slice(
    input_: Any,
    begin: Any,
    end: Any,
    strides: Any = None,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> Any:
    masks = begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask
    if any(masks):
        raise ValueError(f"tf.strided_slice: expected no masks, found {masks}")
    return getitem(input_, [slice(b, e, s) for b, e, s in zip(begin, end, strides or [1] * len(begin), strict=True)])


@named("stack")
def stack(values: Any, axis: int = 0) -> Any:
    known = _fixed(values)
    if known is not None:
        return np.stack(known, axis)
    return ops.stack([tensor(each) for each in values], axis=axis)


@named("concat")
def concat(values: Any, axis: int = 0) -> Any:
    values = values if isinstance(values, (list, tuple)) else [values]
    known = _fixed(values)
    if known is not None:
        return np.concatenate(known, axis)
    like = next((each for each in values if is_tensor(each)), None)
    return ops.concatenate([tensor(each, like=like) for each in values], axis=axis)


@named("split")
def split(value: Any, num_or_size_splits: Any, axis: int = 0, num: Any = None) -> Any:
    # num says how many parts there are where their sizes are computed; here they never are.
    parts = list(num_or_size_splits) if isinstance(num_or_size_splits, (list, tuple)) else num_or_size_splits
    if isinstance(parts, list) and -1 in parts:
        parts[parts.index(-1)] = value.shape[axis] - sum(n for n in parts if n >= 0)
    if isinstance(parts, list):
        parts = [sum(parts[: i + 1]) for i in range(len(parts) - 1)]
    return ops.split(value, parts, axis=axis)


@named("gather", "compat.v1.gather")
def gather(params: Any, indices: Any, axis: Any = None, batch_dims: int = 0) -> Any:
    params, indices = tensor(params), tensor(indices)
    axis = batch_dims if axis is None else axis
    if batch_dims == 0:
        return ops.take(params, indices, axis=axis)
    rows_only(batch_dims, axis, indices)
    picked = ops.reshape(indices, (*indices.shape, *[1] * (len(params.shape) - 2)))
    picked = ops.broadcast_to(picked, (*indices.shape, *params.shape[2:]))
    return ops.take_along_axis(params, picked, axis=1)


@named("gather_nd", "compat.v1.gather_nd")
def gather_nd(params: Any, indices: Any, batch_dims: int = 0, bad_indices_policy: str = "") -> Any:
    params, indices = tensor(params), tensor(indices)
    places_only(batch_dims, bad_indices_policy)
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


@named("pad", "compat.v1.pad")
def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0) -> Any:
    kind = mode.lower()
    if kind == "constant":
        return ops.pad(tensor, paddings, constant_values=constant_values or None)
    if kind not in ("symmetric", "reflect"):
        raise ValueError(f"tf.pad: expected CONSTANT, SYMMETRIC or REFLECT, found {mode}")
    # By slices that are turned round: torch repeats the edge instead.
    skip = 1 if kind == "reflect" else 0
    for axis, (before, after) in enumerate(paddings):
        n = tensor.shape[axis]
        most = max(before, after) if n is None else n - skip
        if not 0 <= min(before, after) <= max(before, after) <= most:
            raise ValueError(f"tf.pad: expected at most {most} on a side of axis {axis}, found {before}, {after}")
        parts, front = [tensor], (slice(None),) * axis
        if before:
            parts.insert(0, _whole(ops.flip(tensor[(*front, slice(skip, skip + before))], axis), axis, before))
        if after:
            parts.append(_whole(ops.flip(tensor[(*front, slice(-skip - after, -skip or None))], axis), axis, after))
        tensor = ops.concatenate(parts, axis=axis) if len(parts) > 1 else tensor
    return tensor


def _whole(part: Any, axis: int, n: int) -> Any:
    """A slice that must have ``n`` items along the axis: one that hangs over an end would be cut off in silence.

    In TensorFlow's graphs sizes may not be known before they run; it refuses the new shape then.
    """
    if part.shape[axis] is not None:
        return part
    shape = ops.shape(part)
    return ops.reshape(part, (*shape[:axis], n, *shape[axis + 1 :]))


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
    rank = len(indices.shape) + 1
    # By comparison: an index that is no class is nothing in TensorFlow, and an error on torch.
    classes = ops.reshape(ops.arange(depth), [depth if axis % rank == k else 1 for k in range(rank)])
    found = ops.equal(ops.expand_dims(indices, axis), classes)
    hot = ops.cast(found, dtype or ("int32" if whole else "float32"))
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
