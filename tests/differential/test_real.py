"""Models and checkpoints from public repositories: kio against h5py and against stock Keras."""

from __future__ import annotations

import io
import warnings
import zipfile

import h5py
import numpy as np
import pytest

import kio
from tests.conftest import real, real_units

KINDS = ("keras_zip", "k3_weights_h5", "h5_whole", "h5_weights")

UNITS = real_units(KINDS)
needs_real = pytest.mark.skipif(not UNITS, reason="the real files are not at hand")
each = pytest.mark.parametrize("unit", UNITS, ids=[unit["path"] for unit in UNITS])


def by_h5py(path):
    """Every dataset of the file, or of the weights inside the archive, as h5py reads it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            source = io.BytesIO(archive.read("model.weights.h5"))
    else:
        source = path
    found = {}
    with h5py.File(source) as f:
        f.visititems(lambda n, o: found.__setitem__(n, o[()]) if isinstance(o, h5py.Dataset) else None)
    return found


@needs_real
@each
def test_tensors_equal_h5py(unit):
    path = real() / unit["path"]
    expected = by_h5py(path)
    with kio.open(path) as ckpt:
        assert len(ckpt) == unit["n_tensors"]
        arrays = ckpt.read(verify=True)
        assert set(arrays) == set(expected)
        for name, array in arrays.items():
            assert array.shape == expected[name].shape
            assert array.dtype == expected[name].dtype
            assert array.tobytes() == np.ascontiguousarray(expected[name]).tobytes()
    assert kio.verify(path)


ARCHIVES = [unit for unit in UNITS if unit["kind"] == "keras_zip"]


@needs_real
@pytest.mark.keras
@pytest.mark.parametrize("unit", ARCHIVES, ids=[unit["path"] for unit in ARCHIVES])
def test_models_equal_stock(unit):
    keras = pytest.importorskip("keras")
    if unit["stock_keras_3_15_1_jax"]["load"] != "ok":
        pytest.skip("not a whole model that stock Keras 3 loads")
    path = real() / unit["path"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stock, mine = keras.saving.load_model(path), kio.load_model(path)
    rng = np.random.default_rng(0)
    shape = [n or 3 for n in stock.input_shape]
    embeds = any(type(layer).__name__ == "Embedding" for layer in stock.layers)
    x = rng.integers(0, 5, shape) if embeds else rng.normal(size=shape).astype("float32")
    for a, b in zip(stock.weights, mine.weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b))
    for a, b in zip(stock.optimizer.variables, mine.optimizer.variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b))
    np.testing.assert_array_equal(stock.predict(x, verbose=0), mine.predict(x, verbose=0))
