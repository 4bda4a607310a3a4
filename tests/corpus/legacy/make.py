"""Models as older Keras writes them, with outputs and losses.

    python make.py [--all] [--double] FOLDER [KIND …]      under TF 2.12 to 2.15, TF 2.16+ with tf_keras, or Keras 3

For each kind: two steps of training, then what this Keras can save of

    <kind>.h5              the whole model in legacy HDF5
    <kind>.keras           the whole model
    <kind>.weights.h5      its weights, in the layout of .keras
    <kind>.only.h5         its weights in legacy HDF5

and in ``<kind>.npz`` the inputs ``x0…``, the writer's own outputs ``y0…``, targets ``t0…`` and the
losses of three more steps.  ``--all`` writes kinds, too, that are too large for the corpus;
``--double`` computes in float64.  What a writer cannot save is left out.  Never imports kio.
"""

import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import layers  # noqa: F401  (each registers its kinds)
import numpy as np
import optimizers  # noqa: F401
import preprocessing  # noqa: F401
from registry import KINDS, MODERN, VERSION, keras

# The whole model in HDF5 is last: with it Keras 3 forgets which optimizer it was compiled with, and a .keras
# that is saved after it does not tell.
FORMATS = (".keras", ".weights.h5", ".only.h5", ".h5")


def flat(value):
    """Outputs or targets as a list: those of a dict in the order of its names."""
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def inputs(kind, rng, floats):
    if kind.strings:
        return [rng.choice(kind.strings, (4, *shape)) for shape in kind.shapes]
    if kind.ints:
        return [rng.randint(0, 5, (4, *shape)) for shape in kind.shapes]
    return [rng.uniform(-1, 1, (4, *shape)).astype(floats) for shape in kind.shapes]


def run(model, xs):
    """Outputs for inputs."""
    if xs[0].dtype.kind == "U":
        import tensorflow as tf

        xs = [tf.constant(x) for x in xs]
    return model(xs[0] if len(xs) == 1 else xs, training=False)


def compiled(kind, model, outputs):
    optimizer = kind.optimizer() if callable(kind.optimizer) else kind.optimizer
    if isinstance(optimizer, str):
        optimizer = getattr(keras.optimizers, optimizer)(learning_rate=0.01)
    options = kind.options
    loss = options["loss"]() if "loss" in options else "mse"
    # Keras 3 wants them for each output.
    metrics = options["metrics"]() if "metrics" in options else None if MODERN and outputs > 1 else ["mae"]
    more = {key: options[key] for key in ("loss_weights",) if key in options}
    model.compile(optimizer, loss, metrics=metrics, **more, **({} if MODERN else {"jit_compile": False}))
    # Set behind compile's back, for the file not to say it: a trace for each kind would take minutes.
    model.run_eagerly = True


def save(model, path):
    """One file, or an exception from a writer that has no such format."""
    if path.name.endswith(".only.h5"):
        if not MODERN:
            return model.save_weights(path, save_format="h5")
        from keras.src.legacy.saving import legacy_h5_format

        import h5py

        with h5py.File(path, "w") as file:
            return legacy_h5_format.save_weights_to_hdf5_group(file, model)
    if path.name.endswith(".weights.h5"):
        if VERSION < "2.13":
            raise NotImplementedError("no such format")
        return model.save_weights(path)
    if path.suffix == ".keras" and VERSION.startswith("2.12"):
        return model.save(path, save_format="keras_v3")
    return model.save(path)


def step(model, feed, target):
    """One step of training; its loss."""
    if MODERN:
        model.reset_metrics()
    value = model.train_on_batch(feed, target)
    return float(value[0] if isinstance(value, (list, tuple)) else value)


def write(folder, name, floats):
    kind = KINDS[name]
    keras.backend.clear_session()
    keras.utils.set_random_seed(7)
    policy = keras.mixed_precision.set_global_policy
    policy(kind.options.get("policy", floats))
    if floats == "float64":
        keras.backend.set_floatx("float64")
    rng = np.random.RandomState(1)
    xs = inputs(kind, rng, floats)
    one = xs[0] if len(xs) == 1 else xs
    model = kind.build()
    policy(floats)
    computes = not name.startswith("cudnn")
    ts = []
    if computes:
        shapes = [tuple(y.shape) for y in flat(run(model, xs))]
        made = kind.targets(rng, shapes) if kind.targets else [rng.uniform(0, 1, shape).astype(floats) for shape in shapes]
        ts = list(made)
    if kind.optimizer is not None:
        compiled(kind, model, len(ts))
    names = sorted(run(model, xs)) if computes and isinstance(run(model, xs), dict) else None
    target = dict(zip(names, ts)) if names else ts[0] if len(ts) == 1 else ts
    trains = kind.train and kind.optimizer is not None
    feed = one
    if xs[0].dtype.kind == "U":
        import tensorflow as tf

        feed = tf.constant(one)
    for _ in range(2 if trains else 0):
        step(model, feed, target)
    written = []
    for suffix in FORMATS:
        path = folder / (name + suffix)
        path.unlink(missing_ok=True)
        try:
            save(model, path)
            assert suffix != ".keras" or zipfile.is_zipfile(path)
            written.append(suffix)
        except Exception as error:
            path.unlink(missing_ok=True)
            print(name, suffix, type(error).__name__, str(error)[:100])
    if not computes:
        import cudnn

        # What CuDNN would compute: Keras 2 converts the weights for its standard layers.
        model = keras.Sequential.from_config(cudnn.standard(model.get_config()))
        model.load_weights(folder / f"{name}.only.h5")
    ys = [np.asarray(y) for y in flat(run(model, xs))]
    ys = [y if y.dtype == "float64" else y.astype("float32") for y in ys]
    losses = []
    for _ in range(3 if trains else 0):
        losses.append(step(model, feed, target))
    np.savez(folder / f"{name}.npz", losses=np.array(losses, "float64"), **{f"x{i}": x for i, x in enumerate(xs)},
             **{f"y{i}": y for i, y in enumerate(ys)}, **{f"t{i}": t for i, t in enumerate(ts)})
    print(name, *written, flush=True)


def main(arguments):
    flags = {each for each in arguments if each.startswith("--")}
    folder, *names = [each for each in arguments if each not in flags]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    floats = "float64" if "--double" in flags else "float32"
    for name in names or [key for key in KINDS if KINDS[key].stored or "--all" in flags]:
        try:
            write(folder, name, floats)
        except Exception as error:
            print(name, "FAILED", type(error).__name__, str(error)[:300], flush=True)
    print(VERSION)


if __name__ == "__main__":
    main(sys.argv[1:])
