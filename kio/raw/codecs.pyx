"""The codecs that stored bytes may have gone through; one row a codec.

A row says how many bytes undoing adds at most beyond the decoded chunk, whether it is
a compressor (a chunk may have one), and whether it only shortens the bytes in place.
The decoded size is never taken from the stream: the chunk's shape gives it.
"""

from dataclasses import dataclass

from kio.errors import UnsupportedError

from cpython.buffer cimport PyBUF_READ
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.string cimport memcpy

from kio.raw cimport kernels
from kio.raw.kernels cimport KIO_CHECKSUM, KIO_CORRUPT, KIO_LIMIT, KIO_OK, KIO_TRUNCATED, Status


@dataclass(frozen=True, slots=True)
class Codec:
    """One codec.

    Attributes:
        name: As it stands in ``Extent.codecs``.
        compressor: It changes the size by an amount that depends on the data.
    """

    name: str
    compressor: bool = False


TABLE = (
    Codec("deflate", compressor=True),   # zlib stream, RFC 1950
    Codec("shuffle"),                    # HDF5 filter 2
    Codec("fletcher32"),                 # HDF5 filter 3: data, then the sum in 4 bytes
    Codec("lzf", compressor=True),       # h5py's filter 32000
    Codec("zstd", compressor=True),      # registered filter 32015: one zstd frame
)

cdef enum:
    DEFLATE
    SHUFFLE
    FLETCHER32
    LZF
    ZSTD

cdef dict ROWS = {row.name: number for number, row in enumerate(TABLE)}


cdef int steps_of(tuple codecs, Step *steps, object where) except -1:
    """Fill steps from ``((name, parameter), …)``; returns how many.  where: for the message."""
    cdef int n = 0
    compressors = 0
    if len(codecs) > MAX_CODECS:
        raise UnsupportedError(f"filters: expected at most {MAX_CODECS}, found {len(codecs)}", tensor=where)
    for name, parameter in codecs:
        number = ROWS.get(name)
        if number is None:
            raise UnsupportedError(f"filter: expected one of {sorted(ROWS)}, found {name}", tensor=where)
        compressors += TABLE[number].compressor
        steps[n].codec, steps[n].parameter = number, parameter
        n += 1
    if compressors > 1:
        raise UnsupportedError(f"filters: expected one compressor, found {compressors}", tensor=where)
    return n


cdef size_t slack(const Step *steps, int nsteps) noexcept nogil:
    """Bytes that intermediate results of these steps may have beyond the decoded chunk."""
    cdef size_t extra = 0
    for i in range(nsteps):
        if steps[i].codec == FLETCHER32:
            extra += 4
    return extra


cdef bint in_place(const Step *step) noexcept nogil:
    """Whether undo leaves the bytes where they are and only says how many count."""
    return step.codec == FLETCHER32


cdef Status undo(
        const Step *step, void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out) noexcept nogil:
    """Undo one codec from src to dst; an in-place one ignores dst."""
    cdef Status status = KIO_OK
    cdef uint32_t stored, computed
    cdef const uint8_t *p = <const uint8_t *>src
    if step.codec == DEFLATE:
        return kernels.inflate_zlib(dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out, NULL)
    if step.codec == LZF:
        return kernels.lzf_decompress(dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out)
    if step.codec == SHUFFLE:
        if src_nbytes > dst_nbytes_max:
            return KIO_LIMIT
        kernels.unshuffle(dst, src, src_nbytes, step.parameter)
        dst_nbytes_out[0] = src_nbytes
        return KIO_OK
    if step.codec == FLETCHER32:
        if src_nbytes < 4:
            return KIO_TRUNCATED
        p += src_nbytes - 4
        stored = p[0] | p[1] << 8 | p[2] << 16 | <uint32_t>p[3] << 24
        computed = kernels.fletcher32(src, src_nbytes - 4)
        dst_nbytes_out[0] = src_nbytes - 4
        if stored != computed and stored != kernels.fletcher32_old(computed):
            return KIO_CHECKSUM
        return KIO_OK
    if step.codec == ZSTD:
        with gil:
            try:
                status = unzstd(dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out)
            except BaseException:
                status = KIO_CORRUPT
        return status
    return KIO_CORRUPT


cdef Status unzstd(
        void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out):
    import zstandard
    # Not a cast to a typed memoryview: that writes all of Cython's own machinery for these into the module.
    stored = PyMemoryView_FromMemory(<char *>src, src_nbytes, PyBUF_READ)
    try:
        # The frame's own claim is checked before anything is allocated for it.
        if zstandard.frame_content_size(stored) > <object>dst_nbytes_max:
            return KIO_LIMIT
        decoded = zstandard.ZstdDecompressor().decompress(stored, max_output_size=dst_nbytes_max)
    except zstandard.ZstdError:
        return KIO_CORRUPT
    if len(decoded) > <object>dst_nbytes_max:
        return KIO_LIMIT
    memcpy(dst, <const char *>decoded, len(decoded))
    dst_nbytes_out[0] = len(decoded)
    return KIO_OK
