"""Parts of tensors: slices, what is gathered, joined, split, padded, sorted."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from kio.ops import specs, stock
from kio.ops.specs import places_only, rows_only
from kio.ops.table import row
from kio.ops.values import dtype_of, fixed, is_tensor, sizes, tensor


@row("__operators__.getitem", stock=stock.getitem, computed="slice_spec", spec=specs.getitem)
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


@row("slice", "Slice(input_, begin, size)")
def cut(input_: Any, begin: Any, size: Any) -> Any:
    first = sizes(begin)
    ends = [None if n == -1 else b + n for b, n in zip(first, sizes(size), strict=True)]
    return input_[tuple(slice(b, e) for b, e in zip(first, ends, strict=True))]


@row("strided_slice", "StridedSlice(input_, begin, end, strides; begin_mask, end_mask, ellipsis_mask, new_axis_mask, "
     "shrink_axis_mask)")  # fmt: skip
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
    key: list[Any] = []
    steps = [1] * len(begin) if strides is None else sizes(strides)
    for i, (first, after, step) in enumerate(zip(sizes(begin), sizes(end), steps, strict=True)):
        bit = 1 << i
        if ellipsis_mask & bit:
            key.append(Ellipsis)
        elif new_axis_mask & bit:
            key.append(None)
        elif shrink_axis_mask & bit:
            key.append(first)
        else:
            key.append(slice(None if begin_mask & bit else first, None if end_mask & bit else after, step))
    return getitem(input_, key)


@row("stack", "Pack(*values; axis)", stock=stock.having("Stack", stock.NUMPY, axis=("axis", 0)))
def stack(values: Any, axis: int = 0) -> Any:
    known = fixed(values)
    if known is not None:
        return np.stack(known, axis)
    return ops.stack([tensor(each) for each in values], axis=axis)


@row("unstack", "Unpack(value; num, axis)",
     stock=stock.having("Unstack", stock.CORE, num=("num", None), axis=("axis", 0)), own=False)  # fmt: skip
def unstack(value: Any, num: Any = None, axis: int = 0) -> Any:
    return ops.unstack(tensor(value), num, axis)


@row("concat", "ConcatV2(*values, axis)", stock=stock.having("Concatenate", stock.NUMPY, axis=("axis", 0)))
def concat(values: Any, axis: int = 0) -> Any:
    values = values if isinstance(values, (list, tuple)) else [values]
    known = fixed(values)
    if known is not None:
        return np.concatenate(known, axis)
    like = next((each for each in values if is_tensor(each)), None)
    return ops.concatenate([tensor(each, like=like) for each in values], axis=axis)


@row(
    "split",
    "Split(axis, value; num_split>num_or_size_splits)",
    "SplitV(value, num_or_size_splits, axis; num_split>num)",
    stock=stock.split,
)
def split(value: Any, num_or_size_splits: Any, axis: int = 0, num: Any = None) -> Any:
    # num says how many parts there are where their sizes are computed; here they never are.
    parts = list(num_or_size_splits) if isinstance(num_or_size_splits, (list, tuple)) else num_or_size_splits
    if isinstance(parts, list) and -1 in parts:
        parts[parts.index(-1)] = value.shape[axis] - sum(n for n in parts if n >= 0)
    if isinstance(parts, list):
        parts = [sum(parts[: i + 1]) for i in range(len(parts) - 1)]
    return ops.split(value, parts, axis=axis)


@row("repeat", stock=stock.repeat)
def repeat(input: Any, repeats: Any, axis: Any = None) -> Any:
    # Several as an array: JAX takes no list.
    several = np.asarray(repeats) if isinstance(repeats, (list, tuple)) else repeats
    return ops.repeat(tensor(input), several, axis=axis)


@row("reverse", "ReverseV2(tensor, axis)", stock=stock.having("Flip", stock.NUMPY, axis=("axis", None)), own=False)
def reverse(tensor: Any, axis: Any) -> Any:
    return ops.flip(tensor, tuple(sizes(axis)) if isinstance(axis, (list, tuple)) else axis)


@row("roll", "Roll(input, shift, axis)",
     stock=stock.having("Roll", stock.NUMPY, shift=("shift", None), axis=("axis", None)), own=False)  # fmt: skip
def roll(input: Any, shift: Any, axis: Any) -> Any:
    return ops.roll(tensor(input), shift, axis=axis)


@row("gather compat.v1.gather", "GatherV2(params, indices, axis; batch_dims)", stock=stock.gather, spec=specs.taken)
def gather(params: Any, indices: Any, axis: Any = None, batch_dims: int = 0) -> Any:
    params, indices = tensor(params), tensor(indices)
    axis = batch_dims if axis is None else axis
    if batch_dims == 0:
        return ops.take(params, indices, axis=axis)
    rows_only(batch_dims, axis, indices)
    picked = ops.reshape(indices, (*indices.shape, *[1] * (len(params.shape) - 2)))
    picked = ops.broadcast_to(picked, (*indices.shape, *params.shape[2:]))
    return ops.take_along_axis(params, picked, axis=1)


@row("gather_nd compat.v1.gather_nd", "GatherNd(params, indices; bad_indices_policy)", spec=specs.taken_nd)
def gather_nd(params: Any, indices: Any, batch_dims: int = 0, bad_indices_policy: str = "") -> Any:
    params, indices = tensor(params), tensor(indices)
    places_only(batch_dims, bad_indices_policy)
    depth = indices.shape[-1]
    flat = ops.reshape(params, (-1, *params.shape[depth:]))
    place = ops.zeros_like(indices[..., 0])
    for i in range(depth):
        place = place * params.shape[i] + indices[..., i]
    return ops.take(flat, place, axis=0)


@row("compat.v1.nn.embedding_lookup nn.embedding_lookup", spec=specs.embedded)
def embedding_lookup(params: Any, ids: Any, max_norm: Any = None) -> Any:
    if max_norm is not None:
        raise ValueError(f"tf.nn.embedding_lookup: expected no max_norm, found {max_norm}")
    return ops.take(tensor(params), tensor(ids), axis=0)


@row("pad compat.v1.pad", "Pad(tensor, paddings)", "PadV2(tensor, paddings, constant_values)",
     "MirrorPad(tensor, paddings; mode)", stock=stock.pad)  # fmt: skip
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


@row("sort")
def sort(values: Any, axis: int = -1, direction: str = "ASCENDING") -> Any:
    found = ops.sort(values, axis=axis)
    return ops.flip(found, axis) if direction == "DESCENDING" else found


@row("argsort")
def argsort(values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False) -> Any:
    if direction != "DESCENDING":
        return ops.argsort(values, axis=axis)
    # Turned round twice, not negated, which unsigned numbers cannot be: of equals the first stays first.
    found = ops.flip(ops.argsort(ops.flip(values, axis), axis=axis), axis)
    return ops.subtract(values.shape[axis] - 1, found)


@row("sequence_mask")
def sequence_mask(lengths: Any, maxlen: Any, dtype: Any = "bool") -> Any:
    found = ops.less(ops.arange(int(maxlen), dtype="int32"), ops.expand_dims(ops.cast(lengths, "int32"), -1))
    return ops.cast(found, dtype)


@row("one_hot", "OneHot(indices, depth, on_value, off_value; axis)", stock=stock.one_hot, spec=specs.hot)
def one_hot(
    indices: Any, depth: int, on_value: Any = None, off_value: Any = None, axis: int = -1, dtype: Any = None
) -> Any:
    given = [value for value in (on_value, off_value) if value is not None]
    whole = bool(given) and all(isinstance(value, int) for value in given)
    if dtype is None:
        dtype = next((dtype_of(value) for value in given if is_tensor(value)), "int32" if whole else "float32")
    rank = len(indices.shape) + 1
    # By comparison: an index that is no class is nothing in TensorFlow, and an error on torch.
    classes = ops.reshape(ops.arange(depth), [depth if axis % rank == k else 1 for k in range(rank)])
    found = ops.equal(ops.expand_dims(indices, axis), classes)
    if any(map(is_tensor, given)):
        on, off = (ops.cast(tensor(each), dtype) for each in (on_value, off_value))
        return ops.where(found, on, off)
    hot = ops.cast(found, dtype)
    on, off = 1 if on_value is None else on_value, off_value or 0
    return hot if (on, off) == (1, 0) else hot * on + (1 - hot) * off
