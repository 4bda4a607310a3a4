"""The one door to csrc: its kernels, for other modules, tests and benchmarks.

Modules cimport the ``cdef`` functions of ``kernels.pxd``.  The ``def`` functions below reach
the same kernels from Python: ``*_of`` return a value, ``*_into`` fill a buffer of the caller's.
``implementation`` names one row of the kernel's table instead of the best one.

Spec: csrc/kio.h holds the contract of each.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "kio.h" nogil:
    ctypedef uint32_t (*kio_crc32_fn)(uint32_t crc, const void *src, size_t nbytes) noexcept
    uint32_t kio_crc32(uint32_t crc, const void *src, size_t nbytes) noexcept
    struct kio_crc32_impl:
        const char *name
        int (*runs_here)() noexcept
        kio_crc32_fn fn
    const kio_crc32_impl kio_crc32_impls[]
    const size_t kio_crc32_nimpls

    ctypedef uint32_t (*kio_crc32_copy_fn)(uint32_t crc, void *dst, const void *src, size_t nbytes) noexcept
    uint32_t kio_crc32_copy(uint32_t crc, void *dst, const void *src, size_t nbytes) noexcept
    struct kio_crc32_copy_impl:
        const char *name
        int (*runs_here)() noexcept
        kio_crc32_copy_fn fn
    const kio_crc32_copy_impl kio_crc32_copy_impls[]
    const size_t kio_crc32_copy_nimpls

    ctypedef uint32_t (*kio_crc32c_fn)(uint32_t crc, const void *src, size_t nbytes) noexcept
    uint32_t kio_crc32c(uint32_t crc, const void *src, size_t nbytes) noexcept
    struct kio_crc32c_impl:
        const char *name
        int (*runs_here)() noexcept
        kio_crc32c_fn fn
    const kio_crc32c_impl kio_crc32c_impls[]
    const size_t kio_crc32c_nimpls

    ctypedef uint32_t (*kio_crc32c_copy_fn)(uint32_t crc, void *dst, const void *src, size_t nbytes) noexcept
    uint32_t kio_crc32c_copy(uint32_t crc, void *dst, const void *src, size_t nbytes) noexcept
    struct kio_crc32c_copy_impl:
        const char *name
        int (*runs_here)() noexcept
        kio_crc32c_copy_fn fn
    const kio_crc32c_copy_impl kio_crc32c_copy_impls[]
    const size_t kio_crc32c_copy_nimpls

    ctypedef uint32_t (*kio_adler32_fn)(uint32_t adler, const void *src, size_t nbytes) noexcept
    uint32_t kio_adler32(uint32_t adler, const void *src, size_t nbytes) noexcept
    struct kio_adler32_impl:
        const char *name
        int (*runs_here)() noexcept
        kio_adler32_fn fn
    const kio_adler32_impl kio_adler32_impls[]
    const size_t kio_adler32_nimpls

    ctypedef uint32_t (*kio_fletcher32_fn)(const void *src, size_t nbytes) noexcept
    uint32_t kio_fletcher32(const void *src, size_t nbytes) noexcept
    struct kio_fletcher32_impl:
        const char *name
        int (*runs_here)() noexcept
        kio_fletcher32_fn fn
    const kio_fletcher32_impl kio_fletcher32_impls[]
    const size_t kio_fletcher32_nimpls

    ctypedef void (*kio_shuffle_fn)(void *dst, const void *src, size_t nbytes, size_t itemsize) noexcept
    void kio_shuffle(void *dst, const void *src, size_t nbytes, size_t itemsize) noexcept
    struct kio_shuffle_impl:
        const char *name
        int (*runs_here)() noexcept
        kio_shuffle_fn fn
    const kio_shuffle_impl kio_shuffle_impls[]
    const size_t kio_shuffle_nimpls

    ctypedef void (*kio_unshuffle_fn)(void *dst, const void *src, size_t nbytes, size_t itemsize) noexcept
    void kio_unshuffle(void *dst, const void *src, size_t nbytes, size_t itemsize) noexcept
    struct kio_unshuffle_impl:
        const char *name
        int (*runs_here)() noexcept
        kio_unshuffle_fn fn
    const kio_unshuffle_impl kio_unshuffle_impls[]
    const size_t kio_unshuffle_nimpls

    ctypedef void (*kio_swap_fn)(void *dst, const void *src, size_t nelems, size_t itemsize) noexcept
    void kio_swap(void *dst, const void *src, size_t nelems, size_t itemsize) noexcept
    struct kio_swap_impl:
        const char *name
        int (*runs_here)() noexcept
        kio_swap_fn fn
    const kio_swap_impl kio_swap_impls[]
    const size_t kio_swap_nimpls

    ctypedef int (*kio_inflate_fn)(
        void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out, size_t *src_used_out) noexcept
    int kio_inflate(
        void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out, size_t *src_used_out) noexcept
    struct kio_inflate_impl:
        const char *name
        int (*runs_here)() noexcept
        kio_inflate_fn fn
    const kio_inflate_impl kio_inflate_impls[]
    const size_t kio_inflate_nimpls

    ctypedef void (*kio_convert_fn)(void *dst, const void *src, size_t nelems) noexcept
    struct kio_convert_impl:
        const char *name
        int (*runs_here)() noexcept
        kio_convert_fn fn
    void kio_bf16_to_f32(void *dst, const void *src, size_t nelems) noexcept
    const kio_convert_impl kio_bf16_to_f32_impls[]
    const size_t kio_bf16_to_f32_nimpls
    void kio_f32_to_bf16(void *dst, const void *src, size_t nelems) noexcept
    const kio_convert_impl kio_f32_to_bf16_impls[]
    const size_t kio_f32_to_bf16_nimpls
    void kio_f16_to_f32(void *dst, const void *src, size_t nelems) noexcept
    const kio_convert_impl kio_f16_to_f32_impls[]
    const size_t kio_f16_to_f32_nimpls
    void kio_f32_to_f16(void *dst, const void *src, size_t nelems) noexcept
    const kio_convert_impl kio_f32_to_f16_impls[]
    const size_t kio_f32_to_f16_nimpls
    void kio_f8_e4m3fn_to_f32(void *dst, const void *src, size_t nelems) noexcept
    const kio_convert_impl kio_f8_e4m3fn_to_f32_impls[]
    const size_t kio_f8_e4m3fn_to_f32_nimpls
    void kio_f32_to_f8_e4m3fn(void *dst, const void *src, size_t nelems) noexcept
    const kio_convert_impl kio_f32_to_f8_e4m3fn_impls[]
    const size_t kio_f32_to_f8_e4m3fn_nimpls
    void kio_f8_e5m2_to_f32(void *dst, const void *src, size_t nelems) noexcept
    const kio_convert_impl kio_f8_e5m2_to_f32_impls[]
    const size_t kio_f8_e5m2_to_f32_nimpls
    void kio_f32_to_f8_e5m2(void *dst, const void *src, size_t nelems) noexcept
    const kio_convert_impl kio_f32_to_f8_e5m2_impls[]
    const size_t kio_f32_to_f8_e5m2_nimpls

    uint32_t kio_crc32_combine(uint32_t crc1, uint32_t crc2, uint64_t nbytes2) noexcept
    uint32_t kio_crc32c_combine(uint32_t crc1, uint32_t crc2, uint64_t nbytes2) noexcept
    uint32_t kio_fletcher32_old(uint32_t fletcher) noexcept
    uint32_t kio_lookup3(const void *src, size_t nbytes, uint32_t initval) noexcept
    void kio_place(
        void *dst, const uint64_t *dst_shape, const uint64_t *dst_start,
        const void *src, const uint64_t *src_shape, const uint64_t *src_start,
        const uint64_t *box, unsigned int rank, size_t itemsize) noexcept
    int kio_inflate_zlib(
        void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out, size_t *src_used_out) noexcept
    int kio_lzf_decompress(
        void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out) noexcept
    int kio_snappy_size(const void *src, size_t src_nbytes, size_t *dst_nbytes_out) noexcept
    int kio_snappy_decompress(
        void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out) noexcept


# ---------------------------------------------------------------------- for cimport


cdef uint32_t crc32(uint32_t crc, const void *src, size_t nbytes) noexcept nogil:
    return kio_crc32(crc, src, nbytes)


cdef uint32_t crc32_copy(uint32_t crc, void *dst, const void *src, size_t nbytes) noexcept nogil:
    return kio_crc32_copy(crc, dst, src, nbytes)


cdef uint32_t crc32_combine(uint32_t crc1, uint32_t crc2, uint64_t nbytes2) noexcept nogil:
    return kio_crc32_combine(crc1, crc2, nbytes2)


cdef uint32_t crc32c(uint32_t crc, const void *src, size_t nbytes) noexcept nogil:
    return kio_crc32c(crc, src, nbytes)


cdef uint32_t crc32c_copy(uint32_t crc, void *dst, const void *src, size_t nbytes) noexcept nogil:
    return kio_crc32c_copy(crc, dst, src, nbytes)


cdef uint32_t crc32c_combine(uint32_t crc1, uint32_t crc2, uint64_t nbytes2) noexcept nogil:
    return kio_crc32c_combine(crc1, crc2, nbytes2)


cdef uint32_t adler32(uint32_t adler, const void *src, size_t nbytes) noexcept nogil:
    return kio_adler32(adler, src, nbytes)


cdef uint32_t fletcher32(const void *src, size_t nbytes) noexcept nogil:
    return kio_fletcher32(src, nbytes)


cdef uint32_t fletcher32_old(uint32_t fletcher) noexcept nogil:
    return kio_fletcher32_old(fletcher)


cdef uint32_t lookup3(const void *src, size_t nbytes, uint32_t initval) noexcept nogil:
    return kio_lookup3(src, nbytes, initval)


cdef void shuffle(void *dst, const void *src, size_t nbytes, size_t itemsize) noexcept nogil:
    kio_shuffle(dst, src, nbytes, itemsize)


cdef void unshuffle(void *dst, const void *src, size_t nbytes, size_t itemsize) noexcept nogil:
    kio_unshuffle(dst, src, nbytes, itemsize)


cdef void swap(void *dst, const void *src, size_t nelems, size_t itemsize) noexcept nogil:
    kio_swap(dst, src, nelems, itemsize)


cdef void place(
        void *dst, const uint64_t *dst_shape, const uint64_t *dst_start,
        const void *src, const uint64_t *src_shape, const uint64_t *src_start,
        const uint64_t *box, unsigned int rank, size_t itemsize) noexcept nogil:
    kio_place(dst, dst_shape, dst_start, src, src_shape, src_start, box, rank, itemsize)


cdef void bf16_to_f32(void *dst, const void *src, size_t nelems) noexcept nogil:
    kio_bf16_to_f32(dst, src, nelems)


cdef void f32_to_bf16(void *dst, const void *src, size_t nelems) noexcept nogil:
    kio_f32_to_bf16(dst, src, nelems)


cdef void f16_to_f32(void *dst, const void *src, size_t nelems) noexcept nogil:
    kio_f16_to_f32(dst, src, nelems)


cdef void f32_to_f16(void *dst, const void *src, size_t nelems) noexcept nogil:
    kio_f32_to_f16(dst, src, nelems)


cdef void f8_e4m3fn_to_f32(void *dst, const void *src, size_t nelems) noexcept nogil:
    kio_f8_e4m3fn_to_f32(dst, src, nelems)


cdef void f32_to_f8_e4m3fn(void *dst, const void *src, size_t nelems) noexcept nogil:
    kio_f32_to_f8_e4m3fn(dst, src, nelems)


cdef void f8_e5m2_to_f32(void *dst, const void *src, size_t nelems) noexcept nogil:
    kio_f8_e5m2_to_f32(dst, src, nelems)


cdef void f32_to_f8_e5m2(void *dst, const void *src, size_t nelems) noexcept nogil:
    kio_f32_to_f8_e5m2(dst, src, nelems)


cdef Status inflate(
        void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out, size_t *src_used_out) noexcept nogil:
    return <Status>kio_inflate(dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out, src_used_out)


cdef Status inflate_zlib(
        void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out, size_t *src_used_out) noexcept nogil:
    return <Status>kio_inflate_zlib(dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out, src_used_out)


cdef Status lzf_decompress(
        void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out) noexcept nogil:
    return <Status>kio_lzf_decompress(dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out)


cdef Status snappy_size(const void *src, size_t src_nbytes, size_t *dst_nbytes_out) noexcept nogil:
    return <Status>kio_snappy_size(src, src_nbytes, dst_nbytes_out)


cdef Status snappy_decompress(
        void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out) noexcept nogil:
    return <Status>kio_snappy_decompress(dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out)


# -------------------------------------------------------- for tests and benchmarks

cdef inline const uint8_t *first(const uint8_t[::1] span) noexcept nogil:
    return &span[0] if span.shape[0] else NULL


cdef inline uint8_t *first_of_dst(uint8_t[::1] span) noexcept nogil:
    return &span[0] if span.shape[0] else NULL


cdef void must_hold(Py_ssize_t expected, Py_ssize_t found) except *:
    if found < expected:
        raise ValueError(f"dst: expected at least {expected} bytes, found {found}")


cdef (const kio_convert_impl *, size_t) conversion_table(str conversion) except *:
    if conversion == "bf16_to_f32":
        return (kio_bf16_to_f32_impls, kio_bf16_to_f32_nimpls)
    if conversion == "f32_to_bf16":
        return (kio_f32_to_bf16_impls, kio_f32_to_bf16_nimpls)
    if conversion == "f16_to_f32":
        return (kio_f16_to_f32_impls, kio_f16_to_f32_nimpls)
    if conversion == "f32_to_f16":
        return (kio_f32_to_f16_impls, kio_f32_to_f16_nimpls)
    if conversion == "f8_e4m3fn_to_f32":
        return (kio_f8_e4m3fn_to_f32_impls, kio_f8_e4m3fn_to_f32_nimpls)
    if conversion == "f32_to_f8_e4m3fn":
        return (kio_f32_to_f8_e4m3fn_impls, kio_f32_to_f8_e4m3fn_nimpls)
    if conversion == "f8_e5m2_to_f32":
        return (kio_f8_e5m2_to_f32_impls, kio_f8_e5m2_to_f32_nimpls)
    if conversion == "f32_to_f8_e5m2":
        return (kio_f32_to_f8_e5m2_impls, kio_f32_to_f8_e5m2_nimpls)
    raise KeyError(conversion)


cdef list rows(str kernel):
    """(name, runs here) of each row of a kernel's table."""
    cdef size_t i, n
    cdef const kio_convert_impl *table
    if kernel == "crc32":
        return [(kio_crc32_impls[i].name, kio_crc32_impls[i].runs_here()) for i in range(kio_crc32_nimpls)]
    if kernel == "crc32_copy":
        return [
            (kio_crc32_copy_impls[i].name, kio_crc32_copy_impls[i].runs_here())
            for i in range(kio_crc32_copy_nimpls)
        ]
    if kernel == "crc32c":
        return [
            (kio_crc32c_impls[i].name, kio_crc32c_impls[i].runs_here()) for i in range(kio_crc32c_nimpls)
        ]
    if kernel == "crc32c_copy":
        return [
            (kio_crc32c_copy_impls[i].name, kio_crc32c_copy_impls[i].runs_here())
            for i in range(kio_crc32c_copy_nimpls)
        ]
    if kernel == "adler32":
        return [
            (kio_adler32_impls[i].name, kio_adler32_impls[i].runs_here()) for i in range(kio_adler32_nimpls)
        ]
    if kernel == "fletcher32":
        return [
            (kio_fletcher32_impls[i].name, kio_fletcher32_impls[i].runs_here())
            for i in range(kio_fletcher32_nimpls)
        ]
    if kernel == "shuffle":
        return [
            (kio_shuffle_impls[i].name, kio_shuffle_impls[i].runs_here()) for i in range(kio_shuffle_nimpls)
        ]
    if kernel == "unshuffle":
        return [
            (kio_unshuffle_impls[i].name, kio_unshuffle_impls[i].runs_here())
            for i in range(kio_unshuffle_nimpls)
        ]
    if kernel == "swap":
        return [(kio_swap_impls[i].name, kio_swap_impls[i].runs_here()) for i in range(kio_swap_nimpls)]
    if kernel == "inflate":
        return [
            (kio_inflate_impls[i].name, kio_inflate_impls[i].runs_here()) for i in range(kio_inflate_nimpls)
        ]
    table, n = conversion_table(kernel)
    return [(table[i].name, table[i].runs_here()) for i in range(n)]


def implementations(str kernel):
    """Names of the implementations of a kernel that run here, best first.

    Raises:
        KeyError: if the kernel has no table.
    """
    return [name.decode() for name, runs_here in rows(kernel) if runs_here]


cdef size_t row(str kernel, str implementation) except *:
    for i, (name, runs_here) in enumerate(rows(kernel)):
        if runs_here and name.decode() == implementation:
            return i
    raise KeyError(implementation)


def crc32_of(const uint8_t[::1] data, uint32_t crc=0, str implementation=None):
    """CRC-32 of ``data``, continuing from ``crc``."""
    cdef kio_crc32_fn fn = kio_crc32
    if implementation is not None:
        fn = kio_crc32_impls[row("crc32", implementation)].fn
    with nogil:
        crc = fn(crc, first(data), data.shape[0])
    return crc


def crc32_copy_into(uint8_t[::1] dst, const uint8_t[::1] src, uint32_t crc=0, str implementation=None):
    """Copy ``src`` to the start of ``dst``; CRC-32 of it, continuing from ``crc``."""
    cdef kio_crc32_copy_fn fn = kio_crc32_copy
    must_hold(src.shape[0], dst.shape[0])
    if implementation is not None:
        fn = kio_crc32_copy_impls[row("crc32_copy", implementation)].fn
    with nogil:
        crc = fn(crc, first_of_dst(dst), first(src), src.shape[0])
    return crc


def crc32_combine_of(uint32_t crc1, uint32_t crc2, uint64_t nbytes2):
    """CRC-32 of two spans from those of each; the second has ``nbytes2`` bytes."""
    return kio_crc32_combine(crc1, crc2, nbytes2)


def crc32c_of(const uint8_t[::1] data, uint32_t crc=0, str implementation=None):
    """CRC-32C of ``data``, continuing from ``crc``."""
    cdef kio_crc32c_fn fn = kio_crc32c
    if implementation is not None:
        fn = kio_crc32c_impls[row("crc32c", implementation)].fn
    with nogil:
        crc = fn(crc, first(data), data.shape[0])
    return crc


def crc32c_copy_into(uint8_t[::1] dst, const uint8_t[::1] src, uint32_t crc=0, str implementation=None):
    """Copy ``src`` to the start of ``dst``; CRC-32C of it, continuing from ``crc``."""
    cdef kio_crc32c_copy_fn fn = kio_crc32c_copy
    must_hold(src.shape[0], dst.shape[0])
    if implementation is not None:
        fn = kio_crc32c_copy_impls[row("crc32c_copy", implementation)].fn
    with nogil:
        crc = fn(crc, first_of_dst(dst), first(src), src.shape[0])
    return crc


def crc32c_combine_of(uint32_t crc1, uint32_t crc2, uint64_t nbytes2):
    """CRC-32C of two spans from those of each; the second has ``nbytes2`` bytes."""
    return kio_crc32c_combine(crc1, crc2, nbytes2)


def adler32_of(const uint8_t[::1] data, uint32_t adler=1, str implementation=None):
    """Adler-32 of ``data``, continuing from ``adler``."""
    cdef kio_adler32_fn fn = kio_adler32
    if implementation is not None:
        fn = kio_adler32_impls[row("adler32", implementation)].fn
    with nogil:
        adler = fn(adler, first(data), data.shape[0])
    return adler


def fletcher32_of(const uint8_t[::1] data, str implementation=None):
    """Fletcher-32 of ``data`` as HDF5 computes it."""
    cdef kio_fletcher32_fn fn = kio_fletcher32
    cdef uint32_t fletcher
    if implementation is not None:
        fn = kio_fletcher32_impls[row("fletcher32", implementation)].fn
    with nogil:
        fletcher = fn(first(data), data.shape[0])
    return fletcher


def fletcher32_old_of(uint32_t fletcher):
    """What HDF5 1.6.2 stored where ``fletcher`` is right."""
    return kio_fletcher32_old(fletcher)


def lookup3_of(const uint8_t[::1] data, uint32_t initval=0):
    """Bob Jenkins' lookup3 of ``data``."""
    cdef uint32_t value
    with nogil:
        value = kio_lookup3(first(data), data.shape[0], initval)
    return value


def shuffle_into(uint8_t[::1] dst, const uint8_t[::1] src, size_t itemsize, str implementation=None):
    """HDF5's shuffle of ``src``, items of ``itemsize`` bytes, into the start of ``dst``."""
    cdef kio_shuffle_fn fn = kio_shuffle
    must_hold(src.shape[0], dst.shape[0])
    if implementation is not None:
        fn = kio_shuffle_impls[row("shuffle", implementation)].fn
    with nogil:
        fn(first_of_dst(dst), first(src), src.shape[0], itemsize)


def unshuffle_into(uint8_t[::1] dst, const uint8_t[::1] src, size_t itemsize, str implementation=None):
    """The inverse of ``shuffle_into``."""
    cdef kio_unshuffle_fn fn = kio_unshuffle
    must_hold(src.shape[0], dst.shape[0])
    if implementation is not None:
        fn = kio_unshuffle_impls[row("unshuffle", implementation)].fn
    with nogil:
        fn(first_of_dst(dst), first(src), src.shape[0], itemsize)


def swap_into(uint8_t[::1] dst, const uint8_t[::1] src, size_t itemsize, str implementation=None):
    """The items of ``src`` in the other byte order into the start of ``dst``, which may be ``src``."""
    cdef kio_swap_fn fn = kio_swap
    cdef size_t nelems
    if itemsize == 0 or src.shape[0] % itemsize:
        raise ValueError(f"src: expected whole items of {itemsize} bytes, found {src.shape[0]} bytes")
    nelems = src.shape[0] // itemsize
    must_hold(src.shape[0], dst.shape[0])
    if implementation is not None:
        fn = kio_swap_impls[row("swap", implementation)].fn
    with nogil:
        fn(first_of_dst(dst), first(src), nelems, itemsize)


cdef size_t float_nbytes(str name) except *:
    return {"f32": 4, "f16": 2, "bf16": 2}.get(name, 1)


def convert_into(str conversion, uint8_t[::1] dst, const uint8_t[::1] src, str implementation=None):
    """Convert the elements of ``src`` into the start of ``dst``; e.g. ``"bf16_to_f32"``."""
    cdef const kio_convert_impl *table
    cdef size_t i = 0, nelems, src_itemsize, dst_itemsize
    table = conversion_table(conversion)[0]
    if implementation is not None:
        i = row(conversion, implementation)
    else:
        while not table[i].runs_here():
            i += 1
    src_name, dst_name = conversion.split("_to_")
    src_itemsize = float_nbytes(src_name)
    dst_itemsize = float_nbytes(dst_name)
    nelems = src.shape[0] // src_itemsize
    must_hold(nelems * dst_itemsize, dst.shape[0])
    with nogil:
        table[i].fn(first_of_dst(dst), first(src), nelems)


def place_into(
    uint8_t[::1] dst, dst_shape, dst_start,
    const uint8_t[::1] src, src_shape, src_start,
    box, size_t itemsize,
):
    """Copy a box of elements between two dense C-order arrays.

    Raises:
        ValueError: if the box does not lie within both arrays.
    """
    cdef uint64_t shapes[5][MAX_RANK]
    cdef unsigned int rank = len(box)
    cdef unsigned int d
    if rank > MAX_RANK:
        raise ValueError(f"rank: expected at most {MAX_RANK}, found {rank}")
    dst_nbytes = src_nbytes = itemsize
    for d in range(rank):
        if dst_start[d] + box[d] > dst_shape[d] or src_start[d] + box[d] > src_shape[d]:
            raise ValueError(f"box: expected to lie within both arrays, found {box}")
        dst_nbytes *= dst_shape[d]
        src_nbytes *= src_shape[d]
        shapes[0][d] = dst_shape[d]
        shapes[1][d] = dst_start[d]
        shapes[2][d] = src_shape[d]
        shapes[3][d] = src_start[d]
        shapes[4][d] = box[d]
    must_hold(dst_nbytes, dst.shape[0])
    must_hold(src_nbytes, src.shape[0])
    with nogil:
        kio_place(
            first_of_dst(dst), shapes[0], shapes[1], first(src), shapes[2], shapes[3], shapes[4],
            rank, itemsize)


def inflate_into(uint8_t[::1] dst, const uint8_t[::1] src, str implementation=None):
    """Decode raw deflate into ``dst``.

    Returns:
        (status, bytes decoded, bytes of ``src`` used); the status is one of ``STATUS``.
    """
    cdef kio_inflate_fn fn = kio_inflate
    cdef size_t dst_nbytes = 0, src_used = 0
    cdef int status
    if implementation is not None:
        fn = kio_inflate_impls[row("inflate", implementation)].fn
    with nogil:
        status = fn(first_of_dst(dst), dst.shape[0], first(src), src.shape[0], &dst_nbytes, &src_used)
    return STATUS[status], dst_nbytes, src_used


def inflate_zlib_into(uint8_t[::1] dst, const uint8_t[::1] src):
    """Decode a zlib stream into ``dst``; returns as ``inflate_into``."""
    cdef size_t dst_nbytes = 0, src_used = 0
    cdef int status
    with nogil:
        status = kio_inflate_zlib(
            first_of_dst(dst), dst.shape[0], first(src), src.shape[0], &dst_nbytes, &src_used)
    return STATUS[status], dst_nbytes, src_used


def lzf_decompress_into(uint8_t[::1] dst, const uint8_t[::1] src):
    """Decode an LZF stream into ``dst``; returns (status, bytes decoded)."""
    cdef size_t dst_nbytes = 0
    cdef int status
    with nogil:
        status = kio_lzf_decompress(first_of_dst(dst), dst.shape[0], first(src), src.shape[0], &dst_nbytes)
    return STATUS[status], dst_nbytes


def snappy_decompress_into(uint8_t[::1] dst, const uint8_t[::1] src):
    """Decode a raw Snappy stream into ``dst``; returns (status, bytes decoded)."""
    cdef size_t dst_nbytes = 0
    cdef int status
    with nogil:
        status = kio_snappy_decompress(first_of_dst(dst), dst.shape[0], first(src), src.shape[0], &dst_nbytes)
    return STATUS[status], dst_nbytes


STATUS = ("OK", "TRUNCATED", "CORRUPT", "CHECKSUM", "UNSUPPORTED", "LIMIT")
