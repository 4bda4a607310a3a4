"""Boxes of tensors: NumPy's slices of the same values, in one pass, and no more bytes than hold them."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kio
from kio.containers import hdf5
from kio.raw import transfer
from kio.raw.source import Source
from kio.raw.tensor import Extent, Tensor
from tests.containers.written import written
from tests.raw.far import Far

RNG = np.random.default_rng(7)
LAYOUTS = [
    {},
    {"chunks": True},
    {"chunks": True, "compression": "gzip", "shuffle": True},
    {"chunks": True, "compression": "lzf", "fletcher32": True},
]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_boxes_of_many_tensors_are_slices(data):
    """Contiguous, chunked and compressed, of either byte order, with edges that hang over; near and far."""
    image, values = io.BytesIO(), {}
    with h5py.File(image, "w") as file:
        for k in range(data.draw(st.integers(1, 4))):
            shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
            dtype = data.draw(st.sampled_from(["<f4", ">f4", "<i8", ">c8", "u1", ">f2"]))
            options = dict(data.draw(st.sampled_from(LAYOUTS)))
            if options:
                options["chunks"] = tuple(data.draw(st.integers(1, n)) for n in shape)
            values[f"x{k}"] = (RNG.integers(0, 99, shape) + 0).astype(dtype)
            file.create_dataset(f"x{k}", data=values[f"x{k}"], **options)
    raw = image.getvalue()
    source = Source.of_file(Far(raw)) if data.draw(st.booleans()) else Source.of_bytes(raw)
    index = hdf5.open(source).tensors
    names, boxes = [], []
    for name in data.draw(st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=6)):
        names.append(name)
        ends = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in values[name].shape]
        boxes.append(data.draw(st.sampled_from([None, tuple(map(tuple, ends))])))
    threads = data.draw(st.sampled_from([1, 3]))
    found = transfer.read([index[name] for name in names], boxes=boxes, threads=threads)
    for name, box, array in zip(names, boxes, found, strict=True):
        wanted = values[name] if box is None else values[name][tuple(slice(*ends) for ends in box)]
        assert array.dtype == wanted.dtype.newbyteorder("=") and array.shape == wanted.shape
        assert array.dtype.isnative and np.array_equal(array, wanted), (name, box)


def loaded(tensor_of, box, **options):
    """The elements of a box, and how many bytes were read for it."""
    file = Far(DATA)
    tensor = tensor_of(Source.of_file(file))
    (array,) = transfer.read([tensor], boxes=[box], **options)
    return array, file.nbytes_read


VALUE = RNG.integers(0, 255, (64, 32, 1024), "u1")  # 2 MiB
DATA = VALUE.tobytes()


def plain(source):
    return Tensor("x", "uint8", VALUE.shape, [Extent(source, 0, VALUE.nbytes)])


def in_chunks(source):
    """The same as one chunk of each 16 rows, which lie one after the other, as they are."""
    extents = [Extent(source, k * (1 << 19), 1 << 19, (), (16 * k, 0, 0), (16, 32, 1024)) for k in range(4)]
    return Tensor("x", "uint8", VALUE.shape, extents)


@pytest.mark.parametrize("tensor_of", [plain, in_chunks], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("box", "nbytes"),
    [
        (((0, 1), (0, 32), (0, 1024)), 32 << 10),
        (((3, 5), (0, 32), (0, 1024)), 64 << 10),
        (((15, 17), (0, 32), (0, 1024)), 64 << 10),
        (((63, 64), (31, 32), (1020, 1024)), 4),
        (((7, 8), (5, 9), (0, 1024)), 4 << 10),
        (((7, 8), (5, 6), (100, 200)), 100),
        (((0, 0), (0, 32), (0, 1024)), 0),
    ],
    ids=str,
)
def test_extents_are_clipped_before_they_are_read(tensor_of, box, nbytes):
    array, read = loaded(tensor_of, box)
    assert np.array_equal(array, VALUE[tuple(slice(*ends) for ends in box)])
    assert read == nbytes


@pytest.mark.parametrize("tensor_of", [plain, in_chunks], ids=lambda f: f.__name__)
def test_of_columns_no_more_is_read_than_from_the_first_to_the_last(tensor_of):
    box = ((20, 22), (3, 4), (10, 20))
    array, read = loaded(tensor_of, box)
    assert np.array_equal(array, VALUE[20:22, 3:4, 10:20])
    assert read <= 64 << 10


def test_of_compressed_chunks_only_those_that_hold_the_box_are_read():
    value = RNG.integers(0, 255, (4000, 1000), "u1")
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.create_dataset("x", data=value, chunks=(1000, 1000), compression="gzip")
        nbytes = [file["x"].id.get_chunk_info(k).size for k in range(4)]
    file = Far(image.getvalue())
    tensor = hdf5.open(Source.of_file(file)).tensors["x"]
    assert tensor.extents
    file.requests.clear()
    (array,) = transfer.read([tensor], boxes=[((2500, 2600), (0, 10))])
    assert np.array_equal(array, value[2500:2600, :10])
    assert file.nbytes_read == nbytes[2]


def test_damage_outside_the_box_is_not_seen_and_inside_it_is(tmp_path):
    """Of chunks with a checksum whole ones are read, whatever of them is wanted."""
    value = RNG.integers(0, 9, (3000, 500)).astype("f4")
    data = bytearray(written({"x": value}, compression="gzip"))
    tensor = hdf5.open(Source.of_bytes(data)).tensors["x"]
    second = tensor.extents[1]
    data[second.offset + 100] ^= 4
    rows = second.chunk[0]
    assert np.array_equal(transfer.read([tensor], boxes=[((0, 5), (0, 500))])[0], value[:5])
    with pytest.raises(kio.CorruptError):
        transfer.read([tensor], boxes=[((rows, rows + 1), (0, 1))])


def test_boxes_beside_whole_tensors_of_a_checked_member(tmp_path):
    """A box has no part in the checksum over a member; what is read whole keeps its own."""
    path = tmp_path / "a.npz"
    arrays = {"a": RNG.standard_normal((300, 300)), "b": RNG.standard_normal((5, 5))}
    np.savez(path, **arrays)
    with kio.open(path) as file:
        found = transfer.read([file["a"], file["b"], file["a"]], boxes=[((2, 4), (0, 7)), None, None], verify=True)
        assert np.array_equal(found[0], arrays["a"][2:4, :7])
        assert np.array_equal(found[1], arrays["b"]) and np.array_equal(found[2], arrays["a"])
    raw = bytearray(path.read_bytes())
    raw[raw.index(arrays["b"].tobytes())] ^= 1
    with kio.open(bytes(raw)) as file, pytest.raises(kio.ChecksumError):
        transfer.read([file["a"], file["b"]], boxes=[((2, 4), (0, 7)), None], verify=True)


def test_memory_of_the_callers_is_filled():
    tensor = plain(Source.of_bytes(DATA))
    out = np.zeros((2, 1, 3), "u1")
    (found,) = transfer.read([tensor], into=[out], boxes=[((1, 3), (4, 5), (6, 9))])
    assert found is out and np.array_equal(out, VALUE[1:3, 4:5, 6:9])
    with pytest.raises(ValueError, match="destination of x: expected 6 bytes, found 5"):
        transfer.read([tensor], into=[np.zeros(5, "u1")], boxes=[((1, 3), (4, 5), (6, 9))])


@pytest.mark.parametrize(
    "box",
    [((0, 1), (0, 1)), ((0, 1), (0, 1), (0, 1025)), ((-1, 1), (0, 1), (0, 1)), ((2, 1), (0, 1), (0, 1)), ()],
    ids=str,
)
def test_a_box_that_is_not_inside_is_refused(box):
    with pytest.raises(ValueError, match=r"box of x: expected \(start, stop\) for each dimension of \(64, 32, 1024\)"):
        transfer.read([plain(Source.of_bytes(DATA))], boxes=[box])
    with pytest.raises(ValueError, match="boxes: expected 1 entries, found 2"):
        transfer.read([plain(Source.of_bytes(DATA))], boxes=[None, None])


def test_text_has_boxes_too():
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file["t"] = np.array([b"ab", b"cde", b"f"], "S3")
        file["x"] = np.arange(6.0)
        file["v"] = ["one", "two", "three"]
    index = hdf5.open(Source.of_bytes(image.getvalue())).tensors
    found = transfer.read([index["t"], index["x"], index["v"]], boxes=[((1, 3),), ((4, 6),), None])
    assert found[0].tolist() == [b"cde", b"f"] and found[1].tolist() == [4.0, 5.0]
    assert found[2].tolist() == [b"one", b"two", b"three"]


def test_shards_are_read_in_one_pass():
    """Of a checkpoint, by slices: neighbours are one request."""
    arrays = {f"x{k:02}": RNG.standard_normal((8, 100)).astype("f4") for k in range(50)}
    image = io.BytesIO()
    kio.write(image, arrays, format="safetensors")
    file = Far(image.getvalue())
    with kio.open(file) as found:
        file.requests.clear()
        parts = found.read_shards({name: (slice(2, 4), slice(None)) for name in arrays})
        assert len(file.requests) == 1
        for name, value in arrays.items():
            assert np.array_equal(parts[name], value[2:4])
        mixed = found.read_shards({"x03": (slice(None, None, -2), 5), "x04": ([1, 3],), "x05": (...,)})
        assert np.array_equal(mixed["x03"], arrays["x03"][::-2, 5])
        assert np.array_equal(mixed["x04"], arrays["x04"][[1, 3]])
        assert np.array_equal(mixed["x05"], arrays["x05"])
