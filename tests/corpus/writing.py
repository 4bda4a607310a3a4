"""How a case of the corpus is put down.  Needs numpy; never imports kio."""

import hashlib
import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np

# NumPy has no name of its own for these; the reference readers give raw bytes.
RAW = {"V1": "opaque1", "V2": "opaque2"}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def record(array, dtype=None):
    """What ``expected.json`` says about one tensor."""
    array = np.asarray(array)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    name = dtype or RAW.get(array.dtype.str[1:], array.dtype.name)
    return {"dtype": name, "shape": list(array.shape), "sha256": sha256(np.ascontiguousarray(little).tobytes())}


def case(folder, about, opened, tensors=None, *, by=("numpy",), dtypes=None, error=None, says=None, **facts):
    """Write ``expected.json``.

    Args:
        folder: Of the case; its files are written already.
        about: One sentence.
        opened: What to open, relative to the folder.
        tensors: The arrays by name.
        by: Packages that wrote the files.
        dtypes: Names of element types that NumPy does not know, by tensor.
        error, says: Class and part of the message, where kio must refuse.
        facts: Anything else that must hold: layout, names, metadata, assets, config, problems.
    """
    writer = {"python": platform.python_version(), **{package: version(package) for package in by}}
    out = {"about": about, "writer": writer, "open": opened}
    if error is not None:
        out |= {"error": error, "says": says}
    else:
        dtypes = dtypes or {}
        out |= {**facts, "tensors": {n: record(a, dtypes.get(n)) for n, a in (tensors or {}).items()}}
    (folder / "expected.json").write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def fresh(make_file, name):
    """An empty folder for a case beside a generator."""
    folder = Path(make_file).parent / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def hdf5(path_or_file, prefix=""):
    """``(arrays, dtypes, names)`` of a file of Keras weights, as h5py reads it."""
    import h5py

    arrays, dtypes, names = {}, {}, {}

    def visit(path, thing):
        if isinstance(thing, h5py.Dataset):
            arrays[path] = thing[()]
            if thing.attrs.get("dtype") == "bfloat16":
                dtypes[path] = "bfloat16"
        elif path.split("/")[-1] == "vars" and "name" in thing.attrs:
            names[path] = thing.attrs["name"]

    with h5py.File(path_or_file, "r") as file:
        file.visititems(visit)
    return arrays, dtypes, names
