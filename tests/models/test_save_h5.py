"""A live model becomes a legacy .h5 that stock Keras and kio read back, with stock's own structure."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras.src.legacy.saving import legacy_h5_format  # noqa: E402

import kio  # noqa: E402
from kio.errors import UnsupportedError  # noqa: E402
from tests.models import kinds  # noqa: E402
from tests.models.test_compat import feed_of, flat  # noqa: E402
from tests.models.written import assert_same_structure, assert_same_weights, structure  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("default")]

VERSION = tuple(map(int, keras.__version__.split(".")[:3]))
# kio writes the names of later releases, which those before read as well.
PATHS = pytest.mark.skipif(
    VERSION < (3, 3), reason="this Keras names weights without their layers; where two names are alike it cannot write"
)
# What stock Keras cannot load from its own file, either: statistics of float8 come in another
# order, and a model of the user's own is not built.
STOCK_CANNOT = {"float8", "subclassed", "subclassed_called", "sequential_unbuilt"}
# The same of older releases, and the first that can; what kio cannot load there, either.
SINCE = {
    "nested_frozen": ((3, 3), "layers that are not trained do not say so to their variables, which stand elsewhere"),
    "bidirectional": ((3, 3), "the forward half is built twice"),
    "operators": ((3, 3), "slices are stored as text"),
    "lora": ((3, 3), "layers do not say which rank they have, and the factors belong to nothing"),
    "seeded_initializer": ((3, 6), "a seed that is an object comes back as its configuration"),
}
REFUSED = {"lora"}
# What stock Keras cannot write, and the first that can: sums that are all called alike.
UNWRITTEN = {"adagrad": (3, 10), "ftrl": (3, 10)}
# float8 changes its statistics when it is called; random layers are random.
RANDOM = {"augmentation", "float8"}
# Parts of the file that stock Keras writes so that it cannot read them, or not right.
MENDED = {
    "attention": {"model_config"},  # score_mode="dot" becomes a function
    "operators": {"model_config"},  # operations are looked for among the layers
    "subclassed": {"model_config"},  # a registered class is not called by its registered name
    "subclassed_called": {"model_config", "training_config"},
}


@pytest.fixture(params=kinds.KINDS)
def made(request: Any) -> tuple[str, Any]:
    return request.param, kinds.made(request.param)


@pytest.fixture
def small() -> Any:
    model = kinds.chain(keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2), shape=(4,))
    model.compile("adam", "mse", metrics=["mae", "accuracy", "mse"])
    train(model, 2)
    return model


def train(model: Any, steps: int) -> list[float]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(steps):
        x, y = rng.normal(size=(8, 4)).astype("f4"), rng.normal(size=(8, 2)).astype("f4")
        model.reset_metrics()  # up to 3.13 a step tells the mean of all steps
        found.append(float(np.ravel(model.train_on_batch(x, y))[0]))
    return found


def outputs(model: Any) -> list[Any]:
    inputs = feed_of(model)
    found = flat(model(inputs[0] if len(inputs) == 1 else inputs))
    return [np.asarray(keras.ops.convert_to_numpy(o)).astype("f8") for o in found]


def root_of(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        found = dict(file.attrs)
    return {key: json.loads(value) if key.endswith("_config") else value for key, value in found.items()}


def state(optimizer: Any) -> list[Any]:
    return [np.asarray(keras.ops.convert_to_numpy(v.value)) for v in optimizer.variables]


# ---------------------------------------------------------------------------- structure


@PATHS
def test_whole_model_is_that_of_stock(made: tuple[str, Any], tmp_path: Path) -> None:
    name, model = made
    kio.save_model(model, tmp_path / "k.h5")
    if UNWRITTEN.get(name, (3,)) > VERSION:
        with pytest.raises(ValueError, match="name already exists"):
            model.save(tmp_path / "s.h5")
        return
    model.save(tmp_path / "s.h5")
    stock, ours = root_of(tmp_path / "s.h5"), root_of(tmp_path / "k.h5")
    assert stock.keys() == ours.keys()
    differing = {key for key in stock if stock[key] != ours[key]}
    strings = any(isinstance(m, str) for m in stock.get("training_config", {}).get("metrics") or ())
    assert differing == MENDED.get(name, set()) | ({"training_config"} if strings else set())
    for path in ("s.h5", "k.h5"):
        with h5py.File(tmp_path / path, "r+") as file:
            for key in differing:
                del file.attrs[key]
            for key in stock.keys() - differing:
                if key.endswith("_config"):
                    file.attrs[key] = json.dumps(json.loads(file.attrs[key]), sort_keys=True)
    same(name, tmp_path)


@PATHS
def test_weights_are_those_of_stock(made: tuple[str, Any], tmp_path: Path) -> None:
    name, model = made
    if not model.built:
        return
    result = kio.save_weights(model, tmp_path / "k.h5")
    assert result.format == "keras_h5" and result.nbytes == os.path.getsize(tmp_path / "k.h5")
    with h5py.File(tmp_path / "s.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    same(name, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["k.h5", "s.h5"]
    assert kio.verify(tmp_path / "k.h5")


def same(name: str, folder: Path) -> None:
    if VERSION < (3, 10):
        # Asked for layers by name, these versions cannot read their own group of no weights; kio leaves it out.
        with h5py.File(folder / "s.h5", "a") as file:
            root = file.get("model_weights", file)
            if not len(root["top_level_model_weights"]):
                del root["top_level_model_weights"]
    if name != "bfloat16":
        assert_same_structure(folder / "s.h5", folder / "k.h5")
        return
    # Stock writes two bytes that nobody can read; kio the same numbers as float32.
    with h5py.File(folder / "s.h5") as a, h5py.File(folder / "k.h5") as b:
        stock, ours = structure(a), structure(b)
    assert stock.keys() == ours.keys()
    for path, (attributes, data) in stock.items():
        assert ours[path][0] == attributes
        if data is not None:
            assert ours[path][1][:2] == (data[0], "float32") and data[1] == "|V2"
            bits = np.frombuffer(ours[path][1][2], "<u4")
            assert (bits >> 16).astype("<u2").tobytes() == data[2] and not (bits & 0xFFFF).any()


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_the_twin_writes_the_same(small: Any, compression: Any, tmp_path: Path) -> None:
    kio.save_model(small, tmp_path / "k.h5", compression=compression)
    kio.save_model(small, tmp_path / "s.h5", compression=compression, engine="h5py")
    assert_same_structure(tmp_path / "s.h5", tmp_path / "k.h5")


def test_same_model_same_bytes(small: Any, tmp_path: Path) -> None:
    for name in "ab":
        kio.save_model(small, tmp_path / f"{name}.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


# ------------------------------------------------------------------------------- reading


def test_kio_and_stock_load_it(made: tuple[str, Any], tmp_path: Path) -> None:
    name, model = made
    if name in ("sequential_unbuilt", "subclassed"):
        return  # without variables, so that nothing loads them
    path = tmp_path / "k.h5"
    kio.save_model(model, path)
    older = SINCE.get(name, ((3,), ""))[0] > VERSION
    if older:
        with pytest.raises(ValueError):
            keras.saving.load_model(path, safe_mode=False)
        if name in REFUSED:
            with pytest.raises(kio.MatchError):
                kio.load_model(path)
            return
    loaders = [kio.load_model] + ([keras.saving.load_model] if not older and name not in STOCK_CANNOT else [])
    for load in loaders:
        found = load(path, safe_mode=False)
        if load is kio.load_model and getattr(model, "optimizer", None) is not None:
            if len(model.optimizer.variables) > 2:
                assert all(map(np.array_equal, state(model.optimizer), state(found.optimizer)))
            assert type(found.optimizer) is type(model.optimizer)
        if name == "float8":
            values = [{v.path: np.asarray(v).tobytes() for v in each.weights} for each in (model, found)]
            assert values[0] == values[1]
        else:
            assert_same_weights(model, found)
        if name == "subclassed_called":
            x = np.ones((2, 8), "f4")
            mine, theirs = (keras.ops.convert_to_numpy(each(x)) for each in (model, found))
            assert np.allclose(mine, theirs)
        elif name not in RANDOM:
            for a, b in zip(outputs(model), outputs(found), strict=True):
                assert np.allclose(a, b, equal_nan=True, rtol=1e-5, atol=1e-6)


def test_weights_alone(small: Any, tmp_path: Path) -> None:
    for name in ("x.h5", "x.hdf5"):
        kio.save_weights(small, tmp_path / name)
        for load in (kio.load_weights, lambda model, path: model.load_weights(path)):
            other = kinds.chain(keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2), shape=(4,))
            load(other, tmp_path / name)
            assert_same_weights(small, other)
    renamed = kinds.chain(keras.layers.Dense(5, name="new"), keras.layers.Dense(2, name="head"), shape=(4,))
    with pytest.raises(kio.errors.MatchError):
        kio.load_weights(renamed, tmp_path / "x.h5")


def test_compiled_with_names(small: Any, tmp_path: Path) -> None:
    """What stock Keras cannot load from its own file: losses and metrics by name."""
    path = tmp_path / "x.h5"
    kio.save_model(small, path)
    x, y = np.ones((4, 4), "f4"), np.ones((4, 2), "f4")
    expected = small.evaluate(x, y, verbose=0, return_dict=True)
    for load in (kio.load_model, keras.saving.load_model):
        found = load(path)
        got = found.evaluate(x, y, verbose=0, return_dict=True)
        assert got.keys() == expected.keys()
        assert all(np.isclose(got[key], expected[key]) for key in expected)
    going_on = kio.load_model(path)
    assert np.allclose(train(going_on, 3), train(small, 3), rtol=1e-5)


def test_compiling_stays_as_it_was(small: Any, tmp_path: Path) -> None:
    """Stock Keras takes the optimizer out of the model's own configuration."""
    before = small.get_compile_config()
    kio.save_model(small, tmp_path / "x.h5")
    assert small.get_compile_config() == before and before["optimizer"]


def test_losses_of_several_outputs(tmp_path: Path) -> None:
    a = keras.Input((4,), name="a")
    model = keras.Model(a, [keras.layers.Dense(2, name="p")(a), keras.layers.Dense(3, name="q")(a)])
    model.compile("sgd", ["mse", keras.losses.Huber()], metrics=[["mae"], None], loss_weights=[1.0, 2.0])
    x, y = np.ones((4, 4), "f4"), [np.ones((4, 2), "f4"), np.zeros((4, 3), "f4")]
    model.train_on_batch(x, y)
    kio.save_model(model, tmp_path / "x.h5")
    expected = model.evaluate(x, y, verbose=0)
    for load in (kio.load_model, keras.saving.load_model):
        assert np.allclose(load(tmp_path / "x.h5").evaluate(x, y, verbose=0), expected)


def test_scalars_of_two_optimizers_in_one_keep_their_places(tmp_path: Path) -> None:
    model = kinds.KINDS["loss_scaled"]()
    for k, variable in enumerate(model.optimizer.variables):
        variable.assign(np.full(variable.shape, k))
    kio.save_model(model, tmp_path / "x.h5")
    found = kio.load_model(tmp_path / "x.h5")
    assert all(map(np.array_equal, state(model.optimizer), state(found.optimizer)))


def test_nadam_keeps_its_product(tmp_path: Path) -> None:
    model = kinds.chain(keras.layers.Dense(2), shape=(4,))
    model.compile(keras.optimizers.Nadam(0.01), keras.losses.MeanSquaredError())
    train(model, 2)
    kio.save_model(model, tmp_path / "x.h5")
    found = kio.load_model(tmp_path / "x.h5")
    assert all(map(np.array_equal, state(model.optimizer), state(found.optimizer)))


def test_an_optimizer_without_slots_yet(tmp_path: Path) -> None:
    model = kinds.chain(keras.layers.Dense(3), shape=(4,))
    model.compile(keras.optimizers.Adam(0.125), "mse")
    kio.save_model(model, tmp_path / "x.h5")
    found = kio.load_model(tmp_path / "x.h5")
    assert float(keras.ops.convert_to_numpy(found.optimizer.learning_rate)) == 0.125


# --------------------------------------------------------------------------------- names


class Twins(keras.layers.Layer):
    """Two weights of one name, and one whose name is the beginning of another's."""

    def build(self, shape: Any) -> None:
        self.a = self.add_weight(shape=(3,), initializer="ones", name="same")
        self.b = self.add_weight(shape=(3,), initializer="zeros", name="same")
        self.inner = keras.layers.Dense(3, name="same")
        self.inner.build(shape)

    def call(self, x: Any) -> Any:
        return self.inner(x) * self.a + self.b


def test_names_that_collide(tmp_path: Path) -> None:
    def build() -> Any:
        return kinds.chain(Twins(name="ünï"), keras.layers.Dense(2), shape=(4,))

    model = build()
    for k, variable in enumerate(model.weights):
        variable.assign(np.full(variable.shape, k))
    for engine in ("native", "h5py"):
        kio.save_weights(model, tmp_path / "x.h5", engine=engine)
        for load in (kio.load_weights, lambda model, path: model.load_weights(path)):
            other = build()
            load(other, tmp_path / "x.h5")
            assert_same_weights(model, other)


class Stacked(keras.Model):
    """Layers that are called alike, one of them as a group of the format's own."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.parts = [keras.layers.Dense(2, name=name) for name in names]

    def call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x


def test_layers_that_are_called_alike(tmp_path: Path) -> None:
    def build() -> Any:
        model = Stacked(["a", "a", "a_1", "top_level_model_weights"])
        model(np.zeros((1, 2), "f4"))
        return model

    model, other = build(), build()
    kio.save_weights(model, tmp_path / "x.h5")
    other.load_weights(tmp_path / "x.h5")
    assert_same_weights(model, other)
    with h5py.File(tmp_path / "x.h5") as file:
        assert list(file.attrs["layer_names"]) == ["a", "a_2", "a_1", "top_level_model_weights_1"]


class Many(keras.layers.Layer):
    """More weights than fit into one attribute."""

    def build(self, shape: Any) -> None:
        self.all = [self.add_weight(shape=(1,), name=f"weight_{k}") for k in range(4200)]

    def call(self, x: Any) -> Any:
        return x + self.all[0] + self.all[-1]


@pytest.mark.slow
def test_more_than_64_kib_of_names_and_configuration(tmp_path: Path) -> None:
    """Stock Keras fails from 4,093 names on: it counts other bytes than it stores."""

    def build() -> Any:
        names = [f"p{k}" for k in range(4200)]
        model = Stacked([])
        model.parts = [Many()] + [keras.layers.Activation("linear", name=name) for name in names]
        model(np.zeros((1, 2), "f4"))
        return model

    model = build()
    for k in (0, 4199):
        model.weights[k].assign([float(k + 1)])
    with h5py.File(tmp_path / "s.h5", "w") as file, pytest.raises(Exception, match="message is too large"):
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    kio.save_weights(model, tmp_path / "x.h5")
    kio.save_weights(model, tmp_path / "y.h5", engine="h5py")
    assert_same_structure(tmp_path / "y.h5", tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert "layer_names0" in file.attrs and "layer_names1" in file.attrs
    for load in (kio.load_weights, lambda model, path: model.load_weights(path)):
        other = build()
        load(other, tmp_path / "x.h5")
        assert_same_weights(model, other)


def test_a_large_configuration(tmp_path: Path) -> None:
    layers = [keras.layers.Dense(2, name=f"dense_{'y' * 100}_{k}") for k in range(120)]
    model = kinds.chain(*layers, shape=(2,))
    kio.save_model(model, tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert len(file.attrs["model_config"]) > 1 << 16
    for load in (kio.load_model, keras.saving.load_model):
        assert_same_weights(model, load(tmp_path / "x.h5"))


def test_frozen_inside(tmp_path: Path) -> None:
    """The order depends on what is frozen; stock reads its own order, kio goes by the names."""

    def build(frozen: int | None) -> Any:
        inner = kinds.chain(keras.layers.Dense(4, name="p"), keras.layers.Dense(4, name="q"), shape=(4,), name="in")
        model = kinds.chain(inner, shape=(4,))
        if frozen is not None:
            inner.layers[frozen].trainable = False
        return model

    model = build(0)
    kio.save_weights(model, tmp_path / "x.h5")
    other = build(0)
    other.load_weights(tmp_path / "x.h5")
    assert_same_weights(model, other)
    for frozen in (None, 0, 1):
        other = build(frozen)
        kio.load_weights(other, tmp_path / "x.h5")
        assert_same_weights(model, other)


@pytest.mark.parametrize("kind", ["operation", "setting"])
def test_within_wrappers(kind: str, tmp_path: Path) -> None:
    """What stock Keras cannot read back of its own is mended there, too; tf.keras 2 has no operations."""
    i = keras.Input((3, 4))
    if kind == "operation":
        inner = keras.Model(i, keras.ops.add(keras.layers.Dense(4)(i), i))
    else:
        inner = keras.Model(i, keras.layers.Attention()([i, i]))  # its score_mode is "dot"
    model = keras.Sequential([keras.Input((2, 3, 4)), keras.layers.TimeDistributed(inner)])
    kio.save_model(model, tmp_path / "x.h5")
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 4)).astype("f4")
    expected = keras.ops.convert_to_numpy(model(x))
    for load in (kio.load_model, keras.saving.load_model):
        # Called as it is: up to 3.3 such a model has no inputs to ask for.
        assert np.allclose(keras.ops.convert_to_numpy(load(tmp_path / "x.h5")(x)), expected)
    if kind == "operation":
        with pytest.raises(UnsupportedError, match="operation Add"):
            kio.save_model(model, tmp_path / "y.h5", compat="2.15")


# ----------------------------------------------------------------- what has no place in it


def test_vocabularies_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    lookup = keras.layers.StringLookup()
    lookup.adapt(["a", "b"])
    model = keras.Sequential([keras.Input((1,), dtype="string"), lookup])
    with pytest.raises(UnsupportedError, match="assets"):
        kio.save_model(model, tmp_path / "x.h5")
    assert os.listdir(tmp_path) == []


class Remembering(keras.layers.Layer):
    """Keeps something that is no variable."""

    def call(self, x: Any) -> Any:
        return x

    def save_own_variables(self, store: Any) -> None:
        store["seen"] = np.ones(3)

    def load_own_variables(self, store: Any) -> None:
        self.seen = store["seen"]


class Counting(keras.layers.Layer):
    """Keeps a weight, and something beside it."""

    def __init__(self, counted: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.counted, self.n = counted, 3

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x: Any) -> Any:
        return x * self.w

    def save_own_variables(self, store: Any) -> None:
        store["w"] = self.w
        if self.counted:
            store["n"] = np.int64(self.n)

    def load_own_variables(self, store: Any) -> None:
        self.w.assign(store["w"])


def test_a_state_beside_variables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="stores n"):
        kio.save_weights(kinds.chain(Counting(True), keras.layers.Dense(2)), tmp_path / "x.h5")
    assert os.listdir(tmp_path) == []
    kio.save_weights(kinds.chain(Counting(False), keras.layers.Dense(2)), tmp_path / "x.h5")


def test_states_that_are_no_variables_are_refused(small: Any, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="seen"):
        kio.save_weights(kinds.chain(Remembering(), keras.layers.Dense(2)), tmp_path / "x.h5")
    with pytest.raises(UnsupportedError, match="objects_to_skip"):
        kio.save_weights(small, tmp_path / "x.h5", objects_to_skip=[small.layers[0]])
    assert os.listdir(tmp_path) == []


# ------------------------------------------------------------------------ ways to save it


def test_drop_in(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("stock Keras was asked")

    with kio.saving.installed():
        monkeypatch.setattr(legacy_h5_format, "save_model_to_hdf5", refuse)
        small.save(tmp_path / "a.h5")
        small.save(tmp_path / "a.hdf5", include_optimizer=False)
        keras.saving.save_model(small, tmp_path / "b.h5")
        small.save_weights(tmp_path / "c.h5")
    kio.save_model(small, tmp_path / "d.bin", save_format="h5")
    saved = kio.save_model(small, tmp_path / "e.h5", background=True)
    saved.wait()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "e.h5").read_bytes() == (tmp_path / "d.bin").read_bytes()
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert set(file) == {"model_weights"} and "training_config" not in file.attrs
    with h5py.File(tmp_path / "c.h5") as file:
        own = {"top_level_model_weights"} if VERSION >= (3, 10) else set()
        assert set(file) == {layer.name for layer in small.layers} | own


def test_convert_keeps_everything(small: Any, tmp_path: Path) -> None:
    small.save(tmp_path / "s.h5")
    for engine in ("native", "h5py"):
        kio.convert(tmp_path / "s.h5", tmp_path / "k.h5", engine=engine)
        with h5py.File(tmp_path / "s.h5") as a, h5py.File(tmp_path / "k.h5") as b:
            assert structure(a) == structure(b)
    kio.convert(tmp_path / "s.h5", tmp_path / "half.h5", dtype="float16")
    half = kio.load_model(tmp_path / "half.h5", compile=False)
    assert np.allclose(outputs(half)[0], outputs(small)[0], atol=1e-2)
    for name, dtype in [("s.h5", "bfloat16"), ("s.h5", "float8_e5m2")]:
        with pytest.raises(UnsupportedError, match=rf"legacy \.h5.*{dtype}"):
            kio.convert(tmp_path / name, tmp_path / "y.h5", dtype=dtype)
    kio.save_model(small, tmp_path / "x.keras")
    with pytest.raises(UnsupportedError, match=r"legacy \.h5"):
        kio.convert(tmp_path / "x.keras", tmp_path / "y.h5", dtype="bfloat16")
    kio.convert(tmp_path / "x.keras", tmp_path / "m.h5")
    assert_same_weights(small, keras.saving.load_model(tmp_path / "m.h5"))
    kio.save_weights(small, tmp_path / "x.weights.h5")
    with pytest.raises(UnsupportedError, match="layers in order"):
        kio.convert(tmp_path / "x.weights.h5", tmp_path / "y.h5")
    with pytest.raises(UnsupportedError, match="rename"):
        kio.convert(tmp_path / "s.h5", tmp_path / "y.h5", rename={"a": "b"})
    with pytest.raises(UnsupportedError, match="names of layers"):
        kio.write(tmp_path / "y.h5", {"a": np.zeros(2)})
    assert not (tmp_path / "y.h5").exists()


@pytest.mark.parametrize("engine", ["native", "h5py"])
def test_attributes_that_have_no_type_there(engine: str, small: Any, tmp_path: Path) -> None:
    small.save(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "a") as file:
        file["model_weights"].attrs["colour"] = h5py.Empty("f4")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(UnsupportedError, match=r"model_weights.*colour"):
        kio.convert(tmp_path / "s.h5", tmp_path / "y.h5", engine=engine)
    assert sorted(os.listdir(tmp_path)) == before
