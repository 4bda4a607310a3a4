"""The contract that every registered format inherits (``kio.testing``), on its own corpus.

A new format adds ``tests/corpus/<name>/``, and nothing here, unless something in it differs: see below.
"""

from __future__ import annotations

import dataclasses
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kio
from kio.contents import Contents
from kio.errors import FormatError, LimitError, UnknownFormatError
from kio.formats import ORDER, open_checkpoint, written
from kio.limits import Limits
from kio.testing import PAYLOAD, Case, ReadingContract, WritingContract, cases, cuts, outcome

CORPUS = Path(__file__).parents[1] / "corpus"


# ----------------------------------------------------------- opening reads metadata only


def large_hdf5(legacy: bool = False) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for k in range(3):
            file[f"layers/dense_{k}/vars/0"] = np.zeros(PAYLOAD // 12, "float32")
        if legacy:
            file.attrs["layer_names"] = [b"dense_0"]
    return out.getvalue()


def large_keras() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("metadata.json", "{}")
        z.writestr("config.json", "{}")
        z.writestr("model.weights.h5", large_hdf5())
        z.writestr("assets/big.txt", bytes(PAYLOAD))
    return out.getvalue()


def large_npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.zeros(PAYLOAD // 16), b=np.zeros(PAYLOAD // 16))
    return out.getvalue()


def large_safetensors() -> bytes:
    header = b'{"a":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (PAYLOAD // 4, PAYLOAD)
    return len(header).to_bytes(8, "little") + header + bytes(PAYLOAD)


def large_of_its_own(name: str) -> bytes | None:
    """What the format writes itself, where that is one file."""
    for each in written("weights"):
        if each.name == name and "file" in each.writes:
            out = io.BytesIO()
            kio.write(out, {"a": np.zeros(PAYLOAD // 4, "float32")}, format=name)
            return out.getvalue()
    return None  # shards are files of keras_weights, and nothing is read of what is refused


# By other writers than kio.
LARGE: dict[str, Callable[[], bytes]] = {
    "keras_archive": large_keras,
    "keras_h5": lambda: large_hdf5(legacy=True),
    "keras_weights": large_hdf5,
    "npz": large_npz,
    "safetensors": large_safetensors,
}
# Formats of more than one file.
SEVERAL = {"keras_shards", "tf_checkpoint"}
# The CRC-32 of a zip covers everything that is read; HDF5 and safetensors have none.
CHECKSUMMED = {"keras_archive", "npz"}


def contract(name: str) -> type[ReadingContract]:
    """The tests of one format."""
    made: dict[str, Any] = {
        "__module__": __name__,
        "format": name,
        "corpus": CORPUS / name,
        "checksummed": name in CHECKSUMMED,
        "several_files": name in SEVERAL,
    }
    made["large"] = lambda self: LARGE[name]() if name in LARGE else large_of_its_own(name)
    return type(f"Test_{name}", (ReadingContract,), made)


for _name in ORDER:
    globals()[f"Test_{_name}"] = contract(_name)


# ---------------------------------------------------------------------------- writing


class Listed(WritingContract):
    """A format that has lists of layers and weights."""

    def contents(self, arrays: dict[str, Any], **facts: Any) -> Contents:
        made = super().contents(arrays, **facts)
        layers: dict[str, list[bytes]] = {"layers/none": []}
        for name in arrays:
            layer, _, weight = name.partition("/vars/")
            layers.setdefault(layer, []).append(b"vars/" + weight.encode())
        made.attributes = {name: {"weight_names": weights} for name, weights in layers.items()}
        made.attributes[""] = {"layer_names": [name.encode() for name in layers]}
        return made


# Formats whose contents are more than names and arrays.
WRITTEN = {"keras_h5": Listed}

for _format in written():
    _base = WRITTEN.get(_format.name, WritingContract)
    globals()[f"Test_{_format.name}_written"] = type(
        f"Test_{_format.name}_written", (_base,), {"__module__": __name__, "format": _format.name}
    )


# ------------------------------------------------------------------------- all formats

CASES = [case for name in ORDER for case in cases(CORPUS / name)]
GOOD = [case for case in CASES if not case.bad]


@pytest.mark.parametrize("raw", [b"\0", b"hello", b"PK", b"\x89HDF", b"\0" * 600, bytes(range(256)) * 40])
def test_unknown(raw: bytes) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        open_checkpoint(raw)
    assert all(name in str(caught.value) for name in ORDER)
    assert repr(raw[:16]) in str(caught.value)


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_checkpoint(tmp_path / "nothing.keras")


@pytest.mark.parametrize("case", [case for case in cases(CORPUS / "keras_shards") if not case.bad], ids=str)
def test_damaged_shards(case: Case, tmp_path: Path) -> None:
    folder, name = case.folder, case.path.name
    for path in [*sorted(folder.glob("*.weights.h5")), case.path]:
        stale = path.name in case.expected["metadata"].get("stale_shards", ())
        raw = path.read_bytes()
        for nbytes in cuts(len(raw))[::7]:
            shutil.copytree(folder, tmp_path / "x", dirs_exist_ok=True)
            (tmp_path / "x" / path.name).write_bytes(raw[:nbytes])
            assert isinstance(outcome(tmp_path / "x" / name), FormatError) != stale
        shutil.copytree(folder, tmp_path / "x", dirs_exist_ok=True)
        (tmp_path / "x" / path.name).unlink()
        if path.name == name:
            continue
        assert isinstance(outcome(tmp_path / "x" / name), FormatError) != stale


def test_each_limit_stops_some_format() -> None:
    """Every field of Limits is one that something in the corpus reaches."""
    reached = set()
    fields = [field.name for field in dataclasses.fields(Limits)]
    for field in fields:
        for case in GOOD:
            if isinstance(outcome(case.path, **{field: 0}), LimitError):
                reached.add(field)
                break
    # Those of large files, which tests/hostile reaches, and of models, which tests/models does.
    elsewhere = {"work_factor", "work_bytes", "expansion", "unbacked_bytes", "spool_expansion", "model_bytes"}
    assert set(fields) - reached <= elsewhere
