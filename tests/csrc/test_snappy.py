"""Raw Snappy streams: by the letter of the format, and as an attacker would write them."""

from __future__ import annotations

import random

import pytest

from kio.raw import kernels
from tests.csrc.spans import guarded, guarded_copy


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def snappy_slowly(stream: bytes, nbytes_max: int) -> tuple[str, bytes]:
    """format_description.txt, in the words of kio_status."""
    size, at = 0, 0
    while True:
        if at == 5:
            return "CORRUPT", b""
        if at == len(stream):
            return "TRUNCATED", b""
        size |= (stream[at] & 127) << 7 * at
        at += 1
        if stream[at - 1] < 128:
            break
    if size >= 1 << 32:
        return "CORRUPT", b""
    if size > nbytes_max:
        return "LIMIT", b""
    out = bytearray()
    while at < len(stream):
        tag = stream[at]
        at += 1
        kind, n = tag & 3, (tag >> 2) + 1
        extra = max(n - 60, 0) if kind == 0 else (1, 2, 4)[kind - 1]
        if at + extra > len(stream):
            return "TRUNCATED", bytes(out)
        number = int.from_bytes(stream[at : at + extra], "little")
        at += extra
        if kind == 0:
            if extra:
                if number >= size:
                    return "CORRUPT", bytes(out)
                n = number + 1
            if at + n > len(stream):
                return "TRUNCATED", bytes(out)
            if len(out) + n > size:
                return "CORRUPT", bytes(out)
            out += stream[at : at + n]
            at += n
            continue
        if kind == 1:
            n, number = (tag >> 2 & 7) + 4, tag >> 5 << 8 | number
        if number == 0 or number > len(out) or len(out) + n > size:
            return "CORRUPT", bytes(out)
        for _ in range(n):
            out.append(out[-number])
    return ("OK" if len(out) == size else "TRUNCATED"), bytes(out)


def literal(data: bytes, extra: int | None = None) -> bytes:
    n = len(data) - 1
    if extra is None:
        extra = 0 if n < 60 else (n.bit_length() + 7) // 8
    if not extra:
        return bytes([n << 2]) + data
    return bytes([(59 + extra) << 2]) + n.to_bytes(extra, "little") + data


def match(back: int, n: int, kind: int) -> bytes:
    if kind == 1:
        return bytes([back >> 8 << 5 | (n - 4) << 2 | 1, back & 255])
    return bytes([n - 1 << 2 | kind]) + back.to_bytes(2 if kind == 2 else 4, "little")


def check(stream: bytes, room: int) -> tuple[str, bytes]:
    """Both decoders agree, and the fast one stays within both spans."""
    expected = snappy_slowly(stream, room)
    dst = guarded(room)
    status, nbytes = kernels.snappy_decompress_into(dst, guarded_copy(stream))
    assert (status, nbytes) == (expected[0], len(expected[1]))
    assert bytes(memoryview(dst)[:nbytes]) == expected[1]
    return expected


def test_every_element_by_hand():
    stream = varint(36) + literal(b"0123456789") + match(10, 4, 1) + match(4, 8, 2) + match(22, 13, 3) + literal(b"z")
    assert check(stream, 36) == ("OK", b"0123456789" + b"0123" + b"01230123" + b"0123456789012" + b"z")


@pytest.mark.parametrize("extra", [0, 1, 2, 3, 4])
def test_literals_of_every_length_field(extra):
    data = bytes(range(50)) * (1 if extra == 0 else 2)
    assert check(varint(len(data)) + literal(data, extra), len(data)) == ("OK", data)


@pytest.mark.parametrize("back", [1, 2, 3, 7, 8, 9, 63])
@pytest.mark.parametrize("kind", [1, 2, 3])
def test_matches_that_overlap_themselves(back, kind):
    head = bytes(range(64))
    stream = varint(64 + 11) + literal(head) + match(back, 11, kind)
    for room in (75, 76, 82, 83, 90):
        status, found = check(stream, room)
        assert status == "OK" and found[64:] == (head[64 - back :] * 11)[:11]


def test_empty():
    assert check(b"\0", 0) == ("OK", b"")
    assert check(b"", 4) == ("TRUNCATED", b"")


BAD = {
    "size of six bytes": (b"\x80\x80\x80\x80\x80\x01", 9, "CORRUPT"),
    "size above 32 bits": (b"\xff\xff\xff\xff\x7f", 9, "CORRUPT"),
    "size above the room": (varint(10) + literal(b"0123456789"), 9, "LIMIT"),
    "four gigabytes promised": (b"\xff\xff\xff\xff\x0f" + literal(b"a"), 100, "LIMIT"),
    "literal beyond the size": (varint(2) + literal(b"abc"), 9, "CORRUPT"),
    "literal of 2**32 bytes": (varint(9) + b"\xfc\xff\xff\xff\xff", 9, "CORRUPT"),
    "literal cut": (varint(3) + literal(b"abc")[:-1], 9, "TRUNCATED"),
    "length cut": (varint(90) + literal(b"a" * 90, 4)[:3], 90, "TRUNCATED"),
    "match before the start": (varint(9) + literal(b"a") + match(2, 4, 1), 9, "CORRUPT"),
    "match of distance 0": (varint(9) + literal(b"a") + match(0, 4, 2), 9, "CORRUPT"),
    "match beyond the size": (varint(5) + literal(b"ab") + match(1, 4, 1), 9, "CORRUPT"),
    "match cut": (varint(9) + literal(b"a") + match(1, 8, 3)[:-1], 9, "TRUNCATED"),
    "less than promised": (varint(9) + literal(b"a"), 9, "TRUNCATED"),
    "nothing but the size": (varint(9), 9, "TRUNCATED"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    stream, room, expected = BAD[case]
    assert check(stream, room)[0] == expected


def test_random_streams_and_damage():
    rng = random.Random(7)
    for _ in range(400):
        body, size = bytearray(), 0
        for _ in range(rng.randrange(1, 12)):
            if not size or rng.random() < 0.4:
                n = rng.choice([1, 3, 59, 60, 61, 70, 300])
                body += literal(rng.randbytes(n))
            else:
                kind = rng.choice([1, 2, 3])
                n = rng.randrange(4, 12) if kind == 1 else rng.randrange(1, 65)
                body += match(rng.randrange(1, min(size, 2047) + 1), n, kind)
            size += n
        stream = varint(size) + bytes(body)
        assert check(stream, size)[0] == "OK"
        for _ in range(10):
            damaged = bytearray(stream)
            damaged[rng.randrange(len(stream))] ^= 1 << rng.randrange(8)
            check(bytes(damaged[: rng.randrange(len(stream)) + 1]), size)
