"""Sums, means and norms along axes; what is summed up on the way."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from kio.ops import specs, stock
from kio.ops.elementwise import add_n
from kio.ops.table import Function, row
from kio.ops.values import axes, dtype_of, tensor, whole


def _reduced(apply: str) -> Function:
    def run(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
        x = tensor(input_tensor)
        return getattr(ops, apply)(x, axis=axes(axis), keepdims=bool(keepdims))

    return run


for _name, _node, _class in (
    ("math.reduce_sum", "Sum", "Sum"),
    ("math.reduce_max", "Max", "Max"),
    ("math.reduce_min", "Min", "Min"),
    ("math.reduce_prod", "Prod", "Prod"),
    ("math.reduce_any", "Any", "Any"),
    ("math.reduce_all", "All", "All"),
):
    row(_name, f"{_node}(input_tensor, axis; keep_dims>keepdims)", stock=stock.reduced(_class), own=False)(
        _reduced(_class.lower())
    )
row("math.reduce_std", stock=stock.reduced("Std"), own=False)(_reduced("std"))
row("math.reduce_variance", stock=stock.reduced("Var"), own=False)(_reduced("var"))
row("math.reduce_logsumexp", stock=stock.reduced("Logsumexp", stock.MATH), own=False)(_reduced("logsumexp"))


@row("math.reduce_mean", "Mean(input_tensor, axis; keep_dims>keepdims)", stock=stock.reduced("Mean"), own=False)
def reduce_mean(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
    x = tensor(input_tensor)
    if not whole(dtype_of(x)):
        return ops.mean(x, axis=axes(axis), keepdims=bool(keepdims))
    # Of whole numbers the mean is one, too; the rest is cut off.
    total, n = (ops.sum(each, axis=axes(axis), keepdims=bool(keepdims)) for each in (x, ops.ones_like(x)))
    return ops.cast(ops.sign(total) * (ops.absolute(total) // n), dtype_of(x))


@row("math.reduce_euclidean_norm", "EuclideanNorm(input_tensor, axis; keep_dims>keepdims)")
def reduce_euclidean_norm(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return ops.sqrt(ops.sum(ops.square(input_tensor), axis=axes(axis), keepdims=keepdims))


@row("math.zero_fraction")
def zero_fraction(value: Any) -> Any:
    return ops.mean(ops.cast(ops.equal(value, 0), "float32"))


@row("math.count_nonzero")
def count_nonzero(input: Any, axis: Any = None, keepdims: bool = False, dtype: Any = "int64") -> Any:
    hits = ops.cast(ops.not_equal(input, 0), "int32")
    return ops.cast(ops.sum(hits, axis=axes(axis), keepdims=bool(keepdims)), dtype)


@row("nn.moments compat.v1.nn.moments")
def moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False) -> Any:
    along = tuple(axes)
    return ops.mean(x, axis=along, keepdims=keepdims), ops.var(x, axis=along, keepdims=keepdims)


# torch would sum up as many items as there are.
@row("math.cumsum", "Cumsum(x, axis; exclusive, reverse)", stock=stock.cumsum, spec=specs.cumulated)
def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Any:
    return _cumulated(ops.cumsum, x, axis, exclusive, reverse, 0)


@row("math.cumprod", "Cumprod(x, axis; exclusive, reverse)", spec=specs.cumulated)
def cumprod(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Any:
    return _cumulated(ops.cumprod, x, axis, exclusive, reverse, 1)


def _cumulated(apply: Any, x: Any, axis: int, exclusive: bool, reverse: bool, start: int) -> Any:
    if reverse:
        x = ops.flip(x, axis)
    if exclusive:
        before = (slice(None),) * (axis % len(x.shape))
        first, rest = x[(*before, slice(0, 1))], x[(*before, slice(0, -1))]
        x = ops.concatenate([ops.full_like(first, start), rest], axis=axis)
    x = apply(x, axis=axis)
    return ops.flip(x, axis) if reverse else x


def _argument(apply: str) -> Function:
    def run(input: Any, axis: Any = None, dimension: Any = None) -> Any:
        # NumPy goes through the flattened array by default, TensorFlow along the first axis.
        axis = dimension if axis is None else axis
        return getattr(ops, apply)(tensor(input), axis=0 if axis is None else int(axis))

    return run


row("math.argmax", "ArgMax(input, axis)", stock=stock.argument("Argmax"), own=False)(_argument("argmax"))
row("math.argmin", "ArgMin(input, axis)", stock=stock.argument("Argmin"), own=False)(_argument("argmin"))


@row("math.top_k", "TopKV2(input, k; sorted)")
def top_k(input: Any, k: int = 1, sorted: bool = True) -> Any:
    return ops.top_k(input, k, sorted=sorted)


@row("compat.v1.math.in_top_k math.in_top_k", "InTopKV2(predictions, targets, k)", "InTopK(predictions, targets; k)")
def in_top_k(predictions: Any, targets: Any, k: int) -> Any:
    return ops.in_top_k(tensor(targets), predictions, k)


@row("math.segment_sum math.unsorted_segment_sum", "UnsortedSegmentSum(data, segment_ids, num_segments)")
def segment_sum(data: Any, segment_ids: Any, num_segments: Any = None) -> Any:
    ids = tensor(segment_ids)
    return ops.segment_sum(data, ids, num_segments if num_segments is not None else int(max(segment_ids)) + 1)


@row("math.bincount", spec=specs.counted)
def bincount(arr: Any, weights: Any = None, minlength: int = 0) -> Any:
    return ops.bincount(ops.reshape(arr, (-1,)), weights=weights, minlength=minlength)


@row("math.l2_normalize linalg.l2_normalize nn.l2_normalize", stock=stock.normalize)
def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, dim: Any = None) -> Any:
    # Keras before 3.5 has the operation without its epsilon.
    total = ops.sum(ops.square(x), axis=dim if axis is None else axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(total, epsilon)))


@row("compat.v1.norm norm linalg.norm")
def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: Any = False, keep_dims: Any = False) -> Any:
    axis, keep = axes(axis), bool(keepdims or keep_dims)
    if ord in ("euclidean", "fro", 2, 2.0) and not (isinstance(axis, tuple) and ord in (2, 2.0)):
        return ops.sqrt(ops.sum(ops.square(tensor), axis=axis, keepdims=keep))
    if isinstance(axis, tuple):
        raise ValueError(f"tf.norm: expected the euclidean norm of a matrix, found ord={ord!r}")
    size = ops.absolute(tensor)
    if ord in (math.inf, "inf"):
        return ops.max(size, axis=axis, keepdims=keep)
    return ops.power(ops.sum(ops.power(size, ord), axis=axis, keepdims=keep), 1.0 / ord)


@row("linalg.normalize")
def normalize(tensor: Any, ord: Any = "euclidean", axis: Any = None) -> Any:
    size = norm(tensor, ord, axis, keepdims=True)
    return ops.divide(tensor, size), size


@row("linalg.global_norm")
def global_norm(t_list: Any) -> Any:
    t_list = t_list if isinstance(t_list, (list, tuple)) else [t_list]
    return ops.sqrt(add_n([ops.sum(ops.square(each)) for each in t_list]))


@row("clip_by_norm")
def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None) -> Any:
    total = ops.sum(ops.square(t), axis=tuple(axes) if isinstance(axes, list) else axes, keepdims=True)
    size = ops.sqrt(ops.where(ops.greater(total, 0), total, ops.ones_like(total)))
    size = ops.where(ops.greater(total, 0), size, total)
    return ops.divide(ops.multiply(t, clip_norm), ops.maximum(size, tensor(clip_norm, like=t)))


@row("nn.l2_loss", "L2Loss(t)")
def l2_loss(t: Any) -> Any:
    return ops.multiply(0.5, ops.sum(ops.square(t)))
