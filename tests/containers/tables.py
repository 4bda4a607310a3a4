"""SSTables made and read in the plainest way, with every field open to an attacker."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence

from kio.raw import kernels

MAGIC = bytes.fromhex("57fb808b247547db")
Entry = tuple[bytes, bytes]


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def entry(shared: int, suffix: bytes, value: bytes, *, unshared: int | None = None, nbytes: int | None = None) -> bytes:
    return (
        varint(shared)
        + varint(len(suffix) if unshared is None else unshared)
        + varint(len(value) if nbytes is None else nbytes)
        + suffix
        + value
    )


def contents(entries: Iterable[Entry], interval: int = 16) -> bytes:
    """A block's contents: every ``interval``-th key whole."""
    out, restarts, last = bytearray(), [], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % interval == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += entry(shared, key[shared:], value)
        last = key
    return bytes(out) + tail(restarts or [0])


def tail(restarts: Sequence[int], count: int | None = None) -> bytes:
    return b"".join(n.to_bytes(4, "little") for n in [*restarts, len(restarts) if count is None else count])


def sealed(block: bytes, kind: int = 0) -> bytes:
    stored = block + bytes([kind])
    return stored + masked(kernels.crc32c_of(stored)).to_bytes(4, "little")


def literals(data: bytes) -> bytes:
    """A Snappy stream that holds ``data`` as it is, but for runs of one byte."""
    out, at = bytearray(varint(len(data))), 0
    while at < len(data):
        run = 1
        while run < 65 and data[at : at + 1] * run == data[at : at + run] and at + run <= len(data):
            run += 1
        run -= 1
        if run > 4:
            out += bytes([0, data[at]]) + bytes([run - 2 << 2 | 2, 1, 0])
            at += run
            continue
        part = data[at : at + 40]
        out += bytes([len(part) - 1 << 2]) + part
        at += len(part)
    return bytes(out)


def table(
    blocks: Sequence[bytes],
    keys: Sequence[bytes],
    *,
    kinds: Sequence[int] | None = None,
    handles: Sequence[bytes] | None = None,
    meta: bytes | None = None,
    footer: bytes | None = None,
    index: bytes | None = None,
    gap: bytes = b"",
) -> bytes:
    """A table of blocks (contents, as stored) with an index key each; what is given replaces what would be right."""
    out, at = bytearray(), []
    for number, block in enumerate(blocks):
        at.append(varint(len(out)) + varint(len(block)))
        out += sealed(block, kinds[number] if kinds else 0) + gap
    meta = contents([]) if meta is None else meta
    ends = varint(len(out)) + varint(len(meta))
    out += sealed(meta)
    if index is None:
        index = contents(zip(keys, handles or at, strict=True), 1)
    ends += varint(len(out)) + varint(len(index))
    out += sealed(index)
    return bytes(out + (ends + bytes(40 - len(ends)) + MAGIC if footer is None else footer))


def of(entries: Sequence[Entry], per_block: int = 50, interval: int = 16, snappy: bool = False) -> bytes:
    """A table of these entries."""
    parts = [entries[i : i + per_block] for i in range(0, len(entries), per_block)]
    blocks = [contents(part, interval) for part in parts]
    keys = [part[-1][0] for part in parts]
    if snappy:
        return table([literals(block) for block in blocks], keys, kinds=[1] * len(blocks))
    return table(blocks, keys)


# ---------------------------------------------------------------------------------- reading


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
        shift += 7


def _plain(stream: bytes) -> bytes:
    size, _ = _varint(stream, 0)
    out = bytearray(size)
    assert kernels.snappy_decompress_into(out, stream) == ("OK", size)
    return bytes(out)


def _block(data: bytes, handle: bytes) -> bytes:
    offset, at = _varint(handle, 0)
    nbytes, _ = _varint(handle, at)
    block = data[offset : offset + nbytes]
    return _plain(block) if data[offset + nbytes] else block


def _from(block: bytes, at: int) -> Iterable[Entry]:
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    key = b""
    while at < end:
        shared, at = _varint(block, at)
        unshared, at = _varint(block, at)
        nbytes, at = _varint(block, at)
        key = key[:shared] + block[at : at + unshared]
        at += unshared
        yield key, block[at : at + nbytes]
        at += nbytes


def _seek(block: bytes, key: bytes) -> Entry | None:
    """The first entry at or behind a key, by way of the restarts, as LevelDB looks for it."""
    n = int.from_bytes(block[-4:], "little")
    starts = [int.from_bytes(block[i : i + 4], "little") for i in range(len(block) - 4 - 4 * n, len(block) - 4, 4)]
    firsts = [next(iter(_from(block, at)), (b"\xff" * 99, b""))[0] for at in starts]
    at = starts[max(bisect.bisect_left(firsts, key) - 1, 0)]
    return next((found for found in _from(block, at) if found[0] >= key), None)


def listed(data: bytes) -> list[Entry]:
    """All entries, one after the other."""
    index = _index(data)
    return [each for _, handle in _from(index, 0) for each in _from(_block(data, handle), 0)]


def looked_up(data: bytes, key: bytes) -> bytes | None:
    """The value of a key, as a reader finds it that jumps."""
    found = _seek(_index(data), key)
    entry = _seek(_block(data, found[1]), key) if found else None
    return entry[1] if entry and entry[0] == key else None


def _index(data: bytes) -> bytes:
    foot = data[-48:]
    _, at = _varint(foot, 0)
    _, at = _varint(foot, at)
    return _block(data, foot[at:])
