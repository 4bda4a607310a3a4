"""Outputs of real weights in stock Keras: ``expected.json``.

    python make.py FOLDER                              under TF 2.16+ with tf_keras
    KERAS_BACKEND=theano python make.py FOLDER music   under Keras 1.2 on Theano

FOLDER has the files.  Each is loaded by the writer's own ``load_weights`` into the model of
``models.py``; what comes out for the inputs of ``draw`` is merged into ``expected.json``: the
first numbers of each output, its largest by amount, and the version that gave them.  ``music`` is a network trained on
Theano: Keras 1 computes it there, from a spectrogram that NumPy makes; its files for TensorFlow
hold the same network, less its last layer.  Never imports kio.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

import models

HERE = Path(__file__).parent
# Enough to tell one network from another, and every row of a batch.
KEPT = 24


def kept(outputs):
    found = []
    for y in outputs:
        y = np.asarray(y).reshape(2, -1)
        first = [[float("%.9g" % v) for v in row[:KEPT]] for row in y]
        found.append({"first": first, "largest": float("%.9g" % np.abs(y).max())})
    return found


def by_tf_keras(folder):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tf_keras

    for name, unit in models.UNITS.items():
        if "music" in name:
            continue
        tf_keras.backend.clear_session()
        model = unit.build(tf_keras, "hard_sigmoid")
        model.load_weights(str(folder / name))
        outputs = model(models.draw(unit), training=False)
        yield name, "tf_keras " + tf_keras.__version__, outputs if isinstance(outputs, (list, tuple)) else [outputs]


def melgram(sound, weights):
    """Decibels of a spectrogram, by the three arrays of the file: real and imaginary waves, bands."""
    waves, bands = weights[0][:, 0, 0] + 1j * weights[1][:, 0, 0], weights[2]
    padded = np.pad(sound[:, 0], ((0, 0), (128, 128)))
    frames = np.stack([padded[:, i * 256 : i * 256 + 512] for i in range(80)], 1)
    power = np.abs(frames @ waves) ** 2
    level = 10 * np.log10(np.maximum(power @ bands, 1e-10))
    return np.maximum(level - level.max(), -80.0).transpose(0, 2, 1)[:, None].astype("float32")


def by_keras_1(folder):
    import h5py
    import keras
    from keras import layers as L
    from keras.models import Sequential

    import repair

    keras.backend.set_image_dim_ordering("th")
    keras.backend.pool2d = repair.pool2d
    for name, unit in models.UNITS.items():
        if "theano" not in name:
            continue
        with h5py.File(str(folder / name), "r") as file:
            waves = [file["melgram"][each][()] for each in ("param_0", "param_1", "param_2")]
        inner = Sequential(name="ConvBNEluDr")
        for i, pool in zip(range(int(name[-13]) + 1), models.POOLS):
            first = {"input_shape": (1, 96, 80)} if i == 0 else {}
            inner.add(L.Convolution2D(32, 3, 3, border_mode="same", **first))
            inner.add(L.BatchNormalization(axis=1, mode=2))
            inner.add(L.ELU())
            inner.add(L.MaxPooling2D(pool))
        model = Sequential([inner, L.GlobalAveragePooling2D(), L.Dense(50, activation="sigmoid", name="dense_1")])
        model.load_weights(str(folder / name), by_name=True)
        image = melgram(models.draw(unit), waves)
        by = "Keras %s on %s" % (keras.__version__, keras.backend.backend())
        yield name, by, [model.predict(image)]
        features = keras.backend.function([model.input, keras.backend.learning_phase()], [model.layers[1].output])
        yield name.replace("theano", "tensorflow"), by, features([image, 0])


def main():
    folder = Path(sys.argv[1])
    if sys.argv[2:] == ["music"]:
        sys.path.insert(0, str(HERE.parent / "theano"))
        import repair  # noqa: F401  (before Keras)

    target = HERE / "expected.json"
    known = json.loads(target.read_text()) if target.exists() else {}
    for name, by, outputs in by_keras_1(folder) if sys.argv[2:] else by_tf_keras(folder):
        if name in models.UNITS:
            known[name] = {"by": by, "outputs": kept(outputs)}
            print(name, by)
    rows = (json.dumps(name) + ": " + json.dumps(known[name]) for name in models.UNITS if name in known)
    target.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
