"""The native HDF5 index against the descriptions of ``tests/corpus/hdf5``, which h5py made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kio import dtypes
from kio.containers import hdf5
from kio.errors import FormatError, UnsupportedError
from kio.raw.source import Source

from .hdf5_oracle import bytes_of

CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "hdf5"
FILES = sorted(CORPUS.glob("hdf5-*/*.h5"))
# Whole files that kio refuses, with what the message says.
REFUSED = {
    "sizes_16": "size of offsets",
    "sizes_2": "size of offsets",
    "swmr_open": "open for writing",
    "huge_unwritten": "limits.tensor_bytes",
}
LINKS = {"soft link": "soft", "external link": "external", "user-defined link": "user-defined"}


def printable(name: str) -> str:
    raw = name.encode("utf-8", "surrogateescape")
    if len(name) > 900:
        return name[:40] + "…" + hashlib.sha256(raw).hexdigest()
    return raw.decode("utf-8", "backslashreplace")


def plain(value: Any) -> Any:
    """An attribute of kio's as the descriptions write it."""
    if isinstance(value, bytes):
        return printable(value.decode("utf-8", "surrogateescape"))
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    return value.item() if isinstance(value, np.generic) else value


def unmarked(value: Any) -> Any:
    """A described value with its bytes taken as text, where kio has str for both."""
    if isinstance(value, dict):
        raw = value["bytes"].encode("latin-1")
        return printable(raw.decode("utf-8", "surrogateescape"))
    return [unmarked(v) for v in value] if isinstance(value, list) else value


def same_attribute(ours: Any, told: dict[str, Any]) -> bool:
    if isinstance(ours, hdf5.Unreadable):
        return (
            "committed" in ours.reason
            or not isinstance(told["stored"], str)
            or "error" in told
            or told.get("shape", 0) is None
        )
    if isinstance(ours, (str, bytes, list)):
        if "value" in told:
            return bool(plain(ours) == unmarked(told["value"]))
        lines = "\n".join(plain(v) for v in ours)
        return hashlib.sha256(lines.encode()).hexdigest() == told.get("sha256_of_lines") or "sha256" in told
    if "error" in told or told["dtype"].startswith("|V"):
        return True
    array = np.asarray(ours)
    dtype = np.dtype(told["dtype"])
    if array.dtype.kind not in "biufc":  # bfloat16, which h5py widens
        return list(array.shape) == told["shape"]
    return (
        list(array.shape) == told["shape"]
        and array.dtype == dtype.newbyteorder("=")
        and hashlib.sha256(array.astype(dtype).tobytes()).hexdigest() == told["sha256"]
    )


def dtype_told(stored: Any) -> str | None:
    """The row of kio.dtypes that a described type is, or None."""
    if isinstance(stored, str):
        return dtypes.name_of(np.dtype(stored))
    if stored.get("committed"):
        return None
    if stored["class"] == "string":
        return "text" if stored["vlen"] else f"S{stored['size']}"
    if stored["class"] == "opaque" and stored["size"] <= 2:
        return f"opaque{stored['size']}"
    if stored["class"] == "enum" and stored["base"] in ("|i1", "|u1", "i1", "u1"):
        return "bool" if stored["members"] == {"FALSE": 0, "TRUE": 1} else None
    if stored["class"] == "float" and stored["norm"] == "implied":
        fields = tuple(stored["fields"]), stored["bias"], stored["size"]
        return {
            ((15, 7, 8, 0, 7), 127, 2): "bfloat16",
            ((7, 3, 4, 0, 3), 7, 1): "float8_e4m3fn",
            ((7, 2, 5, 0, 2), 15, 1): "float8_e5m2",
        }.get(fields)
    if stored["class"] == "compound" and stored["size"] in (8, 16):
        return "complex"
    return None


def same_text(ours: Any, told: dict[str, Any]) -> bool:
    if list(ours.shape) != told["shape"]:
        return False
    if "value" in told:
        return bool(ours.reshape(-1).tolist() == [each["bytes"].encode() for each in told["value"]])
    return hashlib.sha256(ours.astype(told["dtype"]).tobytes()).hexdigest() == told["sha256"]


def check_dataset(file: hdf5.File, path: str, told: dict[str, Any]) -> str:
    """Compare one dataset; returns what became of it."""
    tensor = file.tensors[path]
    if told["shape"] is None:
        assert tensor.problem == "null dataspace"
        return "null"
    expected = dtype_told(told["stored"])
    if tensor.problem is not None:
        complete = told.get("chunks_stored") != 0 and told.get("offset", 0) is not None
        if tensor.problem.startswith("no data stored"):
            assert told["layout"] == "chunked" or not complete
        else:
            readable = expected not in (None, "complex") and told["layout"] in ("compact", "contiguous")
            assert not readable or "external_files" in told or "shared" in tensor.problem, tensor.problem
        return tensor.problem
    assert list(tensor.shape) == told["shape"]
    assert tensor.dtype_name == expected or (expected == "complex" and tensor.dtype.kind == "c")
    if tensor.nelems and told["layout"] == "contiguous":
        assert tensor.extents[0].offset == told["offset"]
    if tensor.nelems and told["layout"] == "chunked":
        assert len(tensor.extents) == told["chunks_stored"]
    if dtypes.is_text(tensor.dtype_name):
        assert same_text(np.asarray(tensor), told["read"])
        return "equal"
    digest = told.get("stored_sha256") or told.get("read", {}).get("sha256")
    if digest is not None:
        assert hashlib.sha256(bytes_of(tensor)).hexdigest() == digest
    return "equal"


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_described(path: Path) -> None:
    told = json.loads(path.with_suffix(".json").read_text())
    source = Source.open(path)
    if path.stem in REFUSED:
        with pytest.raises(FormatError, match=REFUSED[path.stem]):
            hdf5.open(source)
        return
    file = hdf5.open(source)
    assert (file.info["superblock"], file.info["user_block"]) == (told["superblock"], told["userblock"])
    names = {printable(p): p for p in ["", *file.groups, *file.tensors, *file.aliases, *file.refused]}
    seen = set()
    for shown, record in told["objects"].items():
        if "error" in record and "kind" not in record:
            assert path.stem == "sizes_4"  # h5py cannot open some of its objects
            continue
        name = resolved(file, names, shown.removeprefix("/"))
        seen.add(name)
        if record["kind"] != "alias":
            check_object(file, name, record, path.stem)
    here = {"", *file.groups, *file.tensors, *file.refused}
    assert seen <= here
    assert seen == here or path.stem in ("sizes_4", "link_name_huge") or aliased_types(file)


def aliased_types(file: hdf5.File) -> bool:
    return list(file.refused.values()).count("named datatype") > 1


def resolved(file: hdf5.File, names: dict[str, str], shown: str) -> str:
    """The path under which kio lists what a described path leads to.

    Which of several links to an object is met first depends on the order of the walk.
    """
    if shown in names:
        return file.aliases.get(names[shown], names[shown])
    parent, _, last = shown.rpartition("/")
    above = resolved(file, names, parent)
    name = names[f"{printable(above)}/{last}" if above else last]
    return file.aliases.get(name, name)


def check_object(file: hdf5.File, name: str, record: dict[str, Any], stem: str) -> None:
    kind = record["kind"]
    if kind in LINKS:
        assert file.refused[name].startswith(LINKS[kind])
        return
    if kind == "committed type":
        assert file.refused[name] == "named datatype"
        return
    if kind == "dataset":
        check_dataset(file, name, record)
    else:
        assert name == "" or name in file.groups
    try:
        ours = file.attributes(name)
    except UnsupportedError:
        assert stem == "shared_messages"
        return
    theirs = record.get("attributes", {})
    assert {printable(a) for a in ours} == theirs.keys()
    for attribute, value in ours.items():
        assert same_attribute(value, theirs[printable(attribute)]), (name, attribute, value)
