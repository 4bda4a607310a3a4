# group.pxd - the links of a group, whichever way they are stored
#
# Links           growable array; the walk's stack as well
# symbol_table    B-tree v1, symbol table nodes, local heap
# link_message    one compact link
# dense_links     fractal heap and v2 B-tree

from cython cimport final
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kio.containers.hdf5.structure cimport Structure


cdef enum LinkKind:
    HARD = 0
    SOFT = 1
    EXTERNAL = 2
    USER_DEFINED = 3


cdef struct Link:
    uint64_t name            # offset of its bytes in the source
    uint64_t target          # hard: address of the object header; else offset of the target's text
    uint32_t name_nbytes
    uint32_t target_nbytes   # of the text
    uint32_t prefix          # bytes of the parent's path, the slash included; set by the walk
    uint8_t kind


@final
cdef class Links:
    cdef Link *items
    cdef size_t count, room
    cdef Link *append(self) except NULL
    cdef void reverse(self, size_t start) noexcept


cdef int symbol_table(Structure s, uint64_t btree, uint64_t heap, Links out) except -1
cdef int link_message(Structure s, uint64_t offset, uint64_t nbytes, Links out) except -1
cdef int dense_links(Structure s, uint64_t heap, uint64_t btree, Links out) except -1
