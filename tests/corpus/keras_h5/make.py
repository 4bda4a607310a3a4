"""Writes the corpus of keras_h5, the legacy HDF5 formats.  Needs Keras 3.15 with jax.

What older Keras wrote is in the shared collection of real files; here are the newest writer's
file, and the marks by which the older ones are told, put down by h5py.
"""

import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).parents[1]))

import h5py
import keras
import numpy as np
from keras.src.legacy.saving import legacy_h5_format
from writing import case, fresh, hdf5, sha256

random = np.random.default_rng(4)


def describe(folder, about, opened, by=("keras", "h5py", "numpy"), **facts):
    arrays, dtypes, _ = hdf5(folder / opened)
    with h5py.File(folder / opened, "r") as file:
        config = file.attrs.get("model_config")
        config = config.decode() if isinstance(config, bytes) else config
        metadata = {}
        for place in [file, *([file["model_weights"]] if "model_weights" in file else [])]:
            for key, value in place.attrs.items():
                if isinstance(value, (str, bytes)) and key != "model_config":
                    metadata.setdefault(key, value.decode() if isinstance(value, bytes) else value)
    case(folder, about, opened, arrays, by=by, dtypes=dtypes, layout="h5_layers", metadata=metadata,
         config=config and sha256(config.encode()), **facts)  # fmt: skip


keras.utils.set_random_seed(1)
net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="first"), keras.layers.Dense(2, name="second")])
net.compile("adam", "mean_squared_error")
net.train_on_batch(random.normal(size=(4, 3)), random.normal(size=(4, 2)))

whole = fresh(__file__, "whole")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    net.save(whole / "model.h5")
describe(whole, "A whole model with optimizer, by Keras 3.", "model.h5")

weights = fresh(__file__, "weights")
with h5py.File(weights / "model.keras", "w") as file:
    legacy_h5_format.save_weights_to_hdf5_group(file, net)
describe(weights, "Weights only, by Keras 3; the suffix lies.", "model.keras")

chunked = fresh(__file__, "chunked_names")
with h5py.File(chunked / "weights.h5", "w") as file:
    file.attrs["layer_names0"] = np.array([b"a"])
    file.attrs["layer_names1"] = np.array([b"b"])
    file.attrs["backend"] = b"tensorflow"
    for name in "ab":
        group = file.create_group(name)
        group.attrs["weight_names"] = np.array([f"{name}/kernel:0".encode()])
        group[f"{name}/kernel:0"] = random.normal(size=(2, 3)).astype("float32")
describe(chunked, "layer_names in pieces, as beyond 64 KB.", "weights.h5", ("h5py", "numpy"))

zero = fresh(__file__, "keras_0")
with h5py.File(zero / "weights.hdf5", "w") as file:
    file.attrs["nb_layers"] = 1
    group = file.create_group("layer_0")
    group.attrs["nb_params"] = 2
    group["param_0"] = random.normal(size=(2, 3)).astype("float32")
    group["param_1"] = random.normal(size=3).astype("float32")
describe(zero, "Weights of a Keras 0.x Sequential.", "weights.hdf5", ("h5py", "numpy"))

graph = fresh(__file__, "keras_0_graph")
with h5py.File(graph / "weights.hdf5", "w") as file:
    group = file.create_group("graph")
    group.attrs["nb_params"] = 1
    group["param_0"] = random.normal(size=(2, 3)).astype("float32")
describe(graph, "Weights of a Keras 0.x Graph.", "weights.hdf5", ("h5py", "numpy"))
