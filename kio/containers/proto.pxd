# proto.pxd - the wire format of protocol buffers, field by field
#
#     field(c, f)          the next field of a message; False at its end
#     number_of(f)         a varint or fixed field's value, or CorruptError
#     span_of(f)           the bytes of a length-delimited field, as a cursor, or CorruptError
#     only(f, seen)        CorruptError if a field that may come once comes again
#
#     message     field *
#     field       varint (number << 3 | wire), then by wire
#                   0  varint
#                   1  8 bytes, little-endian
#                   2  varint nbytes, bytes: text, a message, packed numbers
#                   5  4 bytes, little-endian
#
# Groups (wires 3 and 4) are no part of any format that kio reads, and are refused.  Readers
# of protocol buffers merge a message that comes twice and take the last of two numbers; no
# writer does that, so kio refuses what would have two readings.  Unknown fields are passed
# over.  A walk never recurses by itself: depth is that of the code that walks.
#
# Header-only: cimport it, there is nothing to link.
#
# Spec: protobuf.dev/programming-guides/encoding.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kio.raw.cursor cimport Cursor, enter, left, skip, tell, u32, u64, varint
from kio.raw.source cimport Image

cdef enum Wire:
    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


cdef struct Field:
    uint32_t number
    uint8_t wire
    uint64_t value           # of VARINT, FIXED64 and FIXED32
    Cursor span              # of BYTES
    uint64_t offset          # where the field begins, in the source


cdef inline int damaged(const Cursor *c, str what, uint64_t offset) except -1:
    from kio.errors import CorruptError
    raise CorruptError(what, source=(<Image>c.image).source.name, offset=offset)


cdef inline bint field(Cursor *c, Field *f) except -1:
    """Go to the next field of the message that c is in."""
    cdef uint64_t tag, nbytes
    if left(c) == 0:
        return False
    f.offset = tell(c)
    f.span.image = c.image
    tag = varint(c)
    if tag >> 3 == 0 or tag >> 32:
        damaged(c, f"field number: expected 1 to 2**29 - 1, found {tag >> 3}", f.offset)
    f.number, f.wire = <uint32_t>(tag >> 3), <uint8_t>(tag & 7)
    if f.wire == VARINT:
        f.value = varint(c)
    elif f.wire == BYTES:
        nbytes = varint(c)
        if nbytes > left(c):
            damaged(c, f"field {f.number}: expected at most {left(c)} bytes, found {nbytes}", f.offset)
        enter(&f.span, <Image>c.image, tell(c), nbytes)
        skip(c, nbytes)
    elif f.wire == FIXED32:
        f.value = u32(c)
    elif f.wire == FIXED64:
        f.value = u64(c)
    else:
        damaged(c, f"field {f.number}: expected wire type 0, 1, 2 or 5, found {f.wire}", f.offset)
    return True


cdef inline uint64_t number_of(const Field *f) except? 0xDEAD:
    if f.wire == BYTES:
        damaged(&f.span, f"field {f.number}: expected a number, found bytes", f.offset)
    return f.value


cdef inline Cursor span_of(const Field *f) except *:
    if f.wire != BYTES:
        damaged(&f.span, f"field {f.number}: expected bytes, found a number", f.offset)
    return f.span


cdef inline int only(const Field *f, uint64_t *seen) except -1:
    """Note a field of a number below 64 that may come once."""
    if seen[0] >> f.number & 1:
        damaged(&f.span, f"field {f.number}: expected it once, found it again", f.offset)
    seen[0] |= <uint64_t>1 << f.number
    return 0
