"""Run by test_distribution.py on four virtual devices: prints what differs from stock Keras, then "done"."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numpy as np
from keras import layers

import kio
from kio.models.memory import variables

NAMES = ["Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "Muon", "Nadam",
         "RMSprop", "SGD"]  # fmt: skip
OPTIONS: list[dict[str, Any]] = [{}, {"use_ema": True, "gradient_accumulation_steps": 2}]
# One shape each, which no other array has.
KERNELS = {(16, 36), (36, 12)}


def distribution(parallel: str) -> Any:
    ds = keras.distribution
    devices = ds.list_devices("cpu")
    if parallel == "data":
        return ds.DataParallel(devices=devices)
    mesh = ds.DeviceMesh((2, 2), ["batch", "model"], devices=devices)
    layout = ds.LayoutMap(mesh)
    layout[".*kernel"] = (None, "model")
    layout[".*bias"] = ("model",)
    return ds.ModelParallel(layout_map=layout, batch_dim_name="batch")


def make(optimizer: Any) -> Any:
    keras.utils.clear_session(False)
    model = keras.Sequential([keras.Input((16,)), layers.Dense(36, name="a"), layers.Dense(12, name="b")], name="m")
    model.compile(optimizer, "mse")
    model.optimizer.build(model.trainable_variables)
    for seed, variable in enumerate(all_of(model)):
        if variable.dtype.startswith("float") and variable.shape:
            variable.assign(np.random.default_rng(seed).normal(size=variable.shape))
    return model


def all_of(model: Any) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


def compare(what: str, stock: Any, own: Any) -> None:
    for a, b in zip(all_of(stock), all_of(own), strict=True):
        if a.value.sharding != b.value.sharding:
            print(what, a.path, "sharding", a.value.sharding, b.value.sharding)
        if not np.array_equal(a, b):
            print(what, a.path, "values")


def watch() -> list[str]:
    """Where a device holds a whole kernel, or a slot of one, when a variable is given its value."""
    seen: list[str] = []
    stock = variables.Variable._direct_assign

    def assign(self: Any, value: Any) -> None:
        for each in [*jax.live_arrays(), value]:
            if isinstance(each, jax.Array) and each.shape in KERNELS:
                seen.extend(f"{self.path} {p.device}" for p in each.addressable_shards if p.data.shape == each.shape)
        stock(self, value)

    variables.Variable._direct_assign = assign
    return seen


def main(folder: str, parallel: str) -> None:
    seen = watch() if parallel == "model" else []
    for name in filter(lambda each: hasattr(keras.optimizers, each), NAMES):
        for options in OPTIONS:
            what = f"{parallel} {name} {options}"
            keras.distribution.set_distribution(None)
            plain = make(getattr(keras.optimizers, name)(**options))
            files = [f"{folder}/m{suffix}" for suffix in (".keras", ".weights.h5", ".h5")]
            kio.save_model(plain, files[0])
            kio.save_weights(plain, files[1])
            kio.save_model(plain, files[2])
            expected = plain.get_weights()
            del plain
            gc.collect()
            keras.distribution.set_distribution(distribution(parallel))
            try:
                stock = keras.saving.load_model(files[0])
            except IndexError:  # Keras gives Adafactor's sums over an axis the layout of the whole
                assert name == "Adafactor", name
                continue
            seen.clear()
            own = kio.load_model(files[0])
            whole = kio.load_model(files[2])
            print(*(f"{what} whole: {each}\n" for each in seen[:3]), end="", sep="")
            compare(what + " load_model", stock, own)
            compare(what + " load_model .h5", stock, whole)
            for variable in all_of(own):
                variable.assign(np.zeros(variable.shape, variable.dtype))
            gc.collect()
            seen.clear()
            kio.load_weights(own, files[1])
            print(*(f"{what} whole: {each}\n" for each in seen[:3]), end="", sep="")
            compare(what + " load_weights", stock, own)
            assert all(map(np.array_equal, own.get_weights(), expected))
            again = f"{folder}/again.weights.h5"
            kio.save_weights(own, again)
            with open(files[1], "rb") as one, open(again, "rb") as two:
                if one.read() != two.read():
                    print(what, "save_weights")
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
