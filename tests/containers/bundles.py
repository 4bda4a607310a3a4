"""Tensor bundles made in the plainest way, with every field open to an attacker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kio.containers import bundle
from kio.raw import kernels
from kio.raw.source import Source
from tests.containers import tables
from tests.containers.protos import blob, fixed32, number

FLOAT, DOUBLE, INT32, STRING, INT64, BFLOAT16, RESOURCE, VARIANT, HALF = 1, 2, 3, 7, 9, 14, 20, 21, 19
Extents = Sequence[tuple[int, int]]


def header(nshards: int = 1, endian: int = 0, version: bytes | None = None) -> bytes:
    return number(1, nshards) + number(2, endian) + blob(3, number(1, 1) if version is None else version)


def shape_of(shape: Sequence[int]) -> bytes:
    return b"".join(blob(2, number(1, n & (1 << 64) - 1)) for n in shape)


def slice_of(extents: Extents) -> bytes:
    """A TensorSliceProto; a length of 0 is written, as in every oneof."""
    return b"".join(
        blob(1, number(1, start), b"" if n == -1 else tables.varint(2 << 3) + tables.varint(n)) for start, n in extents
    )


def entry(
    dtype: int, shape: Sequence[int], run: tuple[int, int] = (0, 0), crc: int = 0, *, shard: int = 0, more: bytes = b""
) -> bytes:
    """A BundleEntryProto; ``crc`` is not masked yet."""
    out = number(1, dtype) + blob(2, shape_of(shape)) + number(3, shard) + number(4, run[0]) + number(5, run[1])
    return out + fixed32(6, tables.masked(crc)) + more


def strings(values: Iterable[bytes], big: bool = False) -> tuple[bytes, int]:
    """What is stored of strings, and its CRC-32C."""
    values, order = list(values), "big" if big else "little"
    lengths = b"".join(len(v).to_bytes(4, order) for v in values)
    check = tables.masked(kernels.crc32c_of(lengths)).to_bytes(4, order)
    stored = b"".join(tables.varint(len(v)) for v in values) + check + b"".join(values)
    return (stored, kernels.crc32c_of(lengths + check + b"".join(values))) if values else (b"", 0)


class Draft:
    """Entries and the bytes of one shard."""

    def __init__(self, big: bool = False) -> None:
        self.entries: dict[bytes, bytes] = {}
        self.shard = bytearray(b"pad")
        self.big = big

    def put(self, data: bytes) -> tuple[int, int]:
        self.shard += data
        return len(self.shard) - len(data), len(data)

    def _stored(self, array: np.ndarray) -> bytes:
        return (array.byteswap() if self.big and array.dtype.itemsize > 1 else array).tobytes()

    def add(self, name: str, dtype: int, array: Any) -> None:
        array = np.ascontiguousarray(array)
        data = self._stored(array)
        shape = np.shape(array)
        self.entries[name.encode()] = entry(dtype, shape, self.put(data), kernels.crc32c_of(data))

    def add_strings(self, name: str, values: Sequence[bytes], shape: Sequence[int] | None = None) -> None:
        data, crc = strings(values, self.big)
        self.entries[name.encode()] = entry(STRING, (len(values),) if shape is None else shape, self.put(data), crc)

    def add_slices(self, name: str, dtype: int, array: np.ndarray, cuts: Sequence[Extents]) -> None:
        """A tensor cut into slices, each with its run."""
        for cut in cuts:
            part = array[tuple(slice(a, a + n) if n != -1 else slice(None) for a, n in cut)]
            data = self._stored(np.ascontiguousarray(part))
            key = bundle.slice_key(name.encode(), cut)
            self.entries[key] = entry(dtype, part.shape, self.put(data), kernels.crc32c_of(data))
        more = b"".join(blob(7, slice_of(cut)) for cut in cuts)
        self.entries[name.encode()] = number(1, dtype) + blob(2, shape_of(array.shape)) + more

    def index(self, head: bytes | None = None) -> bytes:
        first = header(endian=int(self.big)) if head is None else head
        return tables.of([(b"", first), *sorted(self.entries.items())])

    def open(self, **limits: int) -> bundle.Bundle:
        return opened(self.index(), [bytes(self.shard)], **limits)

    def write(self, prefix: Path) -> None:
        Path(f"{prefix}.index").write_bytes(self.index())
        Path(f"{prefix}.data-00000-of-00001").write_bytes(self.shard)


def opened(index: bytes, shards: Sequence[bytes] | Mapping[int, bytes], **limits: int) -> bundle.Bundle:
    """The bundle of an index and shards in memory."""
    from kio.limits import Limits

    def opener(shard: int, _: int) -> Source:
        return Source.of_bytes(shards[shard], f"data-{shard}")

    return bundle.open(Source.of_bytes(index, "index"), opener, Limits(**limits))
