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


def merged(kind: str, masks: str, **config: Any) -> dict[str, Any]:
    """Two inputs, with masks as the letters say, merged and averaged over the steps that count."""
    sides = []
    for name in ("a", "b"):
        sides += [source(name, [None, 3, 1])]
        if name in masks:
            sides += [layer("Masking", f"masked_{name}", [[name]], mask_value=0.0)]
    places = [f"masked_{name}" if name in masks else name for name in ("a", "b")]
    return functional(
        [
            *sides,
            layer(kind, "merge", [places], **config),
            layer("GlobalAveragePooling1D", "mean", [["merge"]]),
        ],
        ["a", "b"],
        ["mean"],
    )


A, B = np.array([[[1], [0], [1]]], "float32"), np.array([[[1], [1], [0]]], "float32")


@pytest.mark.parametrize(
    ("kind", "masks", "expected"),
    [
        ("Add", "ab", [2.0]),
        ("Add", "a", [1.5]),
        ("Add", "b", [1.5]),
        ("Subtract", "ab", [0.0]),
        ("Subtract", "a", [0.5]),
        ("Average", "ab", [1.0]),
        ("Average", "a", [0.75]),
        ("Multiply", "ab", [1.0]),
        ("Multiply", "a", [0.5]),
        ("Maximum", "ab", [1.0]),
        ("Maximum", "b", [1.0]),
        ("Minimum", "ab", [1.0]),
        ("Minimum", "a", [0.5]),
        ("Concatenate", "ab", [1.0, 1.0]),
        ("Concatenate", "a", [1.0, 0.5]),
    ],
)
def test_merges_count_the_steps_that_all_inputs_count(kind: str, masks: str, expected: list[float]) -> None:
    config = {"axis": -1} if kind == "Concatenate" else {}
    model = built(merged(kind, masks, **config))
    (y,) = run(model, A, B)
    np.testing.assert_allclose(y[0], expected)
    assert kinds(model)["merge"] == f"kio.{kind}"


def test_a_gate_lets_through_what_it_did_at_masked_steps() -> None:
    x = layer("Masking", "masking", [["x"]], mask_value=0.0)
    gate = layer("Dense", "gate", [["masking"]], units=1, activation="linear")
    config = functional(
        [source("x", [None, 3, 1]), x, gate, layer("Maximum", "merge", [["masking", "gate"]])], ["x"], ["merge"]
    )
    (y,) = run(built(config, fill=1.0), STEPS)
    np.testing.assert_allclose(y.ravel(), [1.5, 0.5, 2.5])


@pytest.mark.parametrize("kind", ["Add", "Subtract", "Average", "Multiply", "Maximum", "Minimum", "Concatenate"])
def test_merges_without_a_mask_are_those_of_keras(kind: str) -> None:
    config = {"axis": -1} if kind == "Concatenate" else {}
    assert kinds(built(merged(kind, "", **config)))["merge"] == f"keras.{kind}"


def test_one_mask_on_all_inputs_is_merged_by_keras() -> None:
    config = functional(
        [
            source("x", [None, 3, 1]),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            layer("Dense", "dense", [["masking"]], units=1),
            layer("Add", "add", [["masking", "dense"]]),
            layer("Multiply", "multiply", [["masking", "dense"]]),
            layer("LSTM", "lstm", [["add"]], units=1),
        ],
        ["x"],
        ["lstm", "multiply"],
    )
    found = kinds(built(config))
    assert (found["add"], found["multiply"], found["lstm"]) == ("keras.Add", "kio.Multiply", "keras.LSTM")


def test_a_mask_that_ended_does_not_make_a_merge_kios() -> None:
    config = functional(
        [
            source("x", [None, 3, 1]),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            layer("LSTM", "one", [["masking"]], units=2),
            layer("GlobalAveragePooling1D", "two", [["masking"]]),
            layer("Concatenate", "merge", [["one", "two"]], axis=-1),
        ],
        ["x"],
        ["merge"],
    )
    assert kinds(built(config))["merge"] == "keras.Concatenate"


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_of_a_state_no_mask_comes(kind: str) -> None:
    """What a bidirectional encoder hands to its decoder is joined by Keras's own layer."""
    inner = {"class_name": kind, "config": {"name": "rnn", "units": 2, "return_sequences": True, "return_state": True}}
    states = 4 if kind == "LSTM" else 2
    config = functional(
        [
            source("x", [None, 3, 1]),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            layer("Bidirectional", "both", [["masking"]], layer=inner, merge_mode="concat"),
            layer("Concatenate", "state", [[["both", 0, 1], ["both", 0, 1 + states // 2]]], axis=-1),
            layer("Concatenate", "all", [[["both", 0, 0], ["x", 0, 0]]], axis=-1),
        ],
        ["x"],
        ["state", "all"],
    )
    found = kinds(built(config))
    assert (found["state"], found["all"]) == ("keras.Concatenate", "kio.Concatenate")


def test_fully_masked_scores_are_about_uniform() -> None:
    config = functional(
        [
            source("x", [None, 4]),
            source("m", [None, 4], "bool"),
            layer("Softmax", "softmax", [(["x"], {"mask": ["m", 0, 0]})], axis=-1),
        ],
        ["x", "m"],
        ["softmax"],
    )
    (y,) = run(built(config), np.array([[1, 2, 3, 4]], "float32"), np.zeros((1, 4), bool))
    np.testing.assert_allclose(y, [[0.25] * 4])


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5}, {"value_dim": 3}])
def test_padded_queries_attend_to_all_alike(options: dict[str, Any]) -> None:
    attention = {"num_heads": 1, "key_dim": 1, "value_dim": 1, "dropout": 0.0, "use_bias": False, **options}
    call = (["masking"], {"value": ["masking", 0, 0]})
    config = functional(
        [
            source("x", [None, 3, 1]),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            layer("MultiHeadAttention", "attention", [call], **attention),
            layer("SimpleRNN", "rnn", [["masking"]], units=1, activation="linear"),
        ],
        ["x"],
        ["attention", "rnn"],
    )
    model = built(config, fill=1.0)
    y, read = run(model, STEPS)
    # The padded query sees 1, 0 and 2 alike; the others see 1 and 2 by exp(x * 1) and exp(x * 2).
    wide = options.get("value_dim", 1)
    one, two = np.exp([1.0, 2.0]), np.exp([2.0, 4.0])
    expected = [one @ [1, 2] / one.sum(), 1.0, two @ [1, 2] / two.sum()]
    np.testing.assert_allclose(y.ravel(), np.array(expected) * wide, rtol=1e-5)
    # Attention leaves the mask of its inputs to others: 1, masked, 1 + 2.
    np.testing.assert_allclose(read.ravel(), [4.0])


@pytest.mark.parametrize("kind", ["Rescaling", "Identity", "Reshape", "Permute"])
def test_masks_end_where_they_did(kind: str) -> None:
    options = {
        "Rescaling": {"scale": 1.0, "offset": 0.0},
        "Identity": {},
        "Reshape": {"target_shape": [3, 1]},
        "Permute": {"dims": [1, 2]},
    }
    config = functional(
        [
            source("x", [None, 3, 1]),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            layer(kind, "end", [["masking"]], **options[kind]),
            layer("GlobalAveragePooling1D", "mean", [["end"]]),
        ],
        ["x"],
        ["mean"],
    )
    model = built(config)
    (y,) = run(model, STEPS)
    np.testing.assert_allclose(y, [[1.0]])
    assert kinds(model)["end"] == f"kio.{kind}"


def test_an_operation_that_changes_nothing_ends_a_mask() -> None:
    config = functional(
        [
            source("x", [None, 3, 1]),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            layer("TFOpLambda", "tf.reshape", [(["masking"], {"shape": [-1, 3, 1]})], function="reshape"),
            layer("TFOpLambda", "tf.identity", [["masking"]], function="identity"),
            layer("GlobalAveragePooling1D", "one", [["tf.reshape"]]),
            layer("GlobalAveragePooling1D", "two", [["tf.identity"]]),
        ],
        ["x"],
        ["one", "two"],
    )
    one, two = run(built(config), STEPS)
    np.testing.assert_allclose([one[0, 0], two[0, 0]], [1.0, 1.0])


def test_a_step_of_words_counts_if_any_word_does() -> None:
    inner = {"class_name": "LSTM", "config": {"name": "lstm", "units": 1}}
    config = functional(
        [
            source("words", [None, 2, 2], "int32"),
            layer("Embedding", "embedding", [["words"]], input_dim=4, output_dim=1, mask_zero=True),
            layer("TimeDistributed", "each", [["embedding"]], layer=inner),
            layer("GlobalAveragePooling1D", "mean", [["each"]]),
        ],
        ["words"],
        ["mean"],
    )
    model = built(config, fill=1.0)
    read, half = run(model, np.array([[[1, 0], [0, 0]], [[1, 0], [2, 0]]], "int32"))[0].ravel()
    np.testing.assert_allclose(read, half)


def test_models_with_one_layer_in_several_calls_take_all_masks_into_account() -> None:
    calls = [["masking", "y"], ["x", "y"]]
    config = functional(
        [
            source("x", [None, 3, 1]),
            source("y", [None, 3, 1]),
            layer("Add", "add", calls),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            layer("GlobalAveragePooling1D", "mean", [[["add", 0, 0]], [["add", 1, 0]]]),
        ],
        ["x", "y"],
        [["mean", 0, 0], ["mean", 1, 0]],
    )
    one, two = run(built(config), A, B)
    np.testing.assert_allclose([one[0, 0], two[0, 0]], [1.5, 4 / 3])


def test_calls_in_any_order_are_gone_through_once() -> None:
    """A long chain that is stored last layer first."""
    n = 3000
    chain = [layer("Activation", f"a{i}", [[f"a{i - 1}" if i else "masking"]], activation="linear") for i in range(n)]
    config = functional(
        [
            *chain[::-1],
            layer("Add", "add", [[f"a{n - 1}", "x"]]),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            source("x", [None, 3, 1]),
        ],
        ["x"],
        ["add"],
    )
    from kio.models.eras.era import Era
    from kio.models.eras.upgrade import upgrade

    done = upgrade(config, Era((2, 12), "2.12.0"))
    assert done.kio_objects == ("Add",)


def everything() -> dict[str, Any]:
    """One layer of kio's of each kind that old masks need."""
    inner = {"class_name": "LSTM", "config": {"name": "lstm", "units": 1, "return_sequences": True}}
    attention = {"num_heads": 1, "key_dim": 1, "value_dim": 1, "dropout": 0.0, "use_bias": True}
    return functional(
        [
            source("x", [None, 3, 1]),
            source("s", [None, 1]),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            layer("SimpleRNN", "rnn", [["masking", "s"]], **ONE),
            layer("Multiply", "multiply", [["rnn", "masking"]]),
            layer("MultiHeadAttention", "attention", [(["multiply"], {"value": ["masking", 0, 0]})], **attention),
            layer("Bidirectional", "both", [["attention", "s", "s", "s", "s"]], layer=inner, merge_mode="sum"),
            layer("Identity", "end", [["both"]]),
        ],
        ["x", "s"],
        ["end"],
    )


def test_for_tf_keras_they_are_its_own_layers(tmp_path: Any) -> None:
    model = built(everything(), fill=0.5)
    own = {"rnn", "multiply", "attention", "both", "end"}
    assert {name for name, kind in kinds(model).items() if kind.startswith("kio.")} == own
    kio.save_model(model, tmp_path / "x.h5", compat="2.15")
    with kio.open(tmp_path / "x.h5") as found:
        config = json.loads(found.config)["config"]
    stored = {each["name"]: each for each in config["layers"]}
    assert [stored[name]["class_name"] for name in ("rnn", "multiply", "attention", "both", "end")] == [
        "SimpleRNN", "Multiply", "MultiHeadAttention", "Bidirectional", "Identity"
    ]  # fmt: skip
    assert stored["rnn"]["inbound_nodes"] == [[["masking", 0, 0, {}], ["s", 0, 0, {}]]]
    assert "softmax_robust_masking" not in stored["attention"]["config"]
    again = kio.load_model(tmp_path / "x.h5")
    feed = STEPS, np.array([[10.0]], "float32")
    np.testing.assert_allclose(run(again, *feed)[0], run(model, *feed)[0])


def test_what_tf_keras_lacks_is_refused_by_name(tmp_path: Any) -> None:
    config = functional([source("x", [None, 4]), layer("CosineMerge", "cos", [["x", "x"]])], ["x"], ["cos"])
    config["config"]["layers"][1] |= {"class_name": "Merge"}
    config["config"]["layers"][1]["config"] |= {"mode": "cos", "dot_axes": 1}
    model = built(config)
    with pytest.raises(kio.KioError, match="CosineMerge"):
        kio.save_model(model, tmp_path / "x.h5", compat="2.15")


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_they_come_back_from_files_of_keras_3(tmp_path: Any, suffix: str) -> None:
    model = built(everything(), fill=0.5)
    kio.save_model(model, tmp_path / f"x.{suffix}")
    feed = STEPS, np.array([[10.0]], "float32")
    expected = run(model, *feed)[0]
    for again in (kio.load_model(tmp_path / f"x.{suffix}"), keras.saving.load_model(tmp_path / f"x.{suffix}")):
        assert kinds(again) == kinds(model)
        np.testing.assert_allclose(run(again, *feed)[0], expected)


@pytest.mark.parametrize(("version", "mean"), [("2.10.0", 1.0), ("2.15.0", 1.5)])
def test_a_normalization_leaves_masked_steps_out_since_tensorflow_2_12(version: str, mean: float) -> None:
    config = functional(
        [
            source("x", [None, 3, 2]),
            layer("Masking", "masking", [["x"]], mask_value=0.0),
            layer("BatchNormalization", "norm", [["masking"]], axis=[2], momentum=0.0),
        ],
        ["x"],
        ["norm"],
    )
    model = built(config, version)
    model(np.repeat(STEPS, 2, -1), training=True)
    moving = keras.ops.convert_to_numpy(model.get_layer("norm").moving_mean)
    np.testing.assert_allclose(moving, [mean, mean], rtol=1e-6)
    assert kinds(model)["norm"] == ("kio" if version == "2.10.0" else "keras") + ".BatchNormalization"


def test_on_images_a_normalization_takes_masked_ones_in() -> None:
    words = np.array([[[1, 0], [0, 0]]], "int32")
    config = functional(
        [
            source("x", [None, 2, 2], "int32"),
            layer("Embedding", "embedding", [["x"]], input_dim=3, output_dim=1, mask_zero=True),
            layer("BatchNormalization", "norm", [["embedding"]], axis=[3], momentum=0.0),
        ],
        ["x"],
        ["norm"],
    )
    model = built(config, "2.15.0")
    model.get_layer("embedding").set_weights([np.array([[0], [4], [8]], "float32")])
    model(words, training=True)
    norm = model.get_layer("norm")
    # Of 4, 0, 0, 0: the mean 1, and 12 / 3, as the kernel behind tf.keras has it.
    np.testing.assert_allclose(keras.ops.convert_to_numpy(norm.moving_mean), [1.0], rtol=1e-6)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(norm.moving_variance), [4.0], rtol=1e-5)


def test_a_layer_of_kios_hands_masks_on_like_any_other() -> None:
    """Without a mask before it, none comes from a layer that is kio's for another reason."""
    inner = {"class_name": "BatchNormalization", "config": {"name": "norm", "axis": [1]}}
    config = functional(
        [
            source("x", [None, 3, 1]),
            layer("TimeDistributed", "each", [["x"]], layer=inner),
            layer("Add", "add", [["each", "x"]]),
        ],
        ["x"],
        ["add"],
    )
    found = kinds(built(config))
    assert (found["each"], found["add"]) == ("kio.TimeDistributed", "keras.Add")
