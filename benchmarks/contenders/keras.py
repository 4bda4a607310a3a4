"""Stock Keras, as its documentation tells users to load."""

from typing import Any

import keras

label = "stock Keras"


def load_model(path: str) -> Any:
    return keras.saving.load_model(path)


def load_weights(model: Any, path: str) -> None:
    model.load_weights(path)
