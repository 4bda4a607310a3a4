"""TensorFlow functions in the place of layers, as operations of Keras 3.

    TFOpLambda          {"function": "math.multiply"}, called with tensors and constants
    SlicingOpLambda     {"function": "__operators__.getitem"}, the slices as dicts
    TensorFlowOpLayer   a node of a graph, its constants by position (TF 2.0 to 2.3): ``tf_nodes``

A row of ``kio.ops`` names the operation of today with the same meaning; where it has none the call
becomes kio's own ``TFFunction``, or is refused.

Spec: ``tf_op_layer.py`` of tf.keras 2.4 to 2.15.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kio.models.eras import keras3_adapt, keras3_older
from kio.models.eras.rule import Config, Context, UpgradeError, refuse
from kio.models.eras.upgrade import tf_nodes
from kio.models.eras.upgrade.graph import Calls
from kio.ops import slices
from kio.ops.stock import Arguments, Op, UnlikeError, holds_tensor
from kio.ops.table import IDLE, Row

LAYERS = frozenset({"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"})


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
            function, first, others = tf_nodes.call_of(config, first)
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
    table = _table()
    bare = function.removeprefix("compat.v1.")
    row = table.get(function) or table.get(bare)
    problem: Exception | None = None
    if row is not None and row.stock is not None and not _computed(bare, first, others):
        arguments = Arguments(function, first, dict(others))
        try:
            made: Op = row.stock(arguments)
            arguments.end()
            keras3_adapt.check_operation(made[0], made[1], made[2], function)
            return made
        except UnlikeError as error:
            problem = UpgradeError(str(error))
        except UpgradeError as error:
            problem = error
    if row is not None and row.own and function in table:
        _own_arguments(row, function, first, others)
        if "slice_spec" in others and keras3_adapt.installed() < keras3_older.PARTS["__ellipsis__"]:
            others["slice_spec"] = slices.named(others["slice_spec"])
        context.kio_objects.add("TFFunction")
        kwargs = {key: slices.ellipses(value) for key, value in others.items() if value is not None}
        return "kio.layers", "TFFunction", {"function": function}, [first], kwargs
    raise problem or refuse(
        "function of a TensorFlow layer", "one that Keras 3 or kio has", function,
        "build the model in code and use kio.load_weights",
    )  # fmt: skip


def _table() -> Mapping[str, Row]:
    """TensorFlow's functions by name, and kio's layer that stands for a call of one."""
    import kio.layers  # noqa: F401  (registers TFFunction)
    from kio.ops import FUNCTIONS

    return FUNCTIONS


# Functions whose shapes may be computed by other layers, which Keras's operations cannot be told.
_SHAPES = {"reshape": "shape", "tile": "multiples", "__operators__.getitem": "slice_spec"}


def _computed(function: str, first: Any, others: Config) -> bool:
    if function in ("concat", "stack"):
        return isinstance(first, list) and not all(map(holds_tensor, first))
    if function == "__operators__.getitem":
        return holds_tensor(others.get("slice_spec"))
    return function in _SHAPES and holds_tensor(others.get(_SHAPES[function]))


def sliced(node: Config, context: Context) -> Config:
    """Keras 3's own slices as TensorFlow's, where the installed Keras cannot read its own."""
    if node.get("class_name") != "GetItem" or keras3_adapt.installed() >= keras3_older.PARTS["GetItem"]:
        return node
    calls = []
    for call in node.get("inbound_nodes", []):
        args, kwargs = list(call["args"]), dict(call.get("kwargs") or {})
        key = args.pop() if len(args) > 1 else kwargs.pop("key")
        if holds_tensor(key):
            raise refuse("slices of GetItem", "constants", "a tensor")
        calls.append({"args": args, "kwargs": {**kwargs, "slice_spec": slices.named(key)}})
    _table()
    context.kio_objects.add("TFFunction")
    inner = {"function": "__operators__.getitem", "name": node["name"]}
    named = {"module": "kio.layers", "class_name": "TFFunction", "registered_name": "kio>TFFunction"}
    return {**named, "config": inner, "name": node["name"], "inbound_nodes": calls}


def _own_arguments(row: Row, function: str, first: Any, others: Config) -> None:
    """Refuse what kio's functions would have to raise only when they are called."""
    names = list(row.parameters)
    for key, value in [*zip(names[:1], [first], strict=False), *others.items()]:
        if value is None or key in IDLE:
            continue
        if key not in names:
            raise refuse(f"{key} of {function}", "no such argument", value)
        if key in row.constants and holds_tensor(value):
            raise refuse(f"{key} of {function}", "a constant", "a tensor")
