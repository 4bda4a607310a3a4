"""The table of checksums behind a file: what changes is found, what was edited has none."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest

import kio
from kio.containers import hdf5
from kio.containers.hdf5 import sums
from kio.errors import ChecksumError, CorruptError, FormatError
from kio.raw import transfer
from kio.raw.sink import Sink
from kio.raw.source import Source
from tests.containers.written import every_dtype, layers, written

LARGE = np.random.default_rng(1).integers(0, 256, (5, 700, 1000), "u1")  # 3.5 blocks


def values():
    return {**layers(4), **every_dtype(), "large": LARGE, "empty": np.zeros((0, 2), "f4")}


def opened(data):
    return hdf5.open(Source.of_bytes(data))


def flipped(data, at, bit=0):
    out = bytearray(data)
    out[at] ^= 1 << bit
    return bytes(out)


def end_of(data):
    with h5py.File(io.BytesIO(data), "r"):
        return int.from_bytes(data[40:48], "little")


def test_every_tensor_has_its_own():
    index = opened(written(values())).tensors
    for name in index:
        assert index[name].summed == (index[name].nbytes > 0)
    assert not any(t.summed for t in opened(written(values(), table=False)).tensors.values())


@pytest.mark.parametrize("verify", [True, None])
@pytest.mark.parametrize("threads", [1, 3])
def test_good_files_are_read(verify, threads, tmp_path):
    expected = values()
    data = written(expected)
    path = tmp_path / "a.weights.h5"
    path.write_bytes(data)
    for index in (opened(data).tensors, hdf5.open(Source.open(path)).tensors):
        tensors = list(index.values())
        arrays = transfer.read(tensors, threads=threads, verify=verify)
        for tensor, array in zip(tensors, arrays, strict=True):
            assert array.tobytes() == expected[tensor.name].tobytes()
        transfer.check(tensors, threads=threads, verify=verify)
        for tensor, array in transfer.stream(tensors, budget=100_000, verify=True):
            assert array.tobytes() == expected[tensor.name].tobytes()


@pytest.mark.parametrize("mapped", [False, True], ids=["file", "mapped"])
def test_damaged_tensors_are_named(mapped, tmp_path):
    expected = values()
    data = written(expected)
    path = tmp_path / "a.weights.h5"
    for name, tensor in opened(data).tensors.items():
        if not tensor.nbytes:
            continue
        start = tensor.extents[0].offset
        for at in {start, start + tensor.nbytes // 2, start + tensor.nbytes - 1}:
            path.write_bytes(flipped(data, at, 7))
            source = Source.open(path, mmap=mapped)
            index = hdf5.open(source).tensors
            for read in (transfer.read, transfer.check):
                with pytest.raises(ChecksumError, match="CRC-32 of stored data: expected 0x") as e:
                    read(list(index.values()))
                assert e.value.tensor == name
                assert start <= e.value.offset <= at and e.value.offset % 4 == start % 4
            # Unchecked, it is read as it is; and the others are not concerned.
            assert transfer.read([index[name]], verify=False)[0].tobytes() != expected[name].tobytes()
            transfer.read([t for t in index.values() if t.name != name], verify=True)
            source.close()


def test_the_block_is_found():
    data = written({"large": LARGE})
    start = opened(data).tensors["large"].extents[0].offset
    for block in range(4):
        index = opened(flipped(data, start + (block << 20) + 5)).tensors
        with pytest.raises(ChecksumError) as e:
            transfer.read([index["large"]])
        assert e.value.offset == start + (block << 20)


@pytest.mark.parametrize("key", [np.s_[0], np.s_[1:3, 5:7], np.s_[:, 699], np.s_[:, :, 10:20], np.s_[4, 699, 999], ...])
def test_parts_are_compared_by_whole_blocks(key, tmp_path):
    data = written({"large": LARGE, "small": np.arange(5, dtype="f4")})
    path = tmp_path / "a.h5"
    path.write_bytes(data)
    index = hdf5.open(Source.open(path)).tensors
    np.testing.assert_array_equal(transfer.read_slice(index["large"], key, verify=True), LARGE[key])
    np.testing.assert_array_equal(transfer.read_slice(index["large"], key), LARGE[key])
    start = index["large"].extents[0].offset
    touched = np.zeros(LARGE.shape, bool)
    touched[key] = True
    blocks = {at >> 20 for at in np.flatnonzero(touched.reshape(-1))}
    for block in range(4):
        path.write_bytes(flipped(data, start + (block << 20) + 100_000))
        index = hdf5.open(Source.open(path)).tensors
        if block in blocks:
            with pytest.raises(ChecksumError, match="tensor large"):
                transfer.read_slice(index["large"], key, verify=True)
        else:
            np.testing.assert_array_equal(transfer.read_slice(index["large"], key, verify=True), LARGE[key])


def test_structure_is_checked_at_open():
    data = written(layers(3))
    for at in range(hdf5_structure(data)):
        with pytest.raises(FormatError):
            # Anything before the end-of-file address is found by it at the latest.
            if at in range(40, 48):
                raise CorruptError("see test_the_end_of_file_address")
            kio.open(flipped(data, at, at % 8))


def hdf5_structure(data):
    end = end_of(data)
    return int.from_bytes(data[end + 24 : end + 32], "little")


def test_the_end_of_file_address():
    """Flipped, the table is out of place; then the file is refused, or reads as it was."""
    expected = layers(3)
    data = written(expected)
    for at in range(40, 48):
        for bit in range(8):
            try:
                index = opened(flipped(data, at, bit)).tensors
                for name, array in zip(index, transfer.read(list(index.values())), strict=True):
                    assert array.tobytes() == expected[name].tobytes()
            except FormatError:
                continue


def test_a_damaged_table_is_refused_unless_it_is_none():
    expected = layers(3)
    data = written(expected)
    for at in range(end_of(data), len(data)):
        for bit in range(8):
            try:
                index = opened(flipped(data, at, bit)).tensors
            except FormatError:
                continue
            # A flip in its size or its name: no table, and the data are as they were.
            assert len(data) - at <= 24
            assert all(np.asarray(index[name]).tobytes() == expected[name].tobytes() for name in expected)


def test_a_table_that_contradicts_itself():
    """Whoever can compute a CRC cannot make kio read data as structure, or beyond the table."""
    data = written({"a": np.arange(100, dtype="f4"), "b": np.arange(3, dtype="i1")})
    end, structure = end_of(data), hdf5_structure(data)
    runs, parts = [(structure + 32, 400), (structure + 448, 3)], [[1], [2]]
    found = opened(data).tensors
    runs = [(found[name].extents[0].offset, found[name].nbytes) for name in "ab"]
    crc = int.from_bytes(data[end + 32 : end + 36], "little")

    def with_table(*args):
        return data[:end] + sums.table_of(*args)

    opened(with_table(end, structure, crc, runs, parts))
    for args in [
        (end + 1, structure, crc, runs, parts),
        (end, structure, crc, runs[:1], parts[:1]),
        (end, structure, crc, [(runs[0][0], 399), runs[1]], parts),
        (end, structure, crc, [(runs[0][0] + 1, 400), runs[1]], parts),
        (end, structure, crc, runs, [[1, 2], [3]]),
        (end, structure, crc, runs, [[], [3]]),
        (end, structure, crc, [runs[0], runs[0], runs[1]], [*parts, [3]]),
        (end, structure, crc, [*runs, (1 << 40, 1 << 63)], [*parts, [3]]),
        (end, structure, crc ^ 1, runs, parts),
        (end, end + 1, crc, runs, parts),
        (end, 1 << 63, crc, runs, parts),
    ]:
        with pytest.raises(FormatError):
            opened(with_table(*args))
    import zlib

    with pytest.raises(CorruptError, match="expected no data among the first"):
        opened(with_table(end, end, zlib.crc32(data[:end]), runs, parts))


EDITS = {
    "nothing": lambda file: None,
    "data": lambda file: file["layers/dense_0/vars/0"].__setitem__(..., 7),
    "attribute": lambda file: file["layers"].attrs.__setitem__("new", "value"),
    "add": lambda file: file.create_dataset("added/here", data=np.arange(1000)),
    "delete": lambda file: file.__delitem__("layers/dense_1"),
    "rename": lambda file: file.move("layers/dense_1", "elsewhere"),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("mode", ["r+", "a"])
def test_an_edited_file_has_no_table(edit, mode, tmp_path):
    path = tmp_path / "a.weights.h5"
    path.write_bytes(written(layers(4)))
    with h5py.File(path, mode) as file:
        EDITS[edit](file)
    assert not path.read_bytes().endswith(b"kio-sums")
    with kio.open(path) as found, h5py.File(path, "r") as file:
        assert not any(tensor.summed for tensor in found.values())
        assert kio.verify(path)
        for name, array in found.read().items():
            np.testing.assert_array_equal(array, file[name][()])


def test_a_file_that_grew_by_the_size_of_its_table(tmp_path):
    """Space that an edit allocated and never wrote keeps the table's bytes, in the wrong place."""
    data = written(layers(4))
    table = len(data) - end_of(data)
    path = tmp_path / "a.h5"
    for extra in range(table - 1500, table + 8, 8):
        path.write_bytes(data)
        with h5py.File(path, "r+") as file:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            space = h5py.h5s.create_simple((max(extra, 1),))
            h5py.h5d.create(file.id, b"gap", h5py.h5t.NATIVE_UINT8, space, plist)
        found = hdf5.open(Source.of_bytes(path.read_bytes())).tensors
        assert not any(tensor.summed for tensor in found.values())


def test_verify_says_what_is_damaged(tmp_path):
    data = written(values())
    path = tmp_path / "a.weights.h5"
    path.write_bytes(data)
    report = kio.verify(path)
    assert report and report.checksums == ("CRC-32 of each tensor",)
    found = opened(data).tensors
    damaged = bytearray(data)
    for name in ("large", "layers/dense_2/vars/1"):
        damaged[found[name].extents[0].offset + 1] ^= 4
    path.write_bytes(damaged)
    report = kio.verify(path)
    assert not report and len(report.problems) == 2
    assert "tensor large" in "\n".join(report.problems) and "tensor layers/dense_2/vars/1" in "\n".join(report.problems)
    with kio.open(path) as checkpoint, pytest.raises(ChecksumError):
        checkpoint.read(verify=True)
    path.write_bytes(flipped(data, 3000))
    assert "CRC-32 of the structure" in kio.verify(path).problems[0]


def test_in_an_archive_one_tensor_is_compared_without_the_others():
    from kio.containers.zip_writer import ZipWriter

    expected = values()
    draft = hdf5.Draft()
    for path, value in expected.items():
        draft.dataset(path, kio.dtypes.name_of(value.dtype), value.shape)
    sink = Sink.of_memory()
    writer = ZipWriter(sink)
    writer.add("config.json", b"{}")
    base = writer.begin("model.weights.h5", hdf5.nbytes_of(draft), boundary=4096)
    writer.end(*hdf5.write(sink, draft, expected, base=base))
    writer.finish()
    data = bytes(sink.getvalue())
    with kio.open(data) as found:
        found.verify()
        start = base + found["large"].extents[0].offset
    with kio.open(flipped(data, start)) as found:
        found.read([name for name in found if name != "large"], verify=True)
        with pytest.raises(ChecksumError, match="tensor large"):
            found.read(["large"], verify=True)
    report = kio.verify(flipped(data, start))
    assert "tensor large" in report.problems[0] and "CRC-32 of the member" in report.problems[1]
    assert report.checksums == ("CRC-32 of each tensor", "CRC-32 of the archive member")
