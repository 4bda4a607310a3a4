"""Object headers: everything about a group or dataset is a message in one.

Spec: HDF5 File Format Specification 3.0, IV.A.1 (prefixes), IV.A.2 (messages).

Version 1                               Version 2
  0  version 1                            0  "OHDR"
  2  number of messages, u16              4  version 2
  4  reference count, u32                 5  flags: 0-1 width of size, 2 creation order,
  8  header size, u32                            4 attribute bounds, 5 times
 16  messages, 8-byte aligned             6  [times, 16]  [bounds, 4]
     type u16, size u16, flags u8,           size of chunk 0
     reserved 3, data                        messages: type u8, size u16, flags u8,
                                             [creation order u16], data
continuation: messages alone                 gap shorter than a message's prefix
                                             checksum u32
                                        continuation: "OCHK", messages, gap, checksum
"""

from kio.containers.hdf5.structure cimport address, length
from kio.raw.cursor cimport Cursor, expect, skip, starts, tell, u8, u16, u32, uint


cdef int open_header(Structure s, Header *h, uint64_t at) except -1:
    cdef Cursor c
    s.view(&c, at, 16)
    h.address = at
    h.block = 0
    h.nblocks = 1
    if starts(&c, b"OHDR", 4):
        _open_v2(s, h, &c, at)
        return 0
    h.version = u8(&c)
    if h.version != 1:
        s.corrupt(f"object header version: expected 1 or the signature OHDR, found {h.version}",
                  at, "version")
    skip(&c, 1)
    h.left = u16(&c)
    skip(&c, 4)
    h.prefix = 8
    h.at = at + 16
    h.end = h.at + u32(&c)
    s.parse(&c, at, h.end - at)
    h.blocks[0].offset = at
    h.blocks[0].end = h.end
    return 0


cdef int _open_v2(Structure s, Header *h, Cursor *c, uint64_t at) except -1:
    cdef unsigned flags
    cdef uint64_t nbytes
    skip(c, 4)
    h.version = u8(c)
    flags = u8(c)
    if h.version != 2:
        s.unsupported(f"object header version: expected 2, found {h.version}", at + 4, "version")
    if flags & 0xC0:
        s.corrupt(f"object header flags: expected at most 0x3f, found {flags:#x}", at + 5, "flags")
    # Prefix, and the widest size field.
    s.view(c, at, 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0) + (1 << (flags & 3)))
    skip(c, c.end - (1 << (flags & 3)))
    nbytes = uint(c, 1 << (flags & 3))
    h.at = tell(c)
    if nbytes > s.end:
        s.inside(h.at, nbytes, "object header")
    h.end = h.at + nbytes
    h.prefix = 6 if flags & 4 else 4
    h.left = 0xFFFFFFFF
    s.parse(c, at, h.end + 4 - at)
    s.verify(at, h.end - at)
    h.blocks[0].offset = at
    h.blocks[0].end = h.end
    return 0


cdef int _continue(Structure s, Header *h, const Message *m) except -1:
    """Queue the block that a continuation message names."""
    cdef Cursor c
    cdef unsigned i
    cdef uint64_t at, nbytes
    s.view(&c, m.offset, m.nbytes)
    at = address(s, &c)
    nbytes = length(s, &c)
    if h.nblocks == BLOCKS_MAX:
        s.corrupt(f"continuation blocks: expected at most {BLOCKS_MAX - 1}, found more", m.offset)
    s.parse(&c, at, nbytes)
    # Blocks that overlap would yield the same messages twice, or for ever.
    for i in range(h.nblocks):
        if at < h.blocks[i].end and h.blocks[i].offset < at + nbytes:
            s.corrupt("continuation block: expected no overlap with another block, found one",
                      m.offset, "offset")
    h.blocks[h.nblocks].offset = at
    h.blocks[h.nblocks].end = at + nbytes
    if h.version == 2:
        if nbytes < 8:
            s.corrupt(f"continuation length: expected at least 8, found {nbytes}", m.offset, "length")
        expect(&c, b"OCHK", 4)
        s.verify(at, nbytes - 4)
        h.blocks[h.nblocks].end -= 4
    h.nblocks += 1
    return 0


cdef bint next_message(Structure s, Header *h, Message *m) except -1:
    """The next message that is neither NIL nor a continuation; False at the end."""
    cdef Cursor c
    while True:
        if h.left == 0 or h.end - h.at < h.prefix:
            h.block += 1
            if h.block == h.nblocks:
                if h.version == 1 and h.left:
                    s.corrupt(f"messages: expected {h.left} more, found the end of the header",
                              h.address, "total number of header messages")
                return False
            h.at = h.blocks[h.block].offset + (4 if h.version == 2 else 0)
            h.end = h.blocks[h.block].end
            continue
        s.view(&c, h.at, h.end - h.at)
        if h.version == 1:
            m.type = u16(&c)
            m.nbytes = u16(&c)
            m.flags = u8(&c)
            h.left -= 1
            if m.nbytes & 7:
                s.corrupt(f"message size: expected a multiple of 8, found {m.nbytes}", h.at,
                          "size of header message data")
        else:
            m.type = u8(&c)
            m.nbytes = u16(&c)
            m.flags = u8(&c)
        m.offset = h.at + h.prefix
        if m.nbytes > h.end - m.offset:
            s.corrupt(f"message size: expected at most {h.end - m.offset}, found {m.nbytes}", h.at,
                      "size of header message data")
        h.at = m.offset + m.nbytes
        if m.type == CONTINUATION:
            _continue(s, h, m)
        elif m.type > KNOWN_MAX and m.flags & MUST_KNOW:
            s.unsupported(f"header message type: expected at most {KNOWN_MAX:#x}, found {m.type:#x}",
                          m.offset - h.prefix, "header message type")
        elif m.type != NIL:
            return True
