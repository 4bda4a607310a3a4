from libc.stdint cimport int8_t, uint8_t, uint32_t, uint64_t

from kio.raw.source cimport Source


cdef class Extent:
    """One stored run of bytes and the box of the tensor that it fills."""
    cdef readonly Source source
    cdef readonly uint64_t offset        # bytes, in source
    cdef readonly uint64_t nbytes        # bytes, as stored
    cdef readonly tuple codecs           # ((name, parameter), …) in the order to undo
    cdef readonly tuple start            # elements; None: the extent is the whole tensor
    cdef readonly tuple chunk            # elements of the decoded chunk, edge overhang included
    cdef readonly object checksum        # (algorithm, value) of the stored bytes, or None


cdef enum:
    SUM_BLOCK = 1 << 20      # bytes that one sum of Sums is over


cdef class Sums:
    """CRC-32s of the blocks of plain runs, the last of which may be shorter; or CRC-32Cs of whole runs."""
    cdef uint32_t *values
    cdef readonly uint64_t count
    cdef uint64_t cap
    cdef readonly bint whole             # one CRC-32C a run
    cdef uint64_t append(self, uint32_t value) except? 0xDEAD


cdef class Tensor:
    cdef readonly str name
    cdef readonly str dtype_name         # a row of kio.dtypes
    cdef readonly object dtype           # numpy dtype as stored, byte order included
    cdef readonly tuple shape
    cdef readonly uint64_t nelems
    cdef readonly uint64_t nbytes        # decoded
    cdef readonly Source source          # of the first extent, None without one
    cdef readonly str problem            # why it cannot be read, or None
    cdef readonly bint plain             # one extent, no codec: bytes lie as they are used
    cdef readonly bint boxed             # extents are boxes of any shape that cover it, no codecs
    cdef uint64_t offset                 # of a plain tensor, in source
    cdef tuple parts                     # extents of any other
    cdef bint swapped                    # stored in the other byte order
    cdef Sums sums                       # checksums of its own, where plain, or None
    cdef uint64_t first_sum              # of its first block
    cdef uint32_t itemsize
    cdef readonly Tensor stored          # text: what the file has in place of its elements, or None
    cdef readonly object decode          # callable(array of stored, tensor) -> array


cdef class TensorSpec:
    """A tensor without the way to its bytes."""
    cdef readonly str name
    cdef readonly str dtype_name
    cdef readonly tuple shape
    cdef readonly uint64_t nbytes        # decoded
    cdef readonly str problem            # why it cannot be read, or None


cdef TensorSpec spec_of(given)           # a Tensor, or a TensorSpec, which stays


cdef struct Row:
    uint64_t offset          # plain: first byte; else whatever the container needs to expand
    uint64_t nbytes          # decoded
    uint64_t nelems
    uint64_t sums            # plain: number of its first block's sum in Index.sums, plus 1; 0 without
    uint32_t dims            # first dimension, in Index.dims
    uint8_t rank
    int8_t dtype             # row of kio.dtypes.TABLE; -1: not a type kio reads
    uint8_t big              # big-endian
    uint8_t kind             # one of the below


cdef enum:
    PLAIN = 0                # one contiguous run
    EXPAND = 1               # Index.expand(name, row number) gives the extents
    UNREADABLE = 2           # Index.problems[name] says why
    TEXT = 3                 # as PLAIN, of elements that Index.texts[name] knows
    BOXES = 4                # Index.expand(name, row number) gives extents of any shape


cdef class Index:
    """Tensors of one source as a struct of arrays; a Mapping[str, Tensor]."""
    cdef readonly Source source
    cdef readonly object limits
    cdef readonly list names
    cdef readonly dict rows_of           # name -> row number
    cdef readonly dict problems          # name -> why it cannot be read
    cdef readonly dict texts             # name -> what makes text of its stored elements
    cdef Sums sums                       # checksums of plain rows, or None
    cdef public object expand            # callable(name, row number) -> sequence of Extent
    cdef readonly bint sealed
    cdef dict made                       # row number -> Tensor, as asked for
    cdef list runs                       # (offset, nbytes, name) that rows which are not PLAIN take
    cdef Row *rows
    cdef uint64_t *dims
    cdef size_t nrows, cap_rows, ndims, cap_dims
    cdef size_t max_rows                 # limits.tensors and limits.rank
    cdef unsigned max_rank

    cdef Row *append(self, str name, unsigned rank) except NULL
    cdef Tensor make(self, str name, size_t number)
    cdef Tensor make_text(self, str name, size_t number)
    cdef str owner(self, size_t row)
    cdef int seal_row(self, str name, Row *row) except -1
