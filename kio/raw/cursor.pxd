# cursor.pxd - a bounds-checked reader over an image's bytes
#
# The only place in kio that dereferences a pointer into untrusted bytes.  Inline and
# header-only: cimport it, there is nothing to link.
#
#     span(image, offset, nbytes)      a cursor on exactly those bytes, or TruncatedError
#     enter(c, image, offset, nbytes)  the same, in place
#     u8 u16 u32 u64 uint(width)       little-endian, advance
#     varint                           seven bits a byte, the lowest first, at most 64 bits; advances
#     skip  seek  left  tell           where it stands
#     starts(c, magic, 4)              whether the next bytes are the magic
#     expect(c, magic, 4)              CorruptError unless they are; advances
#     until_zero                       bytes up to a NUL
#     rises(a, n, b, m)                whether the next bytes of a sort before those of b
#     take / text / copy               copies as bytes, as str, into memory of the caller
#     run                              checked pointer for a kernel of csrc; not to be indexed
#
# All functions raise through Python and are called with the GIL held.

from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

from kio.raw.source cimport Image


cdef struct Cursor:
    const uint8_t *base      # first byte of the span
    size_t at                # next byte to read, from base
    size_t end               # size of the span
    uint64_t origin          # offset of base in the source
    void *image              # borrowed: for the name in messages


cdef inline Cursor span(Image image, uint64_t offset, uint64_t nbytes) except *:
    cdef Cursor c
    image.need(offset, nbytes)
    c.base = image.base + offset
    c.at = 0
    c.end = nbytes
    c.origin = offset
    c.image = <void *>image
    return c


cdef inline int enter(Cursor *c, Image image, uint64_t offset, uint64_t nbytes) except -1:
    image.need(offset, nbytes)
    c.base = image.base + offset
    c.at = 0
    c.end = nbytes
    c.origin = offset
    c.image = <void *>image
    return 0


cdef inline uint64_t tell(const Cursor *c) noexcept:
    return c.origin + c.at


cdef inline size_t left(const Cursor *c) noexcept:
    return c.end - c.at


cdef inline int overrun(const Cursor *c, uint64_t nbytes) except -1:
    from kio.errors import TruncatedError
    raise TruncatedError(
        f"structure: expected {nbytes} more bytes, found {c.end - c.at}",
        source=(<Image>c.image).source.name, offset=c.origin + c.at)


cdef inline int need(const Cursor *c, uint64_t nbytes) except -1:
    if nbytes > c.end - c.at:
        overrun(c, nbytes)
    return 0


cdef inline int skip(Cursor *c, uint64_t nbytes) except -1:
    need(c, nbytes)
    c.at += nbytes
    return 0


cdef inline int seek(Cursor *c, uint64_t at) except -1:
    """Stand at byte ``at`` of the span."""
    if at > c.end:
        overrun(c, at - c.at)
    c.at = at
    return 0


cdef inline uint64_t uint(Cursor *c, unsigned width) except? 0xDEAD:
    """A little-endian unsigned integer of 1 to 8 bytes."""
    cdef uint64_t v = 0
    cdef const uint8_t *p
    cdef unsigned i
    need(c, width)
    if width == 8:
        # Spelt out, compilers make one load of it.
        p = c.base + c.at
        c.at += 8
        return (p[0] | <uint64_t>p[1] << 8 | <uint64_t>p[2] << 16 | <uint64_t>p[3] << 24 | <uint64_t>p[4] << 32
                | <uint64_t>p[5] << 40 | <uint64_t>p[6] << 48 | <uint64_t>p[7] << 56)
    for i in range(width):
        v |= <uint64_t>c.base[c.at + i] << (8 * i)
    c.at += width
    return v


cdef inline uint8_t u8(Cursor *c) except? 0xDE:
    need(c, 1)
    c.at += 1
    return c.base[c.at - 1]


cdef inline uint16_t u16(Cursor *c) except? 0xDEAD:
    return <uint16_t>uint(c, 2)


cdef inline uint32_t u32(Cursor *c) except? 0xDEAD:
    return <uint32_t>uint(c, 4)


cdef inline uint64_t u64(Cursor *c) except? 0xDEAD:
    return uint(c, 8)


cdef inline uint64_t varint(Cursor *c) except? 0xDEAD:
    """An unsigned integer as protocol buffers and LevelDB write it, in 1 to 10 bytes."""
    cdef uint64_t v = 0
    cdef uint8_t byte
    cdef unsigned shift = 0
    cdef size_t begin = c.at
    while shift < 64:
        need(c, 1)
        byte = c.base[c.at]
        c.at += 1
        v |= <uint64_t>(byte & 127) << shift
        if byte < 128:
            if shift == 63 and byte > 1:
                break
            return v
        shift += 7
    from kio.errors import CorruptError
    raise CorruptError("varint: expected at most 64 bits, found more",
                       source=(<Image>c.image).source.name, offset=c.origin + begin)


cdef inline bint starts(const Cursor *c, const char *magic, size_t nbytes) noexcept:
    return nbytes <= c.end - c.at and memcmp(c.base + c.at, magic, nbytes) == 0


cdef inline int expect(Cursor *c, const char *magic, size_t nbytes) except -1:
    need(c, nbytes)
    if not starts(c, magic, nbytes):
        from kio.errors import CorruptError
        raise CorruptError(
            f"signature: expected {(<bytes>magic[:nbytes])!r}, "
            f"found {(<bytes>(c.base + c.at)[:nbytes])!r}",
            source=(<Image>c.image).source.name, offset=c.origin + c.at)
    c.at += nbytes
    return 0


cdef inline bytes take(Cursor *c, uint64_t nbytes):
    need(c, nbytes)
    c.at += nbytes
    return (c.base + c.at - nbytes)[:nbytes]


cdef inline str text(Cursor *c, uint64_t nbytes, const char *errors):
    """The next bytes as UTF-8, bytes that are none handled as ``errors`` says."""
    need(c, nbytes)
    c.at += nbytes
    return PyUnicode_DecodeUTF8(<const char *>(c.base + c.at - nbytes), nbytes, errors)


cdef inline int copy(Cursor *c, void *dst, uint64_t nbytes) except -1:
    need(c, nbytes)
    memcpy(dst, c.base + c.at, nbytes)
    c.at += nbytes
    return 0


cdef inline const void *run(Cursor *c, uint64_t nbytes) except NULL:
    need(c, nbytes)
    c.at += nbytes
    return c.base + c.at - nbytes


cdef inline size_t until_zero(const Cursor *c) except? 0xDEAD:
    """Bytes before the next NUL of the span."""
    cdef const void *z = memchr(c.base + c.at, 0, c.end - c.at)
    if z == NULL:
        from kio.errors import CorruptError
        raise CorruptError(
            f"string: expected a NUL within {c.end - c.at} bytes, found none",
            source=(<Image>c.image).source.name, offset=c.origin + c.at)
    return <size_t>(<const uint8_t *>z - (c.base + c.at))


cdef inline bint rises(const Cursor *a, size_t a_nbytes, const Cursor *b, size_t b_nbytes) except -1:
    """Whether the next bytes of a sort before those of b."""
    cdef int order
    need(a, a_nbytes)
    need(b, b_nbytes)
    order = memcmp(a.base + a.at, b.base + b.at, min(a_nbytes, b_nbytes))
    return order < 0 or (order == 0 and a_nbytes < b_nbytes)
