# jobs.pxd - what a transfer is made of
#
# Item     a run of stored bytes and where it goes
# Job      what one thread does at a time: DIRECT, WINDOW or CHUNK
# Jobs     takes what is asked for, and cuts it into jobs in the order of the file

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from kio.raw.codecs cimport MAX_CODECS, Step
from kio.raw.source cimport FAR_GAP, FAR_SPAN, Origins, Source
from kio.raw.tensor cimport Extent, Tensor

cdef enum:
    BLOCK = 4 << 20        # one DIRECT job: large enough to amortise, small enough to share out
    WIN = 1 << 20          # one window
    NEAR = 8 << 10         # a gap up to this size is cheaper read than skipped

cdef enum Kind:
    DIRECT
    WINDOW
    CHUNK

cdef struct Item:
    uint64_t offset        # in the origin
    uint64_t nbytes
    uint8_t *dst           # NULL: read and check only
    int32_t origin
    int32_t tensor         # which of those asked for
    int32_t chunk          # row of the chunk table, -1 for a plain run
    uint32_t swap          # element size to reverse, 0 for none
    const uint32_t *sums   # expected, of the blocks of a run; NULL for none
    bint whole             # sums is the CRC-32C of the run
    bint summed            # the chunk's is to be compared
    uint64_t block         # part of a block that is to be summed: where that begins,
    uint64_t block_nbytes  # and its size; 0 where the item begins at a block

cdef struct Piece:         # part of a window
    uint64_t at
    uint64_t nbytes
    uint8_t *dst
    uint32_t swap
    int32_t tensor
    const uint32_t *sums
    bint whole             # sums is the CRC-32C of the piece

cdef struct Chunk:
    uint32_t sum           # expected, if the item says so
    Step steps[MAX_CODECS]
    int nsteps
    uint32_t itemsize
    uint32_t rank
    size_t dims            # in Run.dims: dst shape, dst start, chunk shape, src start, box
    size_t nbytes          # decoded
    size_t run_at          # where the chunk is one run of the destination: its byte,
    size_t run_nbytes      # and length; else 0
    uint8_t *dst

cdef struct Job:
    uint64_t offset
    uint64_t nbytes
    uint8_t *dst
    size_t first           # WINDOW: first piece
    size_t npieces
    int32_t origin
    int32_t tensor
    int32_t chunk
    int32_t span           # what is read with its neighbours, where a request is dear; else -1
    uint32_t swap
    uint32_t crc           # of the bytes as stored
    Kind kind
    bint summed            # crc is wanted
    bint castagnoli        # sums are CRC-32Cs
    const uint32_t *sums   # expected, of its blocks
    bint compared          # CHUNK: with the sum of the chunk
    uint32_t expected, found     # the sums that differ
    int outcome
    uint64_t number


cdef class Span:
    """Bytes of a source that are read at once, for several jobs."""
    cdef Source source
    cdef uint64_t offset         # in the origin
    cdef uint64_t nbytes
    cdef size_t left             # jobs that are not done
    cdef bytearray data          # while they are not
    cdef object lock
    cdef int copy(self, uint8_t *dst, uint64_t offset, size_t nbytes) except -1


cdef class Region:
    """Bytes with one checksum over them all, which jobs cover in order."""
    cdef Source source           # what they are part of
    cdef uint64_t offset         # in source
    cdef uint64_t nbytes
    cdef uint32_t expected
    cdef bint castagnoli         # a CRC-32C, not a CRC-32
    cdef Tensor tensor           # whose run they are, or None for all of a checked source


cdef Region region_of(Source source)


cdef class Jobs(Origins):
    cdef list tensors            # for messages
    cdef list spans              # of sources that are far
    cdef dict regions            # of runs with one CRC-32C each: (origin, offset in it) -> Region
    cdef Item *items
    cdef Piece *pieces
    cdef Chunk *chunks
    cdef Job *jobs
    cdef uint64_t *dims
    cdef size_t nitems, cap_items, npieces, cap_pieces
    cdef size_t nchunks, cap_chunks, njobs, cap_jobs, ndims, cap_dims
    cdef size_t scratch          # bytes of one chunk buffer
    cdef uint64_t total          # bytes to read
    cdef object verify           # as transfer.read() has it
    # the window being built
    cdef bint open
    cdef Job window
    # Ask for a tensor, or for a box of it; dst NULL only checks what is stored.
    cdef int want(self, Tensor tensor, uint8_t *dst, tuple start, tuple box) except -1
    # Jobs for all items; regions are what to cover whole.
    cdef list plan(self, regions)
    # Which jobs read what is far together.
    cdef int gather(self) except -1
    cdef Item *item(self, Source source, uint64_t offset, uint64_t nbytes, uint8_t *dst) except NULL
    cdef int want_region(self, Tensor tensor, Source source, uint64_t offset, uint64_t nbytes,
                         uint32_t expected) except -1
    cdef bint worth_sum(self, uint64_t asked, uint64_t nbytes) except -1
    cdef int want_box(self, Tensor tensor, Extent extent, uint8_t *dst, tuple start, tuple box) except -1
    cdef int want_rows(self, Tensor tensor, uint8_t *dst, tuple start, tuple box) except -1
    cdef int want_blocks(self, Tensor tensor, uint64_t at, uint64_t nbytes, uint8_t *dst) except -1
    cdef int want_chunk(self, Tensor tensor, Extent extent, uint8_t *dst, tuple start, tuple box) except -1
    cdef void clip(self, Item *it, Chunk *chunk) noexcept
    cdef Job *job(self, Kind kind, int32_t origin, uint64_t offset, uint64_t nbytes) except NULL
    cdef int flush(self) except -1
    cdef int extend(self, int32_t origin, uint64_t offset, uint64_t nbytes, bint summed, uint64_t near) except -1
    cdef int cover(self, int32_t origin, uint64_t offset, uint64_t end) except -1
    cdef int emit(self, const Item *it, bint summed) except -1
    cdef int emit_long(self, const Item *it, bint summed) except -1
