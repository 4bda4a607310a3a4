"""What this machine can do at best: every result is also a fraction of it.

``python -m benchmarks.roofline`` prints the table.  Python only starts the copies and
the reads, in blocks of megabytes, so it adds nothing that can be seen.
"""

import argparse
import mmap
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from benchmarks import OUT, measure

Bytes = npt.NDArray[np.uint8]
BLOCK = 4 << 20
HUGE = 2 << 20


def arena(nbytes: int, *, huge: bool = True) -> Bytes:
    """Fresh memory, none of it touched yet, in pages of 2 MiB if the system grants them."""
    # Python's default is shared memory, which the system backs in another, slower way.
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    mapped = mmap.mmap(-1, nbytes + HUGE, **private)
    advice = "MADV_HUGEPAGE" if huge else "MADV_NOHUGEPAGE"
    if hasattr(mmap, advice):
        mapped.madvise(getattr(mmap, advice))
    whole = np.frombuffer(mapped, np.uint8)
    # Only whole, aligned 2 MiB pieces can become huge pages; O_DIRECT wants alignment too.
    start = -whole.ctypes.data % HUGE
    return whole[start : start + nbytes]


def commit(nbytes: int) -> None:
    """Touch this much memory and give it back, or half of what is free if that is less.

    In a virtual machine, memory that the guest never used is got from the host at the first
    touch, which is several times slower: whoever was first would pay for those after it.
    """
    try:
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return
    _touch(arena(min(nbytes, free // 2)))


def padded(nbytes: int) -> int:
    """Room for a file read in whole blocks, as O_DIRECT demands for the last one too."""
    return -(-nbytes // BLOCK) * BLOCK


def read(path: Path, into: Bytes, *, threads: int = 1, direct: bool = False) -> int:
    """Read a file with positioned reads; returns the bytes read.

    Raises:
        OSError: The file system does not do O_DIRECT, or a read failed.
    """
    flags = os.O_RDONLY | (getattr(os, "O_DIRECT", 0) if direct else 0)
    descriptor = os.open(path, flags)
    view = memoryview(into.data)
    counts: list[int] = []

    def some(first: int) -> None:
        for offset in range(first * BLOCK, len(view), threads * BLOCK):
            counts.append(os.preadv(descriptor, [view[offset : offset + BLOCK]], offset))

    try:
        in_parallel(some, threads)
    finally:
        os.close(descriptor)
    return sum(counts)


def write(path: Path, memory: Bytes, *, threads: int = 1, direct: bool = False) -> None:
    """Write memory to a new file with positioned writes and fsync it; what is no whole page comes last."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | (getattr(os, "O_DIRECT", 0) if direct else 0)
    descriptor = os.open(path, flags, 0o644)
    nbytes = memory.nbytes
    view = memoryview(memory.data).cast("B")

    def some(first: int) -> None:
        for offset in range(first * BLOCK, nbytes, threads * BLOCK):
            block = view[offset : offset + BLOCK]
            whole = len(block) - len(block) % mmap.PAGESIZE if direct else len(block)
            if whole:
                os.pwrite(descriptor, block[:whole], offset)

    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, nbytes)
        in_parallel(some, threads)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if direct and nbytes % mmap.PAGESIZE:
        with open(path, "r+b") as file:
            start = nbytes - nbytes % mmap.PAGESIZE
            file.seek(start)
            file.write(view[start:])
            file.flush()
            os.fsync(file.fileno())


def in_parallel(work: Callable[[int], None], threads: int) -> None:
    errors: list[BaseException] = []

    def guarded(index: int) -> None:
        try:
            work(index)
        except BaseException as error:
            errors.append(error)

    others = [threading.Thread(target=guarded, args=(index,)) for index in range(1, threads)]
    for thread in others:
        thread.start()
    guarded(0)
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]


def _timed(work: Callable[[], object], nbytes: int) -> float:
    start = time.perf_counter()
    work()
    return nbytes / (time.perf_counter() - start) / 1e9


def _touch(fresh: Bytes) -> None:
    fresh[::4096] = 1


def _memory(nbytes: int, threads: int) -> dict[str, float]:
    """GB/s of memcpy and of touching fresh memory."""
    source, target = arena(nbytes), arena(nbytes)
    source[:] = 1
    target[:] = 2
    part = nbytes // threads

    def copy(index: int) -> None:
        np.copyto(target[index * part : (index + 1) * part], source[index * part : (index + 1) * part])

    out = {
        "memcpy, 1 thread": _timed(lambda: np.copyto(target, source), nbytes),
        f"memcpy, {threads} threads": _timed(lambda: in_parallel(copy, threads), nbytes),
    }
    for label, huge in (("4 KiB pages", False), ("huge pages", True)):
        out[f"first touch, {label}"] = _timed(partial(_touch, arena(nbytes, huge=huge)), nbytes)
        fresh = arena(nbytes, huge=huge)
        out[f"memcpy into fresh {label}"] = _timed(partial(np.copyto, fresh, source), nbytes)
    return out


def _files(path: Path, threads: int) -> dict[str, float]:
    """GB/s of reading one file: from the page cache, then from storage."""
    nbytes = path.stat().st_size
    resident = arena(padded(nbytes))
    resident[:] = 1
    out: dict[str, float] = {}
    for n in sorted({1, threads}):
        measure.warm(path)
        label = f"pread warm, resident memory, {n} thread(s)"
        out[label] = _timed(partial(read, path, resident, threads=n), nbytes)
        label = f"pread warm, fresh huge pages, {n} thread(s)"
        out[label] = _timed(partial(read, path, arena(padded(nbytes)), threads=n), nbytes)
    for direct in (False, True):
        for n in sorted({1, threads, 2 * threads}):
            if not measure.cold(path):
                continue  # left out rather than measured warm
            label = f"pread cold, {'O_DIRECT' if direct else 'buffered'}, {n} thread(s)"
            try:
                out[label] = _timed(partial(read, path, resident, threads=n, direct=direct), nbytes)
            except OSError:
                continue  # tmpfs and some network mounts have no O_DIRECT
    return out


def survey(nbytes: int, rounds: int, folder: Path) -> dict[str, list[float]]:
    """Every figure of the machine in GB/s, ``rounds`` times, taking turns."""
    threads = min(2, os.cpu_count() or 1)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "roofline.bin"
    path.write_bytes(np.random.default_rng(0).bytes(nbytes))
    out: dict[str, list[float]] = {}
    try:
        for _ in range(rounds):
            for label, rate in {**_memory(nbytes, threads), **_files(path, threads)}.items():
                out.setdefault(label, []).append(rate)
    finally:
        path.unlink()
    return out


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.roofline", description=__doc__)
    parser.add_argument("--nbytes", type=int, default=512 << 20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    for label, rates in survey(options.nbytes, options.rounds, options.out).items():
        print(f"{label:48s} {median(rates):6.2f} GB/s   ({min(rates):.2f}–{max(rates):.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
