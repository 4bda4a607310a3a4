"""Mathematics of TensorFlow for ``TFFunction``: element by element, reductions, linear algebra."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from kio.layers.tf_function import named, tensor


@named("math.squared_difference", "compat.v1.squared_difference")
def squared_difference(x: Any, y: Any) -> Any:
    return ops.square(
        ops.subtract(tensor(x, like=y if not _plain(y) else None), tensor(y, like=x if not _plain(x) else None))
    )


def _plain(value: Any) -> bool:
    return isinstance(value, (int, float, bool, list, tuple))


def _both(x: Any, y: Any) -> tuple[Any, Any]:
    x = tensor(x, like=None if _plain(y) else y)
    return x, tensor(y, like=x)


@named("math.add", "__operators__.add", "add")
def add(x: Any, y: Any) -> Any:
    x, y = _both(x, y)
    # Keras may take y for a bias on TensorFlow; see kio.layers.first.
    return ops.subtract(x, ops.negative(y))


@named("math.add_n", "math.accumulate_n", "add_n")
def add_n(inputs: Any, shape: Any = None, tensor_dtype: Any = None) -> Any:
    # Shape and dtype say what the tensors are, nothing that would change them.
    inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    total = tensor(inputs[0])
    for each in inputs[1:]:
        total = ops.add(total, tensor(each, like=total))
    return total


@named("math.divide_no_nan", "compat.v1.div_no_nan")
def divide_no_nan(x: Any, y: Any) -> Any:
    x, y = _both(x, y)
    zero = ops.equal(y, 0)
    made = ops.divide(x, ops.where(zero, ops.ones_like(y), y))
    return ops.where(zero, ops.zeros_like(made), made)


@named("math.multiply_no_nan")
def multiply_no_nan(x: Any, y: Any) -> Any:
    x, y = _both(x, y)
    return ops.where(ops.equal(y, 0), ops.zeros_like(x), ops.multiply(x, y))


@named("math.reciprocal_no_nan")
def reciprocal_no_nan(x: Any) -> Any:
    zero = ops.equal(x, 0)
    return ops.where(zero, ops.zeros_like(x), ops.reciprocal(ops.where(zero, ops.ones_like(x), x)))


@named("math.l2_normalize", "linalg.l2_normalize", "nn.l2_normalize")
def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, dim: Any = None) -> Any:
    # Keras before 3.5 has the operation without its epsilon.
    total = ops.sum(ops.square(x), axis=dim if axis is None else axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(total, epsilon)))


@named("math.xlogy")
def xlogy(x: Any, y: Any) -> Any:
    x, y = _both(x, y)
    return ops.where(ops.equal(x, 0), ops.zeros_like(x), ops.multiply(x, ops.log(y)))


@named("math.xlog1py")
def xlog1py(x: Any, y: Any) -> Any:
    x, y = _both(x, y)
    return ops.where(ops.equal(x, 0), ops.zeros_like(x), ops.multiply(x, ops.log1p(y)))


@named("math.xdivy")
def xdivy(x: Any, y: Any) -> Any:
    x, y = _both(x, y)
    return ops.where(ops.equal(x, 0), ops.zeros_like(x), ops.divide(x, y))


@named("math.imag", "compat.v1.imag")
def imag(input: Any) -> Any:
    # torch has none of real numbers.
    return ops.imag(input) if "complex" in str(input.dtype) else ops.zeros_like(input)


@named("math.zero_fraction")
def zero_fraction(value: Any) -> Any:
    return ops.mean(ops.cast(ops.equal(value, 0), "float32"))


@named("math.reduce_euclidean_norm")
def reduce_euclidean_norm(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return ops.sqrt(ops.sum(ops.square(input_tensor), axis=_axes(axis), keepdims=keepdims))


@named("math.count_nonzero")
def count_nonzero(input: Any, axis: Any = None, keepdims: bool = False, dtype: Any = "int64") -> Any:
    hits = ops.cast(ops.not_equal(input, 0), "int32")
    return ops.cast(ops.sum(hits, axis=_axes(axis), keepdims=bool(keepdims)), dtype)


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


@named("math.cumsum")
def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Any:
    return _cumulated(ops.cumsum, x, axis, exclusive, reverse, 0)


@named("math.cumprod")
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


@named("math.top_k")
def top_k(input: Any, k: int = 1, sorted: bool = True) -> Any:
    return ops.top_k(input, k, sorted=sorted)


@named("compat.v1.math.in_top_k", "math.in_top_k")
def in_top_k(predictions: Any, targets: Any, k: int) -> Any:
    return ops.in_top_k(tensor(targets), predictions, k)


@named("nn.moments", "compat.v1.nn.moments")
def moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False) -> Any:
    axes = _axes(axes)
    return ops.mean(x, axis=axes, keepdims=keepdims), ops.var(x, axis=axes, keepdims=keepdims)


@named("math.atan2")
def atan2(y: Any, x: Any) -> Any:
    y, x = _both(y, x)
    return ops.arctan2(y, x)


@named("nn.silu", "nn.swish")
def silu(features: Any, beta: float = 1.0) -> Any:
    return ops.multiply(features, ops.sigmoid(ops.multiply(beta, features)))


@named("math.scalar_mul", "compat.v1.math.scalar_mul")
def scalar_mul(scalar: Any, x: Any) -> Any:
    scalar, x = _both(scalar, x)
    return ops.multiply(scalar, x)


@named("math.polyval")
def polyval(coeffs: Any, x: Any) -> Any:
    total = ops.zeros_like(x)
    for each in coeffs:
        total = total * x + tensor(each, like=x)
    return total


@named("math.erfc")
def erfc(x: Any) -> Any:
    return ops.subtract(1.0, ops.erf(x))


@named("math.ndtri")
def ndtri(x: Any) -> Any:
    return ops.multiply(math.sqrt(2.0), ops.erfinv(ops.subtract(ops.multiply(2.0, x), 1.0)))


@named("math.segment_sum", "math.unsorted_segment_sum")
def segment_sum(data: Any, segment_ids: Any, num_segments: Any = None) -> Any:
    ids = tensor(segment_ids)
    return ops.segment_sum(data, ids, num_segments if num_segments is not None else int(max(segment_ids)) + 1)


@named("math.bincount")
def bincount(arr: Any, weights: Any = None, minlength: int = 0) -> Any:
    return ops.bincount(ops.reshape(arr, (-1,)), weights=weights, minlength=minlength)


@named("math.logical_xor")
def logical_xor(x: Any, y: Any) -> Any:
    return ops.logical_xor(x, tensor(y))


@named("bitwise.bitwise_and")
def bitwise_and(x: Any, y: Any) -> Any:
    return ops.bitwise_and(x, tensor(y, like=x))


@named("bitwise.bitwise_or")
def bitwise_or(x: Any, y: Any) -> Any:
    return ops.bitwise_or(x, tensor(y, like=x))


@named("bitwise.bitwise_xor")
def bitwise_xor(x: Any, y: Any) -> Any:
    return ops.bitwise_xor(x, tensor(y, like=x))


# ---------------------------------------------------------------------- norms, losses


@named("compat.v1.norm", "norm", "linalg.norm")
def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: Any = False, keep_dims: Any = False) -> Any:
    axis, keep = _axes(axis), bool(keepdims or keep_dims)
    if ord in ("euclidean", "fro", 2, 2.0) and not (isinstance(axis, tuple) and ord in (2, 2.0)):
        return ops.sqrt(ops.sum(ops.square(tensor), axis=axis, keepdims=keep))
    if isinstance(axis, tuple):
        raise ValueError(f"tf.norm: expected the euclidean norm of a matrix, found ord={ord!r}")
    size = ops.absolute(tensor)
    if ord in (math.inf, "inf"):
        return ops.max(size, axis=axis, keepdims=keep)
    return ops.power(ops.sum(ops.power(size, ord), axis=axis, keepdims=keep), 1.0 / ord)


@named("linalg.normalize")
def normalize(tensor: Any, ord: Any = "euclidean", axis: Any = None) -> Any:
    size = norm(tensor, ord, axis, keepdims=True)
    return ops.divide(tensor, size), size


@named("linalg.global_norm")
def global_norm(t_list: Any) -> Any:
    t_list = t_list if isinstance(t_list, (list, tuple)) else [t_list]
    return ops.sqrt(add_n([ops.sum(ops.square(each)) for each in t_list]))


@named("clip_by_norm")
def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None) -> Any:
    total = ops.sum(ops.square(t), axis=_axes(axes), keepdims=True)
    size = ops.sqrt(ops.where(ops.greater(total, 0), total, ops.ones_like(total)))
    size = ops.where(ops.greater(total, 0), size, total)
    return ops.divide(ops.multiply(t, clip_norm), ops.maximum(size, tensor(clip_norm, like=t)))


@named("nn.l2_loss")
def l2_loss(t: Any) -> Any:
    return ops.multiply(0.5, ops.sum(ops.square(t)))


@named("compat.v1.nn.sigmoid_cross_entropy_with_logits", "nn.sigmoid_cross_entropy_with_logits")
def sigmoid_cross_entropy(labels: Any, logits: Any) -> Any:
    labels, logits = _both(labels, logits)
    return ops.maximum(logits, 0.0) - logits * labels + ops.log1p(ops.exp(-ops.absolute(logits)))


@named("compat.v1.nn.softmax_cross_entropy_with_logits_v2", "nn.softmax_cross_entropy_with_logits")
def softmax_cross_entropy(labels: Any, logits: Any, axis: Any = None, dim: Any = None) -> Any:
    # TensorFlow 1 said dim.
    axis = next((each for each in (axis, dim) if each is not None), -1)
    labels, logits = _both(labels, logits)
    return ops.negative(ops.sum(labels * ops.log_softmax(logits, axis=axis), axis=axis))


@named("keras.backend.binary_crossentropy")
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    if from_logits:
        return sigmoid_cross_entropy(target, output)
    # Not the logits behind a sigmoid, which are the same to rounding.
    output = ops.clip(output, 1e-7, 1 - 1e-7)
    return -(target * ops.log(output + 1e-7) + (1 - target) * ops.log(1 - output + 1e-7))


@named("keras.backend.categorical_crossentropy")
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    if from_logits:
        return softmax_cross_entropy(target, output, axis)
    output = output / ops.sum(output, axis=axis, keepdims=True)
    return ops.negative(ops.sum(target * ops.log(ops.clip(output, 1e-7, 1 - 1e-7)), axis=axis))


# ---------------------------------------------------------------------- linear algebra


@named("linalg.matmul", "matmul")
def matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    adj_x: bool = False,
    adj_y: bool = False,
) -> Any:
    a, b = _both(a, b)
    a = ops.swapaxes(a, -1, -2) if transpose_a or adjoint_a or adj_x else a
    b = ops.swapaxes(b, -1, -2) if transpose_b or adjoint_b or adj_y else b
    return ops.matmul(a, b)


@named("linalg.matvec")
def matvec(a: Any, b: Any) -> Any:
    return ops.squeeze(matmul(a, ops.expand_dims(tensor(b, like=a), -1)), -1)


@named("linalg.matrix_transpose", "linalg.adjoint")
def matrix_transpose(a: Any, conjugate: bool = False) -> Any:
    return ops.swapaxes(a, -1, -2)


@named("tensordot")
def tensordot(a: Any, b: Any, axes: Any) -> Any:
    a, b = _both(a, b)
    return ops.tensordot(a, b, axes=axes)


@named("linalg.inv")
def inv(input: Any, adjoint: bool = False) -> Any:
    return ops.inv(ops.swapaxes(input, -1, -2) if adjoint else input)


@named("linalg.diag")
def diag(diagonal: Any) -> Any:
    return ops.expand_dims(diagonal, -1) * ops.eye(diagonal.shape[-1], dtype=diagonal.dtype)


@named("linalg.diag_part")
def diag_part(input: Any) -> Any:
    return ops.diagonal(input, axis1=-2, axis2=-1)


@named("linalg.trace")
def trace(x: Any) -> Any:
    return ops.trace(x, axis1=-2, axis2=-1)


@named("linalg.set_diag")
def set_diag(input: Any, diagonal: Any) -> Any:
    keep = ops.subtract(1, ops.eye(input.shape[-2], input.shape[-1], dtype=input.dtype))
    n = min(input.shape[-2], input.shape[-1])
    padded = diag(tensor(diagonal, like=input))
    extra = [[0, 0]] * (len(padded.shape) - 2) + [[0, input.shape[-2] - n], [0, input.shape[-1] - n]]
    return input * keep + ops.pad(padded, extra)


@named("linalg.band_part")
def band_part(input: Any, num_lower: int, num_upper: int) -> Any:
    below = distances(input.shape[-2], input.shape[-1])
    for limit, sign in ((num_lower, 1), (num_upper, -1)):
        if limit >= 0:
            input = ops.where(ops.less_equal(sign * below, limit), input, ops.zeros_like(input))
    return input


def distances(rows: int, columns: int) -> Any:
    """Row less column, of every place of a matrix; made where it is computed, not when it is described."""
    return ops.expand_dims(ops.arange(rows, dtype="int32"), 1) - ops.arange(columns, dtype="int32")


@named("linalg.triangular_solve")
def triangular_solve(matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False) -> Any:
    matrix, rhs = _both(matrix, rhs)
    part = band_part(matrix, -1, 0) if lower else band_part(matrix, 0, -1)
    return ops.solve(ops.swapaxes(part, -1, -2) if adjoint else part, rhs)


@named("linalg.cross")
def cross(a: Any, b: Any) -> Any:
    a, b = _both(a, b)
    # Keras's takes another axis on torch.
    ahead, behind = (ops.multiply(ops.roll(a, i, -1), ops.roll(b, -i, -1)) for i in (-1, 1))
    return ops.subtract(ahead, behind)
