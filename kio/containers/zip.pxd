from libc.stdint cimport uint8_t, uint32_t

from kio.raw.source cimport Source


cdef class Archive:
    """An archive whose structure has been read and checked as a whole."""
    cdef Source whole
    cdef object limits
    cdef readonly str name
    cdef readonly dict members           # name -> Member
    cdef dict spooled                    # name -> Source of a compressed member, decoded

    cdef bytearray decoded(self, member)
    cdef int check(self, member, const uint8_t[::1] content) except -1
    cdef int compare(self, member, uint32_t crc) except -1
