"""Configurations of older Keras with something in them that Keras did not write: always an error that says so."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("keras")

import kio
from kio.errors import CorruptError, FormatError
from tests.hostile.test_old_configs import h5, layer

pytestmark = pytest.mark.keras

# What may stand in the place of anything else in JSON.
ODD = [None, -1, 1.5, "x", [], {}, [1, 2], ["a"], {"a": 1}, {"class_name": 5}, True, 10**30, [["x", 0, 0, {}]], [[]]]


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value in parsed JSON."""
    if above:
        yield above
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in rows:
        yield from places(inner, (*above, key))


def old_model() -> tuple[dict[str, Any], dict[str, Any]]:
    """A functional model of tf.keras with what its layers may hold, and what it was compiled with."""
    stated = {"class_name": "GlorotUniform", "config": {"seed": None, "dtype": "float32"}}
    dense = layer("Dense", units=4, activation="relu", kernel_initializer=stated, bias_constraint=None,
                  kernel_regularizer={"class_name": "L2", "config": {"l2": 0.1}}, dtype="float32")  # fmt: skip
    nested = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer("Activation", activation="tanh")]}}
    spread = {"class_name": "Bidirectional", "config": {"name": "b", "layer": layer("LSTM", units=2)}}
    node = {"class_name": "TensorFlowOpLayer", "config": {"name": "n", "node_def": {"op": "Mul", "attr": {}},
                                                          "constants": {"1": 2.0}}}  # fmt: skip
    called = [[["x", 0, 0, {}]]]
    rows = [{"name": "x", "class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 4]},
             "inbound_nodes": []}]  # fmt: skip
    rows += [{**each, "name": name, "inbound_nodes": called} for name, each in
             (("l", dense), ("s", nested), ("b", spread), ("n", node))]  # fmt: skip
    for i, (function, arguments) in enumerate(
        (
            ("__operators__.getitem", {"slice_spec": [{"start": None, "stop": None, "step": -1}, {"start": 1}]}),
            ("split", {"num_or_size_splits": [1, 3], "axis": 1}),
            ("nn.l2_normalize", {"epsilon": 1e-6, "axis": 1}),
            ("math.squared_difference", {"y": 1.0}),
        )
    ):
        row = {"class_name": "TFOpLambda", "config": {"name": f"f{i}", "function": function}, "name": f"f{i}"}
        rows.append({**row, "inbound_nodes": [["x", 0, 0, arguments]]})
    inner = {"name": "m", "layers": rows, "input_layers": [["x", 0, 0]], "output_layers": [["l", 0, 0]]}
    optimizer = {"class_name": "Adam", "config": {"lr": 0.1, "decay": 0.1, "clipnorm": 1.0}}
    training = {"loss": {"l": "mse"}, "metrics": ["acc"], "optimizer_config": optimizer, "loss_weights": None}
    return {"class_name": "Functional", "config": inner}, training


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_something_else_in_every_place(odd: Any) -> None:
    """The upgrader reads a configuration as Keras wrote it; what is none must not make it stumble."""
    from kio.models.allowlist import Resolver
    from kio.models.builder.configs import upgraded
    from kio.models.eras.upgrade import Era

    seen = 0
    for way in places(list(old_model())):
        both: Any = copy.deepcopy(old_model())
        *above, last = way
        held = both
        for key in above:
            held = held[key]
        if held is both:
            continue
        held[last] = copy.deepcopy(odd)
        with contextlib.suppress(FormatError):
            upgraded(both[0], Resolver(), Era((2, 2), "2.2.4-tf"), training=both[1])
        seen += 1
    assert seen > 150


@pytest.mark.parametrize(
    "node",
    [
        {"node_def": {"op": "Mul", "attr": []}},
        {"node_def": {"op": "Mul"}, "constants": [1, 2]},
        {"node_def": {"op": "Mul"}, "constants": {"q": 1}},
        {"node_def": {"op": "Mul"}, "constants": {"-1": 1}},
        {"node_def": {"op": "Mul"}, "constants": {"1": 1, "2": 1}},
        {"node_def": {"op": "Pack", "attr": {"axis": ["x"]}}},
        {"node_def": {"op": "Pack", "attr": {"axis": {"i": "x"}}}},
    ],
)
def test_nodes_of_graphs_that_tensorflow_did_not_write(node: Any) -> None:
    rows = [{"name": "x", "class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 4]},
             "inbound_nodes": []},
            {"name": "n", "class_name": "TensorFlowOpLayer", "config": {"name": "n", **node},
             "inbound_nodes": [[["x", 0, 0, {}]]]}]  # fmt: skip
    inner = {"name": "m", "layers": rows, "input_layers": [["x", 0, 0]], "output_layers": [["n", 0, 0]]}
    with pytest.raises(CorruptError, match=r"TensorFlow node|inputs of a Mul"):
        kio.load_model(h5({"class_name": "Functional", "config": inner}, "2.2.4-tf"))
