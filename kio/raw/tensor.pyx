"""Extent, Tensor, Index: what a container says about bytes that it has not read.

``seal`` checks every invariant that transfer relies on; nothing unsealed is read:

* rank and decoded size within ``Limits``, products computed without overflow;
* a plain tensor's run is inside its source and exactly as long as its shape says;
* plain runs of one source do not overlap, so that reading all cannot exceed the file;
* chunks lie on their grid, cover the tensor, each once, with bounded expansion;
* boxes of any shape lie in the tensor and cover each element once.
"""

import itertools
import sys
from collections.abc import Mapping

import numpy as np

from kio import dtypes
from kio.errors import CorruptError, LimitError, TruncatedError, UnsupportedError
from kio.limits import DEFAULT, SEALED

cimport cython
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memset

cdef bint HOST_IS_BIG = sys.byteorder == "big"
cdef tuple TABLE = dtypes.TABLE
cdef dict CODES = dtypes.CODES
# By row number, so that sealing does not go through Python objects.
cdef uint8_t[128] ITEMSIZES
cdef uint8_t[128] OPAQUE
for _code, _row in enumerate(TABLE):
    ITEMSIZES[_code], OPAQUE[_code] = _row.itemsize, _row.name.startswith("opaque")

# Names by row number; NumPy's dtypes by row number, twice that, and one more in big-endian order, as they are needed.
cdef list NAMES = [row.name for row in TABLE]
cdef list NUMPY = [None] * (2 * len(TABLE))

# transfer, which stands on this module: what a tensor is asked for it has read there.
cdef object READER = None


def read_by(reader):
    """Tell tensors what reads them; ``kio.raw`` sees to it that there is something."""
    global READER
    READER = reader


cdef class Extent:
    """One stored run of bytes and the box of the tensor that it fills.

    Args:
        source: Where the run is.
        offset, nbytes: In bytes, in ``source``, as stored.
        codecs: ``(name, parameter)`` pairs, in the order in which they are undone.
        start: First element of the box, one index a dimension; None for a run that
            holds the whole tensor.
        chunk: Shape of the decoded chunk in elements.  It may hang over the tensor's
            edges, as HDF5 edge chunks do.
        checksum: ``(algorithm, value)`` over the stored bytes, or None.
    """

    def __init__(self, Source source, uint64_t offset, uint64_t nbytes, tuple codecs=(),
                 tuple start=None, tuple chunk=None, object checksum=None):
        self.source, self.offset, self.nbytes = source, offset, nbytes
        self.codecs, self.start, self.chunk, self.checksum = codecs, start, chunk, checksum

    def __reduce_ex__(self, protocol):
        cdef Source source = self.source
        offset = self.offset
        if source is not None and source.place is None and source.memory != NULL:
            # Of bytes in memory no more travels than the run.
            source, offset = Source.of_bytes(source.read(offset, self.nbytes), source.name), 0
        return Extent, (source, offset, self.nbytes, self.codecs, self.start, self.chunk, self.checksum)

    def __copy__(self):
        return self

    def __repr__(self):
        return (f"Extent({self.offset:#x}+{self.nbytes}, codecs={self.codecs}, "
                f"start={self.start}, chunk={self.chunk})")


cdef class Sums:
    """Checksums that a container keeps of what it stores.

    Args:
        count: How many; the container fills them in.
        whole: They are CRC-32Cs of whole runs, not CRC-32s of each MiB.
    """

    def __cinit__(self, uint64_t count, bint whole=False):
        self.values = <uint32_t *>calloc(count + 1, sizeof(uint32_t))
        if self.values == NULL:
            raise MemoryError(f"{count} checksums")
        self.count, self.cap, self.whole = count, count + 1, whole

    cdef uint64_t append(self, uint32_t value) except? 0xDEAD:
        """Add one, before any is used; returns its number."""
        cdef void *p
        if self.count == self.cap:
            p = realloc(self.values, 2 * self.cap * sizeof(uint32_t))
            if p == NULL:
                raise MemoryError(f"{2 * self.cap} checksums")
            self.values, self.cap = <uint32_t *>p, 2 * self.cap
        self.values[self.count] = value
        self.count += 1
        return self.count - 1

    def __dealloc__(self):
        free(self.values)


def _rebuilt(str name, str dtype_name, tuple shape, tuple extents, bint big_endian, str problem, tuple sums,
             bint whole, bint boxed):
    """A tensor that travelled.  It is sealed again, without the caps that it has passed already."""
    cdef Tensor self = Tensor(name, dtype_name, shape, extents, big_endian=big_endian, problem=problem, limits=SEALED,
                              boxed=boxed)
    cdef Py_ssize_t i
    if sums and self.plain:
        self.sums = Sums(len(sums), whole)
        for i in range(len(sums)):
            self.sums.values[i] = sums[i]
    return self


cdef class Tensor:
    """Name, dtype, shape, and where the bytes are.  Reading happens on demand.

    ``np.asarray(t)`` reads all of it, ``t[10:20]`` only the rows asked for, and
    ``t.read_into(out)`` fills an array that exists.

    Args:
        name: Name in the checkpoint.
        dtype_name: A name of ``kio.dtypes.TABLE``.
        shape: In elements.
        extents: Where the bytes are.
        big_endian: Byte order as stored.
        problem: Why the tensor cannot be read, or None.
        limits: Caps to seal under.
        boxed: The extents are boxes of any shape, each stored as it is, that cover the tensor.

    Raises:
        FormatError: if an invariant of the module's docstring does not hold.

    One of a local file can be pickled and copied: as where its bytes are, not as the bytes.
    """

    def __init__(self, str name, str dtype_name, tuple shape, extents=(), *,
                 bint big_endian=False, str problem=None, limits=DEFAULT, bint boxed=False):
        cdef Extent extent
        self.name, self.dtype_name, self.shape, self.problem = name, dtype_name, shape, problem
        self.itemsize = dtypes.BY_NAME[dtype_name].itemsize
        self.dtype = dtypes.numpy_dtype(dtype_name, big_endian and self.itemsize > 1)
        self.swapped = big_endian != HOST_IS_BIG and self.itemsize > 1
        if problem is None and dtype_name == dtypes.TEXT:
            problem = "text of any length"       # made by an Index alone
            self.problem = problem
        self.nelems = _nelems(name, shape, self.itemsize, limits)
        self.nbytes = self.nelems * self.itemsize
        self.parts = tuple(extents)
        if problem is not None:
            return
        if self.parts:
            self.source = (<Extent>self.parts[0]).source
        if len(self.parts) == 1:
            extent = self.parts[0]
            if not extent.codecs and extent.start is None:
                self.plain, self.offset = True, extent.offset
        if self.nelems == 0:
            return
        if self.plain:
            extent = self.parts[0]
            if extent.nbytes != self.nbytes:
                raise CorruptError(f"stored size: expected {self.nbytes} bytes, found {extent.nbytes}",
                                   source=self.source.name, tensor=name, offset=extent.offset)
            _inside(name, extent)
        elif not self.parts:
            self.problem = "no data stored"
        elif boxed:
            self.boxed = True
            _seal_boxes(self, limits)
        else:
            _seal_chunks(self, limits)

    @property
    def extents(self):
        """The stored runs, as a tuple of ``Extent``."""
        if self.plain and not self.parts:
            self.parts = (Extent(self.source, self.offset, self.nbytes),)
        return self.parts

    @property
    def nbytes_stored(self):
        """Bytes the tensor takes in its file."""
        return self.nbytes if self.plain else sum([e.nbytes for e in self.extents])

    @property
    def summed(self):
        """Whether the file has checksums of this tensor by itself."""
        if self.plain:
            return self.sums is not None
        return bool(self.extents) and all([(<Extent>e).checksum is not None for e in self.extents])

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def size(self):
        """Number of elements, as NumPy names it."""
        return self.nelems

    def __len__(self):
        if not self.shape:
            raise TypeError("len() of a scalar tensor")
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        if self.plain and self.source.mapped and not self.swapped and not copy:
            array = self.view()
            return array if dtype is None else array.astype(dtype, copy=False)
        if copy is False:
            raise ValueError("a tensor in a file cannot become an array without a copy; "
                             "kio.open(path, mmap=True) gives views")
        array = READER.read([self])[0]
        return array if dtype is None else array.astype(dtype, copy=False)

    def view(self):
        """A read-only array on the mapped file itself.  Cost: no byte is read.

        Raises:
            ValueError: unless the file was opened with ``mmap=True`` and the tensor's bytes
                lie there as they are used: uncompressed, in the machine's byte order.
        """
        if not (self.plain and self.source.mapped and not self.swapped):
            raise ValueError(f"{self.name}: not stored as a view needs it, or the file is not mapped")
        return np.ndarray(self.shape, self.dtype, self.source.mapping(), self.offset)

    def __getitem__(self, key):
        if self.plain and self.source.mapped and not self.swapped:
            return self.view()[key]
        return READER.read_slice(self, key)

    def read_into(self, out):
        """Fill ``out``, a writable C-contiguous array of this dtype and shape.

        Raises:
            ValueError: if dtype, shape or layout of ``out`` do not fit.
            FormatError: if stored bytes are damaged.
        """
        READER.read([self], into=[out])

    def __reduce_ex__(self, protocol):
        cdef uint64_t i, nblocks = 0
        if self.stored is not None:
            raise TypeError(f"cannot pickle or copy {self.name}, which is text of an HDF5 file: "
                            "pickle the Checkpoint, or np.asarray(tensor)")
        if self.sums is not None:
            nblocks = 1 if self.sums.whole else (self.nbytes + SUM_BLOCK - 1) // SUM_BLOCK
        sums = tuple([self.sums.values[self.first_sum + i] for i in range(nblocks)])
        return _rebuilt, (self.name, self.dtype_name, self.shape, self.extents, self.swapped != HOST_IS_BIG,
                          self.problem, sums, self.sums is not None and self.sums.whole, self.boxed)

    def __copy__(self):
        return self

    def __repr__(self):
        return f"Tensor({self.name!r}, {self.dtype_name}, {self.shape})"


@cython.final
@cython.no_gc
cdef class TensorSpec:
    """What a report keeps of a tensor: everything but the way to its bytes.

    Args:
        name: Name in the checkpoint.
        dtype_name: A name of ``kio.dtypes.TABLE``.
        shape: In elements.
        nbytes: Decoded.
        problem: Why the tensor cannot be read, or None.
    """

    def __init__(self, str name, str dtype_name, tuple shape, uint64_t nbytes, str problem=None):
        # Numbers alone: what is not tracked by the garbage collector must not lead back here.
        self.shape = tuple([int(extent) for extent in shape])
        self.name, self.dtype_name, self.nbytes, self.problem = name, dtype_name, nbytes, problem

    def __reduce_ex__(self, protocol):
        return TensorSpec, (self.name, self.dtype_name, self.shape, self.nbytes, self.problem)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __eq__(self, other):
        return isinstance(other, TensorSpec) and self.__reduce_ex__(2) == other.__reduce_ex__(2)

    def __hash__(self):
        return hash((self.name, self.dtype_name, self.shape))

    def __repr__(self):
        return f"TensorSpec({self.name!r}, {self.dtype_name}, {self.shape})"


def specs(tensors):
    """The ``TensorSpec`` of each Tensor; one that is given as such stays.  Cost: a tenth of a microsecond each."""
    return [spec_of(tensor) for tensor in tensors]


cdef TensorSpec spec_of(given):
    cdef Tensor tensor
    cdef TensorSpec spec
    if isinstance(given, TensorSpec):
        return given
    tensor = given
    spec = TensorSpec.__new__(TensorSpec)
    spec.name, spec.dtype_name, spec.shape = tensor.name, tensor.dtype_name, tensor.shape
    spec.nbytes, spec.problem = tensor.nbytes, tensor.problem
    return spec


cdef uint64_t _nelems(str name, tuple shape, uint64_t itemsize, limits) except? 0xDEAD:
    if len(shape) > limits.rank:
        raise LimitError(f"rank: expected at most limits.rank={limits.rank}, found {len(shape)}",
                         tensor=name, field="rank")
    total = 1
    for extent in shape:
        if extent < 0:
            raise CorruptError(f"shape: expected no negative dimension, found {shape}", tensor=name)
        total *= extent
    if total * itemsize > limits.tensor_bytes:
        raise LimitError(f"decoded size: expected at most limits.tensor_bytes={limits.tensor_bytes}, "
                         f"found {total * itemsize}", tensor=name, field="tensor_bytes")
    return total


cdef int _inside(str name, Extent extent) except -1:
    if extent.offset > extent.source.nbytes or extent.nbytes > extent.source.nbytes - extent.offset:
        raise TruncatedError(
            f"stored run: expected {extent.nbytes} bytes, found "
            f"{extent.source.nbytes - min(extent.source.nbytes, extent.offset)}",
            source=extent.source.name, tensor=name, offset=extent.offset)
    return 0


cdef int _seal_chunks(Tensor self, limits) except -1:
    cdef Extent extent
    cdef uint64_t stored = 0
    seen = set()
    chunk = (<Extent>self.parts[0]).chunk or self.shape
    if len(chunk) != len(self.shape) or 0 in chunk:
        raise CorruptError(f"chunk shape: expected rank {len(self.shape)} without zeros, found {chunk}",
                           source=self.source.name, tensor=self.name)
    wanted = 1
    for d, c in zip(self.shape, chunk):
        wanted *= -(-d // c)
    if wanted > limits.chunks:
        raise LimitError(f"chunks: expected at most limits.chunks={limits.chunks}, found {wanted}",
                         source=self.source.name, tensor=self.name, field="chunks")
    chunk_bytes = self.itemsize
    for c in chunk:
        chunk_bytes *= c
    if chunk_bytes > limits.tensor_bytes:
        raise LimitError(f"chunk size: expected at most limits.tensor_bytes={limits.tensor_bytes}, "
                         f"found {chunk_bytes}", source=self.source.name, tensor=self.name,
                         field="tensor_bytes")
    for part in self.parts:
        extent = part
        _inside(self.name, extent)
        stored += extent.nbytes
        start = extent.start or (0,) * len(self.shape)
        if (extent.chunk or self.shape) != chunk or len(start) != len(chunk):
            raise CorruptError(f"chunk shape: expected {chunk}, found {extent.chunk}",
                               source=self.source.name, tensor=self.name, offset=extent.offset)
        if len(extent.codecs) > limits.filters:
            raise LimitError(f"filters: expected at most limits.filters={limits.filters}, "
                             f"found {len(extent.codecs)}", source=self.source.name,
                             tensor=self.name, field="filters")
        for s, d, c in zip(start, self.shape, chunk):
            if not 0 <= s < d or s % c:
                raise CorruptError(f"chunk position: expected a multiple of {chunk} inside "
                                   f"{self.shape}, found {start}", source=self.source.name,
                                   tensor=self.name, offset=extent.offset)
        if not extent.codecs and extent.nbytes != chunk_bytes:
            raise CorruptError(f"chunk size: expected {chunk_bytes} bytes, found {extent.nbytes}",
                               source=self.source.name, tensor=self.name, offset=extent.offset)
        seen.add(start)
    if len(seen) != len(self.parts):
        raise CorruptError("chunks: expected each position once, found one twice",
                           source=self.source.name, tensor=self.name)
    if len(seen) < wanted:
        self.problem = f"no data stored for {wanted - len(seen)} of {wanted} chunks"
    decoded = wanted * chunk_bytes
    if decoded > limits.unbacked_bytes and decoded > stored * limits.expansion:
        raise LimitError(
            f"expansion: expected at most limits.expansion={limits.expansion} times the "
            f"{stored} bytes stored beyond limits.unbacked_bytes={limits.unbacked_bytes}, found {decoded}",
            source=self.source.name,
            tensor=self.name, field="expansion")
    return 0


cdef enum:
    AXES_MAX = 6             # of a tensor that are cut into boxes: each box has 2 ** axes corners


cdef int _seal_boxes(Tensor self, limits) except -1:
    cdef Extent extent
    cdef tuple shape = self.shape
    cdef unsigned rank = len(shape)
    if len(self.parts) > limits.chunks:
        raise LimitError(f"boxes: expected at most limits.chunks={limits.chunks}, found {len(self.parts)}",
                         source=self.source.name, tensor=self.name, field="chunks")
    cut = set()
    for part in self.parts:
        extent = part
        if extent.nbytes:
            _inside(self.name, extent)
        if extent.codecs or extent.start is None or len(extent.start) != rank or len(extent.chunk) != rank:
            raise CorruptError(f"box: expected one of rank {rank} without codecs, found {extent.start}, "
                               f"{extent.codecs}", source=extent.source.name, tensor=self.name, offset=extent.offset)
        nbytes = self.itemsize
        for axis, (first, n, whole) in enumerate(zip(extent.start, extent.chunk, shape)):
            if first < 0 or n < 0 or first + n > whole:
                raise CorruptError(f"box: expected it inside {shape}, found {extent.chunk} at {extent.start}",
                                   source=extent.source.name, tensor=self.name, offset=extent.offset)
            if n != whole:
                cut.add(axis)
            nbytes *= n
        if nbytes != extent.nbytes:
            raise CorruptError(f"size of a box: expected {nbytes} bytes, found {extent.nbytes}",
                               source=extent.source.name, tensor=self.name, offset=extent.offset)
    if len(cut) > AXES_MAX:
        raise UnsupportedError(f"boxes: expected a tensor cut along at most {AXES_MAX} axes, found {len(cut)}",
                               source=self.source.name, tensor=self.name)
    if not _tiled([((<Extent>e).start, (<Extent>e).chunk) for e in self.parts], shape, sorted(cut)):
        raise CorruptError(f"boxes: expected each element of {shape} in one of {len(self.parts)}, "
                           "found one in none or in several", source=self.source.name, tensor=self.name)
    return 0


cdef bint _tiled(list boxes, tuple shape, list axes):
    """Whether boxes cover each element once.

    Of a function on the grid that is zero far out, the differences along all axes tell it
    whole.  Those of a box are +1 and -1 at its corners; so the boxes cover as the shape does
    if their corners sum up to its corners.
    """
    cdef dict corners = {}
    boxes.append(None)
    for each in boxes:
        start, chunk = ((0,) * len(shape), shape) if each is None else each
        if 0 in chunk:
            continue
        for ends in itertools.product((0, 1), repeat=len(axes)):
            corner = tuple([start[axis] + chunk[axis] * end for axis, end in zip(axes, ends)])
            sign = -1 if (sum(ends) + (each is None)) % 2 else 1
            corners[corner] = corners.get(corner, 0) + sign
    return not any(corners.values())


cdef object _numpy_dtype(int code, bint big_endian):
    found = NUMPY[2 * code + big_endian]
    if found is None:
        found = NUMPY[2 * code + big_endian] = dtypes.numpy_dtype(NAMES[code], big_endian)
    return found


cdef struct Run:
    uint64_t offset
    uint64_t nbytes
    size_t row


cdef int _by_offset(const void *a, const void *b) noexcept nogil:
    cdef uint64_t x = (<const Run *>a).offset, y = (<const Run *>b).offset
    return (x > y) - (x < y)


cdef class Index:
    """Tensors of one source, kept as a struct of arrays: 48 bytes and a name each.

    A container appends rows and calls ``seal``; from then on it is a read-only
    ``Mapping[str, Tensor]`` that makes Tensor objects as they are asked for.
    """

    def __cinit__(self, Source source, limits=DEFAULT):
        self.source, self.limits = source, limits
        self.names, self.rows_of, self.problems, self.made, self.texts, self.runs = [], {}, {}, {}, {}, []
        self.max_rank, self.max_rows = limits.rank, limits.tensors

    def __dealloc__(self):
        free(self.rows)
        free(self.dims)

    cdef Row *append(self, str name, unsigned rank) except NULL:
        """A zeroed row for a new tensor; rank dimensions are reserved for the caller to fill."""
        cdef Row *row
        cdef void *p
        if self.sealed:
            raise RuntimeError("append to a sealed index")
        if rank > self.max_rank:
            raise LimitError(f"rank: expected at most limits.rank={self.limits.rank}, found {rank}",
                             source=self.source.name, tensor=name, field="rank")
        if self.nrows >= self.max_rows:
            raise LimitError(f"tensors: expected at most limits.tensors={self.limits.tensors}, found more",
                             source=self.source.name, field="tensors")
        if self.rows_of.setdefault(name, self.nrows) != self.nrows:
            raise CorruptError("tensor name: expected it once, found it twice",
                               source=self.source.name, tensor=name)
        if self.nrows == self.cap_rows:
            p = realloc(self.rows, (self.cap_rows * 2 + 64) * sizeof(Row))
            if p == NULL:
                raise MemoryError()
            self.rows = <Row *>p
            self.cap_rows = self.cap_rows * 2 + 64
        if self.ndims + rank > self.cap_dims:
            p = realloc(self.dims, (self.cap_dims * 2 + 256) * sizeof(uint64_t))
            if p == NULL:
                raise MemoryError()
            self.dims = <uint64_t *>p
            self.cap_dims = self.cap_dims * 2 + 256
        row = self.rows + self.nrows
        memset(row, 0, sizeof(Row))
        row.dims = <uint32_t>self.ndims
        row.rank = <uint8_t>rank
        self.names.append(name)
        self.nrows += 1
        self.ndims += rank
        return row

    def set_dtype(self, str name, str dtype_name):
        """Say what an opaque tensor really holds, e.g. ``"bfloat16"``.

        Raises:
            CorruptError: if the element sizes differ.
        """
        cdef Row *row = self.rows + <size_t>self.rows_of[name]
        was, now = TABLE[row.dtype], dtypes.BY_NAME[dtype_name]
        if was.itemsize != now.itemsize:
            raise CorruptError(f"dtype attribute: expected a type of {was.itemsize} bytes, "
                               f"found {dtype_name}", source=self.source.name, tensor=name)
        row.dtype = CODES[dtype_name]
        self.made.pop(self.rows_of[name], None)

    def seal(self):
        """Check every plain tensor, and that plain runs, and those of ``runs``, do not overlap.

        Chunked tensors are checked as their Tensor is made.

        Raises:
            FormatError: naming the tensor and the byte.
        """
        cdef size_t i, n = 0
        cdef uint64_t end = 0
        cdef Run *runs = <Run *>malloc((self.nrows + len(self.runs) + 1) * sizeof(Run))
        if runs == NULL:
            raise MemoryError()
        try:
            for i in range(self.nrows):
                self.seal_row(self.names[i], self.rows + i)
                if self.rows[i].kind == PLAIN and self.rows[i].nbytes:
                    runs[n].offset, runs[n].nbytes, runs[n].row = \
                        self.rows[i].offset, self.rows[i].nbytes, i
                    n += 1
            for i in range(len(self.runs)):
                runs[n].offset, runs[n].nbytes, _ = self.runs[i]
                runs[n].row = self.nrows + i
                n += 1
            qsort(runs, n, sizeof(Run), &_by_offset)
            for i in range(n):
                if runs[i].offset < end:
                    raise CorruptError(
                        f"stored runs: expected no overlap, found one with tensor "
                        f"{self.owner(runs[i - 1].row)!r}", source=self.source.name,
                        tensor=self.owner(runs[i].row), offset=runs[i].offset)
                end = runs[i].offset + runs[i].nbytes
        finally:
            free(runs)
        self.sealed = True

    cdef str owner(self, size_t row):
        """Name of the tensor that a row, or behind them all one of ``runs``, belongs to."""
        return self.names[row] if row < self.nrows else self.runs[row - self.nrows][2]

    cdef int seal_row(self, str name, Row *row) except -1:
        cdef uint64_t total = 1, size, cap = self.limits.tensor_bytes
        cdef unsigned d
        cdef bint empty = False
        if row.dtype < 0 and name not in self.texts:
            row.kind = UNREADABLE
            if name not in self.problems:
                self.problems[name] = "element type not supported"
        for d in range(row.rank):
            empty = empty or self.dims[row.dims + d] == 0
        if empty:
            total = 0
        else:
            size = 1 if row.dtype < 0 else ITEMSIZES[row.dtype]
            for d in range(row.rank):
                # Every factor is at least 1, so this also stops the product's overflow.
                if self.dims[row.dims + d] > cap // size // total:
                    raise LimitError(
                        f"decoded size: expected at most limits.tensor_bytes={cap}, found shape "
                        f"{self.shape_of(name)}", source=self.source.name, tensor=name,
                        field="tensor_bytes")
                total *= self.dims[row.dims + d]
        row.nelems = total
        size = 0 if row.dtype < 0 else total * ITEMSIZES[row.dtype]
        if row.kind == PLAIN:
            if row.nbytes != size:
                raise CorruptError(f"stored size: expected {size} bytes, found {row.nbytes}",
                                   source=self.source.name, tensor=name, offset=row.offset)
            if size and (row.offset > self.source.nbytes or size > self.source.nbytes - row.offset):
                raise TruncatedError(
                    f"stored run: expected {size} bytes, found "
                    f"{self.source.nbytes - min(self.source.nbytes, row.offset)}",
                    source=self.source.name, tensor=name, offset=row.offset)
        row.nbytes = size
        return 0

    def shape_of(self, str name):
        """Shape of a tensor, without making its Tensor."""
        cdef Row *row = self.rows + <size_t>self.rows_of[name]
        return tuple([self.dims[row.dims + d] for d in range(row.rank)])

    def dtype_name_of(self, str name):
        """Row name of a tensor's element type, or None where kio reads no numbers of that type."""
        cdef Row *row = self.rows + <size_t>self.rows_of[name]
        return None if row.dtype < 0 else TABLE[row.dtype].name

    @property
    def opaque(self):
        """Whether any tensor is of one or two bytes that only an attribute can explain."""
        cdef size_t i
        for i in range(self.nrows):
            if self.rows[i].dtype >= 0 and OPAQUE[self.rows[i].dtype]:
                return True
        return False

    cdef Tensor make(self, str name, size_t number):
        cdef Row *row = self.rows + number
        cdef Tensor tensor
        if not self.sealed:
            raise RuntimeError("read of an index before seal()")
        shape = self.shape_of(name)
        if row.kind == PLAIN:
            # Sealed already: build without the constructor's checks.
            tensor = Tensor.__new__(Tensor)
            tensor.name, tensor.dtype_name, tensor.shape = name, NAMES[row.dtype], shape
            tensor.itemsize = ITEMSIZES[row.dtype]
            tensor.swapped = row.big != HOST_IS_BIG and tensor.itemsize > 1
            tensor.dtype = _numpy_dtype(row.dtype, row.big and tensor.itemsize > 1)
            tensor.nelems, tensor.nbytes = row.nelems, row.nbytes
            tensor.source, tensor.plain, tensor.offset = self.source, True, row.offset
            tensor.parts = ()
            if row.sums:
                tensor.sums, tensor.first_sum = self.sums, row.sums - 1
            return tensor
        if name in self.texts and row.kind != UNREADABLE:
            return self.make_text(name, number)
        if row.kind in (EXPAND, BOXES) and row.nelems:
            return Tensor(name, TABLE[row.dtype].name, shape, self.expand(name, number),
                          big_endian=row.big, limits=self.limits, boxed=row.kind == BOXES)
        name_of = "opaque1" if row.dtype < 0 else TABLE[row.dtype].name
        return Tensor(name, name_of, shape, (), big_endian=row.big,
                      problem=self.problems.get(name), limits=self.limits)

    cdef Tensor make_text(self, str name, size_t number):
        cdef Row *row = self.rows + number
        cdef Tensor tensor, stored
        texts = self.texts[name]
        extents = ()
        if texts.run is not None:
            # What is stored is one run, of which no part is an element's alone.
            offset, nbytes = texts.run
            source = self.source if texts.source is None else texts.source
            extents = (Extent(source, offset, nbytes),) if nbytes else ()
            stored = Tensor(name, "uint8", (nbytes,), extents, limits=self.limits)
            tensor = Tensor.__new__(Tensor)
            tensor.name, tensor.shape, tensor.nelems, tensor.nbytes = name, self.shape_of(name), row.nelems, nbytes
            tensor.dtype_name, tensor.dtype, tensor.itemsize = dtypes.TEXT, dtypes.numpy_dtype(dtypes.TEXT), 1
            tensor.source, tensor.parts, tensor.stored, tensor.decode = source, extents, stored, texts
            return tensor
        if row.nelems:
            extents = self.expand(name, number) if row.kind == EXPAND else \
                (Extent(self.source, row.offset, row.nelems * <uint64_t>texts.itemsize),)
        stored = Tensor(name, f"S{texts.itemsize}", self.shape_of(name), extents, limits=self.limits)
        if texts.as_stored:
            return stored
        tensor = Tensor.__new__(Tensor)
        tensor.name, tensor.shape, tensor.nelems, tensor.nbytes = name, stored.shape, stored.nelems, stored.nbytes
        tensor.dtype_name = dtypes.TEXT if texts.heap else stored.dtype_name
        tensor.dtype = dtypes.numpy_dtype(tensor.dtype_name)
        tensor.itemsize, tensor.source, tensor.parts = stored.itemsize, self.source, stored.extents
        tensor.problem, tensor.stored, tensor.decode = stored.problem, stored, texts
        return tensor

    def __reduce_ex__(self, protocol):
        raise TypeError("cannot pickle or copy an Index: pickle the Checkpoint that kio.open gave, or single tensors")

    def __getitem__(self, name):
        number = self.rows_of[name]
        tensor = self.made.get(number)
        if tensor is None:
            tensor = self.made[number] = self.make(name, number)
        return tensor

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return self.nrows

    def __contains__(self, name):
        return name in self.rows_of

    def keys(self):
        return self.rows_of.keys()

    def values(self):
        return [self[name] for name in self.names]

    def items(self):
        return [(name, self[name]) for name in self.names]

    def get(self, name, default=None):
        return self[name] if name in self.rows_of else default


Mapping.register(Index)
