"""Configurations of older Keras: each rule does what it says, and what has no equal is refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from kio.errors import CorruptError, KioError, UnsafeError  # noqa: E402
from kio.models.builder.configs import model_from_config  # noqa: E402
from kio.models.eras import keras3_adapt, keras3_older, versions  # noqa: E402
from kio.models.eras.upgrade import Era, UpgradeError, keras1, keras2, upgrade  # noqa: E402

pytestmark = pytest.mark.keras

OLD = Era.of({"keras_version": "2.4.0"})
ONE = Era.of({"keras_version": "1.1.2"})


def layer(name: str, era: Era = OLD, **config: Any) -> dict[str, Any]:
    """One layer after the upgrade: class and arguments."""
    model = {"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": name, "config": config}]}}
    done = upgrade(model, era)
    made: dict[str, Any] = done.config["config"]["layers"][-1]
    assert made["module"] is not None
    return made


def after(name: str, era: Era = OLD, **config: Any) -> dict[str, Any]:
    made: dict[str, Any] = layer(name, era, **config)["config"]
    return made


# Each row: class as stored, era, arguments as stored, arguments of today.
CASES: list[tuple[str, Era, dict[str, Any], dict[str, Any]]] = [
    ("DepthwiseConv2D", OLD, {"groups": 1, "kernel_initializer": None}, {}),
    ("Conv2DTranspose", OLD, {"groups": 1}, {}),
    ("Conv2D", OLD, {"groups": 2}, {"groups": 2}),
    ("SeparableConv2D", OLD, {"kernel_regularizer": None, "kernel_constraint": None}, {}),
    ("LSTM", OLD, {"time_major": False, "implementation": 1}, {}),
    ("GRU", OLD, {"units": 2}, {"units": 2, "reset_after": False}),
    ("GRU", OLD, {"units": 2, "reset_after": True}, {"units": 2, "reset_after": True}),
    ("LeakyReLU", OLD, {"alpha": 0.3}, {"negative_slope": 0.3}),
    ("BatchNormalization", OLD, {"axis": [3], "scale": 1}, {"axis": 3, "scale": True}),
    ("BatchNormalization", OLD, {"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99}, {}),
    ("BatchNormalization", OLD, {"fused": True, "virtual_batch_size": None, "adjustment": None}, {}),
    ("SpatialDropout2D", OLD, {"rate": 0.1, "noise_shape": None, "trainable": True}, {"rate": 0.1}),
    ("StringLookup", OLD, {"output_mode": "multi_hot", "vocabulary": None, "vocabulary_size": 6},
     {"output_mode": "multi_hot", "vocabulary": None, "vocabulary_size": 6}),
    ("StringLookup", OLD, {"output_mode": "int", "vocabulary_size": 6}, {"output_mode": "int"}),
    ("StringLookup", OLD, {"output_mode": "count", "vocabulary": ["a"], "vocabulary_size": 2},
     {"output_mode": "count", "vocabulary": ["a"]}),
    # Nothing counted yet.
    ("TextVectorization", OLD, {"output_mode": "count", "vocabulary_size": 1}, {"output_mode": "count"}),
    ("MultiHeadAttention", OLD, {"query_shape": [1], "key_shape": [1], "value_shape": [1]}, {}),
    ("Softmax", OLD, {"axis": -1, "robust_masking": False}, {"axis": -1}),
    ("Embedding", OLD, {"input_dim": 3, "output_dim": 2, "input_length": 4, "sparse": False},
     {"input_dim": 3, "output_dim": 2}),
    ("Dense", OLD, {"kernel_initializer": {"class_name": "Zeros", "config": {"dtype": "float32"}}},
     {"kernel_initializer": {"class_name": "Zeros", "config": {}, "module": "keras.initializers",
                             "registered_name": None}}),
    ("Dense", OLD, {"dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}}},
     {"dtype": "mixed_float16"}),
    ("Dense", OLD, {"activation": {"class_name": "function", "config": "relu", "module": "builtins"}},
     {"activation": "relu"}),
    ("CategoryEncoding", OLD, {"max_tokens": 4, "output_mode": "binary"},
     {"num_tokens": 4, "output_mode": "multi_hot"}),
    ("Discretization", OLD, {"bins": [1.0]}, {"bin_boundaries": [1.0]}),
    ("IntegerLookup", OLD, {"max_values": 3, "mask_value": 0, "oov_value": -1, "vocabulary_size": 3},
     {"max_tokens": 3, "mask_token": 0, "oov_token": -1}),
    ("ThresholdedReLU", OLD, {"theta": 0.5}, {"threshold": 0.5}),
    ("CuDNNGRU", OLD, {"units": 2}, {"units": 2, "activation": "tanh", "recurrent_activation": "sigmoid",
                                    "reset_after": True}),
    ("CuDNNLSTM", OLD, {"units": 2}, {"units": 2, "activation": "tanh", "recurrent_activation": "sigmoid"}),
    ("Dense", ONE, {"output_dim": 2, "init": "one", "bias": True, "W_regularizer": None, "b_regularizer": None,
                    "W_constraint": None, "b_constraint": None, "input_dim": 3},
     {"units": 2, "kernel_initializer": "ones", "use_bias": True, "kernel_regularizer": None,
      "bias_regularizer": None, "kernel_constraint": None, "bias_constraint": None}),
    ("TimeDistributedDense", ONE, {"output_dim": 2, "input_length": None}, {"units": 2}),
    ("Convolution2D", ONE, {"nb_filter": 2, "nb_row": 3, "nb_col": 4, "border_mode": "same", "subsample": [1, 2],
                            "dim_ordering": "th"},
     {"filters": 2, "kernel_size": [3, 4], "padding": "same", "strides": [1, 2], "data_format": "channels_first"}),
    ("Convolution1D", ONE, {"nb_filter": 2, "filter_length": 3, "subsample_length": 2},
     {"filters": 2, "kernel_size": 3, "strides": 2}),
    ("Convolution3D", ONE, {"nb_filter": 2, "kernel_dim1": 1, "kernel_dim2": 2, "kernel_dim3": 3},
     {"filters": 2, "kernel_size": [1, 2, 3]}),
    ("AtrousConvolution2D", ONE, {"nb_filter": 2, "nb_row": 3, "nb_col": 3, "atrous_rate": [2, 2]},
     {"filters": 2, "kernel_size": [3, 3], "dilation_rate": [2, 2]}),
    ("Deconvolution2D", ONE, {"nb_filter": 2, "nb_row": 3, "nb_col": 3, "output_shape": [None, 5, 5, 2],
                              "subsample": [1, 1]},
     {"filters": 2, "kernel_size": [3, 3], "strides": [1, 1]}),
    ("MaxPooling1D", ONE, {"pool_length": 2, "stride": 2}, {"pool_size": 2, "strides": 2}),
    ("UpSampling1D", ONE, {"length": 3}, {"size": 3}),
    ("Dropout", ONE, {"p": 0.25}, {"rate": 0.25}),
    ("ZeroPadding2D", ONE, {"padding": [1, 2, 3, 4], "dim_ordering": "tf"},
     {"padding": [[1, 2], [3, 4]], "data_format": "channels_last"}),
    ("ZeroPadding2D", ONE, {"padding": {"top_pad": 1, "left_pad": 3}, "dim_ordering": "th"},
     {"padding": [[1, 0], [3, 0]], "data_format": "channels_first"}),
    ("ZeroPadding1D", ONE, {"padding": {"left_pad": 3}}, {"padding": [3, 0]}),
    ("SReLU", ONE, {"t_left_init": "zero", "a_right_init": "one"}, {"t_left_init": "zeros", "a_right_init": "ones"}),
    ("GaussianNoise", ONE, {"sigma": 0.5}, {"stddev": 0.5}),
    ("Embedding", ONE, {"input_dim": 3, "output_dim": 2, "init": "uniform", "W_regularizer": None,
                        "W_constraint": None, "dropout": 0.0},
     {"input_dim": 3, "output_dim": 2, "embeddings_initializer": "random_uniform", "embeddings_regularizer": None,
      "embeddings_constraint": None}),
    ("LSTM", ONE, {"output_dim": 2, "inner_init": "orthogonal", "forget_bias_init": "one", "inner_activation": "tanh",
                   "dropout_W": 0.1, "dropout_U": 0.2, "consume_less": "cpu", "U_regularizer": None,
                   "U_constraint": None},
     {"units": 2, "recurrent_initializer": "orthogonal", "unit_forget_bias": True, "recurrent_activation": "tanh",
      "dropout": 0.1, "recurrent_dropout": 0.2, "recurrent_regularizer": None, "recurrent_constraint": None}),
    ("BatchNormalization", ONE, {"mode": 0, "gamma_init": "one", "beta_init": "zero"},
     {"gamma_initializer": "ones", "beta_initializer": "zeros"}),
    ("PReLU", ONE, {"init": "zero"}, {"alpha_initializer": "zeros"}),
    ("Dense", ONE, {"W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.1}},
     {"kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.1}}}),
    ("Dense", ONE, {"W_constraint": {"name": "MaxNorm", "m": 2, "axis": 0}},
     {"kernel_constraint": {"class_name": "MaxNorm", "config": {"max_value": 2, "axis": 0}}}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{c[0]}-{'-'.join(c[2])}"[:60] for c in CASES])
def test_arguments(case: tuple[str, Era, dict[str, Any], dict[str, Any]]) -> None:
    name, era, stored, today = case
    assert after(name, era, **copy.deepcopy(stored)) == today


REFUSED: list[tuple[str, Era, dict[str, Any]]] = [
    ("LSTM", OLD, {"time_major": True}),
    ("DepthwiseConv2D", OLD, {"groups": 2}),
    ("SpatialDropout1D", OLD, {"noise_shape": [1, 2]}),
    ("BatchNormalization", OLD, {"virtual_batch_size": 4}),
    ("InputLayer", OLD, {"batch_input_shape": [None, 2], "ragged": True}),
    ("BatchNormalization", ONE, {"mode": 1}),
    ("Embedding", ONE, {"dropout": 0.5}),
    ("LSTM", ONE, {"forget_bias_init": "normal"}),
    ("Deconvolution2D", ONE, {"output_shape": [None, 5, 5, 2], "subsample": [2, 2]}),
    ("Dense", ONE, {"W_regularizer": {"name": "EigenvalueRegularizer", "k": 1}}),
]


@pytest.mark.parametrize("case", REFUSED, ids=[f"{c[0]}-{'-'.join(c[2])}" for c in REFUSED])
def test_what_has_no_equal_is_refused(case: tuple[str, Era, dict[str, Any]]) -> None:
    name, era, stored = case
    with pytest.raises(UpgradeError, match=r"expected .*, found "):
        after(name, era, **stored)


def test_every_rule_has_a_source_and_names_classes_of_today() -> None:
    known = set(dir(keras.layers)) | {"Highway", "MaxoutDense", "LocallyConnected1D", "LocallyConnected2D", "SReLU"}
    for rule in (*keras1.RULES, *keras2.RULES):
        assert rule.source and rule.name
        assert rule.classes is None or rule.classes <= known, rule.classes - known


def test_what_keras_3_wrote_is_left_as_it_is() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    config = json.loads(model.to_json())
    assert upgrade(copy.deepcopy(config)).config == config
    assert upgrade(copy.deepcopy(config), Era.of({"keras_version": keras.__version__})).config == config


def test_arguments_of_a_newer_keras_at_their_default_are_left_out() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    config = json.loads(model.to_json())
    config["config"]["layers"][1]["config"]["quantization_config"] = None
    config["config"]["layers"][1]["config"]["lora_rank"] = None
    done = upgrade(config, Era.of({"keras_version": "3.99.0"}))
    assert model_from_config(done.config)


def test_what_a_newer_keras_says_beside_its_default_is_kept() -> None:
    absmax = {"class_name": "AbsMaxQuantizer", "config": {"value_range": [-127, 127]}}
    inner = {"weight_quantizer": None, "activation_quantizer": absmax}
    usual = {"class_name": "Int8QuantizationConfig", "config": inner}
    other = {**usual, "config": {"activation_quantizer": {**absmax, "config": {"value_range": [-7, 7]}}}}
    for stored, silent in (
        ({"quantization_config": usual}, True), ({"quantization_config": other}, False),
        ({"quantization_config": None}, True), ({"lora_alpha": 2, "lora_rank": 2}, True),
        ({"lora_alpha": 4, "lora_rank": 2}, False), ({"oov_method": "floormod"}, True), ({"oov_method": "x"}, False),
        ({"value_range": [0, 255]}, True), ({"value_range": [0, 1]}, False), ({"mine": None}, False),
    ):  # fmt: skip
        assert keras3_adapt._says_nothing(next(iter(stored)), stored) == silent, stored


# ---------------------------------------------------------------------------- whole models


def call(*places: list[Any], **kwargs: Any) -> list[Any]:
    return [[*place, kwargs] for place in places]


def member(name: str, class_name: str, *calls: list[Any], **config: Any) -> dict[str, Any]:
    return {
        "name": name,
        "class_name": class_name,
        "config": {"name": name, **config},
        "inbound_nodes": list(calls),
    }


def functional(*members: dict[str, Any], outputs: Any, inputs: Any = None, name: str = "m") -> dict[str, Any]:
    return {
        "class_name": "Model",
        "config": {
            "name": name,
            "layers": list(members),
            "input_layers": inputs or [["x", 0, 0]],
            "output_layers": outputs,
        },
        "keras_version": "2.4.0",
        "backend": "tensorflow",
    }


X = member("x", "InputLayer", batch_input_shape=[None, 4], dtype="float32", sparse=False, ragged=False)
DATA = np.linspace(-2, 2, 8).reshape(2, 4).astype("float32")


def output(config: dict[str, Any], x: Any = DATA) -> Any:
    model = model_from_config(config)
    for w in model.weights:
        w.assign(np.linspace(-1, 1, int(np.prod(w.shape))).reshape(w.shape))
    return arrays(model(x))


def arrays(made: Any) -> Any:
    """Outputs as NumPy's, in the structure that they have; Keras 3.0 has no public trees."""
    if isinstance(made, dict):
        return {key: arrays(each) for key, each in made.items()}
    if isinstance(made, (list, tuple)):
        return type(made)(map(arrays, made))
    return keras.ops.convert_to_numpy(made)


def test_a_functional_model_with_the_old_calls() -> None:
    config = functional(
        X, member("a", "Activation", call(["x", 0, 0]), activation="relu"),
        member("s", "Add", call(["x", 0, 0], ["a", 0, 0])), outputs=[["s", 0, 0]],
    )  # fmt: skip
    np.testing.assert_allclose(output(config), DATA + np.maximum(DATA, 0))


def test_shared_layers_and_several_outputs() -> None:
    config = functional(
        X, member("y", "InputLayer", batch_input_shape=[None, 4]),
        member("n", "Activation", call(["x", 0, 0]), call(["y", 0, 0]), activation="tanh"),
        member("d", "Subtract", call(["n", 0, 0], ["n", 1, 0])),
        outputs=[["d", 0, 0], ["n", 1, 0]], inputs=[["x", 0, 0], ["y", 0, 0]],
    )  # fmt: skip
    first, second = output(config, [DATA, 2 * DATA])
    np.testing.assert_allclose(first, np.tanh(DATA) - np.tanh(2 * DATA), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(second, np.tanh(2 * DATA), rtol=1e-5)


@pytest.mark.parametrize("kind", ["Sequential", "Model", "list"])
def test_calls_of_nested_models_count_from_one(kind: str) -> None:
    if kind == "Model":
        inner = functional(X, member("r", "ReLU", call(["x", 0, 0])), outputs=[["r", 0, 0]])["config"]
    else:
        inner = [{"class_name": "ReLU", "config": {"name": "r", "batch_input_shape": [None, 4]}}]  # type: ignore[assignment]
        inner = {"name": "n", "layers": inner} if kind == "Sequential" else inner
    nested = {"name": "n", "class_name": "Model" if kind == "Model" else "Sequential", "config": inner,
              "inbound_nodes": [call(["x", 0, 0]), call(["a", 0, 0])]}  # fmt: skip
    config = functional(
        X, member("a", "Activation", call(["n", 1, 0]), activation="tanh"), nested,
        member("s", "Add", call(["n", 1, 0], ["n", 2, 0])), outputs=[["s", 0, 0]],
    )  # fmt: skip
    relu = np.maximum(DATA, 0)
    np.testing.assert_allclose(output(config), relu + np.tanh(relu), rtol=1e-5)
    config = functional(X, {**nested, "inbound_nodes": [call(["x", 0, 0])]}, outputs=[["n", 1, 0]])
    np.testing.assert_allclose(output(config), relu)


def test_hard_sigmoid_means_what_it_meant() -> None:
    config = functional(X, member("a", "Activation", call(["x", 0, 0]), activation="hard_sigmoid"),
                        outputs=[["a", 0, 0]])  # fmt: skip
    np.testing.assert_allclose(output(config), np.clip(0.2 * DATA + 0.5, 0, 1), rtol=1e-6)
    modern = {**config, "keras_version": "3.1.0"}
    np.testing.assert_allclose(output(modern), np.clip(DATA / 6 + 0.5, 0, 1), rtol=1e-5, atol=1e-6)


def test_a_backward_layer_that_goes_forward() -> None:
    inner = {"class_name": "SimpleRNN", "config": {"name": "r", "units": 2, "go_backwards": True}}
    both = {"name": "b", "layer": inner, "batch_input_shape": [None, 3, 4]}
    config = {
        "class_name": "Sequential",
        "keras_version": "2.4.0",
        "config": [{"class_name": "Bidirectional", "config": both}],
    }
    model = model_from_config(config)
    assert model.layers[0].forward_layer.go_backwards and not model.layers[0].backward_layer.go_backwards


def op(function: str, calls: Any, name: str = "op") -> dict[str, Any]:
    kind = "SlicingOpLambda" if "getitem" in function else "TFOpLambda"
    return {
        "name": name,
        "class_name": kind,
        "config": {"name": name, "function": function, "trainable": True, "dtype": "float32"},
        "inbound_nodes": calls,
    }


# Function, calls, the same in NumPy.
OPS: list[tuple[str, Any, Any]] = [
    ("math.multiply", [["x", 0, 0, {"y": 2.5, "name": None}]], lambda x: x * 2.5),
    ("__operators__.add", [["x", 0, 0, {"y": ["x", 0, 0]}]], lambda x: x + x),
    ("math.subtract", [["_CONSTANT_VALUE", -1, 2.0, {"y": ["x", 0, 0]}]], lambda x: 2.0 - x),
    ("math.truediv", [["x", 0, 0, {"y": [1.0, 2.0, 3.0, 4.0]}]], lambda x: x / np.array([1, 2, 3, 4.0])),
    ("math.reduce_mean", [["x", 0, 0, {"axis": 1, "keepdims": True}]], lambda x: x.mean(1, keepdims=True)),
    ("math.reduce_sum", [["x", 0, 0, {"axis": [1]}]], lambda x: x.sum(1)),
    ("concat", [[["x", 0, 0, {"axis": -1}], ["x", 0, 0, {"axis": -1}]]], lambda x: np.concatenate([x, x], -1)),
    ("stack", [[["x", 0, 0, {"axis": 1}], ["x", 0, 0, {"axis": 1}]]], lambda x: np.stack([x, x], 1)),
    ("reshape", [["x", 0, 0, {"shape": [-1, 2, 2]}]], lambda x: x.reshape(-1, 2, 2)),
    ("expand_dims", [["x", 0, 0, {"axis": -1}]], lambda x: x[..., None]),
    ("transpose", [["x", 0, 0, {"perm": [1, 0]}]], lambda x: x.T),
    ("cast", [["x", 0, 0, {"dtype": "float16"}]], lambda x: x.astype("f2")),
    ("clip_by_value", [["x", 0, 0, {"clip_value_min": -1, "clip_value_max": 1}]], lambda x: np.clip(x, -1, 1)),
    ("nn.relu", [["x", 0, 0, {"name": None}]], lambda x: np.maximum(x, 0)),
    ("nn.leaky_relu", [["x", 0, 0, {}]], lambda x: np.where(x > 0, x, 0.2 * x)),
    ("nn.softmax", [["x", 0, 0, {"axis": -1}]], lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
    ("math.l2_normalize", [["x", 0, 0, {"axis": 1}]], lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)),
    ("math.argmax", [["x", 0, 0, {"axis": 1}]], lambda x: x.argmax(1)),
    ("tile", [["x", 0, 0, {"multiples": [1, 2]}]], lambda x: np.tile(x, (1, 2))),
    ("pad", [["x", 0, 0, {"paddings": [[0, 0], [1, 2]]}]], lambda x: np.pad(x, [(0, 0), (1, 2)])),
    ("linalg.matmul", [["x", 0, 0, {"b": [[1.0], [2.0], [3.0], [4.0]]}]],
     lambda x: x @ np.array([[1], [2], [3], [4.0]])),
    ("gather", [["x", 0, 0, {"indices": [2, 0], "axis": 1}]], lambda x: x[:, [2, 0]]),
    ("compat.v1.square", [["x", 0, 0, {}]], np.square),
    ("math.square", [["x", 0, 0, {}]], lambda x: x * x),
    ("__operators__.getitem", [["x", 0, 0, {"slice_spec": [
        {"start": None, "stop": None, "step": None}, {"start": 1, "stop": 3, "step": None}]}]], lambda x: x[:, 1:3]),
    ("__operators__.getitem", [["x", 0, 0, {"slice_spec": [
        {"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]}]], lambda x: x[..., ::-1]),
    ("__operators__.getitem", [["x", 0, 0, {"slice_spec": [{"start": None, "stop": None, "step": None}, 2]}]],
     lambda x: x[:, 2]),
]  # fmt: skip


@pytest.mark.parametrize("case", OPS, ids=[f"{i}-{c[0]}" for i, c in enumerate(OPS)])
def test_tensorflow_functions(case: tuple[str, Any, Any]) -> None:
    function, calls, expected = case
    config = functional(copy.deepcopy(X), op(function, copy.deepcopy(calls)), outputs=[["op", 0, 0]])
    np.testing.assert_allclose(output(config), expected(DATA), rtol=1e-5, atol=1e-6)


def test_split_has_several_outputs() -> None:
    config = functional(X, op("split", [["x", 0, 0, {"num_or_size_splits": [1, 3], "axis": 1}]]),
                        outputs=[["op", 0, 0], ["op", 0, 1]])  # fmt: skip
    first, second = output(config)
    np.testing.assert_allclose(first, DATA[:, :1])
    np.testing.assert_allclose(second, DATA[:, 1:])


def test_functions_and_arguments_without_an_equal_are_refused() -> None:
    for function, kwargs in (("image.draw_bounding_boxes", {}), ("matmul", {"b": [1.0], "c": 1}),
                             ("math.reduce_mean", {"axis": ["x", 0, 0]}), ("os.system", {}), ("einsum", {}),
                             ("sequence_mask", {"maxlen": ["x", 0, 0]}), ("gather", {"axis": ["x", 0, 0]}),
                             ("math.squared_difference", {"z": 1}), ("identity", {"z": 1}), ("shape", {"z": 1}),
                             ("math.add_n", {"z": 1}), ("compat.v1.gather", {"indices": [0], "z": 1}),
                             ("nn.max_pool2d", {"ksize": 2, "strides": 2, "padding": "VALID", "z": 1}),
                             ("nn.softmax_cross_entropy_with_logits", {"logits": [[1.0] * 4], "z": 1})):  # fmt: skip
        config = functional(copy.deepcopy(X), op(function, [["x", 0, 0, kwargs]]), outputs=[["op", 0, 0]])
        with pytest.raises(UpgradeError):
            model_from_config(config)


def test_nodes_of_graphs() -> None:
    node = {
        "name": "t", "class_name": "TensorFlowOpLayer", "inbound_nodes": [[["x", 0, 0, {}]]],
        "config": {"name": "t", "constants": {"0": 3.0},
                   "node_def": {"name": "t", "op": "Sub", "input": ["c", "x"], "attr": {"T": {"type": "DT_FLOAT"}}}},
    }  # fmt: skip
    np.testing.assert_allclose(output(functional(X, node, outputs=[["t", 0, 0]])), 3.0 - DATA)
    mean = {**node, "config": {"name": "t", "constants": {"1": [1]}, "node_def": {
        "op": "Mean", "attr": {"keep_dims": {"b": True}}}}}  # fmt: skip
    np.testing.assert_allclose(output(functional(copy.deepcopy(X), mean, outputs=[["t", 0, 0]])),
                               DATA.mean(1, keepdims=True), rtol=1e-5)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "attributes", "problem"),
    [
        ("BiasAdd", {"data_format": {"s": "TkNIVw=="}}, "expected channels last"),
        ("GatherV2", {"batch_dims": {"i": "1"}}, "expected one batch dimension"),
    ],
)
def test_attributes_of_nodes_that_change_the_numbers(name: str, attributes: dict[str, Any], problem: str) -> None:
    node = {
        "name": "t", "class_name": "TensorFlowOpLayer", "inbound_nodes": [[["x", 0, 0, {}]]],
        "config": {"name": "t", "constants": {"1": [1]}, "node_def": {"op": name, "attr": attributes}},
    }  # fmt: skip
    with pytest.raises(KioError, match=problem):
        model_from_config(functional(copy.deepcopy(X), node, outputs=[["t", 0, 0]]))


@pytest.mark.parametrize(
    "value",
    [{"i": "x"}, {"i": [1]}, {"s": "%%%1"}, {"s": 5}, {"s": "//79"}, {"list": {"i": ["x"]}}, {"list": {"i": 5}}],
)
def test_attributes_of_nodes_that_cannot_be_read(value: dict[str, Any]) -> None:
    node = {
        "name": "t", "class_name": "TensorFlowOpLayer", "inbound_nodes": [[["x", 0, 0, {}]]],
        "config": {"name": "t", "constants": {}, "node_def": {"op": "Squeeze", "attr": {"squeeze_dims": value}}},
    }  # fmt: skip
    with pytest.raises(CorruptError, match="squeeze_dims of a TensorFlow node"):
        model_from_config(functional(copy.deepcopy(X), node, outputs=[["t", 0, 0]]))


def test_names_with_slashes_lose_them_wherever_they_stand() -> None:
    a, b = member("a/b", "Dense", call(["x", 0, 0]), units=2), member("a_b", "Dense", call(["a/b", 0, 0]), units=3)
    config = functional(copy.deepcopy(X), a, b, outputs=[["a_b", 0, 0], ["a/b", 0, 0]])
    made = upgrade(config, Era.of({"keras_version": "2.4.0"}), training_config={
        "loss": {"a/b": "mse", "a_b": "mae"}, "optimizer_config": {"class_name": "SGD", "config": {}}})  # fmt: skip
    inner = made.config["config"]
    assert [layer["name"] for layer in inner["layers"]] == ["x", "a_b_1", "a_b"]
    assert [place[0] for place in inner["output_layers"]] == ["a_b", "a_b_1"]
    assert set(made.config["compile_config"]["loss"]) == {"a_b", "a_b_1"}
    assert made.applied["name with slashes"] == 1


def test_bytecode_never_runs() -> None:
    config = functional(
        X, member("l", "Lambda", call(["x", 0, 0]), function=["4wEAAAA=", None, None], function_type="lambda",
                  module="__main__", output_shape=None, output_shape_type="raw", arguments={}),
        outputs=[["l", 0, 0]],
    )  # fmt: skip
    with pytest.raises(UnsafeError, match="lambda"):
        model_from_config(config)


def test_custom_classes_and_functions_by_their_old_names() -> None:
    class Twice(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return 2 * x

    def cube(x: Any) -> Any:
        return x * x * x

    config = functional(
        X, member("t", "Custom>Twice", call(["x", 0, 0]), trainable=True, dtype="float32"),
        member("a", "Activation", call(["t", 0, 0]), activation="cube"), outputs=[["a", 0, 0]],
    )  # fmt: skip
    model = model_from_config(config, {"Twice": Twice, "cube": cube})
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(DATA)), (2 * DATA) ** 3, rtol=1e-5)
    mine = {"LeakyReLU": Twice}
    shadow = functional(copy.deepcopy(X), member("t", "LeakyReLU", call(["x", 0, 0])), outputs=[["t", 0, 0]])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model_from_config(shadow, mine)(DATA)), 2 * DATA)


def test_broken_configurations_are_named() -> None:
    for config in (
        functional(X, member("a", "ReLU", call(["gone", 0, 0])), outputs=[["a", 0, 0]]),
        functional(X, member("a", "ReLU", [3]), outputs=[["a", 0, 0]]),
        {"class_name": "Sequential", "config": [3], "keras_version": "2.0.0"},
        {"class_name": "Sequential", "config": 3, "keras_version": "2.0.0"},
        {"class_name": "Model", "config": {"layers": [{}], "input_layers": []}, "keras_version": "2.0.0"},
    ):
        with pytest.raises(CorruptError, match=r"expected .*, found "):
            upgrade(config)


def test_merges_of_keras_1() -> None:
    for mode, expected in (("sum", 2 * DATA), ("mul", DATA * DATA), ("concat", np.concatenate([DATA, DATA], -1)),
                           ("ave", DATA), ("max", DATA)):  # fmt: skip
        config = functional(
            copy.deepcopy(X),
            member("m", "Merge", call(["x", 0, 0], ["x", 0, 0]), mode=mode, concat_axis=-1, dot_axes=-1,
                   output_shape=None, output_mask=None, arguments={}, mode_type="raw"),
            outputs=[["m", 0, 0]],
        )  # fmt: skip
        np.testing.assert_allclose(output({**config, "keras_version": "1.2.0"}), expected, rtol=1e-6)
    with pytest.raises(UpgradeError):
        upgrade(functional(X, member("m", "Merge", call(["x", 0, 0]), mode=["code"]), outputs=[["m", 0, 0]]))


def test_what_keras_1_alone_had() -> None:
    one = {"keras_version": "1.2.2"}
    config = functional(
        copy.deepcopy(X), member("a", "Activation", call(["x", 0, 0]), activation="relu"),
        member("m", "Merge", call(["x", 0, 0], ["a", 0, 0]), mode="cos", dot_axes=[1, 1]), outputs=[["m", 0, 0]],
    )  # fmt: skip
    relu = np.maximum(DATA, 0)
    sizes = np.maximum(np.linalg.norm(DATA, axis=1) * np.linalg.norm(relu, axis=1), 1e-7)
    np.testing.assert_allclose(output({**config, **one})[:, 0, 0], (DATA * relu).sum(1) / sizes, rtol=1e-5)
    w = np.linspace(-1, 1, 4)
    soft = functional(copy.deepcopy(X), member("p", "ParametricSoftplus", call(["x", 0, 0]), alpha_init=0.2),
                      outputs=[["p", 0, 0]])  # fmt: skip
    np.testing.assert_allclose(output({**soft, **one}), w * np.log1p(np.exp(w * DATA)), rtol=1e-5)
    srelu = functional(copy.deepcopy(X), member("p", "SReLU", call(["x", 0, 0]), t_left_init="zero"),
                       outputs=[["p", 0, 0]])  # fmt: skip
    right = w + np.abs(w)
    expected = np.where(w > DATA, w + w * (DATA - w), np.where(right > DATA, DATA, right + w * (DATA - right)))
    np.testing.assert_allclose(output({**srelu, **one}), expected, rtol=1e-5, atol=1e-6)


# --------------------------------------------------------------------------- older Keras 3


def test_an_older_keras_3_gets_its_own_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras3_adapt, "installed", lambda: (3, 0, 5))
    gru = member("g", "GRU", call(["x", 0, 0]), units=2,
                 recurrent_initializer={"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}})  # fmt: skip
    config = functional(member("x", "InputLayer", batch_input_shape=[None, 3, 4]), gru, outputs=[["g", 0, 0]])
    made = upgrade(config, Era.of({"keras_version": "2.4.0"})).config
    layer = made["config"]["layers"][1]["config"]
    assert layer["recurrent_initializer"]["class_name"] == "OrthogonalInitializer"
    sliced = member("s", "SlicingOpLambda", [["x", 0, 0, {"slice_spec": [0]}]], function="__operators__.getitem")
    config = functional(X, sliced, outputs=[["s", 0, 0]])
    done = upgrade(config, Era.of({"keras_version": "2.4.0"}))
    assert done.kio_objects == ("TFFunction",)  # its own slices it cannot read
    assert done.config["config"]["layers"][1]["inbound_nodes"][0]["kwargs"] == {"slice_spec": [0]}


@pytest.mark.parametrize("whole", [False, True])
def test_slices_of_keras_3_where_it_cannot_read_them(whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    x = keras.Input((3, 4))
    if not whole and versions.installed() < keras3_older.PARTS["__ellipsis__"]:
        pytest.skip("this Keras has no word for an ellipsis")
    model = keras.Model(x, x[:, 1:] if whole else x[..., 2])
    config = json.loads(json.dumps(legacy_h5_config(model)))
    monkeypatch.setattr(keras3_adapt, "installed", lambda: (3, 0, 5))
    done = upgrade(config, Era.of({"keras_version": keras.__version__}))
    assert done.kio_objects == ("TFFunction",)
    if versions.installed() >= (3, 4):
        done.config["config"] |= {key: done.config["config"][key][0] for key in ("input_layers", "output_layers")}
    data = np.arange(24.0).reshape(2, 3, 4).astype("float32")
    made = keras.ops.convert_to_numpy(model_from_config(done.config)(data))
    assert np.array_equal(made, data[:, 1:] if whole else data[..., 2])


def legacy_h5_config(model: Any) -> dict[str, Any]:
    """The configuration as Keras 3 writes it into legacy HDF5."""
    from keras.src.saving import serialization_lib

    with serialization_lib.ObjectSharingScope():
        return {"class_name": "Functional", "config": model.get_config()}


# Who divides the penalty of activities by the size of the batch, by version as stored.
@pytest.mark.parametrize(
    "writer, mean", [("2.2.4", False), ("2.2.4-tf", True), ("2.11.0", True), ("3.0.5", False), ("3.14.1", True)]
)
@pytest.mark.parametrize("name", ["Dense", "ActivityRegularization"])
def test_the_penalty_of_activities_is_the_writers(name: str, writer: str, mean: bool) -> None:
    options = {"units": 3, "activity_regularizer": {"class_name": "L1L2", "config": {"l1": 0.5, "l2": 0.25}}}
    if name == "ActivityRegularization":
        options = {"l1": 0.5, "l2": 0.25}
    layers = [{"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 4]}},
              {"class_name": name, "config": {"name": "d", **options}}]  # fmt: skip
    if not writer.startswith("3"):
        layers[0]["config"]["batch_input_shape"] = layers[0]["config"].pop("batch_shape")
    model = model_from_config({"class_name": "Sequential", "config": {"name": "s", "layers": layers}},
                              era=Era.of({"keras_version": writer}))  # fmt: skip
    # Keras before 3.6 leaves them out of what it saves.
    kept = "activity_regularizer" in model.layers[-1].get_config()
    for again in (model, *([keras.Sequential.from_config(model.get_config())] if kept else [])):
        y = keras.ops.convert_to_numpy(again(DATA))
        penalty = float(keras.ops.convert_to_numpy(again.losses[0]))
        assert penalty == pytest.approx((0.5 * np.abs(y) + 0.25 * y * y).sum() / (2 if mean else 1), rel=1e-5)


def test_the_old_hard_sigmoid_is_saved_as_what_it_is() -> None:
    """Keras up to 3.6 saves functions by name and takes those that it has for its own."""
    from kio.layers import hard_sigmoid

    assert keras.activations.serialize(hard_sigmoid)["config"] == "kio>hard_sigmoid"
    assert hard_sigmoid.__name__ not in vars(keras.activations)
