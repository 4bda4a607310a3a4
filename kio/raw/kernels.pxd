# The kernels of csrc, for cimport.  Contracts: csrc/kio.h.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum Status:  # the values of enum kio_status
    KIO_OK
    KIO_TRUNCATED
    KIO_CORRUPT
    KIO_CHECKSUM
    KIO_UNSUPPORTED
    KIO_LIMIT

cdef enum:
    MAX_RANK = 32

# checksums
cdef uint32_t crc32(uint32_t crc, const void *src, size_t nbytes) noexcept nogil
cdef uint32_t crc32_copy(uint32_t crc, void *dst, const void *src, size_t nbytes) noexcept nogil
cdef uint32_t crc32_combine(uint32_t crc1, uint32_t crc2, uint64_t nbytes2) noexcept nogil
cdef uint32_t crc32c(uint32_t crc, const void *src, size_t nbytes) noexcept nogil
cdef uint32_t crc32c_copy(uint32_t crc, void *dst, const void *src, size_t nbytes) noexcept nogil
cdef uint32_t crc32c_combine(uint32_t crc1, uint32_t crc2, uint64_t nbytes2) noexcept nogil
cdef uint32_t adler32(uint32_t adler, const void *src, size_t nbytes) noexcept nogil
cdef uint32_t fletcher32(const void *src, size_t nbytes) noexcept nogil
cdef uint32_t fletcher32_old(uint32_t fletcher) noexcept nogil
cdef uint32_t lookup3(const void *src, size_t nbytes, uint32_t initval) noexcept nogil

# transforms
cdef void shuffle(void *dst, const void *src, size_t nbytes, size_t itemsize) noexcept nogil
cdef void unshuffle(void *dst, const void *src, size_t nbytes, size_t itemsize) noexcept nogil
cdef void swap(void *dst, const void *src, size_t nelems, size_t itemsize) noexcept nogil
cdef void place(
    void *dst, const uint64_t *dst_shape, const uint64_t *dst_start,
    const void *src, const uint64_t *src_shape, const uint64_t *src_start,
    const uint64_t *box, unsigned int rank, size_t itemsize) noexcept nogil

# conversions
cdef void bf16_to_f32(void *dst, const void *src, size_t nelems) noexcept nogil
cdef void f32_to_bf16(void *dst, const void *src, size_t nelems) noexcept nogil
cdef void f16_to_f32(void *dst, const void *src, size_t nelems) noexcept nogil
cdef void f32_to_f16(void *dst, const void *src, size_t nelems) noexcept nogil
cdef void f8_e4m3fn_to_f32(void *dst, const void *src, size_t nelems) noexcept nogil
cdef void f32_to_f8_e4m3fn(void *dst, const void *src, size_t nelems) noexcept nogil
cdef void f8_e5m2_to_f32(void *dst, const void *src, size_t nelems) noexcept nogil
cdef void f32_to_f8_e5m2(void *dst, const void *src, size_t nelems) noexcept nogil

# decoders; the out-parameters may be NULL
cdef Status inflate(
    void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
    size_t *dst_nbytes_out, size_t *src_used_out) noexcept nogil
cdef Status inflate_zlib(
    void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
    size_t *dst_nbytes_out, size_t *src_used_out) noexcept nogil
cdef Status lzf_decompress(
    void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
    size_t *dst_nbytes_out) noexcept nogil
cdef Status snappy_size(const void *src, size_t src_nbytes, size_t *dst_nbytes_out) noexcept nogil
cdef Status snappy_decompress(
    void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
    size_t *dst_nbytes_out) noexcept nogil
