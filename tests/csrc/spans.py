"""Spans of memory whose ends are the ends of the world, and the tables as test parameters."""

from __future__ import annotations

import ctypes
import mmap
import sys

import pytest

from kio.raw import kernels

PAGE = mmap.PAGESIZE


def guarded(nbytes: int, at_end: bool = True) -> memoryview:
    """A writable span of zeros between two inaccessible pages, touching one of them.

    A kernel that reads or writes one byte too far dies on the spot.  Where there is no
    mprotect (Windows) the span is an ordinary one.
    """
    pages = -(-nbytes // PAGE) or 1
    if sys.platform == "win32":
        return memoryview(bytearray(nbytes))
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    view = memoryview(memory)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for page in (0, pages + 1):
        if mprotect(address + page * PAGE, PAGE, 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    start = (pages + 1) * PAGE - nbytes if at_end else PAGE
    return view[start : start + nbytes]


def guarded_copy(data: bytes, at_end: bool = True) -> memoryview:
    """``data`` in a guarded span."""
    span = guarded(len(data), at_end)
    span[:] = data
    return span


def each_implementation(*names: str) -> pytest.MarkDecorator:
    """Parametrise over (kernel, implementation); None is the dispatcher's choice."""
    rows = [(name, row) for name in names for row in [None, *kernels.implementations(name)]]
    return pytest.mark.parametrize(("kernel", "row"), rows, ids=[f"{k}-{r or 'chosen'}" for k, r in rows])
