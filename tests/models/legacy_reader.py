"""What another Keras makes of legacy HDF5: run by its interpreter, which knows nothing of kio.

    python legacy_reader.py FOLDER

Prints the package and its version (tf_keras, or Keras, which is tf.keras up to 2.15).  For
every ``x.h5`` in the folder: load the model, note weights and optimizer, predict from ``x.npz``,
train three steps, and load ``x.weights.hdf5`` by order and by name into the same model after its
weights were set to zero.  All goes to ``x.out.npz``, or what was raised to ``x.error``.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np


def package():
    """tf_keras where it is installed, else keras, which is tf.keras beside TensorFlow up to 2.15."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if importlib.util.find_spec("tf_keras") is not None:
        import tf_keras

        return tf_keras
    import keras

    return keras


def array(value):
    value = getattr(value, "value", value)
    value = value() if callable(value) else value
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value).astype("float64")


def flat(outputs):
    if isinstance(outputs, dict):
        outputs = [outputs[key] for key in sorted(outputs)]
    return [array(o) for o in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def variables(owner):
    found = owner.variables
    return found() if callable(found) else found


def read(path, keras):
    with np.load(path.with_suffix(".npz")) as stored:
        inputs = [stored[f"input_{k}"] for k in range(sum(name.startswith("input_") for name in stored.files))]
        targets = [stored[f"target_{k}"] for k in range(sum(name.startswith("target_") for name in stored.files))]
    model = keras.models.load_model(path)
    found = {f"weight_{k:03}": array(v) for k, v in enumerate(model.weights)}
    feed = inputs[0] if len(inputs) == 1 else inputs
    outputs = flat(model(feed))
    found |= {f"output_{k}": value for k, value in enumerate(outputs)}
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and targets:
        found |= {f"optimizer_{k:03}": array(v) for k, v in enumerate(variables(optimizer))}
    weights = path.with_suffix(".weights.hdf5")
    for by_name in (False, True) if weights.exists() else ():
        model.set_weights([w * 0 for w in model.get_weights()])
        model.load_weights(weights, by_name=by_name)
        for k, output in enumerate(flat(model(feed))):
            found[f"{'name' if by_name else 'order'}_{k}"] = output
    if optimizer is not None and targets:
        losses = []
        for _ in range(3):
            value = model.train_on_batch(feed, targets[0] if len(targets) == 1 else targets)
            losses.append(float(np.ravel(value)[0]))
        found["losses"] = np.array(losses)
    np.savez(path.with_suffix(".out.npz"), **found)


def main():
    keras = package()
    print(keras.__name__.partition(".")[0], keras.__version__)
    for path in sorted(Path(sys.argv[1]).glob("*.h5")) if len(sys.argv) > 1 else ():
        try:
            read(path, keras)
        except Exception:
            path.with_suffix(".error").write_text(traceback.format_exc(limit=-3))


if __name__ == "__main__":
    main()
