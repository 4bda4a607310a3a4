"""Attributes: small named values on groups and datasets, decoded to Python.

Spec: HDF5 File Format Specification 3.0, IV.A.2.m (attribute), IV.A.2.v (attribute info).

Attribute message                               Attribute info
  0  version 1, 2 or 3                            0  version 0
  1  flags: 1 datatype, 2 dataspace is shared     1  flags: 1 index tracked, 2 index kept
  2  name, datatype, dataspace size, u16 each     2  [maximum creation index u16]
  8  [character set u8, version 3]                   fractal heap address, O
     name, datatype, dataspace                       name B-tree address, O
     (padded to 8 in version 1)                      [creation order B-tree address, O]
     data
"""

import numpy as np

from kio import dtypes
from kio.errors import LimitError

from cython cimport final
from libc.stdint cimport UINT64_MAX, uint32_t

from kio.containers.hdf5.btree2 cimport Records, records_of
from kio.containers.hdf5.header cimport (
    ATTRIBUTE,
    ATTRIBUTE_INFO,
    SHARED,
    Header,
    Message,
    next_message,
    open_header,
)
from kio.containers.hdf5.heap cimport (
    FractalHeap,
    heap_object,
    heap_text,
    open_fractal_heap,
)
from kio.containers.hdf5.structure cimport address, times
from kio.containers.hdf5.types cimport (
    FIXED_TEXT,
    NUL_TERMINATED,
    SPACE_PADDED,
    Space,
    Type,
    parse_space,
    parse_type,
)
from kio.raw.cursor cimport Cursor, skip, take, tell, u8, u16

cdef tuple TABLE = dtypes.TABLE


@final
cdef class Unreadable:
    """Stands for an attribute of a kind that kio does not decode.

    Attributes:
        reason: What kind that is.
    """

    cdef readonly str reason

    def __init__(self, str reason):
        self.reason = reason

    def __repr__(self):
        return f"Unreadable({self.reason!r})"

    def __eq__(self, other):
        return isinstance(other, Unreadable) and (<Unreadable>other).reason == self.reason

    def __hash__(self):
        return hash(self.reason)


# Where the parts of one attribute message lie.
cdef struct Parts:
    uint64_t name
    uint64_t type
    uint64_t space
    uint64_t value
    uint64_t end
    uint32_t name_nbytes     # as stored; a NUL ends the name
    uint32_t type_nbytes
    uint32_t space_nbytes
    bint shared


cdef int _split(Structure s, uint64_t offset, uint64_t nbytes, Parts *parts) except -1:
    cdef Cursor c
    cdef unsigned version, flags, pad
    s.view(&c, offset, nbytes)
    version = u8(&c)
    flags = u8(&c)
    if not 1 <= version <= 3:
        s.unsupported(f"attribute version: expected 1 to 3, found {version}", offset, "version")
    parts.shared = version > 1 and flags & 3
    parts.name_nbytes = u16(&c)
    parts.type_nbytes = u16(&c)
    parts.space_nbytes = u16(&c)
    if version == 3:
        skip(&c, 1)
    pad = 7 if version == 1 else 0
    parts.name = tell(&c)
    skip(&c, (parts.name_nbytes + pad) & ~pad)
    parts.type = tell(&c)
    skip(&c, (parts.type_nbytes + pad) & ~pad)
    parts.space = tell(&c)
    skip(&c, (parts.space_nbytes + pad) & ~pad)
    parts.value = tell(&c)
    parts.end = offset + nbytes
    return 0


cdef bytes _name(Structure s, const Parts *parts):
    cdef Cursor c
    s.view(&c, parts.name, parts.name_nbytes)
    return take(&c, parts.name_nbytes).split(b"\0", 1)[0]


cdef int _locate(Structure s, uint64_t header, Records out) except -1:
    """Append offset and end of every attribute message of an object, dense ones included."""
    cdef Header h
    cdef Message m
    open_header(s, &h, header)
    while next_message(s, &h, &m):
        if m.type == ATTRIBUTE:
            if m.flags & SHARED:
                s.unsupported("attribute: expected it in its object header, found it shared", m.offset)
            out.append(m.offset)
            out.append(m.offset + m.nbytes)
        elif m.type == ATTRIBUTE_INFO:
            _locate_dense(s, &m, out)
    return 0


cdef int _locate_dense(Structure s, const Message *m, Records out) except -1:
    cdef Cursor c
    cdef Records found
    cdef FractalHeap h
    cdef unsigned version, flags
    cdef uint64_t heap, btree, offset = 0, nbytes = 0
    cdef size_t i
    s.view(&c, m.offset, m.nbytes)
    version = u8(&c)
    flags = u8(&c)
    if version:
        s.unsupported(f"attribute info version: expected 0, found {version}", m.offset, "version")
    skip(&c, 2 if flags & 1 else 0)
    heap = address(s, &c)
    btree = address(s, &c)
    if heap == UINT64_MAX:
        return 0
    open_fractal_heap(s, heap, &h)
    found = Records()
    # Type 8: heap ID, message flags u8, creation order u32, hash of the name u32.
    records_of(s, btree, 8, h.id_nbytes + 9, found)
    for i in range(found.count):
        s.view(&c, found.items[i], h.id_nbytes + 9)
        heap_object(s, &h, &c, &offset, &nbytes)
        if u8(&c) & SHARED:
            s.unsupported("attribute: expected it in its object's heap, found it shared", found.items[i])
        out.append(offset)
        out.append(offset + nbytes)
    return 0


cdef dict attributes_of(Structure s, uint64_t header):
    cdef Records places = Records()
    cdef Parts parts
    cdef size_t i
    cdef uint64_t room = s.limits.attribute_bytes
    cdef dict out = {}
    _locate(s, header, places)
    for i in range(0, places.count, 2):
        _split(s, places.items[i], places.items[i + 1] - places.items[i], &parts)
        name = _name(s, &parts).decode("utf-8", "surrogateescape")
        if name in out:
            s.corrupt("attribute name: expected it once, found it twice", parts.name, "name")
        out[name] = _value(s, &parts, &room)
    return out


cdef object attribute_of(Structure s, uint64_t header, bytes name, object default):
    cdef Records places = Records()
    cdef Parts parts
    cdef size_t i
    cdef uint64_t room = s.limits.attribute_bytes
    _locate(s, header, places)
    for i in range(0, places.count, 2):
        _split(s, places.items[i], places.items[i + 1] - places.items[i], &parts)
        if _name(s, &parts) == name:
            return _value(s, &parts, &room)
    return default


cdef object _value(Structure s, const Parts *parts, uint64_t *room):
    cdef Cursor c
    cdef Space space
    cdef Type t
    cdef uint64_t nbytes
    cdef list texts
    if parts.shared:
        return Unreadable("committed (shared) datatype")
    parse_type(s, parts.type, parts.type_nbytes, &t)
    parse_space(s, parts.space, parts.space_nbytes, &space)
    nbytes = times(space.nelems, t.itemsize)
    if nbytes > parts.end - parts.value:
        s.corrupt(f"attribute data: expected {nbytes} bytes, found {parts.end - parts.value}",
                  parts.value, "data")
    if space.null:
        return Unreadable("null dataspace")
    if t.problem != NULL and not t.text:
        return Unreadable(t.problem.decode())
    if nbytes > room[0]:
        _too_large(s, parts)
    room[0] -= nbytes
    s.charge(nbytes)
    s.view(&c, parts.value, nbytes)
    if not t.text:
        return _numbers(&c, &t, &space, nbytes)
    texts = []
    for _ in range(space.nelems):
        texts.append(_fixed_text(&c, &t) if t.text == FIXED_TEXT else _heap_text(s, &c, parts, room))
    if space.rank == 0:
        return texts[0]
    return texts


cdef object _numbers(Cursor *c, const Type *t, const Space *space, uint64_t nbytes):
    row = TABLE[t.dtype]
    stored = dtypes.numpy_dtype(row.name, bool(t.big and row.itemsize > 1))
    if row.name == "bool":
        # Bytes other than 0 and 1 are true, and must not be taken as booleans unseen.
        array = np.frombuffer(take(c, nbytes), np.uint8) != 0
    else:
        array = np.frombuffer(take(c, nbytes), stored).astype(stored.newbyteorder("="))
    if space.rank == 0:
        return array[0]
    return array.reshape([space.dims[d] for d in range(space.rank)])


cdef int _too_large(Structure s, const Parts *parts) except -1:
    raise LimitError(
        f"attributes of one object: expected at most limits.attribute_bytes="
        f"{s.limits.attribute_bytes} bytes, found more", source=s.name, offset=parts.value,
        field="attribute_bytes")


cdef object _text(bytes raw):
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


cdef object _fixed_text(Cursor *c, const Type *t):
    cdef bytes raw = take(c, t.itemsize)
    if t.padding == NUL_TERMINATED:
        raw = raw.split(b"\0", 1)[0]
    else:
        raw = raw.rstrip(b" " if t.padding == SPACE_PADDED else b"\0")
    return _text(raw)


cdef object _heap_text(Structure s, Cursor *c, const Parts *parts, uint64_t *room):
    """The string that a length, the address of a collection and an index refer to."""
    cdef Cursor text
    cdef uint64_t offset, nbytes
    heap_text(s, c, &offset, &nbytes)
    if nbytes == 0:
        return ""
    if nbytes > room[0]:
        _too_large(s, parts)
    room[0] -= nbytes
    s.charge(nbytes)
    s.view(&text, offset, nbytes)
    return _text(take(&text, nbytes).split(b"\0", 1)[0])
