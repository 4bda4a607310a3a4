"""Datatype and dataspace messages.

Spec: HDF5 File Format Specification 3.0, IV.A.2.b (dataspace), IV.A.2.d (datatype).

Dataspace                                       Datatype
  0  version 1                 version 2          0  class (low 4 bits), version (high 4)
  1  dimensionality            same               1  class bit field, 3 bytes
  2  flags (1: maxima follow)  same               4  size of an element
  3  reserved                  type 0|1|2         8  properties:
  4  reserved, 4 bytes         dimensions           fixed   bit offset u16, precision u16
  8  dimensions, L bytes each                       float   as fixed, then exponent location and
     maximum dimensions                                     size, mantissa location and size, bias u32
                                                    opaque  tag
                                                    enum    base type, names, values
                                                    compound  name, byte offset, [28 bytes, version 1]
                                                              and type of each member
                                                    vlen, array, complex  base type

Names of enums and compounds are padded to 8 bytes before version 3.
"""

from kio import dtypes

from libc.stdint cimport UINT64_MAX

from kio.containers.hdf5.structure cimport length, times
from kio.raw.cursor cimport Cursor, skip, starts, u8, u16, u32, uint

cdef int8_t BOOL = dtypes.CODES["bool"]
# By log2 of the size.
cdef int8_t[4] SIGNED = [-1, -1, -1, -1]
cdef int8_t[4] UNSIGNED = [-1, -1, -1, -1]
cdef int8_t[3] OPAQUES = [-1, dtypes.CODES["opaque1"], dtypes.CODES["opaque2"]]

# The floats: the bits of their parts, and the row of a complex number of two.
cdef struct Float:
    uint32_t itemsize, exponent, bias
    int8_t dtype, pair

cdef enum:
    FLOATS_MAX = 32

cdef Float[FLOATS_MAX] FLOATS
cdef unsigned NFLOATS = 0

for _code, _row in enumerate(dtypes.TABLE):
    if _row.kind in "iu" and _row.raw is not None:
        continue                 # of fewer bits than a byte
    if _row.kind == "i":
        SIGNED[_row.itemsize.bit_length() - 1] = _code
    elif _row.kind == "u":
        UNSIGNED[_row.itemsize.bit_length() - 1] = _code
    elif _row.layout is not None:
        # Its mantissa is what is left; see _float.
        FLOATS[NFLOATS].itemsize, FLOATS[NFLOATS].dtype = _row.itemsize, _code
        FLOATS[NFLOATS].exponent, _, FLOATS[NFLOATS].bias = _row.layout
        FLOATS[NFLOATS].pair = dtypes.CODES.get(dtypes.COMPLEX_OF.get(_row.name), -1)
        NFLOATS += 1

cdef enum Class:
    FIXED = 0
    FLOAT = 1
    TIME = 2
    STRING = 3
    BITFIELD = 4
    OPAQUE = 5
    COMPOUND = 6
    REFERENCE = 7
    ENUM = 8
    VLEN = 9
    ARRAY = 10
    COMPLEX = 11


cdef struct Head:
    uint32_t version
    uint32_t cls
    uint32_t bits            # class bit field
    uint32_t itemsize


cdef int parse_space(Structure s, uint64_t offset, uint64_t nbytes, Space *space) except -1:
    cdef Cursor c
    cdef unsigned version, rank, flags, kind, i
    s.view(&c, offset, nbytes)
    version = u8(&c)
    rank = u8(&c)
    flags = u8(&c)
    kind = u8(&c)
    if version == 1:
        skip(&c, 4)
        kind = 1 if rank else 0
    elif version != 2:
        s.unsupported(f"dataspace version: expected 1 or 2, found {version}", offset, "version")
    if kind > 2:
        s.corrupt(f"dataspace type: expected 0, 1 or 2, found {kind}", offset + 3, "type")
    if rank > RANK_MAX or (kind != 1 and rank):
        s.corrupt(f"dimensionality: expected at most {RANK_MAX if kind == 1 else 0}, found {rank}",
                  offset + 1, "dimensionality")
    space.rank = rank
    space.null = kind == 2
    space.nelems = 0 if kind == 2 else 1
    for i in range(rank):
        space.dims[i] = space.dims_max[i] = length(s, &c)
        space.nelems = times(space.nelems, space.dims[i])
    for i in range(rank):
        # A zero anywhere makes the whole zero, also after an overflow.
        if space.dims[i] == 0:
            space.nelems = 0
    if flags & 1:
        for i in range(rank):
            space.dims_max[i] = length(s, &c)
            if s.length_nbytes == 4 and space.dims_max[i] == 0xFFFFFFFF:
                space.dims_max[i] = UINT64_MAX
            if space.dims_max[i] < space.dims[i]:
                s.corrupt(f"maximum dimension {i}: expected at least {space.dims[i]}, "
                          f"found {space.dims_max[i]}", offset, "dimension maximum size")
    return 0


cdef int _head(Structure s, Cursor *c, Head *head) except -1:
    cdef uint32_t first = u8(c)
    head.version = first >> 4
    head.cls = first & 15
    head.bits = <uint32_t>uint(c, 3)
    head.itemsize = u32(c)
    if not 1 <= head.version <= 5:
        s.unsupported(f"datatype version: expected 1 to 5, found {head.version}",
                      c.origin, "class and version")
    if head.itemsize == 0:
        s.corrupt("datatype size: expected at least 1, found 0", c.origin, "size")
    return 0


cdef int _fixed(Cursor *c, const Head *head, Type *t) except -1:
    cdef unsigned low = u16(c), precision = u16(c)
    t.big = head.bits & 1
    if head.itemsize > 8 or head.itemsize & (head.itemsize - 1):
        t.problem = b"integer of unusual size"
    elif low or precision != 8 * head.itemsize:
        t.problem = b"integer with padding bits"
    else:
        low = 0 if head.itemsize == 1 else 1 if head.itemsize == 2 else 2 if head.itemsize == 4 else 3
        t.dtype = SIGNED[low] if head.bits & 8 else UNSIGNED[low]
    return 0


cdef int _float(Cursor *c, const Head *head, Type *t) except -1:
    cdef unsigned low = u16(c), precision = u16(c)
    cdef unsigned i, exponent_at = u8(c), exponent = u8(c), mantissa_at = u8(c), mantissa = u8(c)
    cdef uint32_t bias = u32(c)
    cdef unsigned sign = head.bits >> 8 & 0xFF, implied = (head.bits >> 4 & 3) == 2
    t.big = head.bits & 1
    t.problem = b"floating-point format that is not IEEE"
    if (low or precision != 8 * head.itemsize or head.bits & 0x40 or not implied or mantissa_at
            or sign != precision - 1 or exponent_at != mantissa or exponent + mantissa != sign):
        return 0
    for i in range(NFLOATS):
        if FLOATS[i].itemsize == head.itemsize and FLOATS[i].exponent == exponent and FLOATS[i].bias == bias:
            t.dtype = FLOATS[i].dtype
            t.problem = NULL
    return 0


cdef int _bool(Structure s, Cursor *c, const Head *head, Type *t) except -1:
    """Bool is h5py's enum {FALSE = 0, TRUE = 1} over one byte; any other enum stays unread."""
    cdef Head base
    cdef unsigned pad = 1 if head.version < 3 else 0
    t.problem = b"enumeration"
    _head(s, c, &base)
    if base.cls != FIXED or base.itemsize != 1 or head.itemsize != 1 or head.bits & 0xFFFF != 2:
        return 0
    skip(c, 4)
    if not starts(c, b"FALSE\0", 6):
        return 0
    skip(c, 8 if pad else 6)
    if not starts(c, b"TRUE\0", 5):
        return 0
    skip(c, 8 if pad else 5)
    if u16(c) == 0x0100:
        t.dtype = BOOL
        t.problem = NULL
    return 0


cdef int _complex(Structure s, Cursor *c, const Head *head, Type *t) except -1:
    """Complex is h5py's compound {r, i} of two equal IEEE floats, or class 11 over one."""
    cdef Head base
    cdef Type part[2]
    cdef unsigned i, members = 2 if head.cls == COMPOUND else 1
    cdef uint64_t place
    t.problem = b"compound type" if head.cls == COMPOUND else b"complex type"
    if head.cls == COMPOUND and head.bits & 0xFFFF != 2:
        return 0
    for i in range(members):
        if head.cls == COMPOUND:
            if not starts(c, b"r\0" if i == 0 else b"i\0", 2):
                return 0
            skip(c, 2 if head.version >= 3 else 8)
            # Version 3 stores the offset in as few bytes as hold the size.
            place = u8(c) if head.version >= 3 else u32(c)
            if place != i * (head.itemsize // 2):
                return 0
            if head.version == 1:
                skip(c, 28)
        _head(s, c, &base)
        if base.cls != FLOAT or 2 * base.itemsize != head.itemsize:
            return 0
        part[i].dtype = -1
        _float(c, &base, &part[i])
    if part[0].dtype != part[members - 1].dtype or part[0].big != part[members - 1].big:
        return 0
    for i in range(NFLOATS):
        if FLOATS[i].dtype == part[0].dtype and FLOATS[i].pair >= 0:
            t.dtype = FLOATS[i].pair
    if t.dtype < 0:
        return 0
    t.big = part[0].big
    t.problem = NULL
    return 0


cdef int parse_type(Structure s, uint64_t offset, uint64_t nbytes, Type *t) except -1:
    cdef Cursor c
    cdef Head head
    s.view(&c, offset, nbytes)
    _head(s, &c, &head)
    t.problem = NULL
    t.itemsize = head.itemsize
    t.dtype = -1
    t.big = t.text = t.padding = 0
    if head.cls == FLOAT:
        _float(&c, &head, t)
    elif head.cls == FIXED:
        _fixed(&c, &head, t)
    elif head.cls == ENUM:
        _bool(s, &c, &head, t)
    elif head.cls == COMPOUND or head.cls == COMPLEX:
        _complex(s, &c, &head, t)
    elif head.cls == OPAQUE:
        if head.itemsize <= 2:
            t.dtype = OPAQUES[head.itemsize]
        else:
            t.problem = b"opaque type"
    elif head.cls == STRING:
        t.problem = b"fixed-length strings"
        t.text = FIXED_TEXT
        t.padding = head.bits & 15
        if t.padding > SPACE_PADDED:
            s.corrupt(f"string padding: expected 0, 1 or 2, found {t.padding}", offset + 1,
                      "class bit field")
    elif head.cls == VLEN:
        t.problem = b"variable-length data"
        if head.bits & 15 == 1:
            t.problem = b"variable-length strings"
            t.text = HEAP_TEXT
            t.padding = head.bits >> 4 & 15
            if head.itemsize != 8 + s.address_nbytes:
                s.corrupt(f"size of a variable-length string: expected {8 + s.address_nbytes}, "
                          f"found {head.itemsize}", offset + 4, "size")
    elif head.cls == TIME:
        t.problem = b"time type"
    elif head.cls == BITFIELD:
        t.problem = b"bit field"
    elif head.cls == REFERENCE:
        t.problem = b"references"
    elif head.cls == ARRAY:
        t.problem = b"array type"
    else:
        s.unsupported(f"datatype class: expected 0 to 11, found {head.cls}", offset, "class and version")
    return 0
