"""Attacks on zip: each must be refused, at once, by an error that names file and byte."""

import io
import struct
import zipfile
import zlib

import pytest

from kio.containers import zip as container
from kio.errors import CorruptError, FormatError, LimitError, TruncatedError, UnsupportedError
from kio.limits import Limits
from kio.raw.source import Source
from tests.clock import worked_less_than
from tests.hostile.zips import archive, end, fields, patch, raw, rename, zip64

MEMBERS = {
    "config.json": b'{"a": 1}',
    "weights.h5": bytes(range(200)) * 3,
    "assets/v.txt": b"one\ntwo\n" * 20,
}
GOOD = archive(MEMBERS)
DEFLATED = archive(MEMBERS, zipfile.ZIP_DEFLATED)
STREAMED = archive(MEMBERS, zipfile.ZIP_DEFLATED, seekable=False)


def load(data, **limits):
    """Everything in an archive, within a second of CPU time."""
    with worked_less_than(1):
        found = container.open(Source.of_bytes(data, "evil.zip"), Limits(**limits))
        return {name: found.read(name, 1 << 30) for name in found.members}


def refused(data, match=None, kind=CorruptError, **limits):
    with worked_less_than(1), pytest.raises(kind, match=match) as caught:
        load(data, **limits)
    text = str(caught.value)
    assert "evil.zip" in text and len(text) < 2000 and text.isprintable()
    return caught.value


def test_the_good_ones_are_good():
    assert load(GOOD) == load(DEFLATED) == load(STREAMED) == MEMBERS


# ------------------------------------------------------------------------ end record


def test_no_end_record():
    refused(GOOD[:-22], "end of central directory", TruncatedError)
    refused(b"", "end of central directory", TruncatedError)
    refused(b"PK\3\4" + bytes(1000), "end of central directory", TruncatedError)


def test_two_end_records():
    # The first claims the second as its comment: readers that search forward see another archive.
    inner = archive({"config.json": b'{"evil": true}'})
    end = bytearray(inner[-22:])
    end[20:22] = len(GOOD).to_bytes(2, "little")
    refused(inner[:-22] + bytes(end) + GOOD, "expected one, found 2")


def test_end_record_in_the_comment():
    out = io.BytesIO(GOOD)
    with zipfile.ZipFile(out, "a") as z:
        z.comment = b"see: " + archive({})
    refused(out.getvalue(), "expected one, found 2")


def test_bytes_after_the_end_record():
    refused(GOOD + b"\n", kind=TruncatedError)
    refused(patch(GOOD, end__comment_nbytes=5) + b"1234", kind=TruncatedError)


def test_bytes_before_the_first_member():
    refused(b"#!/bin/sh\n" + GOOD)
    refused(raw([(b"a", b"1", {}, {})], prefix=b"#!"), "first member: expected at byte 0")


@pytest.mark.parametrize("count", [0, 1, 2, 4, 1000, 0xFFFE])
def test_wrong_count(count):
    refused(patch(GOOD, end__count=count, end__disk_count=count), kind=FormatError)


def test_counts_that_differ():
    refused(patch(GOOD, end__disk_count=2), "spanned", UnsupportedError)
    refused(patch(GOOD, end__disk=1), "spanned", UnsupportedError)
    refused(patch(GOOD, central0__disk=1), "disk 1", UnsupportedError)


@pytest.mark.parametrize("delta", [-46, -1, 1, 46])
def test_directory_elsewhere(delta):
    at = fields(GOOD)["central0.signature"][0]
    nbytes = fields(GOOD)["end.signature"][0] - at
    refused(patch(GOOD, end__offset=at + delta))
    refused(patch(GOOD, end__nbytes=nbytes + delta))
    refused(patch(GOOD, end__offset=at + delta, end__nbytes=nbytes - delta))
    refused(patch(GOOD, end__offset=0xFFFFFFF0))


def test_more_members_than_allowed():
    refused(archive({f"m{k}": b"" for k in range(11)}), "limits.members=10", LimitError, members=10)
    assert len(load(archive({f"m{k}": b"" for k in range(10)}), members=10)) == 10


# ----------------------------------------------------------------------------- zip64


FULL = {"end__count": 0xFFFF, "end__disk_count": 0xFFFF, "end__nbytes": 0xFFFFFFFF, "end__offset": 0xFFFFFFFF}


def test_zip64_that_tells_the_truth():
    assert load(zip64(GOOD, **FULL)) == MEMBERS
    assert load(zip64(GOOD)) == MEMBERS


@pytest.mark.parametrize(
    "field", ["nbytes", "disk", "start_disk", "disk_count", "count", "directory_nbytes", "directory"]
)
@pytest.mark.parametrize("value", [0, 1, 7, 2**32 - 1, 2**63, 2**64 - 1])
def test_zip64_record_lies(field, value):
    if field in ("disk", "start_disk"):
        value = value % 2**31 + 1  # these have 32 bits, and must be 0
    refused(zip64(GOOD, record={field: value}, **FULL), kind=FormatError)


@pytest.mark.parametrize(
    "locator",
    [
        {"disk": 1},
        {"disks": 2},
        {"disks": 0},
        {"start": 0},
        {"start": 2**63},
        {"start": 2**64 - 1},
        {"start": 2**64 - 56},
    ],
)
def test_zip64_locator_lies(locator):
    refused(zip64(GOOD, locator=locator, **FULL), "zip64 locator")


def test_zip64_contradicts_the_end_record():
    # One reader takes the 32-bit number, another the 64-bit one.
    refused(zip64(GOOD, end__count=2, end__disk_count=2), "equal numbers")
    refused(zip64(GOOD, end__offset=5), "equal numbers")


def test_zip64_asked_for_and_absent():
    refused(patch(GOOD, end__count=0xFFFF, end__disk_count=0xFFFF), "zip64 end of central directory")
    refused(patch(GOOD, end__offset=0xFFFFFFFF), "zip64 end of central directory")
    refused(patch(GOOD, central1__nbytes=0xFFFFFFFF), "zip64 extra field")
    refused(patch(GOOD, local1__nbytes=0xFFFFFFFF), "zip64 extra field")


@pytest.mark.parametrize(
    "extra",
    [
        struct.pack("<HHQ", 1, 8, 3),  # too few numbers
        struct.pack("<HHQQ", 1, 16, 3, 4),  # another size
        struct.pack("<HHQQ", 1, 16, 2**64 - 1, 2**64 - 1),
        struct.pack("<HHQQQ", 1, 24, 3, 3, 1),  # another offset
        struct.pack("<HHQQ", 1, 12, 3, 3),  # cut
        struct.pack("<HHQQHHQQ", 1, 16, 3, 3, 1, 16, 3, 3),  # twice
        struct.pack("<HH", 1, 0),
        struct.pack("<HHQQ", 1, 200, 3, 3),  # longer than its field
    ],
)
def test_zip64_extra_field_lies(extra):
    capped = {"nbytes": 0xFFFFFFFF, "nbytes_stored": 0xFFFFFFFF}
    refused(raw([(b"a", b"abc", {}, {**capped, "extra": extra})]))
    refused(raw([(b"a", b"abc", {**capped, "extra": extra}, {})])) if len(extra) != 28 else None


def test_zip64_number_where_none_is_asked_for():
    refused(raw([(b"a", b"abc", {}, {"extra": struct.pack("<HHQ", 1, 8, 3)})]), "zip64 extra field")
    refused(raw([(b"a", b"abc", {}, {"extra": struct.pack("<HHQQ", 1, 16, 3, 9)})]), "zip64 extra field")


# ------------------------------------------------------------- two copies of one fact


@pytest.mark.parametrize("field", ["flags", "method", "crc", "nbytes_stored", "nbytes", "name_nbytes", "name"])
@pytest.mark.parametrize("member", [0, 1, 2])
def test_local_header_differs(field, member):
    at, _ = fields(GOOD)[f"local{member}.{field}"]
    for delta in (1, 2, 8, 0x80):
        data = bytearray(GOOD)
        data[at] ^= delta
        refused(bytes(data), kind=FormatError)


def test_descriptor_differs():
    for data in (STREAMED, archive(MEMBERS, zipfile.ZIP_STORED, seekable=False)):
        at = data.index(b"PK\7\x08")
        for k in range(16):
            damaged = bytearray(data)
            damaged[at + k] ^= 1
            refused(bytes(damaged))


def test_descriptor_forms():
    crc = zlib.crc32(b"abc")
    flags = {"flags": 8}
    zeros = {**flags, "crc": 0, "nbytes": 0, "nbytes_stored": 0}
    forms = [struct.pack(f, *v) for v in [(crc, 3, 3)] for f in ("<LLL", "<LQQ")]
    for form in [*forms, *[b"PK\7\x08" + form for form in forms]]:
        assert load(raw([(b"a", b"abc", {**zeros, "after": form}, flags)])) == {"a": b"abc"}
        refused(raw([(b"a", b"abc", {**zeros, "after": form + b"\0"}, flags)]), "data descriptor")
        refused(raw([(b"a", b"abc", {**zeros, "after": form[:-1]}, flags)]), "data descriptor")
    refused(raw([(b"a", b"abc", zeros, flags)]), "data descriptor")


def test_sizes_left_out_without_descriptor():
    refused(raw([(b"a", b"abc", {"crc": 0, "nbytes": 0, "nbytes_stored": 0}, {})]))


# --------------------------------------------------------------- overlaps, gaps, twins


def test_two_entries_for_one_member():
    at = fields(GOOD)["central0.signature"][0]
    first = fields(GOOD)["central1.signature"][0]
    entry = GOOD[at:first]
    directory = GOOD[at:-22] + entry
    refused(GOOD[:at] + directory + end(4, len(directory), at), "expected it once, found it twice")


def test_same_name_twice():
    data = archive({"config.json": b"1", "config.jsoN": b"2"})
    refused(rename(data, 1, b"config.json"), "expected it once, found it twice")


def test_members_overlap():
    local = fields(GOOD)
    refused(patch(GOOD, central1__offset=local["local0.signature"][0]))
    refused(patch(GOOD, central1__offset=local["local2.signature"][0]))
    refused(patch(GOOD, central0__offset=local["local1.signature"][0]))
    refused(patch(GOOD, central1__offset=local["data0"][0]))
    refused(patch(GOOD, central2__offset=local["central0.signature"][0]))
    refused(patch(GOOD, central2__offset=len(GOOD) - 1))
    refused(patch(GOOD, central2__offset=0xFFFFFFF0))


def test_member_reaches_into_the_next():
    nbytes = fields(GOOD)["data0"][1]
    for more in (1, 30, 2**31, 2**32 - 20):
        both = {f"{at}__{field}": (nbytes + more) % (2**32 - 1) for at in ("local0", "central0")
                for field in ("nbytes", "nbytes_stored")}  # fmt: skip
        refused(patch(GOOD, **both))


def test_overlapping_bomb():
    # Fifield's: every central entry points at one shared deflated kernel.
    kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = kernel.compress(bytes(1 << 20)) + kernel.flush()
    facts = {"method": 8, "nbytes": 1 << 20, "nbytes_stored": len(data), "crc": zlib.crc32(bytes(1 << 20))}
    one = raw([(b"a0", data, facts, facts)])
    at = fields(one)["central0.signature"][0]
    entries = b"".join(one[at:-22].replace(b"a0", b"%02x" % k) for k in range(256))
    refused(one[:at] + entries + end(256, len(entries), at))


def test_hidden_member():
    # A local header without a central entry: readers that stream see it, others do not.
    hidden = raw([(b"evil", b"code", {}, {})])
    hidden = hidden[: fields(hidden)["central0.signature"][0]]
    refused(raw([(b"a", b"abc", {"after": hidden}, {})]), "more bytes")


def test_gap_before_the_directory():
    refused(raw([(b"a", b"abc", {"after": b"\0"}, {})]), "1 more bytes")
    assert load(raw([(b"a", b"abc", {"extra": bytes(3)}, {})])) == {"a": b"abc"}


def test_directory_with_something_behind_its_entries():
    at = fields(GOOD)["central0.signature"][0]
    more = b"PK\5\5\4\0sign"
    data = GOOD[:-22] + more + patch(GOOD, end__nbytes=len(GOOD) - 22 - at + len(more))[-22:]
    refused(data, "more bytes")


# ----------------------------------------------------------------------- names, kinds


ELSEWHERE = [b"../../e.json", b"/etc/pwd", b"C:\\evil.txt", b"C:/evil.txt", b"a\\b\\c.json", b"a/../b.json"]
ELSEWHERE += [b"config\0json", b"./config.js", b"a//config.j", b"a/./conf.js", b"..", b".", b"..\\evil.txt"]
ELSEWHERE += [b"\\\\host\\x", b"a/..", b"/", b"../", b""]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_names_that_lead_elsewhere(name):
    error = refused(raw([(name, b"{}", {}, {})]), "plain relative path")
    assert error.field == "file name" and error.offset is not None


def test_name_not_utf8():
    refused(raw([(b"\xff\xfe", b"1", {"flags": 0x800}, {"flags": 0x800})]), "expected UTF-8")


def test_second_name_in_an_extra_field():
    # Info-ZIP's Unicode path: some readers take it for the name, others do not.
    extra = struct.pack("<HHBL", 0x7075, 5 + 4, 1, zlib.crc32(b"a")) + b"evil"
    refused(raw([(b"a", b"1", {}, {"extra": extra})]), "one name a member", UnsupportedError)
    refused(raw([(b"a", b"1", {"extra": extra}, {})]), "one name a member", UnsupportedError)


@pytest.mark.parametrize("mode", [0o120777, 0o010644, 0o020644, 0o060644, 0o140755], ids=oct)
def test_links_and_devices(mode):
    refused(raw([(b"a", b"/etc/passwd", {}, {"external": mode << 16})]), "link or device", UnsupportedError)


def test_folder_with_content():
    refused(raw([(b"a/", b"abc", {}, {})]), "folders only")
    refused(raw([(b"a", b"", {}, {"external": 0o040755 << 16})]), "folders only")
    refused(raw([(b"a/", b"", {}, {"external": 0o100644 << 16})]), "folders only")


@pytest.mark.parametrize(
    "flags, what",
    [(1, "encrypted"), (1 | 64, "encrypted"), (64, "0x0040"), (0x2000, "0x2000"), (32, "0x0020")],
)
def test_flags(flags, what):
    refused(raw([(b"a", b"1", {"flags": flags}, {"flags": flags})]), what, UnsupportedError)


@pytest.mark.parametrize("method", [1, 6, 9, 12, 14, 93, 95, 99])
def test_methods(method):
    refused(raw([(b"a", b"1", {"method": method}, {"method": method})]), f"method {method}", UnsupportedError)


@pytest.mark.parametrize("version", [64, 99, 255])
def test_versions(version):
    refused(patch(GOOD, central1__version=version), "version", UnsupportedError)
    assert load(patch(GOOD, central1__version=63, central0__version=0x0A14)) == MEMBERS


def test_stored_with_two_sizes():
    sizes = {"nbytes": 4}
    refused(raw([(b"a", b"abc", sizes, sizes)]), "equal sizes")


# ----------------------------------------------------------------------------- content


def deflated(content, **facts):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(content) + packer.flush()
    facts = {
        "method": 8,
        "nbytes": len(content),
        "nbytes_stored": len(data),
        "crc": zlib.crc32(content),
        **facts,
    }
    return data, facts


def test_bomb():
    data, facts = deflated(bytes(200 << 20))
    error = refused(raw([(b"weights.h5", data, facts, facts)]), "limits.spool_expansion=100", LimitError)
    assert error.field == "spool_expansion" and error.member == "weights.h5"


def test_bomb_that_states_a_small_size():
    data, facts = deflated(bytes(200 << 20))
    facts["nbytes"] = 1000
    refused(raw([(b"a", data, facts, facts)]), "found more")


def test_less_or_more_than_stated():
    for delta in (-1, 1):
        data, facts = deflated(b"hello world" * 50)
        facts["nbytes"] += delta
        refused(raw([(b"a", data, facts, facts)]))


def test_bytes_behind_the_stream():
    data, facts = deflated(b"hello")
    facts["nbytes_stored"] += 3
    refused(raw([(b"a", data + b"xyz", facts, facts)]), "deflated data")


def test_stream_cut_short():
    data, facts = deflated(b"hello world, hello moon")
    facts["nbytes_stored"] -= 2
    refused(raw([(b"a", data[:-2], facts, facts)]), kind=TruncatedError)
    facts["nbytes_stored"] = 0
    refused(raw([(b"a", b"", facts, facts)]), kind=TruncatedError)


def test_wrong_crc():
    for method in (0, 8):
        data = patch(archive({"a": b"hello world" * 9}, method), local0__crc=1, central0__crc=1)
        refused(data, "CRC-32")


def test_quine_is_opened_once():
    # kio never opens an archive inside an archive by itself, so one that holds itself is harmless.
    data = GOOD
    for _ in range(50):
        data = archive({"r/r.zip": data})
    assert list(load(data)) == ["r/r.zip"]


def test_hundred_thousand_entries():
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as z:
        for k in range(20_000):
            z.writestr(zipfile.ZipInfo(f"{k}"), b"")
    refused(many.getvalue(), "limits.members", LimitError)


# ------------------------------------------------------------------------ every damage


@pytest.mark.parametrize(
    "data", [GOOD, DEFLATED, STREAMED, zip64(GOOD, **FULL)], ids=["stored", "deflated", "streamed", "zip64"]
)
def test_cut_at_every_byte(data):
    for nbytes in range(len(data)):
        with pytest.raises(FormatError):
            load(data[:nbytes])


@pytest.mark.parametrize(
    "data", [GOOD, DEFLATED, STREAMED, zip64(GOOD, **FULL)], ids=["stored", "deflated", "streamed", "zip64"]
)
def test_every_bit_flipped(data):
    for at in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            try:
                assert load(bytes(damaged)) == MEMBERS, f"byte {at:#x} bit {bit}"
            except FormatError:
                continue


def test_every_byte_removed_or_doubled():
    for at in range(len(GOOD)):
        for data in (GOOD[:at] + GOOD[at + 1 :], GOOD[:at] + GOOD[at : at + 1] + GOOD[at:]):
            with pytest.raises(FormatError):
                load(data)
