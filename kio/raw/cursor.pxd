# cursor.pxd - a bounds-checked reader over an image's bytes
#
# The only place in kio that dereferences a pointer into untrusted bytes.  Inline and
# header-only: cimport it, there is nothing to link.
#
#     span(image, offset, nbytes)      a cursor on exactly those bytes, or TruncatedError
#     u8 u16 u32 u64 uint(width)       little-endian, advance
#     skip  left  tell                 where it stands
#     expect(c, magic, 4)              CorruptError unless the next bytes are the magic
#     until_zero                       bytes up to a NUL
#     text / take                      copies as Python bytes
#
# All functions raise through Python and are called with the GIL held.

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp

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


cdef inline uint64_t uint(Cursor *c, unsigned width) except? 0xDEAD:
    """A little-endian unsigned integer of 1 to 8 bytes."""
    cdef uint64_t v = 0
    cdef unsigned i
    need(c, width)
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


cdef inline size_t until_zero(const Cursor *c) except? 0xDEAD:
    """Bytes before the next NUL of the span."""
    cdef const void *z = memchr(c.base + c.at, 0, c.end - c.at)
    if z == NULL:
        from kio.errors import CorruptError
        raise CorruptError(
            f"string: expected a NUL within {c.end - c.at} bytes, found none",
            source=(<Image>c.image).source.name, offset=c.origin + c.at)
    return <size_t>(<const uint8_t *>z - (c.base + c.at))
