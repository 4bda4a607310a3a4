"""Products of matrices, and what is done to their diagonals and triangles."""

from __future__ import annotations

from typing import Any

from keras import ops

from kio.ops import specs, stock
from kio.ops.table import row
from kio.ops.values import both, tensor


@row(
    "matmul linalg.matmul",
    "MatMul(a, b; transpose_a, transpose_b)",
    "BatchMatMul(a, b; adj_x, adj_y)",
    "BatchMatMulV2(a, b; adj_x, adj_y)",
    "BatchMatMulV3(a, b; adj_x, adj_y)",
    stock=stock.matmul,
)
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
    a, b = both(a, b)
    a = ops.swapaxes(a, -1, -2) if transpose_a or adjoint_a or adj_x else a
    b = ops.swapaxes(b, -1, -2) if transpose_b or adjoint_b or adj_y else b
    return ops.matmul(a, b)


@row("linalg.matvec")
def matvec(a: Any, b: Any) -> Any:
    return ops.squeeze(matmul(a, ops.expand_dims(tensor(b, like=a), -1)), -1)


@row("linalg.matrix_transpose linalg.adjoint")
def matrix_transpose(a: Any, conjugate: bool = False) -> Any:
    return ops.swapaxes(a, -1, -2)


@row("tensordot")
def tensordot(a: Any, b: Any, axes: Any) -> Any:
    a, b = both(a, b)
    return ops.tensordot(a, b, axes=axes)


@row("einsum", "Einsum(*inputs; equation)", stock=stock.einsum, own=False)
def einsum(equation: str, inputs: Any) -> Any:
    inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    return ops.einsum(equation, *map(tensor, inputs))


@row("linalg.det", "MatrixDeterminant(input)", stock=stock.unary("Det", stock.LINALG), own=False)
def det(input: Any) -> Any:
    return ops.det(tensor(input))


@row("linalg.cholesky", "Cholesky(input)", stock=stock.unary("Cholesky", stock.LINALG), own=False)
def cholesky(input: Any) -> Any:
    return ops.cholesky(tensor(input))


# What memory holds may have no inverse.
@row("linalg.inv", "MatrixInverse(input; adjoint)", spec=specs.like_first)
def inv(input: Any, adjoint: bool = False) -> Any:
    return ops.inv(ops.swapaxes(input, -1, -2) if adjoint else input)


@row("linalg.solve", "MatrixSolve(matrix, rhs; adjoint)", stock=stock.solve, own=False)
def solve(matrix: Any, rhs: Any, adjoint: bool = False) -> Any:
    matrix, rhs = both(matrix, rhs)
    return ops.solve(ops.swapaxes(matrix, -1, -2) if adjoint else matrix, rhs)


@row("linalg.diag")
def diag(diagonal: Any) -> Any:
    return ops.expand_dims(diagonal, -1) * ops.eye(diagonal.shape[-1], dtype=diagonal.dtype)


@row("linalg.diag_part")
def diag_part(input: Any) -> Any:
    return ops.diagonal(input, axis1=-2, axis2=-1)


@row("linalg.trace")
def trace(x: Any) -> Any:
    return ops.trace(x, axis1=-2, axis2=-1)


@row("linalg.set_diag", "MatrixSetDiag(input, diagonal)")
def set_diag(input: Any, diagonal: Any) -> Any:
    keep = ops.subtract(1, ops.eye(input.shape[-2], input.shape[-1], dtype=input.dtype))
    n = min(input.shape[-2], input.shape[-1])
    padded = diag(tensor(diagonal, like=input))
    extra = [[0, 0]] * (len(padded.shape) - 2) + [[0, input.shape[-2] - n], [0, input.shape[-1] - n]]
    return input * keep + ops.pad(padded, extra)


@row("linalg.band_part", "MatrixBandPart(input, num_lower, num_upper)")
def band_part(input: Any, num_lower: int, num_upper: int) -> Any:
    below = distances(input.shape[-2], input.shape[-1])
    for limit, sign in ((num_lower, 1), (num_upper, -1)):
        if limit >= 0:
            input = ops.where(ops.less_equal(sign * below, limit), input, ops.zeros_like(input))
    return input


def distances(rows: int, columns: int) -> Any:
    """Row less column, of every place of a matrix; made where it is computed, not when it is described."""
    return ops.expand_dims(ops.arange(rows, dtype="int32"), 1) - ops.arange(columns, dtype="int32")


@row(
    "linalg.triangular_solve",
    "MatrixTriangularSolve(matrix, rhs; lower, adjoint)",
    spec=specs.solved,
)
def triangular_solve(matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False) -> Any:
    matrix, rhs = both(matrix, rhs)
    part = band_part(matrix, -1, 0) if lower else band_part(matrix, 0, -1)
    return ops.solve(ops.swapaxes(part, -1, -2) if adjoint else part, rhs)


@row("linalg.cross", "Cross(a, b)")
def cross(a: Any, b: Any) -> Any:
    a, b = both(a, b)
    # Keras's takes another axis on torch.
    ahead, behind = (ops.multiply(ops.roll(a, i, -1), ops.roll(b, -i, -1)) for i in (-1, 1))
    return ops.subtract(ahead, behind)
