"""What each row of ``kio.ops`` is called with; ``make.py`` asks TensorFlow what comes out.

A case is the name of a function of the API, or of a node, with the arguments that both take.
Arrays are tensors, all else is a constant.  Numbers are negative, zero, large, whole, and broadcast.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def drawn(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> Any:
    return np.random.default_rng(seed).uniform(low, high, shape).astype("float32")


def f(*numbers: Any) -> Any:
    return np.array(numbers, "float32")


def i(*numbers: Any) -> Any:
    return np.array(numbers, "int32")


def b(*truths: Any) -> Any:
    return np.array(truths, "bool")


MIXED = f([-3.5, -1.0, -0.0, 0.5], [1.5, 2.5, 1e4, -1e-3])
WHOLE = i([-7, -1, 0, 3], [7, 100000, -46000, 2])
UNIT = f(-1.0, -0.75, -0.0, 0.25, 0.999)
ABOVE = f(1.0, 1.25, 3.0, 1e4)
IMAGE = drawn(2, 6, 5, 3, seed=5)

CASES: list[Case] = []


def case(name: str, *args: Any, **kwargs: Any) -> None:
    CASES.append(Case(name, args, kwargs))


# ------------------------------------------------------------------ element by element

for _name in ["abs", "square", "negative", "sign"]:
    case(f"math.{_name}", MIXED)
    case(f"math.{_name}", WHOLE)
for _name in ["Abs", "Square", "Neg", "Sign"]:
    case(_name, WHOLE)
for _api, _node, _data in (
    ("exp", "Exp", f(-1e4, -1.0, 0.0, 3.0, 80.0)),
    ("log", "Log", f(0.0, 1e-30, 1.0, 1e30, -1.0)),
    ("sqrt", "Sqrt", f(0.0, 1e-30, 2.0, 1e30, -1.0)),
    ("sin", "Sin", MIXED),
    ("cos", "Cos", MIXED),
    ("tan", "Tan", UNIT),
    ("tanh", "Tanh", MIXED),
    ("floor", "Floor", MIXED),
    ("ceil", "Ceil", MIXED),
    ("reciprocal", "Reciprocal", f(-2.0, 0.5, 0.0, 1e30)),
    ("log1p", "Log1p", f(-1.0, 0.0, 1e-8, 1e30)),
    ("expm1", "Expm1", f(-50.0, 0.0, 1e-8, 10.0)),
    ("logical_not", "LogicalNot", b(True, False)),
    ("cosh", "Cosh", f(-3.0, 0.0, 10.0)),
    ("sinh", "Sinh", f(-3.0, 0.0, 10.0)),
    ("atan", "Atan", MIXED),
    ("rint", "Rint", f(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.6)),
    ("round", "Round", f(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.6)),
    ("asin", "Asin", UNIT),
    ("acos", "Acos", UNIT),
    ("asinh", "Asinh", MIXED),
    ("acosh", "Acosh", ABOVE),
    ("atanh", "Atanh", f(-0.75, 0.0, 0.99)),
    ("is_nan", "IsNan", f(np.nan, np.inf, -np.inf, 0.0)),
    ("is_inf", "IsInf", f(np.nan, np.inf, -np.inf, 0.0)),
    ("is_finite", "IsFinite", f(np.nan, np.inf, -np.inf, 0.0)),
    ("real", "Real", np.array([1 - 2j, 3j], "complex64")),
    ("conj", "Conj", np.array([1 - 2j, 3j], "complex64")),
    ("imag", "Imag", np.array([1 - 2j, 3j], "complex64")),
    ("rsqrt", "Rsqrt", f(0.25, 1.0, 1e4)),
    ("erf", "Erf", MIXED),
    ("erfinv", "Erfinv", f(-0.9, 0.0, 0.5)),
    ("erfc", "Erfc", f(-3.0, -1.0, 0.0, 0.5, 2.0)),
    ("ndtri", "Ndtri", f(0.1, 0.5, 0.975)),
    ("reciprocal_no_nan", None, f(-2.0, 0.0, 4.0)),
):
    case(f"math.{_api}", _data)
    if _node:
        case(_node, _data)
case("math.imag", MIXED)
case("math.round", WHOLE)

_LEFT, _RIGHT = f([-7.5, -1.0, 0.0], [7.5, 1e4, 2.0]), f([2.0, -3.0, 0.5])
_ILEFT, _IRIGHT = i([-7, 7, 0], [-8, 9, 100000]), i([2, -3, 5])
for _apis, _node, _whole in (
    ("math.add __operators__.add add", "AddV2 Add", True),
    ("math.subtract __operators__.sub", "Sub", True),
    ("math.multiply __operators__.mul", "Mul", True),
    ("math.divide math.truediv", "RealDiv", False),
    ("math.floordiv __operators__.floordiv compat.v1.floor_div", "FloorDiv", True),
    ("math.floormod math.mod", "FloorMod", True),
    ("math.maximum", "Maximum", True),
    ("math.minimum", "Minimum", True),
    ("math.equal", "Equal", True),
    ("math.not_equal", "NotEqual", True),
    ("math.greater", "Greater", True),
    ("math.greater_equal", "GreaterEqual", True),
    ("math.less", "Less", True),
    ("math.less_equal", "LessEqual", True),
    ("math.squared_difference", "SquaredDifference", True),
):
    for _name in (*_apis.split(), *_node.split()):
        if _name.partition(".")[0] != "__operators__":
            case(_name, _LEFT, _RIGHT)
            case(_name, _RIGHT, _LEFT[:, :1] + f(0.25))
            if _whole:
                case(_name, _ILEFT, _IRIGHT)
for _name in ("math.pow", "Pow"):
    case(_name, f(0.0, 0.5, 2.0, 10.0), f(0.0, 2.0, -3.0, 4.0))
    case(_name, f(-2.0, -1.5), f(3.0, 2.0))
    case(_name, i(-3, 0, 2), i(3, 0, 10))
for _name in ("math.logical_and", "LogicalAnd", "math.logical_or", "LogicalOr", "math.logical_xor"):
    case(_name, b([True], [False]), b(True, False))
for _name in ("math.divide_no_nan", "DivNoNan", "math.multiply_no_nan", "MulNoNan"):
    case(_name, f(-1.0, 0.0, 3.0, np.inf), f(0.0, 0.0, 2.0, 0.0))
case("DivNoNan", f([1.0], [2.0]), f(0.0, 2.0))
for _name in ("math.xlogy", "Xlogy", "math.xdivy", "Xdivy", "math.xlog1py", "Xlog1py"):
    case(_name, f(0.0, 0.0, -2.0, 3.0), f(0.0, 1.5, 2.5, 1e4))
case("Xlogy", f([0.0], [2.0]), f(0.0, 1.0, 3.0))
for _name in ("math.atan2", "Atan2"):
    case(_name, f(-1.0, 0.0, 1.0, 0.0, -0.0), f(-1.0, -1.0, 0.5, 0.0, -1.0))
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    case(f"bitwise.{_name}", i(-7, 12, 255), i(3, 10, -256))
    case("Bitwise" + _name[8:].capitalize(), i(-7, 12, 255), i(3, 10, -256))
case("math.add_n", [MIXED, MIXED, 2 * MIXED])
case("AddN", WHOLE, WHOLE)
case("math.scalar_mul", -2.5, MIXED)
case("math.polyval", [2.0, -1.0, 0.5], UNIT)
for _name in ("clip_by_value", "ClipByValue"):
    case(_name, MIXED, np.float32(-1.0), np.float32(2.0))
    case(_name, WHOLE, np.int32(-5), np.int32(7))
case("clip_by_value", MIXED, np.float32(3.0), np.float32(-3.0))
case("clip_by_value", MIXED, f(-1.0, 0.0, 1.0, 2.0), f(2.0))
case("cast", f(-1.9, -0.5, 0.0, 0.5, 2.9), dtype="int32")
case("cast", f(-1.9, -0.0, 0.0, 0.5), dtype="bool")
case("cast", i(-1, 0, 70000), dtype="float16")
case("Cast", f(-1.9, 2.9), DstT="int32")
case("Cast", b(True, False), DstT="float32")
case("dtypes.saturate_cast", f(-1e10, -1.5, 300.7, 1e10), dtype="uint8")
case("dtypes.saturate_cast", f(-1e10, -1.5, 300.7, 1e10), dtype="int32")
for _name in ("where", "SelectV2"):
    case(_name, b([True], [False]), f(1.0, -2.0), f([5.0, 6.0], [7.0, 8.0]))
    case(_name, b(True, False), i(1, 2), i(-3, -4))

# ------------------------------------------------------------------ along axes

for _api, _node, _data in (
    ("reduce_sum", "Sum", MIXED),
    ("reduce_mean", "Mean", MIXED),
    ("reduce_max", "Max", MIXED),
    ("reduce_min", "Min", MIXED),
    ("reduce_prod", "Prod", UNIT[None] * f([1.0], [2.0])),
    ("reduce_any", "Any", b([True, False], [False, False])),
    ("reduce_all", "All", b([True, True], [True, False])),
    ("reduce_euclidean_norm", "EuclideanNorm", MIXED),
    ("reduce_std", None, MIXED),
    ("reduce_variance", None, MIXED),
    ("reduce_logsumexp", None, f([-1e3, -999.0], [80.0, 90.0])),
):
    case(f"math.{_api}", _data)
    case(f"math.{_api}", _data, axis=-1, keepdims=True)
    case(f"math.{_api}", _data, axis=[0, 1])
    if _node:
        case(_node, _data, i(1))
        case(_node, _data, i(0, -1), keep_dims=True)
        case(_node, _data, i())
for _api, _node in (("sum", "Sum"), ("mean", "Mean"), ("max", "Max"), ("min", "Min"), ("prod", "Prod")):
    case(f"math.reduce_{_api}", i([-7, 2], [4, 2]), axis=0)
    case(_node, i([-7, 2], [4, 2]), i(1))
case("math.zero_fraction", MIXED)
case("math.count_nonzero", WHOLE, axis=1, keepdims=True)
case("nn.moments", MIXED, [0])
case("nn.moments", IMAGE, [1, 2], keepdims=True)
for _api, _node in (("math.cumsum", "Cumsum"), ("math.cumprod", "Cumprod")):
    for _exclusive in (False, True):
        for _reverse in (False, True):
            case(_api, UNIT[None] + f([0.5], [1.0]), axis=-1, exclusive=_exclusive, reverse=_reverse)
            case(_node, i([-1, 2, 3], [0, 5, -6]), np.int32(0), exclusive=_exclusive, reverse=_reverse)
for _api, _node in (("math.argmax", "ArgMax"), ("math.argmin", "ArgMin")):
    case(_api, f([1.0, 1.0, -2.0], [0.0, 5.0, -7.0]))
    case(_api, i([1, 1, -2], [0, 5, -7]), axis=1)
    case(_node, f([1.0, 1.0, -2.0], [0.0, 5.0, -7.0]), np.int32(-1))
for _name in ("math.top_k", "TopKV2"):
    case(_name, f([1.0, 4.0, -2.0, 3.0], [0.0, 5.0, -7.0, 2.0]), np.int32(2))
for _name in ("math.in_top_k", "InTopK", "InTopKV2"):
    _args = (f([0.1, 0.7, 0.2], [0.3, 0.3, 0.4]), i(2, 0))
    if _name == "math.in_top_k":
        case(_name, _args[1], _args[0], 2)
    elif _name == "InTopK":
        case(_name, *_args, k=2)
    else:
        case(_name, *_args, np.int32(2))
case("math.segment_sum", MIXED, i(0, 0))
case("math.unsorted_segment_sum", f(1.0, 2.0, 4.0, 8.0), i(2, 0, 2, 1), 4)
case("UnsortedSegmentSum", f([1.0, 2.0], [4.0, 8.0], [3.0, 1.0]), i(1, 0, 1), np.int32(3))
case("math.bincount", i(1, 1, 3, 0), minlength=6)
case("math.bincount", i(1, 1, 3, 0), weights=f(0.5, 1.0, 2.0, 4.0))
for _axis in (-1, [0, 1], None):
    case("math.l2_normalize", MIXED, axis=_axis)
case("math.l2_normalize", 0 * MIXED, axis=1)
for _ord in ("euclidean", 1, 2, 3, np.inf):
    case("norm", MIXED, ord=_ord, axis=1)
    case("norm", MIXED, ord=_ord, axis=0, keepdims=True)
case("linalg.normalize", MIXED, axis=1)
case("linalg.global_norm", [MIXED, UNIT])
case("clip_by_norm", MIXED, 2.0)
case("clip_by_norm", MIXED, 2.0, axes=[1])
case("clip_by_norm", 0 * UNIT, 2.0)
case("nn.l2_loss", MIXED)
case("L2Loss", UNIT)

# ------------------------------------------------------------------ losses

_LABELS, _LOGITS = f([0.0, 1.0, 0.0], [0.2, 0.3, 0.5]), f([-90.0, 0.0, 3.0], [50.0, -2.0, 1.0])
case("nn.sigmoid_cross_entropy_with_logits", labels=_LABELS, logits=_LOGITS)
case("nn.softmax_cross_entropy_with_logits", labels=_LABELS, logits=_LOGITS)
case("keras.backend.binary_crossentropy", _LABELS, f([0.0, 1.0, 0.5], [0.1, 0.3, 0.9]))
case("keras.backend.binary_crossentropy", _LABELS, _LOGITS, from_logits=True)
case("keras.backend.categorical_crossentropy", _LABELS, f([0.2, 0.2, 0.4], [0.1, 0.3, 0.9]))
case("keras.backend.categorical_crossentropy", _LABELS, _LOGITS, from_logits=True)

# ------------------------------------------------------------------ matrices

_A, _B = drawn(2, 3, 4, seed=1), drawn(2, 4, 2, seed=2)
_SQUARE = drawn(2, 3, 3, seed=3) + 3 * np.eye(3, dtype="float32")
_POSITIVE = np.matmul(_SQUARE, np.swapaxes(_SQUARE, -1, -2))
case("matmul", _A, _B)
case("linalg.matmul", _A, drawn(2, 2, 4), transpose_b=True)
case("linalg.matmul", drawn(2, 4, 3), _B, adjoint_a=True)
case("matmul", i([1, -2], [3, 4]), i([5, 6], [-7, 8]))
case("MatMul", _A[0], _B[0])
case("MatMul", _A[0], drawn(2, 4), transpose_b=True)
for _node in ("BatchMatMul", "BatchMatMulV2"):
    case(_node, _A, _A, adj_x=True)
case("BatchMatMulV2", _A, _B[0])
case("BatchMatMulV3", _A, _A, adj_y=True, Tout="float32")
case("linalg.matvec", _A, drawn(2, 4))
case("linalg.matrix_transpose", _A)
case("tensordot", _A, _B, axes=[[2], [1]])
case("tensordot", _A[0], _B[0], axes=1)
case("einsum", "bij,bjk->bik", _A, _B)
case("Einsum", _A, _B, equation="bij,bjk->bki")
for _api, _node, _data in (
    ("det", "MatrixDeterminant", _SQUARE),
    ("cholesky", "Cholesky", _POSITIVE),
    ("inv", "MatrixInverse", _SQUARE),
):
    case(f"linalg.{_api}", _data)
    case(_node, _data)
case("MatrixInverse", _SQUARE, adjoint=True)
for _name in ("linalg.solve", "MatrixSolve", "linalg.triangular_solve", "MatrixTriangularSolve"):
    case(_name, _SQUARE, drawn(2, 3, 2))
    case(_name, _SQUARE, drawn(2, 3, 2), adjoint=True)
for _name in ("linalg.triangular_solve", "MatrixTriangularSolve"):
    case(_name, _SQUARE, drawn(2, 3, 2), lower=False)
case("linalg.diag", MIXED)
case("linalg.diag_part", _A)
case("linalg.trace", _SQUARE)
for _name in ("linalg.set_diag", "MatrixSetDiag"):
    case(_name, _A, drawn(2, 3, seed=9))
    case(_name, _B, drawn(2, 2, seed=9))
for _name in ("linalg.band_part", "MatrixBandPart"):
    for _low, _up in ((0, -1), (-1, 0), (1, 1), (0, 0)):
        case(_name, _A, np.int64(_low), np.int64(_up))
for _name in ("linalg.cross", "Cross"):
    case(_name, f([1.0, 2.0, 3.0], [-1.0, 0.0, 2.0]), f([0.5, -2.0, 1.0], [3.0, 1.0, 0.0]))

# ------------------------------------------------------------------ shapes

case("identity", MIXED)
case("convert_to_tensor", MIXED)
for _node in ("Identity", "Snapshot", "PreventGradient", "StopGradient", "ZerosLike", "OnesLike"):
    case(_node, MIXED)
case("CheckNumerics", MIXED, message="x")
case("PlaceholderWithDefault", MIXED, shape=[2, 4])
case("stop_gradient", MIXED)
case("ensure_shape", MIXED, [2, None])
for _name in ("shape", "Shape", "size", "Size", "rank", "Rank"):
    case(_name, _A)
case("reshape", _A, [4, -1])
case("reshape", WHOLE, [-1])
case("Reshape", _A, i(2, -1))
case("Reshape", f(3.0), i())
case("broadcast_to", f([1.0], [2.0]), [3, 2, 2])
case("BroadcastTo", f([1.0], [2.0]), i(2, 4))
case("tile", MIXED, [2, 3])
case("Tile", WHOLE, i(1, 2))
case("fill", [2, 3], -1.5)
case("Fill", i(2, 3), np.float32(2.5))
case("Fill", i(), np.int32(7))
case("zeros", [2, 3])
case("zeros", [2], dtype="int32")
case("ones", [3, 1])
case("zeros_like", WHOLE)
case("ones_like", MIXED)
case("ones_like", MIXED, dtype="int32")
case("range", 5)
case("range", 2, 9, 3)
case("Range", np.int32(2), np.int32(9), np.int32(3))
case("Range", np.int32(5), np.int32(-2), np.int32(-3))
case("expand_dims", MIXED, axis=1)
case("ExpandDims", MIXED, np.int32(-1))
case("squeeze", MIXED[:, None, :, None])
case("squeeze", MIXED[:, None, :, None], axis=[1])
case("Squeeze", MIXED[:1, None], axis=[])
case("Squeeze", MIXED[:1, None], axis=[-2])
case("transpose", _A)
case("transpose", _A, perm=[1, 0, 2])
case("Transpose", _A, i(2, 0, 1))
case("keras.backend.batch_flatten", IMAGE)

# ------------------------------------------------------------------ parts

for _key in ([1], [slice(None), -1], [Ellipsis, slice(None, None, -1)], [slice(0, 9), None, slice(1, None)],
             [Ellipsis, slice(2, 0, -1), slice(None)], [None, Ellipsis, slice(-2, None, 2)], [0, 1, 2]):  # fmt: skip
    case("__operators__.getitem", _A, _key)
case("slice", _A, [0, 1, 0], [2, -1, 3])
case("Slice", _A, i(1, 0, 2), i(-1, 2, 2))
case("strided_slice", _A, [0, 2, 0], [2, 0, 4], [1, -1, 2])
case("StridedSlice", _A, i(0, 1, 0), i(2, 3, 4), i(1, 1, 2))
case("StridedSlice", _A, i(0, -1), i(0, 0), i(1, 1), begin_mask=1, end_mask=1, shrink_axis_mask=2)
case("StridedSlice", _A, i(0, 0, 1), i(0, 0, 3), i(1, 1, 1), ellipsis_mask=1, new_axis_mask=2)
case("StridedSlice", _A, i(0, 3), i(0, 0), i(1, -2), begin_mask=3, end_mask=2, ellipsis_mask=1)
case("StridedSlice", i(5, 6, 7), i(1), i(2), i(1), shrink_axis_mask=1)
case("StridedSlice", i(5, 6, 7), i(-2), i(9), i(1))
case("stack", [MIXED, 2 * MIXED], axis=1)
case("Pack", MIXED, 2 * MIXED, axis=-1)
case("Pack", i(1), i(2))
case("unstack", _A, axis=1)
case("Unpack", _A, num=2, axis=0)
case("concat", [_A, 2 * _A], axis=-1)
case("ConcatV2", _A, 2 * _A, np.int32(1))
case("split", _A, 2, axis=2)
case("split", _A, [1, -1], axis=2)
case("Split", np.int32(2), _A, num_split=2)
case("SplitV", _A, i(1, -1, 1), np.int32(2), num_split=3)
case("repeat", MIXED, 2, axis=1)
case("repeat", MIXED, [1, 3], axis=0)
case("repeat", MIXED, 2)
case("reverse", _A, [0, 2])
case("ReverseV2", _A, i(1))
case("roll", _A, shift=2, axis=1)
case("roll", _A, shift=[1, -1], axis=[0, 2])
case("Roll", _A, i(1), i(2))
case("gather", _A, i([2, 0], [1, 1]), axis=1)
case("gather", _A, i(1, 0))
case("gather", _A, i([2, 0], [1, 1]), axis=1, batch_dims=1)
case("GatherV2", _A, i(1, 0, 1), np.int32(0))
case("GatherV2", WHOLE, np.int32(2), np.int32(1))
case("GatherV2", _A, i([2, 0], [1, 1]), np.int32(1), batch_dims=1)
for _name in ("gather_nd", "GatherNd"):
    case(_name, _A, i([0, 2], [1, 0]))
    case(_name, _A, i([[0, 2, 3]], [[1, 0, 1]]))
case("nn.embedding_lookup", MIXED, i([1, 0], [0, 0]))
for _mode in ("CONSTANT", "REFLECT", "SYMMETRIC"):
    case("pad", MIXED, [[1, 0], [2, 1]], mode=_mode)
case("pad", WHOLE, [[1, 0], [2, 1]], constant_values=-7)
case("Pad", MIXED, i([1, 0], [2, 1]))
case("PadV2", MIXED, i([1, 0], [2, 1]), np.float32(-1.5))
case("MirrorPad", MIXED, i([1, 0], [2, 1]), mode="REFLECT")
case("MirrorPad", MIXED, i([1, 2], [0, 4]), mode="SYMMETRIC")
for _direction in ("ASCENDING", "DESCENDING"):
    case("sort", MIXED, direction=_direction)
    case("sort", WHOLE, axis=0, direction=_direction)
    case("argsort", WHOLE, direction=_direction)
case("sequence_mask", i(0, 2, 5), 4)
case("one_hot", i(-1, 0, 2, 7), 3)
case("one_hot", i([1, 0]), 2, on_value=5, off_value=-1, axis=0)
case("OneHot", i(-1, 0, 2), np.int32(3), np.float32(2.0), np.float32(-1.0))
case("OneHot", i(-1, 0, 2), np.int32(3), np.int32(1), np.int32(0), axis=0)

# ------------------------------------------------------------------ networks

for _api, _node in (
    ("nn.relu", "Relu"),
    ("nn.relu6", "Relu6"),
    ("nn.elu", "Elu"),
    ("nn.selu", "Selu"),
    ("math.sigmoid", "Sigmoid"),
    ("math.softplus", "Softplus"),
    ("nn.softsign", "Softsign"),
    ("math.log_sigmoid", None),
    ("nn.gelu", None),
    ("nn.silu", None),
    ("nn.crelu", None),
    ("nn.softmax", "Softmax"),
    ("nn.log_softmax", "LogSoftmax"),
    ("nn.leaky_relu", "LeakyRelu"),
):
    case(_api, MIXED)
    case(_api, f([-100.0, -7.0, 0.0, 7.0, 100.0]))
    if _node:
        case(_node, f([-100.0, -7.0, 0.0, 7.0, 100.0]))
case("nn.relu", WHOLE)
case("Relu", WHOLE)
case("nn.gelu", MIXED, approximate=True)
case("nn.silu", MIXED, beta=0.5)
case("nn.softmax", MIXED, axis=0)
case("nn.leaky_relu", MIXED, alpha=0.3)
case("LeakyRelu", MIXED, alpha=0.1)
case("nn.bias_add", IMAGE, f(1.0, -2.0, 1e4))
case("BiasAdd", IMAGE, f(1.0, -2.0, 1e4))
case("BiasAdd", IMAGE, drawn(6), data_format="NCHW")
case("nn.dropout", MIXED, 0.0)
_NORM = (IMAGE, f(1.0, 2.0, 0.5), f(0.0, 1.0, -1.0), f(0.1, 0.2, -0.3), f(1.0, 0.25, 4.0))
case("compat.v1.nn.fused_batch_norm", *_NORM, is_training=False)
for _node in ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"):
    case(_node, *_NORM, is_training=False)
case("FusedBatchNormV3", *_NORM, is_training=False, epsilon=0.1, data_format="NHWC")
case("nn.local_response_normalization", IMAGE, depth_radius=1, alpha=0.5, beta=0.75)
case("LRN", IMAGE, depth_radius=2, bias=2.0)

# ------------------------------------------------------------------ windows

for _kind, _node in (("max", "MaxPool"), ("avg", "AvgPool")):
    for _padding in ("SAME", "VALID"):
        case(f"nn.{_kind}_pool1d", IMAGE[0], 2, 2, _padding)
        case(f"nn.{_kind}_pool2d", IMAGE, 2, 2, _padding)
        case(f"nn.{_kind}_pool2d", IMAGE, [3, 2], [1, 2], _padding)
        case(f"nn.{_kind}_pool3d", IMAGE[None], 2, 2, _padding)
        case(_node, IMAGE, ksize=[1, 2, 3, 1], strides=[1, 2, 1, 1], padding=_padding)
        case(f"{_node}3D", IMAGE[None], ksize=[1, 1, 2, 2, 1], strides=[1, 1, 2, 2, 1], padding=_padding)
case("nn.pool", IMAGE, [2, 2], "MAX", strides=[2, 1], padding="VALID")
case("nn.pool", IMAGE, [2, 2], "AVG", strides=[1, 1], padding="SAME")
_KERNEL = drawn(3, 2, 3, 4, seed=7)
case("nn.conv1d", IMAGE[0], drawn(3, 3, 2), 2, "SAME")
for _padding in ("SAME", "VALID"):
    case("nn.conv2d", IMAGE, _KERNEL, 2, _padding)
    case("nn.conv2d", IMAGE, _KERNEL, [1, 1], _padding, dilations=2)
    case("Conv2D", IMAGE, _KERNEL, strides=[1, 2, 2, 1], padding=_padding)
    case("Conv2D", IMAGE, _KERNEL, strides=[1, 1, 1, 1], padding=_padding, dilations=[1, 2, 1, 1])
    case("nn.depthwise_conv2d", IMAGE, drawn(3, 2, 3, 2), [1, 1, 1, 1], _padding)
    case("DepthwiseConv2dNative", IMAGE, drawn(3, 2, 3, 2), strides=[1, 2, 2, 1], padding=_padding)
    case("nn.separable_conv2d", IMAGE, drawn(3, 2, 3, 2), drawn(1, 1, 6, 2), [1, 1, 1, 1], _padding)
case("nn.conv3d", IMAGE[None], drawn(2, 2, 2, 3, 2), [1, 1, 1, 1, 1], "SAME")
case("Conv3D", IMAGE[None], drawn(2, 2, 2, 3, 2), strides=[1, 1, 2, 1, 1], padding="VALID")
case("nn.conv2d_transpose", IMAGE, drawn(3, 3, 2, 3), [2, 12, 10, 2], 2, "SAME")
case("nn.conv2d_transpose", IMAGE, drawn(3, 3, 2, 3), [2, 8, 7, 2], 1, "VALID")
case("Conv2DBackpropInput", i(2, 12, 10, 2), drawn(3, 3, 2, 3), IMAGE, strides=[1, 2, 2, 1], padding="SAME",
     dilations=[1, 1, 1, 1])  # fmt: skip
_BLOCKS = drawn(4, 4, 6, 4)
case("space_to_batch_nd", _BLOCKS, [2, 3], [[0, 0], [1, 2]])
case("SpaceToBatchND", _BLOCKS, i(2, 2), i([1, 1], [0, 0]))
case("batch_to_space", _BLOCKS, [2, 2], [[1, 0], [0, 2]])
case("BatchToSpaceND", _BLOCKS, i(2, 1), i([0, 1], [0, 0]))
for _api, _node in (("nn.depth_to_space", "DepthToSpace"), ("nn.space_to_depth", "SpaceToDepth")):
    case(_api, _BLOCKS, 2)
    case(_node, _BLOCKS, block_size=2)
case("image.extract_patches", IMAGE, [1, 2, 3, 1], [1, 2, 1, 1], [1, 1, 1, 1], "VALID")
case("ExtractImagePatches", IMAGE, ksizes=[1, 2, 2, 1], strides=[1, 1, 1, 1], rates=[1, 2, 2, 1], padding="SAME")

# ------------------------------------------------------------------ images

for _name in ("flip_left_right", "flip_up_down", "transpose", "rot90", "per_image_standardization", "rgb_to_grayscale"):
    case(f"image.{_name}", IMAGE)
case("image.per_image_standardization", np.full((1, 2, 2, 3), 3.0, "float32"))
case("image.rot90", IMAGE, 3)
case("image.rot90", IMAGE, -1)
case("image.grayscale_to_rgb", IMAGE[..., :1])
case("image.adjust_brightness", IMAGE, 0.25)
case("image.adjust_contrast", IMAGE, 1.5)
case("image.crop_to_bounding_box", IMAGE, 1, 2, 3, 2)
case("image.pad_to_bounding_box", IMAGE, 1, 2, 9, 8)
case("image.central_crop", IMAGE, 0.5)
case("image.central_crop", IMAGE, 0.7)
_GREY = drawn(2, 7, 5, 1, seed=8)
for _method in ("bilinear", "nearest", "bicubic", "area", "lanczos3", "gaussian", "mitchellcubic"):
    case("image.resize", _GREY, [4, 9], _method)
for _method in ("bilinear", "bicubic"):
    case("image.resize", _GREY, [4, 9], _method, antialias=True)
case("compat.v1.image.resize", _GREY, [4, 9], 1)
case("compat.v1.image.resize", _GREY, [4, 9], 2)
for _corners in (False, True):
    case("compat.v1.image.resize", _GREY, [4, 9], align_corners=_corners)
    case("compat.v1.image.resize_bilinear", _GREY, [4, 9], align_corners=_corners)
    case("compat.v1.image.resize_nearest_neighbor", _GREY, [4, 9], align_corners=_corners)
    case("ResizeBilinear", _GREY, i(4, 9), align_corners=_corners)
    case("ResizeNearestNeighbor", _GREY, i(4, 9), align_corners=_corners)
    case("ResizeBicubic", _GREY, i(4, 9), align_corners=_corners)
case("ResizeBilinear", _GREY, i(4, 9), half_pixel_centers=True)
case("ResizeNearestNeighbor", _GREY, i(4, 9), half_pixel_centers=True)
case("ResizeBicubic", _GREY, i(4, 9), half_pixel_centers=True)
