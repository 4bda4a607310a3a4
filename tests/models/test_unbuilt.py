"""Models that are not built: kio saves and loads them as Keras does, and loses nothing in silence."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

import kio
from kio.errors import MatchError

VERSION = tuple(map(int, keras.__version__.split(".")[:2]))
FORMATS = {"zip": "m.keras", "folder": "m", "h5": "m.h5"}

pytestmark = pytest.mark.filterwarnings("ignore:You are saving")


def built(layer: Any, *shape: int | None) -> Any:
    layer.build(shape)
    return layer


class Parts(keras.Model):
    """Never called; one part of it has variables, one has none."""

    def __init__(self, second: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.second = second
        self.first = built(layers.Dense(3), None, 2)
        self.other = built(layers.Dense(2), None, 3) if second else layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.other(self.first(x))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "second": self.second}


class Block(layers.Layer):
    """Makes the layer within it when it is built, and cannot be told for which shape."""

    def build(self, input_shape: Any) -> None:
        self.inner = built(layers.Dense(2, name="inner"), *input_shape)
        self.built = True

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def get_build_config(self) -> None:
        return None


class Around(keras.Model):
    """A model around a ``Block``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.block = Block(name="block")

    def call(self, x: Any) -> Any:
        return self.block(x)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    def get_build_config(self) -> None:
        return None


OWN = {"Parts": Parts, "Around": Around, "Block": Block}


def adapted(layer: Any, seen: Any) -> Any:
    layer.adapt(seen)
    return layer


def compiled(model: Any, **options: Any) -> Any:
    model.compile(**(options or {"optimizer": "adam", "loss": "mse", "metrics": ["mae"]}))
    return model


def trained(model: Any) -> Any:
    """With a state of the optimizer, as a loop of the user's own makes it."""
    compiled(model)
    model.optimizer.build(model.trainable_variables)
    for number, variable in enumerate(model.optimizer.variables):
        variable.assign(np.full(variable.shape, number))
    return model


UNBUILT: dict[str, Callable[[], Any]] = {
    "nothing": lambda: keras.Sequential([], name="m"),
    "nothing_compiled": lambda: compiled(keras.Sequential([], name="m")),
    "random": lambda: keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)]),
    "random_compiled": lambda: compiled(keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)])),
    "dropout": lambda: keras.Sequential([layers.Dropout(0.5, seed=3)]),
    "input_only": lambda: keras.Sequential([keras.Input((3,))]),
    "never_called": lambda: keras.Sequential([layers.Dense(2)]),
    "never_called_compiled": lambda: compiled(keras.Sequential([layers.Dense(2)])),
    "averages": lambda: compiled(
        keras.Sequential([layers.Dense(2)]), optimizer=keras.optimizers.SGD(momentum=0.5, use_ema=True), loss="mse"
    ),
    "nested": lambda: keras.Sequential([keras.Sequential([layers.Dense(2)]), layers.Dense(3)]),
    "nested_part": lambda: keras.Sequential([keras.Sequential([built(layers.Dense(2), None, 4)]), layers.Dense(3)]),
    "one_part": lambda: keras.Sequential([built(layers.Dense(3), None, 2), layers.Dense(2)]),
    "own_part": Parts,
    "own_part_compiled": lambda: compiled(Parts()),
    "own_parts": lambda: Parts(second=True),
    "own_parts_trained": lambda: trained(Parts(second=True)),
    "integers": lambda: keras.Sequential([layers.IntegerLookup(vocabulary=[3, 4])]),
    "integers_seen": lambda: keras.Sequential([adapted(layers.IntegerLookup(), np.array([7, 7, 5]))]),
    "normalization": lambda: keras.Sequential([adapted(layers.Normalization(), np.arange(12.0).reshape(6, 2))]),
    "words": lambda: keras.Sequential([layers.StringLookup(vocabulary=["a", "b"])]),
    "words_seen": lambda: keras.Sequential([adapted(layers.StringLookup(), ["a", "b", "b"])]),
    "text": lambda: keras.Sequential([adapted(layers.TextVectorization(), ["a b", "b c"])]),
}
NEEDS_TENSORFLOW = {"integers", "integers_seen", "words", "words_seen", "text"}
# Layers in legacy HDF5 are built by nothing that it says, and classes of the user's own need custom_objects.
# A vocabulary that is no part of the configuration has no place in it.
NOT_IN_H5 = {"one_part", "nested_part", "normalization", "integers_seen", "words_seen", "text"}


def make(kind: str) -> Any:
    if kind in NEEDS_TENSORFLOW:
        pytest.importorskip("tensorflow", reason="tables of words")
    afresh()
    keras.utils.set_random_seed(1)
    return UNBUILT[kind]()


def state(model: Any) -> dict[str, Any]:
    """Everything that a load gives back."""
    optimizer = getattr(model, "optimizer", None)
    below = list(model._flatten_layers(include_self=False))
    return {
        "class": type(model),
        "config": str(model.get_config()) if type(model) is not keras.Model else "",
        "built": [model.built, *(layer.built for layer in below)],
        "values": [(v.path, np.asarray(keras.ops.convert_to_numpy(v)).tolist()) for v in model.variables],
        "compiled": (model.compiled, compilation(model)),
        "optimizer": optimizer
        and [(v.path, np.asarray(keras.ops.convert_to_numpy(v)).tolist()) for v in optimizer.variables],
        "words": [layer.get_vocabulary() for layer in below if hasattr(layer, "get_vocabulary")],
    }


def compilation(model: Any) -> str:
    """What it was compiled with; a loss may be a function or its name."""
    found = dict((model.get_compile_config() if model.compiled else None) or {})
    loss = found.get("loss")
    if isinstance(loss, dict) and loss["class_name"] == "function":
        found["loss"] = loss["config"]
    return str(found) if found else ""


def afresh() -> None:
    """Names that Keras makes begin anew."""
    keras.utils.clear_session(*(() if VERSION < (3, 1) else (False,)))


def loaded(load: Callable[..., Any], path: Path, **options: Any) -> dict[str, Any]:
    afresh()
    keras.utils.set_random_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return state(load(path, custom_objects=OWN, **options))


def cases() -> list[tuple[str, str]]:
    return [(kind, form) for kind in UNBUILT for form in FORMATS if form != "h5" or kind not in NOT_IN_H5]


@pytest.mark.parametrize(("kind", "form"), cases())
def test_loads_as_stock_loads_it(kind: str, form: str, tmp_path: Path) -> None:
    if form == "folder" and VERSION < (3, 6):
        pytest.skip("Keras reads no folders before 3.6")
    if form == "h5" and VERSION < (3, 3) and kind.startswith(("random", "own_part")):
        pytest.skip("Keras itself cannot write random layers into .h5, or read classes of the user's own")
    model = make(kind)
    assert not model.built
    path = tmp_path / FORMATS[form]
    options = {"zipped": False} if form == "folder" else {}
    kio.save_model(model, path, **options)
    found = loaded(kio.load_model, path)
    assert found["built"][0] is False and found["compiled"][0] is model.compiled
    assert loaded(keras.saving.load_model, path) == found
    with kio.saving.installed():
        assert loaded(keras.saving.load_model, path) == found
    if form != "h5" or not model.compiled:
        stock = tmp_path / "stock" / FORMATS[form]
        stock.parent.mkdir()
        model.save(stock, **options)
        if form == "h5" and isinstance(model, Parts):
            return  # Keras writes its name without its module
        assert loaded(keras.saving.load_model, stock) == loaded(kio.load_model, stock) == found


@pytest.mark.parametrize("kind", ["random_compiled", "own_part_compiled", "own_parts_trained"])
def test_not_compiled_on_demand(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    kio.save_model(make(kind), path)
    found = loaded(kio.load_model, path, compile=False)
    assert found["compiled"] == (False, "")
    assert loaded(keras.saving.load_model, path, compile=False) == found


def test_values_and_words_are_the_saved_ones(tmp_path: Path) -> None:
    model = make("own_part")
    model.first.set_weights([np.arange(6.0).reshape(2, 3), np.array([7.0, 8.0, 9.0])])
    kio.save_model(model, tmp_path / "m.keras")
    found = kio.load_model(tmp_path / "m.keras", OWN)
    assert [np.asarray(w).tolist() for w in found.get_weights()] == [[[0, 1, 2], [3, 4, 5]], [7, 8, 9]]
    assert not found.other.built
    kio.save_model(make("integers_seen"), tmp_path / "w.keras")
    assert kio.load_model(tmp_path / "w.keras").layers[0].get_vocabulary() == [-1, 7, 5]


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_what_was_loaded_can_be_trained(name: str, tmp_path: Path) -> None:
    kio.save_model(make("never_called_compiled"), tmp_path / name)
    model = kio.load_model(tmp_path / name)
    model.fit(np.ones((4, 3), "f4"), np.ones((4, 2), "f4"), verbose=0)
    assert model.built and int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 1


# ------------------------------------------------------------------- weights without a variable


def test_weights_of_a_layer_that_is_built_later_are_not_forgotten(tmp_path: Path) -> None:
    model = Around(name="m")
    x = np.ones((1, 3), "f4")
    expected = keras.ops.convert_to_numpy(model(x))
    path = tmp_path / "m.keras"
    model.save(path)
    with pytest.raises(MatchError, match=r"(?s)block: block/inner/vars/0, block/inner/vars/1.*Build the model in code"):
        kio.load_model(path, OWN)
    again = Around(name="m")
    again(x)
    kio.load_weights(again, path)  # as the hint says
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(x)), expected)


def test_such_a_layer_within_a_built_model(tmp_path: Path) -> None:
    class Outer(Around):
        def get_build_config(self) -> Any:
            return {"input_shape": [None, 3]}

        def build_from_config(self, config: Any) -> None:
            self.built = True  # and the block is not

    model = Outer(name="m")
    model(np.ones((1, 3), "f4"))
    model.save(tmp_path / "m.keras")
    with pytest.raises(MatchError, match=r"block: block/inner/vars/0"):
        kio.load_model(tmp_path / "m.keras", {"Outer": Outer})


@pytest.mark.parametrize("kind", ["one_part", "nested_part", "normalization"])
def test_a_legacy_file_with_weights_that_nothing_builds(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    model = make(kind)
    kio.save_model(model, path)
    with pytest.raises(MatchError, match=r"(?s)expected weights of layers that are built.*model_weights/.*in code"):
        kio.load_model(path)
    again = make(kind)
    again(np.ones((1, 4 if kind == "nested_part" else 2), "f4"))
    if kind == "normalization":  # the hint, where the model in code has all that the file has
        kio.load_weights(again, path)
        assert state(again)["values"] == state(model)["values"]


def test_a_layer_without_variables_for_what_the_file_has(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="d")], name="m")
    model.save(path)
    config = json.loads(kio.open(path).config or "")
    config["config"]["layers"] = config["config"]["layers"][1:]
    config["config"].pop("build_input_shape", None)
    for each in (config, *config["config"]["layers"]):
        each.pop("build_config", None)
    with kio.open(path) as checkpoint:
        tensors = checkpoint.read()
    changed = tmp_path / "changed.keras"
    kio.write(changed, tensors, config=json.dumps(config), metadata={"keras_version": keras.__version__})
    with pytest.raises(MatchError, match=r"d: .*layers/dense/vars"):
        kio.load_model(changed)


# ------------------------------------------------------------------- weights alone


@pytest.mark.parametrize("name", ["m.weights.h5", "m.h5", "m.keras", "m.safetensors", "m.npz"])
def test_weights_are_not_loaded_into_a_model_that_is_not_built(name: str, tmp_path: Path) -> None:
    source = built(keras.Sequential([layers.Dense(2, name="d")], name="m"), None, 3)
    path = tmp_path / name
    if name.endswith(".keras"):
        kio.save_model(source, path)
    else:
        kio.save_weights(source, path)
    model = keras.Sequential([layers.Dense(2, name="d")], name="m")
    with pytest.raises(MatchError, match="call it on data, or build"):
        kio.load_weights(model, path)
    if VERSION >= (3, 10) and name in ("m.weights.h5", "m.keras"):
        with pytest.raises(ValueError, match="has not yet been built"):
            model.load_weights(path)
    model.build((None, 3))  # as the hint says
    kio.load_weights(model, path)
    for a, b in zip(model.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------- files of other Keras


def legacy(path: Path, config: Any, version: str | None, training: Any = None) -> Path:
    """What an older Keras wrote of a model without weights."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        if version:
            file.attrs["keras_version"] = version.encode()
            file.attrs["backend"] = b"tensorflow"
        if training:
            file.attrs["training_config"] = json.dumps(training).encode()
        group = file.create_group("model_weights")
        names = [layer["config"]["name"] for layer in layers_of(config)]
        group.attrs["layer_names"] = [name.encode() for name in names] if names else np.zeros(0, "S1")
        for name in names:
            group.create_group(name).attrs["weight_names"] = np.zeros(0, "S1")
    return path


def layers_of(config: Any) -> list[Any]:
    inner = config["config"]
    return list(inner if isinstance(inner, list) else inner["layers"])


DENSE = {"class_name": "Dense", "config": {"name": "dense", "units": 2, "activation": "relu", "use_bias": True}}
DENSE1 = {"class_name": "Dense", "config": {"name": "dense_1", "output_dim": 2, "activation": "relu", "bias": True}}


@pytest.mark.parametrize(
    ("config", "version"),
    [
        ({"class_name": "Sequential", "config": {"name": "s", "layers": [DENSE]}}, "2.4.0"),
        ({"class_name": "Sequential", "config": {"name": "s", "layers": []}}, "2.13.1"),
        ({"class_name": "Sequential", "config": [DENSE]}, "2.1.6"),
        ({"class_name": "Sequential", "config": [DENSE1]}, "1.2.2"),
        ({"class_name": "Sequential", "config": []}, "1.1.0"),
    ],
    ids=["2.4", "2.13-nothing", "2.1", "1.2", "1.1-nothing"],
)
def test_old_models_that_were_never_called(config: Any, version: str, tmp_path: Path) -> None:
    training = {
        "optimizer_config": {"class_name": "SGD", "config": {"name": "SGD", "lr": 0.25}},
        "loss": "mse",
        "metrics": [],
        "sample_weight_mode": None,
        "loss_weights": None,
    }
    path = legacy(tmp_path / "m.h5", config, version, training)
    model = kio.load_model(path)
    assert not model.built and model.compiled
    assert [type(layer).__name__ for layer in model.layers] == ["Dense"] * len(layers_of(config))
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == 0.25
    if model.layers:
        assert model.layers[0].units == 2
        assert tuple(model(np.ones((1, 3), "f4")).shape) == (1, 2)
    assert not kio.load_model(path, compile=False).compiled


def test_a_model_without_layers_of_the_base_class(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    kio.save_model(keras.Model(name="m"), path)
    model = kio.load_model(path)
    assert type(model) is keras.Model and not model.built and os.path.getsize(path)
