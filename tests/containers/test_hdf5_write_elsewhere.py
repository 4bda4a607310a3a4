"""Files of the writer in other hands: h5py old and new, h5dump and h5repack, very large ones.

``KIO_OLD_H5PY`` names Python interpreters that have another h5py (``os.pathsep`` between
them); without it only this one's is asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kio import dtypes
from kio.containers import hdf5
from kio.raw.sink import Sink
from kio.raw.source import Source
from tests.containers.test_hdf5_write import check
from tests.containers.written import every_dtype, layers, written

SCRIPT = Path(__file__).with_name("old_h5py.py")
PYTHONS = [sys.executable, *filter(None, os.environ.get("KIO_OLD_H5PY", "").split(os.pathsep))]


def model():
    values = {**layers(4, (30, 40)), **every_dtype(), "empty_tensor": np.zeros((0, 3), "f4")}
    values |= {f"many/{k}": np.int32(k) for k in range(300)}
    attributes = {f"layers/dense_{k}/vars": {"name": "drei ü"} for k in range(4)}
    return values, {**attributes, "": {"long": "x" * 100_000}, "empty/inside": {}}


@pytest.mark.parametrize("python", PYTHONS)
def test_h5py_of_other_years_reads_and_edits(python, tmp_path):
    values, attributes = model()
    path = tmp_path / "a.h5"
    path.write_bytes(written(values, attributes))
    # Types that NumPy has not are bytes to every h5py.
    plain = {
        name: value.view(f"V{value.itemsize}") if value.dtype.isbuiltin != 1 or value.dtype.kind == "V" else value
        for name, value in values.items()
    }
    np.savez(tmp_path / "expected.npz", **plain)
    done = subprocess.run(
        [python, SCRIPT, path, tmp_path / "expected.npz"], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(which("h5dump") is None, reason="needs the HDF5 tools")
def test_the_tools_of_hdf5(tmp_path):
    values, attributes = model()
    path, packed = tmp_path / "a.h5", tmp_path / "b.h5"
    path.write_bytes(written(values, attributes))
    for command in (["h5dump", path], ["h5stat", path], ["h5repack", path, packed], ["h5diff", path, packed]):
        # Not under a sanitizer that was preloaded for Python.
        plain = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
        done = subprocess.run(command, env=plain, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
    check(packed.read_bytes(), values, ours=False)


# Names of groups and of datasets are told apart by their first letter.
LETTERS = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
NAMES = st.text(LETTERS, min_size=1, max_size=9)
SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
PATHS = st.tuples(st.lists(NAMES.map("g{}".format), max_size=3), NAMES.map("d{}".format)).map(
    lambda parts: "/".join([*parts[0], parts[1]])
)
TREES = st.dictionaries(PATHS, st.tuples(st.sampled_from([row.name for row in dtypes.TABLE]), SHAPES), max_size=30)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)
VALUES = st.one_of(
    TEXTS,
    st.lists(TEXTS, max_size=5),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
)
ATTRIBUTES = st.dictionaries(st.text(LETTERS, min_size=1, max_size=20), VALUES, max_size=5)


@settings(max_examples=150, deadline=None)
@given(TREES, st.dictionaries(NAMES.map("g{}".format), ATTRIBUTES, max_size=4))
def test_any_tree(tree, groups):
    values = {}
    for path, (name, shape) in tree.items():
        nbytes = int(np.prod(shape)) * dtypes.BY_NAME[name].itemsize
        raw = np.resize(np.arange(2, dtype="u1"), nbytes)
        dtype = dtypes.numpy_dtype(name)
        values[path] = raw.view(dtype).reshape(shape) if nbytes else np.zeros(shape, dtype)
    data = written(values, groups)
    check(data, values)
    found = hdf5.open(Source.of_bytes(data))
    for path, attributes in groups.items():
        read = found.attributes(path)
        assert set(read) == set(attributes)
        for name, value in attributes.items():
            assert len(read[name]) == 0 if value == [] else read[name] == value


def test_a_tensor_of_five_gigabytes(tmp_path):
    """In a file that is all holes: the structure, and a few bytes at the end of each tensor."""
    draft = hdf5.Draft()
    draft.dataset("first", "uint8", (5 << 30,))
    draft.dataset("second", "float32", (3, 1 << 30))
    draft.dataset("third", "int16", (5,))
    draft.place()
    path = tmp_path / "large.h5"
    places = {name: (offset, nbytes) for name, offset, nbytes in draft.runs()}
    assert draft.nbytes == places["third"][0] + 10 > 17 << 30
    with open(path, "wb") as file:
        file.write(draft.structure())
        for number, (offset, nbytes) in enumerate(places.values(), 1):
            file.seek(offset + nbytes - 1)
            file.write(bytes([number]))
    assert path.stat().st_blocks * 512 < 1 << 20
    with h5py.File(path, "r") as file:
        assert file["first"][-3:].tolist() == [0, 0, 1] and file["third"].shape == (5,)
        assert file["second"][2, -1:].view("u1").tolist() == [0, 0, 0, 2]
        assert file["third"][()].tolist() == [0, 0, 0, 0, 3 << 8]
    source = Source.open(path)
    found = hdf5.open(source).tensors
    assert found["first"][-3:].tolist() == [0, 0, 1] and found["third"][4] == 3 << 8
    assert found["second"].nbytes == 12 << 30
    source.close()


@pytest.mark.slow
@pytest.mark.parametrize("count", [8193, 270_000])
def test_b_trees_of_three_and_four_levels(count, tmp_path):
    values = {f"g/{k}": np.int32(k) for k in range(count)}
    path = tmp_path / "a.h5"
    path.write_bytes(written(values))
    tree = hdf5.open(Source.open(path)).tensors
    assert len(tree) == count
    for k in range(0, count, 997):
        assert np.asarray(tree[f"g/{k}"]) == k
    with h5py.File(path, "r+") as file:
        assert len(file["g"]) == count
        for k in [*range(0, count, 9973), count - 1]:
            assert file[f"g/{k}"][()] == k
        names = list(file["g"])
        assert names == sorted(names)
        file["g/new"] = 5
        del file["g/7"]
    with h5py.File(path, "r") as file:
        assert len(file["g"]) == count and file["g/new"][()] == 5 and "7" not in file["g"]


@pytest.mark.slow
def test_a_hundred_thousand_variables(tmp_path):
    values = {f"layers/dense_{k // 2}/vars/{k % 2}": np.full((3, 4), k, "f4") for k in range(100_000)}
    draft = hdf5.Draft()
    for path, value in values.items():
        draft.dataset(path, "float32", value.shape)
    path = tmp_path / "a.weights.h5"
    with Sink.open(path, durable=False) as sink:
        hdf5.write(sink, draft, values)
    source = Source.open(path)
    found = hdf5.open(source).tensors
    assert len(found) == 100_000
    with h5py.File(path, "r") as file:
        for k in range(0, 100_000, 4999):
            name = f"layers/dense_{k // 2}/vars/{k % 2}"
            assert (file[name][()] == k).all() and (np.asarray(found[name]) == k).all()
    source.close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "darwin", reason="ru_maxrss has another unit")
def test_one_tensor_is_in_memory_at_a_time(tmp_path):
    """Values made on demand: 1 GiB of them in 32 MiB pieces, in a process of its own."""
    code = f"""
import numpy as np, resource
from kio.containers import hdf5
from kio.raw.sink import Sink
from kio.raw.transfer_out import Lazy
draft = hdf5.Draft()
make = lambda: np.ones((2048, 4096), "f4")
for k in range(32):
    draft.dataset(str(k), "float32", (2048, 4096))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Sink.open({str(tmp_path / "a.h5")!r}, durable=False) as sink:
    hdf5.write(sink, draft, {{str(k): Lazy(32 << 20, make) for k in range(32)}})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Two are made, one of them being written: RSS in KiB.
    assert int(done.stdout) < 80 << 10
