# pen.pxd - little-endian writing into memory that grows; what cursor.pxd is for reading
#
#     put8 put16 put32 put64          integers, advance
#     put(p, src, nbytes)             bytes
#     room(p, nbytes)                 zeros
#     poke16 poke32 poke64(p, at, v)  over what was written before
#     over(p, at, src, nbytes)        the same with bytes
#     text(p)                         all of it, as bytes
#     drop(p)                         gives the memory back
#
# A Pen starts as all zeros.  Header-only: cimport it, there is nothing to link.

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset


cdef struct Pen:
    uint8_t *base
    size_t at                # bytes written
    size_t end               # bytes that there is memory for
    bint fixed               # the memory is somebody else's, and of the right size


cdef inline int reserve(Pen *p, size_t nbytes) except -1:
    """Make room for nbytes more."""
    cdef size_t wanted = p.at + nbytes
    cdef void *q
    if wanted <= p.end:
        return 0
    if p.fixed:
        raise RuntimeError(f"structure: expected at most {p.end} bytes, found {wanted}")
    wanted = max(wanted, 2 * p.end, <size_t>256)
    q = realloc(p.base, wanted)
    if q == NULL:
        raise MemoryError(f"{wanted} bytes of structure")
    p.base, p.end = <uint8_t *>q, wanted
    return 0


cdef inline int room(Pen *p, size_t nbytes) except -1:
    reserve(p, nbytes)
    if nbytes:
        memset(p.base + p.at, 0, nbytes)
    p.at += nbytes
    return 0


cdef inline void poke16(Pen *p, size_t at, uint16_t v) noexcept:
    p.base[at] = <uint8_t>v
    p.base[at + 1] = <uint8_t>(v >> 8)


cdef inline void poke32(Pen *p, size_t at, uint32_t v) noexcept:
    poke16(p, at, <uint16_t>v)
    poke16(p, at + 2, <uint16_t>(v >> 16))


cdef inline void poke64(Pen *p, size_t at, uint64_t v) noexcept:
    poke32(p, at, <uint32_t>v)
    poke32(p, at + 4, <uint32_t>(v >> 32))


cdef inline void over(Pen *p, size_t at, const void *src, size_t nbytes) noexcept:
    memcpy(p.base + at, src, nbytes)


cdef inline int put8(Pen *p, uint8_t v) except -1:
    reserve(p, 1)
    p.base[p.at] = v
    p.at += 1
    return 0


cdef inline int put16(Pen *p, uint16_t v) except -1:
    reserve(p, 2)
    poke16(p, p.at, v)
    p.at += 2
    return 0


cdef inline int put32(Pen *p, uint32_t v) except -1:
    reserve(p, 4)
    poke32(p, p.at, v)
    p.at += 4
    return 0


cdef inline int put64(Pen *p, uint64_t v) except -1:
    reserve(p, 8)
    poke64(p, p.at, v)
    p.at += 8
    return 0


cdef inline int put(Pen *p, const void *src, size_t nbytes) except -1:
    reserve(p, nbytes)
    if nbytes:
        memcpy(p.base + p.at, src, nbytes)
    p.at += nbytes
    return 0


cdef inline bytes text(const Pen *p):
    return (<const char *>p.base)[:p.at] if p.at else b""


cdef inline void drop(Pen *p) noexcept:
    free(p.base)
    memset(p, 0, sizeof(Pen))
