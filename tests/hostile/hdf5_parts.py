"""Good HDF5 files, where their parts are, and what must hold when one of these is attacked."""

from __future__ import annotations

import io
import os
import resource
import struct
import sys
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pytest

from kio.containers import hdf5
from kio.errors import FormatError
from kio.limits import Limits
from kio.raw.kernels import lookup3_of
from kio.raw.source import Source

# Sanitizers make everything slow and keep what is freed.
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")
SECONDS = 20.0 if SANITIZED else 1.0
EXTRA = 64 << 20


def good(libver: str | None = None, **kw: Any) -> bytearray:
    """Three groups, four datasets, attributes: 5 to 10 KB."""
    out = io.BytesIO()
    with h5py.File(out, "w", libver=libver, **kw) as file:
        file.attrs["backend"] = "jax"
        layer = file.create_group("layers/dense/vars")
        layer.attrs["name"] = "dense"
        layer.create_dataset("0", data=np.arange(12, dtype="f4").reshape(3, 4))
        layer.create_dataset("1", data=np.arange(4, dtype="f4"))
        file.create_dataset("steps", data=np.int64(7))
        file.create_dataset("zipped", data=np.arange(64, dtype="i2").reshape(8, 8), chunks=(4, 4),
                            compression="gzip", shuffle=True)  # fmt: skip
    return bytearray(out.getvalue())


def header_of(raw: bytes, path: str) -> int:
    with h5py.File(io.BytesIO(raw), "r") as file:
        return int(h5py.h5o.get_info(file[path].id).addr)


def data_of(raw: bytes, path: str) -> int:
    with h5py.File(io.BytesIO(raw), "r") as file:
        return int(file[path].id.get_offset())


def messages_of(raw: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Type, offset and size of the data of each message; continuations followed."""
    if raw[at : at + 4] == b"OHDR":
        flags = raw[at + 5]
        first = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        nbytes = int.from_bytes(raw[first : first + width], "little")
        blocks, prefix = [(first + width, nbytes)], 6 if flags & 4 else 4
    else:
        blocks, prefix = [(at + 16, struct.unpack_from("<I", raw, at + 8)[0])], 8
    while blocks:
        here, nbytes = blocks.pop(0)
        end = here + nbytes
        while here + prefix <= end:
            if prefix == 8:
                kind, size = struct.unpack_from("<HH", raw, here)
            else:
                kind, size = raw[here], struct.unpack_from("<H", raw, here + 1)[0]
            yield kind, here + prefix, size
            if kind == 16:
                address, length = struct.unpack_from("<QQ", raw, here + prefix)
                blocks.append((address, length) if prefix == 8 else (address + 4, length - 8))
            here += prefix + size


def message_of(raw: bytes, path: str, kind: int) -> int:
    """Offset of the data of an object's message of that type."""
    return next(at for k, at, _ in messages_of(raw, header_of(raw, path)) if k == kind)


def put(raw: bytearray, at: int, form: str, *values: int) -> bytearray:
    struct.pack_into("<" + form, raw, at, *values)
    return raw


def reseal(raw: bytearray, at: int, nbytes: int) -> bytearray:
    """Make the checksum behind [at, at + nbytes) right again."""
    return put(raw, at + nbytes, "I", lookup3_of(bytes(raw[at : at + nbytes])))


def reseal_header(raw: bytearray, at: int) -> bytearray:
    flags = raw[at + 5]
    first = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    return reseal(raw, at, first + width + int.from_bytes(raw[first : first + width], "little") - at)


def described(file: hdf5.File) -> Any:
    """All that an index says, so that two can be compared."""
    rows = []
    for name in file.tensors:
        try:
            tensor = file.tensors[name]
            rows.append((name, tensor.dtype_name, tensor.shape, tensor.problem, repr(tensor.extents)))
        except FormatError as error:
            rows.append((name, type(error).__name__))
    return rows, file.groups, file.aliases, file.refused


class Bounded:
    """Fails the test unless the block keeps to SECONDS and EXTRA bytes."""

    def __enter__(self) -> None:
        tracemalloc.start()
        self.resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.start = time.process_time()

    def __exit__(self, *_: object) -> None:
        seconds = time.process_time() - self.start
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        unit = 1 if sys.platform == "darwin" else 1024
        resident = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.resident) * unit
        assert seconds < SECONDS, seconds
        assert peak < EXTRA, peak
        assert resident < EXTRA or SANITIZED, resident


def parse(raw: bytes, limits: Limits | None = None) -> hdf5.File:
    return hdf5.open(Source.of_bytes(bytes(raw), "attack.h5"), limits or Limits())


def use(file: hdf5.File) -> None:
    """Ask for everything that open leaves for later."""
    for name in file.tensors:
        _ = file.tensors[name].extents
    for path in ["", *file.groups, *file.tensors]:
        file.attributes(path)
    file.attribute_of_all("name")


def refused(raw: bytes, error: type[FormatError], match: str, limits: Limits | None = None) -> FormatError:
    """Assert that a file is refused, in the form that messages have, within the bounds."""
    raw = bytes(raw)
    with Bounded(), pytest.raises(error, match=match) as caught:
        use(parse(raw, limits))
    found = caught.value
    assert found.source == "attack.h5"
    assert len(str(found)) < 2000 and str(found).isprintable()
    assert "expected" in str(found) and "found" in str(found), str(found)
    return found
