from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t


# Where reading is a request to somebody else: a gap up to FAR_GAP costs less than another request
# (a tenth of a second of an object store is some MiB), and one request is for at most FAR_SPAN, so
# that threads have several on the way.
cdef enum:
    FAR_GAP = 1 << 20
    FAR_SPAN = 4 << 20


cdef class Descriptor:
    """An open file, closed once: not before the last transfer that uses it ends."""
    cdef int fd
    cdef bint open                       # it is ours to close
    cdef int pins
    cdef bint closing
    cdef int pin(self) except -1
    cdef void unpin(self) noexcept
    cdef bint usable(self) noexcept      # not closed
    cpdef void close(self) noexcept


cdef class Source:
    cdef readonly str name
    cdef readonly uint64_t nbytes
    cdef readonly uint64_t base          # of this window, in the file or the buffer
    cdef readonly object crc32           # of the whole window as stored with it, or None
    cdef readonly Source checked         # the nearest window around this one with a crc32
    cdef readonly bint mapped            # memory is a mapped file: tensors may be views of it
    cdef Descriptor descriptor           # None for memory and Python file objects
    cdef const uint8_t *memory           # first byte of this window, or NULL
    cdef object owner                    # buffer or file object that must outlive this
    cdef object lock                     # serialises reads of a Python file object
    cdef object pid                      # of the process that opened a Python file object
    cdef readonly object place           # where the file is, to open it again, or None

    cpdef Source window(self, uint64_t offset, uint64_t nbytes, str name, object crc32=*)
    cpdef bytes read(self, uint64_t offset, uint64_t nbytes)
    cdef bint near(self) noexcept
    cdef int fill(self, uint8_t *dst, uint64_t offset, size_t nbytes) except -1


cdef struct Origin:                      # one file or buffer
    int fd                               # -1: none that could be read by its number
    const uint8_t *memory                # byte 0, or NULL


cdef class Origins:
    """What windows are windows of: each file and each buffer once, by number, for threads without the GIL."""
    cdef list sources                    # of each origin: any Source on it
    cdef dict origin_of                  # key -> number
    cdef Origin *origins
    cdef size_t norigins, cap_origins
    cdef int32_t origin(self, Source source) except -1


cdef class Image:
    """A private copy of a source, read block by block as its spans are asked for."""
    cdef readonly Source source
    cdef readonly uint64_t nbytes
    cdef readonly uint64_t loaded        # bytes read so far
    cdef readonly uint64_t held          # bytes of these that take memory of ours
    cdef const uint8_t *base             # byte 0 of the source; valid only after need()
    cdef uint8_t *filled                 # one byte a block
    cdef uint8_t *share                  # blocks filled, of each window
    cdef uint64_t *used                  # reads before each window was last asked for
    cdef uint64_t reads
    cdef size_t readers                  # between hold() and spare(), in all threads
    cdef size_t proven, presumed         # windows found dense, and read whole as the others were
    cdef uint8_t *reserved               # our memory, NULL when base is the source's
    cdef void *mapped                    # where its mapping begins, and its size
    cdef size_t nmapped
    cdef uint64_t ahead                  # next read size in blocks
    cdef uint64_t last                   # block after the last one read
    cdef int need(self, uint64_t offset, uint64_t nbytes) except -1
    cdef void hold(self) noexcept
    cdef int spare(self) except -1
    cdef bint drop(self, uint64_t window) noexcept
    cdef int load(self, uint64_t first, uint64_t last) except -1
    cdef int take(self, uint64_t first, uint64_t end) except -1
