"""Write the Keras 3 corpus with the Keras that is installed.

    KERAS_BACKEND=jax python make.py [CASE ...]
    KERAS_BACKEND=tensorflow python make.py
    KERAS_BACKEND=torch python make.py

writes the cases that are made with that backend to ``<keras version>/<case>/`` beside this file: what Keras
saved, ``expected.npz``, ``expected.json`` (see README).  Every variable gets values that occur nowhere else
in the model: a variable is recognised in the file by its values, and any mix-up changes the outputs.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import shutil
import sys
import traceback
import warnings
import zipfile

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")

import h5py  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
from cases import CASES, Case  # noqa: E402
from keras.src.saving import saving_lib  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent

# What each kind of file is called in a case's folder.
NAMES = {
    "keras": "model.keras",
    "weights": "model.weights.h5",
    "directory": "directory",
    "sharded": "sharded/model.weights.json",
    "npz": "npz.keras",
}

# Variables whose values mean something, so that any value would not do.
KEPT = ("g_idx",)


# ---- the model -----------------------------------------------------------------------------------------


def to_numpy(value):
    return np.asarray(keras.ops.convert_to_numpy(value))


def to_backend(inputs):
    """Inputs as the backend wants them: strings only exist in TensorFlow."""
    if isinstance(inputs, dict):
        return {name: to_backend(value) for name, value in inputs.items()}
    if isinstance(inputs, list):
        return [to_backend(value) for value in inputs]
    if inputs.dtype.kind == "U":
        import tensorflow as tf

        return tf.constant(np.char.encode(inputs, "utf-8"))
    return keras.ops.convert_to_tensor(inputs)


def flatten(tree):
    """``[(name, leaf)]`` of a structure, dicts in the order of their keys."""
    if isinstance(tree, dict):
        return [(f"{k}", leaf) for k in sorted(tree) for _, leaf in flatten(tree[k])]
    if isinstance(tree, (list, tuple)):
        return [(f"{k}", leaf) for k, value in enumerate(tree) for _, leaf in flatten(value)]
    return [("", tree)]


def outputs_of(model, inputs):
    """``[(name, array)]`` of the inference outputs."""
    leaves = flatten(model(to_backend(inputs), training=False))
    return [(name, np.asarray(to_numpy(leaf), "float64")) for name, leaf in leaves]


def built(case: Case, seed: int):
    """The case's model with every variable there, the optimizer's too."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model, inputs = case.build()
    model(to_backend(inputs))
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    return model, inputs


def variables_of(model):
    """Every variable once, those of the optimizer last: ``[(owner, variable)]``."""
    optimizer = getattr(model, "optimizer", None)
    owned = [("model", v) for v in [*model.variables, *getattr(model, "metrics_variables", [])]]
    owned += [("optimizer", v) for v in (optimizer.variables if optimizer is not None else [])]
    seen: set[int] = set()
    return [(o, v) for o, v in owned if not (id(v) in seen or seen.add(id(v)))]


def path_of(variable):
    return getattr(variable, "path", variable.name)


def distinct_values(owner, variable, position, rng):
    """Values for ``variable`` that no other variable has."""
    shape, dtype = tuple(variable.shape), keras.backend.standardize_dtype(variable.dtype)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype in ("int8", "uint8"):
        return rng.integers(1, 127, shape).astype(dtype)
    if "int" in dtype:
        return (1000 * (position + 1) + np.arange(np.prod(shape, dtype=int)).reshape(shape)).astype(dtype)
    positive = owner == "optimizer" or any(
        w in variable.name for w in ("variance", "scale", "gamma", "history")
    )
    return rng.uniform(0.05, 1.0, shape) if positive else rng.uniform(-0.7, 0.7, shape)


def fill(model, seed):
    """Give every variable distinct values, and let layers recompute what they derive from them."""
    rng = np.random.default_rng(seed)
    for position, (owner, variable) in enumerate(variables_of(model)):
        if not variable.name.endswith(KEPT):
            variable.assign(distinct_values(owner, variable, position, rng))
    for layer in model.layers:
        if type(layer).__name__ == "Normalization":
            layer.finalize_state()
    values = [to_numpy(v) for _, v in variables_of(model) if not v.name.endswith(KEPT)]
    values = [v for v in values if v.size]
    if len({(v.shape, v.tobytes()) for v in values}) != len(values):
        raise AssertionError("two variables have the same values")


# ---- writing and reading back --------------------------------------------------------------------------


def write(model, kind: str, folder: pathlib.Path, case: Case):
    path = folder / NAMES[kind]
    path.parent.mkdir(exist_ok=True)
    if kind == "keras":
        model.save(str(path))
    elif kind == "weights":
        model.save_weights(str(path))
    elif kind == "directory":
        model.save(str(path), zipped=False)
    elif kind == "sharded":
        model.save_weights(str(path), max_shard_size=case.shard_bytes / 1024**3)
    elif kind == "npz":
        saving_lib.save_model(model, str(path), weights_format="npz")
    return path


def read_back(case: Case, kind: str, path: pathlib.Path):
    if kind in ("weights", "sharded"):
        model, _ = built(case, seed=99)
        model.load_weights(str(path))
        return model
    keras.utils.clear_session()
    keras.utils.set_random_seed(99)
    return keras.saving.load_model(str(path))


def reload(case, kind, path, values, inputs, outputs):
    """What the Keras that wrote the file gets from it: ``(record, {position: other values})``.

    Args:
        values: ``[(path, values)]`` of the variables as they were saved.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = read_back(case, kind, path)
        found = [(path_of(v), to_numpy(v)) for _, v in variables_of(model)]
        again = outputs_of(model, inputs)
    except Exception as error:
        return {"error": told(error)}, {}
    same_outputs = len(again) == len(outputs) and all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-3, atol=1e-5)
        for (_, a), (_, b) in zip(again, outputs, strict=True)
    )
    record = {"error": None, "outputs_equal": bool(same_outputs)}
    messages = sorted({str(w.message)[:200] for w in caught if issubclass(w.category, UserWarning)})
    if messages:
        record["warnings"] = messages
    by_path = dict(found)
    if len(found) != len(values):
        record["variables"] = len(found)
    if len(found) != len(values) or (len(by_path) == len(found) and by_path.keys() == dict(values).keys()):
        # A quantized or LoRA layer built from its config lists its variables in another order, metrics that
        # no batch has been through have none.
        pairs = {k: (a, by_path[path]) for k, (path, a) in enumerate(values) if path in by_path}
    else:
        pairs = {k: (a, b) for k, ((_, a), (_, b)) in enumerate(zip(values, found, strict=True))}
    differing = {k: b for k, (a, b) in pairs.items() if a.shape != b.shape or a.tobytes() != b.tobytes()}
    record["differing"] = sorted(differing)
    return record, differing


# ---- describing what was written -----------------------------------------------------------------------


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def described(array, attributes):
    record = {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": sha256(array.tobytes())}
    if array.dtype == bool:
        record["dtype"] = "bool"
    if attributes:
        record["attributes"] = attributes
    return record


def hdf5_content(file):
    """``({path: array}, {path: description}, {group: name})`` of an HDF5 file."""
    arrays, tensors, names = {}, {}, {}

    def visit(path, item):
        attributes = {k: str(v) for k, v in item.attrs.items()}
        if isinstance(item, h5py.Dataset):
            arrays[path] = item[()] if item.shape else np.asarray(item[()])
            tensors[path] = described(arrays[path], attributes)
        elif "name" in attributes:
            names[path] = attributes["name"]

    with h5py.File(file, "r") as h5:
        h5.visititems(visit)
    return arrays, tensors, names


def npz_content(content):
    arrays = {}
    with np.load(io.BytesIO(content), allow_pickle=True) as members:
        for path in members.files:
            entry = members[path].tolist()
            arrays.update({f"{path}/{key}": np.asarray(value) for key, value in entry.items()})
    return arrays, {path: described(array, {}) for path, array in arrays.items()}, {}


def description(path: pathlib.Path):
    """``(record, {member: {path: array}})`` of a file or directory that Keras wrote."""
    if path.suffix == ".json":
        members = {p.name: p.read_bytes() for p in sorted(path.parent.iterdir()) if p != path}
    elif path.is_dir():
        members = {
            p.relative_to(path).as_posix(): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()
        }
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    else:
        members = {path.name: path.read_bytes()}
    record = {"members": list(members), "assets": {}, "tensors": {}, "names": {}}
    arrays = {}
    for name, content in members.items():
        if name.endswith(".h5"):
            arrays[name], record["tensors"][name], record["names"][name] = hdf5_content(io.BytesIO(content))
        elif name.endswith(".npz"):
            arrays[name], record["tensors"][name], record["names"][name] = npz_content(content)
        elif name.startswith("assets/"):
            record["assets"][name] = sha256(content)
    return record, arrays


def storable(array):
    """``array`` as a dtype that npz can hold without pickling: bfloat16 and the like as their bits."""
    return array if array.dtype.kind in "biufcU" else array.view(f"u{array.dtype.itemsize}")


def writer():
    import importlib.metadata

    packages = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow-cpu"}
    backend = keras.backend.backend()
    try:
        version = importlib.metadata.version(packages.get(backend, "numpy"))
    except importlib.metadata.PackageNotFoundError:
        version = importlib.metadata.version("tensorflow")
    return {
        "keras": keras.__version__,
        "backend": f"{backend} {version}",
        "h5py": h5py.__version__,
        "hdf5": h5py.version.hdf5_version,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def dumps(value, indent=0):
    """JSON with every object and list that fits on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= 200 or not isinstance(value, (dict, list)):
        return line
    if isinstance(value, dict):
        parts = [f"{json.dumps(k, ensure_ascii=False)}: {dumps(v, indent + 1)}" for k, v in value.items()]
    else:
        parts = [dumps(v, indent + 1) for v in value]
    pad = "\n" + " " * indent
    return line[0] + pad + " " + f",{pad} ".join(parts) + pad + line[-1]


def told(error):
    text = re.sub(r" at 0x[0-9a-f]+", "", str(error).strip())
    return f"{type(error).__name__}: {text[:300]}"


def make(name: str, case: Case, folder: pathlib.Path) -> dict[str, str]:
    """Write one case; return the errors of the kinds of file that could not be written."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model, inputs = built(case, seed=1)
    fill(model, seed=int.from_bytes(name.encode()[:4], "little"))
    outputs = outputs_of(model, inputs)
    owned = variables_of(model)
    values = [(path_of(v), to_numpy(v)) for _, v in owned]
    record = {
        "case": name,
        "about": case.build.__doc__,
        "writer": writer(),
        "inputs": [n for n, _ in flatten(inputs)],
        "outputs": [n for n, _ in outputs],
        "variables": [
            {
                "owner": owner,
                "name": v.name,
                "path": path_of(v),
                "dtype": keras.backend.standardize_dtype(v.dtype),
                "shape": list(v.shape),
                "trainable": bool(v.trainable),
                "stored": {},
            }
            for owner, v in owned
        ],
        "files": {},
    }
    saved = {f"input_{k}": leaf for k, (_, leaf) in enumerate(flatten(inputs))}
    saved |= {f"output_{k}": leaf for k, (_, leaf) in enumerate(outputs)}
    saved |= {f"variable_{k:03}": storable(value) for k, (_, value) in enumerate(values)}
    errors = {}
    for kind in case.files:
        try:
            path = write(model, kind, folder, case)
        except Exception as error:
            errors[f"{name}/{kind}"] = told(error)
            continue
        found, arrays = description(path)
        found["reload"], others = reload(case, kind, path, values, inputs, outputs)
        saved |= {f"reload_{kind}_{k:03}": storable(value) for k, value in others.items()}
        record["files"][NAMES[kind]] = found
        for variable, (_, value) in zip(record["variables"], values, strict=True):
            variable["stored"][NAMES[kind]] = [
                f"{member}!{tensor}"
                for member, tensors in arrays.items()
                for tensor, array in tensors.items()
                if array.shape == value.shape and array.tobytes() == value.tobytes()
            ]
    if not record["files"]:
        shutil.rmtree(folder)
        return errors
    np.savez_compressed(folder / "expected.npz", **saved)
    (folder / "expected.json").write_text(dumps(record) + "\n", encoding="utf-8")
    for empty in [p for p in folder.iterdir() if p.is_dir() and not any(p.iterdir())]:
        empty.rmdir()
    return errors


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "cases", nargs="*", help="names of cases; default: all that this version and backend write"
    )
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    parser.add_argument("--trace", action="store_true", help="show where a skipped case failed")
    options = parser.parse_args()
    version, backend = keras.__version__, keras.backend.backend()
    out = options.out / version
    out.mkdir(parents=True, exist_ok=True)
    log = out / "skipped.json"
    skipped = json.loads(log.read_text()) if log.exists() else {}
    mine = [name for name, case in CASES.items() if version in (case.versions or [version])]
    for stale in [p for p in out.iterdir() if p.is_dir() and p.name not in mine]:
        shutil.rmtree(stale)
    skipped = {k: v for k, v in skipped.items() if k.split("/")[0] in mine}
    for name, case in CASES.items():
        wanted = name in (options.cases or mine)
        if not wanted or (backend != case.backend and not options.cases):
            continue
        skipped = {k: v for k, v in skipped.items() if k.split("/")[0] != name}
        try:
            skipped |= make(name, case, out / name)
        except Exception as error:
            if options.trace:
                traceback.print_exc()
            shutil.rmtree(out / name, ignore_errors=True)
            skipped[name] = told(error)
        print(version, name, skipped.get(name, "ok"), file=sys.stderr, flush=True)
    log.write_text(json.dumps(skipped, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
