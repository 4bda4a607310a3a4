"""A draft and the values of its datasets, written into a sink in one pass.

The structure comes first and the data behind it in ascending order, so that a pipe will do.
Whatever is summed is summed while it passes: the structure, every MiB of every dataset, and
the whole, for the archive that the file may be a member of.
"""

import sys

import numpy as np

from kio import dtypes
from kio.containers.hdf5 import sums as tables
from kio.raw import transfer, transfer_out
from kio.raw.transfer_out import Lazy

from libc.stdint cimport uint32_t, uint64_t

from kio.containers.hdf5.draft cimport DATASET, Draft, Node
from kio.raw cimport kernels
from kio.raw.source cimport Source
from kio.raw.tensor cimport Extent, Tensor

cdef tuple TABLE = dtypes.TABLE
cdef bint HOST_IS_BIG = sys.byteorder == "big"


def nbytes_of(Draft draft, *, bint table=True):
    """Size of the file that ``write`` will make of a draft, which is placed by this."""
    draft.place()
    if not table:
        return draft.nbytes
    return draft.nbytes + tables.nbytes_of([nbytes for _, _, nbytes in draft.runs()])


def write(sink, Draft draft, values, *, uint64_t base=0, bint table=True, threads=None, progress=None):
    """Write an HDF5 file into a sink.  Nothing is written before everything was checked.

    Args:
        sink: A ``Sink`` that is open.  The caller commits it.
        draft: The structure; it is placed if that was not done.
        values: Path -> value of every dataset that has elements, and of no others.  A value
            is an array of the dataset's shape and dtype; a ``Lazy`` that makes one, or the
            bytes of one, when its turn comes; a ``Tensor`` of a checkpoint, whose bytes are
            copied as they are stored wherever they can be; or, for bytes that nobody looks
            at, a ``Source``, an ``Extent``, a buffer or ``(address, nbytes)``.
        base: Where in the sink the file begins; a multiple of 64, better of 4,096.
        table: Put the table of checksums behind the file (see ``sums``).
        threads, progress: As for ``transfer_out.write``.

    Returns:
        ``(nbytes, crc32)`` of all that was written from ``base`` on, table included.

    Raises:
        ValueError: if values and draft do not agree; nothing was written then.
        OSError: as the system reports it; abort the sink then.

    Memory: twice the structure, and what ``transfer_out.write`` needs for values made on demand.
    """
    cdef uint64_t offset, nbytes, at, block = tables.BLOCK
    cdef size_t i
    cdef uint32_t crc
    cdef Node *node
    cdef list pieces, ranges, runs, sums
    draft.place()
    pieces = [(base, draft.structure())]
    ranges = [(base, draft.structure_nbytes), (base, draft.nbytes)]
    runs = []
    paired = 0
    for path, number in draft.numbers.items():
        node = draft.nodes + <size_t>number
        if node.kind != DATASET:
            continue
        value = values.get(path)
        paired += path in values
        if not node.nbytes:
            continue
        pieces.append((base + node.offset, _piece(draft, path, node, value)))
        runs.append((node.offset, node.nbytes))
        if table:
            at, offset = 0, base + node.offset
            while at < node.nbytes:
                ranges.append((offset + at, min(block, node.nbytes - at)))
                at += block
    if paired != len(values):
        raise ValueError(f"values: expected those of the draft's datasets, found {_stray(draft, values)!r}")
    sums = transfer_out.write(sink, pieces, checksums=ranges, threads=threads, progress=progress)
    crc = sums[1]
    if not table:
        return draft.nbytes, crc
    parts, i = [], 2
    for _, nbytes in runs:
        n = (nbytes + block - 1) // block
        parts.append(sums[i:i + n])
        i += n
    end = tables.table_of(draft.nbytes, draft.structure_nbytes, sums[0], runs, parts)
    sink.write_at(base + draft.nbytes, end)
    return draft.nbytes + len(end), kernels.crc32_combine(crc, kernels.crc32(0, <const char *>end, len(end)), len(end))


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
    row = dtypes.BY_NAME[dtype_name]
    return row.numpy is None and found == f"opaque{row.itemsize}"


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
