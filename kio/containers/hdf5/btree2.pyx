"""Version 2 B-trees: links, attributes, huge heap objects, chunks.

Spec: HDF5 File Format Specification 3.0, III.A.2.

Header                             Node
  0  "BTHD"                          0  "BTIN" or "BTLF"
  4  version 0                       4  version 0
  5  type                            5  type
  6  node size, u32                  6  records
 10  record size, u16                   internal: child pointers, one more than records:
 12  depth, u16                           address, O
 14  split and merge percent, u8 u8       number of records, as wide as a leaf's maximum
 16  root node address, O                 total number of records below, from depth 2 on
     records in root node, u16          checksum u32
     total records, L
     checksum u32
"""

from libc.stdint cimport UINT64_MAX
from libc.stdlib cimport free, realloc

from kio.containers.hdf5.structure cimport address, length, times, width_of
from kio.raw.cursor cimport Cursor, expect, skip, u8, u16, u32, uint

cdef enum:
    DEPTH_MAX = 15           # two children a node at the least: more than any file can fill


cdef struct Tree:
    unsigned kind, node_nbytes, record_nbytes, depth
    unsigned count_nbytes                # of the field "number of records"
    uint64_t[DEPTH_MAX + 1] most             # records in a node, by level
    unsigned[DEPTH_MAX + 1] total_nbytes     # of the field "total number of records", by level


cdef struct Node:
    uint64_t record          # next record
    uint64_t child           # next child pointer, 0 in a leaf
    uint64_t nrecords        # left
    unsigned level
    bint below               # the child before the next record is done


cdef class Records:
    def __dealloc__(self):
        free(self.items)

    cdef int append(self, uint64_t offset) except -1:
        cdef void *p
        if self.count == self.room:
            p = realloc(self.items, (self.room * 2 + 64) * sizeof(uint64_t))
            if p == NULL:
                raise MemoryError()
            self.items = <uint64_t *>p
            self.room = self.room * 2 + 64
        self.items[self.count] = offset
        self.count += 1
        return 0


cdef int records_of(Structure s, uint64_t at, unsigned kind, unsigned record_nbytes,
                    Records out) except -1:
    cdef Cursor c
    cdef Tree tree
    cdef Node[DEPTH_MAX + 1] stack
    cdef Node *node
    cdef unsigned deep = 0, version, found_kind
    cdef uint64_t root, nrecords, total, child
    cdef size_t before = out.count
    s.parse(&c, at, 22 + s.address_nbytes + s.length_nbytes)
    expect(&c, b"BTHD", 4)
    version, found_kind = u8(&c), u8(&c)
    s.verify(at, c.end - 4)
    if version:
        s.unsupported(f"version 2 B-tree version: expected 0, found {version}", at + 4, "version")
    tree.node_nbytes = u32(&c)
    tree.record_nbytes = u16(&c)
    tree.depth = u16(&c)
    skip(&c, 2)
    root = address(s, &c)
    nrecords = u16(&c)
    total = length(s, &c)
    if found_kind != kind or tree.record_nbytes != record_nbytes:
        s.corrupt(f"B-tree: expected type {kind} with records of {record_nbytes} bytes, "
                  f"found type {found_kind} with {tree.record_nbytes}", at + 5, "type")
    tree.kind = kind
    if tree.depth > DEPTH_MAX:
        s.corrupt(f"B-tree depth: expected at most {DEPTH_MAX}, found {tree.depth}", at + 12, "depth")
    _capacities(s, at, &tree)
    if root == UINT64_MAX:
        if total:
            s.corrupt(f"total records: expected 0 without a root node, found {total}", at)
        return 0
    _open_node(s, &tree, root, nrecords, tree.depth, &stack[0])
    while True:
        node = &stack[deep]
        if node.child and not node.below:
            # The subtree to the left of the next record, or right of the last.
            s.view(&c, node.child, s.address_nbytes + tree.count_nbytes)
            child = address(s, &c)
            nrecords = uint(&c, tree.count_nbytes)
            node.child += s.address_nbytes + tree.count_nbytes + tree.total_nbytes[node.level - 1]
            node.below = True
            deep += 1
            _open_node(s, &tree, child, nrecords, node.level - 1, &stack[deep])
        elif node.nrecords:
            out.append(node.record)
            node.record += tree.record_nbytes
            node.nrecords -= 1
            node.below = False
        elif deep:
            deep -= 1
        else:
            break
    if out.count - before != total:
        s.corrupt(f"total records: expected {total}, found {out.count - before}", at,
                  "total number of records")
    return 0


cdef int _capacities(Structure s, uint64_t at, Tree *tree) except -1:
    """How many records fit in a node of each level; the widths of two fields follow from it."""
    cdef uint64_t below
    cdef unsigned level, pointer
    if tree.node_nbytes < tree.record_nbytes + 10:
        s.corrupt(f"node size: expected at least {tree.record_nbytes + 10}, found {tree.node_nbytes}",
                  at + 6, "node size")
    tree.most[0] = below = (tree.node_nbytes - 10) // tree.record_nbytes
    tree.count_nbytes = width_of(below)
    tree.total_nbytes[0] = 0
    for level in range(1, tree.depth + 1):
        pointer = s.address_nbytes + tree.count_nbytes + tree.total_nbytes[level - 1]
        if tree.node_nbytes < tree.record_nbytes + 2 * pointer + 10:
            s.corrupt(f"node size: expected at least {tree.record_nbytes + 2 * pointer + 10}, "
                      f"found {tree.node_nbytes}", at + 6, "node size")
        tree.most[level] = (tree.node_nbytes - 10 - pointer) // (tree.record_nbytes + pointer)
        below = times(tree.most[level] + 1, below)
        below = UINT64_MAX if below > UINT64_MAX - tree.most[level] else below + tree.most[level]
        tree.total_nbytes[level] = width_of(below)
    return 0


cdef int _open_node(Structure s, const Tree *tree, uint64_t at, uint64_t nrecords, unsigned level,
                    Node *node) except -1:
    """Check a node and stand before its first child and record."""
    cdef Cursor c
    cdef uint64_t nbytes = 6 + nrecords * tree.record_nbytes
    cdef unsigned version, kind
    if nrecords > tree.most[level]:
        s.corrupt(f"records in node: expected at most {tree.most[level]}, found {nrecords}", at,
                  "number of records")
    node.level = level
    node.nrecords = nrecords
    node.record = at + 6
    node.child = 0
    node.below = False
    if level:
        node.child = at + nbytes
        nbytes += (nrecords + 1) * (s.address_nbytes + tree.count_nbytes + tree.total_nbytes[level - 1])
    s.parse(&c, at, nbytes + 4)
    expect(&c, b"BTIN" if level else b"BTLF", 4)
    version, kind = u8(&c), u8(&c)
    s.verify(at, nbytes)
    if version or kind != tree.kind:
        s.corrupt(f"B-tree node: expected version 0 and type {tree.kind}, found {version} and {kind}",
                  at + 4, "type")
    return 0
