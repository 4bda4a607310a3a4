"""Chunk indexes: where each stored chunk of a dataset lies.

Spec: HDF5 File Format Specification 3.0, III.A.1 (version 1 B-tree, node type 1),
III.A.2 (version 2 B-tree, types 10 and 11), VII (single chunk, implicit, fixed array,
extensible array).

Version 1 B-tree key               Elements of arrays
  0  stored bytes, u32               address, O
  4  filter mask, u32                [filtered: stored bytes, mask u32]
  8  first element, u64 a          Records of version 2 B-trees
     dimension, and one more         as elements, then first element / chunk, u64 a dimension

Fixed array header                 Fixed array data block
  0  "FAHD", version 0               0  "FADB", version 0
  5  client: 1 = filtered            5  client
  6  element size                    6  header address, O
  7  page bits                          [a bit a page: was it written]
  8  elements, L                        elements, checksum, or
     data block address, O              checksum, then pages: elements, checksum
     checksum

Extensible array header            Extensible array index block
  0  "EAHD", version 0               0  "EAIB", version 0
  5  client                          5  client
  6  element size                    6  header address, O
  7  bits of the number of elements     elements
  8  elements in the index block        data block addresses, O each
  9  elements in the least block        super block addresses, O each
 10  pointers in the least super        checksum
     block                         Extensible array super block "EASB"
 11  page bits                          as above; block offset; [a bit a page]
 12  six statistics, L each             data block addresses; checksum
     index block address, O        Extensible array data block "EADB"
     checksum                           as above; block offset; elements or pages

Super block u has 2^(u/2) data blocks of 2^((u+1)/2) times the least number of elements;
the first ones have no block of their own, their pointers are in the index block.
Elements are numbered over the grid of the dataset's *maximum* shape, row by row.
"""

from libc.stdint cimport UINT64_MAX, uint32_t, uint64_t
from libc.string cimport memset

from kio.containers.hdf5.btree2 cimport Records, records_of
from kio.containers.hdf5.chunk cimport ALL_SKIPPED
from kio.containers.hdf5.layout cimport (
    BTREE1,
    BTREE2,
    EXTENSIBLE_ARRAY,
    FIXED_ARRAY,
    IMPLICIT,
)
from kio.containers.hdf5.structure cimport Structure, address, length, log2_of, times
from kio.containers.hdf5.types cimport RANK_MAX
from kio.raw.cursor cimport Cursor, expect, seek, skip, u8, u16, u32, u64, uint

cdef enum:
    LEVELS_MAX = 16          # two children a node at the least: more than any file can fill


cdef int find_chunks(Chunks out) except -1:
    cdef uint64_t[RANK_MAX] start
    if out.layout.index == BTREE1:
        return _btree1(out)
    if out.layout.index == IMPLICIT:
        return _implicit(out)
    if out.layout.index == FIXED_ARRAY:
        return _fixed_array(out)
    if out.layout.index == EXTENSIBLE_ARRAY:
        return _extensible_array(out)
    if out.layout.index == BTREE2:
        return _btree2(out)
    memset(start, 0, sizeof(start))
    if out.layout.flags & 2:
        return out.add(out.layout.offset, out.layout.chunk_nbytes, out.layout.mask, start)
    return out.add(out.layout.offset, out.chunk_nbytes, ALL_SKIPPED, start)


# ------------------------------------------------------------------ version 1 B-tree


cdef struct Node:
    uint64_t at              # next key
    unsigned left            # entries left
    unsigned level


cdef int _btree1(Chunks out) except -1:
    cdef Cursor c
    cdef Structure s = out.s
    cdef Node[LEVELS_MAX] stack
    cdef unsigned depth = 0, d, key_nbytes = 8 + 8 * (out.rank + 1)
    cdef uint64_t[RANK_MAX] start
    cdef uint64_t child
    cdef uint32_t nbytes, mask
    _descend(s, out.layout.offset, -1, key_nbytes, &stack[0])
    while True:
        if stack[depth].left == 0:
            if depth == 0:
                return 0
            depth -= 1
            continue
        s.view(&c, stack[depth].at, key_nbytes + s.address_nbytes)
        nbytes = u32(&c)
        mask = u32(&c)
        for d in range(out.rank):
            start[d] = u64(&c)
        skip(&c, 8)
        child = address(s, &c)
        stack[depth].at += key_nbytes + s.address_nbytes
        stack[depth].left -= 1
        if stack[depth].level:
            _descend(s, child, stack[depth].level - 1, key_nbytes, &stack[depth + 1])
            depth += 1
        else:
            out.add(child, nbytes, mask, start)


cdef int _descend(Structure s, uint64_t at, int level, unsigned key_nbytes, Node *node) except -1:
    """Check a B-tree node and stand before its first key."""
    cdef Cursor c
    cdef unsigned kind
    s.parse(&c, at, 8 + 2 * s.address_nbytes)
    expect(&c, b"TREE", 4)
    kind = u8(&c)
    node.level = u8(&c)
    node.left = u16(&c)
    if kind != 1:
        s.corrupt(f"node type: expected 1 for chunks, found {kind}", at + 4, "node type")
    # The level falls by one each time, so a loop cannot be.
    if node.level >= LEVELS_MAX or (level >= 0 and node.level != <unsigned>level):
        s.corrupt(f"node level: expected {f'at most {LEVELS_MAX - 1}' if level < 0 else level}, "
                  f"found {node.level}", at + 5, "node level")
    node.at = at + 8 + 2 * s.address_nbytes
    s.parse(&c, node.at, node.left * (key_nbytes + s.address_nbytes) + key_nbytes)
    return 0


# ------------------------------------------------------------------ version 2 B-tree


cdef int _btree2(Chunks out) except -1:
    cdef Cursor c
    cdef Structure s = out.s
    cdef Records found = Records()
    cdef uint64_t[RANK_MAX] start
    cdef uint64_t offset, stored = out.chunk_nbytes
    cdef uint32_t mask = ALL_SKIPPED
    cdef bint filtered = len(out.pipeline.filters) > 0
    cdef unsigned width = 0, nbytes, d
    cdef size_t i
    if filtered:
        # Room for a chunk that its filters made larger; layout version 5 always takes L.
        width = min(8, 1 + (log2_of(out.chunk_nbytes) + 8) // 8)
        if out.layout.version >= 5:
            width = s.length_nbytes
    nbytes = s.address_nbytes + (width + 4 if filtered else 0) + 8 * out.rank
    records_of(s, out.layout.offset, 11 if filtered else 10, nbytes, found)
    for i in range(found.count):
        s.view(&c, found.items[i], nbytes)
        offset = address(s, &c)
        if filtered:
            stored = uint(&c, width)
            mask = u32(&c)
        for d in range(out.rank):
            start[d] = times(u64(&c), out.layout.chunk[d])
        out.add(offset, stored, mask, start)
    return 0


# ------------------------------------------------------------------ implicit


cdef uint64_t _grid(Chunks out) except? 0xDEAD:
    """Chunks in the maximum shape, which these two indexes need to be bounded."""
    cdef uint64_t total = 1
    cdef unsigned d
    for d in range(out.rank):
        if out.across[d] == 0:
            out.s.corrupt(f"maximum dimension {d}: expected one for this chunk index, found none",
                          out.layout.message)
        total = times(total, out.across[d])
    return total


cdef int _implicit(Chunks out) except -1:
    """All chunks of the maximum shape lie one after the other, unfiltered."""
    cdef Structure s = out.s
    cdef uint64_t[RANK_MAX] start
    cdef uint64_t total = _grid(out), number
    cdef bint present
    cdef int d
    s.inside(out.layout.offset, times(total, out.chunk_nbytes), "chunks")
    # Nothing in the file pays for chunks of a few bytes.
    s.charge(total)
    memset(start, 0, sizeof(start))
    for number in range(total):
        present = True
        for d in range(<int>out.rank):
            present = present and start[d] < out.dims[d]
        if present:
            out.add(out.layout.offset + number * out.chunk_nbytes, out.chunk_nbytes, ALL_SKIPPED, start)
        for d in range(<int>out.rank - 1, -1, -1):
            start[d] += out.layout.chunk[d]
            if start[d] < out.across[d] * out.layout.chunk[d]:
                break
            start[d] = 0
    return 0


# ------------------------------------------------------------------ arrays


cdef struct Array:
    uint64_t header
    uint64_t page            # elements in a page; blocks of more are paged
    unsigned client
    unsigned nbytes          # of an element
    unsigned offset_nbytes   # of the field "block offset"; a fixed array has none


cdef int _open_array(Structure s, Cursor *c, uint64_t at, const char *magic, uint64_t nbytes,
                     Array *array) except -1:
    """What both headers begin with."""
    cdef unsigned version, o = s.address_nbytes
    s.parse(c, at, nbytes)
    expect(c, magic, 4)
    version = u8(c)
    array.header = at
    array.client = u8(c)
    array.nbytes = u8(c)
    s.verify(at, nbytes - 4)
    if version:
        s.unsupported(f"chunk array version: expected 0, found {version}", at + 4, "version")
    if array.client > 1 or not (array.nbytes == o if array.client == 0 else o + 5 <= array.nbytes <= o + 12):
        s.corrupt(f"chunk array: expected client 0 or 1 and elements to match, found {array.client} "
                  f"and {array.nbytes} bytes", at + 5, "client ID")
    return 0


cdef int _open_block(Structure s, Cursor *c, uint64_t at, const char *magic, const Array *array,
                     uint64_t nbytes, uint64_t offset) except -1:
    """Check a block of ``nbytes`` and the checksum behind it; the cursor is left behind the prefix."""
    cdef unsigned version, client
    cdef uint64_t header, begin
    s.parse(c, at, nbytes + 4)
    expect(c, magic, 4)
    version = u8(c)
    client = u8(c)
    header = address(s, c)
    begin = uint(c, array.offset_nbytes)
    s.verify(at, nbytes)
    if version or client != array.client or header != array.header or begin != offset:
        s.corrupt(f"chunk array block: expected version 0, client {array.client}, header "
                  f"{array.header:#x}, element {offset}, found {version}, {client}, {header:#x}, {begin}",
                  at, "header address")
    return 0


cdef int _elements(Chunks out, const Array *array, uint64_t at, uint64_t first, uint64_t nelems) except -1:
    cdef uint64_t i
    for i in range(nelems):
        out.add_element(first + i, at + i * array.nbytes, array.nbytes)
    return 0


cdef int _pages(Chunks out, const Array *array, Cursor *bits, uint64_t bit, uint64_t at, uint64_t first,
                uint64_t nelems) except -1:
    """Elements in pages with a checksum each; ``bits`` says from ``bit`` on which were written."""
    cdef Cursor c
    cdef uint64_t here, nbytes
    while nelems:
        here = min(array.page, nelems)
        nbytes = here * array.nbytes
        seek(bits, bit // 8)
        # Bits count from the top.  Pages never written take their room all the same.
        if u8(bits) & (0x80 >> (bit & 7)):
            out.s.parse(&c, at, nbytes + 4)
            out.s.verify(at, nbytes)
            _elements(out, array, at, first, here)
        bit += 1
        at += nbytes + 4
        first += here
        nelems -= here
    return 0


cdef int _fixed_array(Chunks out) except -1:
    cdef Cursor c
    cdef Structure s = out.s
    cdef Array array
    cdef unsigned page_bits
    cdef uint64_t at = out.layout.offset, total = _grid(out), nelems, npages, prefix
    _open_array(s, &c, at, b"FAHD", 12 + s.length_nbytes + s.address_nbytes, &array)
    page_bits = u8(&c)
    nelems = length(s, &c)
    at = address(s, &c)
    if nelems < total or page_bits > 32:
        s.corrupt(f"fixed array: expected {total} elements, pages of at most 2^32, found {nelems} "
                  f"and 2^{page_bits}", array.header, "max num entries")
    if at == UINT64_MAX:
        return 0
    s.inside(at, nelems, "fixed array")
    array.page = <uint64_t>1 << page_bits
    array.offset_nbytes = 0
    prefix = 6 + s.address_nbytes
    if nelems <= array.page:
        _open_block(s, &c, at, b"FADB", &array, prefix + nelems * array.nbytes, 0)
        return _elements(out, &array, at + prefix, 0, nelems)
    npages = (nelems + array.page - 1) // array.page
    _open_block(s, &c, at, b"FADB", &array, prefix + (npages + 7) // 8, 0)
    s.view(&c, at + prefix, (npages + 7) // 8)
    return _pages(out, &array, &c, 0, at + prefix + (npages + 7) // 8 + 4, 0, nelems)


cdef int _extensible_array(Chunks out) except -1:
    cdef Cursor c, block
    cdef Structure s = out.s
    cdef Array array
    cdef unsigned bits, least, pointers, page_bits, u, nsupers, direct
    cdef uint64_t at = out.layout.offset, inside, first, ndata, nelems, k, nblocks = 0
    _open_array(s, &c, at, b"EAHD", 16 + 6 * s.length_nbytes + s.address_nbytes, &array)
    bits = u8(&c)
    inside = u8(&c)
    least = u8(&c)
    pointers = u8(&c)
    page_bits = u8(&c)
    skip(&c, 6 * s.length_nbytes)
    at = address(s, &c)
    if (not 1 <= bits <= 64 or least == 0 or least & (least - 1) or pointers == 0
            or pointers & (pointers - 1) or log2_of(least) > bits or page_bits > 32):
        s.corrupt(f"extensible array: expected powers of two, found blocks of {least} elements, "
                  f"{pointers} pointers, {bits} bits", array.header, "data block min elements")
    _unlimited_first(out)
    if at == UINT64_MAX:
        return 0
    array.page = <uint64_t>1 << page_bits
    array.offset_nbytes = 0
    nsupers = 1 + bits - log2_of(least)
    direct = min(2 * log2_of(pointers), nsupers)
    _open_block(s, &block, at, b"EAIB", &array,
                6 + s.address_nbytes + inside * array.nbytes
                + (2 * (pointers - 1) + (nsupers - direct)) * s.address_nbytes, 0)
    array.offset_nbytes = (bits + 7) // 8
    _elements(out, &array, at + block.at, 0, inside)
    skip(&block, inside * array.nbytes)
    first = 0
    for u in range(nsupers):
        ndata = <uint64_t>1 << (u // 2)
        nelems = (<uint64_t>1 << ((u + 1) // 2)) * least
        if u >= direct:
            at = address(s, &block)
            if at != UINT64_MAX:
                _super_block(out, &array, at, inside, first, ndata, nelems)
        else:
            for k in range(ndata):
                at = address(s, &block)
                if at != UINT64_MAX:
                    if nelems > array.page:
                        s.unsupported("extensible array: expected pages below super blocks, found some "
                                      "below the index block", array.header)
                    # libhdf5 counts the blocks before the super block in twice here.
                    _data_block(out, &array, at, inside, first + k * nelems,
                                first + (nblocks + k) * nelems, nelems, NULL, 0)
            nblocks += ndata
        first += ndata * nelems
    return 0


cdef int _unlimited_first(Chunks out) except -1:
    """Extensible arrays number chunks with the unlimited dimension, of which there is one, slowest."""
    cdef unsigned d, unlimited = 0, n = 0
    for d in range(out.rank):
        if out.across[d] == 0:
            unlimited = d
            n += 1
    if n != 1:
        out.s.corrupt(f"extensible array: expected one unlimited dimension, found {n}", out.layout.message)
    for d in range(unlimited, 0, -1):
        out.order[d] = d - 1
    out.order[0] = unlimited
    return 0


cdef int _super_block(Chunks out, const Array *array, uint64_t at, uint64_t inside, uint64_t first,
                      uint64_t ndata, uint64_t nelems) except -1:
    cdef Cursor c, bits
    cdef Structure s = out.s
    cdef uint64_t npages = nelems // array.page if nelems > array.page else 0
    cdef uint64_t prefix = 6 + s.address_nbytes + array.offset_nbytes
    cdef uint64_t nbits = times(ndata, (npages + 7) // 8), k, block
    # Both products are bounded by the file before they are added up.
    s.inside(at, times(ndata, s.address_nbytes), "super block")
    s.inside(at, nbits, "super block")
    _open_block(s, &c, at, b"EASB", array, prefix + nbits + ndata * s.address_nbytes, first)
    s.view(&bits, at + prefix, nbits)
    skip(&c, nbits)
    for k in range(ndata):
        block = address(s, &c)
        if block != UINT64_MAX:
            _data_block(out, array, block, inside, first + k * nelems, first + k * nelems, nelems,
                        &bits if npages else NULL, k * npages)
    return 0


cdef int _data_block(Chunks out, const Array *array, uint64_t at, uint64_t inside, uint64_t first,
                     uint64_t offset, uint64_t nelems, Cursor *bits, uint64_t bit) except -1:
    """The elements of one data block, whose prefix says that it begins at ``offset``."""
    cdef Cursor c
    cdef Structure s = out.s
    cdef uint64_t prefix = 6 + s.address_nbytes + array.offset_nbytes
    s.inside(at, nelems, "data block")
    _open_block(s, &c, at, b"EADB", array, prefix + (0 if bits != NULL else nelems * array.nbytes), offset)
    if bits == NULL:
        return _elements(out, array, at + prefix, inside + first, nelems)
    return _pages(out, array, bits, bit, at + prefix + 4, inside + first, nelems)
