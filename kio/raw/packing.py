"""packing: chunks compressed by several threads, in order.

A chunk is worth compressing only if it becomes shorter: one that does not is kept as it is,
and the reader is told so by a mask.  How many are under way at a time bounds the memory.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from kio.errors import UnsupportedError
from kio.raw import codecs

Bytes = npt.NDArray[np.uint8]
Filters = tuple[tuple[str, tuple[int, ...]], ...]

MAX_THREADS = 16


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
        row = codecs.named(name)
        if row is None or row.apply is None:
            raise UnsupportedError(f"codec: expected one that kio writes, found {name}")
        out = np.frombuffer(row.apply(out, *values), np.uint8)
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
