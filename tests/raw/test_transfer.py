"""transfer: the bytes that arrive are the bytes stored, by every route."""

import io
import os
import signal
import threading
import time
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kio.errors import ChecksumError, CorruptError, TruncatedError
from kio.raw import transfer
from kio.raw.memory import allocate
from kio.raw.source import Source
from kio.raw.tensor import Extent, Tensor

rng = np.random.default_rng(7)
BLOB = rng.integers(0, 256, 12 << 20, dtype=np.uint8).tobytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("transfer") / "blob.bin"
    path.write_bytes(BLOB)
    return path


@pytest.fixture(params=["path", "bytes", "object"])
def source(request, path):
    if request.param == "path":
        return Source.open(path)
    if request.param == "bytes":
        return Source.of_bytes(BLOB)
    file = io.BufferedReader(io.BytesIO(BLOB))  # no descriptor: read under a lock
    return Source.of_file(file)


def stored(tensor):
    extent = tensor.extents[0]
    at = extent.source.base + extent.offset
    return BLOB[at : at + extent.nbytes]


def some_tensors(window, seed=0, big=True):
    """Small neighbours, gaps, two byte orders, and one that takes several blocks."""
    r = np.random.default_rng(seed)
    tensors, at = [], 3
    for n in range(400):
        dtype = ("uint8", "int16", "float32", "float64", "complex64")[n % 5]
        size = int(r.integers(0, 300))
        itemsize = np.dtype(dtype).itemsize
        tensors.append(Tensor(f"t{n}", dtype, (size,), [Extent(window, at, size * itemsize)], big_endian=n % 3 == 0))
        at += size * itemsize + int(r.integers(0, 40)) * (n % 2)
    if big:
        at += 100_000
        tensors.append(Tensor("big", "float32", (2_000_000,), [Extent(window, at, 8_000_000)]))
    return tensors


@pytest.mark.parametrize("verify", [None, True, False])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_plain_tensors(source, verify, threads):
    window = source.window(1000, len(BLOB) - 2000, "m", crc32=zlib.crc32(BLOB[1000:-1000]))
    tensors = some_tensors(window)
    order = np.random.default_rng(threads).permutation(len(tensors))
    asked = [tensors[k] for k in order]
    arrays = transfer.read(asked, verify=verify, threads=threads)
    for tensor, array in zip(asked, arrays, strict=True):
        assert array.dtype.isnative and array.shape == tensor.shape
        assert array.astype(tensor.dtype).tobytes() == stored(tensor)
        assert array.nbytes == 0 or array.ctypes.data % 64 == 0


@pytest.mark.parametrize("verify, caught", [(True, True), (None, True), (False, False)])
def test_a_wrong_member_checksum(source, verify, caught):
    window = source.window(1000, 9_000_000, "m", crc32=zlib.crc32(BLOB[1000:9_001_000]) ^ 1)
    tensors = some_tensors(window)
    if caught:
        with pytest.raises(ChecksumError, match="CRC-32"):
            transfer.read(tensors, verify=verify)
    else:
        transfer.read(tensors, verify=verify)
    # A small part of a member does not pay for all of it, unless asked to.
    transfer.read(tensors[:5])
    with pytest.raises(ChecksumError):
        transfer.check(tensors[:5])


def test_the_same_tensor_twice_and_a_checksum(source):
    window = source.window(0, 9_000_000, "m", crc32=zlib.crc32(BLOB[:9_000_000]))
    tensors = some_tensors(window)
    for tensor, array in zip(tensors * 2, transfer.read(tensors * 2), strict=True):
        assert array.astype(tensor.dtype).tobytes() == stored(tensor)
    window = source.window(0, 9_000_000, "m", crc32=1)
    with pytest.raises(ChecksumError):
        transfer.read(some_tensors(window) * 2, verify=True)


def test_two_members_of_one_file(source):
    half = len(BLOB) // 2
    windows = [
        source.window(0, half, "a", crc32=zlib.crc32(BLOB[:half])),
        source.window(half, half, "b", crc32=zlib.crc32(BLOB[half:])),
    ]
    tensors = [t for w in windows for t in some_tensors(w, big=False)]
    for tensor, array in zip(tensors, transfer.read(tensors, verify=True), strict=True):
        assert array.astype(tensor.dtype).tobytes() == stored(tensor)


def test_into_given_memory(source):
    tensors = some_tensors(source, big=False)[:20]
    outs = [np.zeros(t.shape, t.dtype.newbyteorder("=")) for t in tensors]
    outs[3] = None
    outs[4] = (outs[4].ctypes.data, outs[4].nbytes) if outs[4].nbytes else outs[4]
    got = transfer.read(tensors, into=outs)
    assert got[0] is outs[0] and got[3].shape == tensors[3].shape
    for tensor, array in zip(tensors, got, strict=True):
        if isinstance(array, np.ndarray):
            assert array.astype(tensor.dtype).tobytes() == stored(tensor)


def test_wrong_destinations(source):
    (tensor,) = some_tensors(source, big=False)[7:8]
    read_only = np.zeros(tensor.shape, tensor.dtype)
    read_only.flags.writeable = False
    strided = np.zeros((tensor.shape[0], 2), tensor.dtype)[:, 0]
    for out in (np.zeros(tensor.shape[0] + 1, tensor.dtype), read_only, strided, (1, 1)):
        with pytest.raises(ValueError, match="destination"):
            transfer.read([tensor], into=[out])
    with pytest.raises(ValueError, match="entries"):
        transfer.read([tensor], into=[])


def test_a_file_that_shrinks_meanwhile(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(BLOB)
    source = Source.open(path)
    tensors = some_tensors(source)
    os.truncate(path, 5_000_000)
    with pytest.raises(TruncatedError, match=r"shrank.*tensor big"):
        transfer.read(tensors)


def test_a_failing_file_object_passes_its_error_through():
    class Failing(io.BytesIO):
        def readinto(self, b):
            raise OSError(5, "Input/output error")

    source = Source.of_file(io.BufferedReader(Failing(BLOB)))
    with pytest.raises(OSError, match="Input/output"):
        transfer.read(some_tensors(source))


KEYS = [
    np.s_[3],
    np.s_[-1],
    np.s_[2:5],
    np.s_[:],
    np.s_[...],
    np.s_[..., 3],
    np.s_[:, 1:4, ::-2],
    np.s_[-1, ..., 3],
    np.s_[4, 5, 6],
    np.s_[8:2:-3, :, 7],
    np.s_[..., 0:0],
    np.s_[[1, 2], :, 0],
    np.s_[:, None, 2],
    np.s_[2:2],
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_slices(source, key):
    t = Tensor("t", "float32", (10, 20, 30), [Extent(source, 13, 24000)], big_endian=True)
    whole = np.asarray(t)
    assert np.array_equal(t[key], whole[key], equal_nan=True)
    assert t[key].shape == whole[key].shape


def test_slices_out_of_bounds(source):
    t = Tensor("t", "float32", (10, 20), [Extent(source, 13, 800)])
    for key in (10, -11, (0, 20), (0, 0, 0)):
        with pytest.raises(IndexError):
            t[key]
    for start, box in (((9, 0), (2, 1)), ((0,), (1,)), ((-1, 0), (1, 1))):
        with pytest.raises(ValueError, match="box"):
            transfer.read_box(t, start, box)


UNDO = {1: ("deflate", 0), 2: ("shuffle", 4), 3: ("fletcher32", 0), 32000: ("lzf", 0)}


def chunked(path, name):
    """A Tensor over the chunks of a dataset, as h5py reports them."""
    source = Source.open(path)
    with h5py.File(path) as f:
        d = f[name]
        plist = d.id.get_create_plist()
        ids = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
        extents = []
        for n in range(d.id.get_num_chunks()):
            c = d.id.get_chunk_info(n)
            codecs = tuple(UNDO[i] for k, i in reversed(list(enumerate(ids))) if not c.filter_mask >> k & 1)
            extents.append(Extent(source, c.byte_offset, c.size, codecs, c.chunk_offset, d.chunks))
        return Tensor(name, d.dtype.name, d.shape, extents, big_endian=d.dtype.byteorder == ">"), d[()]


FILTERS = [
    {},
    {"compression": "gzip"},
    {"compression": "gzip", "shuffle": True},
    {"compression": "lzf"},
    {"fletcher32": True},
    {"compression": "gzip", "shuffle": True, "fletcher32": True},
    {"compression": "lzf", "shuffle": True, "fletcher32": True},
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_chunks_and_boxes(tmp_path, data):
    shape = tuple(data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)))
    chunk = tuple(data.draw(st.integers(1, n)) for n in shape)
    dtype = data.draw(st.sampled_from(["<f4", ">f4"]))
    path = tmp_path / "c.h5"
    x = rng.integers(0, 4, shape).astype(dtype)
    with h5py.File(path, "w") as f:
        f.create_dataset("x", data=x, chunks=chunk, **data.draw(st.sampled_from(FILTERS)))
    tensor, expected = chunked(path, "x")
    threads = data.draw(st.integers(1, 3))
    assert np.array_equal(transfer.read([tensor], threads=threads)[0], expected)
    transfer.check([tensor])
    start = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    box = tuple(data.draw(st.integers(0, n - s)) for n, s in zip(shape, start, strict=True))
    key = tuple(slice(s, s + b) for s, b in zip(start, box, strict=True))
    assert np.array_equal(transfer.read_box(tensor, start, box), expected[key])


@pytest.mark.parametrize("kw", FILTERS[1:], ids=str)
def test_damaged_chunks_are_found(tmp_path, kw):
    """Wherever the format can tell: one bit in the deflate or fletcher32 stream."""
    path = tmp_path / "c.h5"
    x = rng.integers(0, 9, (64, 64)).astype("f4")
    with h5py.File(path, "w") as f:
        f.create_dataset("x", data=x, chunks=(32, 64), **kw)
    tensor, expected = chunked(path, "x")
    good = path.read_bytes()
    extent = tensor.extents[1]
    told = 0
    for at in range(extent.offset, extent.offset + extent.nbytes, 7):
        bad = bytearray(good)
        bad[at] ^= 1 << (at % 8)
        damaged = Tensor(
            "x",
            "float32",
            tensor.shape,
            [Extent(Source.of_bytes(bad), e.offset, e.nbytes, e.codecs, e.start, e.chunk) for e in tensor.extents],
        )
        try:
            (array,) = transfer.read([damaged])
        except CorruptError as e:
            told += 1
            assert "tensor x" in str(e) and e.tensor == "x"
            with pytest.raises(CorruptError):
                transfer.check([damaged])
            continue
        # Some bits say nothing about the data: the level in a zlib header, padding at its end.
        # LZF alone has no checksum to go by.
        transfer.check([damaged])
        if np.array_equal(array, expected) or kw == {"compression": "lzf"}:
            continue
        # Adler-32 misses one flip in two thousand here: then zlib does not see it either.
        assert kw.get("compression") == "gzip" and "fletcher32" not in kw
        stream = bytes(bad[extent.offset : extent.offset + extent.nbytes])
        decoded = np.frombuffer(zlib.decompress(stream), np.uint8)
        if "shuffle" in kw:
            decoded = decoded.reshape(4, -1).T.ravel()
        assert array[32:].tobytes() == decoded.tobytes()
    assert told > 0


def test_decoded_size_must_be_that_of_the_chunk():
    for decoded in (399, 401, 4000):
        stream = zlib.compress(bytes(decoded))
        source = Source.of_bytes(stream)
        tensor = Tensor("t", "float32", (100,), [Extent(source, 0, len(stream), (("deflate", 0),), (0,), (100,))])
        with pytest.raises(CorruptError, match="decoded chunk: expected 400 bytes"):
            np.asarray(tensor)


def test_zstd():
    import zstandard

    x = rng.integers(0, 9, 1000).astype("<f4")
    stream = zstandard.compress(x.tobytes())
    for data, match in ((stream, None), (stream[:-3], "damaged|expected"), (b"\0" * 40, "damaged")):
        tensor = Tensor(
            "t",
            "float32",
            (1000,),
            [Extent(Source.of_bytes(data), 0, len(data), (("zstd", 0),), (0,), (1000,))],
        )
        if match is None:
            assert np.array_equal(tensor, x)
        else:
            with pytest.raises(CorruptError, match=match):
                np.asarray(tensor)


def test_stream_keeps_to_its_budget(source):
    tensors = some_tensors(source)
    seen = {}
    for tensor, array in transfer.stream(tensors, budget=10_000):
        seen[tensor.name] = array.astype(tensor.dtype).tobytes()
    assert len(seen) == len(tensors)
    assert all(seen[t.name] == stored(t) for t in tensors)


def test_arena_slabs_are_shared_and_aligned():
    tensors = some_tensors(Source.of_bytes(BLOB))
    arrays = allocate(tensors)
    assert all(a.ctypes.data % 64 == 0 for a in arrays if a.nbytes)
    assert len({id(a.base) for a in arrays if a.nbytes}) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_interrupt_ends_a_read(interruptible):
    class Slow(io.BytesIO):
        def readinto(self, b):
            time.sleep(0.02)
            return super().readinto(memoryview(b)[:20000])

    source = Source.of_file(io.BufferedReader(Slow(BLOB), 1000))
    tensors = [Tensor(f"t{k}", "uint8", (900,), [Extent(source, k * 20000, 900)]) for k in range(600)]
    ended = threading.Event()

    def interrupt():
        # A signal that strikes inside a weakref callback is only reported: send another.
        while not ended.wait(1):
            os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        try:
            transfer.read(tensors, threads=1)
        finally:
            ended.set()
    assert time.monotonic() - begin < 8
    interrupter.join()


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="nothing drops a file from memory here")
def test_a_cold_file_is_asked_for_ahead(tmp_path):
    """Several times what is asked for at once, small tensors among large ones, and gaps."""
    path = tmp_path / "cold.bin"
    data = rng.integers(0, 256, 160 << 20, dtype=np.uint8)
    path.write_bytes(data.data)
    source, tensors, at = Source.open(path), [], 5
    for n, nbytes in enumerate([9 << 20, 300, 70 << 10, 40 << 20, 1 << 10, 50 << 20, 3 << 20, 7, 30 << 20]):
        tensors.append(Tensor(f"t{n}", "uint8", (nbytes,), [Extent(source, at, nbytes)]))
        at += nbytes + (n % 3) * (1 << 20)
    for threads in (1, 2, 5):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
        for tensor, array in zip(tensors, transfer.read(tensors, threads=threads), strict=True):
            begin = tensor.extents[0].offset
            assert np.array_equal(array, data[begin : begin + tensor.nbytes])
