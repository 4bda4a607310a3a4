"""Source and Image: windows, kinds of input, and what must be refused."""

import gzip
import io
import os
import tempfile
import threading

import pytest

from kio.errors import TruncatedError, UnsupportedError
from kio.raw.source import Image, Source
from kio.raw.tensor import Extent, Tensor

DATA = bytes(range(256)) * 400


class Plain:
    """The least that counts as a file object."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, n=-1):
        return self._file.read(min(n, 1000))  # short reads are allowed

    def seek(self, offset, whence=0):
        return self._file.seek(offset, whence)


@pytest.fixture(params=["path", "bytes", "bytearray", "BytesIO", "file", "raw file", "temporary", "object"])
def source(request, tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(DATA)
    if request.param == "path":
        yield Source.open(path)
    elif request.param == "bytes":
        yield Source.of_bytes(DATA)
    elif request.param == "bytearray":
        yield Source.of_bytes(bytearray(DATA))
    elif request.param == "BytesIO":
        yield Source.of_file(io.BytesIO(DATA))
    elif request.param == "file":
        with open(path, "rb") as f:
            f.seek(77)
            yield Source.of_file(f)
    elif request.param == "raw file":
        with open(path, "rb", buffering=0) as f:
            yield Source.of_file(f)
    elif request.param == "temporary":
        with tempfile.NamedTemporaryFile() as f:
            f.write(DATA)  # not flushed: of_file must
            yield Source.of_file(f)
    else:
        yield Source.of_file(Plain(DATA))


def test_reads_anywhere(source):
    assert source.nbytes == len(DATA)
    assert source.read(0, 0) == b""
    assert source.read(len(DATA), 0) == b""
    assert source.read(5, 70000) == DATA[5:70005]
    assert bytes(source.mapping()) == DATA


def test_windows_nest_and_name_themselves(source):
    outer = source.window(1000, 50000, "outer", crc32=7)
    inner = outer.window(234, 100, "inner")
    assert inner.read(0, 100) == DATA[1234:1334]
    assert bytes(inner.mapping()) == DATA[1234:1334]
    assert inner.name == f"{source.name}!outer!inner"
    assert inner.base == source.base + 1234
    assert inner.checked is outer and outer.checked is outer and source.checked is None


@pytest.mark.parametrize("offset, nbytes", [(len(DATA), 1), (0, len(DATA) + 1), (2**63, 1), (1, 2**64 - 1)])
def test_never_past_the_end(source, offset, nbytes):
    with pytest.raises(TruncatedError):
        source.read(offset, nbytes)
    with pytest.raises(TruncatedError):
        source.window(offset, nbytes, "w")


def test_a_file_that_shrinks_is_an_error_not_a_crash(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(DATA)
    source = Source.open(path)
    os.truncate(path, 1000)
    with pytest.raises(TruncatedError, match="shrank"):
        source.read(500, 1000)
    with pytest.raises(TruncatedError, match="shrank"):
        source.mapping()


def test_a_fifo_does_not_hang(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(UnsupportedError, match="regular file"):
        Source.open(path)


def test_devices_folders_and_missing_files(tmp_path):
    with pytest.raises(UnsupportedError, match="regular file"):
        Source.open("/dev/zero")
    with pytest.raises(IsADirectoryError):
        Source.open(tmp_path)
    with pytest.raises(FileNotFoundError):
        Source.open(tmp_path / "missing")


def test_a_gzip_file_is_read_through_not_around(tmp_path):
    path = tmp_path / "data.gz"
    with gzip.open(path, "wb") as f:
        f.write(DATA)
    with gzip.open(path, "rb") as f:
        # Its fileno() is that of the compressed bytes, which are not what it stands for.
        assert Source.of_file(f).read(5, 70000) == DATA[5:70005]


def test_text_files_and_other_objects_are_refused(tmp_path):
    path = tmp_path / "t"
    path.write_text("x")
    with open(path) as f, pytest.raises(TypeError, match="text file"):
        Source.of_file(f)
    with pytest.raises(TypeError, match="read and seek"):
        Source.of_file(object())


def test_closing(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(DATA)
    source = Source.open(path)
    window = source.window(0, 10, "w")
    source.close()
    with pytest.raises(ValueError, match="closed"):
        window.read(0, 1)
    source.close()


def test_threads_share_a_file_object():
    source = Source.of_file(Plain(DATA))
    wrong = []

    def reader(seed):
        for k in range(200):
            at = (seed * 7919 + k * 104729) % (len(DATA) - 64)
            if source.read(at, 64) != DATA[at : at + 64]:
                wrong.append(at)

    threads = [threading.Thread(target=reader, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_image_takes_only_what_is_touched(tmp_path):
    path = tmp_path / "sparse.bin"
    with open(path, "wb") as f:
        f.truncate(1 << 40)
    image = Image(Source.open(path))
    assert image.nbytes == 1 << 40
    assert image.loaded == 0


def test_a_mapped_file_gives_views(tmp_path):
    import numpy as np

    from kio.raw.tensor import Extent, Tensor

    path = tmp_path / "data.bin"
    path.write_bytes(DATA)
    source = Source.open(path, mmap=True)
    t = Tensor("t", "int32", (10, 3), [Extent(source.window(64, 500, "w"), 4, 120)])
    view = np.asarray(t)
    assert not view.flags.owndata and not view.flags.writeable
    assert view.tobytes() == DATA[68:188]
    assert np.array_equal(t[3:5, 1], view[3:5, 1])
    swapped = Tensor("t", "int32", (30,), [Extent(source, 4, 120)], big_endian=True)
    assert np.asarray(swapped).flags.owndata or np.asarray(swapped).flags.writeable
    with pytest.raises(ValueError, match="view"):
        swapped.view()
    del source
    assert view.tobytes() == DATA[68:188]


def test_what_is_beyond_the_end_holds_nothing():
    """The size that is left is not the difference of two unsigned numbers."""
    source = Source.of_bytes(b"abc", "x")
    for call in (lambda: source.read(9, 4), lambda: source.window(2**63, 4, "m")):
        with pytest.raises(TruncatedError, match="expected 4 bytes, found 0 "):
            call()
    with pytest.raises(TruncatedError, match="expected 4 bytes, found 0 "):
        Tensor("t", "float32", (1,), [Extent(source, 9, 4)])
