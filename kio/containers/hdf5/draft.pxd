# draft.pxd - the structure of a file that is to be written
#
# Draft         groups, datasets, attributes; places everything; gives the structure's bytes

from cython cimport final
from libc.stddef cimport size_t
from libc.stdint cimport int8_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from kio.containers.hdf5.chunking cimport Chunking
from kio.containers.hdf5.message cimport GlobalHeap
from kio.raw.pen cimport Pen


cdef enum:
    GROUP = 0
    DATASET = 1


cdef struct Node:
    const char *name         # in Draft.names
    uint32_t name_nbytes
    uint32_t parent          # number of the group it is in
    uint32_t count           # group: members
    uint32_t first           # group: of its members, in Draft.order
    uint8_t kind
    uint8_t rank
    int8_t dtype             # row of kio.dtypes.TABLE
    uint16_t nattributes
    uint32_t dims            # in Draft.dims
    int32_t chunking         # in Draft.chunkings, -1 for contiguous
    size_t attributes        # their messages: place in Draft.messages
    size_t attributes_nbytes
    uint64_t nbytes          # dataset: of its elements; group: of its local heap's data
    uint64_t header          # address of its object header
    uint64_t name_at         # in the parent's local heap
    uint64_t offset          # dataset: of its elements; UINT64_MAX where it has none


@final
cdef class Draft:
    cdef Node *nodes
    cdef size_t nnodes, cap_nodes
    cdef uint64_t *dims
    cdef size_t ndims, cap_dims
    cdef Node **order                    # members of each group, by name
    cdef Node **walk                     # all, in the order of their addresses
    cdef list names                      # as bytes, by number
    cdef dict numbers                    # path -> number; in the order of numbers
    cdef dict taken                      # number -> names of its attributes
    cdef list chunkings
    cdef readonly object compression     # of datasets that are large enough
    cdef Pen messages                    # of attributes
    cdef GlobalHeap heap
    cdef readonly bint placed
    cdef readonly uint64_t structure_nbytes
    cdef readonly uint64_t nbytes        # of the file, as HDF5 counts it
    cdef uint64_t placed_nbytes          # without chunks that are still to be compressed

    cdef uint32_t enter(self, str path, uint8_t kind) except? 0xFFFFFFFF
    cdef int annotate(self, uint32_t number, attributes) except -1
    cdef int sort(self) except -1
    cdef uint64_t place_group(self, Node *node, uint64_t at) except? 0
    cdef uint64_t place_dataset(self, Node *node, uint64_t at) except? 0
    cdef size_t messages_nbytes(self, const Node *node) except? 0
    cdef Chunking chunking_of(self, const Node *node)
    cdef tuple shape_of(self, const Node *node)
    cdef int put_superblock(self, Pen *p) except -1
    cdef int put_group(self, Pen *p, const Node *node) except -1
    cdef int put_tree(self, Pen *p, const Node *node) except -1
    cdef uint64_t last_name(self, const Node *node, uint64_t end) noexcept
    cdef int put_dataset(self, Pen *p, const Node *node) except -1
