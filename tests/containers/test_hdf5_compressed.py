"""Compressed datasets: chunks of about a MiB, in parallel, read by libhdf5 and by kio."""

from __future__ import annotations

import io
import threading
from importlib.util import find_spec

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kio
from kio import dtypes
from kio.containers import hdf5
from kio.containers.hdf5.chunking import Chunking, filters_of
from kio.errors import ChecksumError, FormatError
from kio.raw import transfer
from kio.raw.sink import Sink
from kio.raw.source import Source
from kio.raw.transfer_out import Lazy
from tests.containers.written import every_dtype, written

RNG = np.random.default_rng(5)
VALUES = {
    "small": np.arange(100, dtype="f4"),
    "one chunk": RNG.integers(0, 9, (100, 300)).astype("f4"),
    "rows": RNG.integers(0, 9, (1000, 700)).astype("f4"),
    "inner axis": RNG.integers(0, 9, (3, 2, 500_000)).astype("i4"),
    "middle axis": RNG.integers(0, 9, (2, 301, 70, 13)).astype("f8"),
    "long": np.zeros(3_000_001, "u1"),
    "noise": RNG.integers(0, 256, (500, 5000), "u1"),
    "scalar": np.float32(3.5),
    "empty": np.zeros((0, 5), "f4"),
    "bf16": np.frombuffer(RNG.bytes(60_000), dtypes.numpy_dtype("bfloat16")).reshape(3, 100, 100),
    "strided": np.asfortranarray(RNG.integers(0, 9, (400, 600)).astype("f4")),
    "big-endian": RNG.integers(0, 9, (400, 600)).astype(">f4"),
    "complex": (RNG.integers(0, 9, (50, 600)) * 1j).astype("c16"),
}


def check(data, values, compressed):
    index = hdf5.open(Source.of_bytes(data)).tensors
    assert sorted(index) == sorted(values)
    for path, value in values.items():
        tensor = index[path]
        assert tensor.shape == value.shape
        if tensor.nbytes:
            assert (not tensor.plain) == (value.nbytes >= 16384)
            assert tensor.summed
            expected = value.astype(value.dtype.newbyteorder("=")) if value.dtype.kind != "V" else value
            assert transfer.read([tensor], verify=True)[0].tobytes() == expected.tobytes(), path
    transfer.check(list(index.values()))
    if compressed == "zstd" and find_spec("hdf5plugin") is None:
        return
    with h5py.File(io.BytesIO(data), "r") as file:
        for path, value in values.items():
            found = file[path][()]
            if value.dtype.kind == "V" or value.dtype.isbuiltin == 2:
                assert found.tobytes() == value.tobytes()
            else:
                np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("compression", ["gzip", "zstd", ("gzip", 1), ("gzip", 0), ("zstd", 9)], ids=str)
@pytest.mark.parametrize("threads", [1, 4])
def test_read_back(compression, threads):
    data = written(VALUES, compression=compression, threads=threads)
    check(data, VALUES, compression if isinstance(compression, str) else compression[0])


def test_libhdf5_names_the_filters():
    data = written({"x": VALUES["rows"]}, compression=("gzip", 7))
    with h5py.File(io.BytesIO(data), "r") as file:
        found = file["x"]
        assert (found.compression, found.compression_opts, found.shuffle) == ("gzip", 7, True)
        # 2.7 MiB in three parts of nearly the same size.
        assert found.chunks == (334, 700) and found.id.get_num_chunks() == 3
        assert found.id.get_storage_size() < found.nbytes / 4


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_zeros_are_no_bomb(compression):
    """What a fresh optimizer has: any reader's guard against bombs lets it pass."""
    value = np.zeros(8_000_000, "f4")
    data = written({"x": value}, compression=compression)
    assert value.nbytes / 1032 < len(data) < value.nbytes / 800
    with kio.open(data) as found:
        np.testing.assert_array_equal(found["x"], value)


def test_threads_and_runs_give_the_same_bytes():
    assert len({written(VALUES, compression="zstd", threads=threads) for threads in (1, 2, 5, 5)}) == 1


def test_what_does_not_become_shorter_is_kept_as_it_is():
    data = written({"x": RNG.integers(0, 256, (512, 4096), "u1")}, compression="gzip")
    tensor = hdf5.open(Source.of_bytes(data)).tensors["x"]
    assert all(extent.codecs == () for extent in tensor.extents)
    with h5py.File(io.BytesIO(data), "r") as file:
        assert {file["x"].id.get_chunk_info(k).filter_mask for k in range(len(tensor.extents))} == {1}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.sampled_from(["u1", "f2", "f4", "c16"]),
    st.sampled_from(["gzip", "zstd"]),
    st.integers(0, 3),
)
def test_any_shape(shape, dtype, compression, axis):
    """Shapes around the limits: one axis is made long enough for several chunks."""
    shape[axis % len(shape)] *= max(1, (1_500_000 // np.dtype(dtype).itemsize) // int(np.prod(shape)))
    value = np.arange(int(np.prod(shape)) % (1 << 23)).astype("u1")
    value = np.resize(value, int(np.prod(shape)) * np.dtype(dtype).itemsize).view(dtype).reshape(shape)
    found = hdf5.open(Source.of_bytes(written({"x": value}, compression=compression))).tensors["x"]
    assert np.asarray(found).tobytes() == value.tobytes()
    key = tuple(slice(n // 3, n // 3 + 2) for n in shape)
    assert found[key].tobytes() == value[key].tobytes()


@pytest.mark.parametrize("count", [1, 64, 65, 64 * 64, 64 * 64 + 1])
def test_b_trees_of_one_to_three_levels(count):
    """Chunks as another file has them: small ones, so that there can be many."""
    other = io.BytesIO()
    values = np.arange(count * 4, dtype="i2")
    with h5py.File(other, "w") as file:
        file.create_dataset("x", data=values, chunks=(4,), compression="gzip")
    copied = like(other.getvalue())
    with h5py.File(io.BytesIO(copied), "r") as file:
        np.testing.assert_array_equal(file["x"][()], values)
        assert file["x"].id.get_num_chunks() == count
    np.testing.assert_array_equal(np.asarray(hdf5.open(Source.of_bytes(copied)).tensors["x"]), values)


def like(data):
    index = hdf5.open(Source.of_bytes(data)).tensors
    draft = hdf5.Draft()
    for path, tensor in index.items():
        draft.dataset(path, tensor.dtype_name, tensor.shape, like=tensor)
    sink = Sink.of_memory()
    assert hdf5.write(sink, draft, dict(index))[0] == hdf5.nbytes_of(draft)
    return bytes(sink.getvalue())


OPTIONS = [
    {"compression": "gzip"},
    {"compression": "gzip", "shuffle": True},
    {"compression": "lzf", "fletcher32": True},
    {"shuffle": True, "fletcher32": True, "compression": "gzip"},
    {},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_chunks_are_copied_undecoded(options):
    value = RNG.integers(0, 9, (100, 70)).astype("f4")
    other = io.BytesIO()
    with h5py.File(other, "w", libver="latest" if options else None) as file:
        file.create_dataset("x", data=value, chunks=(30, 33), **options)
        file["plain"] = value
    with h5py.File(io.BytesIO(like(other.getvalue())), "r") as mine, h5py.File(other, "r") as theirs:
        for path in ("x", "plain"):
            np.testing.assert_array_equal(mine[path][()], value)
            for fact in ("chunks", "compression", "shuffle", "fletcher32"):
                assert getattr(mine[path], fact) == getattr(theirs[path], fact)
        for start in ((0, 0), (30, 33), (90, 66)):
            assert mine["x"].id.read_direct_chunk(start) == theirs["x"].id.read_direct_chunk(start)


def test_a_skipped_filter_stays_skipped():
    data = written({"x": VALUES["noise"], "y": VALUES["rows"]}, compression="gzip")
    check(like(data), {"x": VALUES["noise"], "y": VALUES["rows"]}, "gzip")


def test_another_value_than_the_tensor_is_refused():
    index = hdf5.open(Source.of_bytes(written({"x": VALUES["rows"]}, compression="gzip"))).tensors
    draft = hdf5.Draft()
    draft.dataset("x", "float32", (1000, 700), like=index["x"])
    with pytest.raises(ValueError, match="expected the tensor that it is stored like, found another"):
        hdf5.write(Sink.of_memory(), draft, {"x": VALUES["rows"]})
    with pytest.raises(ValueError, match=r"storage of 'x': expected a tensor of \(10,\)"):
        hdf5.Draft().dataset("x", "float32", (10,), like=index["x"])


def test_values_of_every_kind():
    array = VALUES["rows"]
    stored = hdf5.open(Source.of_bytes(written({"x": array}))).tensors["x"]
    packed = hdf5.open(Source.of_bytes(written({"x": array}, compression="gzip"))).tensors["x"]
    values = {
        "array": array,
        "lazy": Lazy(array.nbytes, lambda: array.astype(">f4")),
        "tensor": stored,
        "compressed": packed,
        "extent": stored.extents[0],
        "bytes": array.tobytes(),
        "address": (array.ctypes.data, array.nbytes),
        "source": Source.of_bytes(array.tobytes()),
    }
    draft = hdf5.Draft("zstd")
    for path in values:
        draft.dataset(path, "float32", array.shape)
    sink = Sink.of_memory()
    told = []
    most = hdf5.nbytes_of(draft)
    nbytes, _ = hdf5.write(sink, draft, values, progress=lambda done, total: told.append((done, total)))
    assert nbytes <= most
    check(bytes(sink.getvalue()), dict.fromkeys(values, array), "zstd")
    assert told == sorted(told) and told[-1] == (array.nbytes * len(values),) * 2


def test_a_draft_may_be_written_twice():
    draft = hdf5.Draft("gzip")
    draft.dataset("x", "float32", (1000, 700))
    sinks = [Sink.of_memory(), Sink.of_memory()]
    for sink in sinks:
        hdf5.write(sink, draft, {"x": VALUES["rows"]})
    assert sinks[0].getvalue() == sinks[1].getvalue()


def test_a_pipe_is_refused_before_anything_is_written():
    class Pipe(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            raise AssertionError

    draft = hdf5.Draft("gzip")
    draft.dataset("x", "float32", (1000, 700))
    with Sink.of_file(Pipe()) as sink, pytest.raises(io.UnsupportedOperation, match="cannot seek"):
        hdf5.write(sink, draft, {"x": VALUES["rows"]})


def test_an_error_ends_the_threads():
    before = threading.active_count()

    def fail():
        raise RuntimeError("no")

    draft = hdf5.Draft("gzip")
    draft.dataset("a", "float32", (1000, 700))
    draft.dataset("b", "float32", (1000, 700))
    with pytest.raises(RuntimeError, match="no"):
        hdf5.write(Sink.of_memory(), draft, {"a": VALUES["rows"], "b": Lazy(2_800_000, fail)}, threads=4)
    assert threading.active_count() == before


@pytest.mark.parametrize("compression", ["lzma", ("gzip", 10), ("zstd", 0), ("gzip", "x"), ("gzip", 1, 2)], ids=str)
def test_unknown_compressions(compression):
    with pytest.raises(ValueError, match="expected"):
        hdf5.Draft(compression)


def test_chunks_are_about_a_mebibyte():
    for shape, itemsize in [((10_000, 1000), 4), ((7, 10_000_000), 8), ((3, 3, 512, 512), 4), ((1 << 33,), 1)]:
        found = Chunking(shape, itemsize, filters_of("gzip", itemsize))
        assert 1 << 19 <= found.nbytes <= 1 << 20
        assert found.count >= np.prod([float(n) for n in shape]) * itemsize / (1 << 20)


def test_every_flipped_bit_of_a_chunk_is_found():
    value = RNG.integers(0, 3, (100, 100)).astype("f4")
    data = written({"x": value}, compression="gzip")
    extent = hdf5.open(Source.of_bytes(data)).tensors["x"].extents[0]
    for at in range(extent.offset, extent.offset + extent.nbytes, 7):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        found = hdf5.open(Source.of_bytes(bytes(damaged))).tensors["x"]
        with pytest.raises(ChecksumError, match="CRC-32 of stored data"):
            transfer.read([found], verify=True)
    report = kio.verify(data)
    assert report and "CRC-32 of each tensor" in report.checksums


def test_every_dtype_in_one_file():
    values = every_dtype((40, 50, 30))
    data = written(values, compression="gzip")
    index = hdf5.open(Source.of_bytes(data)).tensors
    for path, value in values.items():
        assert np.asarray(index[path]).tobytes() == value.tobytes()
    with pytest.raises(FormatError):
        hdf5.open(Source.of_bytes(data[:-100_000]))
