"""SSTable: sorted keys and their values in checksummed blocks, as LevelDB made them.

The index of a TensorFlow checkpoint (``.index``) is such a table, and a checkpoint of
version 1 is one as a whole.

    file      data block *, metaindex block, index block, footer
    block     contents
              type u8: 0 as it is, 1 Snappy
              CRC-32C of contents and type, masked, u32
    contents  entry *, offset of a restart u32 *, number of restarts u32
    entry     varint shared, varint unshared, varint nbytes, key[shared:], value
    footer    handle of the metaindex, handle of the index, zeros up to byte 40,
              57 fb 80 8b 24 75 47 db                                       48 bytes
    handle    varint offset, varint nbytes, without type and CRC

The first ``shared`` bytes of a key are those of the key before; at a restart there are none.
In the index block a value is the handle of a data block, and its key is not below that
block's last key, but below the first key of the next.  The mask of a CRC c is
rotr(c, 15) + 0xa282ead8.

A reader that looks a key up jumps to restarts by way of the index, one that lists reads
entries in order.  Both must see the same, so order, restarts and index keys are all checked.

Spec: google/leveldb, doc/table_format.md; tensorflow/core/lib/io/table_format.txt.
"""

from kio.errors import ChecksumError, CorruptError, LimitError, TruncatedError, UnsupportedError
from kio.limits import DEFAULT

from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy

from kio.raw cimport kernels
from kio.raw.cursor cimport enter, expect, left, run, seek, skip, take, tell, u8, u32, varint
from kio.raw.kernels cimport KIO_CORRUPT, KIO_OK, Status

cdef enum:
    FOOTER = 48
    TRAILER = 5
    PLAIN = 0
    SNAPPY = 1
    # A block of a writer that follows the rules holds so much before the next one begins.
    BLOCK_NBYTES = 262144
    RESTART = 16

# No offset, as restarts have 32 bits.
cdef uint64_t NONE = <uint64_t>-1
cdef bytes MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"


def mask(crc):
    """A CRC-32C as TensorFlow stores it."""
    return masked(crc)


def unmask(crc):
    """The CRC-32C that is stored as ``crc``."""
    return unmasked(crc)


cdef class Block:
    """One block, its checksum compared: entries in order, their keys whole."""

    def __dealloc__(self):
        free(self.key)

    cdef int start(self, Image image, uint64_t offset, uint64_t nbytes, limits) except -1:
        """Stand before the first entry of the contents at ``offset``."""
        cdef uint64_t nrestarts
        self.image, self.begin = image, offset
        self.key_nbytes_max = limits.name_bytes
        enter(&self.restarts, image, offset, nbytes)
        if nbytes < 4:
            raise TruncatedError(f"block: expected at least 4 bytes, found {nbytes}",
                                 source=image.source.name, offset=offset)
        seek(&self.restarts, nbytes - 4)
        nrestarts = u32(&self.restarts)
        if nrestarts > (nbytes - 4) // 4:
            raise CorruptError(f"restarts: expected at most {(nbytes - 4) // 4}, found {nrestarts}",
                               source=image.source.name, offset=offset + nbytes - 4)
        enter(&self.entries, image, offset, nbytes - 4 - 4 * nrestarts)
        enter(&self.restarts, image, offset + nbytes - 4 - 4 * nrestarts, 4 * nrestarts)
        if nrestarts == 0:
            raise CorruptError("restarts: expected at least one, found none",
                               source=image.source.name, offset=offset + nbytes - 4)
        self.expected = 0
        self.next_restart()
        if self.expected != 0:
            raise CorruptError(f"restart: expected the first at 0, found it at {self.expected}",
                               source=image.source.name, offset=tell(&self.restarts) - 4)
        return 0

    cdef int next_restart(self) except -1:
        """Where the next entry with a whole key must begin; beyond the entries if there is none."""
        cdef uint64_t before = self.expected
        if left(&self.restarts) == 0:
            self.expected = NONE
            return 0
        self.expected = u32(&self.restarts)
        if self.restarts.at > 4 and self.expected <= before:
            raise CorruptError(f"restart: expected one after byte {before} of the block, found {self.expected}",
                               source=self.image.source.name, offset=tell(&self.restarts) - 4)
        return 0

    cdef bint next(self) except -1:
        """Go to the next entry; False after the last."""
        cdef uint64_t shared, unshared, nbytes, at = self.entries.at
        cdef const void *suffix
        if left(&self.entries) == 0:
            # An empty block has its one restart at 0, where no entry is.
            if self.expected != NONE and (self.expected or self.entries.end):
                raise self.misplaced()
            return False
        shared, unshared, nbytes = varint(&self.entries), varint(&self.entries), varint(&self.entries)
        if at > self.expected:
            raise self.misplaced()
        if at == self.expected:
            if shared:
                raise self.corrupt(f"shared bytes: expected 0 at a restart, found {shared}", at)
            self.next_restart()
        if shared > self.key_nbytes:
            raise self.corrupt(f"shared bytes: expected at most {self.key_nbytes}, the size of the key before, "
                               f"found {shared}", at)
        if unshared > self.key_nbytes_max or shared + unshared > self.key_nbytes_max:
            raise LimitError(f"key: expected at most limits.name_bytes={self.key_nbytes_max}, found "
                             f"{shared + unshared} bytes", source=self.image.source.name,
                             offset=self.begin + at, field="name_bytes")
        suffix = run(&self.entries, unshared)
        if self.begun and not self.rises(shared, suffix, unshared):
            raise self.corrupt(f"key: expected one above {self.key[:self.key_nbytes][:80]!r}, found another", at)
        self.begun = True
        if shared + unshared > self.key_cap:
            self.grow(2 * (shared + unshared))
        if unshared:
            memcpy(self.key + shared, suffix, unshared)
        self.key_nbytes = shared + unshared
        if nbytes > left(&self.entries):
            raise self.corrupt(f"value: expected at most {left(&self.entries)} bytes, found {nbytes}", at)
        enter(&self.value, self.image, tell(&self.entries), nbytes)
        skip(&self.entries, nbytes)
        return True

    cdef bint rises(self, size_t shared, const void *suffix, size_t nbytes) noexcept:
        """Whether the key with this suffix sorts behind the last one."""
        cdef size_t before = self.key_nbytes - shared, n = min(before, nbytes)
        cdef int order = memcmp(self.key + shared, suffix, n) if n else 0
        return order < 0 or (order == 0 and before < nbytes)

    cdef int grow(self, size_t nbytes) except -1:
        cdef void *p = realloc(self.key, nbytes)
        if p == NULL:
            raise MemoryError(f"{nbytes} bytes for a key")
        self.key, self.key_cap = <uint8_t *>p, nbytes
        return 0

    cdef object corrupt(self, str what, uint64_t at):
        return CorruptError(what, source=self.image.source.name, offset=self.begin + at)

    cdef object misplaced(self):
        return self.corrupt(f"restart: expected an entry to begin at byte {self.expected} of the block, found none", 0)


cdef class Table:
    """A table: blocks of entries, and an index of the blocks.  Iterate once.

    Args:
        source: The whole file.
        limits: Caps; ``name_bytes`` bounds a key.

    Raises:
        FormatError: if footer or index are damaged.

    Iterating yields ``(key, value)`` as bytes, keys in ascending order, and raises
    FormatError where a block is damaged.

    Reads: the index; then block by block.  Memory: the blocks; one that is compressed at a time.
    """

    def __init__(self, Source source, limits=DEFAULT):
        cdef Cursor c
        cdef uint64_t meta, meta_nbytes, index, index_nbytes, end
        self.source, self.limits = source, limits
        self.image = Image(source)
        if source.nbytes < FOOTER:
            raise TruncatedError(f"footer: expected {FOOTER} bytes, found {source.nbytes}",
                                 source=source.name, offset=0)
        end = source.nbytes - FOOTER
        enter(&c, self.image, end, FOOTER)
        seek(&c, FOOTER - 8)
        expect(&c, MAGIC, 8)
        enter(&c, self.image, end, FOOTER - 8)
        meta, meta_nbytes = varint(&c), varint(&c)
        index, index_nbytes = varint(&c), varint(&c)
        while left(&c):
            if u8(&c):
                raise CorruptError("footer: expected zeros behind the handles, found something else",
                                   source=source.name, offset=tell(&c) - 1)
        self.inside(meta, meta_nbytes, end, "metaindex")
        self.inside(index, index_nbytes, end, "index")
        if index < meta + meta_nbytes + TRAILER:
            raise CorruptError(f"index: expected it behind the metaindex, at {meta + meta_nbytes + TRAILER} or later, "
                               f"found {index}", source=source.name, offset=end)
        self.limit = meta
        # Nothing in it is used, but its bytes may be damaged as any.
        while self.load(meta, meta_nbytes).next():
            pass
        self.index = self.load(index, index_nbytes)

    cdef int inside(self, uint64_t offset, uint64_t nbytes, uint64_t end, str what) except -1:
        if offset > end or nbytes > end - offset or end - offset - nbytes < TRAILER:
            raise CorruptError(f"{what}: expected a block before byte {end}, found {nbytes} bytes at {offset}",
                               source=self.source.name, offset=min(offset, end))
        return 0

    cdef Block load(self, uint64_t offset, uint64_t nbytes):
        """The block at a handle that is inside the file."""
        cdef Cursor c
        cdef Block block = Block.__new__(Block)
        cdef Image image
        cdef const uint8_t *bytes_
        cdef uint32_t stored, found
        cdef uint8_t kind
        enter(&c, self.image, offset, nbytes + TRAILER)
        bytes_ = <const uint8_t *>run(&c, nbytes + 1)
        stored = unmasked(u32(&c))
        with nogil:
            found = kernels.crc32c(0, bytes_, nbytes + 1)
        if stored != found:
            raise ChecksumError(f"CRC-32C of a block: expected {stored:#010x}, found {found:#010x}",
                                source=self.source.name, offset=offset)
        seek(&c, nbytes)
        kind = u8(&c)
        if kind == PLAIN:
            block.start(self.image, offset, nbytes, self.limits)
        elif kind == SNAPPY:
            image = self.decoded(offset, nbytes)
            block.start(image, 0, image.nbytes, self.limits)
        else:
            raise UnsupportedError(f"block type: expected 0 (as it is) or 1 (Snappy), found {kind}",
                                   source=self.source.name, offset=offset + nbytes)
        return block

    cdef Image decoded(self, uint64_t offset, uint64_t nbytes):
        """An image of what a Snappy block holds: at most 22 times what is stored."""
        cdef Cursor c
        cdef size_t size = 0, got = 0
        cdef Status status
        cdef const void *src
        cdef uint8_t *dst
        enter(&c, self.image, offset, nbytes)
        src = run(&c, nbytes)
        status = kernels.snappy_size(src, nbytes, &size)
        # Where the size is a lie, no memory is asked for; no stream has a better ratio.
        if status == KIO_OK and size > 22 * nbytes:
            status = KIO_CORRUPT
        if status == KIO_OK:
            data = bytearray(size)
            dst = data
            with nogil:
                status = kernels.snappy_decompress(dst, size, src, nbytes, &got)
        if status != KIO_OK:
            raise CorruptError(f"Snappy block: expected a stream of {size} bytes, found it damaged after {got}",
                               source=self.source.name, offset=offset)
        return Image(Source.of_bytes(data, f"{self.source.name}, decoded block at {offset:#x}"))

    cdef bint next(self) except -1:
        """Go to the next entry, which is ``block.key`` and ``block.value``; False after the last."""
        cdef bytes before
        while True:
            if self.block is not None:
                if self.block.next():
                    return True
                if self.block.begun and self.key() > self.bound:
                    raise self.unsorted("at most the index's key of its block, " + repr(self.bound[:80]), self.key())
            if not self.index.next():
                self.block = None
                return False
            before = self.bound
            self.bound = self.index.key[:self.index.key_nbytes]
            self.block = self.load_next()
            if self.block.next():
                if before is not None and self.key() <= before:
                    raise self.unsorted("one above the index's key of the block before, " + repr(before[:80]),
                                        self.key())
                return True

    cdef Block load_next(self):
        """The block whose handle the index stands on."""
        cdef uint64_t offset = varint(&self.index.value), nbytes = varint(&self.index.value)
        if left(&self.index.value):
            raise CorruptError(f"handle: expected two numbers, found {left(&self.index.value)} bytes more",
                               source=self.source.name, offset=tell(&self.index.value))
        if offset < self.end:
            raise CorruptError(f"handle: expected a block at byte {self.end} or behind, found {offset}",
                               source=self.source.name, offset=offset)
        self.inside(offset, nbytes, self.limit, "data block")
        self.end = offset + nbytes + TRAILER
        return self.load(offset, nbytes)

    cdef bytes key(self):
        """Of the entry at hand."""
        return self.block.key[:self.block.key_nbytes]

    cdef object unsorted(self, str expected, bytes found):
        return CorruptError(f"key: expected {expected}, found {found[:80]!r}", source=self.source.name)

    def __iter__(self):
        while self.next():
            yield self.key(), take(&self.block.value, left(&self.block.value))


# ---------------------------------------------------------------------------------- writing

cdef class Draft:
    """A block that is being written."""
    cdef bytearray entries
    cdef list restarts
    cdef bytes last              # key
    cdef int since               # entries since the last restart
    cdef int interval            # entries from one restart to the next

    def __cinit__(self, int interval=RESTART):
        self.entries, self.restarts, self.last = bytearray(), [0], b""
        self.interval = interval

    cdef int add(self, bytes key, bytes value) except -1:
        cdef size_t shared = 0, n = min(len(key), len(self.last))
        cdef const char *a = key
        cdef const char *b = self.last
        if self.since < self.interval:
            while shared < n and a[shared] == b[shared]:
                shared += 1
        else:
            self.restarts.append(len(self.entries))
            self.since = 0
        self.entries += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        self.last = key
        self.since += 1
        return 0

    cdef size_t nbytes(self):
        return len(self.entries) + 4 * len(self.restarts) + 4

    cdef bytes contents(self):
        return bytes(self.entries) + b"".join([
            (<object>number).to_bytes(4, "little") for number in [*self.restarts, len(self.restarts)]])


cdef bytes _varint(uint64_t value):
    cdef uint8_t[10] out
    cdef int n = 0
    while value > 127:
        out[n] = <uint8_t>(value & 127 | 128)
        value >>= 7
        n += 1
    out[n] = <uint8_t>value
    return (<char *>out)[:n + 1]


cdef bytes _append(bytearray out, Draft draft):
    """Put a block behind the others; its handle."""
    cdef bytes stored = draft.contents() + b"\0"
    cdef uint32_t crc = kernels.crc32c(0, <const char *>stored, len(stored))
    handle = _varint(len(out)) + _varint(len(stored) - 1)
    out += stored + (<object>masked(crc)).to_bytes(4, "little")
    return handle


def between(bytes low, bytes high):
    """A short key that is not below ``low`` but below ``high``: what the index says between two blocks."""
    cdef size_t i = 0, n = min(len(low), len(high))
    while i < n and low[i] == high[i]:
        i += 1
    if i < n and low[i] < 255 and low[i] + 1 < high[i]:
        return low[:i] + bytes([low[i] + 1])
    return low


def behind(bytes low):
    """A short key that is not below ``low``: what the index says of the last block."""
    for i, byte in enumerate(low):
        if byte != 255:
            return low[:i] + bytes([byte + 1])
    return low


def table_of(entries):
    """The bytes of a table, as TensorFlow would write it.

    Args:
        entries: ``(key, value)`` as bytes, keys in strictly ascending order.

    Raises:
        ValueError: if keys do not rise.

    Memory: twice the table.
    """
    cdef bytearray out = bytearray()
    cdef Draft block = Draft(), index = Draft(1)
    cdef bytes last = None, pending = None, key, value
    for key, value in entries:
        if last is not None and key <= last:
            raise ValueError(f"key: expected one above {last!r}, found {key!r}")
        if pending is None and len(key) + len(value) >= 2 * BLOCK_NBYTES and block.entries:
            pending, block = _append(out, block), Draft()
        if pending is not None:
            index.add(between(last, key), pending)
            pending = None
        block.add(key, value)
        last = key
        if block.nbytes() >= BLOCK_NBYTES:
            pending, block = _append(out, block), Draft()
    if block.entries:
        pending = _append(out, block)
    handles = _append(out, Draft())
    if pending is not None:
        index.add(behind(last), pending)
    handles += _append(out, index)
    out += handles + bytes(FOOTER - 8 - len(handles)) + MAGIC
    return bytes(out)
