"""A file of the legacy corpus read by kio: outputs, and training that goes on, beside the writer's own."""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

import kio

# Why there is no training to compare with.
NOTHING = (
    "the writer did not train",
    "weights of legacy HDF5 are without an optimizer",
    "the writer stored no optimizer",  # tf.keras never does for optimizers.legacy in .keras
    "Keras 3 cannot trace its look-ups in TensorFlow on jax",
)
# Layers of Keras 3 that compute in TensorFlow whatever the backend is: jax calls them, and cannot compile them.
LOOKUPS = frozenset({"HashedCrossing", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization"})
FORMATS = (".only.h5", ".weights.h5", ".h5", ".keras")


@dataclass(slots=True)
class Outcome:
    """What came of one file.

    Attributes:
        outputs: The largest difference, of the largest of the writer's outputs.
        losses: The largest relative difference; None where there was no training.
        why: Why there was none.
    """

    outputs: float
    losses: float | None = None
    why: str = ""
    values: list[float] = field(default_factory=list)


def split(path: Path) -> tuple[str, str]:
    """Kind and format of a file: ``dense.weights.h5`` → ``("dense", ".weights.h5")``."""
    for suffix in FORMATS:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix), suffix
    return path.stem, path.suffix


def objects() -> dict[str, Any]:
    """The user's own classes and functions, as custom_objects."""
    folder = str(Path(__file__).parents[1] / "corpus" / "legacy")
    if folder not in sys.path:
        sys.path.append(folder)
    import customs

    return dict(customs.make(keras))


def arrays(stored: Any, prefix: str) -> list[Any]:
    keys = sorted((key for key in stored.files if key[0] == prefix and key[1:].isdigit()), key=lambda key: int(key[1:]))
    return [stored[key] for key in keys]


def flat(value: Any) -> list[Any]:
    """Outputs as the writer put them down: those of a dict in the order of its names."""
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def given(xs: list[Any]) -> Any:
    """Inputs for a call; words for those who take any."""
    if xs[0].dtype.kind == "U":
        import tensorflow as tf

        xs = [tf.constant(x) for x in xs]
    return xs[0] if len(xs) == 1 else xs


def emptied(path: Path, custom: dict[str, Any]) -> Any:
    """The model of a file of weights, from the whole model beside it, with all its own values gone."""
    kind, _ = split(path)
    beside = (".h5", ".keras") if path.name.endswith(".only.h5") else (".keras", ".h5")
    whole = next(w for w in (path.with_name(kind + each) for each in beside) if w.exists())
    model = kio.load_model(whole, custom_objects=custom, safe_mode=False)
    optimizer = model.optimizer.variables if getattr(model, "optimizer", None) is not None else []
    for variable in (*model.weights, *optimizer):
        if variable.path.rpartition("/")[2] == "learning_rate":
            continue  # tf.keras has it in the configuration only
        if "float" in str(variable.dtype):
            variable.assign(np.full(variable.shape, 0.375, "float32"))
        elif not variable.shape:
            variable.assign(np.zeros((), "int32"))
    return model


def outcome(path: Path) -> Outcome:
    """Load a file and compare.

    Raises:
        KioError: as kio does.
    """
    keras.backend.clear_session()
    kind, suffix = split(path)
    custom = objects() if kind in ("custom", "subclassed") else {}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if suffix in (".weights.h5", ".only.h5"):
            model = emptied(path, custom)
            said.clear()
            kio.load_weights(model, path)
        else:
            model = kio.load_model(path, custom_objects=custom, safe_mode=kind != "lambda_layer")
    with kio.open(path) as checkpoint:
        held = list(checkpoint)
    with np.load(path.with_name(kind + ".npz")) as stored, warnings.catch_warnings():
        # Whole numbers of 64 bits as inputs: jax says of each call that it has none.
        warnings.filterwarnings("ignore", "Explicitly requested dtype int64", UserWarning)
        if suffix in (".keras", ".weights.h5"):
            # Up to 3.10 one input is written as a list of one there; Keras warns of a call without a list.
            warnings.filterwarnings("ignore", "(?s).*The structure of `inputs` doesn't match", UserWarning)
        return compared(model, suffix, stored, [str(w.message) for w in said], held)


def compared(model: Any, suffix: str, stored: Any, messages: list[str], held: list[str]) -> Outcome:
    one = given(arrays(stored, "x"))
    made = model(one, training=False)
    names = sorted(made) if isinstance(made, dict) else None
    ys = [np.asarray(keras.ops.convert_to_numpy(y), "float64") for y in flat(made)]
    expected = arrays(stored, "y")
    if [y.shape for y in ys] != [y.shape for y in expected]:
        raise AssertionError(f"shapes {[y.shape for y in ys]}, not {[y.shape for y in expected]}")
    worst = max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in zip(ys, expected, strict=True))
    found = Outcome(worst)
    losses = stored["losses"]
    trouble = [text for text in messages if "Skipping variable" in text or "not compiled" in text]
    if not len(losses) or suffix == ".only.h5":
        found.why = NOTHING[0] if not len(losses) else NOTHING[1]
    elif not any(name.startswith("optimizer") for name in held):
        found.why = NOTHING[2]
    elif not getattr(model, "compiled", False) or trouble:
        found.why = (trouble or ["not compiled"])[0]
    elif keras.backend.backend() == "jax" and any(type(layer).__name__ in LOOKUPS for layer in model.layers):
        found.why = NOTHING[3]
    else:
        ts = arrays(stored, "t")
        # Functions of a user's own get targets as they are.
        ts = [keras.ops.convert_to_tensor(t) for t in ts]
        target = dict(zip(names, ts, strict=True)) if names else ts[0] if len(ts) == 1 else ts
        # A trace for each model would take longer than all the rest, and a .keras from jax asks torch for one.
        model.run_eagerly, model.jit_compile = True, False
        if os.environ.get("KERAS_BACKEND") == "tensorflow":
            summed(model.optimizer)
        found.values = [step(model, one, target) for _ in range(len(losses))]
        found.losses = float(np.max(np.abs(found.values - losses) / np.abs(losses)))
    return found


def summed(optimizer: Any) -> None:
    """Let gradients of embeddings come as one row a word.

    Keras 3 on TensorFlow takes a row for each *occurrence* of a word, and squares them one by one: with
    the same weights and words it trains otherwise than on jax and torch, and than Keras 2 did, which added
    them up first.  That is so for models of its own, too, and not what is tested here.
    """
    import tensorflow as tf

    apply = optimizer.apply

    def on_sums(grads: Any, trainable_variables: Any = None) -> Any:
        return apply([None if g is None else tf.convert_to_tensor(g) for g in grads], trainable_variables)

    optimizer.apply = on_sums


def step(model: Any, x: Any, target: Any) -> float:
    model.reset_metrics()
    return float(flat(model.train_on_batch(x, target))[0])


def no_strings() -> bool:
    """Whether this backend has no tensors of words."""
    return os.environ.get("KERAS_BACKEND") != "tensorflow"
