"""The rows of ``tf_ops``: what each TensorFlow function is in Keras 3.

A row takes the arguments of a call one by one and gives the operation with the same meaning;
an argument that no row takes, or at which Keras's operation means something else, is refused.

Spec: the API of TensorFlow 2; ``keras.ops`` of Keras 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kio.keras_private import ops
from kio.models.eras.rule import Config, refuse
from kio.models.eras.upgrade import tf_slices
from kio.models.eras.upgrade.graph import array, holds_tensor

_ROOMS = ("numpy", "nn", "math", "core", "image", "linalg")
_NUMPY, _NN, _MATH, _CORE, _IMAGE, _LINALG = map(ops, _ROOMS)

Op = tuple[str, str, Config, list[Any], Config]  # module, class, arguments of the class, of the call
Make = Callable[["Arguments"], Op]


class Arguments:
    """The arguments of a TensorFlow function, taken one by one; what is left over is refused."""

    def __init__(self, function: str, first: Any, others: Config) -> None:
        self.function = function
        self._first: list[Any] = [first]
        self._others = {key: value for key, value in others.items() if key != "name"}

    def first(self) -> Any:
        """The first argument, tensors or a constant."""
        value = self._first[0]
        return value if holds_tensor(value) else array(value)

    def take(self, *names: str, default: Any = None) -> Any:
        """An argument under any of its names."""
        for name in names:
            if name in self._others:
                return self._others.pop(name)
        return default

    def operand(self, *names: str) -> Any:
        """Another operand beside the first: a tensor, a number, or a constant array."""
        return array(self.take(*names))

    def constant(self, *names: str, default: Any = None) -> Any:
        """An argument that must not depend on the input."""
        value = self.take(*names, default=default)
        if holds_tensor(value):
            raise refuse(f"{names[0]} of {self.function}", "a constant", "a tensor")
        return value

    def must(self, value: Any, *names: str) -> None:
        """Take an argument that Keras's operation does not have; it must be at its default."""
        found = self.take(*names, default=value)
        if found != value and found is not None:
            raise refuse(f"{names[0]} of {self.function}", repr(value), found)

    def end(self) -> None:
        left = {key: value for key, value in self._others.items() if value is not None}
        if left:
            key, value = next(iter(left.items()))
            raise refuse(f"{key} of {self.function}", "no such argument", value)


# ------------------------------------------------------------------------------ kinds of rows


def _unary(cls: str, module: str = _NUMPY) -> Make:
    def make(a: Arguments) -> Op:
        return module, cls, {}, [a.first()], {}

    return make


def _transpose(a: Arguments) -> Op:
    a.must(False, "conjugate")
    return _NUMPY, "Transpose", {"axes": a.constant("perm")}, [a.first()], {}


def _binary(cls: str) -> Make:
    def make(a: Arguments) -> Op:
        # Of bias_add: with channels last a bias is just added.
        if a.take("data_format", default="NHWC") not in ("NHWC", "NWC", "NDHWC", None):
            raise refuse(f"data_format of {a.function}", "channels last", "channels first")
        return _NUMPY, cls, {}, [a.first(), a.operand("y", "bias")], {}

    return make


def _added(a: Arguments) -> Op:
    made = _binary("Add")(a)
    if keras.config.backend() == "tensorflow" and any(not isinstance(each, (int, float)) for each in made[3][1:]):
        # There Keras takes what broadcasts for a bias, and adds it along another axis if the sizes allow it.
        raise refuse(f"operand of {a.function}", "a number", "a tensor")
    return made


def _reduced(cls: str, module: str = _NUMPY) -> Make:
    def make(a: Arguments) -> Op:
        axis = a.constant("axis", "reduction_indices")
        keep = bool(a.constant("keepdims", "keep_dims", default=False))
        return module, cls, {"axis": axis, "keepdims": keep}, [a.first()], {}

    return make


def _with(cls: str, module: str, **arguments: tuple[Any, ...]) -> Make:
    """Arguments of Keras's class, each with the names in TensorFlow and a default at the end."""

    def make(a: Arguments) -> Op:
        made = {key: a.constant(*names, default=default) for key, (*names, default) in arguments.items()}
        return module, cls, made, [a.first()], {}

    return make


# ------------------------------------------------------------------------------ single rows


def _softmax(cls: str) -> Make:
    def make(a: Arguments) -> Op:
        axis = a.constant("axis", default=-1)
        return _NN, cls, {"axis": -1 if axis is None else axis}, [a.first()], {}

    return make


def _cast(a: Arguments) -> Op:
    dtype = str(a.constant("dtype", "DstT", default="float32"))
    name = dtype.removeprefix("DT_").lower()
    return (
        _CORE,
        "Cast",
        {"dtype": {"float": "float32", "half": "float16", "double": "float64"}.get(name, name)},
        [a.first()],
        {},
    )


def _argument(cls: str) -> Make:
    def make(a: Arguments) -> Op:
        # NumPy goes through the flattened array by default, TensorFlow along the first axis.
        axis = a.constant("axis", "dimension", default=0)
        a.take("output_type")
        return _NUMPY, cls, {"axis": 0 if axis is None else axis}, [a.first()], {}

    return make


def _matmul(a: Arguments) -> Op:
    for flag in (
        "transpose_a",
        "transpose_b",
        "adjoint_a",
        "adjoint_b",
        "a_is_sparse",
        "b_is_sparse",
        "adj_x",
        "adj_y",
    ):
        a.must(False, flag)
    return _NUMPY, "Matmul", {}, [a.first(), a.operand("b", "y")], {}


def _clip(a: Arguments) -> Op:
    low, high = a.constant("clip_value_min"), a.constant("clip_value_max")
    return _NUMPY, "Clip", {"x_min": low, "x_max": high}, [a.first()], {}


def _one_hot(a: Arguments) -> Op:
    if keras.config.backend() in ("torch", "numpy"):
        raise refuse("tf.one_hot", "a backend on which an index beyond depth is nothing", keras.config.backend())
    a.must(1, "on_value")
    a.must(0, "off_value")
    axis = a.constant("axis", default=-1)
    made = {"num_classes": a.constant("depth"), "axis": -1 if axis is None else axis}
    return _NN, "OneHot", made | {"dtype": a.constant("dtype") or "float32"}, [a.first()], {}


def _gather(a: Arguments) -> Op:
    a.must(0, "batch_dims")
    a.take("validate_indices")
    axis = a.constant("axis", default=0)
    return _NUMPY, "Take", {"axis": 0 if axis is None else axis}, [a.first(), a.operand("indices")], {}


def _pad(a: Arguments) -> Op:
    mode = str(a.constant("mode", default="CONSTANT")).lower()
    if mode == "symmetric":
        raise refuse(f"mode of {a.function}", "one that all backends have alike", mode)
    value = a.constant("constant_values", default=0)
    made = {"pad_width": a.constant("paddings"), "mode": mode}
    return _NUMPY, "Pad", made, [a.first()], {"constant_values": value} if mode == "constant" and value else {}


def _normalize(a: Arguments) -> Op:
    epsilon = a.constant("epsilon", default=1e-12)
    if not isinstance(epsilon, (int, float)) or epsilon < 0:
        raise refuse(f"epsilon of {a.function}", "a number that is not negative", epsilon)
    # TensorFlow bounds the square of the norm.
    made = {"axis": a.constant("axis", "dim"), "order": 2, "epsilon": epsilon**0.5}
    return _NN, "Normalize", made, [a.first()], {}


def _resize(a: Arguments) -> Op:
    a.must(False, "preserve_aspect_ratio")
    method = str(a.constant("method", default="bilinear"))
    if method not in ("bilinear", "nearest"):
        raise refuse(f"method of {a.function}", "one that all backends have alike", method)
    if method == "bilinear" and a.take("antialias"):
        raise refuse(f"antialias of {a.function}", "False", True)
    made = {"size": a.constant("size"), "interpolation": method, "data_format": "channels_last"}
    return _IMAGE, "Resize", made | {"antialias": bool(a.constant("antialias", default=False))}, [a.first()], {}


def _split(a: Arguments) -> Op:
    a.must(None, "num")
    parts, axis = a.constant("num_or_size_splits"), a.constant("axis", default=0)
    if isinstance(parts, list):
        if not all(isinstance(part, int) and part >= 0 for part in parts):
            raise refuse(f"num_or_size_splits of {a.function}", "sizes", parts)
        # Keras, as NumPy, wants the places between the parts.
        parts = [sum(parts[: i + 1]) for i in range(len(parts) - 1)]
    return _NUMPY, "Split", {"indices_or_sections": parts, "axis": axis}, [a.first()], {}


def _getitem(a: Arguments) -> Op:
    key = a.take("slice_spec", default=None)
    a.take("var")
    if holds_tensor(key):
        raise refuse(f"slices of {a.function}", "constants", "a tensor")
    axis = tf_slices.reversed_axis(key)
    if axis is not None:
        # Not every backend has steps backwards.
        return _NUMPY, "Flip", {"axis": axis}, [a.first()], {}
    if tf_slices.turned(key):
        raise refuse(f"slices of {a.function}", "steps forward, which all backends have", "steps backward")
    found = tf_slices.todays(key)
    # Keras takes a tuple of slices; one alone stands for the first axis.
    return _NUMPY, "GetItem", {}, [a.first(), [found] if isinstance(found, dict) else found], {}


def _einsum(a: Arguments) -> Op:
    inputs = a.take("inputs", default=[])
    inputs = inputs if isinstance(inputs, list) else [inputs]
    if not inputs:
        # The operands stood behind a star, and tf.keras stored only what has a name.
        raise refuse(f"operands of {a.function}", "tensors", "none: TensorFlow's Keras did not save them")
    return _NUMPY, "Einsum", {"subscripts": a.first()}, inputs, {}


def _where(a: Arguments) -> Op:
    return _NUMPY, "Where", {}, [a.first(), a.operand("x"), a.operand("y")], {}


def _solve(a: Arguments) -> Op:
    a.must(False, "adjoint")
    return _LINALG, "Solve", {}, [a.first(), a.operand("rhs")], {}


def _cumsum(a: Arguments) -> Op:
    a.must(False, "exclusive")
    a.must(False, "reverse")
    return _NUMPY, "Cumsum", {"axis": a.constant("axis", default=0)}, [a.first()], {}


def _silu(a: Arguments) -> Op:
    a.must(1.0, "beta")
    return _NN, "Silu", {}, [a.first()], {}


FUNCTIONS: dict[str, Make] = {
    **{name: _binary(cls) for names, cls in (
        ("nn.bias_add", "Add"),
        ("math.subtract __operators__.sub subtract", "Subtract"),
        ("math.multiply __operators__.mul multiply", "Multiply"),
        ("math.divide math.truediv __operators__.truediv divide truediv", "Divide"),
        ("math.floordiv __operators__.floordiv floor_div", "FloorDivide"),
        ("math.floormod math.mod __operators__.mod", "Mod"),
        ("math.pow __operators__.pow pow", "Power"),
        ("math.maximum maximum", "Maximum"), ("math.minimum minimum", "Minimum"),
        ("math.equal __operators__.eq", "Equal"), ("math.not_equal __operators__.ne", "NotEqual"),
        ("math.greater __operators__.gt", "Greater"), ("math.greater_equal __operators__.ge", "GreaterEqual"),
        ("math.less __operators__.lt", "Less"), ("math.less_equal __operators__.le", "LessEqual"),
        ("math.logical_and __operators__.and", "LogicalAnd"), ("math.logical_or __operators__.or", "LogicalOr"),
    ) for name in names.split()},
    **{name: _unary(cls) for names, cls in (
        ("math.abs __operators__.abs abs", "Absolute"), ("math.exp exp", "Exp"), ("math.log log", "Log"),
        ("math.sqrt sqrt", "Sqrt"), ("math.square square", "Square"), ("math.negative __operators__.neg", "Negative"),
        ("math.sign sign", "Sign"), ("math.sin sin", "Sin"), ("math.cos cos", "Cos"), ("math.tan tan", "Tan"),
        ("math.tanh nn.tanh tanh", "Tanh"), ("math.floor floor", "Floor"), ("math.ceil", "Ceil"),
        ("math.reciprocal", "Reciprocal"), ("math.log1p", "Log1p"), ("math.expm1", "Expm1"),
        ("math.logical_not __operators__.invert", "LogicalNot"), ("math.cosh", "Cosh"), ("math.sinh", "Sinh"),
        ("math.atan", "Arctan"), ("math.rint math.round round", "Round"), ("math.asin", "Arcsin"),
        ("math.acos", "Arccos"),
        ("math.asinh", "Arcsinh"), ("math.acosh", "Arccosh"), ("math.atanh", "Arctanh"), ("math.is_nan", "Isnan"),
        ("math.is_inf", "Isinf"), ("math.is_finite", "Isfinite"), ("math.real", "Real"),
        ("math.conj", "Conjugate"),
    ) for name in names.split()},
    **{name: _unary(cls, _NN) for name, cls in (
        ("nn.relu", "Relu"), ("nn.relu6", "Relu6"), ("nn.elu", "Elu"), ("nn.selu", "Selu"),
        ("math.sigmoid", "Sigmoid"), ("nn.sigmoid", "Sigmoid"), ("sigmoid", "Sigmoid"),
        ("math.softplus", "Softplus"), ("nn.softplus", "Softplus"), ("nn.softsign", "Softsign"),
    )},
    **{name: _reduced(cls) for name, cls in (
        ("math.reduce_mean", "Mean"), ("math.reduce_sum", "Sum"), ("math.reduce_max", "Max"),
        ("math.reduce_min", "Min"), ("math.reduce_prod", "Prod"), ("math.reduce_any", "Any"),
        ("math.reduce_all", "All"), ("math.reduce_std", "Std"), ("math.reduce_variance", "Var"),
    )},
    **dict.fromkeys(("math.add", "__operators__.add", "add"), _added),
    "math.reduce_logsumexp": _reduced("Logsumexp", _MATH),
    "math.rsqrt": _unary("Rsqrt", _MATH),
    "math.erf": _unary("Erf", _MATH),
    "math.erfinv": _unary("Erfinv", _MATH),
    "math.log_sigmoid": _unary("LogSigmoid", _NN),
    "linalg.det": _unary("Det", _LINALG),
    "linalg.cholesky": _unary("Cholesky", _LINALG),
    "linalg.solve": _solve,
    "stop_gradient": _unary("StopGradient", _CORE),
    "nn.silu": _silu,
    "nn.swish": _silu,
    "nn.softmax": _softmax("Softmax"),
    "nn.log_softmax": _softmax("LogSoftmax"),
    "nn.leaky_relu": _with("LeakyRelu", _NN, negative_slope=("alpha", 0.2)),
    "nn.gelu": _with("Gelu", _NN, approximate=("approximate", False)),
    "reshape": _with("Reshape", _NUMPY, newshape=("shape", None)),
    "expand_dims": _with("ExpandDims", _NUMPY, axis=("axis", "dim", None)),
    "squeeze": _with("Squeeze", _NUMPY, axis=("axis", "squeeze_dims", None)),
    "transpose": _transpose,
    "concat": _with("Concatenate", _NUMPY, axis=("axis", 0)),
    "stack": _with("Stack", _NUMPY, axis=("axis", 0)),
    "unstack": _with("Unstack", _CORE, num=("num", None), axis=("axis", 0)),
    "tile": _with("Tile", _NUMPY, repeats=("multiples", None)),
    "repeat": _with("Repeat", _NUMPY, repeats=("repeats", None), axis=("axis", None)),
    "reverse": _with("Flip", _NUMPY, axis=("axis", None)),
    "roll": _with("Roll", _NUMPY, shift=("shift", None), axis=("axis", None)),
    "zeros_like": _with("ZerosLike", _NUMPY, dtype=("dtype", None)),
    "ones_like": _with("OnesLike", _NUMPY, dtype=("dtype", None)),
    "split": _split,
    "cast": _cast,
    "one_hot": _one_hot,
    "clip_by_value": _clip,
    "gather": _gather,
    "pad": _pad,
    "where": _where,
    "einsum": _einsum,
    "linalg.matmul": _matmul,
    "matmul": _matmul,
    "linalg.l2_normalize": _normalize,
    "math.l2_normalize": _normalize,
    "nn.l2_normalize": _normalize,
    "math.argmax": _argument("Argmax"),
    "math.argmin": _argument("Argmin"),
    "math.cumsum": _cumsum,
    "image.resize": _resize,
    "__operators__.getitem": _getitem,
}  # fmt: skip
