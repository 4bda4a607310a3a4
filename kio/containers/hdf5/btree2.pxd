# btree2.pxd - version 2 B-trees as a flat list of records

from cython cimport final
from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from kio.containers.hdf5.structure cimport Structure


@final
cdef class Records:
    cdef uint64_t *items                 # offset of each record in the source
    cdef size_t count, room
    cdef int append(self, uint64_t offset) except -1


# All records of the tree at ``at``, in its order; type and record size must be those given.
cdef int records_of(Structure s, uint64_t at, unsigned kind, unsigned record_nbytes,
                    Records out) except -1
