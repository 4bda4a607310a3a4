"""Fractal heaps (dense links and attributes) and the global heap (variable-length data).

Spec: HDF5 File Format Specification 3.0, III.G (fractal heap), III.E (global heap).

Fractal heap header                          Direct block
  0  "FRHP"                                    0  "FHDB", version 0
  4  version 0                                 5  heap header address, O
  5  heap ID length, u16                          block offset, as wide as in a heap ID
  7  filters' encoded length, u16                 [checksum u32, taken with itself zero]
  9  flags: 1 = direct blocks have checksums      objects
 10  maximum size of managed objects, u32
     next huge ID, L; huge B-tree, O         Indirect block
     free space, L; its manager, O             0  "FHIB", version 0
     managed space, allocated, iterator,       5  heap header address, O
     objects, huge size and count,                block offset
     tiny size and count: 8 x L                   child addresses, O, row by row
     table width, u16                             checksum u32
     starting block size, L
     maximum direct block size, L            Heap ID
     maximum heap size in bits, u16            0  version 0 (bits 6-7), type (4-5)
     starting rows, u16                        1  managed (0): offset, length
     root block address, O                        huge (1): key in the B-tree, or address
     rows in root block, u16                      and length where they fit
     checksum u32                                 tiny (2): the object itself

Blocks double in size from the third row on, so heap offset -> row is a logarithm.

Global heap collection                       Object
  0  "GCOL"                                    0  index u16, 0 = free space to the end
  4  version 1                                 2  reference count u16, reserved 4
  8  collection size, L                        8  size, L
 16  objects                                  16  data, padded to 8
"""

from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from kio.containers.hdf5.btree2 cimport Records, records_of
from kio.containers.hdf5.structure cimport address, length, log2_of, width_of
from kio.raw.cursor cimport copy, expect, left, seek, skip, tell, u8, u16, u32, uint
from kio.raw.kernels cimport lookup3


cdef bint _power(uint64_t v) noexcept:
    return v != 0 and v & (v - 1) == 0


cdef int open_fractal_heap(Structure s, uint64_t at, FractalHeap *h) except -1:
    cdef Cursor c
    cdef unsigned o = s.address_nbytes, lengths = s.length_nbytes, version, filters, flags, bits
    s.parse(&c, at, 26 + 12 * lengths + 3 * o)
    expect(&c, b"FRHP", 4)
    version = u8(&c)
    if version:
        s.unsupported(f"fractal heap version: expected 0, found {version}", at + 4, "version")
    h.at = at
    h.id_nbytes = u16(&c)
    filters = u16(&c)
    if filters:
        s.unsupported("fractal heap: expected no filters, found some", at + 7,
                      "I/O filters' encoded length")
    s.verify(at, c.end - 4)
    flags = u8(&c)
    h.block_checksums = flags & 2
    h.managed_max = u32(&c)
    skip(&c, lengths)
    h.huge = address(s, &c)
    skip(&c, o + 9 * lengths)
    h.width = u16(&c)
    h.start_nbytes = length(s, &c)
    h.direct_max = length(s, &c)
    bits = u16(&c)
    skip(&c, 2)
    h.root = address(s, &c)
    h.rows = u16(&c)
    if not (_power(h.width) and _power(h.start_nbytes) and _power(h.direct_max)
            and h.width <= 1 << 15 and h.start_nbytes <= h.direct_max <= <uint64_t>1 << 32
            and 1 <= bits <= 64):
        s.corrupt(f"fractal heap: expected powers of two, found width {h.width}, blocks of "
                  f"{h.start_nbytes} to {h.direct_max} bytes, {bits} bits", at, "table width")
    # Rows double: more of them than bits would let a block's size overflow.
    if h.rows > 64 - log2_of(h.start_nbytes) - log2_of(h.width):
        s.corrupt(f"rows in root block: expected no more than {bits} bits allow, found {h.rows}", at,
                  "current number of rows in root indirect block")
    h.offset_nbytes = (bits + 7) // 8
    h.length_nbytes = min((log2_of(h.direct_max) + 7) // 8, width_of(h.managed_max))
    if not 1 + h.offset_nbytes + h.length_nbytes <= h.id_nbytes <= 64:
        s.corrupt(f"heap ID length: expected {1 + h.offset_nbytes + h.length_nbytes} to 64, "
                  f"found {h.id_nbytes}", at + 5, "heap ID length")
    return 0


cdef int heap_object(Structure s, FractalHeap *h, Cursor *id,
                     uint64_t *offset_out, uint64_t *nbytes_out) except -1:
    cdef Cursor c
    cdef uint64_t at = tell(id), offset = 0, nbytes = 0, end = id.at + h.id_nbytes
    cdef unsigned first = u8(id)
    if first >> 6:
        s.unsupported(f"heap ID version: expected 0, found {first >> 6}", at, "version")
    if first >> 4 & 3 == 0:
        offset = uint(id, h.offset_nbytes)
        nbytes = uint(id, h.length_nbytes)
        offset_out[0] = _managed(s, h, offset, nbytes)
        s.charge(nbytes)
    elif first >> 4 & 3 == 1:
        _huge(s, h, id, &offset, &nbytes)
        offset_out[0] = offset
        s.parse(&c, offset, nbytes)
    else:
        s.unsupported("heap ID type: expected a managed or huge object, found "
                      + ("a tiny one" if first >> 4 & 3 == 2 else "a reserved type"), at, "type")
    nbytes_out[0] = nbytes
    return seek(id, end)


cdef int _huge(Structure s, FractalHeap *h, Cursor *id, uint64_t *offset, uint64_t *nbytes) except -1:
    cdef Cursor c
    cdef Records found
    cdef size_t i
    cdef uint64_t at = tell(id), key
    if h.id_nbytes > s.address_nbytes + s.length_nbytes:
        offset[0] = address(s, id)
        nbytes[0] = length(s, id)
        return 0
    key = uint(id, min(h.id_nbytes - 1, 8))
    found = Records()
    # Type 1: address, length, ID.
    records_of(s, h.huge, 1, s.address_nbytes + 2 * s.length_nbytes, found)
    for i in range(found.count):
        s.view(&c, found.items[i], s.address_nbytes + 2 * s.length_nbytes)
        offset[0] = address(s, &c)
        nbytes[0] = length(s, &c)
        if length(s, &c) == key:
            return 0
    return s.corrupt(f"huge heap object: expected ID {key} in its B-tree, found none", at, "ID")


cdef uint64_t _managed(Structure s, FractalHeap *h, uint64_t offset, uint64_t nbytes) except? 0xDEAD:
    """Where the object at ``offset`` of the heap's own address space lies in the file."""
    cdef Cursor c
    cdef uint64_t block = h.root, block_nbytes = h.start_nbytes, begin = 0, row_begin, column
    cdef unsigned rows = h.rows, row
    # Blocks of the rows up to this one are direct.
    cdef unsigned direct_rows = log2_of(h.direct_max) - log2_of(h.start_nbytes) + 2
    while rows:
        _check_indirect(s, h, block, rows, begin)
        column = (offset - begin) // h.start_nbytes // h.width
        row = log2_of(column) + 1 if column else 0
        if row >= rows:
            s.corrupt(f"heap offset: expected one in {rows} rows, found row {row}", block, "offset")
        block_nbytes = h.start_nbytes << (row - 1 if row else 0)
        row_begin = (h.start_nbytes * h.width) << (row - 1) if row else 0
        column = (offset - begin - row_begin) // block_nbytes
        s.view(&c, block + 5 + s.address_nbytes + h.offset_nbytes
               + (<uint64_t>row * h.width + column) * s.address_nbytes, s.address_nbytes)
        block = address(s, &c)
        begin += row_begin + column * block_nbytes
        # A child block is smaller than its parent, so this ends.
        rows = 0 if row < direct_rows else _rows_of(h, block_nbytes)
    if block_nbytes > h.direct_max:
        s.corrupt(f"heap offset: expected a direct block, found {block_nbytes} bytes", block, "offset")
    if offset - begin > block_nbytes or nbytes > block_nbytes - (offset - begin):
        s.corrupt(f"heap object: expected to end within its block of {block_nbytes} bytes, "
                  f"found {offset - begin + nbytes}", block, "length")
    _check_direct(s, h, block, block_nbytes, begin)
    return block + (offset - begin)


cdef unsigned _rows_of(const FractalHeap *h, uint64_t block_nbytes) noexcept:
    cdef uint64_t q = block_nbytes // h.start_nbytes // h.width
    return log2_of(q) + 1 if q else 0


cdef int _prefix(Structure s, const FractalHeap *h, Cursor *c, const char *magic, uint64_t begin) except -1:
    """What direct and indirect blocks begin with: both say which heap and which part of it."""
    cdef uint64_t heap, offset
    cdef unsigned version
    expect(c, magic, 4)
    version = u8(c)
    heap = address(s, c)
    offset = uint(c, h.offset_nbytes)
    if version or heap != h.at or offset != begin:
        s.corrupt(f"heap block: expected version 0 of heap {h.at:#x} at {begin:#x}, found version "
                  f"{version} of {heap:#x} at {offset:#x}", c.origin, "block offset")
    return 0


cdef int _check_indirect(Structure s, const FractalHeap *h, uint64_t at, unsigned rows,
                         uint64_t begin) except -1:
    cdef Cursor c
    cdef uint64_t nbytes = 5 + s.address_nbytes + h.offset_nbytes \
        + <uint64_t>rows * h.width * s.address_nbytes
    # Checked blocks are remembered with their size, which another heap may see differently.
    key = (at, nbytes)
    if key in s.verified:
        return 0
    s.parse(&c, at, nbytes + 4)
    _prefix(s, h, &c, b"FHIB", begin)
    s.verify(at, nbytes)
    s.verified.add(key)
    return 0


cdef int _check_direct(Structure s, const FractalHeap *h, uint64_t at, uint64_t nbytes,
                       uint64_t begin) except -1:
    cdef Cursor c
    cdef char *block
    cdef uint32_t stored, computed
    cdef size_t place
    key = (at, nbytes)
    if key in s.verified:
        return 0
    s.parse(&c, at, nbytes)
    _prefix(s, h, &c, b"FHDB", begin)
    if h.block_checksums:
        place = c.at
        stored = u32(&c)
        seek(&c, 0)
        # The block is in the file, so the file pays for this copy.
        block = <char *>malloc(nbytes)
        if block == NULL:
            raise MemoryError()
        try:
            copy(&c, block, nbytes)
            memset(block + place, 0, 4)
            computed = lookup3(block, nbytes, 0)
        finally:
            free(block)
        s.compare(computed, stored, at + place)
    s.verified.add(key)
    return 0


cdef class Collection:
    def __dealloc__(self):
        free(self.items)

    cdef Item *find(self, uint32_t index) noexcept:
        """The object of that index, or NULL.  Writers number from 1 and rarely remove."""
        cdef size_t i
        if 0 < index <= self.count and self.items[index - 1].index == index:
            return self.items + index - 1
        for i in range(self.count):
            if self.items[i].index == index:
                return self.items + i
        return NULL


cdef Collection open_collection(Structure s, uint64_t at):
    """The collection at ``at``, parsed once a file."""
    cdef Cursor c
    cdef Collection heap = s.collections.get(at)
    cdef uint64_t nbytes
    cdef unsigned version
    cdef uint32_t index
    cdef void *p
    if heap is not None:
        return heap
    s.view(&c, at, 8 + s.length_nbytes)
    expect(&c, b"GCOL", 4)
    version = u8(&c)
    if version != 1:
        s.unsupported(f"global heap version: expected 1, found {version}", at + 4, "version")
    skip(&c, 3)
    nbytes = length(s, &c)
    s.parse(&c, at, nbytes)
    skip(&c, 16)
    heap = Collection()
    while left(&c) >= 16:
        index = u16(&c)
        if index == 0:
            break
        skip(&c, 6)
        nbytes = length(s, &c)
        # Lengths of 4 bytes are padded to 8.
        skip(&c, 8 - s.length_nbytes)
        if heap.count == heap.room:
            p = realloc(heap.items, (heap.room * 2 + 16) * sizeof(Item))
            if p == NULL:
                raise MemoryError()
            heap.items = <Item *>p
            heap.room = heap.room * 2 + 16
        heap.items[heap.count].index = index
        heap.items[heap.count].offset = tell(&c)
        heap.items[heap.count].nbytes = nbytes
        heap.count += 1
        skip(&c, nbytes)
        # The padding of a last object may be cut off.
        skip(&c, min((8 - (nbytes & 7)) & 7, left(&c)))
    s.collections[at] = heap
    return heap


cdef int heap_text(Structure s, Cursor *c, uint64_t *offset_out, uint64_t *nbytes_out) except -1:
    cdef Item *item
    cdef Collection heap
    cdef uint64_t nbytes = u32(c), at = address(s, c), where = tell(c)
    cdef uint32_t index = u32(c)
    offset_out[0], nbytes_out[0] = 0, nbytes
    if nbytes == 0:
        return 0
    heap = open_collection(s, at)
    item = heap.find(index)
    if item == NULL or item.nbytes < nbytes:
        s.corrupt(f"global heap object {index}: expected {nbytes} bytes, found "
                  + ("no such object" if item == NULL else f"{item.nbytes}"), where, "object index")
    offset_out[0] = item.offset
    return 0
