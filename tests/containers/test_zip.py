"""zip: members as zipfile sees them, and what reading them costs."""

import io
import random
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kio.containers import zip as container
from kio.errors import ChecksumError, CorruptError, LimitError
from kio.limits import Limits
from kio.raw.source import Source
from tests.hostile.zips import Unseekable, archive, raw

CONTENT = {"metadata.json": b"{}", "a/b.bin": bytes(range(256)) * 9, "empty": b"", "größe": b"x" * 70000}


def opened(data, **limits):
    return container.open(Source.of_bytes(data, "test.zip"), Limits(**limits))


def content(found):
    return {name: found.read(name, 1 << 30) for name in found.members}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("seekable", [True, False], ids=["plain", "descriptors"])
@pytest.mark.parametrize("force_zip64", [False, True], ids=["", "zip64"])
def test_members(method, seekable, force_zip64):
    out = io.BytesIO() if seekable else Unseekable()
    with zipfile.ZipFile(out, "w", method) as z:
        z.mkdir("a") if hasattr(z, "mkdir") else z.writestr(zipfile.ZipInfo("a/"), b"")
        for name, data in CONTENT.items():
            with z.open(name, "w", force_zip64=force_zip64) as member:
                member.write(data)
    found = opened(out.getvalue())
    assert content(found) == CONTENT
    assert "a/b.bin" in found and "a/" not in found and "nothing" not in found
    assert found.under("a/") == ["a/b.bin"]
    assert found.nbytes_of("größe") == 70000
    for name, data in CONTENT.items():
        source = found.source(name)
        assert source.name == f"test.zip!{name}"
        assert source.read(0, source.nbytes) == data
        assert found.members[name].crc32 == zlib.crc32(data)
        assert (source.crc32 is not None) == (method == zipfile.ZIP_STORED)
    with pytest.raises(KeyError):
        found.source("nothing")


def test_member_facts():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(zipfile.ZipInfo("m", (2024, 2, 29, 23, 58, 58)), b"12345")
    member = opened(out.getvalue()).members["m"]
    assert member.date == (2024, 2, 29, 23, 58, 58)
    assert (member.nbytes, member.nbytes_stored, member.method, member.offset) == (5, 5, 0, 31)


def test_empty_archive():
    assert opened(archive({})).members == {}


def test_comment_is_allowed():
    out = io.BytesIO(archive({"a": b"1"}))
    with zipfile.ZipFile(out, "a") as z:
        z.comment = b"made by somebody"
    assert content(opened(out.getvalue())) == {"a": b"1"}


def test_extra_fields_that_tools_write():
    timestamp = struct.pack("<HHBL", 0x5455, 5, 1, 1700000000)
    padding = struct.pack("<HH", 0xD935, 57) + bytes(57) + bytes(3)  # zipalign, with its odd tail
    data = raw([(b"a", b"abc", {"extra": timestamp + padding}, {"extra": timestamp, "comment": b"hello"})])
    assert content(opened(data)) == {"a": b"abc"}


def test_zip64_numbers_may_all_be_written():
    # Go's archive/zip writes all three numbers wherever it writes one.
    extra = struct.pack("<HHQQQ", 1, 24, 3, 3, 0)
    sizes = {"nbytes": 0xFFFFFFFF, "nbytes_stored": 0xFFFFFFFF, "extra": extra}
    local = {**sizes, "extra": struct.pack("<HHQQ", 1, 16, 3, 3)}
    assert content(opened(raw([(b"a", b"abc", local, sizes)]))) == {"a": b"abc"}


def test_zip64_end_record(monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    data = archive({"a": b"1", "b": b"2"})
    assert b"PK\6\6" in data and b"PK\6\7" in data
    assert content(opened(data)) == {"a": b"1", "b": b"2"}


def test_names_in_code_page_437():
    data = raw([(b"caf\x82", b"1", {}, {})])
    assert list(opened(data).members) == zipfile.ZipFile(io.BytesIO(data)).namelist() == ["café"]


@pytest.mark.parametrize("method", [0, 8])
def test_damaged_content(method):
    data = bytearray(archive({"a": bytes(random.Random(0).randbytes(1000))}, method))
    data[100] ^= 1
    found = opened(bytes(data))
    with pytest.raises(CorruptError, match=r"test\.zip!a"):
        found.read("a", 10000)
    if method == 0:
        with pytest.raises(ChecksumError):
            found.read("a", 10000)
        assert found.source("a").crc32 == found.members["a"].crc32
    else:
        with pytest.raises(CorruptError):
            found.source("a")


def test_read_is_capped():
    with pytest.raises(LimitError, match="at most 3 bytes"):
        opened(archive({"a": b"1234"})).read("a", 3)


def test_spooling_is_capped_and_done_once():
    data = archive({"a": b"1" * 5000, "b": b"2" * 5000}, 8)
    found = opened(data, spool_bytes=9000)
    assert found.source("a") is found.source("a")
    with pytest.raises(LimitError, match="spool_bytes"):
        found.source("b")
    assert opened(data, spool_bytes=10000).source("b").read(0, 3) == b"222"


class Counting(io.BytesIO):
    """A file object, too unusual for kio to look behind, that counts what is read."""

    nbytes = 0

    def read(self, n=-1):
        data = super().read(n)
        self.nbytes += len(data)
        return data


class Other:
    def __init__(self, file):
        self.read, self.seek = file.read, file.seek


def test_opening_reads_the_structure_only():
    file = Counting()
    with zipfile.ZipFile(file, "w") as z:
        z.writestr("metadata.json", b"{}")
        z.writestr("weights", bytes(64 << 20))
        z.writestr("config.json", b"{}")
    file.nbytes = 0
    found = container.open(Source.of_file(Other(file)))
    assert list(found.members) == ["metadata.json", "weights", "config.json"]
    assert file.nbytes < 200_000


names = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\:"), min_size=1, max_size=12)
paths = st.lists(names.filter(lambda n: n not in (".", "..")), min_size=1, max_size=3).map("/".join)


@given(
    st.dictionaries(paths, st.tuples(st.binary(max_size=300), st.sampled_from([0, 8]), st.booleans()), max_size=8),
    st.booleans(),
)
def test_equals_zipfile(members, seekable):
    out = io.BytesIO() if seekable else Unseekable()
    with zipfile.ZipFile(out, "w") as z:
        for name, (data, method, force_zip64) in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with z.open(info, "w", force_zip64=force_zip64) as member:
                member.write(data)
    data = out.getvalue()
    found = opened(data)
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        assert content(found) == {info.filename: z.read(info) for info in z.infolist()}
        assert [m.date for m in found.members.values()] == [info.date_time for info in z.infolist()]


def test_a_window_is_an_archive_too():
    inner = archive({"x": b"inner"})
    found = opened(archive({"inner.zip": inner}))
    assert content(container.open(found.source("inner.zip"))) == {"x": b"inner"}


def test_array_of_a_member():
    out = io.BytesIO()
    np.savez(out, a=np.arange(5))
    found = opened(out.getvalue())
    assert found.source("a.npy").read(0, 6) == b"\x93NUMPY"
