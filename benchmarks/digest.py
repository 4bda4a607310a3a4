"""SHA-256 of everything that was loaded, and the test that it was loaded at all."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
PAGE = 4096


def of_sequence(arrays: Iterable[Array]) -> str:
    """Of values whose order is known: the variables of a model."""
    total = hashlib.sha256()
    for array in arrays:
        _add(total, "", array)
    return total.hexdigest()


def of_tensors(tensors: Mapping[str, Array]) -> str:
    """Of values whose names are known, in any order."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        _add(total, name.lstrip("/"), tensors[name])
    return total.hexdigest()


def of_index(rows: Iterable[tuple[str, tuple[int, ...], str]]) -> str:
    """Of (name, shape, dtype) of every tensor, in any order."""
    lines = sorted(f"{name.lstrip('/')}\0{dtype}\0{tuple(shape)}" for name, shape, dtype in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def of_file(path: Any) -> str:
    total = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def _add(total: Any, name: str, array: Array) -> None:
    total.update(f"{name}\0{array.dtype.name}\0{array.shape}\0".encode())
    total.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def touch(arrays: Iterable[Array]) -> int:
    """Read one byte of every page; returns how many pages there are.

    Nothing is left to do for values that are in memory.  A contender that only mapped
    the file pays for it here, in page faults that the caller counts.
    """
    npages = 0
    for array in arrays:
        if array.nbytes >= PAGE and array.flags.c_contiguous:
            pages = array.reshape(-1).view(np.uint8)[::PAGE]
            pages.max()
            npages += pages.size
    return npages
