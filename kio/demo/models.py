"""The models of the demo: two shapes of today's, and one of a Keras that nobody can install any more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
BLOCKS, WIDE, UNITS = 24, 6, 1024
OLD_UNITS = 4


def small(keras: Any) -> Any:
    """Many small layers, as most of today's networks: their files are hundreds of little tensors."""
    layers = keras.layers
    inputs = x = keras.Input((16,))
    for _ in range(BLOCKS):
        y = layers.Dense(16, activation="relu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, y])
    return keras.Model(inputs, layers.Dense(3)(x))


def large(keras: Any) -> Any:
    """A few large layers."""
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((UNITS,)), *[layers.Dense(UNITS, activation="relu") for _ in range(WIDE)], layers.Dense(10)]
    )


def compiled(model: Any) -> Any:
    """The model with Adam, whose two averages make it three times as large."""
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def _first(name: str) -> dict[str, Any]:
    """What Keras 1.2 said of the first layer of a model beyond others."""
    return {
        "name": name,
        "trainable": True,
        "batch_input_shape": [None, OLD_UNITS],
        "input_dtype": "float32",
        "init": "glorot_uniform",
        "W_regularizer": None,
        "b_regularizer": None,
        "activity_regularizer": None,
        "W_constraint": None,
        "b_constraint": None,
        "bias": True,
        "input_dim": OLD_UNITS,
    }


def write_old(path: Path) -> tuple[Array, Array]:
    """Write what ``model.save`` of Keras 1.2.2 wrote for a Highway layer (Keras 2 dropped it).

    Args:
        path: Of the ``.h5`` file.

    Returns:
        Inputs (3, 4), and what that Keras made of them: computed here by the formula of its layer.
    """
    draw = np.random.default_rng(0)
    names = ["highway_1_W", "highway_1_W_carry", "highway_1_b", "highway_1_b_carry"]
    shapes = [(OLD_UNITS, OLD_UNITS)] * 2 + [(OLD_UNITS,)] * 2
    values = [draw.normal(size=shape).astype("f4") for shape in shapes]
    config = {
        "class_name": "Sequential",
        "config": [{"class_name": "Highway", "config": {**_first("highway_1"), "activation": "hard_sigmoid"}}],
    }
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"highway_1"]
        layer = group.create_group("highway_1")
        layer.attrs["weight_names"] = [name.encode() for name in names]
        for name, value in zip(names, values, strict=True):
            layer.create_dataset(name, data=value)
    kernel, gate, bias, gate_bias = (value.astype("f8") for value in values)
    x = draw.normal(size=(3, OLD_UNITS))
    passed = 1 / (1 + np.exp(-(x @ gate + gate_bias)))
    # hard_sigmoid of Keras 1 and 2; that of Keras 3 has a slope of 1/6.
    y = passed * np.clip(0.2 * (x @ kernel + bias) + 0.5, 0, 1) + (1 - passed) * x
    return x.astype("f4"), y.astype("f4")


def flip(path: Path, content: bytes) -> int:
    """Flip one bit of a file in the middle of the stored ``content``; returns the byte's offset.

    Raises:
        ValueError: if the file does not hold ``content`` as it is.
    """
    stored = bytearray(path.read_bytes())
    offset = stored.index(content) + len(content) // 2
    stored[offset] ^= 0x40
    path.write_bytes(stored)
    return offset
