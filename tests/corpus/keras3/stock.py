"""Load the corpus with the Keras that is installed and write down what it gets: ``stock-<version>.json``.

    KERAS_BACKEND=jax python stock.py [VERSION ...]
    KERAS_BACKEND=tensorflow python stock.py [VERSION ...]

What stock Keras loads rightly, kio has to load too; where it fails or is silently wrong, this says how.
"""

from __future__ import annotations

import json
import sys

import keras
import ml_dtypes
import numpy as np
from cases import CASES
from make import HERE, NAMES, dumps, reload


def as_saved(record, arrays):
    """``[(path, values)]`` of the variables as they were when the file was written."""
    found = []
    for k, variable in enumerate(record["variables"]):
        value = arrays[f"variable_{k:03}"]
        found.append(
            (variable["path"], value.view(ml_dtypes.bfloat16) if variable["dtype"] == "bfloat16" else value)
        )
    return found


def inputs_as(record, arrays):
    leaves = [arrays[f"input_{k}"] for k in range(len(record["inputs"]))]
    names = record["inputs"]
    if names == [""]:
        return leaves[0]
    return leaves if names[0].isdigit() else dict(zip(names, leaves, strict=True))


def main():
    out = HERE / f"stock-{keras.__version__}.json"
    results = json.loads(out.read_text()) if out.exists() else {}
    backend = keras.backend.backend()
    versions = sys.argv[1:] or sorted(p.name for p in HERE.glob("3.*"))
    for expected in sorted(p for v in versions for p in (HERE / v).glob("*/expected.json")):
        record = json.loads(expected.read_text(encoding="utf-8"))
        if CASES[record["case"]].backend != backend:
            continue
        with np.load(expected.with_suffix(".npz")) as arrays:
            values, inputs = as_saved(record, arrays), inputs_as(record, arrays)
            outputs = [(name, arrays[f"output_{k}"]) for k, name in enumerate(record["outputs"])]
        kinds = {name: kind for kind, name in NAMES.items()}
        for file in record["files"]:
            path = expected.parent / file
            found, _ = reload(CASES[record["case"]], kinds[file], path, values, inputs, outputs)
            unstored = [k for k, v in enumerate(record["variables"]) if not v["stored"][file]]
            wrong = [k for k in found.pop("differing", []) if k not in unstored]
            if wrong:
                found["wrong"] = [record["variables"][k]["path"] for k in wrong]
            results[path.relative_to(HERE).as_posix()] = found
            print(path.relative_to(HERE), found, flush=True)
    out.write_text(dumps(dict(sorted(results.items()))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
