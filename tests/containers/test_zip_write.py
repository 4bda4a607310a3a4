"""The zip writer: what it writes, zipfile and kio read back."""

from __future__ import annotations

import io
import os
import subprocess
import zipfile
import zlib
from shutil import which

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kio.containers import hdf5
from kio.containers import zip as container
from kio.containers.zip_writer import ZipWriter
from kio.raw.sink import Sink
from kio.raw.source import Source
from kio.raw.transfer_out import Lazy
from tests.containers.written import layers

CONTENT = {"metadata.json": b"{}", "a/b.bin": bytes(range(256)) * 9, "empty": b"", "größe": b"x" * 70_000}


class Pipe(io.RawIOBase):
    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


class Sparse:
    """A sink of a file with holes: nothing is reserved."""

    seekable = True

    def __init__(self, path):
        self.file = open(path, "wb")  # noqa: SIM115

    def write_at(self, offset, data):
        self.file.seek(offset)
        self.file.write(data)


def packed(content, *, pipe=False, date=(1980, 1, 1, 0, 0, 0), **options):
    target = Pipe() if pipe else io.BytesIO()
    with Sink.of_file(target) as sink:
        writer = ZipWriter(sink, date=date)
        for name, data in content.items():
            writer.add(name, data, **options)
        nbytes = writer.finish()
    out = target.data if pipe else target.getvalue()
    assert nbytes == len(out)
    return out


def check(data, content):
    """zipfile and kio find this content, and nothing else."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == list(content)
        assert {name: archive.read(name) for name in content} == content
    found = container.open(Source.of_bytes(data))
    assert {name: found.read(name, 1 << 40) for name in found.members} == content
    return found


@pytest.mark.parametrize("pipe", [False, True], ids=["file", "pipe"])
@pytest.mark.parametrize("boundary", [1, 64, 4096])
def test_members(pipe, boundary):
    found = check(packed(CONTENT, pipe=pipe, boundary=boundary), CONTENT)
    assert all(member.offset % boundary == 0 for member in found.members.values())


@pytest.mark.parametrize("pipe", [False, True], ids=["file", "pipe"])
def test_content_of_every_kind(pipe):
    data = os.urandom(3_000_000)
    source = Source.of_bytes(data)
    content = {"bytes": data, "view": memoryview(data), "source": source, "lazy": Lazy(len(data), lambda: data)}
    check(packed(content, pipe=pipe, boundary=64), dict.fromkeys(content, data))


def test_the_date_is_the_callers():
    when = (2024, 2, 29, 23, 58, 58)
    with zipfile.ZipFile(io.BytesIO(packed(CONTENT, date=when))) as archive:
        assert {info.date_time for info in archive.infolist()} == {when}
    for date in ((1979, 12, 31, 0, 0, 0), (2108, 1, 1, 0, 0, 0), (2000, 0, 1, 0, 0, 0)):
        with pytest.raises(ValueError, match="date of an archive: expected"):
            ZipWriter(Sink.of_memory(), date=date)


def test_the_same_content_gives_the_same_bytes():
    assert packed(CONTENT) == packed(CONTENT)


@pytest.mark.parametrize("name", ["", "/a", "a//b", "../a", "a/./b", "a\\b", "c:d", "a\0", "a/", "x" * 70_000])
def test_names_that_are_no_plain_path(name):
    with pytest.raises(ValueError, match="member name: expected"):
        ZipWriter(Sink.of_memory()).add(name, b"")


def test_the_order_of_calls():
    writer = ZipWriter(Sink.of_memory())
    with pytest.raises(ValueError, match="expected one that was begun, found none"):
        writer.end(0, 0)
    writer.add("a", b"x")
    with pytest.raises(ValueError, match="expected it once"):
        writer.add("a", b"x")
    writer.begin("b", 3)
    with pytest.raises(ValueError, match="expected 'b' to have ended"):
        writer.add("c", b"")
    with pytest.raises(ValueError, match="found 'b' open"):
        writer.finish()
    with pytest.raises(ValueError, match="expected at most 3 bytes, found 4"):
        writer.end(4, 0)


@pytest.mark.parametrize("pipe", [False, True], ids=["file", "pipe"])
def test_hdf5_in_it_is_aligned_and_summed_on_the_way(pipe):
    values = layers(20, (300, 400))
    draft = hdf5.Draft()
    for path, value in values.items():
        draft.dataset(path, "float32", value.shape)
    target = Pipe() if pipe else io.BytesIO()
    with Sink.of_file(target) as sink:
        writer = ZipWriter(sink)
        writer.add("config.json", b"{}")
        base = writer.begin("model.weights.h5", hdf5.nbytes_of(draft), boundary=4096)
        nbytes, crc32 = hdf5.write(sink, draft, values, base=base)
        assert nbytes == hdf5.nbytes_of(draft)
        writer.end(nbytes, crc32)
        writer.add("assets/x", b"y" * 1000)
        writer.finish()
    data = target.data if pipe else target.getvalue()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
    found = container.open(Source.of_bytes(data))
    index = hdf5.open(found.source("model.weights.h5")).tensors
    for path, value in values.items():
        np.testing.assert_array_equal(np.asarray(index[path]), value)
        assert (base + index[path].extents[0].offset) % 64 == 0
    assert base % 4096 == 0


@pytest.mark.parametrize("nbytes", [0xFFFFFFFE, 0xFFFFFFFF, 0x100000000, 5 << 30])
@pytest.mark.parametrize("known", [True, False], ids=["known", "bounded"])
def test_members_of_four_gigabytes(tmp_path, nbytes, known):
    """Sizes and offsets beyond 32 bits, each on its own; the file is all holes."""
    path = tmp_path / "large.zip"
    sink = Sparse(path)
    writer = ZipWriter(sink)
    writer.add("first", b"1")
    start = writer.begin("large", nbytes if known else 6 << 30, boundary=4096)
    # The sum of the zeros is not of interest here: it is never checked.
    writer.end(nbytes, 0)
    writer.add("last", b"2")
    total = writer.finish()
    sink.file.close()
    assert path.stat().st_size == total and path.stat().st_blocks * 512 < 1 << 20
    with zipfile.ZipFile(path) as archive:
        info = {i.filename: i for i in archive.infolist()}
        assert info["large"].file_size == info["large"].compress_size == nbytes
        assert archive.read("first") == b"1" and archive.read("last") == b"2"
        assert info["last"].header_offset == start + nbytes
        # zip64 fields only where a number needs them.
        assert [bool(i.extra) for i in archive.infolist()] == [
            False,
            nbytes >= 0xFFFFFFFF,
            start + nbytes >= 0xFFFFFFFF,
        ]
    source = Source.open(path)
    found = container.open(source)
    assert found.members["large"].nbytes == nbytes and found.read("last", 10) == b"2"
    source.close()


def test_a_small_member_that_could_have_been_large():
    target = io.BytesIO()
    with Sink.of_file(target) as sink:
        writer = ZipWriter(sink)
        start = writer.begin("a", 1 << 40, boundary=64)
        sink.write_at(start, b"abc")
        writer.end(3, zlib.crc32(b"abc"))
        writer.finish()
    check(target.getvalue(), {"a": b"abc"})


def test_a_large_member_in_a_pipe_has_wide_sizes():
    pipe = Pipe()
    with Sink.of_file(pipe) as sink:
        writer = ZipWriter(sink)
        start = writer.begin("a", 1 << 40, boundary=64)
        sink.write_at(start, b"abc")
        writer.end(3, zlib.crc32(b"abc"))
        writer.finish()
    check(pipe.data, {"a": b"abc"})
    assert pipe.data.count(b"PK\x07\x08") == 1


@pytest.mark.parametrize("count", [65_534, 65_535, 65_536])
def test_many_members(count):
    content = {f"{k}": b"" for k in range(count)}
    data = packed(content)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == list(content)
    assert (b"PK\x06\x06" in data[-98:]) == (count >= 65_535)


NAMES = st.text(st.characters(exclude_characters="/\\:\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    st.dictionaries(NAMES.filter(lambda n: n not in (".", "..")), st.binary(max_size=300), max_size=6),
    st.booleans(),
    st.sampled_from([1, 2, 8, 64, 100, 4096]),
)
def test_any_archive(content, pipe, boundary):
    with zipfile.ZipFile(io.BytesIO(packed(content, pipe=pipe, boundary=boundary))) as archive:
        assert archive.testzip() is None
    check(packed(content, pipe=pipe, boundary=boundary), content)


@pytest.mark.skipif(which("unzip") is None, reason="needs unzip")
@pytest.mark.parametrize("pipe", [False, True], ids=["file", "pipe"])
def test_unzip_agrees(tmp_path, pipe):
    path = tmp_path / "a.zip"
    path.write_bytes(packed(CONTENT, pipe=pipe, boundary=4096))
    found = subprocess.run(["unzip", "-t", path], capture_output=True, text=True, check=False)
    assert found.returncode == 0 and "No errors detected" in found.stdout
