"""Nodes of TensorFlow's graphs in the place of layers, as calls of the function with the same meaning.

    {"node_def": {"op": "Mul", "attr": {…}}, "constants": {"1": 2.0}}      config of a TensorFlowOpLayer
    "math.multiply", tensor, {"y": 2.0}                                     what ``tf_rows`` takes

Spec: ``TensorFlowOpLayer`` of tf.keras 2.0 to 2.3; ``node_def.proto`` and ``attr_value.proto`` of TensorFlow.
"""

from __future__ import annotations

import base64
from typing import Any

from kio.errors import CorruptError, shown
from kio.models.eras.rule import Config, refuse

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


def call_of(config: Config, first: Any) -> tuple[str, Any, Config]:
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
    inputs = _inputs(config, first)
    if not 1 <= len(inputs) <= 1 + len(names):
        raise CorruptError(f"inputs of a {op}: expected 1 to {1 + len(names)}, found {len(inputs)}")
    others: Config = dict(zip(names, inputs[1:], strict=False))
    others |= _attributes(definition)
    return function, inputs[0], others


def _inputs(config: Config, first: Any) -> list[Any]:
    """All inputs of a node in order, constants in their places."""
    tensors = first if isinstance(first, list) else [first]
    constants = {str(key): value for key, value in _object(config.get("constants"), "constants").items()}
    total = len(tensors) + len(constants)
    if not constants.keys() <= set(map(str, range(total))):
        found = shown(", ".join(constants))
        raise CorruptError(f"constants of a TensorFlow node: expected places below {total}, found {found}")
    rest = iter(tensors)
    return [constants[str(i)] if str(i) in constants else next(rest) for i in range(total)]


def _object(value: Any, what: str) -> Config:
    """An object that may be left out."""
    if value is not None and not isinstance(value, dict):
        raise CorruptError(f"{what} of a TensorFlow node: expected an object, found {shown(str(value))}")
    return value or {}


def _attributes(definition: Config) -> Config:
    found: Config = {}
    for key, value in _object(definition.get("attr"), "attr").items():
        if key in _ATTRIBUTES and isinstance(value, dict):
            found[_ATTRIBUTES[key]] = _value(key, value)
    return {key: value for key, value in found.items() if value not in (False, [])}


def _value(key: str, value: Config) -> Any:
    """The value of an attribute.

    Raises:
        CorruptError: naming the attribute.
    """
    try:
        return _decoded(value)
    except (TypeError, ValueError) as error:
        raise CorruptError(f"{key} of a TensorFlow node: expected a value, found {shown(str(value))}") from error


def _decoded(value: Config) -> Any:
    inner = next(iter(value.values()), None)
    if "i" in value:
        return int(value["i"])
    if "s" in value:
        return base64.b64decode(value["s"]).decode()
    return [int(each) for each in inner.get("i", [])] if isinstance(inner, dict) else inner


def _joined(op: str, definition: Config, config: Config, first: Any) -> tuple[str, Any, Config]:
    inputs = _inputs(config, first)
    if op == "Pack":
        axis = _object(_object(definition.get("attr"), "attr").get("axis"), "axis")
        return "stack", inputs, {"axis": _value("axis", {"i": axis.get("i", 0)})}
    return "concat", inputs[:-1], {"axis": inputs[-1]}
