# structure.pxd - what every parser of this package is handed
#
# Structure   an image, the sizes of addresses and lengths in it, the work budget
# Ranges      which bytes were parsed as structure, which are raw data; the two are disjoint

from cython cimport final
from libc.stddef cimport size_t
from libc.stdint cimport UINT64_MAX, uint8_t, uint32_t, uint64_t

from kio.raw.cursor cimport Cursor, uint
from kio.raw.source cimport Image


cdef struct Range:
    uint64_t offset
    uint64_t nbytes


@final
cdef class Ranges:
    cdef Range *parsed                   # until settle()
    cdef Range *raw                      # sorted by settle()
    cdef uint32_t *first                 # first[b]: raw runs that start before byte b << shift
    cdef size_t nparsed, cap_parsed, nraw, cap_raw
    cdef unsigned shift
    cdef bint settled
    cdef int add_raw(self, uint64_t offset, uint64_t nbytes) except -1
    cdef int add_parsed(self, uint64_t offset, uint64_t nbytes) except -1
    cdef int settle(self, uint64_t end, str name) except -1
    cdef bint hits(self, uint64_t offset, uint64_t nbytes) noexcept


@final
cdef class Structure:
    cdef readonly Image image
    cdef readonly str name               # of the source, for messages
    cdef readonly object limits
    cdef Ranges ranges
    cdef uint64_t base                   # what addresses are relative to
    cdef uint64_t end                    # no structure and no raw data from here on
    cdef unsigned address_nbytes         # "size of offsets" O: 4 or 8
    cdef unsigned length_nbytes          # "size of lengths" L: 4 or 8
    cdef uint64_t work                   # bytes that may still be parsed or copied
    cdef uint64_t paths                  # bytes of paths that may still be made
    cdef set verified                    # offsets of heap blocks whose checksum was right
    cdef dict collections                # global heap collections by offset

    # A cursor on bytes that are parsed now: bounded, charged, recorded as structure.
    cdef int parse(self, Cursor *c, uint64_t offset, uint64_t nbytes) except -1
    # A cursor on bytes that were charged before.
    cdef int view(self, Cursor *c, uint64_t offset, uint64_t nbytes) except -1
    cdef int charge(self, uint64_t nbytes) except -1
    cdef int refill(self) except -1
    # The checksum that follows nbytes bytes at offset.
    cdef int verify(self, uint64_t offset, uint64_t nbytes) except -1
    # Whether checksums are compared: always, but for the fuzzer.
    cdef bint verifies(self) noexcept
    cdef int compare(self, uint32_t computed, uint32_t stored, uint64_t offset) except -1
    cdef int inside(self, uint64_t offset, uint64_t nbytes, str what) except -1
    cdef int corrupt(self, str what, uint64_t offset, str field=*) except -1
    cdef int unsupported(self, str what, uint64_t offset, str field=*) except -1


cdef inline uint64_t address(Structure s, Cursor *c) except? 0xDEAD:
    """An address made absolute; UINT64_MAX where it is undefined."""
    cdef uint64_t v = uint(c, s.address_nbytes)
    if v == (UINT64_MAX if s.address_nbytes == 8 else <uint64_t>0xFFFFFFFF):
        return UINT64_MAX
    # base <= end, so only an address beyond the end could wrap: make it one that no check passes.
    return UINT64_MAX - 1 if v > s.end else v + s.base


cdef inline uint64_t length(Structure s, Cursor *c) except? 0xDEAD:
    return uint(c, s.length_nbytes)


cdef inline uint64_t times(uint64_t a, uint64_t b) noexcept:
    """a * b, or UINT64_MAX where that would overflow."""
    return a * b if b == 0 or a <= UINT64_MAX // b else UINT64_MAX


cdef inline unsigned width_of(uint64_t value) noexcept:
    """Bytes that a value takes at least, 1 for 0."""
    cdef unsigned n = 1
    while value > 0xFF:
        value >>= 8
        n += 1
    return n


cdef inline unsigned log2_of(uint64_t value) noexcept:
    """Position of the highest bit set, 0 for 0."""
    cdef unsigned n = 0
    while value > 1:
        value >>= 1
        n += 1
    return n
