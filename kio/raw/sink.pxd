from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t

from kio.raw.source cimport Descriptor


cdef class Sink:
    cdef readonly str name               # what it will be called, for messages
    cdef readonly str target             # the path that commit replaces, links followed, or None
    cdef readonly str temporary          # the path that is written until then, or None
    cdef readonly uint64_t nbytes        # size of the result so far
    cdef readonly bint seekable          # False: offsets may only grow
    cdef readonly bint durable
    cdef readonly str state              # "open", "settled", "committed", "aborted"
    cdef bint overwrite
    cdef Descriptor descriptor           # None for memory and Python file objects
    cdef Descriptor direct               # a second one that bypasses the page cache, or None
    cdef bint indirect                   # there can be no such second one
    cdef uint64_t base                   # of byte 0 in the file or object below
    cdef uint64_t end                    # file objects: after the last byte written
    cdef object owner                    # file object, or bytearray for memory
    cdef bint owned                      # the file object is ours to close
    cdef object lock                     # serialises calls of a Python file object
    cdef list starts, ends               # what was written: disjoint, sorted
    cdef object pid                      # the process that may remove the temporary

    cdef int put(self, const uint8_t *src, uint64_t offset, size_t nbytes) except -1
    cdef int put_object(self, const uint8_t *src, uint64_t offset, size_t nbytes) except -1
    cdef int mark(self, uint64_t first, uint64_t last) except -1
    cdef bint touched(self, uint64_t first, uint64_t last) except -1
    cdef int direct_fd(self) except -2
    cdef int check_open(self) except -1
    cdef int release(self) except -1
