"""The links of a group: symbol tables (the stock profile) and link messages.

Spec: HDF5 File Format Specification 3.0, III.A.1 (version 1 B-trees), III.B (symbol
table nodes), III.C (symbol table entries), III.D (local heaps), IV.A.2.g (link message).

B-tree node                    Symbol table node            Local heap
  0  "TREE"                      0  "SNOD"                    0  "HEAP"
  4  node type 0                 4  version 1                 4  version 0
  5  node level                  6  number of symbols, u16    8  data segment size, L
  6  entries used, u16           8  entries:                     head of free list, L
  8  left, right sibling, O         name offset in heap, O       data segment address, O
     key 0, child 0, key 1, …       object header address, O
     keys: L bytes, offset in       cache type u32, reserved u32,
     the heap; children: O          scratch 16 bytes

Link message
  0  version 1
  1  flags: 0-1 width of name length, 2 creation order, 3 link type, 4 charset
     [link type u8] [creation order u64] [charset u8]
     name length, name
     hard: object header address, O; soft, user-defined: length u16, value
"""

from libc.stdlib cimport free, realloc
from libc.string cimport memset

from kio.containers.hdf5.btree2 cimport Records, records_of
from kio.containers.hdf5.heap cimport FractalHeap, heap_object, open_fractal_heap
from kio.containers.hdf5.structure cimport address, length
from kio.raw.cursor cimport (
    Cursor,
    expect,
    rises,
    seek,
    skip,
    tell,
    text,
    u8,
    u16,
    u32,
    uint,
    until_zero,
)

cdef enum:
    LEVELS_MAX = 16          # two children a node at the least: more than any file can fill


cdef struct Node:
    uint64_t at              # next child pointer
    unsigned left            # children left
    unsigned level


cdef class Links:
    def __dealloc__(self):
        free(self.items)

    cdef Link *append(self) except NULL:
        cdef void *p
        if self.count == self.room:
            p = realloc(self.items, (self.room * 2 + 64) * sizeof(Link))
            if p == NULL:
                raise MemoryError()
            self.items = <Link *>p
            self.room = self.room * 2 + 64
        memset(self.items + self.count, 0, sizeof(Link))
        self.count += 1
        return self.items + self.count - 1

    cdef void reverse(self, size_t start) noexcept:
        cdef size_t i = start, j = self.count
        cdef Link swap
        while i + 1 < j:
            j -= 1
            swap = self.items[i]
            self.items[i] = self.items[j]
            self.items[j] = swap
            i += 1


cdef int symbol_table(Structure s, uint64_t btree, uint64_t heap, Links out) except -1:
    """Append the links below a B-tree node, in the order of their names."""
    cdef Cursor c, names, last
    cdef Node[LEVELS_MAX] stack
    cdef unsigned depth = 0, version
    cdef uint64_t nbytes, node = btree
    cdef size_t last_nbytes = 0
    s.parse(&c, heap, 8 + 2 * s.length_nbytes + s.address_nbytes)
    expect(&c, b"HEAP", 4)
    version = u8(&c)
    if version:
        s.unsupported(f"local heap version: expected 0, found {version}", heap + 4, "version")
    skip(&c, 3)
    nbytes = length(s, &c)
    skip(&c, s.length_nbytes)
    s.parse(&names, address(s, &c), nbytes)
    last = names
    _descend(s, node, -1, &stack[0])
    while True:
        if stack[depth].left == 0:
            if depth == 0:
                return 0
            depth -= 1
            continue
        s.view(&c, stack[depth].at, s.address_nbytes)
        node = address(s, &c)
        stack[depth].at += s.address_nbytes + s.length_nbytes
        stack[depth].left -= 1
        if stack[depth].level == 0:
            _symbols(s, node, &names, &last, &last_nbytes, out)
        else:
            _descend(s, node, stack[depth].level - 1, &stack[depth + 1])
            depth += 1


cdef int _descend(Structure s, uint64_t at, int level, Node *node) except -1:
    """Check a B-tree node and stand before its first child."""
    cdef Cursor c
    cdef unsigned kind
    s.parse(&c, at, 8 + 2 * s.address_nbytes)
    expect(&c, b"TREE", 4)
    kind = u8(&c)
    node.level = u8(&c)
    node.left = u16(&c)
    if kind:
        s.corrupt(f"node type: expected 0 for a group, found {kind}", at + 4, "node type")
    # The level falls by one each time, so a loop cannot be.
    if node.level >= LEVELS_MAX or (level >= 0 and node.level != <unsigned>level):
        s.corrupt(f"node level: expected {f'at most {LEVELS_MAX - 1}' if level < 0 else level}, "
                  f"found {node.level}", at + 5, "node level")
    node.at = at + 8 + 2 * s.address_nbytes
    s.parse(&c, node.at, node.left * (s.address_nbytes + s.length_nbytes) + s.length_nbytes)
    node.at += s.length_nbytes
    return 0


cdef int _symbols(Structure s, uint64_t at, Cursor *names, Cursor *last, size_t *last_nbytes,
                  Links out) except -1:
    """Append the links of one symbol table node."""
    cdef Cursor c
    cdef Link *link
    cdef unsigned version, i, nsymbols, cache
    cdef uint64_t entry_nbytes = 2 * s.address_nbytes + 24, header
    cdef size_t nbytes
    s.parse(&c, at, 8)
    expect(&c, b"SNOD", 4)
    version = u8(&c)
    if version != 1:
        s.unsupported(f"symbol table node version: expected 1, found {version}", at + 4, "version")
    skip(&c, 1)
    nsymbols = u16(&c)
    s.parse(&c, at + 8, nsymbols * entry_nbytes)
    for i in range(nsymbols):
        seek(&c, i * entry_nbytes)
        seek(names, uint(&c, s.address_nbytes))
        header = address(s, &c)
        cache = u32(&c)
        nbytes = until_zero(names)
        s.charge(nbytes)
        link = out.append()
        link.name, link.name_nbytes = tell(names), <uint32_t>min(nbytes, <size_t>0xFFFFFFFF)
        link.target = header
        # Names rise strictly, or the same link could be listed any number of times.
        if last_nbytes[0] and not rises(last, last_nbytes[0], names, nbytes):
            s.corrupt("link name: expected names in rising order, found "
                      f"{text(names, nbytes, 'backslashreplace')!r}", link.name, "link name offset")
        last[0] = names[0]
        last_nbytes[0] = nbytes
        if cache == 2:
            skip(&c, 4)
            seek(names, u32(&c))
            link.kind = SOFT
            link.target, link.target_nbytes = tell(names), <uint32_t>until_zero(names)
        elif cache > 2:
            s.corrupt(f"cache type: expected 0, 1 or 2, found {cache}", at + 8 + i * entry_nbytes,
                      "cache type")
    return 0


cdef int link_message(Structure s, uint64_t offset, uint64_t nbytes, Links out) except -1:
    """Append the link that a message holds."""
    cdef Cursor c
    cdef Link *link
    cdef unsigned version, flags, kind = 0
    cdef uint64_t name_nbytes
    s.view(&c, offset, nbytes)
    version = u8(&c)
    flags = u8(&c)
    if version != 1:
        s.unsupported(f"link message version: expected 1, found {version}", offset, "version")
    if flags & 0xE0:
        s.corrupt(f"link flags: expected at most 0x1f, found {flags:#x}", offset + 1, "flags")
    if flags & 8:
        kind = u8(&c)
    if flags & 4:
        skip(&c, 8)
    if flags & 16:
        skip(&c, 1)
    name_nbytes = uint(&c, 1 << (flags & 3))
    link = out.append()
    link.name = tell(&c)
    skip(&c, name_nbytes)
    s.charge(name_nbytes)
    link.name_nbytes = <uint32_t>name_nbytes
    if kind == 0:
        link.target = address(s, &c)
        return 0
    link.kind = SOFT if kind == 1 else EXTERNAL if kind == 64 else USER_DEFINED
    if kind > 1 and kind < 64:
        s.corrupt(f"link type: expected 0, 1 or at least 64, found {kind}", offset + 2, "link type")
    link.target_nbytes = u16(&c)
    link.target = tell(&c)
    skip(&c, link.target_nbytes)
    return 0


cdef int dense_links(Structure s, uint64_t heap, uint64_t btree, Links out) except -1:
    """Append the links of a group that keeps them in a fractal heap, in the order of the B-tree."""
    cdef FractalHeap h
    cdef Records found = Records()
    cdef Cursor c
    cdef size_t i
    cdef uint64_t offset = 0, nbytes = 0
    open_fractal_heap(s, heap, &h)
    # Type 5: hash of the name u32, heap ID.
    records_of(s, btree, 5, 4 + h.id_nbytes, found)
    for i in range(found.count):
        s.view(&c, found.items[i], 4 + h.id_nbytes)
        skip(&c, 4)
        heap_object(s, &h, &c, &offset, &nbytes)
        link_message(s, offset, nbytes, out)
    return 0
