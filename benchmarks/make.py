"""Write the files of the shapes with stock Keras, once, and what a right load must give.

Run by run.py in a process of its own, on Keras's numpy backend: it is always there, and a
file written on torch names torch's own optimizer classes, which makes stock Keras import
torch while it loads, whatever the backend.  The manifest is written last, so a folder that
has one is complete.
"""

import argparse
import dataclasses
import hashlib
import json
import shutil
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import digest
from benchmarks.contenders import h5py as h5py_contender
from benchmarks.shapes import FILES, Shape, build, values, variables

# To be raised whenever the values or files written here change.
REVISION = 3


def identity(shape: Shape) -> dict[str, Any]:
    return {"revision": REVISION, **dataclasses.asdict(shape)}


def folder_of(out: Path, shape: Shape) -> Path:
    key = hashlib.sha256(json.dumps(identity(shape), sort_keys=True).encode()).hexdigest()[:8]
    return out / "files" / f"{shape.name}-{key}"


def manifest_of(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / "manifest.json").read_text())  # type: ignore[no-any-return]
    except OSError:
        return None


def make(shape: Shape, folder: Path) -> None:
    import keras

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    keras.backend.clear_session()
    model = build(shape)
    _fill(model)
    arrays = values(model)
    manifest: dict[str, Any] = {
        "shape": identity(shape),
        "writer": f"keras {keras.__version__}, backend {keras.backend.backend()}",
        "nvariables": len(arrays),
        "nbytes": sum(array.nbytes for array in arrays),
        "model": digest.of_sequence(arrays),
        "weights": digest.of_sequence(arrays[: len(model.weights)]),  # without the optimizer
    }
    weights = folder / FILES["h5"]
    model.save_weights(str(weights))
    if "keras" in shape.formats:
        model.save(str(folder / FILES["keras"]))
    if "legacy" in shape.formats:
        model.save(str(folder / FILES["legacy"]))
    expected = Counter(digest.of_sequence([array]) for array in arrays)
    del model, arrays
    if "legacy" in shape.formats:
        manifest["legacy"] = digest.of_tensors(_checked(folder / FILES["legacy"], expected))
    tensors = _checked(weights, expected)
    manifest["tensors"] = digest.of_tensors(tensors)
    rows = [(name, array.shape, array.dtype.name) for name, array in tensors.items()]
    manifest["index"] = digest.of_index(rows)
    if "keras" in shape.formats:
        _check_archive(folder / FILES["keras"], manifest["tensors"])
    if "safetensors" in shape.formats:
        _write_safetensors(tensors, folder / FILES["safetensors"])
    if "torch" in shape.formats:
        _write_torch(tensors, folder / FILES["torch"])
    del tensors
    if "gzip" in shape.formats:
        _write_gzip(weights, folder / FILES["gzip"])
    if "h5" not in shape.formats:
        weights.unlink()
    written = {fmt: folder / name for fmt, name in FILES.items() if (folder / name).exists()}
    manifest["files"] = {
        fmt: {"nbytes": path.stat().st_size, "sha256": digest.of_file(path)} for fmt, path in written.items()
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))


def _fill(model: Any) -> None:
    """Give every variable a value of its own, as training would, without training."""
    import numpy as np

    generator = np.random.default_rng(20)
    model_variables = {id(variable) for variable in model.weights}
    for variable in variables(model):
        shape = tuple(variable.shape)
        if not shape:  # iterations and learning rate
            variable.assign(1234 if "int" in str(variable.dtype) else 0.00075)
            continue
        value = generator.standard_normal(shape, np.float32)
        value *= 0.02 if id(variable) in model_variables else 1e-4
        # Adam's second moment is a mean of squares: a negative one could not be.
        variable.assign(np.abs(value) if "velocity" in variable.path else value)


def _checked(path: Path, expected: Counter[str]) -> Any:
    """The tensors of a file, which must be those that the model held, whatever their names."""
    tensors = h5py_contender.arrays(h5py_contender.read(str(path)))
    if Counter(digest.of_sequence([array]) for array in tensors.values()) != expected:
        raise SystemExit(f"{path}: the file does not hold the variables of the model")
    return tensors


def _check_archive(archive: Path, expected: str) -> None:
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder, zipfile.ZipFile(archive) as file:
        inner = file.extract("model.weights.h5", folder)
        if digest.of_tensors(h5py_contender.arrays(h5py_contender.read(inner))) != expected:
            raise SystemExit(f"{archive}: its weights differ from those of save_weights")


def _write_safetensors(tensors: Any, path: Path) -> None:
    try:
        import safetensors.numpy
    except ImportError:
        return  # the contender is then not available either
    safetensors.numpy.save_file(dict(tensors), path)


def _write_torch(tensors: Any, path: Path) -> None:
    try:
        import torch
    except ImportError:
        return
    torch.save({name: torch.from_numpy(array) for name, array in tensors.items()}, path)


def _write_gzip(source: Path, target: Path) -> None:
    """The same tree with every dataset shuffled and deflated in chunks of about 1 MB."""
    import h5py

    def copy(group: Any, out: Any) -> None:
        out.attrs.update(group.attrs)
        for name, item in group.items():
            if isinstance(item, h5py.Group):
                copy(item, out.create_group(name))
                continue
            packing: dict[str, Any] = {}
            if item.shape:
                row_nbytes = item.dtype.itemsize * (item.size // item.shape[0])
                rows = min(item.shape[0], max(1, (1 << 20) // row_nbytes))
                packing = {
                    "chunks": (rows, *item.shape[1:]),
                    "compression": "gzip",
                    "compression_opts": 4,
                    "shuffle": True,
                }
            out.create_dataset(name, data=item[()], **packing).attrs.update(item.attrs)

    with h5py.File(source) as before, h5py.File(target, "w") as after:
        copy(before, after)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.make", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("shapes", nargs="+", help="each a Shape as JSON")
    options = parser.parse_args()
    for text in options.shapes:
        shape = Shape.of(json.loads(text))
        make(shape, folder_of(options.out, shape))
    return 0


if __name__ == "__main__":
    sys.exit(main())
