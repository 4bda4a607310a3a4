# filters.pxd - the filter pipeline of a chunked dataset

from cython cimport final
from libc.stdint cimport uint64_t

from kio.containers.hdf5.structure cimport Structure


@final
cdef class Pipeline:
    """Filters in the order in which they were applied."""
    cdef list filters                    # (codec, parameter) each
    cdef readonly str problem            # why it cannot be undone, or None
    cdef dict undoing                    # filter mask -> codecs in the order to undo
    # What a chunk with that filter mask needs, in the order to undo.
    cdef tuple codecs(self, unsigned mask)


cdef Pipeline parse_filters(Structure s, uint64_t offset, uint64_t nbytes, unsigned itemsize)
