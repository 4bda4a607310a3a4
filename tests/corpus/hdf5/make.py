"""Write the HDF5 corpus with the h5py that is installed, and describe it.

    python make.py [CASE ...]      writes hdf5-<version of libhdf5>/<case>.h5 beside this file
    python make.py --describe      writes <case>.json beside every <case>.h5, with the newest h5py

README.md says what a description holds.
"""

import argparse
import json
import os
import pathlib
import sys

import h5py
import numpy as np
from cases import CASES
from describe import describe

HERE = pathlib.Path(__file__).resolve().parent

# The version of libhdf5 that writes every case.  The others write the cases that use structures their version
# changed, and keep what differs.
REFERENCE = "hdf5-2.0.0"
CHANGED = (
    "keras_profile",
    "layer_names",
    "libver_",
    "_latest",
    "paged",
    "attributes_dense",
    "shared_",
    "link_phase",
    "partial_",
    "virtual",
)
UNCHANGED = ("chunks_many", "libver_v108", "link_")


def older_cases():
    return [
        n for n in CASES if any(part in n for part in CHANGED) and not any(part in n for part in UNCHANGED)
    ]


def write(folder, names):
    """Write the cases; return ``{case: error}`` of those that failed."""
    skipped = {}
    os.chdir(str(folder))
    for name in names or (CASES if folder.name == REFERENCE else older_cases()):
        path = name + ".h5"
        try:
            CASES[name](path)
        except Exception as error:
            skipped[name] = f"{type(error).__name__}: {str(error)[:200]}"
            if os.path.exists(path):
                os.remove(path)
            continue
        twin = HERE / REFERENCE / path
        if folder.name != REFERENCE and twin.exists() and twin.read_bytes() == (folder / path).read_bytes():
            os.remove(path)
    if "external_storage" in (names or CASES) and folder.name == REFERENCE:
        (folder / "external_storage.bin").write_bytes(np.arange(4, dtype="f4").tobytes())
    return skipped


def dumps(value, indent=0):
    """JSON with every object and list that fits on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= 300 or not isinstance(value, (dict, list)):
        return line
    if isinstance(value, dict):
        parts = [json.dumps(k, ensure_ascii=False) + ": " + dumps(v, indent + 1) for k, v in value.items()]
    else:
        parts = [dumps(v, indent + 1) for v in value]
    pad = "\n" + " " * indent
    return line[0] + pad + " " + ("," + pad + " ").join(parts) + pad + line[-1]


def describe_all(names):
    for path in sorted(HERE.glob("hdf5-*/*.h5")):
        if names and path.stem not in names:
            continue
        os.chdir(str(path.parent))
        writer = json.loads((path.parent / "writer.json").read_text())
        record = {"case": path.stem, "about": " ".join((CASES[path.stem].__doc__ or "").split())}
        record["writer"] = {k: writer[k] for k in ("hdf5", "h5py", "numpy")}
        record.update(describe(path.name))
        path.with_suffix(".json").write_text(dumps(record) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--describe", action="store_true")
    options = parser.parse_args()
    if options.describe:
        describe_all(options.cases)
        return
    folder = HERE / f"hdf5-{h5py.version.hdf5_version}"
    folder.mkdir(exist_ok=True)
    about = folder / "writer.json"
    skipped = json.loads(about.read_text())["skipped"] if options.cases and about.exists() else {}
    for name in options.cases:
        skipped.pop(name, None)
    skipped.update(write(folder, options.cases))
    record = {
        "hdf5": h5py.version.hdf5_version,
        "h5py": h5py.__version__,
        "numpy": np.__version__,
        "skipped": skipped,
    }
    about.write_text(json.dumps(record, indent=1) + "\n")
    for name, error in skipped.items():
        print(folder.name, name, error, file=sys.stderr)


if __name__ == "__main__":
    main()
