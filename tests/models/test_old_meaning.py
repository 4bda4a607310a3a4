"""What old layers compute and how old models train, beyond masks: literal values, on the backend of the day."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tests.models.test_masks import STEPS, built, functional, kinds, layer, run, source  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("default")]
TRAINS = pytest.mark.skipif(keras.config.backend() == "numpy", reason="numpy does not train")


def chain(shape: list[Any], *layers: dict[str, Any]) -> dict[str, Any]:
    names = ["x", *(each["name"] for each in layers)]
    for each, before in zip(layers, names, strict=False):
        each["inbound_nodes"] = [[[before, 0, 0, {}]]]
    return functional([source("x", [None, *shape]), *layers], ["x"], [names[-1]])


def still(model: Any) -> Any:
    """Compiled so that nothing moves but averages."""
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


def loss(model: Any, x: Any, y: Any, weight: Any = None) -> float:
    return float(np.ravel(still(model).train_on_batch(x, y, sample_weight=weight))[0])


# ------------------------------------------------------------------------------ variances


@TRAINS
@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize(
    ("shape", "axis", "expected"),
    [
        # 0, 1, 2, 3: the mean of squares is 5 / 4, over N - 1 it is 5 / 3.
        ((2, 2, 1, 1), 3, 0.5 + 0.5 * 5 / 3),
        ((2, 1, 2, 1), 1, 0.5 + 0.5 * 5 / 3),
        ((2, 1, 2, 1, 1), 4, 0.5 + 0.5 * 5 / 3),
        ((4, 1), 1, 0.5 + 0.5 * 5 / 4),
        ((2, 2, 1), 2, 0.5 + 0.5 * 5 / 4),
        # One value has a variance of 0 by any rule.
        ((1, 1, 1, 1), 3, 0.5),
    ],
)
def test_moving_variance(shape: tuple[int, ...], axis: int, expected: float, eager: bool) -> None:
    normalization = layer("BatchNormalization", "bn", [], axis=[axis], momentum=0.5, epsilon=0.001)
    model = still(built(chain(list(shape[1:]), normalization)))
    model.run_eagerly = eager
    x = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    model.train_on_batch(x, x)
    bn = model.get_layer("bn")
    assert float(bn.moving_variance[0]) == pytest.approx(expected, rel=1e-5)
    assert float(bn.moving_mean[0]) == pytest.approx(0.5 * float(x.mean()), rel=1e-5)


def test_what_normalizes_images_stays_keras_own() -> None:
    config = chain([2, 2, 1], layer("BatchNormalization", "bn", [], axis=[3], momentum=0.5, epsilon=0.001))
    model = built(config)
    assert kinds(model)["bn"] == "keras.BatchNormalization"
    x = np.arange(8, dtype="float32").reshape(2, 2, 2, 1)
    assert run(model, x)[0] == pytest.approx(x / np.sqrt(1.001), rel=1e-5)


@TRAINS
def test_synchronized_and_frozen_normalizations_never_took_that_kernel() -> None:
    x = np.arange(4, dtype="float32").reshape(2, 2, 1, 1)
    model = still(built(chain([2, 1, 1], layer("SyncBatchNormalization", "bn", [], axis=[3], momentum=0.5))))
    model.train_on_batch(x, x)
    assert float(model.get_layer("bn").moving_variance[0]) == pytest.approx(0.5 + 0.5 * 5 / 4, rel=1e-5)
    model = still(
        built(chain([2, 1, 1], layer("BatchNormalization", "bn", [], axis=[3], momentum=0.5, trainable=False)))
    )
    model.train_on_batch(x, x)
    assert float(model.get_layer("bn").moving_variance[0]) == 1.0


def test_copies_of_a_model_have_variables_of_their_own() -> None:
    config = chain([2, 1, 1], layer("BatchNormalization", "bn", [], axis=[3], momentum=0.5))
    model = built(config)
    x = np.arange(4, dtype="float32").reshape(2, 2, 1, 1)
    copy.deepcopy(model.get_layer("bn"))(x, training=True)
    copy.deepcopy(model)(x, training=True)
    assert float(model.get_layer("bn").moving_variance[0]) == 1.0


@TRAINS
@pytest.mark.parametrize("eager", [True, False])
def test_a_normalization_of_one_feature_beside_a_mask(eager: bool) -> None:
    masked = layer("Masking", "m", [], mask_value=0.0)
    model = still(built(chain([2, 1], masked, layer("BatchNormalization", "bn", [], axis=[2], momentum=0.5))))
    model.run_eagerly = eager
    x = np.array([[[1], [2]], [[3], [0]]], "float32")
    model.train_on_batch(x, x)
    # Of 1, 2 and 3.
    assert float(model.get_layer("bn").moving_mean[0]) == pytest.approx(1.0, rel=1e-5)
    assert float(model.get_layer("bn").moving_variance[0]) == pytest.approx(0.5 + 0.5 * 2 / 3, rel=1e-5)


@TRAINS
@pytest.mark.parametrize("eager", [True, False])
def test_the_norm_of_a_row_of_zeros_trains_on(eager: bool) -> None:
    dense = layer("Dense", "d", [], units=2, activation="linear", use_bias=False)
    model = built(chain([2], dense, layer("UnitNormalization", "u", [], axis=[-1])))
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.run_eagerly = eager
    model.layers[-2].set_weights([np.array([[3, 0], [0, 4]], "float32")])
    model.train_on_batch(np.array([[0, 0], [1, 0]], "float32"), np.zeros((2, 2), "float32"))
    # The row that is not zero is (1, 0): along itself, a unit vector does not change.
    assert np.asarray(model.layers[-2].get_weights()[0]) == pytest.approx(np.array([[3, 0], [0, 4]]), abs=1e-6)


# ------------------------------------------------------------------------- sample weights


@TRAINS
@pytest.mark.parametrize("eager", [True, False])
def test_a_weight_of_a_sample_is_that_of_all_its_steps(eager: bool) -> None:
    model = still(built(chain([2, 1], layer("Activation", "a", [], activation="linear"))))
    model.run_eagerly = eager
    x = np.array([[[1], [2]], [[3], [4]]], "float32")
    model.reset_metrics()
    found = model.test_on_batch(x, 0 * x, sample_weight=np.array([1.0, 0.0], "float32"))
    assert float(np.ravel(found)[0]) == pytest.approx((1 + 4) / 4)
    # More samples than steps.
    model.reset_metrics()
    x = np.array([[[1], [2]], [[3], [4]], [[1], [1]]], "float32")
    found = model.test_on_batch(x, 0 * x, sample_weight=np.array([1.0, 0.0, 2.0], "float32"))
    assert float(np.ravel(found)[0]) == pytest.approx((1 + 4 + 2 + 2) / 6)


@TRAINS
def test_a_weight_of_a_sample_beside_a_mask() -> None:
    masked = chain([2, 1], layer("Masking", "m", [], mask_value=0.0), layer("Activation", "a", [], activation="linear"))
    x = np.array([[[1], [2]], [[3], [0]]], "float32")
    found = still(built(masked)).test_on_batch(x, 0 * x, sample_weight=np.array([1.0, 2.0], "float32"))
    assert float(np.ravel(found)[0]) == pytest.approx((1 + 4 + 2 * 9) / 3)


@TRAINS
@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        # Two axes are missing: tf.keras, too, lined the weights up with the last one.
        ([1, 2], (1 + 9 + 16 + 36) + 2 * (4 + 25 + 49)),
        # One axis is missing: each weight is that of a row.
        ([[1, 0], [2, 1]], (1 + 4) + 2 * (16 + 25) + (36 + 49)),
        ([[[1], [0]], [[2], [1]]], (1 + 4) + 2 * (16 + 25) + (36 + 49)),
        ([[[1, 1]], [[2, 0]]], (1 + 4 + 9) + 2 * (16 + 36)),
    ],
)
def test_weights_of_outputs_with_rows_of_steps(weight: Any, expected: float, masked: bool, eager: bool) -> None:
    x = np.array([[[[1], [2]], [[3], [0]]], [[[4], [5]], [[6], [7]]]], "float32")
    layers = [layer("Masking", "m", [], mask_value=0.0)] if masked else []
    model = still(built(chain([2, 2, 1], *layers, layer("Activation", "a", [], activation="linear"))))
    model.run_eagerly = eager
    found = model.test_on_batch(x, 0 * x, sample_weight=np.array(weight, "float32"))
    assert float(np.ravel(found)[0]) == pytest.approx(expected / (7 if masked else 8))


@TRAINS
def test_a_weight_of_a_sample_in_a_column_of_its_own() -> None:
    masked = chain([2, 1], layer("Masking", "m", [], mask_value=0.0), layer("Activation", "a", [], activation="linear"))
    x = np.array([[[1], [2]], [[3], [0]]], "float32")
    found = still(built(masked)).test_on_batch(x, 0 * x, sample_weight=np.array([[1.0], [2.0]], "float32"))
    assert float(np.ravel(found)[0]) == pytest.approx((1 + 4 + 2 * 9) / 3)


@TRAINS
def test_weights_of_outputs_with_and_without_steps() -> None:
    layers = [
        source("x", [None, 2, 1]),
        layer("Activation", "steps", [["x"]], activation="linear"),
        layer("Flatten", "flat", [["x"]]),
    ]
    model = still(built(functional(layers, ["x"], ["steps", "flat"])))
    x = np.array([[[1], [2]], [[3], [4]]], "float32")
    weight = np.array([1.0, 0.0], "float32")
    found = model.test_on_batch(x, [0 * x, np.zeros((2, 2), "float32")], sample_weight=weight)
    # (1 + 4) / 4 for steps, the mean of 1 and 4 for one of two samples.
    assert float(np.ravel(found)[0]) == pytest.approx(1.25 + 1.25)


# ---------------------------------------------------------------------- activity penalties

L2 = {"class_name": "L2", "config": {"l2": 1.0}}
DENSE = {"units": 1, "activation": "linear", "use_bias": False, "activity_regularizer": L2}


@TRAINS
@pytest.mark.parametrize("inner", ["Dense", "ActivityRegularization"])
def test_penalty_under_a_time_distributed(inner: str) -> None:
    within = layer(inner, "d", [], **(DENSE if inner == "Dense" else {"l1": 0.0, "l2": 1.0}))
    model = built(chain([3, 1], layer("TimeDistributed", "t", [], layer=within)), fill=1.0)
    x = np.ones((2, 3, 1), "float32")
    # Six ones, over six rows of the batch that goes through the layer.
    assert loss(model, x, x) == pytest.approx(1.0)


@TRAINS
def test_penalties_of_weights_that_are_not_trained() -> None:
    frozen = layer("Dense", "d", [], units=1, use_bias=False, kernel_regularizer=L2, trainable=False)
    model = built(chain([1], frozen), fill=3.0)
    x = np.ones((2, 1), "float32")
    assert loss(model, x, 3 * x) == pytest.approx(9.0)
    model.get_layer("d").trainable = True
    assert loss(model, x, 3 * x) == pytest.approx(9.0)


@TRAINS
@pytest.mark.parametrize("eager", [True, False])
def test_penalties_of_all_calls_of_a_layer(eager: bool) -> None:
    layers = [
        source("x", [None, 1]),
        source("y", [None, 1]),
        layer("Dense", "d", [["x"], ["y"]], **DENSE),
    ]
    model = still(built(functional(layers, ["x", "y"], [["d", 0, 0], ["d", 1, 0]]), fill=1.0))
    model.run_eagerly = eager
    x = np.ones((2, 1), "float32")
    found = model.train_on_batch([x, 2 * x], [x, 2 * x])
    assert float(np.ravel(found)[0]) == pytest.approx(1 + 4)


@TRAINS
def test_a_mode_of_its_own_and_penalties() -> None:
    # A call in a mode of its own, and one that takes the model's, in a step of training.
    layers = [
        source("x", [None, 1]),
        layer("BatchNormalization", "own", [(["x"], {"training": False})], axis=[1], momentum=0.5),
        layer("BatchNormalization", "models", [["own"]], axis=[1], momentum=0.5),
        layer("Dense", "d", [["models"]], **DENSE),
    ]
    model = still(built(functional(layers, ["x"], ["d"])))
    x = np.arange(4, dtype="float32").reshape(4, 1)
    model.train_on_batch(x, x)
    assert float(model.get_layer("own").moving_variance[0]) == 1.0
    assert float(model.get_layer("models").moving_variance[0]) == pytest.approx(0.5 + 0.5 * 1.25 / 1.001, rel=1e-4)


@TRAINS
@pytest.mark.parametrize("within", [False, True])
def test_a_mode_for_training_stays_with_its_call(within: bool) -> None:
    # Without a mode of its own a call takes the model's, whatever call came before it; so in models around it.
    layers = [
        source("x", [None, 1]),
        layer("BatchNormalization", "own", [(["x"], {"training": True})], axis=[1], momentum=0.5),
        layer("BatchNormalization", "models", [["own"]], axis=[1], momentum=0.5, epsilon=0.0),
    ]
    config = functional(layers, ["x"], ["models"], name="inner")
    if within:
        after = layer("BatchNormalization", "after", [[["inner", 1, 0]]], axis=[1], momentum=0.5, epsilon=0.0)
        inner = {**config, "name": "inner", "inbound_nodes": [[["x", 0, 0, {}]]]}
        config = functional([source("x", [None, 1]), inner, after], ["x"], ["after"])
    model = built(config)
    x = np.arange(4, dtype="float32").reshape(4, 1)
    made = keras.ops.convert_to_numpy(model(x))
    assert made.ravel() == pytest.approx((x.ravel() - 1.5) / np.sqrt(1.25 + 1e-3), rel=1e-4)


@TRAINS
def test_what_is_not_trained_trains_nothing_within(tmp_path: Any) -> None:
    frozen = layer(
        "MultiHeadAttention", "h", [(["x"], {"value": ["x", 0, 0]})], num_heads=1, key_dim=2, trainable=False
    )
    config = functional([source("x", [None, 2, 1]), frozen, layer("Dense", "d", [["h"]], units=1)], ["x"], ["d"])
    model = built(config, fill=1.0)
    assert [v.path.rpartition("/")[2] for v in model.trainable_variables] == ["kernel", "bias"]


# --------------------------------------------------------------------------- unrolled steps

ONE = {"units": 1, "activation": "linear", "return_sequences": True, "unroll": True}


PADDED = np.array([[[1], [2], [0]]], "float32")


@pytest.mark.parametrize(
    ("x", "unroll", "expected"),
    [
        (STEPS, True, [[1.5, 4.0], [0.0, 0.0], [4.0, 2.5]]),
        # Written out, tf.keras put the zeros of the half that goes backwards where the mask has them from the front.
        (PADDED, True, [[1.5, 0.0], [4.0, 2.5], [0.0, 0.0]]),
        (PADDED, False, [[1.5, 4.0], [4.0, 2.5], [0.0, 0.0]]),
    ],
)
def test_unrolled_halves_under_a_mask(x: Any, unroll: bool, expected: Any) -> None:
    within = layer("SimpleRNN", "rnn", [], zero_output_for_mask=True, **{**ONE, "unroll": unroll})
    config = chain(
        [3, 1],
        layer("Masking", "m", [], mask_value=0.0),
        layer("Bidirectional", "b", [], layer=within, merge_mode="concat"),
    )
    assert run(built(config, fill=1.0), x)[0].tolist() == [expected]


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_steps_written_out_are_those_of_a_loop(kind: str) -> None:
    cells = {"cell": {"class_name": "GRUCell", "config": {"units": 2}}} if kind == "RNN" else {"units": 2}
    found = []
    for unroll in (True, False):
        rnn = layer(kind, "rnn", [], return_sequences=True, zero_output_for_mask=True, unroll=unroll, **cells)
        model = built(chain([3, 1], layer("Masking", "m", [], mask_value=0.0), rnn), fill=0.3)
        found.append(run(model, PADDED)[0])
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert found[0][0, 2].tolist() == [0.0, 0.0] != found[0][0, 1].tolist()


@pytest.mark.parametrize(("batch", "rows"), [(2, 2), (3, 2)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_mask_of_images_counts_steps(batch: int, rows: int, padding: str) -> None:
    # As if the masked step had never been; as many samples as rows, and more.
    options = {"filters": 1, "kernel_size": [1], "padding": padding, "return_sequences": True}
    hidden = {"class_name": "TFOpLambda", "config": {"name": "counts", "function": "math.not_equal"}, "name": "counts"}
    hidden["inbound_nodes"] = [["steps", 0, 0, {"y": 0}]]
    layers = [source("x", [None, 3, rows, 1]), source("steps", [None, 3], "int32"), hidden]
    layers.append(layer("ConvLSTM1D", "c", [(["x"], {"mask": ["counts", 0, 0]})], **options))
    model = built(functional(layers, ["x", "steps"], ["c"]), fill=0.3)
    x = np.arange(batch * 3 * rows, dtype="float32").reshape(batch, 3, rows, 1) / 9
    counts = np.tile(np.array([[1, 0, 1]], "int32"), (batch, 1))
    made = run(model, x, counts)[0]
    plain = built(chain([2, rows, 1], layer("ConvLSTM1D", "c", [], **options)), fill=0.3)
    expected = run(plain, x[:, [0, 2]])[0]
    assert made[:, [0, 2]] == pytest.approx(expected, abs=1e-6)
    assert made[:, 1] == pytest.approx(expected[:, 0], abs=1e-6)


def test_steps_without_a_mask_stay_keras_own() -> None:
    model = built(chain([3, 1], layer("SimpleRNN", "rnn", [], **ONE)), fill=1.0)
    assert kinds(model)["rnn"] == "keras.SimpleRNN" and model.get_layer("rnn").unroll


@pytest.mark.parametrize(("zero", "expected"), [(False, [[2.5, 2.5, 4.0]]), (True, [[2.5, 0.0, 4.0]])])
def test_unrolled_backwards_under_a_mask(zero: bool, expected: Any) -> None:
    rnn = layer("SimpleRNN", "rnn", [], go_backwards=True, zero_output_for_mask=zero, **ONE)
    model = built(chain([3, 1], layer("Masking", "m", [], mask_value=0.0), rnn), fill=1.0)
    assert run(model, STEPS)[0][..., 0].tolist() == expected


# ------------------------------------------------------------------------- windows, one_hot


@pytest.mark.parametrize("function", [False, True])
def test_averages_over_the_border(function: bool) -> None:
    x = np.array([1, 2, 3, 4], "float32")
    if function:
        node = {
            "class_name": "TFOpLambda",
            "config": {"name": "pool", "function": "nn.avg_pool2d"},
            "name": "pool",
            "inbound_nodes": [["x", 0, 0, {"ksize": [1, 3], "strides": [1, 2], "padding": "SAME"}]],
        }
        model = built(functional([source("x", [None, 1, 4, 1]), node], ["x"], ["pool"]), version="2.12.0")
        made = run(model, x.reshape(1, 1, 4, 1))[0]
    else:
        pool = layer("AveragePooling1D", "pool", [], pool_size=[3], strides=[2], padding="same")
        made = run(built(chain([4, 1], pool)), x.reshape(1, 4, 1))[0]
    assert made.ravel() == pytest.approx([2.0, 3.5], rel=1e-6)


def test_averages_over_the_border_with_channels_first() -> None:
    pool = layer("AveragePooling2D", "p", [], pool_size=[1, 3], strides=[1, 2], padding="same")
    pool["config"]["data_format"] = "channels_first"
    made = run(built(chain([1, 1, 4], pool)), np.array([1, 2, 3, 4], "float32").reshape(1, 1, 1, 4))[0]
    assert made.ravel() == pytest.approx([2.0, 3.5], rel=1e-6)


@pytest.mark.parametrize("axis", [-1, 1])
def test_an_index_that_is_no_class(axis: int) -> None:
    node = {
        "class_name": "TFOpLambda",
        "config": {"name": "hot", "function": "one_hot"},
        "name": "hot",
        "inbound_nodes": [["x", 0, 0, {"depth": 2, "axis": axis}]],
    }
    model = built(functional([source("x", [None, 3], "int32"), node], ["x"], ["hot"]))
    expected = np.array([[[1, 0], [0, 0], [0, 1]]], "float32")
    made = run(model, np.array([[0, 5, 1]], "int32"))[0]
    assert made.tolist() == (expected if axis == -1 else expected.transpose(0, 2, 1)).tolist()
