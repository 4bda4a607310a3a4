"""How a dataset is cut into chunks, and the B-tree that finds them.

A chunk is about 1 MiB: whole trailing axes, part of one axis, one element of those before.
So it is one run of the elements as they lie in memory, the last of an axis filled up with
zeros, and all can be compressed at the same time.

B-tree node, type 1
  0  "TREE", type 1, level u8, entries u16
  8  left, right sibling, O each
 24  65 keys, 64 children (O) between them; a key says of the chunk after it:
       stored size u32, filter mask u32 (bit i: filter i was skipped),
       first element along each axis u64, 0 u64

The key after the last chunk is that of the position behind it.

Spec: HDF5 File Format Specification 3.0, III.A.1; IV.A.2.i (layout), IV.A.2.l (filters).
"""

from libc.stdint cimport UINT64_MAX, uint16_t
from libc.stdlib cimport calloc, free

from kio.raw import codecs

from kio.raw cimport pen
from kio.raw.tensor cimport Extent, Tensor

cdef enum:
    CHUNK_K = 32
    PER_NODE = 2 * CHUNK_K
    TARGET = 1 << 20         # bytes of a chunk: enough work for a thread, little memory


def filters_of(compression, unsigned itemsize):
    """The filters that a compression stands for: shuffle where there are bytes to sort, then it.

    Args:
        compression: ``"gzip"``, ``"zstd"``, ``(name, level)``, or None.
        itemsize: Bytes of an element.

    Returns:
        ``(codec, client values)`` pairs, none for None.

    Raises:
        ValueError: for any other.
    """
    if compression is None:
        return ()
    name, level = (compression, None) if isinstance(compression, str) else tuple(compression)
    row = codecs.of_option(name) if isinstance(name, str) else None
    if row is None:
        raise ValueError(f"compression: expected {', '.join(map(repr, codecs.options()))} or one of them with a level, "
                         f"found {compression!r}")
    usual, lowest, highest = row.levels
    level = usual if level is None else level
    if not isinstance(level, int) or not lowest <= level <= highest:
        raise ValueError(f"level of {name}: expected {lowest} to {highest}, found {level!r}")
    return ((("shuffle", (itemsize,)),) if itemsize > 1 else ()) + ((row.name, (level,)),)


cdef class Chunking:
    """The chunks of one dataset.

    Args:
        shape: Of the dataset, without zeros.
        itemsize: Bytes of an element.
        filters: As ``filters_of`` gives them.
    """

    def __init__(self, tuple shape, unsigned itemsize, tuple filters):
        cdef unsigned axis = len(shape)
        cdef uint64_t inner = itemsize, parts
        chunk = [1] * len(shape)
        # From the last axis on: as many whole ones as fit, then part of one.
        while axis:
            axis -= 1
            if inner * <uint64_t>shape[axis] > TARGET:
                parts = max(<uint64_t>1, TARGET // inner)
                parts = (<uint64_t>shape[axis] + parts - 1) // parts
                # Of equal parts the last needs the least filling up.
                chunk[axis] = (<uint64_t>shape[axis] + parts - 1) // parts
                break
            chunk[axis] = shape[axis]
            inner *= <uint64_t>shape[axis]
        self.shape, self.filters = tuple(chunk), filters
        self.begin(shape, itemsize)

    @staticmethod
    def like(Tensor tensor):
        """The chunks of a tensor of another file, to be copied as they are stored.

        Returns:
            None where HDF5 as kio writes it could not say how they are stored.
        """
        cdef Extent extent
        cdef Chunking self
        if tensor.plain or tensor.boxed or tensor.problem is not None or not tensor.extents:
            return None
        if tensor.extents[0].start is None:
            return None
        every = max([(<Extent>e).codecs for e in tensor.extents], key=len)
        applied = every[::-1]
        self = Chunking.__new__(Chunking)
        self.shape, self.tensor = tensor.extents[0].chunk, tensor
        self.filters = tuple([(name, (value,) if codecs.named(name).parameter else ()) for name, value in applied])
        self.begin(tensor.shape, tensor.itemsize)
        if self.count != <uint64_t>len(tensor.extents):
            return None
        self.extents = [None] * self.count
        strides = [1]
        for n in [self.across[d] for d in range(self.rank - 1, 0, -1)]:
            strides.insert(0, strides[0] * n)
        for each in tensor.extents:
            extent = each
            number = sum([start // c * n for start, c, n in zip(extent.start, self.shape, strides)])
            skipped = [i for i, codec in enumerate(applied) if codec not in extent.codecs]
            if tuple([c for c in every if c in extent.codecs]) != extent.codecs or extent.nbytes >> 32:
                return None
            self.extents[<size_t>number] = extent
            self.places[<size_t>number].nbytes = <uint32_t>extent.nbytes
            self.places[<size_t>number].mask = sum([1 << i for i in skipped])
        return self

    cdef int begin(self, shape, unsigned itemsize) except -1:
        cdef uint64_t level, nodes = 0
        cdef unsigned d
        self.rank, self.itemsize, self.count, self.nbytes = len(shape), itemsize, 1, itemsize
        for d in range(self.rank):
            self.chunk[d] = self.shape[d]
            self.across[d] = (<uint64_t>shape[d] + self.chunk[d] - 1) // self.chunk[d]
            self.count *= self.across[d]
            self.nbytes *= self.chunk[d]
            if self.chunk[d] >> 32:
                raise ValueError(f"chunk: expected less than 2**32 elements along each axis, found {self.shape}")
        if self.nbytes >> 32:
            raise ValueError(f"chunk: expected less than 4 GiB, found {self.nbytes} bytes")
        self.places = <Place *>calloc(self.count, sizeof(Place))
        if self.places == NULL:
            raise MemoryError()
        level = self.count
        while True:
            level = (level + PER_NODE - 1) // PER_NODE
            nodes += level
            if level == 1:
                break
        self.tree_nbytes = nodes * self.node_nbytes()
        self.root = self.tree_nbytes - self.node_nbytes()
        return 0

    def __dealloc__(self):
        free(self.places)

    cdef size_t node_nbytes(self) noexcept:
        return 24 + PER_NODE * 8 + (PER_NODE + 1) * (16 + 8 * self.rank)

    cdef int put_key(self, Pen *p, uint64_t number) except -1:
        """The key before a chunk, or behind the last."""
        cdef uint64_t[32] start
        cdef uint64_t rest
        cdef bint behind = number == self.count
        cdef int d
        rest = number - behind
        for d in range(<int>self.rank - 1, -1, -1):
            start[d] = rest % self.across[d] * self.chunk[d]
            rest //= self.across[d]
        if behind:
            start[self.rank - 1] += self.chunk[self.rank - 1]
        pen.put32(p, 0 if behind else self.places[number].nbytes)
        pen.put32(p, 0 if behind else self.places[number].mask)
        for d in range(<int>self.rank):
            pen.put64(p, start[d])
        return pen.put64(p, self.itemsize if behind else 0)

    cdef int put_tree(self, Pen *p) except -1:
        """All nodes, level by level, leaves first."""
        cdef uint64_t children = self.count, spans = 1, below = 0, here, nodes, i, k, taken
        cdef size_t size = self.node_nbytes()
        cdef unsigned level = 0
        while True:
            here = p.at
            nodes = (children + PER_NODE - 1) // PER_NODE
            for i in range(nodes):
                taken = min(children - i * PER_NODE, <uint64_t>PER_NODE)
                pen.put(p, b"TREE\1", 5)
                pen.put8(p, level)
                pen.put16(p, <uint16_t>taken)
                pen.put64(p, here + (i - 1) * size if i else UINT64_MAX)
                pen.put64(p, here + (i + 1) * size if i + 1 < nodes else UINT64_MAX)
                for k in range(i * PER_NODE, i * PER_NODE + taken):
                    self.put_key(p, k * spans)
                    pen.put64(p, below + k * size if level else self.places[k].offset)
                self.put_key(p, min((i * PER_NODE + taken) * spans, self.count))
                pen.room(p, (PER_NODE - taken) * (24 + 8 * self.rank))
            if nodes == 1:
                return 0
            below, children, level = here, nodes, level + 1
            spans *= PER_NODE
