"""Tensor bundle: a TensorFlow checkpoint of version 2, an index and shards of data.

    PREFIX.index                    an SSTable; its keys in order:
        ""                          header
        00 …                        slices, by their slice key
        any other                   tensors, by name in UTF-8
    PREFIX.data-SSSSS-of-NNNNN      shards: the runs that entries tell of

    header    1 number of shards, 2 byte order (0 little, 1 big), 3 version {1 producer, 2 least consumer}
    entry     1 dtype, 2 shape {2 dimension {1 size} *, 3 unknown rank}, 3 shard, 4 offset, 5 nbytes,
              6 fixed32 CRC-32C of the run, masked, 7 slice {1 axis {1 start, 2 length} *} *

A tensor in slices has its shape in its own entry, and no data; a slice has an entry under its
slice key with the slice's shape.  An axis without a length is taken whole.

    slice key     num 0, string name, num rank, (signed start, signed length) *; -1 stands for a whole axis
    num           nbytes u8, big-endian without leading zeros
    string        00 as 00 ff, ff as ff 00; 00 01 behind it
    signed        OrderedCode's own: as many leading ones as bytes, then two's complement

    numbers       C order, in the header's byte order; 4 bits and less in a byte of their own
    strings       varint nbytes *, masked CRC-32C of these as u32 (u64 above 2**32 - 1), bytes;
                  the entry's checksum is over these numbers, the checksum, the bytes

Variants (an iterator's state, a TensorList) and resources are listed, and not read.

Spec: tensorflow/core/util/tensor_bundle/tensor_bundle.h, tensor_bundle.proto;
tensorflow/core/lib/strings/ordered_code.h.
"""

from collections.abc import Mapping

import numpy as np

from kio import dtypes
from kio.errors import ChecksumError, CorruptError, LimitError, TruncatedError, UnsupportedError, shown
from kio.limits import DEFAULT

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kio.containers.proto cimport Field, field, number_of, only, span_of
from kio.containers.sstable cimport Table, unmasked
from kio.raw cimport kernels
from kio.raw.cursor cimport Cursor, enter, left, run, take, u32, varint
from kio.raw.source cimport Image, Source
from kio.raw.tensor cimport BOXES, PLAIN, TEXT, UNREADABLE, Extent, Index, Row, Sums

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"

cdef enum:
    RANK = 256               # TensorFlow has at most 254
    CONSUMER = 1             # version of readers
    STRING = 7
    RESOURCE = 20
    VARIANT = 21
    REFERENCE = 100          # added to the number of a type that is a reference to it

# Number of a type in TensorFlow -> name of it there, and of the row of kio.dtypes that has its bytes.
TYPES = {row.tensorflow: (row.name, row.name) for row in dtypes.TABLE if row.tensorflow is not None}
TYPES |= {11: ("qint8", "int8"), 12: ("quint8", "uint8"), 13: ("qint32", "int32"), 15: ("qint16", "int16"),
          16: ("quint16", "uint16"), STRING: ("string", None), RESOURCE: ("resource", None),
          VARIANT: ("variant", None)}
_PROBLEMS = {RESOURCE: "a TensorFlow resource",
             VARIANT: "a TensorFlow variant, as iterators and TensorLists have"}

# By TensorFlow's number: the row of kio.dtypes, -1 for what kio does not read.
cdef int[128] CODES
for _number in range(128):
    CODES[_number] = dtypes.CODES.get(TYPES.get(_number, (None, None))[1], -1)

cdef struct Entry:
    uint64_t dtype           # without REFERENCE
    uint64_t shard, offset, nbytes
    uint32_t crc             # not masked
    bint sliced
    unsigned rank
    uint64_t[RANK] dims


# ---------------------------------------------------------------------------------- keys

cdef bytes _num(number):
    digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([len(digits)]) + digits


cdef bytes _signed(number):
    """Bytes that sort as the numbers do: the more leading ones (zeros, of a negative one), the longer."""
    magnitude = ~number if number < 0 else number
    nbytes = magnitude.bit_length() // 7 + 1
    header = ((1 << nbytes) - 1) << (8 * nbytes - nbytes)
    return ((number & (1 << 8 * nbytes) - 1) ^ header).to_bytes(nbytes, "big")


def slice_key(bytes name, extents):
    """The key of a slice.

    Args:
        name: Of the tensor.
        extents: ``(start, length)`` for each axis, in elements; ``(0, -1)`` for a whole one.
    """
    # Both replacements at once: neither may see what the other made.
    stuffed = b"\xff\x00".join([part.replace(b"\x00", b"\x00\xff") for part in name.split(b"\xff")])
    key = _num(0) + stuffed + b"\x00\x01" + _num(len(extents))
    return key + b"".join([_signed(start) + _signed(length) for start, length in extents])


cdef tuple parse_slice(Cursor *c):
    """``(start, length)`` of each axis of a TensorSliceProto."""
    cdef Field f
    cdef Cursor span
    cdef uint64_t seen
    cdef object start, length    # -1 is one of the lengths
    found = []
    while field(c, &f):
        if f.number != 1:
            continue
        span, seen, start, length = span_of(&f), 0, 0, -1
        while field(&span, &f):
            if f.number == 1:
                only(&f, &seen)
                start = number_of(&f)
            elif f.number == 2:
                only(&f, &seen)
                length = number_of(&f)
        if start >> 63 or length >= 1 << 63:
            raise CorruptError(f"slice: expected no negative number, found {start} and {length}",
                               source=(<Image>span.image).source.name, offset=f.offset)
        found.append((start, length))
    return tuple(found)


# ---------------------------------------------------------------------------------- strings

cdef class Strings:
    """Makes an array of bytes of what is stored of a tensor of strings; see Index.texts.

    Attributes:
        run: Where it is stored: offset and bytes.
    """
    cdef readonly tuple run
    cdef readonly Source source          # None: that of the index
    cdef uint32_t crc
    cdef bint big

    def __call__(self, raw, tensor):
        """The strings, as objects of bytes.

        Args:
            raw: All that is stored, as bytes.
            tensor: Which it is.

        Raises:
            FormatError: if lengths or checksums do not fit.
        """
        cdef Cursor c, lengths
        cdef Image image
        cdef uint64_t nbytes, total = 0, i, n = tensor.nelems
        cdef uint32_t crc = 0, stored
        cdef uint8_t[8] number
        cdef unsigned width, k
        out = np.empty(n, object)
        if n == 0 and len(raw) == 0:
            return out.reshape(tensor.shape)
        where = {"source": tensor.source.name, "tensor": tensor.name, "offset": self.run[0]}
        image = Image(Source.of_bytes(raw, tensor.source.name))
        enter(&c, image, 0, image.nbytes)
        for i in range(n):
            nbytes = varint(&c)
            if nbytes > image.nbytes or total + nbytes > image.nbytes:
                raise CorruptError(f"length of string {i}: expected at most {image.nbytes - total} bytes, "
                                   f"found {nbytes}", **where)
            total += nbytes
            width = 4 if nbytes <= <uint64_t>0xffffffff else 8
            for k in range(width):
                number[k] = <uint8_t>(nbytes >> 8 * (width - 1 - k if self.big else k))
            crc = kernels.crc32c(crc, number, width)
        lengths = c
        stored = _u32(&c, self.big)
        if unmasked(stored) != crc:
            raise ChecksumError(f"CRC-32C of lengths: expected {unmasked(stored):#010x}, found {crc:#010x}", **where)
        if left(&c) != total:
            raise CorruptError(f"strings: expected {total} bytes, found {left(&c)}", **where)
        crc = kernels.crc32c(crc, run(&lengths, 4), 4)
        if total:
            lengths = c
            crc = kernels.crc32c(crc, run(&lengths, total), total)
        if crc != self.crc:
            raise ChecksumError(f"CRC-32C of stored data: expected {self.crc:#010x}, found {crc:#010x}", **where,
                                hint="the stored bytes were changed after writing; use another copy of the file")
        enter(&lengths, image, 0, image.nbytes)
        for i in range(n):
            out[i] = take(&c, varint(&lengths))
        return out.reshape(tensor.shape)


cdef uint32_t _u32(Cursor *c, bint big) except? 0xDEAD:
    cdef uint32_t v = u32(c)
    if big:
        v = v << 24 | (v & 0xff00) << 8 | v >> 8 & 0xff00 | v >> 24
    return v


# ---------------------------------------------------------------------------------- the bundle

cdef class Bundle:
    """Tensors of all shards by name, a ``Mapping[str, Tensor]`` in the order of the index.

    Attributes:
        source: The index.
        numbers: TensorFlow's number of each tensor's type, by name.
        shards: Sources of the shards in use, by number.
        big_endian: Byte order of all numbers.
        nshards: How many shards there are.
    """
    cdef readonly Source source
    cdef readonly object limits
    cdef readonly dict numbers, shards
    cdef readonly bint big_endian
    cdef readonly uint64_t nshards
    cdef object opener                   # (number, of how many) -> Source
    cdef dict owners                     # name -> Index, in order
    cdef dict indexes                    # shard -> Index; None: of tensors without elements
    cdef dict slices                     # slice key -> (dtype, shape, shard, offset, nbytes, crc)
    cdef dict boxes                      # name -> extents of a tensor in slices
    cdef Bundle full                     # where this is without one: with it

    def __cinit__(self, Source source, opener, limits=DEFAULT):
        self.source, self.opener, self.limits = source, opener, limits
        self.numbers, self.shards, self.owners, self.indexes, self.slices, self.boxes = {}, {}, {}, {}, {}, {}

    cdef object corrupt(self, str what, str name=None, offset=None):
        return CorruptError(what, source=self.source.name, tensor=name, offset=offset)

    cdef int load(self) except -1:
        cdef Table table = Table(self.source, self.limits)
        cdef Entry entry
        cdef list spans
        cdef bytes key
        if not table.next() or table.block.key_nbytes:
            raise self.corrupt("header: expected the key '' first, found " + ("another" if table.block else "none"))
        self.header(table.block.value)
        while table.next():
            key = table.key()
            spans = self.parse(table.block.value, &entry)
            if key[0] == 0:
                self.add_slice(key, &entry)
                continue
            try:
                name = key.decode()
            except UnicodeDecodeError:
                raise self.corrupt(f"name: expected UTF-8, found {key[:80]!r}") from None
            if len(self.owners) >= self.limits.tensors:
                raise LimitError(f"tensors: expected at most limits.tensors={self.limits.tensors}, found more",
                                 source=self.source.name, field="tensors")
            if spans and any([length != -1 for each in spans for _, length in each]):
                self.add_sliced(key, name, &entry, spans)
            else:
                self.add(name, &entry)
        if self.slices:
            raise self.corrupt(f"slice: expected each to belong to a tensor, found {min(self.slices)[:80]!r}")
        for index in self.indexes.values():
            (<Index>index).seal()
        # What boxes overlap or leave out is found before anything is read.
        for name in self.boxes:
            self[name]
        return 0

    cdef int header(self, Cursor c) except -1:
        cdef Field f
        cdef Cursor span
        cdef uint64_t seen = 0, again = 0
        while field(&c, &f):
            if 1 <= f.number <= 3:
                only(&f, &seen)
            if f.number == 1:
                self.nshards = number_of(&f)
            elif f.number == 2:
                if number_of(&f) > 1:
                    raise self.corrupt(f"byte order: expected 0 (little) or 1 (big), found {number_of(&f)}",
                                       None, f.offset)
                self.big_endian = number_of(&f) == 1
            elif f.number == 3:
                span = span_of(&f)
                while field(&span, &f):
                    if f.number == 2:
                        only(&f, &again)
                        if number_of(&f) > CONSUMER:
                            raise UnsupportedError(f"version of the checkpoint: expected one for readers of version "
                                                   f"{CONSUMER}, found one for {number_of(&f)}",
                                                   source=self.source.name, offset=f.offset)
        return 0

    cdef list parse(self, Cursor c, Entry *e):
        """The entry of a tensor or a slice; its slices as parsed, or None."""
        cdef Field f
        cdef Cursor span
        cdef uint64_t seen = 0
        cdef list spans = None
        e.dtype = e.shard = e.offset = e.nbytes = e.rank = e.crc = 0
        while field(&c, &f):
            if f.number == 7:
                spans = [] if spans is None else spans
                span = span_of(&f)
                spans.append(parse_slice(&span))
                if len(spans) > self.limits.chunks:
                    raise LimitError(f"slices: expected at most limits.chunks={self.limits.chunks}, found more",
                                     source=self.source.name, offset=f.offset, field="chunks")
                continue
            if f.number > 6:
                continue
            only(&f, &seen)
            if f.number == 2:
                span = span_of(&f)
                self.shape(&span, e)
            elif f.number == 1:
                e.dtype = number_of(&f)
                if e.dtype > REFERENCE:
                    e.dtype -= REFERENCE
            elif f.number == 3:
                e.shard = number_of(&f)
            elif f.number == 4:
                e.offset = number_of(&f)
            elif f.number == 5:
                e.nbytes = number_of(&f)
            else:
                e.crc = unmasked(<uint32_t>number_of(&f))
        if e.dtype == 0:
            raise self.corrupt("dtype: expected one, found none", None, c.origin)
        if e.shard >= self.nshards:
            raise self.corrupt(f"shard: expected a number below {self.nshards}, found {e.shard}", None, c.origin)
        return spans

    cdef int shape(self, Cursor *c, Entry *e) except -1:
        cdef Field f
        cdef Cursor span
        cdef uint64_t seen
        while field(c, &f):
            if f.number == 3 and number_of(&f):
                raise self.corrupt("shape: expected a known one, found none", None, f.offset)
            if f.number != 2:
                continue
            if e.rank >= <unsigned>min(self.limits.rank, RANK):
                raise LimitError(f"rank: expected at most limits.rank={self.limits.rank}, found more",
                                 source=self.source.name, offset=f.offset, field="rank")
            span, seen = span_of(&f), 0
            e.dims[e.rank] = 0
            while field(&span, &f):
                if f.number == 1:
                    only(&f, &seen)
                    e.dims[e.rank] = number_of(&f)
            if e.dims[e.rank] >> 63:
                raise self.corrupt("shape: expected no negative dimension, found one", None, f.offset)
            e.rank += 1
        return 0

    cdef Index index_of(self, uint64_t shard, bint used, str name):
        """The tensors of a shard; of one that holds no byte of theirs, a file need not exist."""
        cdef Index index
        number = shard if used else None
        found = self.indexes.get(number)
        if found is not None:
            return found
        source = self.source
        if used:
            if len(self.shards) >= self.limits.members:
                raise LimitError(f"shards: expected at most limits.members={self.limits.members}, found more",
                                 source=self.source.name, field="members")
            try:
                source = self.shards[number] = self.opener(number, self.nshards)
            except FileNotFoundError as error:
                raise CorruptError(f"shard {number} of {self.nshards}: expected {shown(str(error.filename))}, "
                                   "found none", source=self.source.name, tensor=name,
                                   hint="copy all files of the checkpoint into one folder") from error
        index = self.indexes[number] = Index(source, self.limits)
        index.sums, index.expand = Sums(0, True), self.expand
        return index

    def expand(self, str name, number):
        """The boxes of a tensor in slices."""
        return self.boxes[name]

    cdef Row *row(self, Index index, str name, const Entry *e) except NULL:
        cdef Row *row = index.append(name, e.rank)
        cdef unsigned d
        for d in range(e.rank):
            index.dims[row.dims + d] = e.dims[d]
        row.dtype = CODES[e.dtype] if e.dtype < 128 else -1
        row.big = self.big_endian
        self.owners[name], self.numbers[name] = index, e.dtype
        return row

    cdef int add(self, str name, const Entry *e) except -1:
        """A tensor that is one run."""
        cdef Index index = self.index_of(e.shard, e.nbytes != 0, name)
        cdef Row *row = self.row(index, name, e)
        cdef Strings strings
        if row.dtype >= 0:
            row.kind, row.offset, row.nbytes = PLAIN, e.offset, e.nbytes
            row.sums = index.sums.append(e.crc) + 1
            return 0
        self.add_run(index, name, e.offset, e.nbytes)
        row.offset = e.offset
        if e.dtype != STRING:
            row.kind = UNREADABLE
            index.problems[name] = _PROBLEMS.get(e.dtype) or f"element type {e.dtype} of TensorFlow"
            return 0
        row.kind = TEXT
        nelems = 1
        for d in range(e.rank):
            nelems *= e.dims[d]
        # A length has a byte at least, and a checksum is behind them; of none, nothing at all will do.
        if nelems + 4 > e.nbytes and (nelems or e.nbytes):
            raise CorruptError(f"strings: expected at least {nelems + 4} bytes for {nelems} of them, found {e.nbytes}",
                               source=index.source.name, tensor=name, offset=e.offset)
        strings = Strings.__new__(Strings)
        strings.run, strings.crc, strings.big = (e.offset, e.nbytes), e.crc, self.big_endian
        index.texts[name] = strings
        return 0

    cdef int add_run(self, Index index, str name, uint64_t offset, uint64_t nbytes) except -1:
        """Take note of a run that is not of a plain tensor."""
        if nbytes == 0:
            return 0
        if offset > index.source.nbytes or nbytes > index.source.nbytes - offset:
            raise TruncatedError(f"stored run: expected {nbytes} bytes, found "
                                 f"{index.source.nbytes - min(index.source.nbytes, offset)}", source=index.source.name,
                                 tensor=name, offset=offset)
        index.runs.append((offset, nbytes, name))
        return 0

    cdef int add_slice(self, bytes key, const Entry *e) except -1:
        if len(self.slices) >= self.limits.chunks:
            raise LimitError(f"slices: expected at most limits.chunks={self.limits.chunks}, found more",
                             source=self.source.name, field="chunks")
        self.slices[key] = (e.dtype, tuple([e.dims[d] for d in range(e.rank)]), e.shard, e.offset, e.nbytes, e.crc)
        return 0

    cdef int add_sliced(self, bytes key, str name, const Entry *e, list spans) except -1:
        """A tensor whose slices have entries of their own."""
        cdef Index index = None, other
        cdef Row *row
        cdef tuple shape = tuple([e.dims[d] for d in range(e.rank)])
        cdef list extents = []
        for each in spans:
            found = self.slices.pop(slice_key(key, each), None)
            if found is None:
                raise self.corrupt(f"slice {each}: expected an entry of its own, found none", name)
            dtype, shape_found, shard, offset, nbytes, crc = found
            if len(each) != e.rank:
                raise self.corrupt(f"slice {each}: expected {e.rank} axes, found {len(each)}", name)
            chunk = tuple([n if length == -1 else length for n, (_, length) in zip(shape, each)])
            if dtype != e.dtype or shape_found != chunk:
                raise self.corrupt(f"slice {each}: expected type {e.dtype} and shape {chunk}, found {dtype} and "
                                   f"{shape_found}", name)
            other = self.index_of(shard, nbytes != 0, name)
            self.add_run(other, name, offset, nbytes)
            index = other if index is None else index
            extents.append(Extent(other.source, offset, nbytes, (), tuple([start for start, _ in each]), chunk,
                                  ("crc32c", crc)))
        row = self.row(index, name, e)
        if row.dtype < 0:
            row.kind = UNREADABLE
            index.problems[name] = f"{TYPES.get(e.dtype, (e.dtype, None))[0]} in slices"
            return 0
        row.kind = BOXES
        self.boxes[name] = extents
        return 0

    # ------------------------------------------------------------------------------ a Mapping

    def without(self, str name):
        """The same tensors but one."""
        cdef Bundle other = Bundle.__new__(Bundle, self.source, self.opener, self.limits)
        other.numbers, other.shards, other.indexes, other.boxes = self.numbers, self.shards, self.indexes, self.boxes
        other.big_endian, other.nshards = self.big_endian, self.nshards
        other.owners, other.full = self.owners.copy(), self.whole
        other.owners.pop(name, None)
        return other

    @property
    def whole(self):
        """All tensors, where some were left out."""
        return self if self.full is None else self.full

    def shape_of(self, str name):
        """Shape of a tensor, without making its Tensor."""
        return (<Index>self.owners[name]).shape_of(name)

    def close(self):
        """Give the shards back."""
        for source in self.shards.values():
            source.close()

    def __getitem__(self, name):
        return (<Index>self.owners[name])[name]

    def __iter__(self):
        return iter(self.owners)

    def __len__(self):
        return len(self.owners)

    def __contains__(self, name):
        return name in self.owners

    def keys(self):
        return self.owners.keys()

    def values(self):
        return [index[name] for name, index in self.owners.items()]

    def items(self):
        return [(name, index[name]) for name, index in self.owners.items()]

    def get(self, name, default=None):
        return self[name] if name in self.owners else default

    def __reduce_ex__(self, protocol):
        raise TypeError("cannot pickle or copy a Bundle: pickle the Checkpoint that kio.open gave, or single tensors")


Mapping.register(Bundle)


def open(Source source, opener, limits=DEFAULT):
    """The tensors of a checkpoint.

    Args:
        source: The index.
        opener: ``(number, of how many) -> Source`` of a shard.  It is asked for those alone that
            hold something.
        limits: Caps.

    Returns:
        The Bundle.  Where opening fails, shards are closed.

    Raises:
        FormatError: for damage, and for more than ``limits`` allow.
        OSError: as opening a shard raises it.

    Reads: the index.  Cost: about 2 us and 400 bytes a tensor.
    """
    cdef Bundle bundle = Bundle(source, opener, limits)
    try:
        bundle.load()
    except BaseException:
        bundle.close()
        raise
    return bundle
