"""The HDF5 writer: what it writes, libhdf5 and kio read back."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest

from kio import dtypes
from kio.containers import hdf5
from kio.raw.sink import Sink
from kio.raw.source import Source
from kio.raw.transfer_out import Lazy
from tests.containers.written import every_dtype, layers, written


def check(data, values, *, ours=True):
    """h5py and kio find these values, bit for bit, and nothing else."""
    with h5py.File(io.BytesIO(data), "r") as file:
        found = []
        file.visititems(lambda name, it: found.append(name) if isinstance(it, h5py.Dataset) else None)
        assert sorted(found) == sorted(values)
        for path, value in values.items():
            assert file[path].shape == value.shape
            assert np.asarray(file[path][()]).tobytes() == value.tobytes(), path
    index = hdf5.open(Source.of_bytes(data)).tensors
    assert sorted(index) == sorted(values)
    for path, value in values.items():
        tensor = index[path]
        assert tensor.shape == value.shape
        if tensor.nbytes:
            assert np.asarray(tensor).tobytes() == value.tobytes(), path
            # Page-aligned from 1 MiB on, else as vector loads and jax's zero-copy want it.
            assert not ours or tensor.extents[0].offset % (4096 if tensor.nbytes >= 1 << 20 else 64) == 0


def test_every_dtype_is_read_back():
    values = every_dtype()
    data = written(values)
    check(data, values)
    with h5py.File(io.BytesIO(data), "r") as file:
        for row in dtypes.TABLE:
            found = file[f"all/{row.name}"].dtype
            # HDF5 has neither bfloat16 nor float8: opaque bytes, and a word on what they are.
            marked = row.numpy is None
            assert found == np.dtype(f"V{row.itemsize}" if marked else row.numpy)
            assert file[f"all/{row.name}"].attrs.get("dtype") == (row.name if marked else None)


@pytest.mark.parametrize("count", [0, 1, 4, 9, 128, 300, 3000])
def test_groups_of_any_size(count):
    """One symbol node, several, and B-trees of one, two and three levels."""
    values = {f"g/{i}": np.float32(i) for i in range(count)}
    check(written(values, groups=["g", "empty/inside"]), values)


def test_empty_tensors_take_no_room():
    values = {"a/0": np.zeros((0, 3), "f4"), "a/1": np.ones(3, "i2"), "b": np.zeros(0, "?")}
    check(written(values), values)


def test_a_file_without_anything():
    check(written({}), {})
    assert hdf5.open(Source.of_bytes(written({}, groups=["a/b"]))).groups == ["a", "a/b"]


ATTRIBUTES = {
    "text": "drei ü",
    "empty text": "",
    "ascii": b"abc",
    "long": "x" * 100_000,
    "texts": ["a", "bc", ""],
    "byte texts": [b"a", b"bc"],
    "none": [],
    "int": 3,
    "float": 2.5,
    "bool": True,
    "f4": np.float32(1.5),
    "complex": 1 + 2j,
    "array": np.arange(6, dtype="i2").reshape(2, 3),
    "fixed": np.array([b"ab", b"c"]),
    "unicode": np.array(["ab", "ü"]),
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_are_those_that_h5py_writes(name):
    value = ATTRIBUTES[name]
    other = io.BytesIO()
    with h5py.File(other, "w") as file:
        # h5py takes no arrays of NumPy's own text.
        file.attrs[name] = value.tolist() if name == "unicode" else value
    with h5py.File(io.BytesIO(written({}, {"": {name: value}})), "r") as mine, h5py.File(other, "r") as theirs:
        a, b = mine.attrs.get_id(name), theirs.attrs.get_id(name)
        assert a.get_type() == b.get_type()
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_array_equal(mine.attrs[name], theirs.attrs[name])


def test_kio_reads_its_attributes():
    found = hdf5.open(Source.of_bytes(written({}, {"g": ATTRIBUTES}))).attributes("g")
    assert found["text"] == "drei ü" and found["long"] == "x" * 100_000 and found["texts"] == ["a", "bc", ""]
    assert found["int"] == 3 and found["bool"] and found["array"].shape == (2, 3)


def names_of(group, name):
    """As Keras reads a list that may be in parts."""
    if name in group.attrs:
        return list(group.attrs[name])
    out, k = [], 0
    while f"{name}{k}" in group.attrs:
        out.extend(group.attrs[f"{name}{k}"])
        k += 1
    return out


@pytest.mark.parametrize("count", [4031, 4032, 4033, 4092, 4093, 20_000])
def test_long_lists_are_cut_where_keras_looks_for_the_parts(count):
    names = [f"layer_{i}" for i in range(count)]
    with h5py.File(io.BytesIO(written({}, {"": {"layer_names": names}})), "r") as file:
        assert names_of(file, "layer_names") == names
        assert ("layer_names" in file.attrs) == (count <= 4032)
    fixed = np.array([name.encode() for name in names])
    with h5py.File(io.BytesIO(written({}, {"": {"layer_names": fixed}})), "r") as file:
        assert names_of(file, "layer_names") == fixed.tolist()


def test_values_of_every_kind():
    array = np.arange(12, dtype="f4").reshape(3, 4)
    stored = hdf5.open(Source.of_bytes(written({"x": array}))).tensors["x"]
    big = array.astype(">f4")
    values = {
        "array": array,
        "strided": np.ascontiguousarray(array.T).T,
        "big-endian": big,
        "lazy": Lazy(48, lambda: array),
        "lazy big-endian": Lazy(48, lambda: big),
        "tensor": stored,
        "extent": stored.extents[0],
        "bytes": array.tobytes(),
        "address": (array.ctypes.data, 48),
        "source": Source.of_bytes(array.tobytes()),
    }
    draft = hdf5.Draft()
    for path in values:
        draft.dataset(path, "float32", (3, 4))
    sink = Sink.of_memory()
    hdf5.write(sink, draft, values)
    check(bytes(sink.getvalue()), dict.fromkeys(values, array))


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((3, 4), "f8"),
        np.zeros((4, 3), "f4"),
        np.zeros((3, 4), "V4"),
        b"x" * 47,
        None,
        Lazy(47, lambda: b"x" * 47),
        (0, 3),
    ],
    ids=["dtype", "shape", "raw", "bytes", "none", "lazy", "address"],
)
def test_values_that_do_not_fit_are_refused_before_anything_is_written(value):
    draft = hdf5.Draft()
    draft.dataset("x", "float32", (3, 4))
    sink = Sink.of_memory()
    with pytest.raises(ValueError, match=r"^value of 'x': expected .*, found "):
        hdf5.write(sink, draft, {"x": value})
    assert sink.nbytes == 0


def test_a_lazy_value_is_looked_at():
    draft = hdf5.Draft()
    draft.dataset("x", "float32", (3, 4))
    with pytest.raises(ValueError, match=r"value of 'x': expected float32 \(3, 4\), found int32 \(3, 4\)"):
        hdf5.write(Sink.of_memory(), draft, {"x": Lazy(48, lambda: np.zeros((3, 4), "i4"))})


def test_values_without_a_dataset_are_refused():
    draft = hdf5.Draft()
    draft.group("g")
    with pytest.raises(ValueError, match="values: expected those of the draft's datasets, found 'g'"):
        hdf5.write(Sink.of_memory(), draft, {"g": np.zeros(3)})


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "a/./b", ".", "a/b\0c"])
def test_paths_that_hdf5_cannot_have(path):
    with pytest.raises(ValueError, match="expected"):
        hdf5.Draft().dataset(path, "float32", ())


def test_a_path_is_one_thing_once():
    draft = hdf5.Draft()
    draft.dataset("a/b", "float32", ())
    draft.group("a", {"x": 1})
    for path in ("a/b", "a"):
        with pytest.raises(ValueError, match="expected it once"):
            draft.dataset(path, "float32", ())
    with pytest.raises(ValueError, match="expected a group"):
        draft.dataset("a/b/c", "float32", ())
    with pytest.raises(ValueError, match="expected a group"):
        draft.group("a/b")
    with pytest.raises(ValueError, match="attribute 'x': expected it once"):
        draft.group("a", {"x": 2})
    draft.place()
    with pytest.raises(ValueError, match="placed"):
        draft.group("c")
    with pytest.raises(ValueError, match="placed"):
        draft.group("a", {"y": 1})


@pytest.mark.parametrize("value", [object(), [1, "a"], np.array(["2020"], "M8[D]"), 2**70, np.zeros((2, 40_000), "f4")])
def test_attributes_that_hdf5_cannot_have(value):
    with pytest.raises((TypeError, ValueError), match="attribute 'x': expected"):
        hdf5.Draft().group("", {"x": value})


def test_names_are_sorted_by_their_bytes_and_may_be_any():
    names = ["b", "a", "10", "2", "ü", "\U0001f600", "a b", "Z", "ab", "a0"]
    values = {f"g/{name}": np.int8(k) for k, name in enumerate(names)}
    data = written(values)
    found = hdf5.open(Source.of_bytes(data)).tensors
    assert {path: np.asarray(found[path]).item() for path in found} == {f"g/{n}": k for k, n in enumerate(names)}
    with h5py.File(io.BytesIO(data), "r") as file:
        assert list(file["g"]) == sorted(names, key=str.encode)
        assert [file["g"][name][()] for name in names] == list(range(len(names)))


def test_names_that_are_no_utf_8():
    data = written({"a\udcff/\udcfe": np.int8(1), "b": np.int8(2)})
    assert list(hdf5.open(Source.of_bytes(data)).tensors) == ["a\udcff/\udcfe", "b"]
    with h5py.File(io.BytesIO(data), "r") as file:
        assert file[b"a\xff/\xfe"][()] == 1


def test_the_same_calls_give_the_same_bytes():
    values = layers(20) | every_dtype()
    assert written(values, {"layers": ATTRIBUTES}) == written(values, {"layers": ATTRIBUTES})


def test_in_the_middle_of_a_sink():
    values = layers(3)
    assert written(values, base=4096) == written(values)


def test_without_a_table_the_file_ends_where_hdf5_says():
    values = layers(3)
    data = written(values, table=False)
    check(data, values)
    assert hdf5.open(Source.of_bytes(data)).info["end_of_file"] == len(data)
    assert written(values)[: len(data)] == data


class Pipe(io.RawIOBase):
    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def test_through_a_pipe():
    values = layers(30, (200, 300))
    pipe = Pipe()
    draft = hdf5.Draft()
    for path, value in values.items():
        draft.dataset(path, "float32", value.shape)
    with Sink.of_file(pipe) as sink:
        hdf5.write(sink, draft, values)
    assert pipe.data == written(values)
