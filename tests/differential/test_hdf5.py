"""The native HDF5 index against h5py's, on files of h5py's and of the world."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kio.containers import hdf5, hdf5_lib
from kio.raw.source import Source
from tests.conftest import CORPUS, real

from .hdf5_files import make
from .hdf5_oracle import compare


def files_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        # The files of corpus/hdf5 have descriptions: test_hdf5_corpus.py.
        if path.is_file() and path.suffix in (".h5", ".hdf5", ".keras") and "hdf5-" not in path.parent.name:
            yield path


def images_of(path: Path) -> Iterator[tuple[str, bytes]]:
    raw = path.read_bytes()
    if raw.startswith(b"\x89HDF"):
        yield path.name, raw
    elif raw.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for member in archive.namelist():
                if member.endswith(".h5"):
                    yield f"{path.name}!{member}", archive.read(member)


@pytest.mark.parametrize("folder", [real(), CORPUS], ids=["real", "corpus"])
def test_files_of_the_world(folder: Path | None) -> None:
    checked = 0
    for path in files_below(folder) if folder else ():
        for _, raw in images_of(path):
            compare(raw)
            checked += 1
    if not checked:
        pytest.skip("no files at hand")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_random_files(seed: int) -> None:
    compare(make(random.Random(seed), objects=60))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_many_random_files(block: int) -> None:
    for seed in range(block * 200, block * 200 + 200):
        compare(make(random.Random(seed)))


def resolved(file: hdf5.File, path: str) -> str:
    """The native path of an object: which of its links is met first depends on the walk."""
    here = ""
    for name in path.split("/"):
        here = f"{here}/{name}" if here else name
        here = file.aliases.get(here, here)
    return here


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_twin(seed: int) -> None:
    """kio.containers.hdf5_lib gives the same index, extent by extent."""
    native = hdf5.open(Source.of_bytes(make(random.Random(seed), objects=60)))
    with hdf5_lib.open(native) as twin:
        assert {resolved(native, path) for path in twin} == set(native.tensors)
        for path, theirs in twin.items():
            ours = native.tensors[resolved(native, path)]
            if theirs.problem is not None and hdf5_lib.MISPLACED in theirs.problem:
                continue
            if ours.stored is not None:
                continue  # text that is not stored as NumPy has it: the oracle compares it
            assert (ours.problem is None) == (theirs.problem is None), (ours.problem, theirs.problem)
            assert ours.shape == theirs.shape
            if ours.problem is not None or ours.nelems == 0:
                continue
            assert (ours.dtype_name, ours.dtype) == (theirs.dtype_name, theirs.dtype)
            if theirs.extents[0].source is native.source:
                assert sorted(map(repr, ours.extents)) == sorted(map(repr, theirs.extents))
