from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kio.raw.cursor cimport Cursor
from kio.raw.source cimport Image, Source


cdef inline uint32_t unmasked(uint32_t masked) noexcept nogil:
    cdef uint32_t rotated = masked - <uint32_t>0xa282ead8
    return rotated >> 17 | rotated << 15


cdef inline uint32_t masked(uint32_t crc) noexcept nogil:
    return (crc >> 15 | crc << 17) + <uint32_t>0xa282ead8


cdef class Block:
    """One block, its checksum compared: entries in order, their keys whole."""
    cdef Image image             # what value points into
    cdef Cursor entries          # what is left of them
    cdef Cursor restarts         # offsets of entries with a whole key, from the start of the block
    cdef uint64_t begin          # where the block begins in image
    cdef uint64_t expected       # the next restart, or NONE
    cdef uint8_t *key            # of the last entry
    cdef size_t key_nbytes, key_cap
    cdef size_t key_nbytes_max   # limits.name_bytes
    cdef Cursor value            # of the last entry
    cdef bint begun              # there was an entry
    cdef int start(self, Image image, uint64_t offset, uint64_t nbytes, limits) except -1
    cdef bint next(self) except -1
    cdef int next_restart(self) except -1
    cdef bint rises(self, size_t shared, const void *suffix, size_t nbytes) noexcept
    cdef int grow(self, size_t nbytes) except -1
    cdef object corrupt(self, str what, uint64_t at)
    cdef object misplaced(self)


cdef class Table:
    """A table: blocks of entries, and an index of the blocks."""
    cdef readonly Source source
    cdef readonly object limits
    cdef Image image
    cdef Block index             # handles of what is left of the blocks
    cdef Block block             # the one being read, or None
    cdef uint64_t end            # of the last block read
    cdef uint64_t limit          # where the blocks end: the metaindex
    cdef bytes bound             # no key of the block is above it, those of the next are
    cdef bint next(self) except -1
    cdef Block load(self, uint64_t offset, uint64_t nbytes)
    cdef Block load_next(self)
    cdef int inside(self, uint64_t offset, uint64_t nbytes, uint64_t end, str what) except -1
    cdef Image decoded(self, uint64_t offset, uint64_t nbytes)
    cdef bytes key(self)
    cdef object unsorted(self, str expected, bytes found)
