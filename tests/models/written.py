"""What stock Keras and kio wrote, side by side."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np


def structure(file: Any) -> dict[str, Any]:
    """Everything in an HDF5 file, by path: attributes, and shape, dtype and bytes of datasets."""
    found: dict[str, Any] = {"": (_attributes(file), None)}

    def visit(path: str, obj: Any) -> None:
        attributes = _attributes(obj)
        if isinstance(obj, h5py.Group):
            found[path] = (attributes, None)
        else:
            found[path] = (attributes, (obj.shape, str(obj.dtype), obj[()].tobytes()))

    file.visititems(visit)
    return found


def _attributes(obj: Any) -> dict[str, tuple[str, Any]]:
    found = {}
    for key, value in obj.attrs.items():
        found[key] = (type(value).__name__, value.tolist() if isinstance(value, np.ndarray) else value)
    return found


def assert_same_structure(stock: Any, ours: Any) -> None:
    """The same groups, attributes, shapes, dtypes and bytes, no more and no less."""
    with h5py.File(stock) as a, h5py.File(ours) as b:
        expected, found = structure(a), structure(b)
    assert found.keys() == expected.keys()
    for path, entry in expected.items():
        assert found[path] == entry, path


def assert_same_weights(a: Any, b: Any) -> None:
    """Two models hold the same values, NaN included."""
    pairs = list(zip(a.weights, b.weights, strict=True))
    for x, y in pairs:
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), x.path
