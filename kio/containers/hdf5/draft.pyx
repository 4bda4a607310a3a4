"""The structure of an HDF5 file that is to be written: what h5py would write, in one piece.

    0   superblock, version 0                              96
        global heap collections: text of attributes        4096 each, or as large as the text
        then, depth first, members sorted by their bytes:
          group     object header, local heap, symbol nodes, B-tree
          dataset   object header, and where it is chunked the B-tree of its chunks
    S   data, in the order in which datasets were drafted: at multiples of 64, and of 4,096
        from 1 MiB on
        chunks of those that are compressed, end to end

Every HDF5 since 1.0 reads this profile, and h5py writes no other.  All of it is in front
and depends on names, shapes and attributes alone, so that the place of every byte is known
before one is written.

Group header                 Local heap              Symbol node            B-tree node
  prefix 16                    "HEAP", version 0       "SNOD", version 1      "TREE", type 0, level
  symbol table message 24      size of data, L         number of symbols      children, u16
  attributes                   free list, L: 1 (none)  40 each, room for 8:   left, right sibling, O
                               address of data, O        name offset, O       33 keys, L: name offsets;
Dataset header                 data: 8 zeros, names      object header, O     32 children, O between them
  prefix 16                    with NUL, padded to 8     cache type u32, 4    key 0 is before child 0, key
  dataspace, datatype                                    group: B-tree, heap  i the last name in child i-1
  fill value, [filters]                                  (16 bytes)
  layout, attributes

Spec: HDF5 File Format Specification 3.0, II.A, III.A.1, III.B, III.C, III.D, IV.A.1.a, IV.A.2.
"""

import sys

from kio import dtypes
from kio.containers.hdf5.chunking import filters_of

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport UINT64_MAX
from libc.stdlib cimport free, malloc, qsort, realloc
from libc.string cimport memcmp, memset

from kio.containers.hdf5.chunking cimport SMALLEST
from kio.containers.hdf5.message cimport (
    put_attribute,
    filters_nbytes,
    put_fill,
    put_filters,
    put_space,
    put_type,
    space_nbytes,
    type_nbytes,
)
from kio.raw cimport pen
from kio.raw.tensor cimport Tensor

cdef bint HOST_IS_BIG = sys.byteorder == "big"

cdef enum:
    SUPERBLOCK_NBYTES = 96
    LEAF_K = 4               # a symbol node has room for twice as many
    INTERNAL_K = 16          # and a B-tree node
    PER_LEAF = 2 * LEAF_K
    PER_NODE = 2 * INTERNAL_K
    LEAF_NBYTES = 8 + PER_LEAF * 40
    NODE_NBYTES = 24 + PER_NODE * 8 + (PER_NODE + 1) * 8
    ALIGNED = 64             # of data: what vector loads and jax's zero-copy want
    LARGE = 1 << 20          # from this size on,
    PAGE = 4096              # whole pages

cdef dict CODES = dtypes.CODES
cdef tuple TABLE = dtypes.TABLE
# Opaque types of HDF5 that say what they hold as Keras does for bfloat16.
cdef frozenset MARKED = frozenset([row.name for row in TABLE if row.raw is not None])


cdef int by_name(const void *a, const void *b) noexcept nogil:
    cdef const Node *x = (<const Node **>a)[0]
    cdef const Node *y = (<const Node **>b)[0]
    cdef int order = memcmp(x.name, y.name, min(x.name_nbytes, y.name_nbytes))
    return order if order else (x.name_nbytes > y.name_nbytes) - (x.name_nbytes < y.name_nbytes)


cdef inline uint64_t up(uint64_t n, uint64_t unit) noexcept:
    """n divided by unit, rounded up."""
    return (n + unit - 1) // unit


cdef uint64_t tree_nodes(uint64_t children, uint64_t per_node, uint64_t *root) noexcept:
    """Nodes of a B-tree over so many children, leaves first; root gets the number of the last."""
    cdef uint64_t nodes = 0, level = children
    while True:
        level = max(up(level, per_node), <uint64_t>1)
        nodes += level
        if level == 1:
            root[0] = nodes - 1
            return nodes


cdef class Draft:
    """Groups, datasets and attributes of a file, told one after the other.

    Args:
        compression: Of datasets of 16 KiB and more: ``"gzip"``, ``"zstd"``, or ``(name, level)``.
            Where their chunks go is known only once they are compressed.

    Then ``place`` says where everything will be, ``runs`` where the data of each dataset
    goes, and ``structure`` gives the bytes in front of the data.  The same calls give the
    same bytes.

    Attributes:
        placed: Whether ``place`` was called; nothing can be added afterwards.
        structure_nbytes: Size of the structure, once placed.
        nbytes: Size of the file as HDF5 counts it, once placed: its end-of-file address.

    Cost: about a microsecond a dataset.  Memory: about 300 bytes a dataset and the structure.
    """

    def __cinit__(self, compression=None):
        filters_of(compression, 1)       # raises
        self.compression = compression
        self.names, self.chunkings, self.numbers, self.taken = [], [], {}, {}
        self.heap = GlobalHeap(SUPERBLOCK_NBYTES)
        self.enter("", GROUP)

    def __dealloc__(self):
        free(self.nodes)
        free(self.dims)
        free(self.order)
        free(self.walk)
        pen.drop(&self.messages)

    def __len__(self):
        """Number of datasets."""
        cdef size_t i
        return sum([self.nodes[i].kind == DATASET for i in range(self.nnodes)])

    def __contains__(self, path):
        """Whether there is a group or dataset at ``path``."""
        return path in self.numbers

    # ---- telling

    def group(self, str path, attributes=None):
        """Have a group at ``path``, and those it is in; ``""`` is the root.

        Args:
            path: Names joined by ``/``.
            attributes: Name -> value: text, a list of texts, a number, an array.  What is
                larger than 64,512 bytes is cut along its first axis and stored as ``name0``,
                ``name1``, …, where Keras looks for it.

        Raises:
            ValueError: if the path is none, a dataset is in the way, an attribute is there
                already, or an element of one is too large.
            TypeError: for an attribute that HDF5 has no type for.
        """
        number = self.numbers.get(path)
        if number is None:
            number = self.enter(path, GROUP)
        elif self.nodes[<size_t>number].kind != GROUP:
            raise ValueError(f"path {path!r}: expected a group, found a dataset")
        if attributes:
            self.annotate(number, attributes)

    def dataset(self, str path, str dtype_name, shape, attributes=None, *, Tensor like=None):
        """Have a dataset at ``path``, and the groups that it is in.

        Args:
            path: Names joined by ``/``.
            dtype_name: Name of a row of ``kio.dtypes``.  bfloat16 and float8 are stored as
                opaque bytes with an attribute ``dtype``, as Keras stores bfloat16.
            shape: Elements along each axis, at most 32 axes.
            attributes: As for ``group``.
            like: A tensor of another file, which is the value: if it is stored in chunks that
                HDF5 can have too, they are copied undecoded.

        Raises:
            ValueError: if the path is none or taken, or a number is out of bounds.
            KeyError: for a dtype that kio does not know.
        """
        cdef Node *node
        cdef uint32_t number
        cdef uint64_t total
        cdef int8_t dtype = CODES[dtype_name]
        cdef unsigned i, rank = len(shape)
        cdef void *p
        if rank > 32:
            raise ValueError(f"shape of {path!r}: expected at most 32 dimensions, found {rank}")
        total = TABLE[dtype].itemsize
        wide = total
        for n in shape:
            wide *= n
            if n < 0 or n >> 63:
                raise ValueError(f"shape of {path!r}: expected dimensions from 0 to 2**63, found {n}")
        if wide >> 60:
            raise ValueError(f"shape of {path!r}: expected less than 2**60 bytes, found {wide}")
        if path in self.numbers:
            raise ValueError(f"path {path!r}: expected it once, found it twice")
        if self.ndims + rank > self.cap_dims:
            p = realloc(self.dims, (self.cap_dims * 2 + 256) * sizeof(uint64_t))
            if p == NULL:
                raise MemoryError()
            self.dims, self.cap_dims = <uint64_t *>p, self.cap_dims * 2 + 256
        number = self.enter(path, DATASET)
        node = self.nodes + number
        node.dtype, node.rank, node.dims, node.nbytes = dtype, rank, <uint32_t>self.ndims, wide
        for i in range(rank):
            self.dims[self.ndims + i] = shape[i]
        self.ndims += rank
        chunking = None
        if like is not None:
            if like.shape != tuple(shape):
                raise ValueError(f"storage of {path!r}: expected a tensor of {tuple(shape)}, found {like!r}")
            if like.dtype_name == dtype_name and like.swapped == HOST_IS_BIG:
                chunking = Chunking.like(like)
        elif self.compression is not None and wide >= SMALLEST:
            chunking = Chunking(tuple(shape), TABLE[dtype].itemsize,
                                filters_of(self.compression, TABLE[dtype].itemsize))
        if chunking is not None:
            node.chunking = <int32_t>len(self.chunkings)
            self.chunkings.append(chunking)
        if attributes:
            self.annotate(number, attributes)
        if dtype_name in MARKED and "dtype" not in self.taken.get(number, ()):
            self.annotate(number, {"dtype": dtype_name})

    cdef uint32_t enter(self, str path, uint8_t kind) except? 0xFFFFFFFF:
        """Add a node, and the groups that it is in."""
        cdef Node *node
        cdef bytes raw
        cdef void *p
        cdef uint32_t number, parent = 0
        if self.placed:
            raise ValueError(f"path {path!r}: expected a draft that is not placed yet, found a placed one")
        above, _, name = path.rpartition("/")
        if above:
            found = self.numbers.get(above)
            parent = self.enter(above, GROUP) if found is None else found
            if self.nodes[parent].kind != GROUP:
                raise ValueError(f"path {path!r}: expected a group at {above!r}, found a dataset")
        elif name != path:
            raise ValueError(f"path: expected one without a leading '/', found {path!r}")
        raw = name.encode("utf-8", "surrogateescape")
        if self.nnodes and (name in ("", ".") or b"\0" in raw):
            raise ValueError(f"path: expected names without NUL other than '' and '.', found {path!r}")
        if len(raw) > 0xFFFF or self.nnodes >= 0x7FFFFFFF:
            raise ValueError(f"path {path[:80]!r}…: expected a name of at most 65,535 bytes and less than "
                             f"2**31 objects, found {len(raw)} and {self.nnodes}")
        if self.nnodes == self.cap_nodes:
            p = realloc(self.nodes, (self.cap_nodes * 2 + 64) * sizeof(Node))
            if p == NULL:
                raise MemoryError()
            self.nodes, self.cap_nodes = <Node *>p, self.cap_nodes * 2 + 64
        number = <uint32_t>self.nnodes
        node = self.nodes + number
        memset(node, 0, sizeof(Node))
        self.names.append(raw)
        node.name, node.name_nbytes = <const char *>raw, <uint32_t>len(raw)
        node.kind, node.parent, node.chunking, node.offset = kind, parent, -1, UINT64_MAX
        self.numbers[path] = number
        self.nnodes += 1
        if number:
            self.nodes[parent].count += 1
        return number

    cdef int annotate(self, uint32_t number, attributes) except -1:
        """Write the messages of attributes, all those of an object in one run."""
        cdef Node *node = self.nodes + number
        cdef size_t start = self.messages.at
        taken = self.taken.setdefault(number, set())
        if self.placed:
            raise ValueError("attributes: expected a draft that is not placed yet, found a placed one")
        if node.attributes_nbytes and node.attributes + node.attributes_nbytes != start:
            # Others were written since: move what there is behind them.
            pen.reserve(&self.messages, node.attributes_nbytes)
            pen.put(&self.messages, self.messages.base + node.attributes, node.attributes_nbytes)
        elif node.attributes_nbytes:
            start = node.attributes
        node.attributes = start
        for name, value in attributes.items():
            if name in taken:
                raise ValueError(f"attribute {name!r}: expected it once, found it twice")
            parts = put_attribute(&self.messages, self.heap, name, value)
            for called in [name] if parts == 1 else [f"{name}{k}" for k in range(parts)]:
                if called in taken:
                    raise ValueError(f"attribute {called!r}: expected it once, found it twice")
                taken.add(called)
            if node.nattributes + parts > 60000:
                raise ValueError(f"attributes: expected at most 60000 of one object, found {name!r} more")
            node.nattributes += parts
        node.attributes_nbytes = self.messages.at - start
        return 0

    # ---- placing

    def place(self):
        """Give everything its address; ``structure_nbytes`` and ``nbytes`` are known then.

        Chunks that are still to be compressed are not counted: they come behind all others.
        """
        cdef Node *node
        cdef Node **todo
        cdef Chunking chunking
        cdef uint64_t at = SUPERBLOCK_NBYTES + self.heap.pen.at
        cdef size_t i, n = 0, waiting = 1
        if self.placed:
            return
        self.placed = True
        self.sort()
        todo = <Node **>malloc(self.nnodes * sizeof(Node *))
        self.walk = <Node **>malloc(self.nnodes * sizeof(Node *))
        if todo == NULL or self.walk == NULL:
            free(todo)
            raise MemoryError()
        try:
            todo[0] = self.nodes
            while waiting:
                waiting -= 1
                node = todo[waiting]
                self.walk[n] = node
                n += 1
                node.header = at
                if node.kind == DATASET:
                    at = self.place_dataset(node, at)
                    continue
                at = self.place_group(node, at)
                # A stack: what is to come first goes on last.
                for i in range(node.count):
                    todo[waiting] = self.order[node.first + node.count - 1 - i]
                    waiting += 1
        finally:
            free(todo)
        self.structure_nbytes = self.nbytes = at
        for i in range(self.nnodes):
            node = self.nodes + i
            if node.kind == DATASET and node.nbytes and node.chunking < 0:
                node.offset = up(self.nbytes, PAGE if node.nbytes >= LARGE else ALIGNED)
                node.offset *= PAGE if node.nbytes >= LARGE else ALIGNED
                self.nbytes = node.offset + node.nbytes
            elif node.chunking >= 0 and self.chunking_of(node).tensor is not None:
                chunking = self.chunking_of(node)
                for n in range(chunking.count):
                    chunking.places[n].offset = self.nbytes
                    self.nbytes += chunking.places[n].nbytes
        self.placed_nbytes = self.nbytes

    cdef int sort(self) except -1:
        """Members of each group by name, as symbol tables must have them."""
        cdef size_t i
        cdef uint32_t first = 0
        cdef Node *parent
        cdef Node *node
        self.order = <Node **>malloc(self.nnodes * sizeof(Node *))
        if self.order == NULL:
            raise MemoryError()
        for i in range(self.nnodes):
            self.nodes[i].first = first
            first += self.nodes[i].count
            self.nodes[i].count = 0
        for i in range(1, self.nnodes):
            parent = self.nodes + self.nodes[i].parent
            self.order[parent.first + parent.count] = self.nodes + i
            parent.count += 1
        for i in range(self.nnodes):
            node = self.nodes + i
            if node.kind == GROUP and node.count > 1:
                qsort(self.order + node.first, node.count, sizeof(Node *), &by_name)
        return 0

    cdef uint64_t place_group(self, Node *node, uint64_t at) except? 0:
        """The address after a group; names get their places in its heap."""
        cdef uint64_t heap = 8, leaves = up(node.count, PER_LEAF), root
        cdef Node *member
        cdef size_t i
        for i in range(node.count):
            member = self.order[node.first + i]
            member.name_at = heap
            heap += (<uint64_t>member.name_nbytes + 8) & ~<uint64_t>7
        node.nbytes = heap
        return (heap_of(node) + 32 + heap + leaves * LEAF_NBYTES
                + tree_nodes(leaves, PER_NODE, &root) * NODE_NBYTES)

    cdef uint64_t place_dataset(self, Node *node, uint64_t at) except? 0:
        at += 16 + self.messages_nbytes(node)
        return at if node.chunking < 0 else at + self.chunking_of(node).tree_nbytes

    cdef size_t messages_nbytes(self, const Node *node) except? 0:
        """Size of a dataset's messages."""
        cdef Chunking chunking
        cdef size_t nbytes = (8 + space_nbytes(node.rank) + 8 + type_nbytes(node.dtype) + 16
                              + node.attributes_nbytes)
        if node.chunking < 0:
            return nbytes + 32
        chunking = self.chunking_of(node)
        return nbytes + 8 + up(15 + 4 * node.rank, 8) * 8 + filters_nbytes(chunking.filters)

    cdef Chunking chunking_of(self, const Node *node):
        return self.chunkings[node.chunking]

    def runs(self):
        """``(path, offset, nbytes)`` of every dataset stored in one run, in file order."""
        cdef Node *node
        out = []
        if not self.placed:
            raise ValueError("runs: expected a draft that is placed, found one that is not")
        for path, number in self.numbers.items():
            node = self.nodes + <size_t>number
            if node.kind == DATASET and node.nbytes and node.chunking < 0:
                out.append((path, node.offset, node.nbytes))
        return out

    cdef tuple shape_of(self, const Node *node):
        return tuple([self.dims[node.dims + i] for i in range(node.rank)])

    # ---- bytes

    def structure(self):
        """The bytes from the start of the file to the end of its structure."""
        cdef Pen p
        cdef size_t i
        cdef bytes out
        if not self.placed:
            raise ValueError("structure: expected a draft that is placed, found one that is not")
        out = PyBytes_FromStringAndSize(NULL, self.structure_nbytes)
        p.base, p.at, p.end, p.fixed = <uint8_t *><char *>out, 0, self.structure_nbytes, True
        self.put_superblock(&p)
        pen.put(&p, self.heap.pen.base, self.heap.pen.at)
        for i in range(self.nnodes):
            if p.at != self.walk[i].header:
                raise RuntimeError(f"structure: expected an object at byte {self.walk[i].header}, found {p.at}")
            if self.walk[i].kind == GROUP:
                self.put_group(&p, self.walk[i])
            else:
                self.put_dataset(&p, self.walk[i])
        if p.at != self.structure_nbytes:
            raise RuntimeError(f"structure: expected {self.structure_nbytes} bytes, found {p.at}")
        return out

    cdef int put_superblock(self, Pen *p) except -1:
        pen.put(p, b"\x89HDF\r\n\x1a\n", 8)
        pen.put(p, b"\0\0\0\0\0\x08\x08\0", 8)      # versions; sizes of offsets and of lengths
        pen.put16(p, LEAF_K)
        pen.put16(p, INTERNAL_K)
        pen.put32(p, 0)                             # consistency flags
        pen.put64(p, 0)                             # base address
        pen.put64(p, UINT64_MAX)                    # free space
        pen.put64(p, self.nbytes)
        pen.put64(p, UINT64_MAX)                    # driver information
        pen.put64(p, 0)                             # the root's name
        pen.put64(p, self.nodes[0].header)
        put_scratch(p, self.nodes)
        return 0

    cdef int put_group(self, Pen *p, const Node *node) except -1:
        cdef const Node *member
        cdef size_t i, start = p.at
        put_prefix(p, 1 + node.nattributes, 24 + node.attributes_nbytes)
        pen.put32(p, 0x11 | 16 << 16)               # a symbol table message
        pen.put32(p, 0)
        pen.put64(p, tree_of(node))
        pen.put64(p, heap_of(node))
        pen.put(p, self.messages.base + node.attributes, node.attributes_nbytes)
        # Local heap.
        pen.put(p, b"HEAP\0\0\0\0", 8)
        pen.put64(p, node.nbytes)
        pen.put64(p, 1)                             # no free block
        pen.put64(p, start + 16 + 24 + node.attributes_nbytes + 32)
        pen.put64(p, 0)
        for i in range(node.count):
            member = self.order[node.first + i]
            pen.put(p, member.name, member.name_nbytes)
            pen.room(p, 8 - (member.name_nbytes & 7))
        # Symbol nodes.
        for i in range(node.count):
            if i % PER_LEAF == 0:
                pen.put(p, b"SNOD\1\0", 6)
                pen.put16(p, min(<size_t>PER_LEAF, node.count - i))
            member = self.order[node.first + i]
            pen.put64(p, member.name_at)
            pen.put64(p, member.header)
            put_scratch(p, member)
        if node.count % PER_LEAF:
            pen.room(p, (PER_LEAF - node.count % PER_LEAF) * 40)
        return self.put_tree(p, node)

    cdef int put_tree(self, Pen *p, const Node *node) except -1:
        """The B-tree over the symbol nodes that were just written, level by level."""
        cdef uint64_t children = up(node.count, PER_LEAF)     # of this level,
        cdef uint64_t below = p.at - children * LEAF_NBYTES   # the first of them,
        cdef uint64_t child_nbytes = LEAF_NBYTES              # their size,
        cdef uint64_t spans = PER_LEAF                        # and the names that one has
        cdef uint64_t here, nodes, i, k, taken
        cdef unsigned level = 0
        while True:
            here = p.at
            nodes = max(up(children, PER_NODE), <uint64_t>1)
            for i in range(nodes):
                taken = min(children - i * PER_NODE, <uint64_t>PER_NODE)
                pen.put(p, b"TREE\0", 5)
                pen.put8(p, level)
                pen.put16(p, <uint16_t>taken)
                pen.put64(p, here + (i - 1) * NODE_NBYTES if i else UINT64_MAX)
                pen.put64(p, here + (i + 1) * NODE_NBYTES if i + 1 < nodes else UINT64_MAX)
                pen.put64(p, self.last_name(node, i * PER_NODE * spans))
                for k in range(i * PER_NODE, i * PER_NODE + taken):
                    pen.put64(p, below + k * child_nbytes)
                    pen.put64(p, self.last_name(node, (k + 1) * spans))
                pen.room(p, (PER_NODE - taken) * 16)
            if nodes == 1:
                return 0
            below, children, child_nbytes = here, nodes, NODE_NBYTES
            spans *= PER_NODE
            level += 1

    cdef uint64_t last_name(self, const Node *node, uint64_t end) noexcept:
        """Where the last of the first ``end`` names is in the heap; 0, the empty name, for none."""
        end = min(end, <uint64_t>node.count)
        return self.order[node.first + end - 1].name_at if end else 0

    cdef int put_dataset(self, Pen *p, const Node *node) except -1:
        cdef Chunking chunking
        cdef uint64_t tree = p.at + 16 + self.messages_nbytes(node)
        cdef size_t nbytes = up(15 + 4 * node.rank, 8) * 8
        cdef unsigned d
        put_prefix(p, (4 if node.chunking < 0 else 5) + node.nattributes, tree - p.at - 16)
        put_space(p, self.dims + node.dims, node.rank)
        put_type(p, node.dtype)
        put_fill(p, node.chunking >= 0)
        if node.chunking < 0:
            pen.put32(p, 0x08 | 24 << 16)               # a layout message
            pen.put32(p, 0)
            pen.put16(p, 3 | 1 << 8)                    # version 3, contiguous
            pen.put64(p, node.offset)
            pen.put64(p, node.nbytes)
            pen.room(p, 6)
            return pen.put(p, self.messages.base + node.attributes, node.attributes_nbytes)
        chunking = self.chunking_of(node)
        put_filters(p, chunking.filters)
        pen.put32(p, 0x08 | <uint32_t>nbytes << 16)
        pen.put32(p, 0)
        pen.put16(p, 3 | 2 << 8)                        # version 3, chunked
        pen.put8(p, node.rank + 1)
        pen.put64(p, tree + chunking.root)
        for d in range(node.rank):
            pen.put32(p, <uint32_t>chunking.chunk[d])
        pen.put32(p, chunking.itemsize)
        pen.room(p, nbytes - 15 - 4 * node.rank)
        pen.put(p, self.messages.base + node.attributes, node.attributes_nbytes)
        return chunking.put_tree(p)


cdef inline uint64_t heap_of(const Node *node) noexcept:
    """Address of a group's local heap."""
    return node.header + 16 + 24 + node.attributes_nbytes


cdef uint64_t tree_of(const Node *node) noexcept:
    """Address of the root of a group's B-tree."""
    cdef uint64_t leaves = up(node.count, PER_LEAF), root
    tree_nodes(leaves, PER_NODE, &root)
    return heap_of(node) + 32 + node.nbytes + leaves * LEAF_NBYTES + root * NODE_NBYTES


cdef int put_prefix(Pen *p, unsigned messages, size_t nbytes) except -1:
    """The prefix of an object header, version 1."""
    if nbytes >> 32:
        raise ValueError(f"attributes of one object: expected less than 4 GiB, found {nbytes} bytes")
    pen.put16(p, 1)
    pen.put16(p, <uint16_t>messages)
    pen.put32(p, 1)                                 # one link
    pen.put32(p, <uint32_t>nbytes)
    return pen.put32(p, 0)


cdef int put_scratch(Pen *p, const Node *node) except -1:
    """The end of a symbol table entry: of a group, where its B-tree and heap are."""
    if node.kind != GROUP:
        pen.room(p, 24)
        return 0
    pen.put64(p, 1)
    pen.put64(p, tree_of(node))
    return pen.put64(p, heap_of(node))
