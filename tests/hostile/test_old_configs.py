"""Attacks through configurations of older Keras: refused within seconds, nothing imported, nothing run.

Each test is one attack; all go through the front door with the file that would carry it.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.errors import CorruptError, FormatError, LimitError, UnsafeError  # noqa: E402
from tests.clock import worked_less_than  # noqa: E402

pytestmark = pytest.mark.keras

CODE = ["4wEAAAAAAAAAAAAAAAEAAAABAAAAQwAAAHMEAAAAfABTACkBTqkA", None, None]


@pytest.fixture(autouse=True)
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module on the path that tells when it was imported."""
    (tmp_path / "kio_trap.py").write_text("class Evil: pass\ndef evil(*args, **kwargs): raise SystemExit\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with worked_less_than(20):
        yield
    assert "kio_trap" not in sys.modules, "the file had a module imported"


def h5(config: Any, version: str = "2.4.0", training: Any = None) -> bytes:
    """A whole-model file with a configuration: bytes, or what json makes of it."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = version, "tensorflow"
        file.attrs["model_config"] = np.void(config) if isinstance(config, bytes) else json.dumps(config)
        if training is not None:
            file.attrs["training_config"] = json.dumps(training)
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = np.array([], "S1")
    return out.getvalue()


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": "l", **config}}


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    first = layer("InputLayer", batch_input_shape=[None, 4], dtype="float32")
    first["config"]["name"] = "x"
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [first, *layers]}}


def functional(node: dict[str, Any], calls: Any = None) -> dict[str, Any]:
    first = {
        "name": "x",
        "class_name": "InputLayer",
        "config": {"name": "x", "batch_input_shape": [None, 4]},
        "inbound_nodes": [],
    }
    node = {"name": "l", "inbound_nodes": [[["x", 0, 0, {}]]] if calls is None else calls, **node}
    inner = {"name": "m", "layers": [first, node], "input_layers": [["x", 0, 0]], "output_layers": [["l", 0, 0]]}
    return {"class_name": "Functional", "config": inner}


def op(function: str, calls: Any = None, class_name: str = "TFOpLambda") -> dict[str, Any]:
    return functional({"class_name": class_name, "config": {"name": "l", "function": function}}, calls)


def refused(config: Any, *kinds: type[Exception], match: str = "", **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(kinds or (FormatError, UnsafeError), match=match) as error:
            kio.load_model(h5(config, **options))
    assert len(str(error.value)) < 2000


def test_lambda_bytecode() -> None:
    refused(sequential(layer("Lambda", function=CODE, function_type="lambda")), UnsafeError)


def test_lambda_bytecode_without_its_mark() -> None:
    refused(sequential(layer("Lambda", function=CODE)), UnsafeError)


def test_lambda_bytecode_of_the_output_shape() -> None:
    refused(
        sequential(
            layer("Lambda", function="relu", function_type="function", output_shape=CODE, output_shape_type="lambda")
        ),
        UnsafeError,
    )


def test_lambda_bytecode_inside_a_wrapper() -> None:
    inner = layer("Lambda", function=CODE, function_type="lambda")
    refused(sequential(layer("TimeDistributed", layer=inner)), UnsafeError)


def test_lambda_bytecode_inside_a_nested_model() -> None:
    refused(sequential(sequential(layer("Lambda", function=CODE, function_type="lambda"))), UnsafeError)


def test_lambda_bytecode_in_the_place_of_an_activation() -> None:
    refused(
        sequential(layer("Dense", units=2, activation={"class_name": "__lambda__", "config": {"code": CODE[0]}})),
        UnsafeError,
    )


def test_lambda_that_names_a_function_of_a_module() -> None:
    refused(sequential(layer("Lambda", function="evil", function_type="function", module="kio_trap")))


def test_merge_of_keras_1_with_bytecode() -> None:
    refused(functional(layer("Merge", mode=CODE, mode_type="lambda")), version="1.2.2")


@pytest.mark.parametrize(
    "function",
    [
        "os.system",
        "io.write_file",
        "io.read_file",
        "py_function",
        "numpy_function",
        "compat.v1.py_func",
        "raw_ops.WriteFile",
        "load_op_library",
        "load_library",
        "eval",
        "exec",
        "__import__",
        "builtins.eval",
        "kio_trap.evil",
        "keras.utils.get_file",
        "saved_model.load",
        "__class__",
        "math.__class__",
        "nn.relu.__globals__",
        "function",
        "__operators__",
    ],
)
@pytest.mark.parametrize("class_name", ["TFOpLambda", "SlicingOpLambda"])
def test_operation_that_names_any_function(function: str, class_name: str) -> None:
    refused(op(function, class_name=class_name), match="expected")


def test_operation_of_kio_with_a_function_of_the_files_choice() -> None:
    node = {
        "class_name": "TFFunction",
        "module": "kio.layers",
        "registered_name": "kio>TFFunction",
        "config": {"name": "l", "function": "os.system"},
    }
    import kio.layers  # noqa: F401  (registered: the worst case)

    refused(functional(node))
    refused(functional(node), version="3.15.1")


def test_node_of_a_graph_that_writes_files() -> None:
    config = {"name": "l", "node_def": {"op": "WriteFile", "input": ["x"], "attr": {}}, "constants": {}}
    refused(functional({"class_name": "TensorFlowOpLayer", "config": config}))


@pytest.mark.parametrize(
    "module", ["kio_trap", "keras.layers", "builtins", None, "kio.layers", "tensorflow.keras.layers"]
)
def test_class_name_that_looks_like_a_module(module: Any) -> None:
    for name in ("kio_trap.Evil", "kio_trap>Evil", "Evil", "os.system"):
        refused(sequential({**layer(name), "module": module, "registered_name": name}))


def test_registered_name_of_something_else() -> None:
    for registered in ("kio_trap>Evil", "builtins>eval", "../kio_trap", "kio>hard_sigmoid", "kio>TFFunction"):
        config = sequential({**layer("Evil", units=2), "module": "keras.layers", "registered_name": registered})
        refused(config, FormatError, UnsafeError, TypeError)


def test_function_of_a_module_in_every_place() -> None:
    evil = {"class_name": "function", "module": "kio_trap", "config": "evil", "registered_name": "evil"}
    for argument in ("activation", "kernel_initializer", "kernel_regularizer", "kernel_constraint"):
        for value in (
            evil,
            {**evil, "module": "builtins", "config": "eval"},
            {"class_name": "Evil", "module": "kio_trap", "config": {}},
        ):
            refused(sequential(layer("Dense", units=2, **{argument: value})))


def test_training_configuration_that_names_functions() -> None:
    good = sequential(layer("Dense", units=2))
    evil = {"class_name": "function", "module": "kio_trap", "config": "evil"}
    adam = {"class_name": "Adam", "config": {"learning_rate": 0.1}}
    for training in (
        {"optimizer_config": adam, "loss": "kio_trap.evil"},
        {"optimizer_config": adam, "loss": evil},
        {"optimizer_config": adam, "loss": "mse", "metrics": ["os.system"]},
        {"optimizer_config": adam, "loss": "mse", "metrics": [evil]},
        {"optimizer_config": {"class_name": "Evil", "module": "kio_trap", "config": {}}, "loss": "mse"},
        {
            "optimizer_config": {
                "class_name": "Adam",
                "config": {"learning_rate": {"class_name": "Evil", "config": {}}},
            },
            "loss": "mse",
        },
    ):
        refused(good, training=training)


@pytest.mark.parametrize("name", ["TextVectorization", "StringLookup", "IntegerLookup"])
def test_vocabulary_that_is_a_file(name: str) -> None:
    refused(sequential(layer(name, vocabulary="/etc/passwd")), UnsafeError)


def test_saved_model_or_torch_module_as_a_layer() -> None:
    refused(sequential(layer("TFSMLayer", filepath="/tmp/x")), UnsafeError)
    refused(sequential(layer("TorchModuleWrapper", module="abc")), UnsafeError)


@pytest.mark.parametrize(
    "config",
    [
        layer("Dense", units=10**12),
        layer("Dense", units=10**30),
        layer("Embedding", input_dim=10**12, output_dim=10**6),
        layer("MaxoutDense", output_dim=10**9, nb_feature=10**9),
        layer("LSTM", units=10**12, batch_input_shape=[None, 3, 4]),
    ],
    ids=["units", "units-bignum", "rows", "maxout", "recurrent"],
)
def test_sizes_out_of_proportion(config: dict[str, Any]) -> None:
    if config["class_name"] == "LSTM":
        refused({"class_name": "Sequential", "config": [config]})
    else:
        refused(sequential(config), version="1.2.2" if config["class_name"] == "MaxoutDense" else "2.4.0")


@pytest.mark.parametrize("value", [0, -3, "4", [4], None, float("inf")])
def test_sizes_that_are_none(value: Any) -> None:
    refused(sequential(layer("Dense", units=value)), FormatError)


def test_depth() -> None:
    config = sequential(layer("Dense", units=2))
    for _ in range(300):
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": [config]}}
    refused(config, LimitError, FormatError)


def test_depth_of_wrappers() -> None:
    config = layer("Dense", units=2)
    for _ in range(300):
        config = layer("TimeDistributed", layer=config)
    refused(sequential(config), LimitError, FormatError)


def test_depth_of_calls() -> None:
    place: Any = ["x", 0, 0, {}]
    for _ in range(300):
        place = [place]
    refused(functional(layer("Dense", units=2), [place]), LimitError, FormatError)


def test_a_million_layers() -> None:
    one = json.dumps(layer("ReLU"))
    text = '{"class_name": "Sequential", "config": {"layers": [' + ",".join([one] * 1_000_000) + "]}}"
    with worked_less_than(5), pytest.raises((LimitError, FormatError)):
        kio.model_from_json(text)


def test_a_constant_of_millions() -> None:
    numbers = "[" + ",".join(["1.0"] * 3_000_000) + "]"
    text = json.dumps(op("math.add", [[["x", 0, 0, {"y": "NUMBERS"}]]])).replace('"NUMBERS"', numbers)
    with worked_less_than(5), pytest.raises(LimitError):
        kio.model_from_json(text)


@pytest.mark.parametrize(
    ("function", "kwargs"),
    [
        ("tile", {"multiples": [1, 10**12]}),
        ("repeat", {"repeats": 10**12, "axis": 1}),
        ("one_hot", {"depth": 10**12, "on_value": 2.0}),
        ("pad", {"paddings": [[0, 0], [0, 10**12]]}),
        ("broadcast_to", {"shape": [10**6, 10**6, 4]}),
        ("zeros", {"shape": [10**12]}),
    ],
)
def test_operations_that_blow_up_make_no_array_at_load(function: str, kwargs: Any) -> None:
    """Either it is refused, or nothing of that size exists until the model is called."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(FormatError, MemoryError):
        kio.load_model(h5(op(function, [[["x", 0, 0, kwargs]]])))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 << 10


def local(size: int) -> dict[str, Any]:
    first = layer(
        "LocallyConnected2D", filters=16, kernel_size=[3, 3], implementation=3, batch_input_shape=[None, size, size, 3]
    )
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [first]}}


def test_connections_of_a_kernel_are_counted_before_they_are_listed() -> None:
    with worked_less_than(8):
        assert kio.model_from_json(json.dumps(local(64))).count_params() > 1_000_000
    refused(local(10**4), FormatError, match="connections")
    refused(local(10**9), FormatError, match="connections")


@pytest.mark.parametrize(
    ("function", "shape", "kwargs"),
    [
        ("linalg.band_part", [3000, 3000], {"num_lower": 1, "num_upper": 0}),
        ("linalg.band_part", [10**5, 10**5], {"num_lower": 1, "num_upper": 0}),
        ("math.cumsum", [3_000_000], {"axis": 1, "exclusive": True}),
        ("math.cumprod", [3_000_000], {"axis": 1, "exclusive": True, "reverse": True}),
        ("nn.local_response_normalization", [2, 2, 10**5], {}),
    ],
)
def test_operations_over_many_items_make_no_lists_of_them(function: str, shape: list[int], kwargs: Any) -> None:
    config = op(function, [[["x", 0, 0, kwargs]]])
    config["config"]["layers"][0]["config"]["batch_input_shape"] = [None, *shape]
    if keras.config.backend() == "numpy" and shape[0] == 10**5:
        pytest.skip("finds shapes by computing on arrays of them")
    with worked_less_than(5), contextlib.suppress(FormatError):
        kio.model_from_json(json.dumps(config))


def test_a_resized_axis_out_of_proportion() -> None:
    from kio.ops.resize import weights
    from kio.ops.windows import extract_patches

    with pytest.raises(ValueError, match="weights of an axis, found 4 by 1000000000000"):
        weights(4, 10**12, "bicubic")
    with pytest.raises(ValueError, match="extract_patches"):
        extract_patches(np.zeros((1, 2, 2, 3)), [1, 10**5, 10**5, 1], [1, 1, 1, 1], [1, 1, 1, 1], "VALID")
    config = op("compat.v1.image.resize_bilinear", [[["x", 0, 0, {"size": [10**12, 10**6]}]]])
    config["config"]["layers"][0]["config"]["batch_input_shape"] = [None, 4, 4, 1]
    with contextlib.suppress(FormatError):
        kio.model_from_json(json.dumps(config))


def test_calls_that_lead_nowhere() -> None:
    for calls in (
        [[["x", 10**9, 0, {}]]],
        [[["x", -1, 0, {}]]],
        [[["x", 0, 10**9, {}]]],
        [[["l", 0, 0, {}]]],
        [[["gone", 0, 0, {}]]],
        [[["x", "0", 0, {}]]],
        [[["x"]]],
        [[]],
        [3],
        [[["x", 0, 0, {"y": ["x", 10**9, 0]}]]],
        [[["x", 0, 0, 3]]],
        [[["_CONSTANT_VALUE", -1, {"class_name": "Evil", "config": {}}, {}]]],
    ):
        refused(functional(layer("Dense", units=2), calls), FormatError, UnsafeError)


def test_layers_in_a_ring() -> None:
    config = functional(layer("Dense", units=4), [[["k", 0, 0, {}]]])
    config["config"]["layers"].append({"name": "k", **layer("Dense", units=4), "inbound_nodes": [[["l", 0, 0, {}]]]})
    refused(config, FormatError)


def test_two_layers_of_one_name() -> None:
    config = functional(layer("Dense", units=4))
    config["config"]["layers"].append({"name": "l", **layer("Dense", units=9), "inbound_nodes": [[["x", 0, 0, {}]]]})
    refused(config, FormatError)


def test_json_that_is_not_json() -> None:
    for text in (
        b"\xff\xfe{",
        b"\xef\xbb\xbf{}",
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b"[1]",
        b"",
        b"{" * 100_000,
        b'{"a": "\\ud800"}',
    ):
        with pytest.raises((CorruptError, LimitError)):
            kio.model_from_json(text)


def test_duplicate_keys_in_an_hdf5_attribute() -> None:
    out = io.BytesIO(h5(sequential(layer("Dense", units=2))))
    with h5py.File(out, "r+") as file:
        file.attrs["model_config"] = '{"class_name": "Sequential", "class_name": "Lambda", "config": {"layers": []}}'
    with pytest.raises(CorruptError, match="twice"):
        kio.load_model(out.getvalue())


def test_classes_and_names_of_other_types() -> None:
    for broken in (
        {"class_name": 3, "config": {}},
        {"class_name": ["Dense"], "config": {}},
        {"class_name": "Dense", "config": [1]},
        {"class_name": "Dense", "config": None},
        {"class_name": None, "config": {}},
        {"config": {}},
        [],
        3,
        None,
        "Dense",
        {"class_name": "Dense", "config": {"units": {"class_name": "Dense", "config": {"units": 2}}}},
    ):
        refused({"class_name": "Sequential", "config": {"name": "s", "layers": [broken]}}, FormatError, UnsafeError)


# ------------------------------------------------------------------------------ Keras 0.x


def row(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"name": "Sequential", "layers": list(layers)}


def node(kind: str, **config: Any) -> dict[str, Any]:
    return {"name": kind, "custom_name": "l", "cache_enabled": True, **config}


def graph(nodes: dict[str, Any], calls: list[Any], outputs: Any = None) -> dict[str, Any]:
    return {
        "name": "Graph",
        "input_config": [{"name": "x", "dtype": "float", "input_shape": [4]}],
        "node_config": calls,
        "output_config": [{"name": "out", "input": "a", "inputs": []}] if outputs is None else outputs,
        "nodes": nodes,
    }


DENSE = node("Dense", output_dim=3)


@pytest.mark.parametrize(
    "config",
    [
        row(node("Dense", output_dim=3, input_shape=[4]), node("Lambda", function="c\x01\x00", arguments={})),
        row(node("Dense", output_dim=3, input_shape=[4]), node("MaskedLambda", function=None)),
        row(node("Dense", output_dim=3, input_shape=[4]), node("kio_trap>Evil")),
        row(node("Dense", output_dim=3, input_shape=[4], activation="kio_trap.evil")),
        row({"name": ["Dense"]}),
        row({"name": None}),
        row(None),  # type: ignore[arg-type]
        {"name": "Sequential", "layers": {"name": "Dense"}},
        row({"name": "Merge", "layers": [], "mode": "sum"}),
        row({"name": "Merge", "layers": [row(), row()], "mode": "sum"}),
        row({"name": "Merge", "layers": [row(DENSE), row(DENSE)], "mode": "join"}),
        row({"name": "Merge", "layers": "ab", "mode": "sum"}),
        row({"name": "AutoEncoder", "output_reconstruction": True}),
        row({"name": "AutoEncoder", "output_reconstruction": False, "encoder_config": row(), "decoder_config": row()}),
        row({"name": "LambdaMerge", "layers": [], "function": "c"}),
        row(node("TimeDistributedMerge", mode="__class__", input_shape=[3, 4])),
        row(node("TimeDistributed", layer={"name": "TimeDistributed", "layer": 5}, input_shape=[3, 4])),
        graph({"a": row(graph({}, []))}, [{"name": "a", "input": "x", "inputs": []}]),
        graph({"a": DENSE}, [{"name": "a", "input": "a", "inputs": []}]),
        graph({"a": DENSE}, [{"name": "a", "input": "b", "inputs": []}]),
        graph({"a": DENSE}, [{"name": "a", "input": ["x"], "inputs": []}]),
        graph({"a": DENSE}, [{"name": "a", "inputs": ["x"], "merge_mode": "sum"}]),
        graph({"a": DENSE}, [{"name": "a", "inputs": ["x", "x"], "merge_mode": {"a": 1}}]),
        graph({"a": DENSE}, [{"name": "a", "input": "x"}, {"name": "a", "input": "x"}]),
        graph({"x": DENSE}, [{"name": "x", "input": "x"}]),
        graph({}, [{"name": "a", "input": "x"}]),
        graph({"a": {"name": "SiameseHead", "head": 0}}, [{"name": "a", "inputs": ["x"]}]),
        graph({"a": {"name": "Siamese"}}, [{"name": "a", "inputs": ["x"], "merge_mode": None}]),
        graph({"a": DENSE}, [{"name": "a", "input": "x"}], [{"name": "out", "input": "b"}]),
        graph({"a": DENSE}, [{"name": "a", "input": "x"}], [None]),
        graph({"a": {"name": "SiameseHead", "head": 0}}, [{"name": "a", "inputs": [["x"]]}]),
        graph({"a": DENSE}, [{"name": "a", "input": "x"}], [{"name": "out", "input": "a"}] * 2),
        {**graph({"a": DENSE}, [{"name": "a", "input": "x"}]), "nodes": []},
        {**graph({"a": DENSE}, [{"name": "a", "input": "x"}]), "input_config": [{"name": "x"}]},
    ],
)
def test_rows_and_graphs_of_keras_0(config: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((FormatError, UnsafeError)) as error:
            kio.model_from_json(json.dumps(config))
    assert len(str(error.value)) < 2000


def test_an_order_of_outputs_that_names_none() -> None:
    config = graph({"a": DENSE}, [{"name": "a", "input": "x"}], [{"name": "1", "input": "a"}])
    assert kio.model_from_json(json.dumps({**config, "output_order": [1]})).output_names == ["1"]


def test_rows_in_rows_without_end() -> None:
    text = '{"name": "Sequential", "layers": [' * 3000 + "]}" * 3000
    with pytest.raises((LimitError, FormatError)):
        kio.model_from_json(text)


def test_heads_that_double_with_every_node() -> None:
    """Shared nodes that take all calls of the one before, twice: calls are counted, not listed."""
    nodes = {f"s{i}": {"name": "Siamese", "layer": DENSE} for i in range(60)}
    calls = [{"name": "s0", "inputs": ["x", "x"], "merge_mode": None}]
    calls += [{"name": f"s{i}", "inputs": [f"s{i - 1}"] * 2, "merge_mode": None} for i in range(1, 60)]
    with pytest.raises((LimitError, FormatError)):
        kio.model_from_json(json.dumps(graph(nodes, calls)))


def counted(layers: Any, params: Any) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["nb_layers"] = layers
        group = file.create_group("layer_0")
        group.attrs["nb_params"] = params
        group["param_0"] = np.zeros((4, 3), "f4")
        group["param_1"] = np.zeros(3, "f4")
    return out.getvalue()


@pytest.mark.parametrize(("layers", "params"), [(10**12, 2), (1, 10**12), (-1, 2), (1, -1), (1, 3), ("x", 2)])
def test_counts_of_keras_0_that_lie(layers: Any, params: Any) -> None:
    model = kio.model_from_json(json.dumps(row(node("Dense", output_dim=3, input_shape=[4]))))
    with pytest.raises(FormatError):
        kio.load_weights(model, counted(layers, params))
