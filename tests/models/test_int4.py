"""Kernels of four bits between Keras up to 3.13 and since 3.14, which pack them along another axis."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.mapping.tree import Leaf, Node  # noqa: E402
from kio.models.eras import int4_configs as rules  # noqa: E402
from kio.models.eras.rule import Context  # noqa: E402
from kio.models.eras.upgrade import Era, UpgradeError, upgrade  # noqa: E402
from kio.models.live import int4  # noqa: E402

pytestmark = pytest.mark.keras

CORPUS = Path(__file__).parents[1] / "corpus" / "keras3"
OLD = ("3.11.3", "3.13.2")

needs_blocks = pytest.mark.skipif(
    tuple(map(int, keras.__version__.split(".")[:2])) < (3, 14), reason="Keras before 3.14 packs as those files do"
)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 4), (3, 2, 5), (4, 7, 2)])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_packing_is_that_of_keras(shape: tuple[int, ...], axis: int) -> None:
    pack = pytest.importorskip("keras.quantizers").pack_int4
    values = np.random.default_rng(0).integers(-8, 8, shape).astype("int8")
    made = int4.packed(values, axis % len(shape))
    assert np.array_equal(made, keras.ops.convert_to_numpy(pack(keras.ops.convert_to_tensor(values), axis)[0]))
    assert np.array_equal(int4.unpacked(made, shape[axis], axis % len(shape)), values)


def load(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kio.load_model(path)


def kernels(model: Any) -> dict[str, Any]:
    """Every quantized kernel as floats, by layer."""
    found = {}
    for layer in model.layers:
        if getattr(layer, "quantization_mode", None) == "int4" and hasattr(layer, "_kernel"):
            rows = layer._kernel.shape[0]
            columns = getattr(layer, "_int4_unpacked_column_size", None) or getattr(layer, "units", None)
            # From 3.16 on an EinsumDense says the whole shape only.
            columns = columns or int(np.prod(layer.kernel_shape)) // rows
            values = int4.unpacked(keras.ops.convert_to_numpy(layer._kernel), columns, 1)
            found[layer.name] = values.reshape(rows, columns) / keras.ops.convert_to_numpy(layer.kernel_scale)
    return found


@needs_blocks
@pytest.mark.parametrize("version", OLD)
def test_older_files(version: str) -> None:
    """Kernels are the stored ones; so are outputs, where inputs are rounded as the writer rounded them."""
    folder = CORPUS / version / "int4"
    model = load(folder / "model.keras")
    made = kernels(model)
    with kio.open(folder / "model.keras") as stored:
        dense = int4.unpacked(np.asarray(stored["layers/dense/vars/0"]), 5, 0)
        einsum = int4.unpacked(np.asarray(stored["layers/einsum_dense/vars/0"]), 6, 0)
        scales = [np.asarray(stored[f"layers/{name}/vars/2"]).reshape(-1) for name in ("dense", "einsum_dense")]
    assert np.array_equal(made["dense"], dense / scales[0])
    assert np.array_equal(made["einsum_dense"], einsum / scales[1])
    writer = json.loads((folder / "expected.json").read_text())["writer"]["backend"].split()[0]
    if keras.backend.backend() == writer:
        with np.load(folder / "expected.npz") as expected:
            output = keras.ops.convert_to_numpy(model(expected["input_0"]))
            np.testing.assert_allclose(output, expected["output_0"], rtol=1e-6)
    plan = kio.plan(model, folder / "model.keras")
    assert plan.fits and {c.what for c in plan.converted} == {"int4 as packed by Keras up to 3.13"}


@needs_blocks
def test_a_failed_load_of_an_older_file_leaves_the_model(tmp_path: Path) -> None:
    path = CORPUS / "3.13.2" / "int4" / "model.keras"
    model = load(path)
    before = [keras.ops.convert_to_numpy(w).copy() for w in model.weights]
    tensors = {}
    with kio.open(path) as stored:
        tensors = {name: np.asarray(t) for name, t in stored.items()}
    tensors["layers/dense/vars/0"] = np.zeros((4, 3), "int8")
    kio.write(tmp_path / "w.weights.h5", tensors)
    with pytest.raises(kio.MatchError, match=r"dense.*kernel: expected shape \[5, 2\], found \[4, 3\]"):
        kio.load_weights(model, tmp_path / "w.weights.h5")
    assert all(np.array_equal(a, keras.ops.convert_to_numpy(b)) for a, b in zip(before, model.weights, strict=True))


def quantized(layer: Any, shape: tuple[int, ...], block_size: int | None = None) -> Any:
    model = keras.Sequential([keras.Input(shape), layer])
    config = keras.quantizers.Int4QuantizationConfig(block_size=block_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.quantize("int4", config=config)
    return model.layers[-1]


def node_of(layer: Any) -> Node:
    node = Node(0, "dense", "Layer", layer.name)
    variables = [layer._kernel, layer.kernel_scale]
    node.leaves = [Leaf(str(i), v.path, v.name, tuple(v.shape), str(v.dtype), v, node) for i, v in enumerate(variables)]
    return node


LAYERS = {
    "dense": (lambda: keras.layers.Dense(3), (5,)),
    "heads": (lambda: keras.layers.EinsumDense("abc,cde->abde", (None, 3, 3)), (4, 6)),
    "heads joined": (lambda: keras.layers.EinsumDense("abde,def->abf", (None, 5)), (4, 3, 2)),
    "moved": (lambda: keras.layers.EinsumDense("abc,cde->aebd", (3, None, 2)), (4, 6)),
}


@needs_blocks
@pytest.mark.parametrize("name", LAYERS)
def test_both_forms_say_the_same(name: str) -> None:
    make, shape = LAYERS[name]
    layer = quantized(make(), shape)
    kernel = int4._Kernel.of(layer)
    assert kernel is not None and kernel.is_new
    stored = keras.ops.convert_to_numpy(layer._kernel)
    old = kernel.older([stored])
    assert old.shape == kernel.old_shape != stored.shape
    assert np.array_equal(kernel.newer([old]), stored)
    values = int4.unpacked(old, kernel.shape[0], 0).reshape(kernel.rows, kernel.columns)
    assert np.array_equal(values, int4.unpacked(stored, kernel.columns, 1))
    if name != "dense":
        scale = keras.ops.convert_to_numpy(layer.kernel_scale)
        assert np.array_equal(kernel.newer_scale([kernel.older_scale([scale])]), scale)
        # As stock Keras lays the scale of an int8 kernel out, which never changed.
        assert kernel.older_scale([scale]).shape == tuple(layer._get_kernel_scale_shape(kernel.shape))


@needs_blocks
def test_what_has_one_form_only() -> None:
    blocks = quantized(keras.layers.Dense(3), (6,), block_size=2)
    assert int4.forms(blocks, node_of(blocks)) == {}
    trailing = quantized(keras.layers.EinsumDense("ab,cb->ac", 4), (6,))
    assert int4.forms(trailing, node_of(trailing)) == {}
    assert int4.forms(quantized(keras.layers.Dense(3), (5,)), node_of(quantized(keras.layers.Dense(3), (5,))))


# ------------------------------------------------------------------------------- configurations


def policy(mode: str) -> dict[str, Any]:
    cls = "Int4DTypePolicy" if "/" in mode else "QuantizedDTypePolicy"
    return {"module": "keras.dtype_policies", "class_name": cls, "config": {"mode": mode, "source_name": "float32"}}


def context() -> Context:
    return Context(Era.of({}), lambda name: False)


POLICIES = [policy("int4"), "int4_from_float32", {"config": {"policy_map": {"a": policy("int4")}}}]


@pytest.mark.parametrize("dtype", POLICIES)
def test_inputs_were_quantized_before_it_was_said(dtype: Any) -> None:
    inner = {"name": "d", "dtype": dtype}
    made = rules.newer("Dense", copy.deepcopy(inner), context(), (3, 15, 1))
    assert made["quantization_config"]["config"]["activation_quantizer"]["class_name"] == "AbsMaxQuantizer"
    assert rules.newer("Dense", copy.deepcopy(inner), context(), (3, 12)) == inner
    assert rules.newer("Dense", {**inner, "quantization_config": None}, context(), (3, 15)) == {
        **inner,
        "quantization_config": None,
    }
    assert rules.newer("Dense", {**inner, "dtype": policy("int8")}, context(), (3, 15))["dtype"] == policy("int8")


def said(inputs: Any, **more: Any) -> dict[str, Any]:
    return {"class_name": "Int4QuantizationConfig", "config": {"activation_quantizer": inputs, **more}}


INPUTS = {"class_name": "AbsMaxQuantizer", "config": {}}


def test_older_keras_gets_what_it_can_do() -> None:
    inner = {"name": "d", "dtype": policy("int4/-1"), "quantization_config": said(INPUTS, block_size=None)}
    made = rules.older("Dense", copy.deepcopy(inner), context(), (3, 13, 2))
    assert made["dtype"]["class_name"] == "QuantizedDTypePolicy" and made["dtype"]["config"]["mode"] == "int4"
    assert "block_size" not in made["quantization_config"]["config"]
    assert made["quantization_config"]["config"]["activation_quantizer"] == INPUTS
    made = rules.older("Dense", copy.deepcopy(inner), context(), (3, 11, 3))
    assert "quantization_config" not in made and made["dtype"]["config"]["mode"] == "int4"
    assert rules.older("Dense", copy.deepcopy(inner), context(), (3, 14)) == inner
    # Said by nobody, 3.14 leaves inputs alone and 3.13 does not.
    silent = {"name": "d", "dtype": policy("int4/-1")}
    made = rules.older("Dense", silent, context(), (3, 13))
    assert made["quantization_config"]["config"]["activation_quantizer"] is None


@pytest.mark.parametrize(
    ("name", "inner", "version"),
    [
        ("Dense", {"dtype": policy("int4/128")}, (3, 13)),
        ("Dense", {"dtype": policy("int4/-1")}, (3, 12)),
        ("Embedding", {"dtype": policy("int4/-1"), "quantization_config": said(INPUTS)}, (3, 12)),
    ],
)
def test_what_an_older_keras_cannot_do_is_refused(name: str, inner: dict[str, Any], version: tuple[int, ...]) -> None:
    with pytest.raises(UpgradeError, match=r"before Keras 3\.1[34]"):
        rules.older(name, inner, context(), version)


def test_a_whole_configuration_is_adapted() -> None:
    with kio.open(CORPUS / "3.11.3" / "int4" / "model.keras") as stored:
        config = json.loads(str(stored.config))
        era = Era.of(stored.metadata)
    done = upgrade(config, era)
    assert done.applied["inputs of an int4 layer are quantized"] == 2


# ------------------------------------------------------------------------------- saves for older Keras


def model_of_heads(inputs_quantized: bool) -> Any:
    x = keras.Input((4, 6))
    y = keras.layers.EinsumDense("abc,cde->abde", (None, 3, 3), bias_axes="de")(x)
    y = keras.layers.EinsumDense("abde,def->abf", (None, 5))(y)
    model = keras.Model(x, keras.layers.Dense(3)(y))
    inputs = keras.quantizers.AbsMaxQuantizer() if inputs_quantized else None
    config = keras.quantizers.Int4QuantizationConfig(activation_quantizer=inputs, block_size=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.quantize("int4", config=config)
    return model


@needs_blocks
@pytest.mark.parametrize("compat", ["3.11", "3.13"])
def test_saves_for_older_keras(compat: str, tmp_path: Path) -> None:
    model = model_of_heads(inputs_quantized=True)
    kio.save_model(model, tmp_path / "m.keras", compat=compat)
    with kio.open(tmp_path / "m.keras") as stored:
        shapes = {name: t.shape for name, t in stored.items() if t.dtype_name == "int8"}
        config = json.loads(str(stored.config))
    assert sorted(shapes.values()) == [(2, 3, 5), (3, 3), (3, 3, 3)]
    said = [layer["config"].get("quantization_config") for layer in config["config"]["layers"][1:]]
    assert all(each is None for each in said) is (compat == "3.11")
    again = load(tmp_path / "m.keras")
    x = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")
    same = [keras.ops.convert_to_numpy(m(x)) for m in (model, again)]
    np.testing.assert_allclose(same[0], same[1], rtol=1e-6)


@needs_blocks
def test_saves_that_an_older_keras_could_not_mean(tmp_path: Path) -> None:
    with pytest.raises(kio.UnsupportedError, match=r"before Keras 3\.13"):
        kio.save_model(model_of_heads(inputs_quantized=False), tmp_path / "m.keras", compat="3.12")
    kio.save_weights(model_of_heads(inputs_quantized=False), tmp_path / "m.weights.h5", compat="3.12")
    with pytest.raises(kio.UnsupportedError, match="int4"):
        kio.save_weights(model_of_heads(inputs_quantized=True), tmp_path / "m.weights.h5", compat="3.10")
