"""Mutates tables for the SSTable reader: ``python -m tests.fuzz.fuzz_sstable --seconds 600 --seed 1``.

Whatever comes out must be a FormatError, or entries that the plainest reader sees the same
way, each of them found when its key is looked up.  Half of the inputs have their block's
checksums made right again, so that damage gets past them.  Run it on a build with
``KIO_BUILD=asan``, with libasan and libubsan preloaded, to see what memory errors there are.
An input that fails is written to ``regressions/sstable/`` and from then on replayed by pytest.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from kio.containers import sstable
from kio.errors import FormatError
from kio.limits import Limits
from kio.raw import kernels
from kio.raw.source import Source
from tests.containers import tables
from tests.fuzz import mutating

REGRESSIONS = Path(__file__).parent / "regressions" / "sstable"
LIMITS = Limits(name_bytes=200)
NUMBERS = (
    0,
    1,
    2,
    4,
    5,
    15,
    16,
    127,
    128,
    255,
    256,
    2**14,
    2**21,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**63,
    2**64 - 1,
)


def seeds() -> list[bytes]:
    """Tables of every shape that the reader tells apart."""
    entries = [(b"", b"header")] + [(b"layer/%02d/kernel" % n, bytes([n]) * (n % 20)) for n in range(40)]
    entries += [(b"layer/%02d/kernel\xff\xff" % n, b"") for n in range(40, 50)]
    return [
        tables.of(entries),
        tables.of(entries, 5, 3),
        tables.of(entries, 10, 4, snappy=True),
        sstable.table_of(entries),
        sstable.table_of([]),
        sstable.table_of([(b"one", b"x" * 300)]),
    ]


def spans(data: bytes) -> list[tuple[int, int]]:
    """Where the blocks of a good table are: offset and bytes of contents."""
    found, at = [], 0
    foot = data[-48:]
    handles = []
    for _ in range(4):
        value, at = tables._varint(foot, at)
        handles.append(value)
    found += [(handles[0], handles[1]), (handles[2], handles[3])]
    for _, handle in tables._from(tables._index(data), 0):
        offset, at = tables._varint(handle, 0)
        found.append((offset, tables._varint(handle, at)[0]))
    return found


def mutated(data: bytes, dice: random.Random) -> bytes:
    """A copy with one to four things changed, blocks sealed again or not."""
    blocks, out = spans(data), bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        offset, nbytes = dice.choice(blocks) if dice.random() < 0.9 else (len(data) - 48, 48)
        at = min(offset + dice.randrange(nbytes + 1), len(out) - 1)
        match dice.randrange(6):
            case 0:
                out[at] ^= 1 << dice.randrange(8)
            case 1:
                out[at] = dice.choice(NUMBERS) & 255
            case 2:
                number = tables.varint(dice.choice(NUMBERS))
                out[at : at + len(number)] = number
            case 3:
                number = dice.choice(NUMBERS) & 0xFFFFFFFF
                out[at : at + 4] = number.to_bytes(4, "little")
            case 4:
                other = offset + dice.randrange(nbytes + 1)
                size = dice.randrange(12)
                out[at : at + size] = out[other : other + size]
            case _:
                # A number moved a little: sizes and offsets that nearly fit.
                out[at] = (out[at] + dice.choice((-5, -4, -1, 1, 4, 5))) % 256
        del out[len(data) :]
    if dice.random() < 0.7:
        for offset, nbytes in blocks:
            stored = bytes(out[offset : offset + nbytes + 1])
            seal = tables.masked(kernels.crc32c_of(stored)).to_bytes(4, "little")
            out[offset + nbytes + 1 : offset + nbytes + 5] = seal
    return bytes(out)


SEEDS = seeds()


def check(data: bytes) -> bool:
    """Whether kio takes an input; plain readers must agree with what it then says.

    Raises:
        AssertionError, or anything but FormatError: a bug.
    """
    try:
        found = list(sstable.Table(Source.of_bytes(data, "fuzz"), LIMITS))
    except FormatError as error:
        text = str(error)
        assert text.isprintable() and len(text) < 2000, "message"
        return False
    assert found == tables.listed(data), "entries"
    assert all(tables.looked_up(data, key) == value for key, value in found), "looked up"
    return True


if __name__ == "__main__":
    sys.exit(mutating.main(__doc__.splitlines()[0], SEEDS, mutated, check, REGRESSIONS, ".index"))
