"""What Keras 1 kept as running_std: a deviation at first, later a variance under the same name."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402

pytestmark = pytest.mark.keras

EPSILON = 1e-6
RNG = np.random.default_rng(3)
# In the order of its weights: gamma, beta, running_mean, running_std.
VALUES = [RNG.uniform(0.5, 1.5, 3).astype("float32") for _ in range(4)]
NAMES = [f"batchnormalization_1_{each}" for each in ("gamma", "beta", "running_mean", "running_std")]
X = RNG.normal(size=(4, 3)).astype("float32")


def file(path: Path, whole: bool = True, version: str | None = None, suffix: str = "", nested: bool = False) -> Path:
    """As Keras 1 wrote it: without a version up to 1.0.6; ``:0`` behind names is TensorFlow's."""
    norm = {
        "epsilon": EPSILON,
        "mode": 0,
        "axis": -1,
        "momentum": 0.9,
        "gamma_regularizer": None,
        "beta_regularizer": None,
    }
    layer = {"class_name": "BatchNormalization", "config": {"name": "batchnormalization_1", "trainable": True, **norm}}
    layer["config"]["batch_input_shape"] = [None, 3]
    layers: list[Any] = [layer]
    if nested:
        layers = [{"class_name": "Sequential", "config": layers}]
    with h5py.File(path, "w") as out:
        group = out
        if whole:
            out.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers}).encode()
            group = out.create_group("model_weights")
            if version:
                out.attrs["keras_version"] = version.encode()
        group.attrs["layer_names"] = [b"sequential_1" if nested else b"batchnormalization_1"]
        mine = group.create_group("sequential_1" if nested else "batchnormalization_1")
        mine.attrs["weight_names"] = [(name + suffix).encode() for name in NAMES]
        for name, value in zip(NAMES, VALUES, strict=True):
            mine[name + suffix] = value
    return path


def expected(deviation: bool) -> Any:
    gamma, beta, mean, kept = VALUES
    return gamma * (X - mean) / (kept + EPSILON if deviation else np.sqrt(kept + EPSILON)) + beta


def computed(model: Any) -> Any:
    return keras.ops.convert_to_numpy(model(X, training=False))


@pytest.mark.parametrize("nested", [False, True])
def test_whole_models_without_a_version_kept_a_deviation(tmp_path: Path, nested: bool) -> None:
    path = file(tmp_path / "old.h5", suffix=":0", nested=nested)
    with pytest.warns(UserWarning, match=r"1\.0\.6 on TensorFlow kept a variance"):
        model = kio.load_model(path)
    np.testing.assert_allclose(computed(model), expected(deviation=True), rtol=1e-5)
    with warnings.catch_warnings():
        # On Theano all of them did.
        warnings.simplefilter("error")
        model = kio.load_model(path, original_backend="theano")
    np.testing.assert_allclose(computed(model), expected(deviation=True), rtol=1e-5)


def test_whole_models_with_a_version_kept_a_variance(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = kio.load_model(file(tmp_path / "new.h5", version="1.0.7", suffix=":0"))
    np.testing.assert_allclose(computed(model), expected(deviation=False), rtol=1e-5)


def test_names_of_keras_2_are_variances_whoever_left_out_the_version(tmp_path: Path, monkeypatch: Any) -> None:
    """As tools write them that make such files themselves."""
    monkeypatch.setitem(globals(), "NAMES", [name.replace("running_std", "moving_variance") for name in NAMES])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = kio.load_model(file(tmp_path / "other.h5", suffix=":0"))
    np.testing.assert_allclose(computed(model), expected(deviation=False), rtol=1e-5)


def test_weights_alone_do_not_tell(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(epsilon=EPSILON)])
    path = file(tmp_path / "weights.h5", whole=False)
    with pytest.warns(UserWarning, match=r"up to 1\.0\.5"):
        kio.load_weights(model, path)
    np.testing.assert_allclose(computed(model), expected(deviation=False), rtol=1e-5)
    # What the warning says to do.
    layer = model.layers[0]
    layer.moving_variance.assign((layer.moving_variance + EPSILON) ** 2 - EPSILON)
    np.testing.assert_allclose(computed(model), expected(deviation=True), rtol=1e-5)
