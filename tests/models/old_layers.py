"""The corpus of single layers, functions and objects of TensorFlow's Keras, as legacy HDF5 files."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

FOLDER = Path(__file__).parents[1] / "corpus" / "old_layers"
WRITERS = sorted(path.name.removesuffix(".json.gz") for path in FOLDER.glob("*.json.gz"))


class Corpus:
    """What one writer made.

    Args:
        writer: The stem of its two files.
        folder: Where they are.
    """

    def __init__(self, writer: str, folder: Path = FOLDER) -> None:
        document = json.loads(gzip.decompress((folder / f"{writer}.json.gz").read_bytes()))
        self.cases: dict[str, dict[str, Any]] = {case["name"]: case for case in document["cases"]}
        with np.load(folder / f"{writer}.npz") as stored:
            self._flat = dict(stored)

    def array(self, place: Any) -> Any:
        """The array, or the arrays by name, that a case points to."""
        if isinstance(place, dict):
            return {key: self.array(value) for key, value in place.items()}
        if place[0] == "text":
            return np.array(place[1])
        kind, offset, shape = place
        return self._flat[kind][offset : offset + int(np.prod(shape, dtype=int))].reshape(shape)

    def h5(self, case: dict[str, Any]) -> bytes:
        """The whole-model HDF5 file that the writer would have saved."""
        config = dict(case["config"])
        written = {key: config.pop(key) for key in ("keras_version", "backend")}
        target = io.BytesIO()
        with h5py.File(target, "w") as file:
            file.attrs.update(written)
            file.attrs["model_config"] = json.dumps(config)
            if "training" in case:
                file.attrs["training_config"] = json.dumps(case["training"])
            root = file.create_group("model_weights")
            root.attrs.update(written)
            root.attrs["layer_names"] = [name.encode() for name, _ in case["weights"]]
            for name, weights in case["weights"]:
                group = root.create_group(name)
                group.attrs["weight_names"] = [weight.encode() for weight, _ in weights]
                for weight, place in weights:
                    group[weight] = self.array(place)
        return target.getvalue()
