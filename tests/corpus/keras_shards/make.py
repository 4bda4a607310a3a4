"""Writes the corpus of keras_shards, each Keras its own cases: 3.10 maps strings, later ones lists."""

import json
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
from writing import case, fresh, hdf5

BY = ("keras", "h5py", "numpy")
KILOBYTE = 1 / 2**20  # in gigabytes, which max_shard_size is


def model(widths=(64, 64, 8), dtype=None, bias=True):
    keras.utils.set_random_seed(1)
    dense = [keras.layers.Dense(w, name=f"d{k}", use_bias=bias, dtype=dtype) for k, w in enumerate(widths)]
    return keras.Sequential([keras.Input((5,)), *dense])


def describe(folder, about, opened="model.weights.json", stale=(), **more):
    document = json.loads((folder / opened).read_text())
    arrays, dtypes, names = {}, {}, {}
    shards = sorted(path.name for path in folder.glob("*.weights.h5") if path.name not in stale)
    for shard in shards:
        for into, found in zip((arrays, dtypes, names), hdf5(folder / shard), strict=True):
            into.update(found)
    metadata = {"total_size": document["metadata"]["total_size"], "shards": shards, **more}
    if stale:
        metadata["stale_shards"] = list(stale)
    case(folder, about, opened, arrays, by=BY, dtypes=dtypes, names=names, layout="keras_paths", metadata=metadata)


if keras.__version__.startswith("3.10."):
    strings = fresh(__file__, "strings")
    model().save_weights(strings / "model.weights.json", max_shard_size=16.1 * KILOBYTE)
    describe(strings, "Keras 3.10: a string a group, though the layer in the middle is in two shards.")

    last = fresh(__file__, "strings_last")
    model((64, 64)).save_weights(last / "model.weights.json", max_shard_size=16.1 * KILOBYTE)
    describe(last, "Keras 3.10: the last shard holds the rest of a layer only, and is not in the map.")

    stale = fresh(__file__, "strings_stale")
    model((64, 64, 64)).save_weights(stale / "model.weights.json", max_shard_size=17 * KILOBYTE)
    before = {path.name for path in stale.glob("*.h5")}
    model((64, 64), bias=False).save_weights(stale / "model.weights.json", max_shard_size=17 * KILOBYTE)
    used = set(json.loads((stale / "model.weights.json").read_text())["weight_map"].values())
    describe(stale, "Keras 3.10: shards of an older, larger save lie beside.", stale=sorted(before - used))
else:
    lists = fresh(__file__, "lists")
    model().save_weights(lists / "model.weights.json", max_shard_size=16.1 * KILOBYTE)
    describe(lists, "A list where a layer is in two shards, a string elsewhere.")

    single = fresh(__file__, "single")
    model(dtype="bfloat16").save_weights(single / "model.weights.json", max_shard_size=1)
    describe(single, "All in one shard; bfloat16.")

    renamed = fresh(__file__, "renamed")
    model().save_weights(renamed / "model.weights.json", max_shard_size=17 * KILOBYTE)
    (renamed / "model.weights.json").rename(renamed / "best.json")
    describe(renamed, "The map has another name than its shards, which stock Keras cannot find then.", "best.json")

    stale = fresh(__file__, "lists_stale")
    model((64, 64, 64)).save_weights(stale / "model.weights.json", max_shard_size=17 * KILOBYTE)
    before = {path.name for path in stale.glob("*.h5")}
    model((64, 64), bias=False).save_weights(stale / "model.weights.json", max_shard_size=17 * KILOBYTE)
    used = set()
    for names in json.loads((stale / "model.weights.json").read_text())["weight_map"].values():
        used.update([names] if isinstance(names, str) else names)
    describe(stale, "Shards of an older, larger save lie beside.", stale=sorted(before - used))

    mixed = fresh(__file__, "mixed")
    shutil.copytree(lists, mixed, dirs_exist_ok=True)
    shutil.copy(stale / "model_00000.weights.h5", mixed / "model_00001.weights.h5")
    case(mixed, "A shard of another save under the name of one of this.", "model.weights.json", by=BY,
         error="CorruptError", says="expected it in one shard")  # fmt: skip

    missing = fresh(__file__, "missing")
    shutil.copytree(lists, missing, dirs_exist_ok=True)
    (missing / "model_00001.weights.h5").unlink()
    case(missing, "One shard was not copied along.", "model.weights.json", by=BY, error="CorruptError",
         says="model_00001.weights.h5")  # fmt: skip

    outside = fresh(__file__, "outside")
    shutil.copytree(lists, outside, dirs_exist_ok=True)
    text = (outside / "model.weights.json").read_text().replace("model_00000.weights.h5", "../lists/model_00000.weights.h5")
    (outside / "model.weights.json").write_text(text)
    case(outside, "The map leads out of its folder.", "model.weights.json", by=BY, error="CorruptError",
         says="expected a plain name")  # fmt: skip
