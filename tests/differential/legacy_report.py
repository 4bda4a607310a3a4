"""Which real legacy files load, equal their reference outputs, or are refused and why.

    KERAS_BACKEND=jax python -m tests.differential.legacy_report [--kind h5_whole] [--only PART] [--json FILE]

Each unit runs in this process, one after the other; give ``--slice 0:20`` for a part.  The
references are forward outputs of tf_keras 2.21 (see the collection's MANIFEST.json).  Files of
weights alone go into the models of ``tests/corpus/real_weights``, which has outputs of its own.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from tests.conftest import CORPUS, real
from tests.corpus.real_weights import models

KINDS = ("h5_whole", "h5_weights", "keras_zip")
RECURRENT = ("LSTM", "GRU", "RNN", "ConvLSTM2D")


def inputs_of(model):
    """The inputs of the references: a seeded draw for each input."""
    import keras

    rng = np.random.RandomState(0)
    embeds = any(isinstance(layer, keras.layers.Embedding) for layer in flat(model))
    made = []
    for tensor in model.inputs:
        shape = [2] + [32 if n is None else n for n in tensor.shape[1:]]
        made.append(
            rng.randint(0, 2, shape).astype("float32") if embeds else rng.uniform(0, 1, shape).astype("float32")
        )
    return made


def flat(model):
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from flat(layer)


def tolerance(model):
    return 1e-3 if any(any(part in type(layer).__name__ for part in RECURRENT) for layer in flat(model)) else 1e-5


def compare(model, path):
    """An empty string if the outputs are the reference's, else how far off they are."""
    import keras

    with np.load(path) as stored:
        expected = [stored[key] for key in sorted(stored.files) if key.startswith("out")] or [
            stored[key] for key in sorted(stored.files)
        ]
    feed = inputs_of(model)
    got = model(feed if len(feed) > 1 else feed[0], training=False)
    got = [keras.ops.convert_to_numpy(y) for y in (got if isinstance(got, (list, tuple)) else [got])]
    if [g.shape for g in got] != [e.shape for e in expected]:
        return f"shapes {[g.shape for g in got]} not {[e.shape for e in expected]}"
    worst = 0.0
    for g, e in zip(got, expected, strict=True):
        scale = max(float(np.abs(e).max()), 1e-30)
        worst = max(worst, float(np.abs(g.astype("f8") - e.astype("f8")).max()) / scale)
    return "" if worst <= tolerance(model) else f"off by {worst:.1e} of the largest"


def weights_alone(folder, unit):
    """A file of weights in the model that it belongs to: outcome and why."""
    import keras

    import kio
    from kio.layers import hard_sigmoid

    path = folder / unit["path"]
    known = models.UNITS[path.name]
    model = known.build(keras, hard_sigmoid)
    report = kio.load_weights(model, path)
    if len(report.loaded) != len(model.weights) or report.missing or report.unexpected:
        return "wrong", str(report)
    got = model(models.draw(known), training=False)
    got = [keras.ops.convert_to_numpy(y).reshape(2, -1) for y in (got if isinstance(got, (list, tuple)) else [got])]
    expected = json.loads((CORPUS / "real_weights" / "expected.json").read_text())[path.name]["outputs"]
    worst = 0.0
    for mine, theirs in zip(got, expected, strict=True):
        first = np.array(theirs["first"])
        worst = max(worst, float(np.abs(mine[:, : first.shape[1]] - first).max()) / theirs["largest"])
    if not worst <= (1e-3 if known.recurrent else 1e-5):
        return "wrong", f"off by {worst:.1e} of the largest"
    reference = unit.get("stock_tf_keras_2_21", {}).get("expected_output")
    why = compare(model, folder / reference) if reference else ""
    return ("wrong", why) if why else ("equal", "")


def one(folder, unit, compile_too):
    import keras

    import kio

    path = folder / unit["path"]
    keras.backend.clear_session()
    with kio.open(path) as checkpoint:
        held = len(checkpoint)
    if held != unit["n_tensors"]:
        return "tensors", f"{held} tensors, not {unit['n_tensors']}"
    if unit["kind"] == "h5_weights":
        return weights_alone(folder, unit)
    model = kio.load_model(path, compile=compile_too)
    reference = unit.get("stock_tf_keras_2_21", {}).get("expected_output")
    if reference is None:
        return "loaded", "no reference"
    why = compare(model, folder / reference)
    return ("wrong", why) if why else ("equal", "")


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", action="append")
    parser.add_argument("--only", default="")
    parser.add_argument("--slice", default=":")
    parser.add_argument("--json")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--trace", action="store_true")
    args = parser.parse_args(argv)
    folder = real()
    if folder is None:
        print("the real files are not at hand")
        return 2
    units = [
        u for u in json.loads((folder / "MANIFEST.json").read_text())["units"] if u["kind"] in (args.kind or KINDS)
    ]
    units = [u for u in units if args.only in u["path"]]
    units = units[slice(*(int(n) if n else None for n in args.slice.split(":")))]
    rows = []
    for unit in units:
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome, why = one(folder, unit, not args.no_compile)
        except Exception as error:
            outcome, why = f"refused: {type(error).__name__}", str(error)[:400]
            if args.trace:
                traceback.print_exc()
        rows.append((unit["kind"], unit["path"], outcome, why))
        if outcome != "equal":
            print(f"{outcome:28} {unit['path']}: {why}  [{time.perf_counter() - began:.1f} s]", flush=True)
    print(collections.Counter((kind, outcome.split(":")[0]) for kind, _, outcome, _ in rows))
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
