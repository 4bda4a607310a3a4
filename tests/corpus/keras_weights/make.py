"""Writes the corpus of keras_weights: HDF5 that is not legacy.  Needs Keras 3.15 with jax."""

import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).parents[1]))

import h5py
import keras
import numpy as np
from writing import case, fresh, hdf5

random = np.random.default_rng(3)


def describe(folder, about, opened="model.weights.h5", by=("keras", "h5py", "numpy"), layout="keras_paths", **facts):
    arrays, dtypes, names = hdf5(folder / opened)
    case(folder, about, opened, arrays, by=by, dtypes=dtypes, names=names, layout=layout,
         metadata=facts.pop("metadata", {}), **facts)  # fmt: skip


def model(dtype=None, names=("first", "second")):
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((3,)), *(keras.layers.Dense(4, name=n, dtype=dtype) for n in names)])


plain = fresh(__file__, "plain")
model().save_weights(plain / "model.weights.h5")
describe(plain, "As save_weights writes it.")

bf16 = fresh(__file__, "bfloat16")
model("bfloat16").save_weights(bf16 / "model.weights.h5")
describe(bf16, "bfloat16 variables.")

odd = fresh(__file__, "odd_suffix")
model(names=("größe", "層")).save_weights(odd / "model.weights.h5")
(odd / "model.weights.h5").rename(odd / "weights.keras")
describe(odd, "Layer names beyond ASCII, and a suffix that lies.", "weights.keras")

many = fresh(__file__, "twelve")
model(names=[f"d{k}" for k in range(12)]).save_weights(many / "model.weights.h5")
describe(many, "More than ten layers of a kind.")

lora = fresh(__file__, "lora")
with h5py.File(lora / "model.lora.h5", "w") as file:
    file["lora/vars/rank"] = np.int64(4)
    for k in range(2):
        file[f"lora/{k}/vars/lora_kernel_a"] = random.normal(size=(3, 4)).astype("float32")
        file[f"lora/{k}/vars/lora_kernel_b"] = random.normal(size=(4, 5)).astype("float32")
describe(lora, "keras-hub's save_lora_weights (its structure, by h5py).", "model.lora.h5", ("h5py", "numpy"))

plain_h5 = fresh(__file__, "not_keras")
with h5py.File(plain_h5 / "data.h5", "w", userblock_size=1024) as file:
    file.attrs["author"] = "somebody"
    file.attrs["year"] = 2024
    for dtype in ("<f2", "<f8", ">f4", "<i1", "<u2", ">i8", "<u8"):
        file[f"group/{dtype[1:]}{'be' if dtype[0] == '>' else ''}"] = (random.normal(size=(3, 4)) * 50).astype(dtype)
    file["flags"] = np.array([[True, False], [False, True]])
    file["scalar"] = np.float32(2.5)
    file["empty"] = np.zeros((0, 3), "float32")
with (plain_h5 / "data.h5").open("r+b") as file:
    file.write(b"a block of the user's own")
describe(plain_h5, "Nothing of Keras's, behind a user block.", "data.h5", ("h5py", "numpy"), "flat",
         metadata={"author": "somebody"})  # fmt: skip

chunked = fresh(__file__, "chunked")
with h5py.File(chunked / "data.h5", "w", libver="latest") as file:
    data = random.normal(size=(40, 30)).astype("float32")
    file.create_dataset("a/vars/0", data=data, chunks=(16, 16), compression="gzip", shuffle=True, fletcher32=True)
    file.create_dataset("a/vars/1", data=data[0])
describe(chunked, "Compressed chunks, newest file version.", "data.h5", ("h5py", "numpy"))

soft = fresh(__file__, "soft_link")
with h5py.File(soft / "data.h5", "w") as file:
    file["a/vars/0"] = np.ones(3, "float32")
    file["b"] = h5py.SoftLink("/a")
case(soft, "A soft link.", "data.h5", by=("h5py",), error="UnsupportedError", says="expected a hard link, found soft")

external = fresh(__file__, "external_link")
with h5py.File(external / "data.h5", "w") as file:
    file["a/vars/0"] = np.ones(3, "float32")
    file["a/vars/1"] = h5py.ExternalLink("/etc/passwd", "/x")
case(external, "A link into another file.", "data.h5", by=("h5py",), error="UnsupportedError", says="a/vars/1")
