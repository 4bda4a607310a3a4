"""An arena: memory that snapshots are copied into, kept from one to the next.

Fresh memory is paid for page by page when it is first touched, which costs more than the
copy.  An arena that was filled before costs the copy alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kio.raw.memory import Slab

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

_ALIGN = 64
# What one thread copies at a time; less in all is not worth a second thread.
_PART = 4 << 20
_THREADS = 4


class Arena:
    """Room for one snapshot.

    Attributes:
        nbytes: Room there is, in bytes.
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self._bytes: Bytes | None = None

    def places(self, sizes: Sequence[int]) -> list[Bytes]:
        """Memory for the parts of a snapshot; what the arena held before is gone.

        Args:
            sizes: In bytes.

        Returns:
            For each its bytes, 64-byte aligned.

        Raises:
            MemoryError: if the system has no room.
        """
        starts, total = [], 0
        for nbytes in sizes:
            starts.append(total)
            total += -(-nbytes // _ALIGN) * _ALIGN
        held = self._room(total)
        return [held[at : at + nbytes] for at, nbytes in zip(starts, sizes, strict=True)]

    def _room(self, nbytes: int) -> Bytes:
        # Much too large a one is given back: the model it was for is gone.
        if self._bytes is None or not nbytes <= self.nbytes <= 4 * nbytes + _PART:
            self._bytes, self.nbytes = None, 0
            slab: Any = Slab(nbytes)
            self._bytes = np.frombuffer(slab, np.uint8)
            self.nbytes = nbytes
        return self._bytes


def copy(places: Sequence[Bytes], arrays: Sequence[Array]) -> None:
    """Copy arrays into memory of their size.

    Args:
        places: From ``Arena.places``.
        arrays: C-contiguous.

    Cost: one pass over the bytes, with up to four threads, without the GIL.
    """
    parts = []
    for place, array in zip(places, arrays, strict=True):
        if array.nbytes:
            flat = array.reshape(-1).view(np.uint8)
            parts += [(place[i : i + _PART], flat[i : i + _PART]) for i in range(0, array.nbytes, _PART)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = min(cores, _THREADS, sum(array.nbytes for array in arrays) // _PART)
    turns = iter(parts)  # taking the next of a list is one step under the GIL
    raised: list[BaseException] = []

    def work() -> None:
        try:
            for place, part in turns:
                np.copyto(place, part)
        except BaseException as e:  # told to whoever asked for the copy
            raised.append(e)

    started = []
    try:
        for _ in range(threads - 1):
            helper = threading.Thread(target=work, name="kio-arena", daemon=True)
            helper.start()
            started.append(helper)
        for place, part in turns:
            np.copyto(place, part)
    finally:
        for _ in turns:  # after an interrupt nobody shall go on
            pass
        for helper in started:
            helper.join()
    if raised:
        raise raised[0]
