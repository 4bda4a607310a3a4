"""zip: the members of an archive as windows of it, nothing skipped and nothing twice.

    0   [local header 30][name][extra][data][descriptor]      one a member, no gaps
        …
        [central entry 46][name][extra][comment]              one a member
        …
        [zip64 end record 56][zip64 locator 20]               where a number needs it
        [end record 22][comment]                              up to the last byte

A zip says most things twice, and attacks live where two readers believe different
copies.  So every copy must agree: the end record is the only one possible, each local
header equals its central entry, and members, directory and end record together are
the file, byte for byte.  What does not agree is refused as a whole.

Spec: PKWARE APPNOTE 6.3.10, sections 4.3 (records), 4.4 (fields), 4.5.3 (zip64).
"""

from kio.errors import ChecksumError, CorruptError, LimitError, TruncatedError, UnsupportedError
from kio.limits import DEFAULT
from kio.raw import codecs

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kio.raw cimport cursor, kernels
from kio.raw.codecs cimport UndoMember, undo_member
from kio.raw.cursor cimport Cursor
from kio.raw.source cimport Image, Source

cdef enum:
    LOCAL_NBYTES = 30
    ENTRY_NBYTES = 46
    END_NBYTES = 22
    END64_NBYTES = 56
    LOCATOR_NBYTES = 20
    COMMENT_NBYTES_MAX = 0xFFFF
    VERIFY_NBYTES = 1 << 20

    VERSION_MAX = 63             # the newest there is, 6.3
    STORED = 0

    # General purpose bits that change nothing of what kio reads: how hard deflate
    # tried (1, 2), sizes in a descriptor (3), UTF-8 name (11).
    FLAG_ENCRYPTED = 0x0001
    FLAG_DESCRIPTOR = 0x0008
    FLAG_UTF8 = 0x0800
    FLAGS_KNOWN = 0x080E

    ZIP64_EXTRA = 0x0001
    UNICODE_PATH_EXTRA = 0x7075

    # st_mode >> 12 of the file that was packed, in the upper half of the external
    # attributes; 0 where the writer's system has no such thing.
    KIND_FOLDER = 0x4
    KIND_REGULAR = 0x8


class Member:
    """One member of an archive.

    Attributes:
        name: Path inside the archive, ``/`` between its parts.
        nbytes, nbytes_stored: Size of the content, decoded and as it lies in the file.
        method: 0 stored, or that of a row of ``kio.raw.codecs``: 8 deflated.
        crc32: CRC-32 of the decoded content, as the archive states it.
        offset: First byte of the content in the archive.
        date: ``(year, month, day, hour, minute, second)`` as stored; not checked.
    """

    __slots__ = ("crc32", "date", "method", "name", "nbytes", "nbytes_stored", "offset")

    def __init__(self, name, nbytes, nbytes_stored, method, crc32, offset, date):
        self.name, self.nbytes, self.nbytes_stored = name, nbytes, nbytes_stored
        self.method, self.crc32, self.offset, self.date = method, crc32, offset, date

    def __repr__(self):
        return f"Member({self.name!r}, {self.nbytes} bytes)"


cdef class Archive:
    """An archive whose structure has been read and checked as a whole.

    Attributes:
        name: Name of its source.
        members: Every member that is not a folder, by name, in the order of the file.
    """

    def __init__(self, Source whole, dict members, limits):
        self.whole, self.members, self.limits = whole, members, limits
        self.name = whole.name
        self.spooled = {}

    def __contains__(self, name):
        return name in self.members

    def nbytes_of(self, str name):
        """Size of a member's content.

        Raises:
            KeyError: if there is no such member.
        """
        return self.members[name].nbytes

    def under(self, str prefix):
        """Names of the members whose name starts with ``prefix``."""
        return [name for name in self.members if name.startswith(prefix)]

    def source(self, str name):
        """The content of a member as a source.

        A stored member is a window of the archive that carries its CRC-32.  A deflated
        one is decoded into memory, once, and its CRC-32 checked here.

        Raises:
            KeyError: if there is no such member.
            LimitError: if decoding would exceed ``spool_bytes`` or ``spool_expansion``.
            FormatError: if the stored bytes are damaged.
        """
        member = self.members[name]
        if member.method == STORED:
            return self.whole.window(member.offset, member.nbytes, name, member.crc32)
        if name not in self.spooled:
            total = member.nbytes + sum([source.nbytes for source in self.spooled.values()])
            if total > self.limits.spool_bytes:
                raise LimitError(
                    f"deflated members: expected at most limits.spool_bytes="
                    f"{self.limits.spool_bytes} bytes in memory, found {total}",
                    source=f"{self.name}!{name}", field="spool_bytes",
                    hint="stored without compression, the member needs no memory")
            self.spooled[name] = Source.of_bytes(self.decoded(member), f"{self.name}!{name}")
        return self.spooled[name]

    def read(self, str name, uint64_t nbytes_max):
        """The checked content of a member of at most ``nbytes_max`` bytes.

        Raises:
            KeyError: if there is no such member.
            LimitError: if it is larger.
            FormatError: if the stored bytes are damaged.
        """
        member = self.members[name]
        if member.nbytes > nbytes_max:
            raise LimitError(f"member size: expected at most {nbytes_max} bytes (limits.config_bytes), found "
                             f"{member.nbytes}", source=f"{self.name}!{name}", field="config_bytes")
        if member.method != STORED:
            return bytes(self.decoded(member))
        content = self.whole.read(member.offset, member.nbytes)
        self.check(member, content)
        return content

    def close(self):
        """Give the archive's descriptor back; the sources of its members go with it."""
        self.spooled.clear()
        self.whole.close()

    def verify(self, str name):
        """Check the CRC-32 of a member, and keep nothing of a stored one.

        Raises:
            KeyError: if there is no such member.
            FormatError: if the stored bytes are damaged.

        Memory: 1 MiB for a stored member.
        """
        cdef uint64_t at = 0, nbytes
        cdef uint32_t crc = 0
        cdef const uint8_t[::1] block
        member = self.members[name]
        if member.method != STORED:
            self.source(name)
            return
        while at < <uint64_t>member.nbytes:
            nbytes = min(<uint64_t>VERIFY_NBYTES, <uint64_t>member.nbytes - at)
            block = self.whole.read(<uint64_t>member.offset + at, nbytes)
            with nogil:
                crc = kernels.crc32(crc, &block[0], nbytes)
            at += nbytes
        self.compare(member, crc)

    cdef bytearray decoded(self, member):
        """The decoded content of a compressed member.  Memory: stored and decoded size."""
        cdef size_t wrote = 0, used = 0, nbytes = member.nbytes, nbytes_stored = member.nbytes_stored
        cdef kernels.Status status
        cdef const uint8_t[::1] src
        cdef uint8_t[::1] dst
        row = codecs.of_zip(member.method)
        cdef UndoMember undo = undo_member(row)
        what = f"{row.zip[1]} data"
        where = f"{self.name}!{member.name}"
        if nbytes > self.limits.unbacked_bytes and nbytes > nbytes_stored * self.limits.spool_expansion:
            raise LimitError(
                f"expansion: expected at most limits.spool_expansion={self.limits.spool_expansion} "
                f"times the {nbytes_stored} bytes stored beyond limits.unbacked_bytes="
                f"{self.limits.unbacked_bytes}, found {nbytes}",
                source=where, field="spool_expansion")
        src = self.whole.read(member.offset, nbytes_stored)
        # One byte more than announced, so that neither view is empty.  Pages of a
        # bytearray this large take no memory before they are written.
        content = bytearray(nbytes + 1)
        dst = content
        with nogil:
            status = undo(&dst[0], nbytes, &src[0] if nbytes_stored else NULL, nbytes_stored, &wrote, &used)
        if status == kernels.KIO_TRUNCATED:
            raise TruncatedError(f"{what}: expected an end mark, found none",
                                 source=where, offset=nbytes_stored)
        if status == kernels.KIO_LIMIT:
            raise CorruptError(f"{what}: expected {nbytes} bytes, found more", source=where)
        if status != kernels.KIO_OK:
            raise CorruptError(f"{what}: expected a valid stream, found an invalid one",
                               source=where, offset=used)
        if wrote != nbytes or used != nbytes_stored:
            raise CorruptError(
                f"{what}: expected {nbytes} bytes from {nbytes_stored}, found {wrote} from {used}",
                source=where)
        dst = None
        del content[nbytes:]
        self.check(member, content)
        return content

    cdef int check(self, member, const uint8_t[::1] content) except -1:
        cdef uint32_t crc = 0
        cdef size_t nbytes = content.shape[0]
        if nbytes:
            with nogil:
                crc = kernels.crc32(0, &content[0], nbytes)
        return self.compare(member, crc)

    cdef int compare(self, member, uint32_t crc) except -1:
        if crc != member.crc32:
            raise ChecksumError(f"CRC-32: expected {member.crc32:#010x}, found {crc:#010x}",
                                source=f"{self.name}!{member.name}", field="crc-32")
        return 0

    def __reduce_ex__(self, protocol):
        raise TypeError("cannot pickle or copy an Archive: pickle the Checkpoint that kio.open gave, or open it again")

    def __repr__(self):
        return f"Archive({self.name!r}, {len(self.members)} members)"


def open(Source source, limits=DEFAULT):
    """Read and check the structure of the archive that ``source`` is.

    Args:
        source: The whole archive.
        limits: Caps; ``members`` and ``name_bytes`` matter here.

    Returns:
        An Archive.

    Raises:
        TruncatedError: if the end record is missing or points beyond the file.
        CorruptError: if two statements of the archive contradict each other, bytes are
            left over, or a name is not a plain relative path.
        UnsupportedError: for encryption, methods other than stored and deflated, spanned
            archives, links.
        LimitError: for more members than ``limits.members``.

    Reads: the last 64 KiB, the central directory, one local header a member.
    Memory: O(members).
    """
    return _Reader(source, limits).archive()


cdef class _Reader:
    """What one pass over an archive needs to know."""
    cdef Source source
    cdef Image image
    cdef object limits
    cdef uint64_t count          # members the end record announces
    cdef uint64_t directory      # offset of the central directory
    cdef uint64_t directory_end

    def __init__(self, Source source, limits):
        self.source, self.limits = source, limits
        self.image = Image(source)

    def archive(self):
        self.read_end()
        rows = sorted(self.read_directory())
        starts = [offset for offset, _ in rows] + [self.directory]
        if starts[0]:
            raise self.corrupt(f"first member: expected at byte 0, found at {starts[0]:#x}", starts[0],
                               "relative offset of local header")
        members = {}
        for k, (offset, row) in enumerate(rows):
            member = self.read_local(offset, starts[k + 1], row)
            if member is not None:
                members[member.name] = member
        return Archive(self.source, members, self.limits)

    cdef object corrupt(self, str what, uint64_t offset, field):
        return CorruptError(what, source=self.source.name, offset=offset, field=field)

    # ------------------------------------------------------------------ end of the file

    cdef int read_end(self) except -1:
        """Find the one end record, and the zip64 one before it where there is one."""
        cdef uint64_t total = self.source.nbytes
        cdef uint64_t reach = min(total, <uint64_t>(END_NBYTES + COMMENT_NBYTES_MAX))
        cdef Cursor c = cursor.span(self.image, total - reach, reach)
        cdef uint64_t end, nbytes
        tail = cursor.take(&c, reach)
        found, at = [], tail.find(b"PK\x05\x06")
        while at >= 0:
            if at + END_NBYTES <= reach and \
                    at + END_NBYTES + int.from_bytes(tail[at + 20:at + 22], "little") == reach:
                found.append(at)
            at = tail.find(b"PK\x05\x06", at + 1)
        if not found:
            raise TruncatedError("end of central directory: expected one in the last "
                                 f"{reach} bytes, found none", source=self.source.name, offset=total)
        if len(found) > 1:
            raise self.corrupt("end of central directory: expected one, found "
                               f"{len(found)} possible ones", total - reach + found[0], None)
        end = total - reach + <uint64_t>found[0]

        c = cursor.span(self.image, end + 4, END_NBYTES - 4)
        disk, start_disk = cursor.u16(&c), cursor.u16(&c)
        disk_count, count = cursor.u16(&c), cursor.u16(&c)
        directory_nbytes, directory = cursor.u32(&c), cursor.u32(&c)
        numbers = [disk, start_disk, disk_count, count, directory_nbytes, directory]
        self.directory_end = end
        self.read_end64(end, numbers)
        disk, start_disk, disk_count, count, directory_nbytes, directory = numbers

        if disk or start_disk or disk_count != count:
            raise UnsupportedError(
                f"archive: expected one in one piece, found part {disk} of a spanned one",
                source=self.source.name, offset=end, field="number of this disk")
        nbytes = directory_nbytes
        self.count, self.directory = count, directory
        if self.count > <uint64_t>self.limits.members:
            raise LimitError(f"members: expected at most limits.members={self.limits.members}, "
                             f"found {count}", source=self.source.name, offset=end, field="members")
        if self.directory > self.directory_end or nbytes != self.directory_end - self.directory:
            raise self.corrupt(
                f"central directory: expected to end at byte {self.directory_end:#x}, found "
                f"{directory:#x} + {directory_nbytes}", end, "size of the central directory")
        if nbytes < self.count * ENTRY_NBYTES:
            raise self.corrupt(f"central directory: expected {count} entries, found room for "
                               f"{nbytes // ENTRY_NBYTES}", end, "total number of entries")
        return 0

    cdef int read_end64(self, uint64_t end, list numbers) except -1:
        """Replace the numbers of the end record by those of the zip64 one, if there is one."""
        cdef Cursor c
        cdef uint64_t start
        caps = [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF]
        if end >= LOCATOR_NBYTES:
            c = cursor.span(self.image, end - LOCATOR_NBYTES, LOCATOR_NBYTES)
        if end < LOCATOR_NBYTES or not cursor.starts(&c, b"PK\x06\x07", 4):
            if any([number == cap for number, cap in zip(numbers, caps)]):
                raise self.corrupt("zip64 end of central directory: expected one before the end "
                                   "record, found none", end, None)
            return 0
        cursor.skip(&c, 4)
        disk, start, disks = cursor.u32(&c), cursor.u64(&c), cursor.u32(&c)
        if disk or disks != 1 or end < LOCATOR_NBYTES + END64_NBYTES \
                or start != end - LOCATOR_NBYTES - END64_NBYTES:
            raise self.corrupt("zip64 locator: expected the record right before it, found "
                               f"{start:#x} on disk {disk} of {disks}", end - LOCATOR_NBYTES,
                               "relative offset of the zip64 end of central directory record")
        c = cursor.span(self.image, start, END64_NBYTES)
        cursor.expect(&c, b"PK\x06\x06", 4)
        nbytes = cursor.u64(&c)
        if nbytes != END64_NBYTES - 12:
            raise UnsupportedError(f"zip64 end record: expected {END64_NBYTES - 12} bytes, found {nbytes}",
                                   source=self.source.name, offset=start,
                                   field="size of zip64 end of central directory record")
        cursor.skip(&c, 4)      # version made by, version needed to extract
        wide = [cursor.u32(&c), cursor.u32(&c), cursor.u64(&c), cursor.u64(&c),
                cursor.u64(&c), cursor.u64(&c)]
        for k, (number, value, cap) in enumerate(zip(numbers, wide, caps)):
            if number != cap and number != value:
                raise self.corrupt(f"end records: expected equal numbers, found {number} and {value} "
                                   "in the zip64 one", start, None)
            numbers[k] = value
        self.directory_end = start
        return 0

    # -------------------------------------------------------------- entries and headers

    cdef list read_directory(self):
        """``(offset of the local header, what its central entry says)`` of every member."""
        cdef uint64_t at = self.directory
        cdef Cursor c
        rows, names = [], set()
        for _ in range(self.count):
            c = cursor.span(self.image, at, min(<uint64_t>ENTRY_NBYTES, self.directory_end - at))
            cursor.expect(&c, b"PK\x01\x02", 4)
            cursor.skip(&c, 2)      # version made by
            version, flags, method = cursor.u16(&c) & 0xFF, cursor.u16(&c), cursor.u16(&c)
            when, crc = cursor.u32(&c), cursor.u32(&c)
            nbytes_stored, nbytes = cursor.u32(&c), cursor.u32(&c)
            name_nbytes, extra_nbytes, comment_nbytes = cursor.u16(&c), cursor.u16(&c), cursor.u16(&c)
            disk = cursor.u16(&c)
            cursor.skip(&c, 2)      # internal file attributes
            attributes, offset = cursor.u32(&c), cursor.u32(&c)
            follows = name_nbytes + extra_nbytes + comment_nbytes
            if follows > self.directory_end - at - ENTRY_NBYTES:
                raise self.corrupt(f"central entry: expected it inside the directory, found {follows} "
                                   "bytes of name, extra field and comment", at, "file name length")
            c = cursor.span(self.image, at + ENTRY_NBYTES, follows)
            raw = cursor.take(&c, name_nbytes)
            extra = self.extras(&c, extra_nbytes)
            nbytes, nbytes_stored, offset, disk = self.widened(
                extra, [nbytes, nbytes_stored, offset, disk],
                [0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF], at)
            name = self.name_of(raw, flags, at)
            self.vet(name, version, flags, method, nbytes, nbytes_stored, attributes >> 28, disk, at)
            if name in names:
                raise self.corrupt(f"member {name!r}: expected it once, found it twice", at, "file name")
            names.add(name)
            rows.append((offset, (name, raw, flags, method, when, crc, nbytes_stored, nbytes)))
            at += ENTRY_NBYTES + <uint64_t>follows
        if at != self.directory_end:
            raise self.corrupt(f"central directory: expected its end after {self.count} entries, found "
                               f"{self.directory_end - at} more bytes", at, "total number of entries")
        return rows

    cdef object read_local(self, uint64_t offset, uint64_t end, tuple row):
        """Compare a local header, and what follows its data, with the central entry.

        Returns:
            The Member, or None for a folder.
        """
        cdef uint64_t data, data_end
        cdef Cursor c
        name, raw, flags, method, when, crc, nbytes_stored, nbytes = row
        if end < offset or end - offset < LOCAL_NBYTES:
            raise self.corrupt(f"member {name!r}: expected no overlap with what starts at byte {end:#x}, "
                               f"found its header at {offset:#x}", offset, "relative offset of local header")
        c = cursor.span(self.image, offset, LOCAL_NBYTES)
        cursor.expect(&c, b"PK\x03\x04", 4)
        cursor.skip(&c, 2)          # version needed to extract
        local = [cursor.u16(&c), cursor.u16(&c)]
        cursor.skip(&c, 4)          # last mod file time, date
        local += [cursor.u32(&c), cursor.u32(&c), cursor.u32(&c)]
        name_nbytes, extra_nbytes = cursor.u16(&c), cursor.u16(&c)
        data = offset + LOCAL_NBYTES + <uint64_t>name_nbytes + <uint64_t>extra_nbytes
        if data > end or <uint64_t>nbytes_stored > end - data:
            raise self.corrupt(f"member {name!r}: expected header and {nbytes_stored} bytes of data before "
                               f"byte {end:#x}, found the data at {data:#x}", offset, "compressed size")
        data_end = data + <uint64_t>nbytes_stored
        c = cursor.span(self.image, offset + LOCAL_NBYTES, data - offset - LOCAL_NBYTES)
        local_raw = cursor.take(&c, name_nbytes)
        extra = self.extras(&c, extra_nbytes)
        local[4], local[3] = self.widened(extra, [local[4], local[3]], [0xFFFFFFFF, 0xFFFFFFFF], offset)
        if local_raw != raw:
            raise self.corrupt(f"member {name!r}: expected the same name in its local header, found "
                               f"{local_raw[:80]!r}", offset, "file name")
        central = [flags, method, crc, nbytes_stored, nbytes]
        fields = ("general purpose bit flag", "compression method", "crc-32", "compressed size",
                  "uncompressed size")
        for k, (here, there) in enumerate(zip(local, central)):
            # A writer that cannot seek leaves the last three to the descriptor.
            if here != there and not (k >= 2 and here == 0 and flags & FLAG_DESCRIPTOR):
                raise self.corrupt(f"member {name!r}, {fields[k]}: expected {there} as in the central "
                                   f"directory, found {here}", offset, fields[k])
        if flags & FLAG_DESCRIPTOR:
            self.read_descriptor(data_end, end, name, crc, nbytes_stored, nbytes)
        elif data_end != end:
            raise self.corrupt(f"member {name!r}: expected its data to end at byte {end:#x}, found "
                               f"{end - data_end} more bytes", data_end, "compressed size")
        if name.endswith("/"):
            return None
        date = ((when >> 25) + 1980, when >> 21 & 15, when >> 16 & 31,
                when >> 11 & 31, when >> 5 & 63, (when & 31) * 2)
        return Member(name, nbytes, nbytes_stored, method, crc, data, date)

    cdef int read_descriptor(self, uint64_t start, uint64_t end, name, crc, nbytes_stored,
                             nbytes) except -1:
        """A descriptor has no length field, but no gap is allowed: its form is its size."""
        cdef uint64_t found = end - start
        cdef Cursor c
        if found not in (12, 16, 20, 24):
            raise self.corrupt(f"member {name!r}, data descriptor: expected 12, 16, 20 or 24 bytes, "
                               f"found {found}", start, None)
        c = cursor.span(self.image, start, found)
        if found in (16, 24):
            cursor.expect(&c, b"PK\x07\x08", 4)
        width = 4 if found < 20 else 8
        said = [cursor.u32(&c), cursor.uint(&c, width), cursor.uint(&c, width)]
        if said != [crc, nbytes_stored, nbytes]:
            raise self.corrupt(f"member {name!r}, data descriptor: expected "
                               f"{[crc, nbytes_stored, nbytes]} as in the central directory, found {said}",
                               start, None)
        return 0

    cdef object extras(self, Cursor *c, uint64_t nbytes):
        """The data of the zip64 extra field, or None; all fields are walked."""
        cdef uint64_t at = cursor.tell(c)
        cdef size_t end
        cursor.need(c, nbytes)
        end = cursor.left(c) - nbytes
        zip64 = None
        while cursor.left(c) >= end + 4:
            kind, size = cursor.u16(c), cursor.u16(c)
            if size > cursor.left(c) - end:
                raise self.corrupt(f"extra field {kind:#06x}: expected at most {cursor.left(c) - end} bytes, "
                                   f"found {size}", at, "extra field")
            if kind == UNICODE_PATH_EXTRA:
                raise UnsupportedError("extra field 0x7075: expected one name a member, found a second one",
                                       source=self.source.name, offset=at, field="extra field")
            if kind != ZIP64_EXTRA:
                cursor.skip(c, size)
            elif zip64 is None:
                zip64 = cursor.take(c, size)
            else:
                raise self.corrupt("extra field: expected at most one zip64 field, found two", at,
                                   "extra field")
        # Alignment tools leave up to three zero bytes, too few for a field.
        if any(cursor.take(c, cursor.left(c) - end)):
            raise self.corrupt("extra field: expected it to end with a whole field", at, "extra field")
        return zip64

    cdef list widened(self, extra, list numbers, list caps, uint64_t at):
        """Numbers of a header, those at their cap replaced by the zip64 extra field's.

        The field holds the numbers that are at their cap, in the header's order.  Some
        writers put down all of them; then those not at their cap must be the same twice.
        """
        asked = [number == cap for number, cap in zip(numbers, caps)]
        if extra is None:
            if any(asked[:3]):
                raise self.corrupt("zip64 extra field: expected one for the sizes that it should hold, "
                                   "found none", at, "extra field")
            return numbers
        widths = [4 if cap == 0xFFFF else 8 for cap in caps]
        for wanted in (asked, [True, True], [True, True, True], [True, True, True, True]):
            if sum([w for w, yes in zip(widths, wanted) if yes]) != len(extra) or len(wanted) > len(caps):
                continue
            wide, start = list(numbers), 0
            for k in range(len(wanted)):
                if wanted[k]:
                    wide[k] = int.from_bytes(extra[start:start + widths[k]], "little")
                    start += widths[k]
            if all([a or w == n for a, w, n in zip(asked, wide, numbers)]):
                return wide
            break
        raise self.corrupt(f"zip64 extra field: expected {sum(asked)} numbers as the header asks, found "
                           f"{len(extra)} bytes that do not fit it", at, "extra field")

    # ------------------------------------------------------------------ what is refused

    cdef str name_of(self, bytes raw, flags, uint64_t at):
        try:
            # Without the flag a name is in code page 437.
            return raw.decode("utf-8" if flags & FLAG_UTF8 else "cp437")
        except UnicodeDecodeError:
            raise self.corrupt(f"member name: expected UTF-8, found {raw[:80]!r}", at, "file name") from None

    cdef int vet(self, str name, version, flags, method, nbytes, nbytes_stored, kind, disk,
                 uint64_t at) except -1:
        """Refuse a member whose name or kind could mean different things to two readers."""
        parts = name.removesuffix("/").split("/")
        if "\0" in name or "\\" in name or name[1:2] == ":" or \
                any([part in ("", ".", "..") for part in parts]):
            raise self.corrupt(f"member name: expected a plain relative path, found {name[:80]!r}",
                               at, "file name")
        trouble = None
        if flags & FLAG_ENCRYPTED:
            trouble = "it is encrypted"
        elif version > VERSION_MAX:
            trouble = f"version {version // 10}.{version % 10} of the format"
        elif flags & ~FLAGS_KNOWN:
            trouble = f"general purpose flags {flags & ~FLAGS_KNOWN:#06x}"
        elif method != STORED and codecs.of_zip(method) is None:
            trouble = f"compression method {method}"
        elif disk:
            trouble = f"it is on disk {disk}"
        elif kind not in (0, KIND_FOLDER, KIND_REGULAR):
            trouble = f"a link or device (file kind {kind})"
        if trouble:
            raise UnsupportedError(f"member {name!r}: expected a plain stored or deflated file, found "
                                   f"{trouble}", source=self.source.name, offset=at)
        folder = name.endswith("/")
        if (kind == KIND_FOLDER) != folder and kind != 0 or folder and nbytes:
            raise self.corrupt(f"member {name!r}: expected a name ending in '/' for folders only, and no "
                               f"content, found {nbytes} bytes", at, "external file attributes")
        if method == STORED and nbytes != nbytes_stored:
            raise self.corrupt(f"member {name!r}: expected equal sizes of a stored member, found "
                               f"{nbytes_stored} and {nbytes}", at, "compressed size")
        return 0
