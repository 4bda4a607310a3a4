from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from kio.raw.kernels cimport Status

cdef enum:
    MAX_CODECS = 8

cdef struct Step:
    uint8_t codec            # row number of codecs
    uint32_t parameter       # shuffle: bytes of one element

# Of a zip member, which ends where its stream does; says how much of src that was.
ctypedef Status (*UndoMember)(
    void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
    size_t *dst_nbytes_out, size_t *src_used_out) noexcept nogil

cdef int steps_of(tuple codecs, Step *steps, object where) except -1
cdef size_t slack(const Step *steps, int nsteps) noexcept nogil
cdef bint in_place(const Step *step) noexcept nogil
cdef Status undo(
    const Step *step, void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
    size_t *dst_nbytes_out) noexcept nogil
cdef UndoMember undo_member(row) except NULL
