# layout.pxd - where the raw data of a dataset lies

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kio.containers.hdf5.structure cimport Structure
from kio.containers.hdf5.types cimport RANK_MAX


cdef enum LayoutClass:
    COMPACT = 0
    CONTIGUOUS = 1
    CHUNKED = 2
    VIRTUAL = 3


cdef enum ChunkIndex:
    BTREE1 = 0               # the only one before layout version 4
    SINGLE = 1
    IMPLICIT = 2
    FIXED_ARRAY = 3
    EXTENSIBLE_ARRAY = 4
    BTREE2 = 5


cdef struct Layout:
    uint64_t message         # offset of the layout message
    uint64_t offset          # compact, contiguous: of the data; chunked: of the index
    uint64_t nbytes          # compact, contiguous: stored; UINT64_MAX: the shape says
    uint64_t chunk_nbytes    # SINGLE: as stored when filtered
    uint64_t[RANK_MAX + 1] chunk     # elements; the last is the element's bytes
    uint32_t mask            # SINGLE: filters that were skipped
    uint8_t version
    uint8_t cls
    uint8_t index
    uint8_t flags            # 1: partial edge chunks are not filtered; 2: SINGLE is filtered
    uint8_t ndims            # of chunk, one more than the rank


cdef int parse_layout(Structure s, uint64_t offset, uint64_t nbytes, Layout *layout) except -1
