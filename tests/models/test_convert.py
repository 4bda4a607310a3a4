"""``kio.convert`` of old models: stock Keras loads what comes out, with the writer's outputs."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
import kio.layers  # noqa: E402 - what stock Keras needs for some of them
from kio import cli  # noqa: E402
from tests.conftest import Legacy  # noqa: E402

pytestmark = pytest.mark.keras

FILES = [
    "tf-2.12.1/nested.h5",
    "tf-2.12.1/nested_frozen.keras",
    "tf-2.12.1/operators.h5",
    "tf-2.12.1/lstm.keras",
    "tf-2.15.1/activations.h5",
    "tf-2.15.1/attention.keras",
    "tf-2.15.1/convolutions.h5",
    "tf-2.15.1/decayed.h5",
    "tf-2.15.1/locally_connected.h5",
    "tf-2.15.1/masked.h5",
    "tf_keras-2.21/scheduled.keras",
    "tf_keras-2.21/several_outputs.h5",
]
VERSION = tuple(map(int, keras.__version__.split(".")[:3]))
NEEDS = {"activations": {"hard_sigmoid"}, "locally_connected": {"LocallyConnected1D", "LocallyConnected2D"}}

if VERSION < (3, 3, 3):
    NEEDS["operators"] = {"TFFunction"}  # it cannot read its own slices
# What stock Keras loses of its own files, until when: layers that are not trained inside a model that is.
LOST = {"tf-2.12.1/nested_frozen.keras": (3, 6)}


def outputs(model: Any, stored: Any) -> list[tuple[Any, Any]]:
    def each(prefix: str) -> list[Any]:
        return [stored[key] for key in sorted(k for k in stored.files if k[0] == prefix and k[1:].isdigit())]

    xs, ys = each("x"), each("y")
    made = model(xs[0] if len(xs) == 1 else xs, training=False)
    made = made if isinstance(made, (list, tuple)) else [made]
    return list(zip([keras.ops.convert_to_numpy(y) for y in made], ys, strict=True))


def state(optimizer: Any) -> list[Any]:
    return [keras.ops.convert_to_numpy(v) for v in optimizer.variables]


@pytest.mark.parametrize("name", FILES)
def test_stock_keras_loads_what_becomes_of_old_models(name: str, tmp_path: Path, legacy: Legacy) -> None:
    source = legacy / name
    if LOST.get(name, VERSION) > VERSION:
        pytest.skip("this Keras trains all layers of a model that it loads")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # nothing is left behind
        result = kio.convert(source, tmp_path / "new.keras")
        mine = kio.load_model(source)
        stock = keras.saving.load_model(tmp_path / "new.keras")
    assert set(result.needs) == NEEDS.get(source.stem, set())
    with np.load(source.with_suffix(".npz")) as stored, warnings.catch_warnings():
        if (3, 6) < VERSION[:2] < (3, 13):
            # Stock 3.10 makes a list of one of the input of each model that it loads, and says so of each call.
            warnings.filterwarnings("ignore", r"(?s).*The structure of `inputs` doesn't match", UserWarning)
        for made, expected in outputs(stock, stored):
            np.testing.assert_allclose(made, expected, rtol=2e-5, atol=2e-5)
    assert stock.optimizer.get_config() == mine.optimizer.get_config()
    assert len(stock.optimizer.variables) > 1
    for a, b in zip(state(stock.optimizer), state(mine.optimizer), strict=True):
        assert np.array_equal(a, b)
    assert json.loads(zipfile.ZipFile(tmp_path / "new.keras").read("metadata.json"))["keras_version"].startswith("3.")


def test_an_optimizer_of_ours_is_said_of_either_format(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(kio.layers.RMSprop(0.1), "mse")
    for name in ("x.h5", "x.keras"):
        assert kio.save_model(model, tmp_path / name).needs == ("RMSprop",)


def test_weights_get_the_names_of_today(tmp_path: Path, legacy: Legacy) -> None:
    source = legacy / "tf-2.15.1/nested.h5"
    kio.convert(source, tmp_path / "new.weights.h5")
    model = kio.load_model(source)
    before = [keras.ops.convert_to_numpy(w) for w in model.weights]
    for w in model.weights:
        w.assign(keras.ops.zeros_like(w.value))
    model.load_weights(tmp_path / "new.weights.h5")
    for a, b in zip(before, model.weights, strict=True):
        assert np.array_equal(a, keras.ops.convert_to_numpy(b))


def test_floats_become_what_is_asked_for(tmp_path: Path, legacy: Legacy) -> None:
    kio.convert(legacy / "tf-2.15.1/dense.h5", tmp_path / "new.keras", dtype="float16")
    with kio.open(tmp_path / "new.keras") as made:
        assert made["layers/dense/vars/0"].dtype_name == "float16"


def test_an_older_keras_3_can_be_asked_for(tmp_path: Path, legacy: Legacy) -> None:
    if tuple(map(int, keras.__version__.split(".")[:2])) < (3, 5):
        pytest.skip("the installed Keras is hardly newer")
    kio.convert(legacy / "tf-2.15.1/dense.h5", tmp_path / "new.keras", compat="3.3")
    text = zipfile.ZipFile(tmp_path / "new.keras").read("config.json").decode()
    assert "DTypePolicy" not in text


def test_an_older_keras_3_is_asked_for_of_todays_files(tmp_path: Path) -> None:
    if tuple(map(int, keras.__version__.split(".")[:2])) < (3, 5):
        pytest.skip("the installed Keras is hardly newer")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    kio.save_model(model, tmp_path / "a.keras")
    kio.save_weights(model, tmp_path / "a.weights.h5")
    kio.save_model(model, tmp_path / "expected.keras", compat="3.3")
    kio.convert(tmp_path / "a.keras", tmp_path / "b.keras", compat="3.3")
    with zipfile.ZipFile(tmp_path / "b.keras") as made, zipfile.ZipFile(tmp_path / "expected.keras") as expected:
        assert json.loads(made.read("metadata.json"))["keras_version"].startswith("3.3")
        assert made.read("config.json") == expected.read("config.json")
    for name in ("c.weights.h5", "c.h5"):
        with pytest.raises(kio.UnsupportedError, match=r"compat.*configuration.*weights alone"):
            kio.convert(tmp_path / "a.weights.h5", tmp_path / name, compat="3.3")
    with pytest.raises(kio.UnsupportedError, match=r"compat.*safetensors"):
        kio.convert(tmp_path / "a.keras", tmp_path / "c.safetensors", compat="3.3")


def test_names_are_the_models(tmp_path: Path, legacy: Legacy) -> None:
    with pytest.raises(kio.UnsupportedError, match="rename"):
        kio.convert(legacy / "tf-2.15.1/dense.h5", tmp_path / "new.keras", rename={"a": "b"})
    assert not (tmp_path / "new.keras").exists()


def test_code_is_refused_and_can_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2, output_shape=(3,))])
    model.save(tmp_path / "old.h5")
    with pytest.raises(kio.UnsafeError):
        kio.convert(tmp_path / "old.h5", tmp_path / "new.keras")
    kio.convert(tmp_path / "old.h5", tmp_path / "new.keras", safe_mode=False)
    made = keras.saving.load_model(tmp_path / "new.keras", safe_mode=False)
    assert np.array_equal(keras.ops.convert_to_numpy(made(np.ones((1, 3), "float32"))), [[2, 2, 2]])


def test_weights_without_a_model_have_no_names_of_today(tmp_path: Path, legacy: Legacy) -> None:
    model = kio.load_model(legacy / "tf-2.15.1/dense.h5")
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(tmp_path / "w.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    with pytest.raises(kio.UnsupportedError, match=r"configuration|layout"):
        kio.convert(tmp_path / "w.h5", tmp_path / "new.keras")


def test_the_command_line_says_what_the_file_needs(tmp_path: Path, capsys: Any, legacy: Legacy) -> None:
    source = legacy / "tf-2.15.1/locally_connected.h5"
    assert cli.main(["convert", str(source), str(tmp_path / "new.keras"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["needs"] == ["kio.layers.LocallyConnected1D", "kio.layers.LocallyConnected2D"] and said["notes"] == []
    assert cli.main(["convert", str(source), str(tmp_path / "new.keras")]) == 0
    assert "import kio.layers" in capsys.readouterr().out


def test_without_keras_it_says_what_is_missing(tmp_path: Path, legacy: Legacy) -> None:
    """Old to flat needs no Keras; old to today's does."""
    script = """
import sys
sys.modules["keras"] = None
import importlib.util as u
find = u.find_spec
u.find_spec = lambda name, *a: None if name == "keras" else find(name, *a)
import kio
print(kio.convert(sys.argv[1], sys.argv[2] + "/x.safetensors").format)
try:
    kio.convert(sys.argv[1], sys.argv[2] + "/x.keras")
except kio.MissingDependencyError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(legacy / "tf-2.15.1/dense.h5"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = run.stdout.splitlines()
    assert first == "safetensors" and 'pip install "kio-weights[jax]"' in second and "tf.keras 2.15.0" in second
