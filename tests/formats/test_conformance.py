"""The contract that every registered format inherits, on its own corpus.

A new format adds ``tests/corpus/<name>/`` and a line in ``BIG``; all of this then holds for it.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import hashlib
import io
import json
import os
import random
import shutil
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import save as save_safetensors

from kio import errors
from kio.errors import FormatError, LimitError, UnknownFormatError
from kio.formats import ORDER, formats, open_checkpoint
from kio.formats.probe import Probe
from kio.limits import Limits

CORPUS = Path(__file__).parents[1] / "corpus"
CASES = sorted(path.parent for name in ORDER for path in (CORPUS / name).glob("*/expected.json"))
IDS = [f"{path.parent.name}-{path.name}" for path in CASES]


def spec(folder):
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


GOOD = [path for path in CASES if "error" not in spec(path)]
BAD = [path for path in CASES if "error" in spec(path)]
# What is one file can also come as bytes, as an open file, and with damage.
FILES = [path for path in GOOD if path.parent.name != "keras_shards" and (path / spec(path)["open"]).is_file()]


def ids(paths):
    return [f"{path.parent.name}-{path.name}" for path in paths]


def opened(folder, **limits):
    return open_checkpoint(folder / spec(folder)["open"], Limits(**limits))


def digest(array):
    little = np.asarray(array)
    little = little.astype(little.dtype.newbyteorder("<"), copy=False) if little.dtype.kind != "V" else little
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()


def digests(found):
    """Everything in a checkpoint that can be compared, payload included."""
    good = [name for name, tensor in found.items() if tensor.problem is None]
    return {
        "tensors": {name: digest(array) for name, array in found.read(good, verify=True).items()},
        "facts": {name: (t.dtype_name, t.shape, t.problem) for name, t in found.items()},
        "assets": {name: found.assets.read(name) for name in found.assets},
        "names": dict(found.names_of),
        "config": found.config,
        "metadata": found.metadata,
    }


# --------------------------------------------------------------------- what is claimed


@pytest.mark.parametrize("folder", CASES, ids=IDS)
def test_claims_its_own_corpus_and_no_other(folder):
    probe = Probe(folder / spec(folder)["open"])
    probe.look()
    assert [each.name for each in formats() if each.claims(probe)] == [folder.parent.name]
    probe.close()


@pytest.mark.parametrize("name", ORDER)
def test_has_a_corpus(name):
    assert any(path.parent.name == name for path in CASES)


@pytest.mark.parametrize("folder", BAD, ids=ids(BAD))
def test_refuses(folder):
    wanted = spec(folder)
    with pytest.raises(FormatError) as caught:
        opened(folder)
    text = str(caught.value)
    assert type(caught.value) is getattr(errors, wanted["error"]) and wanted["says"] in text
    assert text.isprintable() and len(text) < 2000
    assert wanted["open"] == "." or wanted["open"] in text


@pytest.mark.parametrize("data", [b"\0", b"hello", b"PK", b"\x89HDF", b"\0" * 600, bytes(range(256)) * 40])
def test_unknown(data):
    with pytest.raises(UnknownFormatError) as caught:
        open_checkpoint(data)
    assert all(name in str(caught.value) for name in ORDER)
    assert repr(data[:16]) in str(caught.value)


def test_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_checkpoint(tmp_path / "nothing.keras")


# ------------------------------------------------------------------------ what is said


@pytest.mark.parametrize("folder", GOOD, ids=ids(GOOD))
def test_says_what_the_reference_says(folder):
    wanted = spec(folder)
    with opened(folder) as found:
        assert found.format == folder.parent.name
        assert found.layout == wanted["layout"]
        problems = wanted.get("problems", {})
        assert set(found) == set(wanted["tensors"]) | set(problems)
        for name, record in wanted["tensors"].items():
            tensor = found[name]
            assert (tensor.name, tensor.dtype_name, tensor.shape) == (
                name,
                record["dtype"],
                tuple(record["shape"]),
            )
            assert tensor.problem is None
        for name, says in problems.items():
            assert says in str(found[name].problem)
            with pytest.raises(FormatError, match=says):
                np.asarray(found[name])
        assert {name: digest(array) for name, array in found.read(wanted["tensors"], verify=True).items()} == {
            name: record["sha256"] for name, record in wanted["tensors"].items()
        }
        if "names" in wanted:
            assert found.names_of == wanted["names"]
        if "metadata" in wanted:
            assert found.metadata == wanted["metadata"]
        if wanted.get("config"):
            assert hashlib.sha256(found.config.encode()).hexdigest() == wanted["config"]
        else:
            assert found.config is None
        assert {name: hashlib.sha256(found.assets.read(name)).hexdigest() for name in found.assets} == wanted.get(
            "assets", {}
        )
        if not problems:
            found.verify()


@pytest.mark.parametrize("folder", GOOD, ids=ids(GOOD))
def test_any_way_of_reading_gives_the_same(folder):
    wanted = {name: record["sha256"] for name, record in spec(folder)["tensors"].items()}
    names = list(wanted)
    with opened(folder) as found:
        for threads in (1, 3):
            random.Random(threads).shuffle(names)
            assert {name: digest(array) for name, array in found.read(names, threads=threads).items()} == wanted
        for budget in (1, 5000, "1MB"):
            streamed = {name: digest(array) for name, array in found.stream(names, budget=budget, verify=budget == 1)}
            assert streamed == wanted
        for name in names:
            tensor = found[name]
            whole = np.asarray(tensor)
            into = np.empty_like(whole)
            tensor.read_into(into)
            assert digest(into) == digest(whole) == wanted[name]
            box = tuple(slice(extent // 3, extent - extent // 4) for extent in whole.shape)
            assert digest(found.read_shards({name: box})[name]) == digest(whole[box])
            if whole.ndim:
                assert digest(tensor[1:]) == digest(whole[1:])


@pytest.mark.parametrize("folder", FILES, ids=ids(FILES))
def test_any_kind_of_input_gives_the_same(folder):
    path = folder / spec(folder)["open"]
    with opened(folder) as found:
        wanted = digests(found)
    data = path.read_bytes()
    kinds = [str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), Plain(data)]
    with path.open("rb") as file:
        for what in [*kinds, file]:
            with open_checkpoint(what) as found:
                assert no_file_names(digests(found)) == no_file_names(wanted)
    with open_checkpoint(path, mmap=True) as found:
        assert no_file_names(digests(found)) == no_file_names(wanted)


def no_file_names(found):
    """A problem names its file, which bytes have not."""
    facts = {name: (*fact[:2], fact[2] is None) for name, fact in found["facts"].items()}
    return {**found, "facts": facts}


class Plain:
    """The least that counts as a file object; counts the bytes that are read."""

    def __init__(self, data):
        self._file = io.BytesIO(data)
        self.nbytes = 0

    def read(self, n=-1):
        data = self._file.read(n)
        self.nbytes += len(data)
        return data

    def seek(self, offset, whence=0):
        return self._file.seek(offset, whence)


@pytest.mark.parametrize("folder", FILES, ids=ids(FILES))
def test_a_name_decides_nothing(folder, tmp_path):
    path = folder / spec(folder)["open"]
    with opened(folder) as found:
        wanted = no_file_names(digests(found))
    for name in ("x", "x.keras", "x.weights.h5", "x.npz", "x.safetensors", "x.json", "x.index", "x.h5"):
        shutil.copy(path, tmp_path / name)
        with open_checkpoint(tmp_path / name) as found:
            assert found.format == folder.parent.name
            assert no_file_names(digests(found)) == wanted


# ----------------------------------------------------------- opening reads metadata only

PAYLOAD = 24 << 20


def big_hdf5(legacy=False):
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for k in range(3):
            file[f"layers/dense_{k}/vars/0"] = np.zeros(PAYLOAD // 12, "float32")
        if legacy:
            file.attrs["layer_names"] = [b"dense_0"]
    return out.getvalue()


def big_keras():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("metadata.json", "{}")
        z.writestr("config.json", "{}")
        z.writestr("model.weights.h5", big_hdf5())
        z.writestr("assets/big.txt", bytes(PAYLOAD))
    return out.getvalue()


def big_npz():
    out = io.BytesIO()
    np.savez(out, a=np.zeros(PAYLOAD // 8), b=np.zeros(PAYLOAD // 8))
    return out.getvalue()


BIG = {
    "keras_archive": big_keras,
    "keras_h5": lambda: big_hdf5(legacy=True),
    "keras_weights": big_hdf5,
    "keras_shards": None,  # its files are those of keras_weights
    "npz": big_npz,
    "safetensors": lambda: save_safetensors({"a": np.zeros(PAYLOAD // 8)}),
    "refused": None,
}


@pytest.mark.parametrize("name", ORDER)
def test_opening_reads_metadata_only(name):
    build = BIG[name]
    if build is None:
        return
    file = Plain(build())
    with open_checkpoint(file) as found:
        assert found.format == name
        facts = {n: (t.dtype, t.shape, t.nbytes) for n, t in found.items()}
        assert facts and found.names_of is not None and list(found.assets) is not None
        assert file.nbytes < 1 << 20


# ------------------------------------------------------------------------------ damage


def outcome(what, **limits):
    """What opening and reading everything gives: digests, or the error.

    The work is bounded in CPU time, whatever else the machine does.  Waiting is bounded too, by far more
    than a busy machine takes; where it hangs is printed.
    """
    faulthandler.dump_traceback_later(4, file=sys.__stderr__)
    start, work = time.perf_counter(), time.process_time()
    try:
        with open_checkpoint(what, Limits(**limits)) as found:
            result = no_file_names(digests(found))
    except FormatError as error:
        assert str(error).isprintable() and len(str(error)) < 2000
        result = error
    finally:
        waited, worked = time.perf_counter() - start, time.process_time() - work
        faulthandler.cancel_dump_traceback_later()
    load = os.getloadavg() if hasattr(os, "getloadavg") else None
    assert worked < 1 and waited < 20, f"{worked:.2f} s of CPU, {waited:.2f} s, load {load}: {result!r}"[:500]
    return result


def cuts(nbytes):
    """Offsets to cut at: all near both ends, and some everywhere."""
    return sorted({*range(min(nbytes, 80)), *range(max(nbytes - 80, 0), nbytes), *range(0, nbytes, nbytes // 60 + 1)})


@pytest.mark.parametrize("folder", FILES, ids=ids(FILES))
def test_cut_short(folder):
    data = (folder / spec(folder)["open"]).read_bytes()
    for nbytes in cuts(len(data)):
        assert isinstance(outcome(data[:nbytes]), FormatError), nbytes


# The CRC-32 of a zip covers everything that is read; HDF5 and safetensors have none.
CHECKSUMMED = {"keras_archive", "npz"}


@pytest.mark.parametrize("folder", FILES, ids=ids(FILES))
def test_flipped_bits(folder):
    data = (folder / spec(folder)["open"]).read_bytes()
    wanted = outcome(data)
    places = random.Random(7)
    for _ in range(150):
        damaged = bytearray(data)
        damaged[places.randrange(len(data))] ^= 1 << places.randrange(8)
        found = outcome(bytes(damaged))
        if not isinstance(found, FormatError) and folder.parent.name in CHECKSUMMED:
            assert found == wanted


@pytest.mark.parametrize("folder", [p for p in GOOD if p.parent.name == "keras_shards"], ids=lambda p: p.name)
def test_damaged_shards(folder, tmp_path):
    name = spec(folder)["open"]
    for path in [*sorted(folder.glob("*.weights.h5")), folder / name]:
        stale = path.name in spec(folder)["metadata"].get("stale_shards", ())
        data = path.read_bytes()
        for nbytes in cuts(len(data))[::7]:
            shutil.copytree(folder, tmp_path / "x", dirs_exist_ok=True)
            (tmp_path / "x" / path.name).write_bytes(data[:nbytes])
            assert isinstance(outcome(tmp_path / "x" / name), FormatError) != stale
        shutil.copytree(folder, tmp_path / "x", dirs_exist_ok=True)
        (tmp_path / "x" / path.name).unlink()
        if path.name == name:
            continue
        assert isinstance(outcome(tmp_path / "x" / name), FormatError) != stale


FIELDS = [field.name for field in dataclasses.fields(Limits)]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("folder", GOOD, ids=ids(GOOD))
def test_limits(folder, field):
    """A limit of zero or one stops the format by LimitError, or does not concern it."""
    path = folder / spec(folder)["open"]
    wanted = outcome(path)
    for value in (0, 1, 2):
        found = outcome(path, **{field: value})
        if isinstance(found, FormatError):
            assert isinstance(found, LimitError), found
            assert field in str(found)
        else:
            assert found == wanted


def test_each_limit_stops_some_format():
    """Every field of Limits is one that something in the corpus reaches."""
    reached = set()
    for field in FIELDS:
        for folder in GOOD:
            if isinstance(outcome(folder / spec(folder)["open"], **{field: 0}), LimitError):
                reached.add(field)
                break
    # Those of large files, which tests/hostile reaches, and of models, which tests/models does.
    elsewhere = {"work_factor", "work_bytes", "expansion", "unbacked_bytes", "spool_expansion", "model_bytes"}
    assert set(FIELDS) - reached <= elsewhere
