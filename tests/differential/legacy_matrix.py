"""What kio makes of every kind of model by every writer: loaded, equal, trained on.

    python tests/corpus/legacy/make.py --all FOLDER/tf-2.15.1           with each writer
    KERAS_BACKEND=jax python -m tests.differential.legacy_matrix FOLDER [--only PART] [--json FILE]

FOLDER holds a folder for each writer.  With ``--double``, of models that computed in float64, it tells
a difference of meaning from one of rounding: nothing above 1e-9 is rounding there.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import sys
import time
import traceback
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "--double" in sys.argv:
    os.environ["JAX_ENABLE_X64"] = "1"
sys.path.insert(0, str(Path(__file__).parents[2]))


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--writer", default="")
    parser.add_argument("--format", action="append", choices=(".h5", ".keras", ".weights.h5", ".only.h5"))
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    import keras

    from tests.models import continued

    if args.double:
        keras.config.set_floatx("float64")
    tolerance = 1e-9 if args.double else 1e-5
    rows = []
    for path in sorted(args.folder.glob("*/*")):
        kind, suffix = continued.split(path)
        if suffix not in (args.format or continued.FORMATS) or args.only not in path.name:
            continue
        if args.writer not in path.parent.name or not path.with_name(kind + ".npz").exists():
            continue
        began = time.perf_counter()
        try:
            one = continued.outcome(path)
            equal, trained = one.outputs <= tolerance, one.losses is None or one.losses <= tolerance
            result = "equal" if equal and trained else "losses" if equal else "outputs"
            if result == "equal" and one.losses is None:
                result = "equal, not trained"
            losses = "none" if one.losses is None else f"{one.losses:.1e}"
            why = f"outputs {one.outputs:.1e}, losses {losses}, {one.why}"
        except Exception as error:
            result, why = type(error).__name__, str(error)[:300]
            if args.trace:
                traceback.print_exc()
        rows.append((path.parent.name, kind, suffix, result, why))
        if not (result == "equal" or (result == "equal, not trained" and why.endswith(continued.NOTHING))):
            took = time.perf_counter() - began
            print(f"{path.parent.name:16} {kind + suffix:36} {result:20} {why}  [{took:.1f} s]", flush=True)
    for (writer, suffix), results in sorted(by(rows).items()):
        print(f"{writer:18} {suffix:12} " + ", ".join(f"{n} {name}" for name, n in sorted(results.items())))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    return 0


def by(rows):
    """Counts of results by writer and format."""
    found = collections.defaultdict(collections.Counter)
    for writer, _, suffix, result, _ in rows:
        found[writer, suffix][result] += 1
    return found


if __name__ == "__main__":
    sys.exit(main())
