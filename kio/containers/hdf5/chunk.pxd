# chunk.pxd - the grid of chunks of one dataset

from cython cimport final
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kio.containers.hdf5.filters cimport Pipeline
from kio.containers.hdf5.layout cimport Layout
from kio.containers.hdf5.structure cimport Structure
from kio.containers.hdf5.types cimport RANK_MAX, Space

cdef enum:
    ALL_SKIPPED = 0xFFFFFFFF             # filter mask of a chunk that no filter was applied to


@final
cdef class Chunks:
    """Takes the stored chunks of a dataset one by one, from whichever index finds them."""
    cdef Structure s
    cdef Layout layout
    cdef Pipeline pipeline
    cdef unsigned rank
    cdef uint64_t[RANK_MAX] dims
    cdef uint64_t[RANK_MAX] across       # chunks along a dimension of the maximum shape; 0: unlimited
    cdef unsigned[RANK_MAX] order        # dimensions as arrays number chunks, slowest first
    cdef uint64_t chunk_nbytes           # decoded
    cdef uint64_t count                  # chunks so far
    cdef list extents                    # an Extent a chunk; None: only their ranges are recorded
    cdef tuple chunk                     # shape of a chunk
    cdef int add(self, uint64_t offset, uint64_t nbytes, uint32_t mask, const uint64_t *start) except -1
    # The chunk that an array's element refers to, if any.
    cdef int add_element(self, uint64_t number, uint64_t at, unsigned nbytes) except -1


cdef Chunks chunks_of(Structure s, const Layout *layout, const Space *space, Pipeline pipeline,
                      uint32_t itemsize, bint keep)
