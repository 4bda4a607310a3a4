"""What one operation costs this process, and the state of the page cache before it.

Linux gives everything; elsewhere what cannot be known is None, never a guess.
"""

import contextlib
import ctypes
import gc
import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

Figures = dict[str, Any]
PAGE = mmap.PAGESIZE
PROC = Path("/proc/self")


def settle() -> None:
    """Give back what preparing left behind, so that it is not reused and not counted.

    Memory that is still in the allocator's hands would spare the operation its page
    faults: a second load in one process is 3 to 4 times faster for every reader.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def measured() -> Iterator[Figures]:
    """Fill the yielded dict with the cost of the block; every memory figure is in bytes."""
    figures: Figures = {}
    resets = _reset_peak()
    rss, io = _status(), _io()
    usage = resource.getrusage(resource.RUSAGE_SELF) if resource else None
    start = time.perf_counter()
    try:
        yield figures
    finally:
        figures["wall_s"] = time.perf_counter() - start
        if usage:
            after = resource.getrusage(resource.RUSAGE_SELF)
            figures["user_s"] = after.ru_utime - usage.ru_utime
            figures["sys_s"] = after.ru_stime - usage.ru_stime
            figures["cpu_s"] = figures["user_s"] + figures["sys_s"]
            figures["minor_faults"] = after.ru_minflt - usage.ru_minflt
            figures["major_faults"] = after.ru_majflt - usage.ru_majflt
        rss_after, io_after = _status(), _io()
        # Without the reset the peak may be one of the preparation's: then it is not known.
        known = resets and "VmHWM" in rss_after
        figures["peak_extra"] = rss_after["VmHWM"] - rss["VmRSS"] if known else None
        figures["kept_extra"] = rss_after["VmRSS"] - rss["VmRSS"] if rss_after else None
        figures["bytes_read"] = io_after["rchar"] - io["rchar"] if io_after else None
        figures["bytes_from_storage"] = io_after["read_bytes"] - io["read_bytes"] if io_after else None


def faults() -> int:
    if resource is None:
        return 0
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt


def _reset_peak() -> bool:
    """Set VmHWM back to the present RSS (proc(5), clear_refs)."""
    try:
        (PROC / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status() -> dict[str, int]:
    try:
        lines = (PROC / "status").read_text().splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Vm")}


def _io() -> dict[str, int]:
    try:
        lines = (PROC / "io").read_text().splitlines()
    except OSError:
        return {}
    return {key: int(value) for key, value in (line.split(": ") for line in lines)}


def warm(path: Path) -> bool:
    """Read the file once, so that all of it is in the page cache; False if it did not stay."""
    block = bytearray(1 << 20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(block):
            pass
    share = resident(path)
    return share is None or share > 0.99


def cold(path: Path) -> bool:
    """Drop the file from the page cache; False if it is still there."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for _ in range(5):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # dirty pages cannot be dropped
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
        share = resident(path)
        if share is not None and share < 0.01:
            return True
        time.sleep(0.2)
    return False


def resident(path: Path) -> float | None:
    """The share of the file's pages in the page cache, by mincore(2); None where unknown."""
    try:
        mincore = ctypes.CDLL(None).mincore
    except (AttributeError, OSError, TypeError):
        return None
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = np.frombuffer(mapped, np.uint8)
        npages = -(-view.size // PAGE)
        vector = np.zeros(npages, np.uint8)
        arguments = (ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(view.size))
        failed = mincore(*arguments, ctypes.c_void_p(vector.ctypes.data))
        del view  # a mapping with views of it cannot be closed
    return None if failed else float((vector & 1).mean())
