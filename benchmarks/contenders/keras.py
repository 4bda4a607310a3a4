"""Stock Keras, as its documentation tells users to load."""

from typing import Any

import keras

from benchmarks import saving

label = "stock Keras"


def load_model(path: str, *, compile: int = 1) -> Any:
    return keras.saving.load_model(path, compile=bool(compile))


def load_weights(model: Any, path: str) -> None:
    model.load_weights(path)


def save_model(model: Any, path: str, *, fsync: int = 0) -> None:
    model.save(path)
    if fsync:
        saving.durable(path)


def save_weights(model: Any, path: str, *, fsync: int = 0) -> None:
    model.save_weights(path)
    if fsync:
        saving.durable(path)


def save_in_background(model: Any, path: str) -> None:
    model.save_weights(path)
