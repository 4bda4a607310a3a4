"""Reads models of ``generate`` by kio on one backend: ``python -m tests.fuzz.old_models.compare FOLDER``.

Writes one line of JSON for each case to ``FOLDER/<backend>.jsonl``: its name, what it comes to, and why.
KERAS_BACKEND chooses the backend.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import re
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# Programs that run once: compiling them is all the time there is.  What is wrong is read again with optimizations.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import keras
import numpy as np

import kio

# Of the largest number: sums in another order, over at most a few hundred terms.
TOLERANCE = 2e-5
# Recurrent layers feed their rounding back once a step; attention and normalization divide by small sums.
LOOSE = 1e-4
# Of the largest change of any weight: a gradient is a difference of sums that are larger than itself.
STEP = 1e-3
# How kio's own warnings about meaning begin.
_SAID = ("The model is not compiled", "This model computes otherwise")
_LOOSE = re.compile(r"LSTM|GRU|RNN|Attention|Normalization|l2_normalize|exp|pow|square|Dot")


def flat(outputs: Any) -> list[Any]:
    given = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [np.asarray(keras.ops.convert_to_numpy(each)) for each in given]


def one(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def distance(found: Any, wanted: Any) -> float:
    """The largest difference, relative to the largest number; infinite for another shape."""
    if found.shape != wanted.shape:
        return float("inf")
    if not wanted.size:
        return 0.0
    # Inputs and weights are of the order of one: what is left of a difference of two such is rounding.
    scale = max(float(np.abs(wanted).max()), 1e-3)
    worst = float(np.abs(found.astype("f8") - wanted.astype("f8")).max()) / scale
    return worst if np.isfinite(worst) else float("inf")


def read(folder: Path, eager: bool = True) -> dict[str, Any]:
    """What one case comes to: ``kind``, ``why``, and for numbers ``error``.

    Args:
        folder: Of the case.
        eager: Call the model and train it operation by operation; else as ``predict`` and ``fit`` do.
    """
    recipe = json.loads((folder / "recipe.json").read_text())
    numbers = dict(np.load(folder / "numbers.npz"))
    keras.utils.clear_session(free_memory=False)
    # All that Keras draws seeds from; its set_random_seed would import TensorFlow, too.
    random.seed(1)
    np.random.seed(1)
    said: list[warnings.WarningMessage]
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model = kio.load_model(folder / f"model.{recipe['format']}")
    except kio.KioError as error:
        return {"kind": "refused", "why": f"{type(error).__name__}: {error}"}
    except Exception as error:
        return _exception("load", error)
    warned = [str(w.message) for w in said if str(w.message).startswith(_SAID)]
    result = _outputs(model, numbers, LOOSE if _LOOSE.search(json.dumps(recipe)) else TOLERANCE, eager)
    if result is None and "loss" in numbers:
        if model.optimizer is None:
            result = {"kind": "refused", "why": f"training: {'; '.join(warned) or 'not compiled'}"}
        else:
            result = _training(model, numbers, eager)
    if result is None:
        return {"kind": "equal", "why": ""}
    if warned and result["kind"] in ("WRONG", "EXCEPTION"):
        result = {**result, "kind": "warned", "why": f"{'; '.join(warned)} / {result['why']}"}
    return result


def _exception(where: str, error: Exception) -> dict[str, Any]:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = f"{type(error).__name__} at {where}: {text[:300]} [{Path(last.filename).name}:{last.lineno}]"
    return {"kind": "EXCEPTION", "why": line, "trace": "".join(traceback.format_exception(error))[-6000:]}


def _inputs(numbers: dict[str, Any]) -> Any:
    return one([numbers[key] for key in sorted(numbers) if key.startswith("input_")])


def _many(numbers: dict[str, Any], kind: str) -> list[Any]:
    return [numbers[f"{kind}_{k}"] for k in range(len(numbers)) if f"{kind}_{k}" in numbers]


def _outputs(model: Any, numbers: dict[str, Any], tolerance: float, eager: bool) -> dict[str, Any] | None:
    try:
        given = _inputs(numbers)
        found = flat(model(given, training=False) if eager else model.predict_on_batch(given))
    except kio.KioError as error:
        return {"kind": "refused", "why": f"at call: {type(error).__name__}: {error}"}
    except Exception as error:
        return _exception("call", error)
    wanted = _many(numbers, "output")
    if len(found) != len(wanted):
        return {"kind": "WRONG", "why": f"outputs: {len(found)} for {len(wanted)}", "error": 1.0}
    worst = max(distance(a, b) for a, b in zip(found, wanted, strict=True))
    if worst > tolerance:
        return {"kind": "WRONG", "why": "outputs", "error": worst}
    return None


def _reset(layer: Any) -> None:
    for each in layer._flatten_layers():
        if hasattr(each, "reset_state") and getattr(each, "stateful", False):
            each.reset_state()


def _training(model: Any, numbers: dict[str, Any], eager: bool) -> dict[str, Any] | None:
    """One step on one batch: the loss, and how each weight changed."""
    try:
        _reset(model)
        # tf.keras compiled nothing unless asked to; on JAX, that is one operation at a time.
        model.run_eagerly, model.jit_compile = eager, not eager
        pairs = list(_pairs(model, numbers))
        loss = model.train_on_batch(
            _inputs(numbers), one(_many(numbers, "target")), sample_weight=numbers.get("sample_weight")
        )
    except kio.KioError as error:
        return {"kind": "refused", "why": f"training: {type(error).__name__}: {error}"}
    except Exception as error:
        return _exception("training", error)
    wanted = float(numbers["loss"][0])
    worst = abs(float(np.ravel(loss)[0]) - wanted) / max(abs(wanted), 1e-6)
    if not worst < LOOSE:
        return {"kind": "WRONG", "why": "loss", "error": worst}
    changes = [
        (variable.path, np.asarray(keras.ops.convert_to_numpy(variable.value), "f8") - before, after - before)
        for variable, before, after in pairs
    ]
    scale = max([float(np.abs(w).max()) for *_, w in changes if w.size] + [1e-5])
    for path, found, expected in changes:
        error = float(np.abs(found - expected).max()) / scale if expected.size else 0.0
        if not error < STEP:
            return {"kind": "WRONG", "why": f"step: {re.sub(r'[0-9_]+', '', path.rpartition('/')[2])}", "error": error}
    return None


def _pairs(model: Any, numbers: dict[str, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Each variable with its values before and after, found by its values."""
    stored: dict[tuple[Any, ...], list[tuple[Any, Any]]] = {}
    for before, after in zip(_many(numbers, "before"), _many(numbers, "after"), strict=True):
        stored.setdefault(before.shape, []).append((before.astype("f8"), after.astype("f8")))
    for variable in model.variables:
        shape = tuple(variable.shape)
        value = np.asarray(keras.ops.convert_to_numpy(variable.value))
        for k, (before, after) in enumerate(stored.get(shape, [])):
            if value.dtype.kind == "f" and np.allclose(value, before, rtol=1e-7, atol=1e-7):
                del stored[shape][k]
                yield variable, before, after
                break


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--programs", action="store_true", help="on JAX never an operation at a time")
    options = parser.parse_args()
    if keras.config.backend() == "torch":
        import torch

        torch.set_num_threads(1)
    started = time.monotonic()
    # Libraries are no garbage; each collection would look at all of them again.
    gc.collect()
    gc.freeze()
    with open(options.folder / f"{keras.config.backend()}.jsonl", "w") as lines:
        for k, each in enumerate(sorted(options.folder.glob("*/numbers.npz"))):
            # An operation at a time, JAX compiles fifty programs for each model, and none for the next one.
            eager = keras.config.backend() != "jax" or (k % 10 == 0 and not options.programs)
            found = {"case": each.parent.name, **read(each.parent, eager)}
            lines.write(json.dumps(found) + "\n")
            lines.flush()
            if keras.config.backend() == "jax" and k % 200 == 199:
                import jax

                jax.clear_caches()
    print(json.dumps({"backend": keras.config.backend(), "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
