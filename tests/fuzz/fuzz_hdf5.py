"""Mutation fuzzer of the HDF5 reader.

    python -m tests.fuzz.fuzz_hdf5 --seconds 600 --seed 1

Takes the small files of ``tests/corpus/hdf5`` and a few of its own, changes bytes, integers and
addresses where structures are, and requires that the reader returns or raises a ``FormatError``
within a second.  Half of the runs have structure checksums switched off, since a changed structure
would otherwise never be parsed.  A finding is kept in ``tests/fuzz/regressions/hdf5`` and replayed
by pytest.  Under ASan+UBSan (KIO_BUILD=asan) run it with

    LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc python -m tests.fuzz.fuzz_hdf5 --seconds 600
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import os
import re
import struct
import sys
import time
import traceback
from pathlib import Path
from random import Random

import numpy as np

from kio.containers import hdf5
from kio.containers.hdf5.structure import verify_checksums
from kio.errors import FormatError
from kio.raw.source import Source
from tests.containers.written import written

HERE = Path(__file__).resolve().parent
KEPT = HERE / "regressions" / "hdf5"
SEED_MAX = 1 << 16
SLOW_S = 20.0 if "asan" in os.environ.get("LD_PRELOAD", "") else 1.0
SIGNATURES = re.compile(
    rb"OHDR|OCHK|TREE|SNOD|HEAP|GCOL|FRHP|FHDB|FHIB|BTHD|BTIN|BTLF|FAHD|FADB|EAHD|EAIB|EASB|EADB|kio-sums"
)
INTEGERS = (0, 1, 2, 7, 8, 16, 32, 33, 64, 255, 256, 4096, 65535, 1 << 31, (1 << 32) - 1, 1 << 63)


def run(raw: bytes) -> str:
    """Parse everything; what became of it."""
    try:
        file = hdf5.open(Source.of_bytes(raw))
    except FormatError as error:
        assert str(error).isprintable() and len(str(error)) < 2000
        return type(error).__name__
    for path in ["", *file.groups, *file.tensors]:
        with contextlib.suppress(FormatError):
            file.attributes(path)
    for name in file.tensors:
        try:
            for extent in file.tensors[name].extents:
                assert extent.offset + extent.nbytes <= len(raw)
        except FormatError:
            pass
    with contextlib.suppress(FormatError):
        file.attribute_of_all("name")
    return "opened"


def seeds() -> list[bytes]:
    files = sorted((HERE.parent / "corpus" / "hdf5").glob("hdf5-*/*.h5"))
    found = [path.read_bytes() for path in files if path.stat().st_size <= SEED_MAX]
    found += [path.read_bytes() for path in sorted(KEPT.glob("*.h5"))]
    # kio's own files have what no other has: a table of checksums.
    attributes = {"g": {"name": "x", "list": ["a", "b"]}}
    found.append(written({"g/a": np.arange(9, dtype="f4"), "g/b": np.zeros(())}, attributes))
    found.append(written({"x": np.zeros(50_000, "i2")}, compression="gzip"))
    if not found:
        raise SystemExit("no seeds: tests/corpus/hdf5 is empty")
    return list({hashlib.sha256(raw).digest(): raw for raw in found}.values())


class Seed:
    """A file, where its structures begin, and where it seems to hold addresses."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.places = [m.start() for m in SIGNATURES.finditer(raw)] + [0, 8, 16, 24]
        self.addresses = []
        for at in range(len(raw) - 8):
            (value,) = struct.unpack_from("<Q", raw, at)
            # An address in the file of something, or what headers of version 1 begin with.
            if 48 <= value < len(raw) and raw[value : value + 4] != b"\0\0\0\0":
                self.addresses.append(at)
                if raw[value : value + 2] == b"\1\0":
                    self.places.append(value)


def mutate(r: Random, seed: Seed) -> bytes:
    raw = bytearray(seed.raw)
    for _ in range(r.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        kind = r.random()
        near = min(len(raw) - 1, r.choice(seed.places) + int(r.expovariate(1 / 40)))
        if kind < 0.35:
            raw[near] = r.choice((r.randrange(256), raw[near] ^ 1 << r.randrange(8), 0, 255))
        elif kind < 0.6:
            form = r.choice("BHIQ")
            value = r.choice((r.choice(INTEGERS), len(raw) - r.randrange(16), r.randrange(len(raw))))
            nbytes = struct.calcsize(form)
            if near + nbytes <= len(raw):
                struct.pack_into("<" + form, raw, near, value & ((1 << 8 * nbytes) - 1))
        elif kind < 0.85 and seed.addresses:
            at = r.choice(seed.addresses)
            other = r.choice(seed.addresses)
            value = r.choice((
                struct.unpack_from("<Q", seed.raw, other)[0], r.choice(seed.places), at,
                r.randrange(len(raw)), (1 << 64) - 1, len(raw) - 1,
            ))  # fmt: skip
            if at + 8 <= len(raw):
                struct.pack_into("<Q", raw, at, value)
        elif kind < 0.95:
            here, there = near, r.choice(seed.places)
            nbytes = r.choice((4, 8, 16, 40, 120))
            raw[here : here + nbytes] = raw[there : there + nbytes]
        elif len(raw) > 100:
            del raw[r.randrange(48, len(raw)) :]
            if r.random() < 0.5:
                raw += bytes(max(0, len(seed.raw) - len(raw)))
    return bytes(raw)


def keep(raw: bytes, checked: bool) -> Path:
    KEPT.mkdir(parents=True, exist_ok=True)
    suffix = "" if checked else "-unchecked"
    path = KEPT / f"{hashlib.sha256(raw).hexdigest()[:16]}{suffix}.h5"
    path.write_bytes(raw)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--last", type=Path, help="write every input here first, to see what crashed")
    arguments = parser.parse_args()
    faulthandler.enable()
    r = Random(arguments.seed)
    files = [Seed(raw) for raw in seeds()]
    outcomes: dict[str, int] = {}
    end = time.monotonic() + arguments.seconds
    runs = findings = 0
    worst = 0.0
    while time.monotonic() < end:
        raw = mutate(r, r.choice(files))
        checked = r.random() < 0.5
        if arguments.last:
            arguments.last.write_bytes(raw)
        verify_checksums(checked)
        start = time.process_time()
        try:
            outcome = run(raw)
        except Exception:
            outcome = "FINDING"
            traceback.print_exc()
        seconds = time.process_time() - start
        worst = max(worst, seconds)
        if outcome == "FINDING" or seconds > SLOW_S:
            findings += 1
            print(f"{seconds:.2f} s: {keep(raw, checked)}", file=sys.stderr)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        runs += 1
    verify_checksums(True)
    print(f"{runs} runs of {len(files)} seeds, slowest {1000 * worst:.0f} ms, {findings} findings, {outcomes}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
