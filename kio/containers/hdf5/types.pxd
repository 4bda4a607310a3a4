# types.pxd - element types and shapes
#
# Space   rank, dimensions, maximum dimensions, number of elements
# Type    a row of kio.dtypes, or why there is none; how strings are stored

from libc.stdint cimport int8_t, uint8_t, uint32_t, uint64_t

from kio.containers.hdf5.structure cimport Structure

cdef enum:
    RANK_MAX = 32            # H5S_MAX_RANK


cdef struct Space:
    uint64_t nelems          # 0 for a null dataspace; UINT64_MAX when too large to say
    uint64_t dims[RANK_MAX]
    uint64_t dims_max[RANK_MAX]  # UINT64_MAX: unlimited
    uint8_t rank
    uint8_t null


cdef enum Text:
    NO_TEXT = 0
    FIXED_TEXT = 1           # itemsize bytes, padded
    HEAP_TEXT = 2            # a reference into the global heap


cdef enum Padding:
    NUL_TERMINATED = 0
    NUL_PADDED = 1
    SPACE_PADDED = 2


cdef struct Type:
    const char *problem      # why dtype is -1, else NULL
    uint32_t itemsize
    int8_t dtype             # row of kio.dtypes.TABLE, or -1
    uint8_t big
    uint8_t text
    uint8_t padding


cdef int parse_space(Structure s, uint64_t offset, uint64_t nbytes, Space *space) except -1
cdef int parse_type(Structure s, uint64_t offset, uint64_t nbytes, Type *t) except -1
