"""The order of averages and accumulated gradients, before and since Keras 3.10."""

from __future__ import annotations

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

import kio
from tests.conftest import CORPUS

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras

if tuple(map(int, keras.__version__.split(".")[:2])) < (3, 10):
    pytest.skip("written from the newer side", allow_module_level=True)


def built(first=0.0, bias=True):
    layers = [keras.layers.Dense(3, use_bias=bias) for _ in range(2)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(keras.optimizers.Adam(gradient_accumulation_steps=2, use_ema=True), "mse")
    model.optimizer.build(model.trainable_variables)
    for i, variable in enumerate(state(model)):
        if variable.dtype == "float32":
            variable.assign(np.full(variable.shape, first + i, "f4"))
    return model


def state(model):
    optimizer = model.optimizer
    return [*model.weights, *optimizer._model_variables_moving_average, *optimizer._accumulated_gradients]


def values(model):
    return [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in state(model)]


def order_in(data):
    """The values of the optimizer's variables as stored, one number each."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        version = json.loads(archive.read("metadata.json"))["keras_version"]
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            group = file["optimizer/vars"]
            found = [float(np.ravel(group[key][()])[0]) for key in sorted(group, key=int)]
    return version, found


@pytest.mark.parametrize("compat", ["3.9", "3.10", None])
def test_round_trip(compat):
    model, other = built(10.0), built(100.0)
    data = io.BytesIO()
    kio.save_model(model, data, compat=compat)
    version, found = order_in(data.getvalue())
    pairs = [(14.0 + i, 18.0 + i) for i in range(4)]
    wanted = [x for pair in pairs for x in pair] if compat == "3.9" else [*range(14, 22)]
    assert found[-len(wanted) - 8 : -8] == wanted, version
    kio.load_weights(other, data.getvalue())
    for mine, theirs in zip(values(model), values(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("version", ["3.4.1", "3.6.0", "3.10.0", "3.15.1"])
def test_files_of_both_eras(version):
    """Every variable holds what the writer's variable of that name held."""
    case = CORPUS / "keras3" / version / "adam_accumulation"
    rows = json.loads((case / "expected.json").read_text())["variables"]
    with np.load(case / "expected.npz") as file:
        held = {row["path"]: file[f"variable_{i:03}"] for i, row in enumerate(rows) if row["owner"] == "optimizer"}
    optimizer = kio.load_model(case / "model.keras").optimizer
    assert len(held) == len(optimizer.variables) == 18
    for variable in optimizer.variables:
        found = keras.ops.convert_to_numpy(variable)
        # The optimizer itself may be called adam_1 in this process.
        wanted = held["adam/" + variable.path.rsplit("/", 1)[-1]]
        np.testing.assert_array_equal(np.asarray(found), wanted, err_msg=variable.path)


@pytest.mark.parametrize("compat", ["3.9", "3.10", None])
def test_without_a_version_shapes_tell(compat, tmp_path):
    model, other = built(10.0), built(100.0)
    path = tmp_path / "a.weights.h5"
    kio.save_weights(model, path, compat=compat)
    assert not kio.plan(other, path).notes
    kio.load_weights(other, path)
    for mine, theirs in zip(values(model), values(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_without_a_version_and_of_one_shape_the_plan_says_so(tmp_path):
    model = built(bias=False)
    kio.save_weights(model, tmp_path / "a.weights.h5")
    assert "order changed in Keras 3.10" in str(kio.plan(model, tmp_path / "a.weights.h5"))


@pytest.mark.parametrize("compat", ["3.9", "3.10", None])
@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_product_of_nadam(name, compat, tmp_path):
    """It came before the slots until 3.10, and behind them since; a file of weights shows by its shapes which."""
    model, other = (keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]) for _ in range(2))
    for each in (model, other):
        each.compile(keras.optimizers.Nadam(), "mse")
        each.optimizer.build(each.trainable_variables)
    for i, variable in enumerate(model.optimizer.variables):
        variable.assign(np.full(variable.shape, i, variable.dtype))
    path = tmp_path / name
    (kio.save_model if name == "m.keras" else kio.save_weights)(model, path, compat=compat)
    with kio.open(path) as checkpoint:
        shapes = [checkpoint[f"optimizer/vars/{i}"].shape for i in range(7)]
    assert [i for i, shape in enumerate(shapes) if not shape] == ([0, 1, 2] if compat == "3.9" else [0, 1, 6])
    assert not kio.plan(other, path).notes
    kio.load_weights(other, path)
    for mine, theirs in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(*(np.asarray(keras.ops.convert_to_numpy(v)) for v in (mine, theirs)))
