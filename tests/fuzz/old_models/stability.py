"""How much a writer's own numbers move when its weights and inputs do.  Needs NumPy alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def distances(plain: Path, moved: Path) -> dict[str, float]:
    """The largest differences, as ``compare`` measures them: of outputs, the loss, and the changes of one step.

    ``reload`` is how far the writer's own reading of its file is from what it wrote.
    """
    if not moved.exists():
        return {}
    a, b = dict(np.load(plain)), dict(np.load(moved))
    found = {"outputs": 0.0, "loss": 0.0, "step": 0.0}
    for key in a:
        if key.startswith("output_"):
            scale = max(float(np.abs(a[key]).max()), 1e-6)
            found["outputs"] = max(found["outputs"], float(np.abs(a[key] - b[key]).max()) / scale)
    found["reload"] = float(b["reload"].max()) if "reload" in b else 0.0
    if "loss" in a:
        found["loss"] = abs(float(a["loss"][0] - b["loss"][0])) / max(abs(float(a["loss"][0])), 1e-6)
        keys = [key.partition("_")[2] for key in a if key.startswith("before_") and a[key].dtype.kind == "f"]
        steps = [(a[f"after_{k}"] - a[f"before_{k}"], b[f"after_{k}"] - b[f"before_{k}"]) for k in keys]
        steps = [pair for pair in steps if pair[0].size]
        scale = max([float(np.abs(x).max()) for x, _ in steps] + [1e-5])
        found["step"] = max([float(np.abs(x - y).max()) / scale for x, y in steps] + [0.0])
    return found
