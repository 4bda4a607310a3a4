"""Gigabytes a second of every kernel, a row for each implementation in csrc's tables.

    python benchmarks/kernels.py                 all
    python benchmarks/kernels.py crc32 inflate   some
    python benchmarks/kernels.py --pyperf        with pyperf's statistics, where installed

A decoder's figure counts the bytes it makes, everything else the bytes it reads.
The best of many short runs, so that other load on the machine shows little.  One thread.
"""

from __future__ import annotations

import argparse
import random
import time
import zlib
from array import array
from collections.abc import Callable, Iterator
from functools import partial

from kio.raw import kernels

NBYTES = 1 << 20  # fits the second-level cache, as the blocks of a transfer do
CONVERSIONS = [
    f"{a}_to_{b}" for name in ("bf16", "f16", "f8_e4m3fn", "f8_e5m2") for a, b in ((name, "f32"), ("f32", name))
]

# kernel, implementation, what is timed, bytes it is worth
Case = tuple[str, str, Callable[[], object], int]


def weights(nelems: int) -> bytes:
    """float32 of a normal distribution, as an initialiser leaves them."""
    rng = random.Random(1)
    return array("f", (rng.gauss(0, 0.02) for _ in range(nelems))).tobytes()


def rounded(data: bytes) -> bytes:
    """The same with the lower half of each float32 zero: bfloat16 in a float32 file."""
    values = array("I", data)
    return array("I", (value & 0xFFFF0000 for value in values)).tobytes()


def shuffled(data: bytes, itemsize: int) -> bytes:
    planes = bytearray(len(data))
    kernels.shuffle_into(planes, data, itemsize)
    return bytes(planes)


def copy(dst: memoryview, src: bytes) -> None:
    dst[:] = src


def checksums() -> Iterator[Case]:
    data, dst = random.Random(1).randbytes(NBYTES), bytearray(NBYTES)
    functions = {
        "crc32": kernels.crc32_of,
        "crc32c": kernels.crc32c_of,
        "adler32": kernels.adler32_of,
        "fletcher32": kernels.fletcher32_of,
        "crc32_copy": partial(kernels.crc32_copy_into, dst),
        "crc32c_copy": partial(kernels.crc32c_copy_into, dst),
    }
    yield "memcpy", "libc", partial(copy, memoryview(dst), data), NBYTES
    yield "crc32", "zlib", partial(zlib.crc32, data), NBYTES
    yield "adler32", "zlib", partial(zlib.adler32, data), NBYTES
    for kernel, function in functions.items():
        for row in kernels.implementations(kernel):
            yield kernel, row, partial(function, data, implementation=row), NBYTES
    yield "lookup3", "only", partial(kernels.lookup3_of, data), NBYTES
    # Worth one byte, which main() takes for calls a second.
    yield "crc32_combine", "only", partial(kernels.crc32_combine_of, 1, 2, 1_234_567), 1


def transforms() -> Iterator[Case]:
    data, dst = random.Random(1).randbytes(NBYTES), bytearray(4 * NBYTES)
    functions = {
        "shuffle": kernels.shuffle_into,
        "unshuffle": kernels.unshuffle_into,
        "swap": kernels.swap_into,
    }
    for kernel, function in functions.items():
        for row in kernels.implementations(kernel):
            for itemsize in (2, 4, 8):
                call = partial(function, dst, data, itemsize, implementation=row)
                yield kernel, f"{row} {itemsize}", call, NBYTES
    for conversion in CONVERSIONS:
        for row in kernels.implementations(conversion):
            call = partial(kernels.convert_into, conversion, dst, data, implementation=row)
            yield conversion, row, call, NBYTES
    # A chunk into the middle of a tensor, by the length of its rows.
    for width in (1, 4, 16, 64, 256):
        chunk = (NBYTES // 4 // width, width)
        shape = (chunk[0], 2 * width)
        call = partial(kernels.place_into, dst, shape, (0, width // 2), data, chunk, (0, 0), chunk, 4)
        yield "place", f"rows of {4 * width} B", call, NBYTES


def decoders() -> Iterator[Case]:
    plain = weights(NBYTES // 4)
    streams = {
        "fp32": plain,
        "fp32 shuffled": shuffled(plain, 4),
        "bf16 in fp32, shuffled": shuffled(rounded(plain), 4),
        "text": b" ".join(b"%d bottles of beer on the wall" % n for n in range(NBYTES // 32)),
    }
    for name, data in streams.items():
        stream = zlib.compress(data, 4)
        dst = bytearray(len(data))
        yield "inflate", f"zlib, {name}", partial(zlib.decompress, stream, 15, len(data)), len(data)
        call = partial(kernels.inflate_zlib_into, dst, stream)
        yield "inflate", f"with Adler-32, {name}", call, len(data)
        for row in kernels.implementations("inflate"):
            call = partial(kernels.inflate_into, dst, stream[2:-4], row)
            yield "inflate", f"{row}, {name}", call, len(data)
    # Runs of literals and matches near and far; liblzf has no writer here.
    literals = bytes([31]) + random.Random(1).randbytes(32)
    matches = bytes([0x20, 30]) + bytes([0xE0, 100, 20]) + bytes([0x60, 3])
    stream = (literals + matches) * (NBYTES // 150)
    dst = bytearray(2 * NBYTES)
    _, nbytes = kernels.lzf_decompress_into(dst, stream)
    yield "lzf", "only", partial(kernels.lzf_decompress_into, dst, stream), nbytes


def best_s(call: Callable[[], object], budget_s: float) -> float:
    """Seconds of the fastest call within the budget, at least five calls."""
    best, calls, start = float("inf"), 0, time.perf_counter()
    while calls < 5 or time.perf_counter() - start < budget_s:
        before = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - before)
        calls += 1
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernel", nargs="*", help="only these")
    parser.add_argument("--seconds", type=float, default=0.1, help="per row")
    parser.add_argument("--pyperf", action="store_true")
    options, rest = parser.parse_known_args()
    chosen = [
        case
        for cases in (checksums, transforms, decoders)
        for case in cases()
        if not options.kernel or case[0] in options.kernel
    ]
    if options.pyperf:
        import sys

        import pyperf

        sys.argv[1:] = rest
        runner = pyperf.Runner(program_args=(__file__, "--pyperf", *options.kernel))
        for kernel, name, call, _ in chosen:
            runner.bench_func(f"{kernel} {name}", call)
        return
    for kernel, name, call, nbytes in chosen:
        rate = nbytes / best_s(call, options.seconds) / 1e9
        print(f"{kernel:18}{name:40}{rate:10.3f} GB/s" if nbytes > 1 else f"{kernel:58}{rate * 1e3:10.3f} M/s")


if __name__ == "__main__":
    main()
