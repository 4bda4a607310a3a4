"""What another Keras makes of files: run by its interpreter, which knows nothing of kio.

    python old_reader.py FOLDER

For every ``x.keras`` in the folder: load it, predict from ``x.npz``, load ``x.weights.h5`` (or
``x.weights.json``) into the same model after its weights were set to zero, predict again.  Values
and outputs go to ``x.out.npz``, or what was raised to ``x.error``.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from pathlib import Path

import numpy as np


def flat(outputs):
    if isinstance(outputs, dict):
        outputs = [outputs[key] for key in sorted(outputs)]
    return [np.asarray(o) for o in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def read(path, keras):
    with np.load(path.with_suffix(".npz")) as stored:
        inputs = [stored[f"input_{k}"] for k in range(len(stored.files))]
    model = keras.saving.load_model(path, safe_mode=False)
    feed = inputs[0] if len(inputs) == 1 else inputs
    found = {}
    for k, variable in enumerate(model.weights):
        found[f"weight_{k:03}"] = np.asarray(keras.ops.convert_to_numpy(variable.value)).astype("float64")
    for k, output in enumerate(flat(model(feed))):
        found[f"output_{k}"] = np.asarray(keras.ops.convert_to_numpy(output)).astype("float64")
    if getattr(model, "optimizer", None) is not None:
        for k, variable in enumerate(model.optimizer.variables):
            found[f"optimizer_{k:03}"] = np.asarray(keras.ops.convert_to_numpy(variable.value)).astype("float64")
    for suffix in (".weights.h5", ".weights.json"):
        weights = path.with_name(path.stem + suffix)
        if weights.exists():
            for variable in model.weights:
                variable.assign(keras.ops.zeros_like(variable.value))
            model.load_weights(weights)
            for k, output in enumerate(flat(model(feed))):
                found[f"again{suffix}_{k}"] = np.asarray(keras.ops.convert_to_numpy(output)).astype("float64")
    np.savez(path.with_suffix(".out.npz"), **found)


def main():
    warnings.simplefilter("ignore")
    import keras

    print(keras.__version__)
    if len(sys.argv) > 1:
        for path in sorted(Path(sys.argv[1]).glob("*.keras")):
            try:
                read(path, keras)
            except Exception:
                path.with_suffix(".error").write_text(traceback.format_exc(limit=-3))


if __name__ == "__main__":
    main()
