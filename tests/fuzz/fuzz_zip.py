"""Mutates archives for the zip reader: ``python -m tests.fuzz.fuzz_zip --seconds 600 --seed 1``.

Whatever comes out must be a FormatError, or members that Python's zipfile sees the same
way.  Run it on a build with ``KIO_BUILD=asan``, with libasan and libubsan preloaded, to
see what memory errors there are.  An input that fails is written to ``regressions/zip/``
and from then on replayed by pytest.
"""

from __future__ import annotations

import io
import random
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

from kio.containers import zip as container
from kio.errors import FormatError
from kio.limits import Limits
from kio.raw.source import Source
from tests.fuzz import mutating
from tests.hostile.zips import archive, raw, zip64

REGRESSIONS = Path(__file__).parent / "regressions" / "zip"
LIMITS = Limits(members=50, spool_bytes=1 << 20)
NUMBERS = (
    0,
    1,
    2,
    8,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFE,
    0xFFFF,
    0x7FFFFFFF,
    0xFFFFFFFE,
    0xFFFFFFFF,
    2**63,
    2**64 - 1,
)
SIGNATURES = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08")


def seeds() -> list[bytes]:
    """Archives of every feature the reader has."""
    members = {"config.json": b'{"a": [1, 2]}', "a/b.h5": bytes(range(100)), "é": b"x" * 300, "d/": b""}
    plain = archive(members)
    full = {
        "end__count": 0xFFFF,
        "end__disk_count": 0xFFFF,
        "end__nbytes": 2**32 - 1,
        "end__offset": 2**32 - 1,
    }
    big = {"nbytes": 2**32 - 1, "nbytes_stored": 2**32 - 1}
    three = (3).to_bytes(8, "little")
    wide = {**big, "extra": b"\1\0\x10\0" + three + three}
    zeros = {"flags": 8, "crc": 0, "nbytes": 0, "nbytes_stored": 0}
    long = zlib.crc32(b"abc").to_bytes(4, "little") + three + three
    return [
        plain,
        archive(members, zipfile.ZIP_DEFLATED),
        archive(members, zipfile.ZIP_DEFLATED, seekable=False),
        zip64(plain),
        zip64(plain, **full),
        raw([(b"a", b"abc", wide, wide), (b"b", b"", {}, {"comment": b"hello"})]),
        raw([(b"a", b"abc", {**zeros, "after": b"PK\7\x08" + long}, {"flags": 8})]),
        archive({}),
    ]


def mutated(data: bytes, dice: random.Random) -> bytes:
    """A copy with one to four things changed."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        at = dice.randrange(len(out) + 1)
        match dice.randrange(8):
            case 0 if out:
                out[at % len(out)] ^= 1 << dice.randrange(8)
            case 1 if out:
                out[at % len(out)] = dice.randrange(256)
            case 2:
                width = dice.choice((1, 2, 4, 8))
                out[at : at + width] = (dice.choice(NUMBERS) & (1 << 8 * width) - 1).to_bytes(width, "little")
            case 3:
                del out[at : at + dice.choice((1, 2, 4, 30, 46))]
            case 4:
                out[at:at] = dice.choice((bytes(dice.randrange(9)), dice.choice(SIGNATURES)))
            case 5:
                start = dice.randrange(len(out) + 1)
                out[at:at] = out[start : start + dice.randrange(80)]
            case 6:
                # A number moved a little: sizes and offsets that nearly fit.
                width, delta = dice.choice((2, 4, 8)), dice.choice((-46, -30, -22, -4, -1, 1, 4, 22, 30, 46))
                value = int.from_bytes(out[at : at + width], "little") + delta
                out[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
            case _:
                other = dice.choice(SEEDS)
                cut = dice.randrange(len(other) + 1)
                out[at:] = other[cut:]
    return bytes(out)


SEEDS = seeds()


def check(data: bytes) -> bool:
    """Whether kio takes an input; zipfile must agree with what it then says.

    Raises:
        AssertionError, or anything but FormatError: a bug.
    """
    try:
        found = container.open(Source.of_bytes(data, "fuzz"), LIMITS)
        content = {name: found.read(name, 1 << 20) for name in found.members}
    except FormatError as error:
        text = str(error)
        assert text.isprintable() and len(text) < 2000, "message"
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(io.BytesIO(data)) as z:
            theirs = {info.filename: z.read(info) for info in z.infolist() if not info.is_dir()}
    assert content == theirs, f"kio {content}, zipfile {theirs}"
    return True


if __name__ == "__main__":
    sys.exit(mutating.main(__doc__.splitlines()[0], SEEDS, mutated, check, REGRESSIONS, ".zip"))
