"""Every layer, argument, function and object of TensorFlow's Keras, in models of one layer each.

    python make.py FOLDER        under TF 2.12 to 2.15, or TF 2.16+ with tf_keras

writes ``FOLDER/<writer>.json.gz`` and ``<writer>.npz``.  The JSON is ``{"cases": [...]}``; a case
has the model's own JSON (``config``), the names of its weights as legacy HDF5 stores them
(``weights``), inputs ``x``, the writer's outputs ``y``, and what else is compared.  An array
is ``[kind, offset, shape]``: a part of one of the flat arrays in the ``.npz``; equal ones are
stored once.  Weights and inputs are multiples of 1/64, so that they are short.  What a writer
cannot make or save is listed under ``left_out`` with its words.  Never imports kio.
"""

import gzip
import json
import os
import sys
import zlib
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf

try:
    import tf_keras as keras
except ImportError:
    from tensorflow import keras


class Store:
    """Flat arrays, one a dtype; equal arrays share their place."""

    def __init__(self):
        self.flat, self.ends, self.known = {}, {}, {}

    def put(self, array):
        if isinstance(array, dict):
            return {key: self.put(each) for key, each in array.items()}
        array = np.asarray(array)
        if array.dtype.kind in "SUO":
            return ["text", array.astype(str).tolist()]
        kind = array.dtype.name
        key = (kind, array.tobytes())
        if key not in self.known:
            self.known[key] = self.ends.get(kind, 0)
            self.flat.setdefault(kind, []).append(array.ravel())
            self.ends[kind] = self.known[key] + array.size
        return [kind, self.known[key], list(array.shape)]


def draw(seed, shape, kind="f"):
    """Multiples of 1/64 between -1 and 1; small whole numbers; words."""
    rng = np.random.RandomState(zlib.crc32(repr((seed, shape, kind)).encode()))
    if kind == "i":
        return rng.randint(0, 4, shape).astype("int32")
    if kind == "s":
        return rng.choice(["the cat", "cat sat", "a Dog!", "the the mat"], shape)
    if kind == "b":
        return rng.randint(0, 2, shape).astype("bool")
    if kind == "p":
        return (rng.randint(1, 65, shape) / 64).astype("float32")
    return (rng.randint(-64, 65, shape) / 64).astype("float32")


def fill(model):
    """Give every weight a value that its shape and place decide; variances stay positive."""
    values = []
    for i, w in enumerate(model.weights):
        value = draw(i, tuple(w.shape))
        if "variance" in w.name:
            value = np.abs(value) + 0.25
        if not w.dtype.is_floating:
            value = np.zeros(w.shape, w.dtype.as_numpy_dtype)
        values.append(value.astype(w.dtype.as_numpy_dtype))
    model.set_weights(values)


def stored_weights(model, store):
    made = []
    for layer in model.layers:
        weights = layer.trainable_weights + layer.non_trainable_weights
        if weights:
            made.append([layer.name, [[w.name, store.put(w.numpy())] for w in weights]])
    return made


def outputs(made):
    return [np.asarray(tf.convert_to_tensor(y)) for y in tf.nest.flatten(made)]


class Maker:
    def __init__(self):
        self.store, self.cases, self.left_out = Store(), [], {}

    def add(self, name, build, *, twin=None, training=None, fills=True, **extra):
        """One case.

        Args:
            build: Returns the model and its inputs.
            twin: Computes the outputs instead of the model, which this machine cannot run.
            training: Compiles the model, returns targets; what evaluation gives is stored.
        """
        try:
            keras.backend.clear_session()
            keras.mixed_precision.set_global_policy("float32")
            keras.utils.set_random_seed(5)
            model, xs = build()
            if fills:
                fill(model)
            case = {"name": name, "config": json.loads(model.to_json()), "weights": stored_weights(model, self.store)}
            one = xs[0] if len(xs) == 1 else xs
            made = twin(model, xs) if twin else model(tf.nest.map_structure(tf.constant, one), training=False)
            case["x"] = [self.store.put(x) for x in xs]
            case["y"] = [self.store.put(y) for y in outputs(made)]
            if model.losses and not twin:
                case["penalty"] = float(tf.add_n([tf.reduce_sum(tf.cast(each, "float32")) for each in model.losses]))
            if training is not None:
                targets = training(model)
                case["training"] = json.loads(json.dumps(metadata(model)["training_config"], default=plain))
                case["t"] = [self.store.put(t) for t in targets]
                value = model.evaluate(one, targets[0] if len(targets) == 1 else targets, verbose=0, batch_size=64)
                case["evaluated"] = [float(v) for v in (value if isinstance(value, list) else [value])]
            self.cases.append({**case, **extra})
        except Exception as error:
            self.left_out[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"

    def write(self, folder, writer):
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {kind: np.concatenate(parts) for kind, parts in self.store.flat.items()}
        np.savez_compressed(folder / f"{writer}.npz", **arrays)
        text = [json.dumps(case, separators=(",", ":"), sort_keys=True) for case in self.cases]
        left = json.dumps(self.left_out, indent=0, sort_keys=True)
        whole = '{"cases": [\n' + ",\n".join(text) + f'\n],\n"left_out": {left}}}\n'
        (folder / f"{writer}.json.gz").write_bytes(gzip.compress(whole.encode(), mtime=0))
        print(f"{len(self.cases)} cases; left out:")
        for name, why in self.left_out.items():
            print("   ", name, why)


def metadata(model):
    try:
        from keras.src.saving.legacy import saving_utils
    except ImportError:
        try:
            from tf_keras.src.saving.legacy import saving_utils
        except ImportError:
            from keras.saving.legacy import saving_utils
    return saving_utils.model_metadata(model, include_optimizer=True)


def plain(value):
    """What HDF5's JSON encoder of Keras makes of what JSON does not know."""
    if hasattr(value, "get_config"):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if callable(value):
        return value.__name__
    if type(value).__name__ == type.__name__:
        return value.__name__
    if isinstance(value, tf.DType):
        return value.name
    return str(value)


if __name__ == "__main__":
    import functions
    import layers
    import objects

    maker = Maker()
    for room in (layers, functions, objects):
        room.make(maker)
    package = "tf_keras" if keras.__name__.startswith("tf_keras") else "tf"
    number = keras.__version__ if package == "tf_keras" else tf.__version__
    maker.write(Path(sys.argv[1]), f"{package}-{number}")
