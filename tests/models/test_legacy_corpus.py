"""Models of TF 2.12 to 2.15 and of tf_keras: outputs and further training are the writer's own."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402

pytestmark = pytest.mark.keras

CORPUS = Path(__file__).parents[1] / "corpus" / "legacy"
FILES = sorted(path for path in CORPUS.glob("*/*") if path.suffix in (".h5", ".keras"))

# What today's Keras does otherwise while training, beyond rounding.
NO_TRAINING = {
    "mixed_precision": "float16 is rounded in another order",
    "recurrent": "the legacy RMSprop adds epsilon outside the root",
    "time_distributed": "Keras 3 normalizes a TimeDistributed batch step by step",
}


def run(model: Any, stored: Any) -> tuple[list[Any], list[Any], Any, Any]:
    def each(prefix: str) -> list[Any]:
        return [stored[key] for key in sorted(k for k in stored.files if k[0] == prefix and k[1:].isdigit())]

    xs, ys, ts = each("x"), each("y"), each("t")
    one, target = (xs[0] if len(xs) == 1 else xs), (ts[0] if len(ts) == 1 else ts)
    made = model(one, training=False)
    made = made if isinstance(made, (list, tuple)) else [made]
    return [np.asarray(keras.ops.convert_to_numpy(y), "float32") for y in made], ys, one, target


@pytest.mark.parametrize("path", FILES, ids=[f"{p.parent.name}-{p.name}" for p in FILES])
def test_outputs_and_training_are_the_writers(path: Path) -> None:
    name = path.stem
    keras.backend.clear_session()
    if name in ("preprocessed",) and os.environ.get("KERAS_BACKEND") == "torch":
        pytest.skip("torch has no negative steps in slices")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = kio.load_model(path)
    messages = [str(w.message) for w in said]
    skipped = [text for text in messages if "Skipping variable" in text or "not compiled" in text]
    tolerance = 5e-3 if name == "mixed_precision" else 2e-5
    with np.load(path.with_suffix(".npz")) as stored:
        made, expected, one, target = run(model, stored)
        for a, b in zip(made, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        if not model.compiled or name in NO_TRAINING or skipped:
            assert skipped or name in NO_TRAINING, name
            return
        losses = [keras.tree.flatten(model.train_on_batch(one, target))[0] for _ in range(3)]
        np.testing.assert_allclose(losses, stored["losses"], rtol=1e-4)
