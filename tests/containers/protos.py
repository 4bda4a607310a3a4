"""Protocol buffers written and read in the plainest way."""

from __future__ import annotations

from typing import Any

from tests.containers.tables import varint


def number(field: int, value: int) -> bytes:
    """A varint field; 0 is left out, as every writer does."""
    return varint(field << 3) + varint(value) if value else b""


def blob(field: int, *parts: bytes | str) -> bytes:
    """A field of bytes, text or a message."""
    data = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return varint(field << 3 | 2) + varint(len(data)) + data


def fixed32(field: int, value: int) -> bytes:
    return varint(field << 3 | 5) + value.to_bytes(4, "little")


def fields(data: bytes) -> list[tuple[int, Any]]:
    """Every field of a message: its number, and an int or bytes."""

    def one(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 128:
                return value, at

    found: list[tuple[int, Any]] = []
    at = 0
    while at < len(data):
        tag, at = one(at)
        if tag & 7 == 0:
            value, at = one(at)
            found.append((tag >> 3, value))
            continue
        nbytes = {1: 8, 5: 4}.get(tag & 7)
        if nbytes is None:
            nbytes, at = one(at)
            found.append((tag >> 3, data[at : at + nbytes]))
        else:
            found.append((tag >> 3, int.from_bytes(data[at : at + nbytes], "little")))
        at += nbytes
    return found
