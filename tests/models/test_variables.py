"""A variable that waited for its value is in every respect the one that Keras would have made."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import kio

BACKEND = keras.config.backend()
DATA = np.random.default_rng(7).normal(size=(4, 8)).astype("f4")
VERSION = tuple(map(int, keras.__version__.split(".")[:2]))


def facts(variable: Any) -> dict[str, Any]:
    """All that can be told of a variable but its value."""
    value = variable._value
    found = {
        name: str(getattr(variable, name, None))
        for name in ("path", "name", "dtype", "shape", "trainable", "aggregation", "synchronization", "_autocast")
    }
    found |= {
        "class": type(variable),
        "overwrite": getattr(variable, "overwrite_with_gradient", None),
        "constraint": type(variable.constraint),
        "regularizer": type(variable.regularizer),
        "initializer": variable._initializer,
        "layout": str(getattr(variable, "_layout", None)),
        "value": type(value),
    }
    if BACKEND == "torch":
        found |= {"grad": value.requires_grad, "device": str(value.device), "leaf": value.is_leaf}
    if BACKEND == "tensorflow":
        found |= {
            name: str(getattr(value, name))
            for name in ("trainable", "aggregation", "synchronization", "name", "device", "shape", "dtype")
        }
    if BACKEND == "jax":
        found |= {"sharding": value.sharding, "committed": value._committed, "weak": value.weak_type}
    return found


def plain() -> Any:
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(8, name="still", trainable=False),
            layers.Dense(4, name="held", kernel_constraint="unit_norm", kernel_regularizer="l2"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(2, name="half", dtype="mixed_float16"),
        ],
        name="m",
    )


def compiled(optimizer: Any) -> Any:
    model = plain()
    model.compile(optimizer, "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def quantized(how: str) -> Any:
    model = keras.Sequential([keras.Input((8,)), layers.Dense(8, name="a"), layers.Dense(2, name="b")], name="q")
    model.quantize(how)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def lora() -> Any:
    model = keras.Sequential([keras.Input((8,)), layers.Dense(8, name="a"), layers.Embedding(3, 2, name="e")])
    model.layers[0].enable_lora(2)
    return model


MODELS: dict[str, Callable[[], Any]] = {
    "averages": lambda: compiled(keras.optimizers.Adam(use_ema=True)),
    "sums": lambda: compiled(keras.optimizers.SGD(momentum=0.5, gradient_accumulation_steps=2)),
    "scaled": lambda: compiled(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())),
    "int8": lambda: quantized("int8"),
    "float8": lambda: quantized("float8"),
    "lora": lora,
}


def all_of(model: Any) -> list[Any]:
    optimizer = getattr(model, "optimizer", None)
    return [*model.variables, *(optimizer.variables if optimizer else [])]


@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have")
@pytest.mark.parametrize("kind", MODELS)
def test_as_stock_makes_them(kind: str, tmp_path: Path) -> None:
    if VERSION < (3, 10):
        pytest.skip("an older Keras quantizes and counts otherwise")
    path = tmp_path / "m.keras"
    kio.save_model(MODELS[kind](), path)
    found = []
    for load in (keras.saving.load_model, kio.load_model):
        keras.utils.clear_session(False)  # names begin anew
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(all_of(load(path)))
    assert found[0]
    for stock, own in zip(*found, strict=True):
        if "seed_generator" not in stock.path:
            assert facts(own) == facts(stock)


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_layers_that_were_frozen_can_be_trained(name: str, tmp_path: Path) -> None:
    kio.save_model(plain(), tmp_path / name)
    model = kio.load_model(tmp_path / name)
    for layer in model.layers:
        layer.trainable = True
    before = np.array(keras.ops.convert_to_numpy(model.layers[0].kernel))
    model.compile("sgd", "mse")
    model.fit(DATA, np.ones((4, 2), "f4"), verbose=0)
    assert np.abs(keras.ops.convert_to_numpy(model.layers[0].kernel) - before).max() > 0


def test_layers_that_nothing_filled_can_be_trained_too() -> None:
    model = kio.model_from_json(plain().to_json())
    model.layers[0].trainable = True
    before = np.array(keras.ops.convert_to_numpy(model.layers[0].kernel))
    model.compile("sgd", "mse")
    model.fit(DATA, np.ones((4, 2), "f4"), verbose=0)
    assert np.abs(keras.ops.convert_to_numpy(model.layers[0].kernel) - before).max() > 0
