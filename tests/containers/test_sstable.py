"""SSTables: as TensorFlow wrote them, as the plainest reader sees them, and what is refused."""

from __future__ import annotations

import random

import pytest

from kio.containers import sstable
from kio.errors import ChecksumError, CorruptError, FormatError, LimitError, TruncatedError, UnsupportedError
from kio.limits import Limits
from kio.raw.source import Source
from tests.conftest import real
from tests.containers import tables
from tests.containers.tables import contents, entry, sealed, table, tail, varint

ENTRIES = [(b"", b"header")] + [(f"layer/{n:03}/kernel".encode(), bytes([n % 256]) * (n % 40)) for n in range(300)]


def read(data: bytes, **limits: int) -> list[tuple[bytes, bytes]]:
    return list(sstable.Table(Source.of_bytes(data, "x.index"), Limits(**limits)))


@pytest.mark.parametrize("snappy", [False, True])
@pytest.mark.parametrize(("per_block", "interval"), [(300, 16), (1, 1), (7, 3), (50, 16), (1000, 1000)])
def test_every_entry_in_order(per_block, interval, snappy):
    data = tables.of(ENTRIES, per_block, interval, snappy)
    assert read(data) == ENTRIES == tables.listed(data)
    assert all(tables.looked_up(data, key) == value for key, value in ENTRIES[::29])


def test_no_entry():
    assert read(tables.of([])) == [] == read(sstable.table_of([]))


def test_a_table_by_hand():
    data = sstable.table_of([(b"ab", b"1"), (b"abc", b"22"), (b"b", b"")])
    block = bytes([0, 2, 1]) + b"ab1" + bytes([2, 1, 2]) + b"c22" + bytes([0, 1, 0]) + b"b" + tail([0])
    index = bytes([0, 1, 2]) + b"c" + varint(0) + varint(len(block)) + tail([0])
    meta = len(block) + 5
    ends = varint(meta) + varint(8) + varint(meta + 13) + varint(len(index))
    footer = ends + bytes(40 - len(ends)) + bytes.fromhex("57fb808b247547db")
    assert data == sealed(block) + sealed(tail([0])) + sealed(index) + footer


def test_written_tables_are_read_by_all_readers():
    dice = random.Random(1)
    keys = sorted({dice.randbytes(dice.randrange(0, 9)) for _ in range(3000)} | {b"\xff", b"\xff\xff", b"\xff\xff\0"})
    entries = [(key, dice.randbytes(dice.choice([0, 5, 100, 3000]))) for key in keys]
    entries[40] = (entries[40][0], bytes(600_000))  # alone in its block
    data = sstable.table_of(entries)
    assert read(data) == entries == tables.listed(data)
    assert all(tables.looked_up(data, key) == value for key, value in entries[::97])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (b"abc", b"abq", b"abd"),
        (b"abc", b"abd", b"abc"),
        (b"abc", b"abcd", b"abc"),
        (b"", b"a", b""),
        (b"a\xff", b"c", b"b"),
        (b"\xff", b"\xff\xff", b"\xff"),
    ],
)
def test_short_keys_between(low, high, expected):
    assert sstable.between(low, high) == expected and low <= expected < high


def test_short_keys_behind():
    assert (
        sstable.behind(b"abc") == b"b" and sstable.behind(b"\xffb") == b"\xffc" and sstable.behind(b"\xff") == b"\xff"
    )


def test_masks():
    # The mask of CRC-32C("123456789") = 0xe3069283.
    assert sstable.mask(0xE3069283) == tables.masked(0xE3069283) == 0xC78AB0E5
    assert sstable.unmask(0xC78AB0E5) == 0xE3069283


@pytest.mark.skipif(real() is None, reason="the real files are not at hand")
def test_real_indexes():
    paths = sorted(real().rglob("*.index"))
    compressed = 0
    for path in paths:
        data = path.read_bytes()
        entries = read(data)
        assert entries == tables.listed(data) and entries[0][0] == b""
        again = sstable.table_of(entries)
        # TensorFlow compressed some of the older ones.
        compressed += again != data
        assert again == data or len(again) > len(data)
    assert len(paths) > 40 and 0 < compressed < len(paths) / 4


A, B = contents([(b"a", b"1"), (b"b", b"2")]), contents([(b"c", b"3"), (b"d", b"4")])
GOOD = table([A, B], [b"b", b"d"])
KEYS = [b"b", b"d"]


def one(block: bytes, kind: int = 0) -> bytes:
    return table([block], [b"zz"], kinds=[kind])


BAD = {
    "empty": (b"", TruncatedError, "footer"),
    "no magic": (GOOD[:-1] + b"x", CorruptError, "signature"),
    "bytes behind": (GOOD + b"\0", CorruptError, "signature"),
    "footer's padding": (GOOD[:-9] + b"\1" + GOOD[-8:], CorruptError, "zeros"),
    "index outside": (
        table([A], [b"b"], footer=varint(0) + varint(8) + varint(999) + varint(9) + bytes(33) + tables.MAGIC),
        CorruptError,
        "index",
    ),
    "index before metaindex": (
        table([A], [b"b"], footer=b"\x20\x02\0\2" + bytes(36) + tables.MAGIC),
        CorruptError,
        "behind the metaindex",
    ),
    "endless varint": (table([A], [b"b"], footer=b"\xff" * 40 + tables.MAGIC), CorruptError, "varint"),
    "varint of 65 bits": (
        table([A], [b"b"], footer=b"\x80" * 9 + b"\2" + bytes(30) + tables.MAGIC),
        CorruptError,
        "varint",
    ),
    "handle outside": (
        table([A, B], KEYS, handles=[b"\0" + varint(len(A)), varint(1 << 60) + b"\4"]),
        CorruptError,
        "data block",
    ),
    "handle that overflows": (
        table([A, B], KEYS, handles=[b"\0" + varint(len(A)), varint(len(A) + 5) + varint((1 << 64) - 1)]),
        CorruptError,
        "data block",
    ),
    "handle into the metaindex": (
        table([A], [b"b"], handles=[varint(len(A) + 5) + b"\x08"]),
        CorruptError,
        "data block",
    ),
    "handle twice": (table([A, B], KEYS, handles=[b"\0" + varint(len(A))] * 2), CorruptError, "or behind"),
    "handle and more": (table([A], [b"b"], handles=[b"\0" + varint(len(A)) + b"\0"]), CorruptError, "two numbers"),
    "blocks that overlap": (
        table([A, B], KEYS, handles=[b"\0" + varint(len(A)), b"\1" + varint(len(A))]),
        CorruptError,
        "or behind",
    ),
    "wrong sum": (GOOD[:3] + bytes([GOOD[3] ^ 1]) + GOOD[4:], ChecksumError, "CRC-32C"),
    "wrong sum of the metaindex": (
        GOOD.replace(sealed(contents([])), sealed(contents([]))[:-1] + b"\0"),
        ChecksumError,
        "CRC",
    ),
    "unknown compression": (one(A, 4), UnsupportedError, "block type"),
    "Snappy that is none": (one(A, 1), CorruptError, "Snappy"),
    "Snappy bomb": (one(varint(1 << 31) + b"\0a" + b"\xfe\1\0" * 9, 1), CorruptError, "Snappy"),
    "no restarts": (one(b"\0\1\1ab" + tail([])), CorruptError, "at least one"),
    "more restarts than bytes": (one(tail([], 1 << 30)), CorruptError, "restarts"),
    "block of 3 bytes": (one(b"\0\0\0"), TruncatedError, "block"),
    "first restart elsewhere": (one(entry(0, b"a", b"1") + tail([1])), CorruptError, "first at 0"),
    "restart inside an entry": (
        one(entry(0, b"a", b"1") + entry(0, b"b", b"2") + tail([0, 6])),
        CorruptError,
        "restart",
    ),
    "restart behind": (one(entry(0, b"a", b"1") + tail([0, 90])), CorruptError, "restart"),
    "restart at 2**32 - 1": (
        one(entry(0, b"a", b"1") + entry(0, b"b", b"2") + tail([0, 2**32 - 1])),
        CorruptError,
        "restart",
    ),
    "restarts that fall": (
        one(b"".join(entry(0, k, b"1") for k in (b"a", b"b", b"c")) + tail([0, 10, 5])),
        CorruptError,
        "restart",
    ),
    "restart with a shared key": (
        one(entry(0, b"a", b"1") + entry(1, b"b", b"2") + tail([0, 5])),
        CorruptError,
        "shared bytes",
    ),
    "shares more than there is": (
        one(entry(0, b"a", b"1") + entry(2, b"b", b"2") + tail([0])),
        CorruptError,
        "shared bytes",
    ),
    "shares before the first": (one(entry(1, b"a", b"1") + tail([0])), CorruptError, "shared bytes"),
    "key beyond the block": (one(entry(0, b"a", b"1", unshared=60) + tail([0])), TruncatedError, "structure"),
    "value beyond the block": (one(entry(0, b"a", b"1", nbytes=60) + tail([0])), CorruptError, "value"),
    "value of 2**64 bytes": (one(entry(0, b"a", b"1", nbytes=(1 << 64) - 1) + tail([0])), CorruptError, "value"),
    "key of 2**64 bytes": (one(entry(0, b"a", b"1", unshared=(1 << 64) - 1) + tail([0])), LimitError, "name_bytes"),
    "same key twice": (one(contents([(b"a", b"1"), (b"a", b"2")])), CorruptError, "key"),
    "empty key twice": (one(contents([(b"", b"1"), (b"", b"2")])), CorruptError, "key"),
    "keys that fall": (one(contents([(b"b", b"1"), (b"a", b"2")])), CorruptError, "key"),
    "prefix behind": (one(contents([(b"ab", b"1"), (b"a", b"2")], 1)), CorruptError, "key"),
    "falls between blocks": (table([B, A], [b"d", b"e"]), CorruptError, "block before"),
    "same key in two blocks": (table([A, contents([(b"b", b"3")])], [b"b", b"c"]), CorruptError, "block before"),
    "index key below": (table([A, B], [b"a", b"d"]), CorruptError, "index's key"),
    "last index key below": (table([A, B], [b"b", b"c"]), CorruptError, "index's key"),
    "index keys that fall": (table([A, B], [b"d", b"c"]), CorruptError, "key"),
    "index key above the next block": (table([A, B], [b"c", b"d"]), CorruptError, "block before"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    data, error, words = BAD[case]
    with pytest.raises(error, match=words):
        read(data)


def test_the_good_one_is_good():
    assert read(GOOD) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")]
    assert read(table([A, B], [b"bzz", b"e"], gap=b"unused")) == read(GOOD)


def test_long_keys_are_a_matter_of_limits():
    data = sstable.table_of([(b"k" * 100, b"")])
    with pytest.raises(LimitError, match=r"limits\.name_bytes=99"):
        read(data, name_bytes=99)
    assert read(data, name_bytes=100) == [(b"k" * 100, b"")]


@pytest.mark.parametrize("snappy", [False, True])
def test_every_truncation_and_every_flipped_bit(snappy):
    data = tables.of(ENTRIES[:40], 15, 4, snappy)
    for end in range(len(data)):
        with pytest.raises(FormatError):
            read(data[:end])
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        with pytest.raises(FormatError):
            read(bytes(flipped))


def test_keys_to_write_must_rise():
    with pytest.raises(ValueError, match="above"):
        sstable.table_of([(b"a", b""), (b"a", b"")])
