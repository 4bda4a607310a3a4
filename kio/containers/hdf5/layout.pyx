"""Data layout messages: where the raw data of a dataset lies.

Spec: HDF5 File Format Specification 3.0, IV.A.2.i (data layout).

Version 1, 2                  Version 3                     Version 4, 5
  0  version                    0  version                    as 3, but chunked:
  1  dimensionality             1  layout class               2  flags
  2  layout class               compact (0):                  3  dimensionality (rank + 1)
  3  reserved, 5 bytes          2  size u16, data             4  width of dimensions
  8  address, O                 contiguous (1):                  dimensions; the last is the
     (absent when compact)      2  address O, size L             element size
     dimensions, u32 each       chunked (2):                     index type
     (chunked: rank + 1,        2  dimensionality (rank + 1)     1 single: [size L, mask u32]
     the last the element       3  B-tree address, O             3 fixed array: page bits u8
     size)                         dimensions, u32 each          4 extensible array: 5 x u8
     compact: size u32, data    virtual (3):                     5 B-tree: u32, u8, u8
                                2  global heap address O,        index address, O
                                   index u32
"""

from libc.stdint cimport UINT64_MAX

from kio.containers.hdf5.structure cimport address, length
from kio.raw.cursor cimport Cursor, skip, tell, u8, u16, u32, uint


cdef int parse_layout(Structure s, uint64_t offset, uint64_t nbytes, Layout *layout) except -1:
    cdef Cursor c
    s.view(&c, offset, nbytes)
    layout.message = offset
    layout.version = u8(&c)
    layout.flags = layout.index = layout.ndims = 0
    if layout.version < 1 or layout.version > 5:
        s.unsupported(f"layout version: expected 1 to 5, found {layout.version}", offset, "version")
    if layout.version < 3:
        return _old(s, &c, layout)
    layout.cls = u8(&c)
    if layout.cls == COMPACT:
        layout.nbytes = u16(&c)
        layout.offset = tell(&c)
        skip(&c, layout.nbytes)
    elif layout.cls == CONTIGUOUS:
        layout.offset = address(s, &c)
        layout.nbytes = length(s, &c)
    elif layout.cls == CHUNKED:
        if layout.version == 3:
            layout.ndims = u8(&c)
            layout.offset = address(s, &c)
            _chunk(s, &c, 4, layout)
        else:
            _new_chunked(s, &c, layout)
    elif layout.cls != VIRTUAL:
        s.unsupported(f"layout class: expected 0 to 3, found {layout.cls}", offset + 1, "layout class")
    return 0


cdef int _old(Structure s, Cursor *c, Layout *layout) except -1:
    layout.ndims = u8(c)
    layout.cls = u8(c)
    skip(c, 5)
    layout.nbytes = UINT64_MAX
    if layout.cls > CHUNKED:
        s.unsupported(f"layout class: expected 0, 1 or 2, found {layout.cls}", c.origin + 2, "layout class")
    if layout.cls != COMPACT:
        layout.offset = address(s, c)
    if layout.cls == CHUNKED:
        return _chunk(s, c, 4, layout)
    skip(c, 4 * layout.ndims)
    if layout.cls == COMPACT:
        layout.nbytes = u32(c)
        layout.offset = tell(c)
        skip(c, layout.nbytes)
    return 0


cdef int _chunk(Structure s, Cursor *c, unsigned width, Layout *layout) except -1:
    cdef unsigned i
    if not 2 <= layout.ndims <= RANK_MAX + 1:
        s.corrupt(f"chunk dimensionality: expected 2 to {RANK_MAX + 1}, found {layout.ndims}",
                  c.origin, "dimensionality")
    for i in range(layout.ndims):
        layout.chunk[i] = uint(c, width)
        if layout.chunk[i] == 0:
            s.corrupt(f"chunk dimension {i}: expected at least 1, found 0", c.origin, "dimension size")
    return 0


cdef int _new_chunked(Structure s, Cursor *c, Layout *layout) except -1:
    cdef unsigned width
    layout.flags = u8(c)
    layout.ndims = u8(c)
    width = u8(c)
    if not 1 <= width <= 8:
        s.corrupt(f"width of chunk dimensions: expected 1 to 8, found {width}", c.origin,
                  "dimension size encoded length")
    _chunk(s, c, width, layout)
    layout.index = u8(c)
    if layout.index == SINGLE:
        if layout.flags & 2:
            layout.chunk_nbytes = length(s, c)
            layout.mask = u32(c)
    elif layout.index == FIXED_ARRAY:
        skip(c, 1)
    elif layout.index == EXTENSIBLE_ARRAY:
        skip(c, 5)
    elif layout.index == BTREE2:
        skip(c, 6)
    elif layout.index != IMPLICIT:
        s.unsupported(f"chunk index type: expected 1 to 5, found {layout.index}", c.origin,
                      "chunk indexing type")
    layout.offset = address(s, c)
    return 0
