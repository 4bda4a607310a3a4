"""Of what a writer made, only the cases that another writer's do not show already.

    python thin.py FOLDER WRITER [BASE]      writes WRITER's two files beside this one

A case stays if its arguments, names of weights, outputs or what it was compiled with differ
from those of the same name in BASE; ``build_config`` and the like, which every case of one
writer has and none of another, do not count.
"""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
from make import Store

HERE = Path(__file__).parent
EVERYWHERE = {"module", "registered_name", "build_config", "shared_object_id", "keras_version", "optional"}
# The argument is not in what TF 2.12 saved.
LOST = {"tf-2.12.1": ["Normalization invert=True", "Normalization mean=[0.5, 0.25], variance=[2.0, 3.0], invert=True"]}
# Out of its domain, where versions differ.
LOST["tf-2.12.1"].append("tf v math.ndtri")


class Writer:
    def __init__(self, folder, name):
        self.document = json.loads(gzip.decompress((folder / f"{name}.json.gz").read_bytes()))
        self.cases = {case["name"]: case for case in self.document["cases"]}
        with np.load(folder / f"{name}.npz") as stored:
            self.flat = dict(stored)

    def array(self, place):
        kind, offset, shape = place
        return self.flat[kind][offset : offset + int(np.prod(shape, dtype=int))].reshape(shape)


def is_place(value):
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[2], list)


def told(value):
    """What a configuration says that not all of its writer's say."""
    if isinstance(value, dict):
        return {key: told(each) for key, each in value.items() if key not in EVERYWHERE}
    return [told(each) for each in value] if isinstance(value, list) else value


def equal(a, b, case, other):
    names = [[[layer, [name for name, _ in weights]] for layer, weights in each["weights"]] for each in (case, other)]
    if names[0] != names[1] or any(told(case.get(key)) != told(other.get(key)) for key in ("config", "training")):
        return False
    if not np.allclose(case.get("evaluated", []), other.get("evaluated", []), rtol=1e-5):
        return False
    pairs = list(zip(case["y"], other["y"]))
    for mine, theirs in pairs:
        if not is_place(mine) or not is_place(theirs):
            if mine != theirs:
                return False
            continue
        x, y = a.array(mine), b.array(theirs)
        if x.shape != y.shape or not np.allclose(x, y, rtol=2e-6, atol=2e-6, equal_nan=True):
            return False
    return len(case["y"]) == len(other["y"])


def moved(value, old, store):
    """The same with its arrays in another store."""
    if is_place(value) and value[0] in old.flat:
        return store.put(old.array(value))
    if isinstance(value, dict):
        return {key: moved(each, old, store) for key, each in value.items()}
    return [moved(each, old, store) for each in value] if isinstance(value, list) else value


def main(folder, name, base="tf-2.15.1"):
    made, known = Writer(Path(folder), name), Writer(HERE, base)
    store, kept = Store(), []
    for title, case in made.cases.items():
        other = known.cases.get(title)
        if title in LOST.get(name, ()) or (other is not None and equal(made, known, case, other)):
            continue
        kept.append({k: v if k in ("config", "training") else moved(v, made, store) for k, v in case.items()})
    np.savez_compressed(HERE / f"{name}.npz", **{kind: np.concatenate(parts) for kind, parts in store.flat.items()})
    text = ",\n".join(json.dumps(case, separators=(",", ":"), sort_keys=True) for case in kept)
    left = json.dumps(made.document["left_out"], indent=0, sort_keys=True)
    whole = '{"cases": [\n' + text + f'\n],\n"left_out": {left}}}\n'
    (HERE / f"{name}.json.gz").write_bytes(gzip.compress(whole.encode(), mtime=0))
    print(f"{len(kept)} of {len(made.cases)} cases")


if __name__ == "__main__":
    main(*sys.argv[1:])
