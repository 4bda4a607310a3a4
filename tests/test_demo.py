"""``kio demo``: each part, what it says of its own, and that what it shows is true."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

pytestmark = pytest.mark.keras

from kio import api, cli, demo  # noqa: E402
from kio.demo import measure, models  # noqa: E402


@pytest.fixture
def keras():
    return pytest.importorskip("keras")


def test_the_whole_of_it(capsys, monkeypatch, keras):
    monkeypatch.setattr(models, "BLOCKS", 2)
    monkeypatch.setattr(models, "WIDE", 1)
    monkeypatch.setattr(models, "UNITS", 64)
    monkeypatch.setattr(demo, "REPEATS", 1)
    began = time.process_time()
    assert cli.main(["demo"]) == 0
    assert time.process_time() - began < 40  # a bound against the four minutes that it took once
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("kio ") and f"Keras {keras.__version__} on {keras.backend.backend()}" in lines[0]
    for what in ("save", "load_model", "load_weights"):
        rows = [line for line in lines if line.strip().startswith(f"{what} ")]
        assert len(rows) == 2 and all(row.endswith("x  yes") and row.count(" ms ") == 2 for row in rows), what
    assert "those of Keras 1.2.2" in out and "TypeError" in out
    assert "ChecksumError: CRC-32" in out and "is as it was" in out and "kio verify: DAMAGED" in out
    assert "kio-demo-" not in out  # no name of a temporary folder
    # Two commands to go on with; the program in the second is one.
    first, second = lines[-2:]
    assert first.strip() == "kio info model.keras"
    compile(second.strip().removeprefix('python -c "').removesuffix('"'), "-", "exec")


def test_a_difference_ends_with_an_error(capsys, monkeypatch, keras):
    monkeypatch.setattr(demo, "_warm", lambda keras, folder: None)
    monkeypatch.setattr(demo, "_side_by_side", lambda keras, folder: True)
    monkeypatch.setattr(models, "BLOCKS", 1)
    wrong = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    monkeypatch.setattr(api, "load_model", lambda path: wrong)
    assert demo.main() == 1
    assert "Something is wrong: please report it" in capsys.readouterr().out


def test_equality_is_of_every_bit(keras):
    a, b = (keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]) for _ in range(2))
    models.compiled(a)
    b.set_weights(a.get_weights())
    assert not demo.equal(a, b)  # b has no optimizer
    models.compiled(b)
    assert demo.equal(a, b, np.ones((1, 2), "float32"))
    b.optimizer.variables[-1].assign(np.full(b.optimizer.variables[-1].shape, 1e-30))
    assert not demo.equal(a, b)


def test_the_old_file_is_as_its_writer_wrote_it(tmp_path):
    """Keys of the configuration, groups, names and shapes are those of a file of Keras 1.2.2 in the corpus."""
    import zipfile

    import h5py

    from tests.conftest import CORPUS

    with zipfile.ZipFile(CORPUS / "theano" / "keras-1.2.2.zip") as archive:
        archive.extract("highway.h5", tmp_path)
    x, y = models.write_old(tmp_path / "mine.h5")

    def told(path):
        with h5py.File(path) as file:
            config = json.loads(file.attrs["model_config"])
            (layer,) = config["config"]
            found = []
            file.visititems(lambda name, each: found.append((name, sorted(each.attrs), getattr(each, "ndim", None))))
            keys = config["class_name"], layer["class_name"], sorted(layer["config"])
            return keys, sorted(file.attrs), found, file.attrs["keras_version"] in (b"1.2.2", "1.2.2")

    assert told(tmp_path / "mine.h5") == told(tmp_path / "highway.h5")
    assert x.shape == y.shape == (3, 4)


def test_the_old_file_is_refused_by_keras_and_computes_the_old_formula(tmp_path, keras):
    path = tmp_path / "old.h5"
    x, y = models.write_old(path)
    with pytest.raises((TypeError, ValueError, KeyError, AttributeError)):  # it differs between versions
        keras.saving.load_model(path, compile=False)
    found = demo._outputs(api.load_model(path), x)
    np.testing.assert_allclose(found, y, atol=1e-6)
    # The slope of hard_sigmoid of Keras 3 would be off by more than rounding.
    assert np.abs(found - y).max() < 1e-5 < 1e-3


def test_a_flipped_bit_lies_in_the_weights(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"headxxABCDtail")
    assert models.flip(path, b"ABCD") == 8
    assert path.read_bytes() == b"headxxAB\x03Dtail"
    with pytest.raises(ValueError):
        models.flip(path, b"nowhere")


def test_the_peak_is_that_of_the_call():
    side = measure.Side()
    kept = []

    def call():
        kept.append(np.ones(4 << 20))  # 32 MiB stay
        np.ones(8 << 20)  # 64 MiB go

    side.run(call)
    if side.peak is None:
        pytest.skip("this system does not tell the peak")
    assert 90e6 < side.peak < 130e6
    again = measure.Side()
    again.run(lambda: None)
    assert again.peak < 10e6  # the peak of the call before is forgotten


def test_progress_is_shown_on_a_terminal_only(capsys, monkeypatch):
    with demo.doing("building"):
        pass
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with demo.doing("building"):
        pass
    assert capsys.readouterr().out == "  building …\r\x1b[K"
