"""Saved slices: a TensorFlow checkpoint of version 1, a table of serialised tensors.

    MODEL.ckpt, or MODEL.ckpt-00000-of-00002 …     each an SSTable:
        ""               1 meta {1 tensor {1 name, 2 shape, 3 dtype, 4 slice *} *, 2 versions}
        any slice key    2 data {1 name, 2 slice, 3 TensorProto}

Slice keys, shapes and slices are those of tensor bundles; see ``bundle``.  A TensorProto has
the elements of the slice in the field of its type, the last of them as often as the shape
asks for, or as bytes in field 4.

Floats that are stored whole are read where they lie, whatever else is decoded when it is
asked for, and kept.

Spec: tensorflow/core/util/saved_tensor_slice.proto, tensorflow/core/framework/tensor.proto.
"""

from collections.abc import Mapping

import numpy as np

from kio import dtypes
from kio.errors import CorruptError, LimitError
from kio.limits import DEFAULT

from libc.stdint cimport uint32_t, uint64_t

from kio.containers.bundle cimport parse_slice
from kio.containers.proto cimport BYTES, FIXED32, FIXED64, Field, field, number_of, only, span_of
from kio.containers.sstable cimport Table
from kio.raw.cursor cimport Cursor, enter, left, take, tell, text, varint
from kio.raw.source cimport Image, Source
from kio.raw.tensor cimport BOXES, EXPAND, TEXT, UNREADABLE, Extent, Index, Row

from kio.containers.bundle import TYPES, slice_key

cdef enum:
    RANK = 256
    CONTENT = 4
    STRING = 7
    STRINGS = 8
    REFERENCE = 100

# Field of a TensorProto -> width of an element that has a fixed one; 0 for varints.
cdef dict WIDTHS = {5: 4, 6: 8, 7: 0, 9: 4, 10: 0, 11: 0, 12: 8, 13: 0, 16: 0, 17: 0, 18: 1}
# TensorFlow's number of a type -> that field.
cdef dict FIELDS = {1: 5, 2: 6, 3: 7, 4: 7, 5: 7, 6: 7, 8: 9, 9: 10, 10: 11, 11: 7, 12: 7, 13: 7, 14: 13, 15: 7,
                    16: 7, 17: 7, 18: 12, 19: 13, 22: 16, 23: 17, 24: 18, 25: 18}


cdef class Strings:
    """Makes an array of bytes of a TensorProto; see Index.texts.

    Attributes:
        run: Where the value of the slice is stored: offset and bytes in ``source``.
    """
    cdef readonly tuple run
    cdef readonly Source source

    def __call__(self, raw, tensor):
        """The strings, as objects of bytes."""
        cdef Cursor c, span
        cdef Field f
        cdef Image image = Image(Source.of_bytes(raw, self.source.name))
        cdef uint64_t n = tensor.nelems
        found = []
        enter(&c, image, 0, image.nbytes)
        span = _proto(c)
        while field(&span, &f):
            if f.number == STRINGS:
                c = span_of(&f)
                found.append(take(&c, left(&c)))
        if <uint64_t>len(found) > n:
            raise CorruptError(f"strings: expected at most {n}, found {len(found)}", source=self.source.name,
                               tensor=tensor.name, offset=self.run[0])
        out = np.empty(n, object)
        out[:len(found)] = found
        # The last one stands for all that are missing.
        out[len(found):] = [found[len(found) - 1] if found else b""] * (n - len(found))
        return out.reshape(tensor.shape)


cdef Cursor _proto(Cursor c) except *:
    """The TensorProto in the value of a slice."""
    cdef Field f
    cdef Cursor data
    cdef uint64_t seen = 0
    cdef bint found = False
    for number in (2, 3):
        found, seen = False, 0
        while field(&c, &f):
            if f.number == <uint32_t>number:
                only(&f, &seen)
                data, found = span_of(&f), True
        if not found:
            raise CorruptError(f"slice: expected field {number}, found none",
                               source=(<Image>c.image).source.name, offset=c.origin)
        c = data
    return c


cdef class SavedSlices:
    """Tensors of all files by name, a ``Mapping[str, Tensor]``, sorted.

    Attributes:
        numbers: TensorFlow's number of each tensor's type, by name.
    """
    cdef readonly Index index
    cdef readonly dict numbers
    cdef readonly object limits
    cdef dict stored                     # slice key -> (source, offset, nbytes)
    cdef dict metas                      # name -> (dtype, shape, slices)
    cdef uint64_t held                   # bytes of values in memory

    def __cinit__(self, sources, limits=DEFAULT):
        self.limits, self.numbers, self.stored, self.metas = limits, {}, {}, {}
        for source in sources:
            self.load(source)
        self.index = Index(sources[0], limits)
        self.index.expand = self.expand
        for name in sorted(self.metas, key=str.encode):
            self.add(name)
        self.index.seal()
        for name in self.index.names:
            if self.index.rows[<size_t>self.index.rows_of[name]].kind == BOXES:
                self.check_boxes(name)

    cdef int load(self, Source source) except -1:
        cdef Table table = Table(source, self.limits)
        cdef Cursor value
        cdef Field f
        cdef Cursor span
        cdef uint64_t seen = 0
        if not table.next() or table.block.key_nbytes:
            raise CorruptError("header: expected the key '' first, found another", source=source.name)
        value = table.block.value
        while field(&value, &f):
            if f.number == 1:
                only(&f, &seen)
                span = span_of(&f)
                self.meta(span, source)
        if not seen:
            raise CorruptError("header: expected what tensors there are, found nothing", source=source.name)
        while table.next():
            value = table.block.value
            if (<Image>value.image).source is not source:
                # Of a compressed block, which is in memory as long as anything of it is.
                self.held += left(&value)
                if self.held > <uint64_t>self.limits.spool_bytes:
                    raise LimitError(f"decoded values: expected at most limits.spool_bytes={self.limits.spool_bytes}, "
                                     "found more", source=source.name, field="spool_bytes")
            self.stored[table.key()] = ((<Image>value.image).source, tell(&value), left(&value))
        return 0

    cdef int meta(self, Cursor c, Source source) except -1:
        cdef Field f
        cdef Cursor span, part
        cdef uint64_t seen
        while field(&c, &f):
            if f.number != 1:
                continue
            span, seen, at = span_of(&f), 0, f.offset
            name, number, shape, slices = "", 0, (), []
            while field(&span, &f):
                if f.number <= 3:
                    only(&f, &seen)
                if f.number == 1:
                    part = span_of(&f)
                    if left(&part) > <uint64_t>self.limits.name_bytes:
                        raise LimitError(f"name: expected at most limits.name_bytes={self.limits.name_bytes}, found "
                                         f"{left(&part)} bytes", source=source.name, offset=f.offset,
                                         field="name_bytes")
                    try:
                        name = text(&part, left(&part), "strict")
                    except UnicodeDecodeError:
                        raise CorruptError("name: expected UTF-8, found other bytes", source=source.name,
                                           offset=f.offset) from None
                elif f.number == 2:
                    part = span_of(&f)
                    shape = self.shape(part, source)
                elif f.number == 3:
                    number = number_of(&f) % REFERENCE
                elif f.number == 4:
                    part = span_of(&f)
                    slices.append(parse_slice(&part))
            known = self.metas.setdefault(name, (number, shape, []))
            if known[:2] != (number, shape):
                raise CorruptError(f"tensor: expected type and shape of another file, {known[0]} and {known[1]}, found "
                                   f"{number} and {shape}", source=source.name, tensor=name, offset=at)
            known[2].extend(slices)
            if len(known[2]) > self.limits.chunks:
                raise LimitError(f"slices: expected at most limits.chunks={self.limits.chunks}, found more",
                                 source=source.name, tensor=name, field="chunks")
        return 0

    cdef tuple shape(self, Cursor c, Source source):
        cdef Field f
        cdef Cursor span
        cdef uint64_t seen
        found = []
        while field(&c, &f):
            if f.number == 3 and number_of(&f):
                raise CorruptError("shape: expected a known one, found none", source=source.name, offset=f.offset)
            if f.number != 2:
                continue
            span, seen, n = span_of(&f), 0, 0
            while field(&span, &f):
                if f.number == 1:
                    only(&f, &seen)
                    n = number_of(&f)
            if n >> 63:
                raise CorruptError("shape: expected no negative dimension, found one", source=source.name,
                                   offset=f.offset)
            if len(found) >= min(self.limits.rank, RANK):
                raise LimitError(f"rank: expected at most limits.rank={self.limits.rank}, found more",
                                 source=source.name, offset=f.offset, field="rank")
            found.append(n)
        return tuple(found)

    cdef int add(self, str name) except -1:
        cdef Row *row
        cdef unsigned d
        cdef Strings strings
        number, shape, slices = self.metas[name]
        row = self.index.append(name, len(shape))
        for d in range(len(shape)):
            self.index.dims[row.dims + d] = shape[d]
        self.numbers[name] = number
        row.dtype = dtypes.CODES.get(TYPES.get(number, ("", None))[1], -1)
        for each in slices:
            if len(each) != len(shape):
                raise CorruptError(f"slice {each}: expected {len(shape)} axes, found {len(each)}",
                                   source=self.index.source.name, tensor=name)
            self.value(name, each)
        whole = len(slices) == 1 and all([start == 0 and length in (-1, n) for (start, length), n in
                                          zip(slices[0], shape)])
        if number == STRING and whole:
            row.kind = TEXT
            strings = Strings.__new__(Strings)
            strings.source, offset, nbytes = self.value(name, slices[0])
            strings.run = (offset, nbytes)
            self.bound(name, shape, 1, nbytes)
            self.index.texts[name] = strings
        elif number not in FIELDS or row.dtype < 0:
            row.kind = UNREADABLE
            kind = TYPES.get(number, (number, None))[0]
            self.index.problems[name] = f"{kind} in slices" if number == STRING else f"element type {kind}"
        else:
            row.kind = EXPAND if whole else BOXES
        return 0

    cdef tuple value(self, str name, each):
        found = self.stored.get(slice_key(name.encode(), each))
        if found is None:
            raise CorruptError(f"slice {each}: expected an entry of its own, found none",
                               source=self.index.source.name, tensor=name)
        return found

    cdef int bound(self, str name, shape, itemsize, stored) except -1:
        """Refuse what little data would be repeated into too much."""
        decoded = itemsize
        for n in shape:
            decoded *= n
        if decoded > self.limits.unbacked_bytes and decoded > stored * self.limits.expansion:
            raise LimitError(f"expansion: expected at most limits.expansion={self.limits.expansion} times the {stored} "
                             f"bytes stored beyond limits.unbacked_bytes={self.limits.unbacked_bytes}, found {decoded}",
                             source=self.index.source.name, tensor=name, field="expansion")
        return 0

    cdef int check_boxes(self, str name) except -1:
        """That slices cover the tensor; nothing is decoded for it."""
        _, shape, slices = self.metas[name]
        source = self.index.source
        total, volume = 1, 0
        for n in shape:
            total *= n
        for each in slices:
            part = 1
            for (start, length), n in zip(each, shape):
                length = n if length == -1 else length
                if start + length > n:
                    raise CorruptError(f"slice {each}: expected it inside {shape}, found it beyond",
                                       source=source.name, tensor=name)
                part *= length
            volume += part
        if volume != total:
            raise CorruptError(f"slices: expected {total} elements, found {volume}", source=source.name, tensor=name)
        return 0

    def expand(self, str name, number):
        """Where the elements of the slices are."""
        number, shape, slices = self.metas[name]
        whole = self.index.rows[<size_t>self.index.rows_of[name]].kind == EXPAND
        extents = []
        for each in slices:
            chunk = tuple([n if length == -1 else length for (_, length), n in zip(each, shape)])
            source, offset, nbytes = self.elements(name, number, chunk, self.value(name, each))
            if whole:
                return [Extent(source, offset, nbytes)]
            extents.append(Extent(source, offset, nbytes, (), tuple([start for start, _ in each]), chunk))
        return extents

    cdef tuple elements(self, str name, number, chunk, value):
        """``(source, offset, nbytes)`` of the elements of one slice."""
        cdef Image image
        cdef Cursor c, span
        cdef Field f
        cdef uint64_t n, i = 0, itemsize
        cdef uint64_t[::1] numbers
        cdef bytearray raw = bytearray()
        cdef size_t width
        source, offset, nbytes = value
        dtype = dtypes.numpy_dtype(TYPES[number][1])
        itemsize = dtype.itemsize
        self.bound(name, chunk, itemsize, nbytes)
        total = 1
        for each in chunk:
            total *= each
        n, width = total, WIDTHS[FIELDS[number]]
        if n == 0:
            return source, 0, 0
        image = Image(source)
        enter(&c, image, offset, nbytes)
        c = _proto(c)
        values = np.empty(0 if width else n, np.uint64)
        numbers = values
        while field(&c, &f):
            if f.number == CONTENT:
                span = span_of(&f)
                if left(&span) == n * itemsize:
                    return source, tell(&span), n * itemsize
                if left(&span):
                    raise self.wrong(name, n * itemsize, left(&span), source, offset)
            if f.number != <uint32_t>FIELDS[number]:
                continue
            if f.wire == BYTES:
                span = f.span
                if width:
                    if not raw and left(&span) == n * itemsize:
                        return source, tell(&span), n * itemsize
                    raw += take(&span, left(&span))
                while not width and left(&span):
                    if i == n:
                        raise self.wrong(name, n, "more", source, offset)
                    numbers[i] = varint(&span)
                    i += 1
            elif width:
                if f.wire != (FIXED32 if width == 4 else FIXED64):
                    raise self.wrong(name, f"numbers of {width} bytes", "others", source, offset)
                raw += int(f.value).to_bytes(width, "little")
            else:
                if i == n:
                    raise self.wrong(name, n, "more", source, offset)
                numbers[i] = f.value
                i += 1
            if <size_t>len(raw) > n * itemsize:
                raise self.wrong(name, n * itemsize, len(raw), source, offset)
        if width:
            if len(raw) % itemsize:
                raise self.wrong(name, f"a multiple of {itemsize}", len(raw), source, offset)
            i = len(raw) // itemsize
            raw += (bytes(raw[len(raw) - itemsize:]) if i else bytes(itemsize)) * (n - i)
        else:
            values[i:] = values[i - 1] if i else 0
            raw = bytearray(values.astype(f"<u{itemsize}").tobytes())
        self.held += n * itemsize
        if self.held > <uint64_t>self.limits.spool_bytes:
            raise LimitError(f"decoded values: expected at most limits.spool_bytes={self.limits.spool_bytes}, "
                             "found more", source=source.name, tensor=name, field="spool_bytes")
        return Source.of_bytes(raw, f"{source.name}, decoded"), 0, n * itemsize

    cdef object wrong(self, str name, expected, found, source, offset):
        return CorruptError(f"elements: expected {expected}, found {found}", source=source.name, tensor=name,
                            offset=offset)

    # ------------------------------------------------------------------------------ a Mapping

    @property
    def whole(self):
        """All tensors."""
        return self

    def __getitem__(self, name):
        return self.index[name]

    def __iter__(self):
        return iter(self.index)

    def __len__(self):
        return len(self.index)

    def __contains__(self, name):
        return name in self.index

    def keys(self):
        return self.index.keys()

    def values(self):
        return self.index.values()

    def items(self):
        return self.index.items()

    def get(self, name, default=None):
        return self.index.get(name, default)

    def __reduce_ex__(self, protocol):
        raise TypeError("cannot pickle or copy saved slices: pickle the Checkpoint that kio.open gave, "
                        "or single tensors")


def claims(Source source, limits=DEFAULT):
    """Whether a table is of version 1: its header is a message, that of a bundle begins with a number."""
    cdef Table table = Table(source, limits)
    cdef Field f
    cdef Cursor value
    if not table.next() or table.block.key_nbytes:
        return False
    value = table.block.value
    return field(&value, &f) and f.number == 1 and f.wire == BYTES


def open(sources, limits=DEFAULT):
    """The tensors of a checkpoint of version 1.

    Args:
        sources: Its files, one at least.
        limits: Caps.

    Raises:
        FormatError: for damage, and for more than ``limits`` allow.

    Reads: all of it, as the checksums of its blocks are compared.
    """
    return SavedSlices(sources, limits)


Mapping.register(SavedSlices)
