"""A draft and the values of its datasets, written into a sink in one pass.

The structure comes first and the data behind it in ascending order, so that a pipe will do;
only where chunks are compressed it is written last, into the room that was kept for it.
Whatever is summed is summed while it passes: the structure, every MiB of every dataset, and
the whole, for the archive that the file may be a member of.
"""

import io
import sys

import numpy as np

from kio import dtypes
from kio.containers.hdf5 import sums as tables
from kio.raw import transfer, transfer_out
from kio.raw.transfer_out import Lazy

from cpython.buffer cimport PyBUF_READ
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

from kio.containers.hdf5.chunking cimport Chunking
from kio.containers.hdf5.draft cimport DATASET, Draft, Node
from kio.raw cimport kernels
from kio.raw.source cimport Source
from kio.raw.tensor cimport Extent, Tensor

cdef enum:
    GROUP = 8 << 20          # compressed bytes that are written at a time

cdef tuple TABLE = dtypes.TABLE
cdef bint HOST_IS_BIG = sys.byteorder == "big"


def nbytes_of(Draft draft, *, bint table=True):
    """Size of the file that ``write`` will make of a draft, which is placed by this.

    Where chunks are compressed on the way it is the most that it can be.
    """
    cdef Chunking chunking
    cdef uint64_t nbytes
    draft.place()
    nbytes = draft.placed_nbytes
    stored = [nbytes for _, _, nbytes in draft.runs()]
    for chunking in draft.chunkings:
        if chunking.tensor is None:
            nbytes += chunking.count * chunking.nbytes
            stored += [chunking.nbytes] * chunking.count
        else:
            stored += [chunking.places[i].nbytes for i in range(chunking.count)]
    return nbytes + (tables.nbytes_of(stored) if table else 0)


def write(sink, Draft draft, values, *, uint64_t base=0, bint table=True, threads=None, progress=None):
    """Write an HDF5 file into a sink.  Nothing is written before everything was checked.

    Args:
        sink: A ``Sink`` that is open; where chunks are to be compressed, one that can seek.
            The caller commits it.
        draft: The structure; it is placed if that was not done.
        values: Path -> value of every dataset that has elements, and of no others.  A value
            is an array of the dataset's shape and dtype; a ``Lazy`` that makes one, or the
            bytes of one, when its turn comes; a ``Tensor`` of a checkpoint, whose bytes are
            copied as they are stored wherever they can be; or, for bytes that nobody looks
            at, a ``Source``, an ``Extent``, a buffer or ``(address, nbytes)``.
        base: Where in the sink the file begins; a multiple of 64, better of 4,096.
        table: Put the table of checksums behind the file (see ``sums``).
        threads, progress: As for ``transfer_out.write``; progress counts bytes of values.

    Returns:
        ``(nbytes, crc32)`` of all that was written from ``base`` on, table included.

    Raises:
        ValueError: if values and draft do not agree; nothing was written then.
        io.UnsupportedOperation: for compression into a sink that cannot seek.
        OSError: as the system reports it; abort the sink then.

    Memory: twice the structure, and what ``transfer_out.write`` needs for values made on
    demand; where chunks are compressed, a value or two and 24 MiB.
    """
    cdef _Output out = _Output()
    cdef Chunking chunking
    cdef Node *node
    draft.place()
    out.sink, out.draft, out.base, out.summing = sink, draft, base, table
    out.threads, out.progress, out.pieces, out.runs, out.ranges, out.sums = threads, progress, [], [], [], []
    packed = []
    paired = 0
    for path, number in draft.numbers.items():
        node = draft.nodes + <size_t>number
        if node.kind != DATASET:
            continue
        value = values.get(path)
        paired += path in values
        if not node.nbytes:
            continue
        piece = _piece(draft, path, node, value)
        out.total += node.nbytes
        if node.chunking < 0:
            out.add(node.offset, node.nbytes, piece)
            continue
        chunking = draft.chunking_of(node)
        if chunking.tensor is None:
            packed.append((path, node.nbytes, chunking, piece))
        elif value is not chunking.tensor:
            raise ValueError(f"value of {path!r}: expected the tensor that it is stored like, found another")
        else:
            for k in range(chunking.count):
                out.add(chunking.places[<size_t>k].offset, chunking.places[<size_t>k].nbytes, chunking.extents[k])
    if paired != len(values):
        raise ValueError(f"values: expected those of the draft's datasets, found {_stray(draft, values)!r}")
    return out.packed(packed) if packed else out.plain()


cdef class _Output:
    """One call of write."""
    cdef object sink, threads, progress
    cdef Draft draft
    cdef uint64_t base, total, done
    cdef bint summing
    cdef list pieces             # of the next transfer,
    cdef list ranges             # what to sum in it,
    cdef list runs, sums         # (offset, nbytes) of all so far, and the sums of their blocks

    cdef int add(self, uint64_t offset, uint64_t nbytes, piece) except -1:
        """A stored run, at an offset of the file."""
        cdef uint64_t at = 0, block = tables.BLOCK
        self.pieces.append((self.base + offset, piece))
        self.runs.append((offset, nbytes))
        if self.summing:
            while at < nbytes:
                self.ranges.append((self.base + offset + at, min(block, nbytes - at)))
                at += block
        return 0

    cdef tuple move(self, uint64_t first, uint64_t last, progress):
        """Write what was added; the sums of the structure, if it is there, and of [first, last)."""
        others = [(self.base, min(self.draft.structure_nbytes, last)), (self.base + first, last - first)]
        if first:
            others[0] = (self.base + first, 0)
        found = transfer_out.write(self.sink, self.pieces, checksums=self.ranges + others, threads=self.threads,
                                   progress=progress)
        self.sums += found[:len(self.ranges)]
        self.pieces, self.ranges = [], []
        return tuple(found[len(found) - 2:])

    cdef tuple plain(self):
        """Everything has its place: one pass from front to back."""
        self.pieces.insert(0, (self.base, self.draft.structure()))
        structure, crc = self.move(0, self.draft.nbytes, self.progress)
        return self.finish(structure, crc)

    cdef tuple packed(self, list datasets):
        """Chunks are written as they are compressed, the structure at the end."""
        # Not at the top: it brings zstandard and thread pools, which readers never need.
        from kio.raw import packing
        cdef Chunking chunking
        cdef uint64_t start = self.draft.structure_nbytes, at = self.draft.placed_nbytes, first
        cdef uint32_t crc, structure
        cdef size_t k
        if not self.sink.seekable:
            raise io.UnsupportedOperation(f"compression into {self.sink.name}, which cannot seek: the structure "
                                          "in front is known only when all chunks are compressed")
        crc = self.move(start, at, self.told if self.progress else None)[1]
        self.done = self.total - sum([nbytes for _, nbytes, _, _ in datasets])
        first = at
        results = packing.pack(_chunks(datasets), self.threads)
        try:
            for _, nbytes, chunking, _ in datasets:
                for k in range(chunking.count):
                    data, mask = next(results)
                    self.add(at, data.nbytes, data)
                    chunking.places[k].offset, chunking.places[k].nbytes = at, data.nbytes
                    chunking.places[k].mask = mask
                    at += <uint64_t>data.nbytes
                    if at - first >= GROUP:
                        crc = self.flush(crc, first, at)
                        first = at
                self.done += nbytes
                if self.progress is not None:
                    self.progress(self.done, self.total)
        finally:
            results.close()
        crc = self.flush(crc, first, at)
        self.draft.nbytes = at
        front = self.draft.structure()
        self.sink.write_at(self.base, front)
        structure = kernels.crc32(0, <const char *>front, len(front))
        return self.finish(structure, kernels.crc32_combine(structure, crc, at - start))

    def told(self, done, total):
        """Progress of the part that is not compressed."""
        self.progress(done, self.total)

    cdef uint32_t flush(self, uint32_t crc, uint64_t first, uint64_t last) except? 0xDEAD:
        return kernels.crc32_combine(crc, self.move(first, last, None)[1], last - first)

    cdef tuple finish(self, uint32_t structure, uint32_t crc):
        """The table, if there is to be one; size and sum of it all."""
        cdef uint64_t nbytes = self.draft.nbytes, block = tables.BLOCK
        cdef size_t i = 0, n
        if not self.summing:
            return nbytes, crc
        parts = []
        for _, stored in self.runs:
            n = (stored + block - 1) // block
            parts.append(self.sums[i:i + n])
            i += n
        end = tables.table_of(nbytes, self.draft.structure_nbytes, structure, self.runs, parts)
        self.sink.write_at(self.base + nbytes, end)
        return nbytes + len(end), kernels.crc32_combine(crc, kernels.crc32(0, <const char *>end, len(end)), len(end))


def _chunks(datasets):
    """Each chunk as it is to be compressed, with its filters."""
    cdef Chunking chunking
    cdef uint64_t row, step, rows, at, n, lead
    cdef unsigned axis, d
    for path, nbytes, chunking, value in datasets:
        whole = _bytes_of(value)
        if whole.nbytes != nbytes:
            raise ValueError(f"value of {path!r}: expected {nbytes} bytes, found {whole.nbytes}")
        # The axis that is cut; a chunk has all of those behind it, and one of each before.
        axis = 0
        for d in range(chunking.rank):
            if chunking.across[d] > 1:
                axis = d
        row = chunking.itemsize
        for d in range(axis + 1, chunking.rank):
            row *= chunking.chunk[d]
        rows = nbytes // row
        for d in range(axis):
            rows //= chunking.across[d]
        step = chunking.chunk[axis]
        for lead in range(chunking.count // chunking.across[axis]):
            for at in range(0, rows, step):
                n = min(step, rows - at)
                data = whole[(lead * rows + at) * row:(lead * rows + at + n) * row]
                if n < step:
                    data = np.concatenate([data, np.zeros((step - n) * row, np.uint8)])
                yield data, chunking.filters


cdef object _bytes_of(value):
    """The elements of a value as an array of bytes, in memory."""
    cdef Extent extent
    if isinstance(value, Lazy):
        value = value.make()
    if isinstance(value, Source):
        value = Extent(value, 0, value.nbytes)
    if isinstance(value, Extent):
        extent = value
        value = transfer.read([Tensor("", "uint8", (extent.nbytes,), (extent,))])[0]
    if isinstance(value, tuple):
        address, nbytes = value
        value = PyMemoryView_FromMemory(<char *><uintptr_t>address, nbytes, PyBUF_READ) if nbytes else b""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    return np.frombuffer(memoryview(value).cast("B"), np.uint8)


cdef object _stray(Draft draft, values):
    """The first path of values that is no dataset of the draft."""
    for path in values:
        number = draft.numbers.get(path)
        if number is None or draft.nodes[<size_t>number].kind != DATASET:
            return path
    return None


cdef object _piece(Draft draft, str path, const Node *node, value):
    """What transfer writes for a dataset, once it is known to be that dataset's."""
    cdef Tensor tensor
    cdef str dtype_name = TABLE[node.dtype].name
    if isinstance(value, np.ndarray):
        _same(draft, path, node, dtype_name, _name_of(value.dtype), value.shape)
        return value if _is_little(value.dtype) else Lazy(node.nbytes, lambda: _little(value))
    if isinstance(value, Tensor):
        tensor = value
        _same(draft, path, node, dtype_name, tensor.dtype_name, tensor.shape)
        if tensor.plain and tensor.swapped == HOST_IS_BIG:
            return tensor.extents[0]
        return Lazy(node.nbytes, lambda: _little(transfer.read([tensor])[0]))
    if isinstance(value, Lazy):
        nbytes = value.nbytes
    elif isinstance(value, Extent):
        nbytes = (<Extent>value).nbytes
    elif isinstance(value, Source):
        nbytes = (<Source>value).nbytes
    elif isinstance(value, tuple):
        nbytes = value[1]
    elif value is None:
        raise ValueError(f"value of {path!r}: expected {dtype_name} {draft.shape_of(node)}, found none")
    else:
        nbytes = memoryview(value).nbytes
    if nbytes != node.nbytes:
        raise ValueError(f"value of {path!r}: expected {node.nbytes} bytes for {dtype_name} "
                         f"{draft.shape_of(node)}, found {nbytes}")
    return _checked(path, value.make, dtype_name, draft.shape_of(node), nbytes) if isinstance(value, Lazy) else value


cdef object _checked(str path, make, str dtype_name, tuple shape, uint64_t nbytes):
    """A Lazy whose array is looked at before it is written: its size alone proves little."""
    def checked():
        made = make()
        if isinstance(made, np.ndarray):
            name = _name_of(made.dtype)
            if made.shape != shape or not _stands_for(name, dtype_name):
                raise ValueError(f"value of {path!r}: expected {dtype_name} {shape}, found {name} {made.shape}")
            return _little(made)
        return made
    return Lazy(nbytes, checked)


cdef int _same(Draft draft, str path, const Node *node, str dtype_name, str found, shape) except -1:
    cdef unsigned i
    cdef bint same = len(shape) == node.rank
    if same:
        for i in range(node.rank):
            same = same and <object>draft.dims[node.dims + i] == shape[i]
    if not same or not _stands_for(found, dtype_name):
        raise ValueError(f"value of {path!r}: expected {dtype_name} {draft.shape_of(node)}, "
                         f"found {found} {tuple(shape)}")
    return 0


cdef bint _stands_for(str found, str dtype_name) except -1:
    """Whether bytes of one type are those of the other: without ml_dtypes small floats are raw."""
    if found == dtype_name:
        return True
    return found == dtypes.BY_NAME[dtype_name].raw


cdef dict NAMES = {}


cdef str _name_of(dtype):
    name = NAMES.get(dtype)
    if name is None:
        try:
            name = dtypes.name_of(dtype)
        except KeyError:
            return str(dtype)
        NAMES[dtype] = name
    return name


cdef bint _is_little(dtype) except -1:
    return dtype.itemsize == 1 or dtype.isbuiltin == 2 or dtype.isnative != HOST_IS_BIG


cdef object _little(array):
    """An array in the byte order that files have, a copy only where it has another."""
    return array if _is_little(array.dtype) else array.astype(array.dtype.newbyteorder("<"))
