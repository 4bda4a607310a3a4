"""TensorFlow functions in the place of layers, as operations of Keras 3.

    TFOpLambda          {"function": "math.multiply"}, called with tensors and constants
    SlicingOpLambda     {"function": "__operators__.getitem"}, the slices as dicts
    TensorFlowOpLayer   a node of a graph, its constants by position (TF 2.0 to 2.3)

Every row names the operation of today with the same meaning; what has none is refused.

Spec: ``tf_op_layer.py`` of tf.keras 2.4 to 2.15; the API of TensorFlow 2.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection
from typing import Any

import keras

from kio.errors import CorruptError, shown
from kio.models import eras
from kio.models.upgrade import keras3
from kio.models.upgrade.graph import Calls, array, holds_tensor
from kio.models.upgrade.rule import Config, Context, UpgradeError, refuse

LAYERS = frozenset({"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"})

_ROOMS = ("numpy", "nn", "math", "core", "image", "linalg")
_NUMPY, _NN, _MATH, _CORE, _IMAGE, _LINALG = (f"keras.src.ops.{room}" for room in _ROOMS)

Op = tuple[str, str, Config, list[Any], Config]  # module, class, arguments of the class, of the call
Make = Callable[["_Arguments"], Op]


class _Arguments:
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
    def make(a: _Arguments) -> Op:
        return module, cls, {}, [a.first()], {}

    return make


def _transpose(a: _Arguments) -> Op:
    a.must(False, "conjugate")
    return _NUMPY, "Transpose", {"axes": a.constant("perm")}, [a.first()], {}


def _binary(cls: str) -> Make:
    def make(a: _Arguments) -> Op:
        # Of bias_add: with channels last a bias is just added.
        if a.take("data_format", default="NHWC") not in ("NHWC", "NWC", "NDHWC", None):
            raise refuse(f"data_format of {a.function}", "channels last", "channels first")
        return _NUMPY, cls, {}, [a.first(), a.operand("y", "bias")], {}

    return make


def _added(a: _Arguments) -> Op:
    made = _binary("Add")(a)
    if keras.config.backend() == "tensorflow" and any(not isinstance(each, (int, float)) for each in made[3][1:]):
        # There Keras takes what broadcasts for a bias, and adds it along another axis if the sizes allow it.
        raise refuse(f"operand of {a.function}", "a number", "a tensor")
    return made


def _reduced(cls: str, module: str = _NUMPY) -> Make:
    def make(a: _Arguments) -> Op:
        axis = a.constant("axis", "reduction_indices")
        keep = bool(a.constant("keepdims", "keep_dims", default=False))
        return module, cls, {"axis": axis, "keepdims": keep}, [a.first()], {}

    return make


def _with(cls: str, module: str, **arguments: tuple[Any, ...]) -> Make:
    """Arguments of Keras's class, each with the names in TensorFlow and a default at the end."""

    def make(a: _Arguments) -> Op:
        made = {key: a.constant(*names, default=default) for key, (*names, default) in arguments.items()}
        return module, cls, made, [a.first()], {}

    return make


# ------------------------------------------------------------------------------ single rows


def _softmax(cls: str) -> Make:
    def make(a: _Arguments) -> Op:
        axis = a.constant("axis", default=-1)
        return _NN, cls, {"axis": -1 if axis is None else axis}, [a.first()], {}

    return make


def _cast(a: _Arguments) -> Op:
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
    def make(a: _Arguments) -> Op:
        # NumPy goes through the flattened array by default, TensorFlow along the first axis.
        axis = a.constant("axis", "dimension", default=0)
        a.take("output_type")
        return _NUMPY, cls, {"axis": 0 if axis is None else axis}, [a.first()], {}

    return make


def _matmul(a: _Arguments) -> Op:
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


def _clip(a: _Arguments) -> Op:
    low, high = a.constant("clip_value_min"), a.constant("clip_value_max")
    return _NUMPY, "Clip", {"x_min": low, "x_max": high}, [a.first()], {}


def _one_hot(a: _Arguments) -> Op:
    a.must(1, "on_value")
    a.must(0, "off_value")
    axis = a.constant("axis", default=-1)
    made = {"num_classes": a.constant("depth"), "axis": -1 if axis is None else axis}
    return _NN, "OneHot", made | {"dtype": a.constant("dtype") or "float32"}, [a.first()], {}


def _gather(a: _Arguments) -> Op:
    a.must(0, "batch_dims")
    a.take("validate_indices")
    axis = a.constant("axis", default=0)
    return _NUMPY, "Take", {"axis": 0 if axis is None else axis}, [a.first(), a.operand("indices")], {}


def _pad(a: _Arguments) -> Op:
    mode = str(a.constant("mode", default="CONSTANT")).lower()
    if mode == "symmetric":
        raise refuse(f"mode of {a.function}", "one that all backends have alike", mode)
    value = a.constant("constant_values", default=0)
    made = {"pad_width": a.constant("paddings"), "mode": mode}
    return _NUMPY, "Pad", made, [a.first()], {"constant_values": value} if mode == "constant" and value else {}


def _normalize(a: _Arguments) -> Op:
    # TensorFlow bounds the square of the norm.
    epsilon = float(a.constant("epsilon", default=1e-12)) ** 0.5
    return _NN, "Normalize", {"axis": a.constant("axis", "dim"), "order": 2, "epsilon": epsilon}, [a.first()], {}


def _resize(a: _Arguments) -> Op:
    a.must(False, "preserve_aspect_ratio")
    method = str(a.constant("method", default="bilinear"))
    if method not in ("bilinear", "nearest"):
        raise refuse(f"method of {a.function}", "one that all backends have alike", method)
    if method == "bilinear" and a.take("antialias"):
        raise refuse(f"antialias of {a.function}", "False", True)
    made = {"size": a.constant("size"), "interpolation": method, "data_format": "channels_last"}
    return _IMAGE, "Resize", made | {"antialias": bool(a.constant("antialias", default=False))}, [a.first()], {}


def _split(a: _Arguments) -> Op:
    a.must(None, "num")
    parts, axis = a.constant("num_or_size_splits"), a.constant("axis", default=0)
    if isinstance(parts, list):
        # Keras, as NumPy, wants the places between the parts.
        ends = [sum(parts[: i + 1]) for i in range(len(parts) - 1)]
        if holds_tensor(parts) or any(part < 0 for part in parts):
            raise refuse(f"num_or_size_splits of {a.function}", "sizes", parts)
        parts = ends
    return _NUMPY, "Split", {"indices_or_sections": parts, "axis": axis}, [a.first()], {}


def _getitem(a: _Arguments) -> Op:
    key = a.take("slice_spec", default=None)
    a.take("var")
    if holds_tensor(key):
        raise refuse(f"slices of {a.function}", "constants", "a tensor")
    axis = _reversed_axis(key)
    if axis is not None:
        # Not every backend has steps backwards.
        return _NUMPY, "Flip", {"axis": axis}, [a.first()], {}
    if _turned(key):
        raise refuse(f"slices of {a.function}", "steps forward, which all backends have", "steps backward")
    found = _slices(key)
    # Keras takes a tuple of slices; one alone stands for the first axis.
    return _NUMPY, "GetItem", {}, [a.first(), [found] if isinstance(found, dict) else found], {}


def _reversed_axis(key: Any) -> int | None:
    """The axis that slices turn round and do nothing else to; None for all other slices."""
    parts = [_slices(each) for each in key] if isinstance(key, list) else []
    steps = [p["config"] if isinstance(p, dict) and p["class_name"] == "__slice__" else p for p in parts]
    whole = {"start": None, "stop": None, "step": None}
    turned = [i for i, each in enumerate(steps) if each == {**whole, "step": -1}]
    ellipses = [i for i, each in enumerate(parts) if isinstance(each, dict) and each["class_name"] == "__ellipsis__"]
    if len(turned) != 1 or len(ellipses) > 1:
        return None
    if any(each not in (whole, {**whole, "step": 1}) for i, each in enumerate(steps) if i not in turned + ellipses):
        return None
    return turned[0] - len(parts) if ellipses and ellipses[0] < turned[0] else turned[0]


def _turned(key: Any) -> bool:
    """Whether any of the slices goes backward."""
    parts = key if isinstance(key, list) else [key]
    return any(isinstance(p, dict) and isinstance(p.get("step"), int) and p["step"] < 0 for p in parts)


def _slices(key: Any) -> Any:
    if isinstance(key, list):
        return [_slices(each) for each in key]
    if isinstance(key, dict) and set(key) == {"start", "stop", "step"}:
        return {"class_name": "__slice__", "config": key}
    if isinstance(key, dict) and key.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    return key


def _einsum(a: _Arguments) -> Op:
    inputs = a.take("inputs", default=[])
    inputs = inputs if isinstance(inputs, list) else [inputs]
    if not inputs:
        # The operands stood behind a star, and tf.keras stored only what has a name.
        raise refuse(f"operands of {a.function}", "tensors", "none: TensorFlow's Keras did not save them")
    return _NUMPY, "Einsum", {"subscripts": a.first()}, inputs, {}


def _where(a: _Arguments) -> Op:
    return _NUMPY, "Where", {}, [a.first(), a.operand("x"), a.operand("y")], {}


def _solve(a: _Arguments) -> Op:
    a.must(False, "adjoint")
    return _LINALG, "Solve", {}, [a.first(), a.operand("rhs")], {}


def _cumsum(a: _Arguments) -> Op:
    a.must(False, "exclusive")
    a.must(False, "reverse")
    return _NUMPY, "Cumsum", {"axis": a.constant("axis", default=0)}, [a.first()], {}


def _silu(a: _Arguments) -> Op:
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

# Nodes of graphs: the function with the same meaning, and the names of inputs after the first.
NODES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Add": ("math.add", ("y",)), "AddV2": ("math.add", ("y",)), "BiasAdd": ("nn.bias_add", ("bias",)),
    "Sub": ("math.subtract", ("y",)), "Mul": ("math.multiply", ("y",)), "RealDiv": ("math.divide", ("y",)),
    "Pow": ("math.pow", ("y",)), "Maximum": ("math.maximum", ("y",)), "Minimum": ("math.minimum", ("y",)),
    "Greater": ("math.greater", ("y",)), "Less": ("math.less", ("y",)), "Equal": ("math.equal", ("y",)),
    "MatMul": ("matmul", ("b",)), "BatchMatMul": ("matmul", ("b",)), "BatchMatMulV2": ("matmul", ("b",)),
    "Mean": ("math.reduce_mean", ("axis",)), "Sum": ("math.reduce_sum", ("axis",)),
    "Max": ("math.reduce_max", ("axis",)), "Min": ("math.reduce_min", ("axis",)),
    "Prod": ("math.reduce_prod", ("axis",)), "Reshape": ("reshape", ("shape",)),
    "Transpose": ("transpose", ("perm",)), "ExpandDims": ("expand_dims", ("axis",)), "Tile": ("tile", ("multiples",)),
    "Pad": ("pad", ("paddings",)), "GatherV2": ("gather", ("indices", "axis")), "Cast": ("cast", ()),
    "Abs": ("math.abs", ()), "Exp": ("math.exp", ()), "Log": ("math.log", ()), "Sqrt": ("math.sqrt", ()),
    "Rsqrt": ("math.rsqrt", ()), "Square": ("math.square", ()), "Neg": ("math.negative", ()),
    "Sigmoid": ("nn.sigmoid", ()), "Tanh": ("math.tanh", ()), "Relu": ("nn.relu", ()), "Relu6": ("nn.relu6", ()),
    "Softmax": ("nn.softmax", ()), "LogSoftmax": ("nn.log_softmax", ()), "Softplus": ("nn.softplus", ()),
    "Elu": ("nn.elu", ()), "Selu": ("nn.selu", ()), "Sin": ("math.sin", ()), "Cos": ("math.cos", ()),
    "Floor": ("math.floor", ()), "Squeeze": ("squeeze", ()),
}  # fmt: skip
# Attributes of nodes that are arguments of the function.
_ATTRIBUTES = {"keep_dims": "keepdims", "squeeze_dims": "axis", "DstT": "DstT", "adj_x": "adj_x", "adj_y": "adj_y",
               "transpose_a": "transpose_a", "transpose_b": "transpose_b", "batch_dims": "batch_dims",
               "data_format": "data_format"}  # fmt: skip


def upgrade(node: Config, calls: Calls, context: Context) -> Config:
    """A TensorFlow function as an operation of today.

    Args:
        node: A member of a functional model.
        calls: The calls of that model.
        context: Where to report.

    Raises:
        UpgradeError: naming the function, where Keras has none with its meaning.
    """
    config, stored = node["config"], node.get("inbound_nodes", [])
    made: Config | None = None
    todays = []
    for call in stored:
        first, others = calls.arguments(call)
        if node["class_name"] == "TensorFlowOpLayer":
            function, first, others = _from_graph(config, first)
        else:
            function = str(config.get("function"))
        module, cls, inner, args, kwargs = _operation(function, first, others, context)
        registered = f"kio>{cls}" if module == "kio.layers" else cls
        one = {
            "module": module,
            "class_name": cls,
            "config": {**inner, "name": node["name"]},
            "registered_name": registered,
        }
        if made is not None and made != one:
            raise refuse(f"calls of {node['name']}", "one operation", f"{made['class_name']} and {cls}")
        made = one
        todays.append({"args": args, "kwargs": kwargs})
    if made is None:
        raise refuse(f"calls of {node['name']}", "one at least", "none")
    context.applied["TensorFlow function as an operation of Keras"] += 1
    return {**made, "name": node["name"], "inbound_nodes": todays}


def _operation(function: str, first: Any, others: Config, context: Context) -> Op:
    """The operation of Keras with the meaning of a call, or kio's own where Keras has none.

    Raises:
        UpgradeError: if neither has it; the first of two reasons.
    """
    bare = function if function in FUNCTIONS else function.removeprefix("compat.v1.")
    problem: Exception | None = None
    if bare in FUNCTIONS and not _computed(bare, first, others):
        arguments = _Arguments(function, first, dict(others))
        try:
            made = FUNCTIONS[bare](arguments)
            arguments.end()
            keras3.check_operation(made[0], made[1], made[2], function)
            return made
        except UpgradeError as error:
            problem = error
    if function in _own():
        _own_arguments(function, first, others)
        if "slice_spec" in others and keras3.installed() < eras.PARTS["__ellipsis__"]:
            others["slice_spec"] = _named(others["slice_spec"])
        context.kio_objects.add("TFFunction")
        kwargs = {key: _ellipses(value) for key, value in others.items() if value is not None}
        return "kio.layers", "TFFunction", {"function": function}, [first], kwargs
    raise problem or refuse(
        "function of a TensorFlow layer", "one that Keras 3 or kio has", function,
        "build the model in code and use kio.load_weights",
    )  # fmt: skip


def _ellipses(value: Any) -> Any:
    """``...`` among slices as today's Keras reads it."""
    if isinstance(value, list):
        return [_ellipses(each) for each in value]
    if isinstance(value, dict) and value.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    return value


def _own() -> Collection[str]:
    import kio.layers  # noqa: F401  (fills the table)
    from kio.layers.tf_function import FUNCTIONS as table

    return table


# Functions whose shapes may be computed by other layers, which Keras's operations cannot be told.
_SHAPES = {"reshape": "shape", "tile": "multiples", "__operators__.getitem": "slice_spec"}


def _computed(function: str, first: Any, others: Config) -> bool:
    if function in ("concat", "stack"):
        return isinstance(first, list) and not all(map(holds_tensor, first))
    if function == "__operators__.getitem":
        return holds_tensor(others.get("slice_spec"))
    return function in _SHAPES and holds_tensor(others.get(_SHAPES[function]))


def _named(spec: Any) -> Any:
    """Slices with an ellipsis by a name: Keras before 3.3 cannot read the object that stands for one."""
    if isinstance(spec, dict) and spec.get("class_name") == "__ellipsis__":
        return "..."
    if isinstance(spec, dict) and spec.get("class_name") == "__slice__":
        return spec["config"]
    return [_named(each) for each in spec] if isinstance(spec, list) else spec


def sliced(node: Config, context: Context) -> Config:
    """Keras 3's own slices as TensorFlow's, where the installed Keras cannot read its own."""
    if node.get("class_name") != "GetItem" or keras3.installed() >= eras.PARTS["GetItem"]:
        return node
    calls = []
    for call in node.get("inbound_nodes", []):
        args, kwargs = list(call["args"]), dict(call.get("kwargs") or {})
        key = args.pop() if len(args) > 1 else kwargs.pop("key")
        if holds_tensor(key):
            raise refuse("slices of GetItem", "constants", "a tensor")
        calls.append({"args": args, "kwargs": {**kwargs, "slice_spec": _named(key)}})
    _own()
    context.kio_objects.add("TFFunction")
    inner = {"function": "__operators__.getitem", "name": node["name"]}
    named = {"module": "kio.layers", "class_name": "TFFunction", "registered_name": "kio>TFFunction"}
    return {**named, "config": inner, "name": node["name"], "inbound_nodes": calls}


def _own_arguments(function: str, first: Any, others: Config) -> None:
    """Refuse what kio's functions would have to raise only when they are called."""
    import inspect

    from kio.layers import tf_function as table

    parameters = inspect.signature(table.FUNCTIONS[function]).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    for key, value in [*zip(names[:1], [first], strict=False), *others.items()]:
        if value is None or key in table.IDLE:
            continue
        if key not in names:
            raise refuse(f"{key} of {function}", "no such argument", value)
        if key in table.SIZES and function not in table.COMPUTED and holds_tensor(value):
            raise refuse(f"{key} of {function}", "a constant", "a tensor")


def _from_graph(config: Config, first: Any) -> tuple[str, Any, Config]:
    """Function and arguments of a node of a graph."""
    definition = config.get("node_def")
    if not isinstance(definition, dict):
        raise refuse("node_def", "an object, as TensorFlow 2.2 and later write it", shown(str(definition)))
    op = str(definition.get("op"))
    if op in ("ConcatV2", "Pack"):
        return _joined(op, definition, config, first)
    if op not in NODES:
        raise refuse("node of a TensorFlow graph", "one that Keras 3 has as an operation", op)
    function, names = NODES[op]
    inputs = _inputs(definition, config, first)
    others: Config = dict(zip(names, inputs[1:], strict=False))
    others |= _attributes(definition)
    return function, inputs[0], others


def _inputs(definition: Config, config: Config, first: Any) -> list[Any]:
    """All inputs of a node in order, constants in their places."""
    tensors = first if isinstance(first, list) else [first]
    constants = {int(key): value for key, value in (config.get("constants") or {}).items()}
    total = len(tensors) + len(constants)
    rest = iter(tensors)
    return [constants[i] if i in constants else next(rest) for i in range(total)]


def _attributes(definition: Config) -> Config:
    found: Config = {}
    for key, value in (definition.get("attr") or {}).items():
        name = _ATTRIBUTES.get(key)
        if name is None or not isinstance(value, dict):
            continue
        try:
            found[name] = _decoded(value)
        except (TypeError, ValueError) as error:
            raise CorruptError(f"{key} of a TensorFlow node: expected a value, found {shown(str(value))}") from error
    return {key: value for key, value in found.items() if value not in (False, [])}


def _decoded(value: Config) -> Any:
    inner = next(iter(value.values()), None)
    if "i" in value:
        return int(value["i"])
    if "s" in value:
        return base64.b64decode(value["s"]).decode()
    return [int(each) for each in inner.get("i", [])] if isinstance(inner, dict) else inner


def _joined(op: str, definition: Config, config: Config, first: Any) -> tuple[str, Any, Config]:
    inputs = _inputs(definition, config, first)
    if op == "Pack":
        axis = (definition.get("attr") or {}).get("axis") or {}
        return "stack", inputs, {"axis": int(axis.get("i", 0))}
    return "concat", inputs[:-1], {"axis": inputs[-1]}
