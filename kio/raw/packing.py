"""packing: chunks compressed by several threads, in order.

A chunk is worth compressing only if it becomes shorter: one that does not is kept as it is,
and the reader is told so by a mask.  How many are under way at a time bounds the memory.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import zstandard

from kio.raw.kernels import shuffle_into

Bytes = npt.NDArray[np.uint8]
Filters = tuple[tuple[str, tuple[int, ...]], ...]

MAX_THREADS = 16
# Of zeros, as fresh optimizers have them, zstd leaves next to nothing.  A reader that guards
# against bombs would refuse such a file (``Limits.expansion``), so a frame that decoders
# skip is put behind: a tenth of a percent.  Spec: RFC 8878, 3.1.2.
RATIO = 1000
SKIPPABLE = 0x184D2A50


def _shuffle(data: Bytes, itemsize: int) -> Bytes:
    out = np.empty(data.nbytes, np.uint8)
    shuffle_into(out.data, data.data, itemsize)
    return out


def _deflate(data: Bytes, level: int) -> Bytes:
    return np.frombuffer(zlib.compress(data.data, level), np.uint8)


def _zstd(data: Bytes, level: int) -> Bytes:
    # One compressor a chunk: it may not be shared by threads.
    out = zstandard.ZstdCompressor(level=level).compress(data.data)
    missing = data.nbytes // RATIO - len(out)
    if missing > 0:
        out += struct.pack("<II", SKIPPABLE, missing) + bytes(missing)
    return np.frombuffer(out, np.uint8)


APPLY: dict[str, Callable[[Bytes, int], Bytes]] = {"shuffle": _shuffle, "deflate": _deflate, "zstd": _zstd}


def apply(data: Bytes, filters: Filters) -> tuple[Bytes, int]:
    """Apply filters to a chunk.

    Args:
        data: The chunk, decoded.
        filters: ``(codec, values)`` in the order of applying them.

    Returns:
        The bytes to store, and a mask: bit i is set if filter i was skipped.
    """
    out = data
    for name, values in filters:
        out = APPLY[name](out, *values)
    if out.nbytes >= data.nbytes:
        return data, (1 << len(filters)) - 1
    return out, 0


def default_threads() -> int:
    """Threads that compress: as many as there are cores to use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_THREADS)


def pack(chunks: Iterable[tuple[Bytes, Filters]], threads: int | None = None) -> Iterator[tuple[Bytes, int]]:
    """Apply filters to many chunks.

    Args:
        chunks: Each with its filters; taken from as results are.
        threads: Threads that compress; None for one a core.

    Yields:
        What ``apply`` returns, in the order of ``chunks``.

    Memory: two chunks a thread, and what the iterable holds.
    """
    threads = max(1, min(threads or default_threads(), MAX_THREADS))
    waiting: deque[Future[tuple[Bytes, int]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="kio-packing") as pool:
        try:
            for data, filters in chunks:
                waiting.append(pool.submit(apply, data, filters))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()
