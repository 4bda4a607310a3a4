"""The tree of a live model against what stock Keras writes."""

from __future__ import annotations

import contextlib
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras import layers  # noqa: E402
from keras.src.saving import saving_lib  # noqa: E402

from kio.mapping import keras_paths  # noqa: E402
from kio.mapping.tree import Node  # noqa: E402
from kio.models.live import walk  # noqa: E402

from . import graphs  # noqa: E402

# Keras itself trips over newer NumPys.
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def stock_file(model: Any, path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Key → value, as stock Keras writes the model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_weights(path)
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.__setitem__(name, np.array(item)) if isinstance(item, h5py.Dataset) else None
        )
    return found


def check(model: Any, path: Path) -> None:
    graphs.number(model)
    stored = stock_file(model, path)
    tree = walk.tree(model)
    names = keras_paths.names(tree, graphs.own_rule())
    assert not [n for n in tree.nodes if n.custom]
    assert sorted(names.values()) == sorted(stored)
    for leaf, name in names.items():
        assert stored[name].shape == leaf.shape
        value = keras.ops.convert_to_numpy(leaf.handle.value)
        np.testing.assert_array_equal(stored[name], value, err_msg=name)


@pytest.mark.parametrize("seed", range(300))
def test_grown_models_have_the_keys_that_keras_writes(seed: int, tmp_path: Path) -> None:
    check(graphs.grown(seed), tmp_path / "m.weights.h5")


# ------------------------------------------------------------ attribute by attribute, as Keras walks


def leads_somewhere(value: Any, saveable: Any, seen: tuple[int, ...] = ()) -> bool:
    if isinstance(value, saveable):
        return True
    if id(value) in seen or not isinstance(value, (list, dict, tuple, set)):
        return False
    items = value.values() if isinstance(value, dict) else value
    return any(leads_somewhere(item, saveable, (*seen, id(value))) for item in items)


def compare_walks(model: Any) -> None:
    """Every node's entries are what ``_walk_saveable`` yields, in its order."""
    saveable = walk._saveable()
    walked = getattr(saving_lib, "_walk_saveable", None) or saving_lib._walk_trackable
    tree = walk.tree(model)
    by_id = {id(node.handle): node for node in tree.nodes}
    for node in tree.nodes:
        wanted: list[tuple[str, Any]] = []
        for name, value in walked(node.handle):
            if leads_somewhere(value, saveable) and (name, id(by_id.get(id(value)))) not in wanted:
                wanted.append((name, id(by_id.get(id(value)))))
        found = [
            (name, id(child) if isinstance(child, Node) else id(None))
            for name, child in graphs.own_rule().entries(node)
        ]
        assert list(dict.fromkeys(found)) == list(dict.fromkeys(wanted)), node


@pytest.mark.parametrize("seed", range(0, 300, 7))
def test_entries_of_grown_models(seed: int) -> None:
    compare_walks(graphs.grown(seed))


@pytest.mark.parametrize("seed", range(0, 40, 3))
def test_entries_of_compiled_models(seed: int) -> None:
    model = graphs.grown(seed)
    model.compile("adam", "mse", metrics=["mae", keras.metrics.AUC()])
    compare_walks(model)


class Listed(layers.Layer):
    """Lists its attributes itself, and answers for one that is nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.real = layers.Dense(2)
        self.real.build((None, 2))
        self.kept = [layers.Dense(1)]

    def __dir__(self) -> Any:
        return [*super().__dir__(), "conjured"]

    def __getattr__(self, name: str) -> Any:
        if name == "conjured":
            return self.__dict__["_conjured"]
        return super().__getattribute__(name)


class Descriptor:
    def __get__(self, obj: Any, owner: Any = None) -> Any:
        return None if obj is None else obj._from_descriptor


class Described(layers.Layer):
    """Saveables behind every kind of class attribute."""

    shared_by_class = layers.Dense(2)
    listed_by_class = [layers.Dense(3), layers.Dense(4)]  # noqa: RUF012 - what is tested
    a_number = 3
    descriptor = Descriptor()

    def __init__(self) -> None:
        super().__init__()
        self._from_descriptor = layers.Dense(5)
        self.overridden = layers.Dense(6)

    overridden: Any = None

    @property
    def kernel(self) -> Any:
        """Called as a property of Keras's that is not evaluated."""
        return self._from_descriptor

    @cached_property
    def cached(self) -> Any:
        return layers.Dense(7)

    def method(self) -> None: ...


class Slotted(layers.Layer):
    __slots__ = ("in_a_slot",)


def test_entries_of_unusual_classes() -> None:
    listed = Listed()
    object.__setattr__(listed, "_conjured", layers.Dense(9))
    slotted = Slotted()
    object.__setattr__(slotted, "in_a_slot", layers.Dense(8))
    model = graphs.Net([("listed", listed), ("described", Described()), ("slotted", slotted)])
    compare_walks(model)
    names = {name for node in walk.tree(model).nodes for name, _ in node.entries}
    assert {"shared_by_class", "listed_by_class", "descriptor", "overridden", "kernel", "cached"} <= names
    assert {"in_a_slot", "real"} <= names


def test_a_class_that_gains_an_attribute_is_looked_at_again() -> None:
    class Growing(layers.Layer):
        pass

    model = graphs.Net([("part", Growing())])
    assert len(walk.tree(model).nodes) == 2
    model.part.later = layers.Dense(2)
    assert len(walk.tree(model).nodes) == 3


def every_layer() -> list[Any]:
    """One of each of Keras's layers, where no argument is needed that cannot be guessed."""
    guesses = [{}, {"units": 2}, {"filters": 2, "kernel_size": 2}, {"kernel_size": 2}, {"rate": 0.1}]
    guesses += [{"num_heads": 2, "key_dim": 2}, {"input_dim": 3, "output_dim": 2}, {"layer": layers.LSTM(2)}]
    guesses += [{"layer": layers.Dense(2)}, {"num_bins": 3}, {"axes": 1}, {"n": 2}, {"target_shape": (2,)}]
    guesses += [
        {"equation": "ab,bc->ac", "output_shape": 3},
        {"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1},
    ]
    guesses += [{"factor": 0.1}, {"height": 2, "width": 2}, {"function": len}, {"cell": layers.LSTMCell(2)}]
    made = []
    for cls in vars(layers).values():
        if not (isinstance(cls, type) and issubclass(cls, layers.Layer)):
            continue
        for guess in guesses:
            try:
                made.append(cls(**guess))
                break
            except Exception:
                continue
    return made


def test_entries_of_every_layer_of_keras() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = every_layer()
        assert len(made) > 80
        for layer in made:
            with contextlib.suppress(Exception):  # some need other inputs: then they are compared unbuilt
                layer.build((None, 4))
            compare_walks(layer)


def test_no_value_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    model = graphs.grown(2)
    monkeypatch.setattr(keras.Variable, "value", property(lambda self: pytest.fail("a value was read")))
    assert list(walk.tree(model).leaves)


def test_objects_to_skip() -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2), layers.Dense(2)])
    tree = walk.tree(model, [model.layers[0]])
    assert [node.skip for node in tree.nodes if node.cls == "dense"] == [True, False]
    assert len(list(tree.leaves)) == 2


def test_a_long_chain_of_layers() -> None:
    """Deeper than Python's stack, and than stock Keras can go."""
    layer = layers.Dense(2)
    layer.build((None, 2))
    for _ in range(1500):
        outer = graphs.Block([])
        object.__setattr__(outer, "next", layer)
        outer.__dict__["next"] = layer
        layer = outer
    tree = walk.tree(layer)
    assert len(tree.nodes) == 1501
    (name,) = {n.rpartition("/vars/")[0] for n in keras_paths.names(tree).values()}
    assert name == "/".join(["next"] * 1500)
