"""kio.saving: the drop-in, and its way back."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest

import kio
from tests.conftest import CORPUS

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras

# Of the oldest Keras that is tested: every later one reads it.
FOLDER = CORPUS / "keras3" / "3.0.5" / "functional"
ARCHIVE, WEIGHTS = FOLDER / "model.keras", FOLDER / "model.weights.h5"


@pytest.fixture
def blank():
    model = keras.models.clone_model(keras.saving.load_model(ARCHIVE, compile=False))
    for w in model.weights:
        w.assign(np.zeros(w.shape, w.dtype))
    return model


def values(model):
    return [keras.ops.convert_to_numpy(w) for w in model.weights]


def test_install_and_uninstall():
    before = keras.saving.load_model, keras.models.load_model, keras.Model.load_weights
    kio.saving.install()
    try:
        kio.saving.install()
        assert keras.saving.load_model is not before[0]
        assert keras.saving.load_model is keras.models.load_model
        assert keras.saving.load_model.__doc__ == before[0].__doc__
    finally:
        kio.saving.uninstall()
    assert (keras.saving.load_model, keras.models.load_model, keras.Model.load_weights) == before
    kio.saving.uninstall()


def test_only_what_kio_does_not_read_is_left_to_stock(blank, tmp_path, monkeypatch):
    """A link out of the file is refused for good; a URL may be something that Keras can fetch."""
    evil = tmp_path / "evil.weights.h5"
    with h5py.File(evil, "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/passwd", "x")
    left = []
    monkeypatch.setattr(keras.Model, "load_weights", lambda self, path, **kw: left.append(path))
    with kio.saving.installed():
        with pytest.raises(kio.UnsupportedError, match="external link"):
            blank.load_weights(evil)
        blank.load_weights("gs://bucket/w.weights.h5")
    assert left == ["gs://bucket/w.weights.h5"]


def test_existing_code_runs_on_kio(blank, monkeypatch):
    stock = keras.saving.load_model(ARCHIVE)
    seen = []
    real_load, real_weights = kio.api.load_model, kio.api.load_weights
    monkeypatch.setattr(kio.api, "load_model", lambda *a, **k: seen.append("model") or real_load(*a, **k))
    monkeypatch.setattr(kio.api, "load_weights", lambda *a, **k: seen.append("weights") or real_weights(*a, **k))
    with kio.saving.installed():
        # What stock Keras 3.15.1 cannot: an open file.
        with open(ARCHIVE, "rb") as file:
            mine = keras.saving.load_model(file)
        assert blank.load_weights(WEIGHTS) is None
    assert seen == ["model", "weights"]
    for a, b, c in zip(values(stock), values(mine), values(blank), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_what_kio_does_not_read_stays_with_keras(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with kio.saving.installed(), pytest.raises(ValueError, match="File format not supported"):
        keras.saving.load_model(tmp_path)


def test_errors_are_value_errors_as_in_keras(blank):
    with kio.saving.installed(), pytest.raises(ValueError):
        blank.load_weights(io.BytesIO(b"PK\x03\x04 not really"))


def test_drop_in_functions(blank):
    model = kio.saving.load_model(ARCHIVE)
    report = kio.saving.load_weights(blank, WEIGHTS)
    assert len(report.loaded) >= 4
    for a, b in zip(values(model), values(blank), strict=True):
        np.testing.assert_array_equal(a, b)
