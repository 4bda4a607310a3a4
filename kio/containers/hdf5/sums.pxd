# sums.pxd - the table of checksums behind a file
from cython cimport final
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from kio.containers.hdf5.structure cimport Structure
from kio.raw.tensor cimport Index, Sums


cdef struct Run:
    uint64_t offset
    uint64_t nbytes
    uint64_t first           # of its blocks' sums


@final
cdef class Table:
    cdef Run *runs                       # by offset
    cdef size_t count
    cdef size_t hint                     # the run after the one found last
    cdef Sums sums
    cdef uint64_t structure_nbytes
    cdef uint32_t structure_crc
    cdef str name                        # of the source, for messages
    cdef Run *find(self, uint64_t offset, uint64_t nbytes) except NULL
    cdef uint32_t sum_of(self, const Run *run) noexcept


cdef Table read_table(Structure s)
# Tell an index, or the chunks of a dataset, which sums are theirs.
cdef int sum_rows(Table table, Index index) except -1
cdef int sum_chunks(Table table, list extents) except -1
