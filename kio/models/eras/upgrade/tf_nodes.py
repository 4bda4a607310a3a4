"""Nodes of TensorFlow's graphs in the place of layers, as calls of the function with the same meaning.

    {"node_def": {"op": "Mul", "attr": {…}}, "constants": {"1": 2.0}}      config of a TensorFlowOpLayer
    "math.multiply", tensor, {"y": 2.0}                                     what a row of ``kio.ops`` takes

Spec: ``TensorFlowOpLayer`` of tf.keras 2.0 to 2.3; ``node_def.proto`` and ``attr_value.proto`` of TensorFlow.
"""

from __future__ import annotations

import base64
from typing import Any

from kio.errors import CorruptError, shown
from kio.models.eras.rule import Config, refuse
from kio.ops.table import NODES, Node, Row, node


def call_of(config: Config, first: Any) -> tuple[str, Any, Config]:
    """Function and arguments of a node of a graph."""
    definition = config.get("node_def")
    if not isinstance(definition, dict):
        raise refuse("node_def", "an object, as TensorFlow 2.2 and later write it", shown(str(definition)))
    op = str(definition.get("op"))
    row = NODES.get(op)
    if row is None or not row.names:
        raise refuse("node of a TensorFlow graph", "one that Keras 3 has as an operation", op)
    named = node(op)
    inputs = _inputs(config, first)
    said = named.bind(inputs, _attributes(definition, named, row))
    front = next(iter(row.parameters))
    if front not in said:
        raise CorruptError(f"inputs of a {op}: expected {', '.join(named.inputs)}, found {len(inputs)}")
    return row.names[0], said.pop(front), said


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


def _attributes(definition: Config, named: Node, row: Row) -> Config:
    """Plain values of a node's attributes; those that only say a type or a count as they are."""
    found: Config = {}
    for key, value in _object(definition.get("attr"), "attr").items():
        parameter = named.attributes.get(key)
        found[key] = value if parameter is None else _value(key, _object(value, key))
        # What says no more than the function's own default is left out.
        if parameter is not None and (found[key] == [] or (found[key] is False and not row.parameters[parameter])):
            del found[key]
    return found


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
