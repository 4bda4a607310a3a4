"""Mathematics element by element: what ``keras.ops`` has under a name of its own, and what it has not."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from kio.ops import stock
from kio.ops.table import Function, row
from kio.ops.values import both, dtype_named, is_tensor, plain, tensor


def _of_one(apply: str) -> Function:
    # Looked up when it is called: not every Keras has every operation.
    def run(x: Any) -> Any:
        return getattr(ops, apply)(tensor(x))

    return run


def _of_two(apply: str) -> Function:
    def run(x: Any, y: Any) -> Any:
        return getattr(ops, apply)(*both(x, y))

    return run


# Names in the API; in graphs; Keras's class; its function.
_ONE = (
    ("math.abs __operators__.abs abs", "Abs", "Absolute", "absolute"),
    ("math.exp exp", "Exp", "Exp", "exp"),
    ("math.log log", "Log", "Log", "log"),
    ("math.sqrt sqrt", "Sqrt", "Sqrt", "sqrt"),
    ("math.square square", "Square", "Square", "square"),
    ("math.negative __operators__.neg", "Neg", "Negative", "negative"),
    ("math.sign sign", "Sign", "Sign", "sign"),
    ("math.sin sin", "Sin", "Sin", "sin"),
    ("math.cos cos", "Cos", "Cos", "cos"),
    ("math.tan tan", "Tan", "Tan", "tan"),
    ("math.tanh nn.tanh tanh", "Tanh", "Tanh", "tanh"),
    ("math.floor floor", "Floor", "Floor", "floor"),
    ("math.ceil", "Ceil", "Ceil", "ceil"),
    ("math.reciprocal", "Reciprocal", "Reciprocal", "reciprocal"),
    ("math.log1p", "Log1p", "Log1p", "log1p"),
    ("math.expm1", "Expm1", "Expm1", "expm1"),
    ("math.logical_not __operators__.invert", "LogicalNot", "LogicalNot", "logical_not"),
    ("math.cosh", "Cosh", "Cosh", "cosh"),
    ("math.sinh", "Sinh", "Sinh", "sinh"),
    ("math.atan", "Atan", "Arctan", "arctan"),
    ("math.rint math.round round", "Round Rint", "Round", "round"),
    ("math.asin", "Asin", "Arcsin", "arcsin"),
    ("math.acos", "Acos", "Arccos", "arccos"),
    ("math.asinh", "Asinh", "Arcsinh", "arcsinh"),
    ("math.acosh", "Acosh", "Arccosh", "arccosh"),
    ("math.atanh", "Atanh", "Arctanh", "arctanh"),
    ("math.is_nan", "IsNan", "Isnan", "isnan"),
    ("math.is_inf", "IsInf", "Isinf", "isinf"),
    ("math.is_finite", "IsFinite", "Isfinite", "isfinite"),
    ("math.real", "Real", "Real", "real"),
    ("math.conj", "Conj", "Conjugate", "conjugate"),
)
for _names, _nodes, _class, _apply in _ONE:
    row(_names, *(f"{each}(x)" for each in _nodes.split()), stock=stock.unary(_class), own=False)(_of_one(_apply))
row("math.rsqrt", "Rsqrt(x)", stock=stock.unary("Rsqrt", stock.MATH), own=False)(_of_one("rsqrt"))
row("math.erf", "Erf(x)", stock=stock.unary("Erf", stock.MATH), own=False)(_of_one("erf"))
row("math.erfinv", "Erfinv(x)", stock=stock.unary("Erfinv", stock.MATH), own=False)(_of_one("erfinv"))

_TWO = (
    ("math.subtract __operators__.sub subtract", "Sub", "Subtract", "subtract"),
    ("math.multiply __operators__.mul multiply", "Mul", "Multiply", "multiply"),
    ("math.divide math.truediv __operators__.truediv divide truediv", "RealDiv", "Divide", "divide"),
    ("math.floormod math.mod __operators__.mod", "FloorMod", "Mod", "mod"),
    ("math.pow __operators__.pow pow", "Pow", "Power", "power"),
    ("math.maximum maximum", "Maximum", "Maximum", "maximum"),
    ("math.minimum minimum", "Minimum", "Minimum", "minimum"),
    ("math.equal __operators__.eq", "Equal", "Equal", "equal"),
    ("math.not_equal __operators__.ne", "NotEqual", "NotEqual", "not_equal"),
    ("math.greater __operators__.gt", "Greater", "Greater", "greater"),
    ("math.greater_equal __operators__.ge", "GreaterEqual", "GreaterEqual", "greater_equal"),
    ("math.less __operators__.lt", "Less", "Less", "less"),
    ("math.less_equal __operators__.le", "LessEqual", "LessEqual", "less_equal"),
    ("math.logical_and __operators__.and", "LogicalAnd", "LogicalAnd", "logical_and"),
    ("math.logical_or __operators__.or", "LogicalOr", "LogicalOr", "logical_or"),
)
for _names, _node, _class, _apply in _TWO:
    row(_names, f"{_node}(x, y)", stock=stock.binary(_class), own=False)(_of_two(_apply))


@row("math.add __operators__.add add", "AddV2(x, y)", "Add(x, y)", stock=stock.added)
def add(x: Any, y: Any) -> Any:
    x, y = both(x, y)
    # Keras may take y for a bias on TensorFlow; see kio.layers.first.
    return ops.subtract(x, ops.negative(y))


@row(
    "math.floordiv __operators__.floordiv floor_div compat.v1.floor_div",
    "FloorDiv(x, y)",
    stock=stock.binary("FloorDivide"),
)
def floor_div(x: Any, y: Any) -> Any:
    x = tensor(x, like=y if is_tensor(y) else None)
    return ops.floor_divide(x, tensor(y, like=x))


@row("math.add_n math.accumulate_n add_n", "AddN(*inputs)")
def add_n(inputs: Any, shape: Any = None, tensor_dtype: Any = None) -> Any:
    # Shape and dtype say what the tensors are, nothing that would change them.
    inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    total = tensor(inputs[0])
    for each in inputs[1:]:
        total = ops.add(total, tensor(each, like=total))
    return total


@row("math.squared_difference compat.v1.squared_difference", "SquaredDifference(x, y)")
def squared_difference(x: Any, y: Any) -> Any:
    return ops.square(ops.subtract(tensor(x, like=None if plain(y) else y), tensor(y, like=None if plain(x) else x)))


@row("math.divide_no_nan compat.v1.div_no_nan", "DivNoNan(x, y)")
def divide_no_nan(x: Any, y: Any) -> Any:
    x, y = both(x, y)
    zero = ops.equal(y, 0)
    made = ops.divide(x, ops.where(zero, ops.ones_like(y), y))
    return ops.where(zero, ops.zeros_like(made), made)


@row("math.multiply_no_nan", "MulNoNan(x, y)")
def multiply_no_nan(x: Any, y: Any) -> Any:
    x, y = both(x, y)
    return ops.where(ops.equal(y, 0), ops.zeros_like(x), ops.multiply(x, y))


@row("math.reciprocal_no_nan")
def reciprocal_no_nan(x: Any) -> Any:
    zero = ops.equal(x, 0)
    return ops.where(zero, ops.zeros_like(x), ops.reciprocal(ops.where(zero, ops.ones_like(x), x)))


@row("math.xlogy", "Xlogy(x, y)")
def xlogy(x: Any, y: Any) -> Any:
    x, y = both(x, y)
    return ops.where(ops.equal(x, 0), ops.zeros_like(x), ops.multiply(x, ops.log(y)))


@row("math.xlog1py", "Xlog1py(x, y)")
def xlog1py(x: Any, y: Any) -> Any:
    x, y = both(x, y)
    return ops.where(ops.equal(x, 0), ops.zeros_like(x), ops.multiply(x, ops.log1p(y)))


@row("math.xdivy", "Xdivy(x, y)")
def xdivy(x: Any, y: Any) -> Any:
    x, y = both(x, y)
    return ops.where(ops.equal(x, 0), ops.zeros_like(x), ops.divide(x, y))


@row("math.imag compat.v1.imag", "Imag(input)")
def imag(input: Any) -> Any:
    # torch has none of real numbers.
    return ops.imag(input) if "complex" in str(input.dtype) else ops.zeros_like(input)


@row("math.atan2", "Atan2(y, x)")
def atan2(y: Any, x: Any) -> Any:
    y, x = both(y, x)
    return ops.arctan2(y, x)


@row("math.scalar_mul compat.v1.math.scalar_mul")
def scalar_mul(scalar: Any, x: Any) -> Any:
    scalar, x = both(scalar, x)
    return ops.multiply(scalar, x)


@row("math.polyval")
def polyval(coeffs: Any, x: Any) -> Any:
    total = ops.zeros_like(x)
    for each in coeffs:
        total = total * x + tensor(each, like=x)
    return total


@row("math.erfc", "Erfc(x)")
def erfc(x: Any) -> Any:
    return ops.subtract(1.0, ops.erf(x))


@row("math.ndtri", "Ndtri(x)")
def ndtri(x: Any) -> Any:
    return ops.multiply(math.sqrt(2.0), ops.erfinv(ops.subtract(ops.multiply(2.0, x), 1.0)))


@row("math.logical_xor")
def logical_xor(x: Any, y: Any) -> Any:
    return ops.logical_xor(x, tensor(y))


@row("bitwise.bitwise_and", "BitwiseAnd(x, y)")
def bitwise_and(x: Any, y: Any) -> Any:
    return ops.bitwise_and(x, tensor(y, like=x))


@row("bitwise.bitwise_or", "BitwiseOr(x, y)")
def bitwise_or(x: Any, y: Any) -> Any:
    return ops.bitwise_or(x, tensor(y, like=x))


@row("bitwise.bitwise_xor", "BitwiseXor(x, y)")
def bitwise_xor(x: Any, y: Any) -> Any:
    return ops.bitwise_xor(x, tensor(y, like=x))


@row("clip_by_value", "ClipByValue(t, clip_value_min, clip_value_max)", stock=stock.clip)
def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any) -> Any:
    # TensorFlow bounds from above first: where the bounds cross, the lower one holds.
    t = tensor(t)
    return ops.maximum(ops.minimum(t, tensor(clip_value_max, like=t)), tensor(clip_value_min, like=t))


@row("cast", "Cast(x; DstT>dtype)", stock=stock.cast, own=False)
def cast(x: Any, dtype: Any) -> Any:
    return ops.cast(tensor(x), dtype_named(dtype))


@row("dtypes.saturate_cast saturate_cast")
def saturate_cast(value: Any, dtype: Any) -> Any:
    name = keras.backend.standardize_dtype(dtype)
    if name.startswith(("int", "uint")):
        ends = np.iinfo(name)
        # The largest float32 below 2^31: the number itself is not one.
        most = np.float32(ends.max)
        most = np.nextafter(most, np.float32(0)) if int(most) > ends.max else most
        value = ops.clip(value, float(ends.min), float(most))
    return ops.cast(value, name)


@row("where", "SelectV2(condition, x, y)", stock=stock.where, own=False)
def where(condition: Any, x: Any, y: Any) -> Any:
    return ops.where(tensor(condition), *both(x, y))
