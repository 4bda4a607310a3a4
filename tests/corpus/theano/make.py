"""Models of multi-backend Keras on Theano: configuration, weights, inputs and the outputs of Theano itself.

    KERAS_BACKEND=theano python make.py [KIND …]       under Keras 0.3, 1.2 or 2.2

writes ``keras-<version>.zip`` here: for each kind ``<kind>.json`` (what ``to_json`` gives), ``<kind>.h5``
(weights; from Keras 1 on the whole model) and ``<kind>.npz`` (inputs ``x0``…, outputs ``y0``…).
Never imports kio.
"""

import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import repair  # noqa: F401  (before Keras)

import keras

VERSION = tuple(int(part) for part in keras.__version__.split(".")[:2])


def draw(seed, shape):
    """Multiples of 1/64 between -1 and 1."""
    rng = np.random.RandomState(zlib.crc32(repr((seed, tuple(shape))).encode()))
    return (rng.randint(-64, 65, shape) / 64.0).astype("float32")


def fill(model):
    """Weights without symmetry; variances stay positive."""
    for number, layer in enumerate(layers_of(model)):
        given = []
        for i, value in enumerate(layer.get_weights()):
            value = draw((number, i), value.shape)
            given.append(np.abs(value) + 0.25 if is_variance(layer, i) else value)
        layer.set_weights(given)


def layers_of(model):
    return list(model.nodes.values()) if hasattr(model, "nodes") else model.layers


def is_variance(layer, i):
    known = layer.weights if VERSION >= (1, 0) else layer.trainable_weights + getattr(layer, "non_trainable_weights", [])
    name = known[i].name or "" if i < len(known) else ""
    return "running_std" in name or "moving_variance" in name


def kinds():
    if VERSION >= (2, 0):
        import keras2 as module
    elif VERSION >= (1, 0):
        import keras1 as module
    else:
        import keras0 as module
    return module.KINDS


def write(folder, name, build):
    keras.backend.clear_session() if hasattr(keras.backend, "clear_session") else None
    model = build()
    fill(model)
    inputs = [draw("x%d" % i, (2, *shape)) for i, shape in enumerate(shapes(model))]
    if name.startswith("embedding"):
        inputs = [np.abs(x * 4).astype("int32") for x in inputs]
    outputs = predict(model, inputs)
    if not all(np.isfinite(y).all() for y in outputs):
        raise ValueError("outputs that are no numbers")
    (folder / (name + ".json")).write_text(model.to_json())
    if VERSION >= (1, 0):
        model.save(str(folder / (name + ".h5")))
    else:
        model.save_weights(str(folder / (name + ".h5")), overwrite=True)
    arrays = {"x%d" % i: x for i, x in enumerate(inputs)}
    np.savez_compressed(str(folder / (name + ".npz")), **arrays, **{"y%d" % i: y for i, y in enumerate(outputs)})


def shapes(model):
    """Of the inputs, without the batch."""
    first = model.layers[0] if hasattr(model, "layers") else None
    if VERSION < (1, 0) and type(first).__name__ == "Embedding":
        return [(first.input_length,)]  # what it says itself is the size of its vocabulary
    given = model.input_shape
    if isinstance(given, dict):
        given = [given[name] for name in model.input_order]
    return [tuple(s[1:]) for s in (given if isinstance(given, list) else [given])]


def predict(model, inputs):
    if VERSION < (1, 0) and type(model).__name__ == "Graph":
        found = model.predict(dict(zip(model.input_order, inputs)))
        return [found[name] for name in model.output_order]
    y = model.predict(inputs if len(inputs) > 1 else inputs[0])
    return y if isinstance(y, list) else [y]


def main():
    wanted = sys.argv[1:]
    target = Path(__file__).parent / ("keras-%s.zip" % keras.__version__)
    if target.exists():
        # Archives are frozen: see ../frozen.py, which this Python is too old for.
        sys.exit("%s is there: name the new kinds, and pack them as keras-%s+2.zip" % (target, keras.__version__))
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(target, "w") as archive:
        folder = Path(scratch)
        for name, build in kinds().items():
            if not wanted or name in wanted:
                write(folder, name, build)
                print("made", name)
        for path in sorted(folder.iterdir()):
            # A date and rights that say nothing.
            member = zipfile.ZipInfo(path.name)
            member.external_attr = 0o644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, path.read_bytes(), compresslevel=9)


if __name__ == "__main__":
    main()
