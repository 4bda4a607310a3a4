# heap.pxd - where objects of fractal heaps and of global heap collections lie

from cython cimport final
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kio.containers.hdf5.structure cimport Structure
from kio.raw.cursor cimport Cursor


cdef struct FractalHeap:
    uint64_t at
    uint64_t start_nbytes    # of a direct block in the first two rows
    uint64_t direct_max      # bytes of the largest direct block
    uint64_t managed_max     # bytes of the largest object in a direct block
    uint64_t root            # address of the root block
    uint64_t huge            # address of the B-tree of huge objects
    unsigned id_nbytes
    unsigned width           # blocks in a row
    unsigned rows            # of the root indirect block; 0: the root is a direct block
    unsigned offset_nbytes   # in a heap ID
    unsigned length_nbytes   # in a heap ID
    bint block_checksums


cdef int open_fractal_heap(Structure s, uint64_t at, FractalHeap *h) except -1
# The object whose heap ID comes next at ``id``, which is left behind it.
cdef int heap_object(Structure s, FractalHeap *h, Cursor *id,
                     uint64_t *offset_out, uint64_t *nbytes_out) except -1


cdef struct Item:
    uint64_t offset
    uint64_t nbytes
    uint32_t index


@final
cdef class Collection:
    """The objects of one global heap collection."""
    cdef Item *items
    cdef size_t count, room
    cdef Item *find(self, uint32_t index) noexcept


cdef Collection open_collection(Structure s, uint64_t at)
# Where the text lies that comes next at ``c`` as a length, the address of a collection and an index;
# 0 bytes for none.
cdef int heap_text(Structure s, Cursor *c, uint64_t *offset_out, uint64_t *nbytes_out) except -1
