"""Findings of the HDF5 fuzzer, replayed, and a short run of it."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from kio.containers.hdf5.structure import verify_checksums

from . import fuzz_hdf5


@pytest.mark.parametrize("path", sorted(fuzz_hdf5.KEPT.glob("*.h5")), ids=lambda p: p.stem)
def test_regression(path: Path) -> None:
    was = verify_checksums("unchecked" not in path.stem)
    start = time.process_time()
    try:
        fuzz_hdf5.run(path.read_bytes())
    finally:
        verify_checksums(was)
    assert time.process_time() - start < fuzz_hdf5.SLOW_S


def test_short_run() -> None:
    r = Random(5)
    files = [fuzz_hdf5.Seed(raw) for raw in fuzz_hdf5.seeds()[:20]]
    try:
        for _ in range(2000):
            verify_checksums(r.random() < 0.5)
            fuzz_hdf5.run(fuzz_hdf5.mutate(r, r.choice(files)))
    finally:
        verify_checksums(True)
