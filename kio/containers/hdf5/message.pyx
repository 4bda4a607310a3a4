"""Header messages as kio writes them: the bytes that h5py writes, whichever libhdf5 it has.

Spec: HDF5 File Format Specification 3.0, IV.A.2 (messages), III.E (global heap); layouts of
dataspace, datatype and attribute: see types and attribute.

A message                      Global heap collection
  0  type u16                    0  "GCOL", version 1, reserved (3)
  2  size of the body u16        8  size of the collection, L
  4  flags u8, reserved (3)         objects: index u16, references u16, reserved (4),
  8  body, a multiple of 8                   size L, bytes, padded to 8
                                    free space: an object of index 0, size with its header

Every number is little-endian, sizes of offsets and lengths are 8.
"""

import struct

import numpy as np

from kio import dtypes
from kio.raw import codecs

from kio.raw cimport pen

cdef enum:
    SPACE = 0x01
    TYPE = 0x03
    FILL = 0x05
    FILTERS = 0x0B
    ATTRIBUTE = 0x0C
    CONSTANT = 1             # message flag: its body never changes
    COLLECTION = 4096        # smallest collection that libhdf5 reads
    # What Keras allows the data of one attribute; a message's body ends at 65,535.
    DATA_MAX = 64512

cdef dict CODES = dtypes.CODES


# ---- datatypes

cdef bytes _fixed(unsigned itemsize, bint signed):
    return struct.pack("<B3BIHH", 0x10, 8 if signed else 0, 0, 0, itemsize, 0, 8 * itemsize)


cdef bytes _float(row):
    exponent, mantissa, bias = row.layout
    # Mantissa with its first bit implied (0x20), and where the sign is.
    return struct.pack("<B3BIHHBBBBI", 0x11, 0x20, 8 * row.itemsize - 1, 0, row.itemsize, 0, 8 * row.itemsize,
                       mantissa, exponent, 0, mantissa, bias)


cdef bytes _part(bytes name, unsigned offset, row):
    """A member of a compound: its name, offset, twenty-eight bytes about dimensions, type."""
    return struct.pack("<8sI28x", name, offset) + _float(row)


cdef bytes _datatype(row):
    """The datatype of a row of ``kio.dtypes``, without padding."""
    if row.kind == "b":
        # What h5py makes of bool: an enumeration of two names over one byte.
        return struct.pack("<B3BI", 0x18, 2, 0, 0, 1) + _fixed(1, True) + b"FALSE\0\0\0TRUE\0\0\0\0\0\1"
    if row.kind in "iu" and row.raw is None:
        return _fixed(row.itemsize, row.kind == "i")
    if row.kind == "c":
        (half,) = [dtypes.BY_NAME[half] for half, whole in dtypes.COMPLEX_OF.items() if whole == row.name]
        return (struct.pack("<B3BI", 0x16, 2, 0, 0, row.itemsize) + _part(b"r", 0, half)
                + _part(b"i", half.itemsize, half))
    if row.kind == "f" and row.raw is None:
        return _float(row)
    # HDF5 below 2.0 has neither bfloat16 nor float8; Keras stores them as opaque bytes.
    return struct.pack("<B3BI", 0x15, 0, 0, 0, row.itemsize)


cdef list DATATYPES = [_datatype(row) for row in dtypes.TABLE]
# Variable-length text over one unsigned byte; 16 bytes an element: length, address, index.
cdef bytes TEXT_ASCII = struct.pack("<B3BI", 0x19, 1, 0, 0, 16) + _fixed(1, False)
cdef bytes TEXT_UTF8 = struct.pack("<B3BI", 0x19, 1, 1, 0, 16) + _fixed(1, False)


# ---- text

cdef class GlobalHeap:
    def __cinit__(self, uint64_t base):
        self.base = base

    def __dealloc__(self):
        pen.drop(&self.pen)

    cdef int put(self, bytes value, Pen *out) except -1:
        """Keep a text, and write what refers to it: length u32, collection address, index u32."""
        cdef size_t nbytes = len(value), at, left
        cdef size_t needed = 16 + ((nbytes + 7) & ~<size_t>7)
        if nbytes > 0xFFFFFFFF:
            raise ValueError(f"text of an attribute: expected less than 4 GiB, found {nbytes} bytes")
        if 16 + needed > COLLECTION:
            # One of its own; the open one stays open.
            at = self.begin(16 + needed)
            self.object(at + 16, 1, value)
            self.refer(out, nbytes, at, 1)
            return 0
        # The index of an object is 16 bits wide, but 4,096 bytes hold no more than 255.
        if not self.used or self.used + needed > COLLECTION:
            self.open = self.begin(COLLECTION)
            self.used, self.count = 16, 0
        self.count += 1
        self.object(self.open + self.used, self.count, value)
        self.used += needed
        left = COLLECTION - self.used
        if left >= 16:
            # Its index, 0, is there already.
            pen.poke64(&self.pen, self.open + self.used + 8, left)
        self.refer(out, nbytes, self.open, self.count)
        return 0

    cdef size_t begin(self, size_t nbytes) except? 0xDEAD:
        """A new collection; its place in pen."""
        cdef size_t at = self.pen.at
        pen.put(&self.pen, b"GCOL\1\0\0\0", 8)
        pen.put64(&self.pen, nbytes)
        pen.room(&self.pen, nbytes - 16)
        return at

    cdef int object(self, size_t at, unsigned index, bytes value) except -1:
        pen.poke16(&self.pen, at, index)
        pen.poke64(&self.pen, at + 8, len(value))
        pen.over(&self.pen, at + 16, <const char *>value, len(value))
        return 0

    cdef int refer(self, Pen *out, size_t nbytes, size_t collection, unsigned index) except -1:
        pen.put32(out, <uint32_t>nbytes)
        pen.put64(out, self.base + collection)
        return pen.put32(out, index)


# ---- attributes

cdef int put_attribute(Pen *p, GlobalHeap heap, str name, object value) except? -1:
    """Write an attribute, or the several that Keras makes of a long list; returns how many.

    Text becomes variable-length text, a list of texts an array of it, anything else what
    NumPy makes of it.
    """
    if isinstance(value, (str, bytes)):
        return _text(p, heap, name, [value], True)
    if isinstance(value, (list, tuple)) and len(value) and all([isinstance(v, (str, bytes)) for v in value]):
        return _split(p, heap, name, list(value), 16)
    array = np.asarray(value)
    # Of a list of numbers and texts NumPy makes texts: only what was an array counts as one.
    if isinstance(value, (np.ndarray, np.generic)) and array.dtype.kind == "U" and array.ndim < 2:
        return _split(p, heap, name, array.tolist(), 16) if array.ndim else _text(p, heap, name, [str(array)], True)
    known = array.dtype.kind in "biufc" and array.dtype.name in CODES
    if not known and not (array.dtype.kind == "S" and isinstance(value, (np.ndarray, np.generic))):
        raise TypeError(f"attribute {name!r}: expected text, numbers or a list of these, found "
                        f"{type(value).__name__} of {array.dtype}")
    if array.ndim > 32:
        raise ValueError(f"attribute {name!r}: expected at most 32 dimensions, found {array.ndim}")
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)
    if array.nbytes <= DATA_MAX:
        return _numbers(p, name, array)
    return _split(p, heap, name, array, array.nbytes // array.shape[0] if array.ndim else array.nbytes)


cdef int _split(Pen *p, GlobalHeap heap, str name, rows, size_t row_nbytes) except? -1:
    """Write rows as one attribute, or as name0, name1, … of nearly equal length."""
    cdef Py_ssize_t n = len(rows) if row_nbytes <= DATA_MAX else 0, fit, parts, start = 0, k, taken
    if n == 0:
        raise ValueError(f"attribute {name!r}: expected at most {DATA_MAX} bytes a row, found {row_nbytes}")
    fit = DATA_MAX // row_nbytes
    parts = (n + fit - 1) // fit
    for k in range(parts):
        taken = n // parts + (k < n % parts)
        part = rows[start:start + taken]
        called = name if parts == 1 else f"{name}{k}"
        if isinstance(part, list):
            _text(p, heap, called, part, False)
        else:
            _numbers(p, called, part)
        start += taken
    return parts


cdef int _text(Pen *p, GlobalHeap heap, str name, list texts, bint scalar) except? -1:
    cdef uint64_t count = len(texts)
    cdef size_t start
    cdef bytes kind = TEXT_ASCII
    for text in texts:
        if isinstance(text, str):
            kind = TEXT_UTF8
    start = _begin(p, name, kind, &count, 0 if scalar else 1)
    for text in texts:
        heap.put((<str>text).encode("utf-8", "surrogateescape") if isinstance(text, str) else text, p)
    _end(p, start)
    return 1


cdef int _numbers(Pen *p, str name, array) except? -1:
    cdef uint64_t[32] dims
    cdef unsigned i
    cdef size_t start
    cdef bytes kind, raw = array.tobytes()
    if array.dtype.kind == "S":
        # Class 3, version 1, padded with zeros.
        kind = struct.pack("<B3BI", 0x13, 1, 0, 0, array.dtype.itemsize)
    else:
        kind = DATATYPES[CODES[array.dtype.name]]
    for i in range(array.ndim):
        dims[i] = array.shape[i]
    start = _begin(p, name, kind, dims, array.ndim)
    pen.put(p, <const char *>raw, len(raw))
    _end(p, start)
    return 1


cdef size_t _begin(Pen *p, str name, bytes kind, const uint64_t *dims, unsigned rank) except? 0xDEAD:
    """Write a message up to its data; returns where it starts."""
    cdef size_t start = p.at
    cdef bytes raw = name.encode("utf-8", "surrogateescape")
    if not raw or b"\0" in raw or len(raw) > 255:
        raise ValueError(f"attribute name: expected 1 to 255 bytes without NUL, found {name!r}")
    pen.put16(p, ATTRIBUTE)
    pen.room(p, 6)
    pen.put16(p, 1)          # version, reserved
    pen.put16(p, len(raw) + 1)
    pen.put16(p, len(kind))
    pen.put16(p, space_nbytes(rank))
    # As a C string: with its NUL.
    pen.put(p, <const char *>raw, len(raw) + 1)
    _pad(p, start)
    pen.put(p, <const char *>kind, len(kind))
    _pad(p, start)
    _space(p, dims, rank)
    return start


cdef int _end(Pen *p, size_t start) except -1:
    _pad(p, start)
    pen.poke16(p, start + 2, <uint16_t>(p.at - start - 8))
    return 0


cdef int _pad(Pen *p, size_t start) except -1:
    pen.room(p, -(p.at - start) & 7)
    return 0


# ---- what a dataset is

cdef size_t space_nbytes(unsigned rank) noexcept:
    return 8 + 16 * rank


cdef size_t type_nbytes(int8_t dtype) noexcept:
    return (len(<bytes>DATATYPES[dtype]) + 7) & ~7


cdef int _head(Pen *p, unsigned kind, size_t nbytes, unsigned flags) except -1:
    pen.put16(p, kind)
    pen.put16(p, <uint16_t>nbytes)
    return pen.put32(p, flags)


cdef int _space(Pen *p, const uint64_t *dims, unsigned rank) except -1:
    cdef unsigned i
    pen.put8(p, 1)
    pen.put8(p, rank)
    # Maximum dimensions follow, and are the same.
    pen.put16(p, 1 if rank else 0)
    pen.put32(p, 0)
    for _ in range(2):
        for i in range(rank):
            pen.put64(p, dims[i])
    return 0


cdef int put_space(Pen *p, const uint64_t *dims, unsigned rank) except -1:
    _head(p, SPACE, space_nbytes(rank), 0)
    return _space(p, dims, rank)


cdef int put_type(Pen *p, int8_t dtype) except -1:
    cdef bytes kind = DATATYPES[dtype]
    _head(p, TYPE, type_nbytes(dtype), CONSTANT)
    pen.put(p, <const char *>kind, len(kind))
    pen.room(p, type_nbytes(dtype) - len(kind))
    return 0


cdef int put_fill(Pen *p, bint chunked) except -1:
    # Version 2, space allocated late (chunked: incrementally), fill value written if set,
    # defined, of no bytes: zeros.
    _head(p, FILL, 8, CONSTANT)
    return pen.put(p, b"\2\3\2\1\0\0\0\0" if chunked else b"\2\2\2\1\0\0\0\0", 8)


cdef bytes _called(bytes name):
    """A filter's name as it is stored: a C string, padded to 8."""
    return name + bytes(8 - len(name) % 8)


cdef size_t filters_nbytes(tuple filters) except? 0:
    """Size of the message of a filter pipeline, with its prefix."""
    cdef size_t nbytes = 16
    for name, values in filters:
        nbytes += 8 + len(_called(codecs.named(name).hdf5[1])) + 4 * (len(values) + (len(values) & 1))
    return nbytes


cdef int put_filters(Pen *p, tuple filters) except -1:
    """A filter pipeline; filters are ``(name, client values)`` in the order of applying them."""
    cdef bytes called
    _head(p, FILTERS, filters_nbytes(filters) - 8, CONSTANT)
    pen.put8(p, 1)
    pen.put8(p, len(filters))
    pen.room(p, 6)
    for name, values in filters:
        number, called = codecs.named(name).hdf5
        called = _called(called)
        pen.put16(p, number)
        pen.put16(p, len(called))
        pen.put16(p, 1)      # optional: a chunk that it would not shorten may go without
        pen.put16(p, len(values))
        pen.put(p, <const char *>called, len(called))
        for value in values:
            pen.put32(p, value)
        if len(values) & 1:
            pen.put32(p, 0)
    return 0
