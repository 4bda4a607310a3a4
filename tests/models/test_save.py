"""A live model becomes a file that stock Keras and kio read back, with stock's own structure."""

from __future__ import annotations

import builtins
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.errors import MatchError, UnknownFormatError, UnsupportedError  # noqa: E402
from tests.models import kinds  # noqa: E402
from tests.models.written import assert_same_structure, assert_same_weights  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("default")]


@pytest.fixture(params=kinds.KINDS)
def model(request: Any) -> Any:
    return kinds.made(request.param)


@pytest.fixture
def small() -> Any:
    made = kinds.chain(keras.layers.Dense(3), keras.layers.Dense(2), shape=(4,))
    made.compile("adam", "mse")
    made.optimizer.build(made.trainable_variables)
    for k, variable in enumerate(made.optimizer.variables):
        variable.assign(np.full(variable.shape, k))
    return made


def left(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_weights_are_those_of_stock(model: Any, tmp_path: Path) -> None:
    if not model.built:
        with pytest.raises(MatchError, match="expected a built model"):
            kio.save_weights(model, tmp_path / "k.weights.h5")
        assert left(tmp_path) == []
        return
    model.save_weights(tmp_path / "s.weights.h5")
    result = kio.save_weights(model, tmp_path / "k.weights.h5")
    assert result.nbytes == os.path.getsize(tmp_path / "k.weights.h5") and result.format == "keras_weights"
    assert_same_structure(tmp_path / "s.weights.h5", tmp_path / "k.weights.h5")
    assert kio.diff(tmp_path / "s.weights.h5", tmp_path / "k.weights.h5")
    assert left(tmp_path) == ["k.weights.h5", "s.weights.h5"]


def test_model_is_that_of_stock(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "s.keras")
    result = kio.save_model(model, tmp_path / "k.keras")
    assert result.nbytes == os.path.getsize(tmp_path / "k.keras")
    with zipfile.ZipFile(tmp_path / "s.keras") as stock, zipfile.ZipFile(tmp_path / "k.keras") as ours:
        assert ours.testzip() is None
        assert sorted(ours.namelist()) == sorted(stock.namelist())
        assert ours.namelist()[:3] == ["metadata.json", "config.json", "model.weights.h5"]
        assert json.loads(ours.read("config.json")) == json.loads(stock.read("config.json"))
        assert json.loads(ours.read("metadata.json")).keys() == json.loads(stock.read("metadata.json")).keys()
        pair = [io.BytesIO(archive.read("model.weights.h5")) for archive in (stock, ours)]
        assert_same_structure(*pair)
        for name in stock.namelist()[3:]:
            if name.startswith("assets/"):
                assert ours.read(name) == stock.read(name)
    if not model.built:
        return
    try:
        expected = keras.saving.load_model(tmp_path / "s.keras", safe_mode=False)
    except Exception:
        return  # a kind that stock cannot load from its own file
    assert_same_weights(expected, keras.saving.load_model(tmp_path / "k.keras", safe_mode=False))


def test_kio_loads_what_kio_saved(small: Any, tmp_path: Path) -> None:
    kio.save_model(small, tmp_path / "k.keras")
    found = kio.load_model(tmp_path / "k.keras")
    assert_same_weights(small, found)
    for a, b in zip(small.optimizer.variables, found.optimizer.variables, strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b))


def test_folder(small: Any, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "README.md").write_text("mine")
    result = kio.save_model(small, folder, zipped=False)
    assert left(folder) == ["README.md", "config.json", "metadata.json", "model.weights.h5"]
    assert result.nbytes == sum(os.path.getsize(folder / name) for name in left(folder)[1:])
    if kinds.VERSION >= (3, 4):  # those before read no folders
        assert_same_weights(small, keras.saving.load_model(folder))
    assert_same_weights(small, kio.load_model(folder))
    with pytest.raises(ValueError, match=r"without \.keras"):
        kio.save_model(small, tmp_path / "x.keras", zipped=False)


def test_same_model_same_bytes(small: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        kio.save_weights(small, tmp_path / f"{name}.weights.h5")
    assert (tmp_path / "a.weights.h5").read_bytes() == (tmp_path / "b.weights.h5").read_bytes()


@pytest.mark.parametrize("name", ["x.bin", "x.h5.txt", "x.keras", "x"])
def test_unknown_suffix(small: Any, tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownFormatError, match=r"\.weights\.h5"):
        kio.save_weights(small, tmp_path / name)
    assert left(tmp_path) == []


def test_suffix_of_models(small: Any, tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match=r"\.keras"):
        kio.save_model(small, tmp_path / "x.weights.json")
    with pytest.raises(UnsupportedError, match="local path"):
        kio.save_model(small, "gs://bucket/x.keras")
    assert left(tmp_path) == []


def test_save_format_overrides(small: Any, tmp_path: Path) -> None:
    assert kio.save_weights(small, tmp_path / "x.bin", save_format="weights.h5").format == "keras_weights"
    assert kio.open(tmp_path / "x.bin").format == "keras_weights"


class Tied(keras.layers.Dense):
    """Adds a weight that Dense does not know."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.gate = self.add_weight(shape=(3,), name="gate")


class InSet(keras.layers.Layer):
    """A layer in a set has no name in files of Keras 3.15."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = {keras.layers.Dense(2)}

    def build(self, shape: Any) -> None:
        for part in self.parts:
            part.build(shape)

    def call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x


def tied() -> Any:
    if kinds.dense_stores_all():
        pytest.skip("this Keras stores the gate, too")
    return kinds.chain(Tied(3), shape=(4,))


def in_set() -> Any:
    if tuple(map(int, keras.__version__.split(".")[:2])) < (3, 15):
        pytest.skip("this Keras writes sets")
    return kinds.chain(InSet(), shape=(4,))


@pytest.mark.parametrize("name, build", [("gate", tied), ("kernel", in_set)])
def test_a_save_that_would_lose_variables_is_refused(name: str, build: Any, tmp_path: Path) -> None:
    model = build()
    with pytest.raises(MatchError, match=name):
        kio.save_weights(model, tmp_path / "x.weights.h5")
    with pytest.raises(MatchError, match=name):
        kio.save_model(model, tmp_path / "x.keras")
    assert left(tmp_path) == []


class Failing(keras.layers.Dense):
    """Its configuration cannot be made."""

    def get_config(self) -> Any:
        raise RuntimeError("no configuration")


class OwnCode(keras.layers.Dense):
    """Its own store raises after the first value."""

    def save_own_variables(self, store: Any) -> None:
        store["0"] = self.kernel
        raise RuntimeError("no state")


@pytest.mark.parametrize("layer", [Failing, OwnCode])
@pytest.mark.parametrize("existing", [False, True])
def test_what_fails_leaves_nothing(layer: Any, existing: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.keras"
    if existing:
        path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="no "):
        kio.save_model(kinds.chain(layer(3)), path)
    assert left(tmp_path) == (["x.keras"] if existing else [])
    if existing:
        assert path.read_bytes() == b"old"


def test_overwrite(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.keras"
    kio.save_model(small, path, False)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        kio.save_model(small, path, False)
    asked: list[str] = []

    def answer(word: str) -> None:
        monkeypatch.setattr(builtins, "input", lambda text: asked.append(text) or word)

    answer("n")
    assert kio.saving.save_model(small, path, False) is None
    with kio.saving.installed():
        small.save(path, overwrite=False)
        keras.saving.save_model(small, path, False)
    assert len(asked) == 3 and path.read_bytes() == before
    answer("y")
    result = kio.saving.save_model(small, path, overwrite=False)
    assert result is not None and len(asked) == 4
    with kio.saving.installed():
        small.save_weights(tmp_path / "x.weights.h5", False)
        small.save_weights(tmp_path / "x.weights.h5", False)
    assert len(asked) == 5


def test_installed(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("save_model", "save_weights"):
        real = getattr(kio.writing, name)
        monkeypatch.setattr(
            kio.writing, name, lambda *a, real=real, name=name, **kw: calls.append(name) or real(*a, **kw)
        )
    with kio.saving.installed():
        assert small.save(tmp_path / "a.keras") is None
        keras.saving.save_model(small, tmp_path / "b.keras", True)
        keras.models.save_model(small, tmp_path / "c.keras", include_optimizer=True)
        small.save_weights(tmp_path / "d.weights.h5")
        assert calls == ["save_model"] * 3 + ["save_weights"]
        with pytest.raises(ValueError, match=r"\.keras"):
            small.save(tmp_path / "x.unknown")
        with pytest.raises(ValueError, match=r"\.weights\.h5"):
            small.save_weights(tmp_path / "x.unknown")
        small.save(tmp_path / "legacy.h5")  # by stock, or kio where it writes it
    assert small.save.__module__.startswith("keras")
    for name in "abc":
        assert_same_weights(small, keras.saving.load_model(tmp_path / f"{name}.keras"))


def test_open_files(small: Any, tmp_path: Path) -> None:
    memory = io.BytesIO()
    memory.write(b"before")
    kio.save_weights(small, memory)
    assert memory.getvalue()[:6] == b"before"
    with kio.open(memory.getvalue()[6:]) as found:
        assert len(found) > 4
    with open(tmp_path / "x", "wb") as file:
        kio.save_model(small, file)
    assert_same_weights(small, kio.load_model(tmp_path / "x"))


def test_assets_and_vocabularies(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    lookup = keras.layers.StringLookup()
    lookup.adapt(["a", "b c", "ü"])
    model = keras.Sequential([keras.Input((1,), dtype="string"), lookup])
    kio.save_model(model, tmp_path / "x.keras")
    found = kio.load_model(tmp_path / "x.keras")
    assert found.layers[-1].get_vocabulary() == lookup.get_vocabulary()
    kio.save_model(model, tmp_path / "folder", zipped=False)
    assert keras.saving.load_model(tmp_path / "folder").layers[-1].get_vocabulary() == lookup.get_vocabulary()
    bad = keras.layers.StringLookup()
    bad.adapt(["a\nb", "c"])
    with pytest.raises(MatchError, match="line ends"):
        kio.save_model(keras.Sequential([keras.Input((1,), dtype="string"), bad]), tmp_path / "bad.keras")
    assert left(tmp_path) == ["folder", "x.keras"]


class Words(keras.layers.Layer):  # type: ignore[misc]
    """Has a file beside its weights."""

    def save_assets(self, folder: str) -> None:
        (Path(folder) / "words.txt").write_text("a")

    def load_assets(self, folder: str) -> None:
        assert (Path(folder) / "words.txt").read_text() == "a"

    def call(self, x: Any) -> Any:
        return x


def test_a_save_that_is_refused_leaves_no_assets_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    model = keras.Sequential([keras.Input((3,)), Words(), keras.layers.Dense(2)])
    kio.save_model(model, tmp_path / "x.keras")

    def refuse(*_: Any) -> None:
        raise UnsupportedError("of another form")

    with pytest.raises(UnsupportedError, match="expected a floating-point one, found 'int8'"):
        kio.convert(
            tmp_path / "x.keras", tmp_path / "y.keras", dtype="int8", compat="3.0", custom_objects={"Words": Words}
        )
    assert left(tmp_path) == ["temporary", "x.keras"] and not left(tmp_path / "temporary")
    # A layer that the version keeps in another form, which its configuration does not tell.
    monkeypatch.setattr("kio.models.eras.keras3_older.check_layers", refuse)
    with pytest.raises(UnsupportedError, match="of another form"):
        kio.save_model(model, tmp_path / "y.keras")
    assert left(tmp_path) == ["temporary", "x.keras"] and not left(tmp_path / "temporary")


def test_without_optimizer_and_objects_to_skip(small: Any, tmp_path: Path) -> None:
    kio.save_model(small, tmp_path / "x.keras", include_optimizer=False)
    with kio.open(tmp_path / "x.keras") as found:
        assert not [name for name in found if name.startswith("optimizer")]
    kio.save_weights(small, tmp_path / "x.weights.h5", objects_to_skip=[small.layers[0], small.optimizer])
    with kio.open(tmp_path / "x.weights.h5") as found:
        assert list(found) == ["layers/dense_1/vars/0", "layers/dense_1/vars/1"]


def test_editor_opens_it(small: Any, tmp_path: Path) -> None:
    editor = getattr(keras.saving, "KerasFileEditor", None)
    if editor is None:
        pytest.skip("this Keras has no KerasFileEditor")
    kio.save_model(small, tmp_path / "x.keras")
    found = editor(str(tmp_path / "x.keras"))
    found.save(str(tmp_path / "y.weights.h5"))
    with kio.open(tmp_path / "y.weights.h5") as edited:
        assert len(edited) == len(small.weights) + len(small.optimizer.variables)
