"""The native HDF5 index against h5py's, on files of h5py's and of the world."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .hdf5_oracle import compare

HERE = Path(__file__).resolve()
REAL = Path(os.environ.get("KIO_REAL", HERE.parents[3] / "shared" / "real"))
CORPUS = HERE.parents[1] / "corpus"


def files_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and path.suffix in (".h5", ".hdf5", ".keras"):
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


@pytest.mark.parametrize("folder", [REAL, CORPUS], ids=["real", "corpus"])
def test_files_of_the_world(folder: Path) -> None:
    checked = 0
    for path in files_below(folder):
        for _, raw in images_of(path):
            compare(raw)
            checked += 1
    if not checked:
        pytest.skip(f"no files in {folder.name}")
