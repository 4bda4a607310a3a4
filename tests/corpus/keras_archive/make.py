"""Writes the corpus of keras_archive: .keras zips and folders.  Needs Keras 3.15 with jax."""

import io
import json
import os
import sys
import zipfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).parents[1]))

import h5py
import keras
import numpy as np
from keras.src.saving import saving_lib
from writing import case, fresh, hdf5, sha256

BY = ("keras", "h5py", "numpy")


@keras.saving.register_keras_serializable("kio_corpus")
class Lookup(keras.layers.Layer):
    """A layer with a vocabulary file."""

    def __init__(self, words=(), **kwargs):
        super().__init__(**kwargs)
        self.words = list(words)

    def get_config(self):
        return {**super().get_config(), "words": self.words}

    def save_assets(self, folder):
        Path(folder, "vocabulary.txt").write_text("\n".join(self.words), encoding="utf-8")
        Path(folder, "größe.bin").write_bytes(bytes(range(256)))

    def load_assets(self, folder):
        pass

    def call(self, x):
        return x


def model(dtype=None, lookup=False):
    keras.utils.set_random_seed(1)
    layers = [keras.Input((5,)), keras.layers.Dense(4, name="first", dtype=dtype)]
    layers += [Lookup(["one", "zwei", "三"], name="words")] if lookup else []
    layers += [keras.layers.BatchNormalization(name="norm", dtype=dtype), keras.layers.Dense(2, dtype=dtype)]
    out = keras.Sequential(layers, name="net")
    out.compile("adam", "mean_squared_error")
    random = np.random.default_rng(2)
    out.train_on_batch(random.normal(size=(8, 5)), random.normal(size=(8, 2)))
    return out


def describe(folder, about, opened, read, assets=(), **facts):
    """``read`` gives the content of a member by name."""
    member = facts.pop("member", "model.weights.h5")
    arrays, dtypes, names = hdf5(io.BytesIO(read(member)))
    case(folder, about, opened, arrays, by=BY, dtypes=dtypes, names=names, layout="keras_paths",
         config=sha256(read("config.json")), metadata={**json.loads(read("metadata.json")), **facts.pop("more", {})},
         assets={name: sha256(read(f"assets/{name}")) for name in assets}, **facts)  # fmt: skip


def reader(path):
    def read(name):
        with zipfile.ZipFile(path) as z:
            return z.read(name)

    return read


def repack(src, dst, method, order=None, rename=None):
    """Copy members into a new archive; ``dst`` a path or a stream that cannot seek."""
    with zipfile.ZipFile(src) as old, zipfile.ZipFile(dst, "w", method) as new:
        for name in order or old.namelist():
            info = zipfile.ZipInfo((rename or {}).get(name, name), (2024, 5, 6, 7, 8, 10))
            info.compress_type = method
            new.writestr(info, old.read(name))


class Pipe(io.RawIOBase):
    def __init__(self, path):
        self._file = path.open("wb")

    def writable(self):
        return True

    def write(self, data):
        return self._file.write(data)


ASSETS = ["layers/lookup/größe.bin", "layers/lookup/vocabulary.txt"]

plain = fresh(__file__, "plain")
model().save(plain / "model.keras")
describe(plain, "As model.save writes it, with Adam's state.", "model.keras", reader(plain / "model.keras"))

bf16 = fresh(__file__, "bfloat16")
model("bfloat16").save(bf16 / "model.keras")
describe(bf16, "bfloat16 variables: two opaque bytes and an attribute.", "model.keras", reader(bf16 / "model.keras"))

with_assets = fresh(__file__, "assets")
model(lookup=True).save(with_assets / "model.keras")
read = reader(with_assets / "model.keras")
describe(with_assets, "A layer with two assets.", "model.keras", read, ASSETS)

weights_last = fresh(__file__, "weights_last")
order = ["metadata.json", "config.json", *(f"assets/{name}" for name in ASSETS), "model.weights.h5"]
repack(with_assets / "model.keras", weights_last / "x.bin", zipfile.ZIP_STORED, order)
describe(weights_last, "Weights behind the assets, as the low-memory path writes; odd suffix.", "x.bin", read, ASSETS)

deflated = fresh(__file__, "deflated")
repack(plain / "model.keras", deflated / "model.keras", zipfile.ZIP_DEFLATED)
read = reader(plain / "model.keras")
describe(deflated, "Packed again by a third party, deflated.", "model.keras", read)

streamed = fresh(__file__, "streamed")
repack(plain / "model.keras", Pipe(streamed / "model.keras"), zipfile.ZIP_DEFLATED)
describe(streamed, "Deflated into a pipe: sizes in data descriptors.", "model.keras", read)

tf211 = fresh(__file__, "tf_2_11")
repack(plain / "model.keras", tf211 / "model.keras", zipfile.ZIP_STORED, rename={"model.weights.h5": "variables.h5"})
describe(tf211, "The member names of TensorFlow 2.11's experimental format.", "model.keras", read)

unzipped = fresh(__file__, "folder")
keras.saving.save_model(model(lookup=True), unzipped / "model", zipped=False)
# zipped=False writes the assets of a relative path into a temporary folder; put them where it meant to.
for name in ASSETS:
    path = unzipped / "model" / "assets" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(reader(with_assets / "model.keras")(f"assets/{name}"))
describe(unzipped, "zipped=False.", "model", lambda name: (unzipped / "model" / name).read_bytes(), ASSETS)

preset = fresh(__file__, "preset")
net = model()
(preset / "model").mkdir()
# Half a kilobyte a shard, so that there are several.
net.save_weights(preset / "model" / "model.weights.json", max_shard_size=500 / 2**30)
for name in ("config.json", "metadata.json"):
    (preset / "model" / name).write_bytes(read(name))
(preset / "model" / "README.md").write_text("A model.\n")
arrays, dtypes, names = {}, {}, {}
shards = sorted(path.name for path in (preset / "model").glob("*.h5"))
for shard in shards:
    for into, found in zip((arrays, dtypes, names), hdf5(preset / "model" / shard), strict=True):
        into.update(found)
total = json.loads((preset / "model" / "model.weights.json").read_text())["metadata"]["total_size"]
case(preset, "A preset as keras-hub has it: a folder with sharded weights.", "model", arrays, by=BY, dtypes=dtypes,
     names=names, layout="keras_paths", config=sha256(read("config.json")), assets={},
     metadata={**json.loads(read("metadata.json")), "shards": shards, "total_size": total})  # fmt: skip

windows = fresh(__file__, "windows")
data = io.BytesIO()
with h5py.File(data, "w") as file:
    file["_layer_checkpoint_dependencies\\conv2d/vars/0"] = np.arange(6, dtype="float32").reshape(2, 3)
with zipfile.ZipFile(windows / "model.keras", "w") as z:
    z.writestr("metadata.json", '{"keras_version": "2.13.1"}')
    z.writestr("config.json", read("config.json"))
    z.writestr("model.weights.h5", data.getvalue())
describe(windows, "TensorFlow 2.13 on Windows: backslashes in the names of groups (layout as in a real file, by h5py).",
         "model.keras", reader(windows / "model.keras"), more={"separator": "\\"})  # fmt: skip

pickled = fresh(__file__, "pickled_npz")
with (pickled / "model.keras").open("wb") as file:
    saving_lib._save_model_to_fileobj(model(), file, "npz")
case(pickled, "weights_format='npz': pickled dictionaries.", "model.keras", by=BY, error="UnsupportedError",
     says="pickled Python objects")  # fmt: skip

pickled = fresh(__file__, "pickled_folder")
saving_lib.save_model(model(), pickled / "model", "npz", zipped=False)
case(pickled, "zipped=False with npz: the npz is called model.weights.h5.", "model", by=BY, error="UnsupportedError",
     says="pickled Python objects")  # fmt: skip

bare = fresh(__file__, "no_weights")
with zipfile.ZipFile(bare / "model.keras", "w") as z:
    z.writestr("metadata.json", read("metadata.json"))
    z.writestr("config.json", read("config.json"))
case(bare, "A save that was interrupted: no weights.", "model.keras", by=BY, error="CorruptError", says="weights: expected")
