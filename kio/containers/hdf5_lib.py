"""HDF5 through libhdf5, by way of h5py: the index of a file, and a writer.

The second opinion: tests compare it with the native reader, and it resolves what that
one leaves aside (named datatypes, shared header messages).  libhdf5 is never the first
to parse untrusted bytes: ``open`` takes a file that the native reader has vetted, walks
hard links only, and asks for where data lies, never for data.  No chunk goes through
libhdf5's filters.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5l, h5o, h5s, h5t

from kio import dtypes
from kio.containers import hdf5
from kio.errors import CorruptError, FormatError, UnsupportedError
from kio.raw import codecs, transfer_out
from kio.raw.sink import Sink
from kio.raw.source import Source
from kio.raw.tensor import Extent, Tensor

MISPLACED = "extensible array whose unlimited dimension is not the first: libhdf5 cannot tell where its chunks lie"
# ((sign, exponent at, exponent bits, mantissa at, mantissa bits), bias) -> row of kio.dtypes
FLOATS = {
    ((8 * row.itemsize - 1, row.layout[1], row.layout[0], 0, row.layout[1]), row.layout[2]): row.name
    for row in dtypes.TABLE
    if row.layout
}


class _Reader(io.RawIOBase):
    """A source as the file object that h5py reads from."""

    def __init__(self, source: Source) -> None:
        self.source, self.at = source, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = offset + (0, self.at, self.source.nbytes)[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        nbytes = max(0, min(len(view), self.source.nbytes - self.at))
        view[:nbytes] = self.source.read(self.at, nbytes)
        self.at += nbytes
        return nbytes


class File(Mapping[str, Tensor]):
    """Datasets of an HDF5 file as libhdf5 sees them: path -> ``Tensor``.

    Attributes:
        groups: Paths of all groups but the root.
        aliases: Path of each further hard link to an object -> its first path.
        refused: Path of each link that was not followed -> why.
    """

    def __init__(self, vetted: hdf5.File) -> None:
        self.source = vetted.source
        self.limits = vetted.tensors.limits
        self.tensors: dict[str, Tensor] = {}
        self.groups: list[str] = []
        self.aliases: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        try:
            self.file = h5py.File(_Reader(self.source), "r")
            self._walk()
        except FormatError:
            raise
        except Exception as error:  # h5py has one of every kind for damage, MemoryError for sizes that lie, too
            raise CorruptError(f"libhdf5: {error}", source=self.source.name) from error

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def attributes(self, path: str) -> dict[str, Any]:
        """The attributes of one object as h5py decodes them."""
        return dict(self.file[path.encode("utf-8", "surrogateescape") or b"/"].attrs)

    def _walk(self) -> None:
        root = self.file["/"].id
        seen = {h5o.get_info(root).addr: ""}
        todo = [("", root)]
        while todo:
            path, thing = todo.pop()
            if isinstance(thing, h5d.DatasetID):
                self.tensors[path] = self._tensor(path, thing)
                continue
            if path:
                self.groups.append(path)
            for name in sorted(thing, reverse=True):
                inner = f"{path}/{_text(name)}" if path else _text(name)
                kind = thing.links.get_info(name).type
                if kind != h5l.TYPE_HARD:
                    known = {h5l.TYPE_SOFT: "soft link", h5l.TYPE_EXTERNAL: "external link"}
                    self.refused[inner] = known.get(kind, "user-defined link")
                    continue
                child = h5o.open(thing, name)
                if isinstance(child, h5t.TypeID):
                    self.refused[inner] = "named datatype"
                    continue
                first = seen.setdefault(h5o.get_info(child).addr, inner)
                if first != inner:
                    self.aliases[inner] = first
                else:
                    todo.append((inner, child))

    def _tensor(self, path: str, dataset: h5d.DatasetID) -> Tensor:
        name, big, problem = dtype_of(dataset.get_type())
        space = dataset.get_space()
        shape = space.get_simple_extent_dims() or ()
        plist = dataset.get_create_plist()
        extents: list[Extent] = []
        try:
            if space.get_simple_extent_type() == h5py.h5s.NULL:
                problem = "null dataspace"
            if plist.get_external_count():
                problem = "external storage"
            if problem is None and 0 not in shape:
                extents = self._extents(dataset, plist)
                problem = None if extents else "no data stored"
        except UnsupportedError as error:
            problem = str(error)
        return Tensor(path, name, tuple(shape), extents, big_endian=big, problem=problem, limits=self.limits)

    def _extents(self, dataset: h5d.DatasetID, plist: Any) -> list[Extent]:
        layout = plist.get_layout()
        if layout == h5d.CONTIGUOUS:
            # Behind a user block the offset of unallocated data is not None but nonsense.
            nbytes = dataset.get_storage_size()
            return [Extent(self.source, dataset.get_offset(), nbytes)] if nbytes else []
        if layout == h5d.COMPACT:
            # libhdf5 does not tell where it is; it is at most 64 KiB and was never filtered.
            data = np.empty(dataset.shape, f"V{dataset.get_type().get_size()}")
            space = dataset.get_space()
            dataset.read(space, space, data, mtype=dataset.get_type())
            return [Extent(Source.of_bytes(data.tobytes()), 0, data.nbytes)]
        if layout != h5d.CHUNKED:
            raise UnsupportedError("virtual dataset")
        filters = [_codec(plist.get_filter(i), dataset) for i in range(plist.get_nfilters())]
        chunk = plist.get_chunk()
        found: list[Extent] = []

        def note(info: Any) -> None:
            undone = [f for i, f in enumerate(filters) if not info.filter_mask >> i & 1]
            found.append(
                Extent(
                    self.source,
                    info.byte_offset,
                    info.size,
                    tuple(reversed(undone)),
                    info.chunk_offset,
                    chunk,
                )
            )

        dataset.chunk_iter(note)
        self._doubt(dataset, chunk, found)
        return found

    def _doubt(self, dataset: h5d.DatasetID, chunk: tuple[int, ...], found: list[Extent]) -> None:
        """Refuse places that libhdf5 (1.14, 2.0) may have got wrong.

        An extensible array counts its unlimited dimension first, which libhdf5 forgets when
        it lists chunks: whatever lies in a dimension before that one, it calls 0.
        """
        bounds = dataset.get_space().get_simple_extent_dims(True)
        unlimited = [k for k, n in enumerate(bounds) if n == h5s.UNLIMITED]
        if len(unlimited) != 1 or len(found) < 2:
            return
        before = range(unlimited[0])
        if any(bounds[k] > chunk[k] for k in before) and not any(e.start[k] for e in found for k in before if e.start):
            raise UnsupportedError(MISPLACED)


def _codec(row: Any, dataset: h5d.DatasetID) -> tuple[str, int]:
    code, _, values, name = row
    codec = codecs.of_hdf5(code)
    if codec is None:
        raise UnsupportedError(f"filter {_text(name)} ({code})")
    return codec.name, codecs.parameter_of(codec, values[0] if values else 0, dataset.get_type().get_size())


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def dtype_of(kind: Any) -> tuple[str, bool, str | None]:
    """Row of ``kio.dtypes``, whether it is big-endian, and why there is none."""
    nbytes = kind.get_size()
    cls = kind.get_class()
    if cls == h5t.INTEGER:
        if kind.get_precision() == 8 * nbytes and nbytes in (1, 2, 4, 8):
            sign = "" if kind.get_sign() == h5t.SGN_2 else "u"
            return f"{sign}int{8 * nbytes}", kind.get_order() == h5t.ORDER_BE, None
    elif cls == h5t.FLOAT:
        name = FLOATS.get((kind.get_fields(), kind.get_ebias()))
        if name is not None and dtypes.BY_NAME[name].itemsize == nbytes:
            return name, kind.get_order() == h5t.ORDER_BE, None
    elif cls == h5t.OPAQUE and nbytes <= 2:
        return f"opaque{nbytes}", False, None
    elif cls == h5t.ENUM and nbytes == 1 and kind.get_nmembers() == 2:
        members = {kind.get_member_name(i): kind.get_member_value(i) for i in range(2)}
        if members == {b"FALSE": 0, b"TRUE": 1}:
            return "bool", False, None
    elif cls == h5t.COMPOUND and kind.get_nmembers() == 2:
        names = kind.get_member_name(0), kind.get_member_name(1)
        part, big, _ = dtype_of(kind.get_member_type(0))
        other, _, _ = dtype_of(kind.get_member_type(1))
        whole = dtypes.COMPLEX_OF.get(part)
        if names == (b"r", b"i") and part == other and whole is not None and nbytes == dtypes.BY_NAME[whole].itemsize:
            return whole, big, None
    elif cls == h5t.STRING and not kind.is_variable_str() and kind.get_strpad() == h5t.STR_NULLPAD:
        return f"S{nbytes}", False, None
    return "opaque1", False, f"element type {kind.dtype if cls != h5t.TIME else 'time'}"


def open(vetted: hdf5.File) -> File:
    """The index of a file that ``kio.containers.hdf5.open`` has accepted.

    Raises:
        CorruptError: if libhdf5 does not accept it.

    Cost: about 100 µs a dataset.
    """
    return File(vetted)


def write(
    sink: Sink,
    groups: Mapping[str, Mapping[str, Any]],
    datasets: Iterable[tuple[str, Callable[[], Any], Mapping[str, str]]],
    *,
    base: int = 0,
    compression: Any = None,
    progress: Callable[[int, int], object] | None = None,
) -> tuple[int, int]:
    """Write an HDF5 file by way of h5py: the escape, and the oracle of the native writer.

    Args:
        sink: An open sink.
        groups: Attributes of each group, by path; ``""`` is the root.
        datasets: Path, function that gives the array, attributes.
        base: Where in the sink the file begins.
        compression: As h5py takes it.
        progress: Called while the finished file is copied into the sink.

    Returns:
        Size and CRC-32 of the file.

    Memory: one tensor.  Disk: the file once more, without a name, until it is copied.
    """
    level = None
    if isinstance(compression, tuple):
        compression, level = compression
    with tempfile.TemporaryFile(prefix="kio-") as image:
        with h5py.File(image, "w") as file:
            for path, attributes in groups.items():
                group = file.require_group(path) if path else file
                for name, value in attributes.items():
                    group.attrs.update(_pieces(name, value))
            for path, make, attributes in datasets:
                array = make()
                if array.dtype.isbuiltin == 2:  # ml_dtypes' own: raw bytes, as the native writer has them
                    array = array.view(f"V{array.dtype.itemsize}")
                # What is empty or a scalar has no chunks to compress.
                packed = {"compression": compression, "compression_opts": level, "shuffle": True}
                file.create_dataset(path, data=array, **(packed if compression and array.size and array.ndim else {}))
                file[path].attrs.update(attributes)
        image.flush()
        source = Source.of_file(image)
        try:
            pieces = [(base, source)]
            (crc,) = transfer_out.write(sink, pieces, checksums=[(base, source.nbytes)], progress=progress)
            return source.nbytes, crc
        finally:
            source.close()


# As in hdf5.message: what Keras allows the data of one attribute.
_DATA_MAX = 64512


def _pieces(name: str, value: Any) -> dict[str, Any]:
    """An attribute, or the several that Keras makes of a long list: ``name0``, ``name1``, …"""
    if isinstance(value, np.ndarray) and value.ndim:
        row_nbytes = value.nbytes // max(len(value), 1)
    elif isinstance(value, (list, tuple)):
        row_nbytes = 16  # text of any length: size, place, number
    else:
        return {name: value}
    parts = -(-len(value) // (_DATA_MAX // row_nbytes)) if row_nbytes else 1
    if parts <= 1:
        return {name: value}
    small, more = divmod(len(value), parts)
    starts = [k * small + min(k, more) for k in range(parts + 1)]
    return {f"{name}{k}": value[starts[k] : starts[k + 1]] for k in range(parts)}
