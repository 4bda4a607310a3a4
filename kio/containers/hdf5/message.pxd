# message.pxd - header messages as they are written; types and attribute read them
#
# GlobalHeap    where the text of attributes goes
# put_*         one message each, with its 8-byte prefix

from cython cimport final
from libc.stddef cimport size_t
from libc.stdint cimport int8_t, uint8_t, uint16_t, uint32_t, uint64_t

from kio.raw.pen cimport Pen


@final
cdef class GlobalHeap:
    cdef Pen pen                         # all collections, one after the other
    cdef uint64_t base                   # address of the first
    cdef size_t open                     # the one that takes small objects: its place in pen
    cdef size_t used                     # bytes of it
    cdef uint32_t count                  # objects in it
    cdef int put(self, bytes value, Pen *out) except -1
    cdef size_t begin(self, size_t nbytes) except? 0xDEAD
    cdef int object(self, size_t at, unsigned index, bytes value) except -1
    cdef int refer(self, Pen *out, size_t nbytes, size_t collection, unsigned index) except -1


cdef int put_attribute(Pen *p, GlobalHeap heap, str name, object value) except? -1
cdef int put_space(Pen *p, const uint64_t *dims, unsigned rank) except -1
cdef int put_type(Pen *p, int8_t dtype) except -1
cdef int put_fill(Pen *p, bint chunked) except -1
cdef int put_filters(Pen *p, tuple codecs) except -1
cdef size_t filters_nbytes(tuple codecs) except? 0
cdef size_t space_nbytes(unsigned rank) noexcept
cdef size_t type_nbytes(int8_t dtype) noexcept
