"""The codecs that stored bytes may have gone through; one row a codec.

A row says what containers call the codec, what undoes it, what applies it, and how many bytes
its stored form has beyond the decoded one.  Filters of HDF5, methods of zip members, the options of a save and
the writers' filters are looked up here and nowhere else.  ``tests/raw/test_codecs.py`` has known bytes of each row.

The decoded size is never taken from the stream: the chunk's shape gives it, and what undoes
a codec is told how many bytes there is room for.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kio import plugins
from kio.errors import UnsupportedError
from kio.raw.kernels import shuffle_into

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
        hdf5: Identification of the HDF5 filter, and the name that a file has beside it.
        zip: Compression method of a zip member, and what such a member is called; undone by compiled code only.
        parameter: What the first client value of the HDF5 filter is: ``"itemsize"`` (bytes of one
            element), ``"level"``, or ``""`` where undoing needs none.
        compressor: It changes the size by an amount that depends on the data; a chunk has one at most.
        extra: Bytes that the stored form has beyond the decoded one; they end it, and undoing only drops them.
        checksum: The checksum of decoded bytes that undoing compares, for reports.
        option: What ``compression=`` calls it.
        levels: The level if none is given, the lowest and the highest; None where kio does not write it.
        apply: ``(uint8 array, first client value) -> uint8 array``, or None where kio does not write it.
        undo: ``(stored bytes, first client value, room in bytes) -> decoded bytes``.  It may be
            called by several threads, raises for damaged bytes (OverflowError for more than there is
            room for), and makes no more than that.
            None where compiled code undoes it.
    """

    name: str
    hdf5: tuple[int, bytes] | None = None
    zip: tuple[int, str] | None = None
    parameter: str = ""
    compressor: bool = False
    extra: int = 0
    checksum: str = ""
    option: str = ""
    levels: tuple[int, int, int] | None = None
    apply: Callable[[Any, int], Any] | None = None
    undo: Callable[[Any, int, int], Any] | None = None


ctypedef Status (*Undo)(
    const Step *step, void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
    size_t *dst_nbytes_out) noexcept nogil

cdef enum:
    ROWS_MAX = 256           # Step.codec is one byte

# By row number: what threads without the GIL ask.
cdef Undo[ROWS_MAX] UNDO
cdef UndoMember[ROWS_MAX] UNDO_MEMBER
cdef size_t[ROWS_MAX] EXTRA

TABLE = ()                   # the rows that kio has itself
cdef list rows = []          # by number
cdef dict numbers = {}       # name -> number
cdef dict by_hdf5 = {}       # identification -> row
cdef dict by_zip = {}        # method -> row
cdef dict by_option = {}     # what compression= calls it -> row


cdef int add(row, Undo undo, UndoMember undo_member=NULL) except -1:
    """A row, and the compiled function that undoes it in a chunk, or in a zip member."""
    cdef size_t number = len(rows)
    UNDO[number], UNDO_MEMBER[number], EXTRA[number] = undo, undo_member, row.extra
    rows.append(row)
    numbers[row.name] = number
    if row.hdf5 is not None:
        by_hdf5[row.hdf5[0]] = row
    if row.zip is not None and undo_member != NULL:
        by_zip[row.zip[0]] = row
    if row.levels is not None:
        by_option[row.option] = row
    return 0


# ---- deflate: a zlib stream, RFC 1950; bare (RFC 1951) in a zip member

cdef Status _inflate(
        const Step *step, void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out) noexcept nogil:
    return kernels.inflate_zlib(dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out, NULL)


# Its own function, because that of a cimported module is a pointer already.
cdef Status _inflate_member(
        void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out, size_t *src_used_out) noexcept nogil:
    return kernels.inflate(dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out, src_used_out)


def _deflate(data, level):
    import zlib
    return np.frombuffer(zlib.compress(data.data, level), np.uint8)


add(Codec("deflate", hdf5=(1, b"deflate"), zip=(8, "deflated"), parameter="level", compressor=True,
          checksum="Adler-32 of chunks", option="gzip", levels=(4, 0, 9), apply=_deflate),
    &_inflate, &_inflate_member)


# ---- shuffle: the first bytes of all elements, then the second ones, …

cdef Status _unshuffle(
        const Step *step, void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out) noexcept nogil:
    if src_nbytes > dst_nbytes_max:
        return KIO_LIMIT
    kernels.unshuffle(dst, src, src_nbytes, step.parameter)
    dst_nbytes_out[0] = src_nbytes
    return KIO_OK


def _shuffle(data, itemsize):
    out = np.empty(data.nbytes, np.uint8)
    shuffle_into(out.data, data.data, itemsize)
    return out


add(Codec("shuffle", hdf5=(2, b"shuffle"), parameter="itemsize", apply=_shuffle), &_unshuffle)


# ---- fletcher32: the data, then its sum in 4 bytes

cdef Status _unsum(
        const Step *step, void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out) noexcept nogil:
    cdef uint32_t stored, computed
    cdef const uint8_t *p = <const uint8_t *>src
    if src_nbytes < 4:
        return KIO_TRUNCATED
    p += src_nbytes - 4
    stored = p[0] | p[1] << 8 | p[2] << 16 | <uint32_t>p[3] << 24
    computed = kernels.fletcher32(src, src_nbytes - 4)
    dst_nbytes_out[0] = src_nbytes - 4
    if stored != computed and stored != kernels.fletcher32_old(computed):
        return KIO_CHECKSUM
    return KIO_OK


add(Codec("fletcher32", hdf5=(3, b"fletcher32"), extra=4, checksum="fletcher32 of chunks"), &_unsum)


# ---- lzf: h5py's own filter

cdef Status _unlzf(
        const Step *step, void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out) noexcept nogil:
    return kernels.lzf_decompress(dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out)


add(Codec("lzf", hdf5=(32000, b"lzf"), compressor=True), &_unlzf)


# ---- codecs that Python code undoes

cdef Status _in_python(
        const Step *step, void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out) noexcept nogil:
    with gil:
        try:
            return _call(rows[step.codec], step.parameter, dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out)
        except OverflowError:
            return KIO_LIMIT
        except BaseException:
            return KIO_CORRUPT


cdef Status _call(
        row, parameter, void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out):
    cdef bytes decoded
    # Not a cast to a typed memoryview: that writes all of Cython's own machinery for these into the module.
    stored = PyMemoryView_FromMemory(<char *>src, src_nbytes, PyBUF_READ)
    decoded = bytes(row.undo(stored, parameter, dst_nbytes_max))
    if <size_t>len(decoded) > dst_nbytes_max:
        return KIO_LIMIT
    memcpy(dst, <const char *>decoded, len(decoded))
    dst_nbytes_out[0] = len(decoded)
    return KIO_OK


# Of zeros, as fresh optimizers have them, zstd leaves next to nothing.  A reader that guards
# against bombs would refuse such a file (``Limits.expansion``), so a frame that decoders
# skip is put behind: a tenth of a percent.  Spec: RFC 8878, 3.1.2.
cdef enum:
    RATIO = 1000
    SKIPPABLE = 0x184D2A50


def _zstd(data, level):
    import zstandard
    # One compressor a chunk: it may not be shared by threads.
    out = zstandard.ZstdCompressor(level=level).compress(data.data)
    missing = data.nbytes // RATIO - len(out)
    if missing > 0:
        out += struct.pack("<II", SKIPPABLE, missing) + bytes(missing)
    return np.frombuffer(out, np.uint8)


def _unzstd(stored, _, nbytes_max):
    import zstandard
    # The frame's own claim is checked before anything is allocated for it.
    if zstandard.frame_content_size(stored) > nbytes_max:
        raise OverflowError(f"expected at most {nbytes_max} bytes")
    return zstandard.ZstdDecompressor().decompress(stored, max_output_size=nbytes_max)


# Registered filter 32015: one zstd frame.
add(Codec("zstd", hdf5=(32015, b"Zstandard compression: http://www.zstd.net"), compressor=True, option="zstd",
          levels=(3, 1, 22), apply=_zstd, undo=_unzstd), &_in_python)

TABLE = tuple(rows)


# ---- those of other distributions: Python undoes them

def _adopt(str name, row):
    """Take a row over from an entry point."""
    if not isinstance(row, Codec):
        raise TypeError(f"expected a kio.raw.codecs.Codec, found {type(row).__name__}")
    if row.name != name or name in numbers:
        raise ValueError(f"expected a codec of that name, found {row.name}")
    if row.undo is None or row.extra or row.zip is not None:
        raise ValueError("expected a codec with undo, without extra and zip, which only compiled code has")
    if row.hdf5 is not None and (row.hdf5[0] in by_hdf5 or not isinstance(row.hdf5[1], bytes)):
        raise ValueError(f"expected an HDF5 filter that kio has not, found {row.hdf5}")
    if row.parameter not in ("", "itemsize", "level"):
        raise ValueError(f"parameter: expected '', 'itemsize' or 'level', found {row.parameter!r}")
    if row.levels is not None and (row.apply is None or row.hdf5 is None or not row.option or row.option in by_option):
        raise ValueError("expected a codec with levels to have apply, hdf5 and an option of its own")
    if len(rows) == ROWS_MAX:
        raise ValueError(f"expected at most {ROWS_MAX} codecs")
    add(row, &_in_python)
    return row


cdef tuple OWN = tuple(numbers)


cdef int look_outside() except -1:
    plugins.every("kio.codecs", OWN, _adopt)
    return 0


# ---- what others ask

def named(str name):
    """The row of this name, or None."""
    if name not in numbers:
        look_outside()
    number = numbers.get(name)
    return None if number is None else rows[number]


def of_hdf5(identification):
    """The row of an HDF5 filter, or None."""
    if identification not in by_hdf5:
        look_outside()
    return by_hdf5.get(identification)


def of_zip(method):
    """The row of a zip method, or None."""
    return by_zip.get(method)


def of_option(str option):
    """The row that ``compression=`` names, or None."""
    if option not in by_option:
        look_outside()
    return by_option.get(option)


def options():
    """What ``compression=`` may name."""
    return tuple(by_option)


def parameter_of(row, first, itemsize):
    """What undoing needs of an HDF5 filter's first client value, 0 if there is none."""
    return (first or itemsize) if row.parameter == "itemsize" else first if row.parameter else 0


cdef int steps_of(tuple codecs, Step *steps, object where) except -1:
    """Fill steps from ``((name, parameter), …)``; returns how many.  where: for the message."""
    cdef int n = 0
    compressors = 0
    if len(codecs) > MAX_CODECS:
        raise UnsupportedError(f"filters: expected at most {MAX_CODECS}, found {len(codecs)}", tensor=where)
    for name, parameter in codecs:
        if name not in numbers:
            look_outside()
        number = numbers.get(name)
        if number is None:
            raise UnsupportedError(f"filter: expected one of {sorted(numbers)}, found {name}", tensor=where)
        compressors += rows[number].compressor
        steps[n].codec, steps[n].parameter = number, parameter
        n += 1
    if compressors > 1:
        raise UnsupportedError(f"filters: expected one compressor, found {compressors}", tensor=where)
    return n


cdef size_t slack(const Step *steps, int nsteps) noexcept nogil:
    """Bytes that intermediate results of these steps may have beyond the decoded chunk."""
    cdef size_t extra = 0
    for i in range(nsteps):
        extra += EXTRA[steps[i].codec]
    return extra


cdef bint in_place(const Step *step) noexcept nogil:
    """Whether undo leaves the bytes where they are and only says how many count."""
    return EXTRA[step.codec] != 0


cdef Status undo(
        const Step *step, void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
        size_t *dst_nbytes_out) noexcept nogil:
    """Undo one codec from src to dst; an in-place one ignores dst."""
    return UNDO[step.codec](step, dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out)


cdef UndoMember undo_member(row) except NULL:
    """What undoes a row that has a zip method."""
    return UNDO_MEMBER[<size_t>numbers[row.name]]
