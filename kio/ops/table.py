"""The table of TensorFlow's operations: one row each, found by the name in the API or in a graph.

A row is a function in ``keras.ops`` with what is known about it::

    @row("math.squared_difference compat.v1.squared_difference", "SquaredDifference(x, y)")
    def squared_difference(x, y): …

    names     without ``tf.``; ``compat.v1.`` is part of a name
    nodes     nodes of graphs that compute the same: "Mean(input_tensor, axis; keep_dims>keepdims)"
              inputs by the names of the function's parameters, ``*`` before one that takes several;
              behind ``;`` attributes, ``attribute>parameter`` where the two differ, and ``=`` a default
              that is not the function's own
    stock     Keras's own operation for a call, if it has one with the same meaning: see ``stock``
    computed  parameters that may be tensors though they are numbers in other rows: shapes
    spec      the output without running the function: where its shape hangs on numbers that a
              symbolic call has not

Whether a parameter must be known when a graph is built, says its name: see ``SIZES``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from kio.errors import CorruptError, UnsupportedError, shown

Function = Callable[..., Any]

# Arguments that only TensorFlow's graphs have a use for.
IDLE = frozenset(
    {"name", "use_cudnn_on_gpu", "validate_indices", "partition_strategy", "out_type", "output_type", "message"}
)
# Attributes of nodes that change no number: types and counts of inputs, hints for gradients and kernels.
_IDLE_ATTRIBUTES = re.compile(
    r"T|T[a-z]+|U|N|SrcT|Index|index_type|shape|Truncate|grad_[abxy]|[ab]_is_sparse|incompatible_shape_error"
    r"|explicit_paddings|_.*"
)
# Parameters that are numbers, not tensors; those that a row calls computed may be tensors, too.
SIZES = frozenset(
    {
        *("axis", "axes", "k", "maxlen", "size", "sizes", "strides", "stride", "ksize", "num_segments", "depth"),
        *("begin", "end", "block_size", "block_shape", "paddings", "crops", "keepdims", "keep_dims", "multiples"),
        *("shape", "dims", "slice_spec", "num_or_size_splits", "perm", "start", "limit", "delta", "minlength"),
        *("offset_height", "offset_width", "target_height", "target_width", "window_shape", "dilations"),
        *("dilation_rate", "rates", "rate", "batch_dims", "num_lower", "num_upper", "ord", "dtype", "padding"),
        *("data_format", "depth_radius", "central_fraction", "repeats", "shift"),
    }
)


class Node(NamedTuple):
    """A node of a graph in terms of a row's parameters.

    Attributes:
        op: Its name in graphs, ``"AddV2"``.
        inputs: The parameter of each input in order.
        several: The place among them that takes all inputs which the others leave; -1 if none does.
        attributes: The parameter of each attribute.
        defaults: Values of attributes that a graph leaves out, where they are not the function's own.
    """

    op: str
    inputs: tuple[str, ...]
    several: int
    attributes: Mapping[str, str]
    defaults: Mapping[str, Any]

    def bind(self, inputs: Sequence[Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a node by the names of the function's parameters.

        Args:
            inputs: All inputs in order, without those that are for control only.
            attributes: Plain values by name.

        Raises:
            CorruptError: for a number of inputs that the operation does not have.
            UnsupportedError: for an attribute that the row does not know.
        """
        names = self.inputs
        if self.several < 0 and not 1 <= len(inputs) <= len(names):
            raise CorruptError(f"inputs of a {self.op}: expected 1 to {len(names)}, found {len(inputs)}")
        if self.several >= 0 and len(inputs) < len(names):
            raise CorruptError(f"inputs of a {self.op}: expected at least {len(names)}, found {len(inputs)}")
        if self.several >= 0:
            end = len(inputs) - (len(names) - self.several - 1)
            inputs = [*inputs[: self.several], list(inputs[self.several : end]), *inputs[end:]]
        made = dict(zip(names, inputs, strict=False)) | dict(self.defaults)
        for key, value in attributes.items():
            if key in self.attributes:
                made[self.attributes[key]] = value
            elif not _IDLE_ATTRIBUTES.fullmatch(key) and key not in IDLE:
                raise UnsupportedError(f"{shown(key)} of a {self.op}: expected no such attribute, found {shown(value)}")
        return made


@dataclass(frozen=True)
class Row:
    """One operation of TensorFlow; see the head of the module.

    Attributes:
        run: Its function in ``keras.ops``, with TensorFlow's arguments.
        own: Whether kio's layer ``TFFunction`` stands for it where Keras's operation does not.
    """

    run: Function
    names: tuple[str, ...]
    nodes: tuple[str, ...]
    stock: Any
    own: bool
    computed: frozenset[str]
    spec: Function | None

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The function's parameters in order, each with its default."""
        return {key: each.default for key, each in inspect.signature(self.run).parameters.items()}

    @cached_property
    def constants(self) -> frozenset[str]:
        """Parameters that must be numbers when a graph is built."""
        return (SIZES & self.parameters.keys()) - self.computed


class Names(Mapping[str, Row]):
    """Rows by one kind of name, each name once."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    def add(self, name: str, row: Row) -> None:
        if name in self._rows:
            raise ValueError(f"{name}: expected one row of the name, found two")
        self._rows[name] = row

    def __getitem__(self, name: str) -> Row:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


FUNCTIONS = Names()  # by names of the API
NODES = Names()  # by names of nodes


def row(
    names: str,
    *nodes: str,
    stock: Any = None,
    own: bool = True,
    computed: str = "",
    spec: Function | None = None,
) -> Callable[[Function], Function]:
    """Put a function into the table.

    Args:
        names: In the API, with spaces between them.
        nodes: Nodes of graphs with their inputs and attributes.
        stock, own, spec: As of ``Row``.
        computed: Names of parameters, with spaces between them.
    """

    def add(function: Function) -> Function:
        made = Row(function, tuple(names.split()), nodes, stock, own, frozenset(computed.split()), spec)
        for name in made.names:
            FUNCTIONS.add(name, made)
        for node in nodes:
            NODES.add(node.partition("(")[0], made)
        return function

    return add


def node(op: str) -> Node:
    """What a row says about a node.

    Raises:
        KeyError: for one that no row has.
    """
    text = next(each for each in NODES[op].nodes if each.startswith(f"{op}("))
    inputs, _, rest = text[len(op) + 1 : -1].partition(";")
    names = [each.strip() for each in inputs.split(",") if each.strip()]
    attributes: dict[str, str] = {}
    defaults: dict[str, Any] = {}
    for each in rest.split(","):
        key, _, default = each.strip().partition("=")
        name, _, parameter = key.partition(">")
        if name:
            attributes[name] = parameter or name
        if default:
            defaults[parameter or name] = float(default)
    several = next((i for i, name in enumerate(names) if name.startswith("*")), -1)
    return Node(op, tuple(name.lstrip("*") for name in names), several, attributes, defaults)
