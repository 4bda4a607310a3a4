"""What the tests of the HDF5 writer share: values in, bytes out, and trees of every kind."""

from __future__ import annotations

import zlib

import numpy as np

from kio import dtypes
from kio.containers import hdf5
from kio.raw.sink import Sink


def written(values, attributes=None, groups=(), compression=None, **options):
    """The bytes of a file with these values by path, and attributes by path."""
    attributes = dict(attributes or {})
    draft = hdf5.Draft(compression)
    for path, value in values.items():
        draft.dataset(path, dtypes.name_of(value.dtype), value.shape, attributes.pop(path, None))
    for path in groups:
        draft.group(path, attributes.pop(path, None))
    for path, given in attributes.items():
        draft.group(path, given)
    sink = Sink.of_memory()
    nbytes, crc32 = hdf5.write(sink, draft, values, **options)
    base = options.get("base", 0)
    found = bytes(sink.getvalue())[base:]
    assert (nbytes, crc32) == (len(found), zlib.crc32(found))
    return found


def every_dtype(shape=(3, 4), seed=0):
    """An array of every type that kio knows, of random bits, and one scalar of each."""
    rng = np.random.default_rng(seed)
    out = {}
    for row in dtypes.TABLE:
        dtype = dtypes.numpy_dtype(row.name)
        count = int(np.prod(shape))
        raw = rng.bytes(count * row.itemsize) if row.kind != "b" else rng.integers(0, 2, count, "u1").tobytes()
        out[f"all/{row.name}"] = np.frombuffer(raw, dtype).reshape(shape)
        out[f"all/scalar_{row.name}"] = np.frombuffer(raw[: row.itemsize], dtype).reshape(())
    return out


def layers(count, shape=(3, 4), seed=0):
    """Values as a Keras model of that many layers has them."""
    rng = np.random.default_rng(seed)
    return {
        f"layers/dense_{i}/vars/{k}": rng.standard_normal(shape[k:]).astype("f4") for i in range(count) for k in (0, 1)
    }
