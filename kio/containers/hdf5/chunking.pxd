# chunking.pxd - how a dataset is cut into chunks, and the B-tree that finds them
from cython cimport final
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from kio.raw.pen cimport Pen


cdef enum:
    # Below this size the B-tree would take what compression can save.
    SMALLEST = 16 << 10


cdef struct Place:
    uint64_t offset
    uint32_t nbytes          # as stored
    uint32_t mask            # bit i: filter i was skipped


@final
cdef class Chunking:
    cdef readonly tuple shape            # of a chunk, elements
    cdef readonly tuple filters          # (name, client values), in the order of applying them
    cdef readonly uint64_t count         # chunks, in row-major order
    cdef readonly uint64_t nbytes        # of a chunk, decoded
    cdef readonly object tensor          # whose stored chunks are copied, or None
    cdef list extents                    # these, by number
    cdef unsigned rank, itemsize
    cdef uint64_t[32] chunk              # its shape,
    cdef uint64_t[32] across             # and how many there are along each axis
    cdef Place *places                   # filled in by the writer
    cdef uint64_t tree_nbytes
    cdef uint64_t root                   # of the tree, from its first byte
    cdef int begin(self, shape, unsigned itemsize) except -1
    cdef size_t node_nbytes(self) noexcept
    cdef int put_key(self, Pen *p, uint64_t number) except -1
    cdef int put_tree(self, Pen *p) except -1
