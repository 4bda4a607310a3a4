"""zip_writer: an archive of stored members, written into a sink in one pass.

    [local header 30][name][extra][data]               one a member, data on its boundary
        …
    [central entry 46][name][extra]                    one a member
        …
    [zip64 end record 56][zip64 locator 20]            where a number needs them
    [end record 22]

Members lie on a boundary through a field in the extra part of their local header (0xD935:
the boundary in two bytes, then zeros), so that what is aligned in a member is aligned in the
file.  Their checksums come from whoever wrote them.  In a sink that can seek, a local
header is written after its data; in a pipe it comes first, and a data descriptor follows.

Spec: PKWARE APPNOTE 6.3.10, sections 4.3 (records), 4.4 (fields), 4.5.3 (zip64).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from kio.raw import transfer_out
from kio.raw.kernels import crc32_of
from kio.raw.sink import Sink
from kio.raw.source import Source
from kio.raw.tensor import Extent
from kio.raw.transfer_out import Lazy

Content: TypeAlias = bytes | bytearray | memoryview | Source | Extent | Lazy

FLAG_DESCRIPTOR = 0x0008
FLAG_UTF8 = 0x0800
ZIP64_EXTRA = 0x0001
ALIGNMENT_EXTRA = 0xD935
# The largest number that a 4-byte field and a 2-byte field hold; more goes into zip64 fields.
CAP32 = 0xFFFFFFFF
CAP16 = 0xFFFF
# Version needed to extract, and made by; the upper byte says that the mode is one of Unix.
PLAIN, WIDE, UNIX = 20, 45, 3 << 8
# Below this size one write of header and content is cheaper than a transfer.
SMALL = 64 << 10
# A regular file that everybody reads and its owner writes.
MODE = 0o100644 << 16


@dataclass(slots=True)
class _Member:
    """A member on its way: ``offset`` of its local header, ``data`` of its content."""

    raw: bytes
    offset: int
    data: int
    nbytes: int
    nbytes_max: int
    boundary: int
    crc32: int = 0
    descriptor: int = 0  # its flag, where sizes and sum follow the content

    @property
    def wide(self) -> bool:
        """Whether its local header keeps room for sizes beyond 4 bytes."""
        return self.nbytes_max >= CAP32


class ZipWriter:
    """Members one after the other, then ``finish``.  The caller commits the sink.

    Args:
        sink: Where the archive goes; it begins at byte 0.
        date: ``(year, month, day, hour, minute, second)`` of all members, 1980 to 2107, the
            seconds even.  The default makes the same content the same bytes.

    Raises:
        ValueError: if the format cannot express the date.
    """

    def __init__(self, sink: Sink, *, date: Sequence[int] = (1980, 1, 1, 0, 0, 0)) -> None:
        year, month, day, hour, minute, second = date
        if not (1980 <= year <= 2107 and 1 <= month <= 12 and 1 <= day <= 31):
            raise ValueError(f"date of an archive: expected one from 1980 to 2107, found {tuple(date)}")
        self._sink = sink
        self._when = (hour << 11 | minute << 5 | second // 2) | (year - 1980 << 9 | month << 5 | day) << 16
        self._members: dict[bytes, _Member] = {}
        self._open: _Member | None = None
        self._at = 0

    def add(self, name: str, content: Content, *, boundary: int = 1) -> None:
        """Write a whole member.

        Args:
            name: Path in the archive, ``/`` between its parts.
            content: Bytes; or a ``Source``, an ``Extent`` or a ``Lazy``, copied in blocks.
            boundary: Byte 0 of the content lies at a multiple of this in the sink.

        Raises:
            ValueError: for a name that is taken or no plain relative path.
            OSError: as the system reports it; abort the sink then.
        """
        if isinstance(content, (Source, Extent, Lazy)):
            nbytes = content.nbytes
            start = self.begin(name, nbytes, boundary=boundary)
            sums = transfer_out.write(self._sink, [(start, content)], checksums="pieces")
            self.end(nbytes, sums[0])
            return
        view = memoryview(content).cast("B")
        crc32 = crc32_of(view)
        member = self._place(name, view.nbytes, boundary)
        member.crc32 = crc32
        # The sum is known: the header is complete, in a pipe too.
        head = self._local(member)
        if view.nbytes < SMALL:
            self._sink.write_at(member.offset, head + view.tobytes())
        else:
            transfer_out.write(self._sink, [(member.offset, head), (member.data, view)])
        self._close(member)

    def begin(self, name: str, nbytes_max: int, *, boundary: int = 1) -> int:
        """Place a member that the caller writes into the sink; ``end`` must follow.

        Args:
            name, boundary: As for ``add``.
            nbytes_max: The content will have at most this many bytes.  In a sink that
                cannot seek it decides how wide the sizes are stored.

        Returns:
            Where in the sink the content begins.

        Raises:
            ValueError: as ``add``, or if the member before has not ended.
        """
        member = self._place(name, nbytes_max, boundary)
        if not self._sink.seekable:
            member.descriptor = FLAG_DESCRIPTOR
            self._sink.write_at(member.offset, self._local(member))
        self._open = member
        return member.data

    def end(self, nbytes: int, crc32: int) -> None:
        """Complete the member that was begun.

        Args:
            nbytes, crc32: Of the content, all of which has been written.

        Raises:
            ValueError: if none was begun, or it has become larger than was said.
        """
        member = self._open
        if member is None:
            raise ValueError("end of a member: expected one that was begun, found none")
        if nbytes > member.nbytes_max:
            raise ValueError(
                f"member {member.raw.decode()!r}: expected at most {member.nbytes_max} bytes, found {nbytes}"
            )
        member.nbytes, member.crc32, self._open = nbytes, crc32, None
        if self._sink.seekable:
            self._sink.write_at(member.offset, self._local(member))
            self._close(member)
            return
        form = "<4sIQQ" if member.wide else "<4sIII"
        descriptor = struct.pack(form, b"PK\x07\x08", crc32, nbytes, nbytes)
        self._sink.write_at(member.data + nbytes, descriptor)
        self._close(member, len(descriptor))

    def finish(self) -> int:
        """Write the central directory; returns the size of the archive.

        Raises:
            ValueError: if a member has not ended.
        """
        if self._open is not None:
            raise ValueError(f"archive: expected every member to have ended, found {self._open.raw.decode()!r} open")
        start = self._at
        entries = b"".join([self._central(member) for member in self._members.values()])
        count, nbytes = len(self._members), len(entries)
        if count >= CAP16 or nbytes >= CAP32 or start >= CAP32:
            end = start + nbytes
            record = (44, UNIX | WIDE, WIDE, 0, 0, count, count, nbytes, start)
            entries += struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", *record)
            entries += struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
            count, nbytes, start = min(count, CAP16), min(nbytes, CAP32), min(start, CAP32)
        entries += struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, nbytes, start, 0)
        self._sink.write_at(self._at, entries)
        return self._at + len(entries)

    # ------------------------------------------------------------------------- placing

    def _place(self, name: str, nbytes_max: int, boundary: int) -> _Member:
        if self._open is not None:
            raise ValueError(f"member {name!r}: expected {self._open.raw.decode()!r} to have ended")
        raw = name.encode()
        # What kio and careful readers refuse is not written either.
        if "\\" in name or "\0" in name or name[1:2] == ":" or {"", ".", ".."} & set(name.split("/")):
            raise ValueError(f"member name: expected a plain relative path, found {name!r}")
        if len(raw) > CAP16 or raw in self._members:
            raise ValueError(f"member name: expected it once and at most {CAP16} bytes long, found {name[:80]!r}")
        if not 1 <= boundary <= 1 << 15:
            raise ValueError(f"boundary of {name!r}: expected 1 to 32768, found {boundary}")
        member = _Member(raw, self._at, 0, nbytes_max, nbytes_max, boundary)
        head = self._at + 30 + len(raw) + (20 if member.wide else 0)
        gap = -head % boundary
        if 0 < gap < 6:
            gap += -(-6 // boundary) * boundary  # too small for a field
        member.data = head + gap
        return member

    def _close(self, member: _Member, descriptor_nbytes: int = 0) -> None:
        self._members[member.raw] = member
        self._at = member.data + member.nbytes + descriptor_nbytes

    # --------------------------------------------------------------------------- bytes

    def _flags(self, member: _Member) -> int:
        return member.descriptor | (0 if member.raw.isascii() else FLAG_UTF8)

    def _local(self, member: _Member) -> bytes:
        """The local header; one with a descriptor has no sizes and no sum."""
        nbytes, crc32 = (0, 0) if member.descriptor else (member.nbytes, member.crc32)
        room = member.data - member.offset - 30 - len(member.raw)
        extra = b""
        if member.wide and (member.descriptor or nbytes >= CAP32):
            # Of a member with a descriptor it says that the descriptor's sizes are 8 bytes wide.
            extra = struct.pack("<HHQQ", ZIP64_EXTRA, 16, nbytes, nbytes)
            nbytes = CAP32
        if room > len(extra):
            field = struct.pack("<HHH", ALIGNMENT_EXTRA, room - len(extra) - 4, member.boundary)
            extra += field.ljust(room - len(extra), b"\0")
        needed = WIDE if nbytes == CAP32 else PLAIN
        numbers = (needed, self._flags(member), 0, self._when, crc32, nbytes, nbytes, len(member.raw), room)
        return struct.pack("<4sHHHIIIIHH", b"PK\x03\x04", *numbers) + member.raw + extra

    def _central(self, member: _Member) -> bytes:
        nbytes, offset = member.nbytes, member.offset
        wide = [n for n in (nbytes, nbytes, offset) if n >= CAP32]
        extra = struct.pack(f"<HH{len(wide)}Q", ZIP64_EXTRA, 8 * len(wide), *wide) if wide else b""
        needed = WIDE if wide or member.wide else PLAIN
        nbytes, offset = min(nbytes, CAP32), min(offset, CAP32)
        numbers = (UNIX | needed, needed, self._flags(member), 0, self._when, member.crc32, nbytes, nbytes)
        sizes = (len(member.raw), len(extra), 0, 0, 0, MODE, offset)
        return struct.pack("<4sHHHHIIIIHHHHHII", b"PK\x01\x02", *numbers, *sizes) + member.raw + extra
