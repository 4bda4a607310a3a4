"""Masks of tf.keras models mean what they meant: literal values, on the backend of the day."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402

pytestmark = pytest.mark.keras

STEPS = np.array([[[1], [0], [2]]], "float32")


def layer(kind: str, name: str, calls: list[Any], **config: Any) -> dict[str, Any]:
    """A layer as tf.keras stored it; each call is a list of places or of ``(place, {arguments})``."""
    nodes = [
        [[*(p if isinstance(p, list) else [p, 0, 0])[:3], arguments] for p in places]
        for places, arguments in (call if isinstance(call, tuple) else (call, {}) for call in calls)
    ]
    return {"class_name": kind, "config": {"name": name, **config}, "name": name, "inbound_nodes": nodes}


def source(name: str, shape: list[Any], dtype: str = "float32") -> dict[str, Any]:
    return layer("InputLayer", name, [], batch_input_shape=shape, dtype=dtype)


def functional(layers: list[Any], inputs: list[str], outputs: list[Any], name: str = "model") -> dict[str, Any]:
    return {
        "class_name": "Functional",
        "config": {
            "name": name,
            "layers": layers,
            "input_layers": [[each, 0, 0] for each in inputs],
            "output_layers": [each if isinstance(each, list) else [each, 0, 0] for each in outputs],
        },
    }


def built(config: dict[str, Any], version: str = "2.12.0", fill: float | None = None, **options: Any) -> Any:
    """The model that kio makes of it; all weights of one value, biases 0.5."""
    model = kio.model_from_json(json.dumps({**config, "keras_version": version, "backend": "tensorflow"}), **options)
    if fill is not None:
        model.set_weights([np.full(w.shape, 0.5 if "bias" in w.path else fill, "float32") for w in model.weights])
    return model


def run(model: Any, *xs: Any) -> list[Any]:
    made = model(list(xs) if len(xs) > 1 else xs[0], training=False)
    return [keras.ops.convert_to_numpy(y) for y in (made if isinstance(made, (list, tuple)) else [made])]


def kinds(model: Any) -> dict[str, str]:
    """Module and class of each layer, by its name."""
    return {each.name: f"{type(each).__module__.split('.')[0]}.{type(each).__name__}" for each in model.layers}


ONE = {"units": 1, "activation": "linear", "return_sequences": True}


@pytest.mark.parametrize("keyword", [False, True])
def test_a_mask_is_kept_beside_a_state(keyword: bool) -> None:
    call = (["masking"], {"initial_state": [["state", 0, 0]]}) if keyword else ["masking", "state"]
    config = functional(
        [
            source("x", [None, 3, 1]),
            source("state", [None, 1]),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            layer("SimpleRNN", "rnn", [call], **ONE),
        ],
        ["x", "state"],
        ["rnn"],
    )
    model = built(config, fill=1.0)
    (y,) = run(model, STEPS, np.array([[10.0]], "float32"))
    np.testing.assert_allclose(y.ravel(), [11.5, 11.5, 14.0])
    assert kinds(model)["rnn"] == "kio.SimpleRNN"


def test_both_directions_keep_the_mask_beside_their_states() -> None:
    inner = {"class_name": "SimpleRNN", "config": {"name": "rnn", **ONE}}
    config = functional(
        [
            source("x", [None, 3, 1]),
            source("a", [None, 1]),
            source("b", [None, 1]),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            layer("Bidirectional", "both", [["masking", "a", "b"]], layer=inner, merge_mode="concat"),
        ],
        ["x", "a", "b"],
        ["both"],
    )
    model = built(config, fill=1.0)
    (y,) = run(model, STEPS, np.array([[10.0]], "float32"), np.array([[20.0]], "float32"))
    # Both directions give zeros at masked steps.
    np.testing.assert_allclose(y[0], [[11.5, 24.0], [0.0, 0.0], [14.0, 22.5]])


@pytest.mark.filterwarnings("ignore:(.|\n)*of type Functional.*an input with a mask:UserWarning")  # untrue
def test_a_model_called_with_a_mask_keeps_it_inside() -> None:
    inner = functional(
        [source("i", [None, 3, 1]), source("s", [None, 1]), layer("SimpleRNN", "rnn", [["i", "s"]], **ONE)],
        ["i", "s"],
        ["rnn"],
        "inner",
    )
    config = functional(
        [
            source("x", [None, 3, 1]),
            source("state", [None, 1]),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            {**inner, "name": "inner", "inbound_nodes": [[["masking", 0, 0, {}], ["state", 0, 0, {}]]]},
        ],
        ["x", "state"],
        [["inner", 1, 0]],
    )
    model = built(config, fill=1.0)
    (y,) = run(model, STEPS, np.array([[10.0]], "float32"))
    np.testing.assert_allclose(y.ravel(), [11.5, 11.5, 14.0])


def test_without_a_mask_the_layers_are_those_of_keras() -> None:
    config = functional(
        [
            source("x", [None, 3, 1]),
            source("state", [None, 1]),
            layer("SimpleRNN", "rnn", [["x", "state"]], **ONE),
        ],
        ["x", "state"],
        ["rnn"],
    )
    assert kinds(built(config))["rnn"] == "keras.SimpleRNN"


def test_a_mask_by_name_goes_before_the_one_that_comes_along() -> None:
    config = functional(
        [
            source("x", [None, 3, 1]),
            source("state", [None, 1]),
            source("mask", [None, 3], "bool"),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            layer("SimpleRNN", "rnn", [(["masking", "state"], {"mask": ["mask", 0, 0]})], **ONE),
        ],
        ["x", "state", "mask"],
        ["rnn"],
    )
    model = built(config, fill=1.0)
    (y,) = run(model, STEPS, np.array([[10.0]], "float32"), np.array([[False, True, True]]))
    # Before the first step that counts there is nothing.
    np.testing.assert_allclose(y.ravel(), [0.0, 10.5, 13.0])
