"""What h5py says about a file, compared with what kio says."""

from __future__ import annotations

import io
import zlib
from typing import Any

import h5py
import numpy as np
import zstandard

from kio import dtypes
from kio.containers import hdf5
from kio.raw.source import Source


class Growing(io.BytesIO):
    """A BytesIO whose truncate extends, which the paged file space strategy relies on."""

    def truncate(self, size: int | None = None) -> int:
        if size is not None and size > len(self.getbuffer()):
            at = self.tell()
            self.seek(size - 1)
            self.write(b"\0")
            self.seek(at)
            return size
        return super().truncate(size)


def address_of(thing: Any) -> int:
    return int(h5py.h5o.get_info(thing.id).addr)


def reachable(file: h5py.File) -> set[int]:
    """Header addresses of all objects that hard links lead to."""
    todo = [file["/"]]
    seen = {address_of(file["/"])}
    while todo:
        group = todo.pop()
        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.HardLink):
                thing = group[name]
                if address_of(thing) not in seen:
                    seen.add(address_of(thing))
                    if isinstance(thing, h5py.Group):
                        todo.append(thing)
    return seen


def undo(raw: bytes, codecs: tuple[tuple[str, int], ...], nbytes: int) -> bytes:
    """Decode one chunk with nothing of kio's."""
    for name, parameter in codecs:
        if name == "fletcher32":
            raw = raw[:-4]
        elif name == "deflate":
            raw = zlib.decompress(raw)
        elif name == "shuffle":
            whole = len(raw) // parameter * parameter
            planes = np.frombuffer(raw[:whole], "u1").reshape(parameter, -1)
            raw = planes.T.tobytes() + raw[whole:]
        elif name == "lzf":
            raw = lzf(raw, nbytes)
        elif name == "zstd":
            raw = zstandard.ZstdDecompressor().decompress(raw, max_output_size=nbytes)
        else:
            raise AssertionError(name)
    return raw


def lzf(raw: bytes, nbytes: int) -> bytes:
    out = bytearray()
    i = 0
    while i < len(raw):
        control = raw[i]
        i += 1
        if control < 32:
            out += raw[i : i + control + 1]
            i += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += raw[i]
            i += 1
        back = ((control & 31) << 8) + raw[i] + 1
        i += 1
        for _ in range(length + 2):
            out.append(out[-back])
    return bytes(out)


def bytes_of(tensor: Any) -> bytes:
    """The tensor's bytes as stored, read through its extents."""
    if tensor.nelems == 0:
        return b""
    if tensor.plain:
        (extent,) = tensor.extents
        return extent.source.read(extent.offset, extent.nbytes)
    out = np.zeros(tensor.shape, f"V{tensor.dtype.itemsize}")
    for extent in tensor.extents:
        nbytes = tensor.dtype.itemsize * int(np.prod(extent.chunk, dtype=object))
        raw = undo(extent.source.read(extent.offset, extent.nbytes), extent.codecs, nbytes)
        assert len(raw) == nbytes
        chunk = np.frombuffer(raw, out.dtype).reshape(extent.chunk)
        box = tuple(slice(s, s + c) for s, c in zip(extent.start, extent.chunk, strict=True))
        part = out[box]
        part[...] = chunk[tuple(slice(0, n) for n in part.shape)]
    return out.tobytes()


def value_of(attribute: Any) -> Any:
    """An attribute of h5py's as kio presents it."""
    if isinstance(attribute, bytes):
        try:
            return attribute.decode()
        except UnicodeDecodeError:
            return attribute
    if isinstance(attribute, str):
        return value_of(attribute.encode("utf-8", "surrogateescape"))
    if isinstance(attribute, np.ndarray) and attribute.dtype.kind in "SO":
        return [value_of(x) for x in attribute.reshape(-1).tolist()]
    return attribute


def same(ours: Any, theirs: Any) -> bool:
    theirs = value_of(theirs)
    if isinstance(theirs, (str, bytes, list)):
        return type(ours) is type(theirs) and ours == theirs
    theirs = np.asarray(theirs)
    ours = np.asarray(ours)
    return (
        ours.shape == theirs.shape
        and ours.dtype == theirs.dtype.newbyteorder("=")
        and ours.tobytes() == theirs.astype(ours.dtype).tobytes()
    )


class Counts(dict[str, int]):
    def add(self, key: str, n: int = 1) -> None:
        self[key] = self.get(key, 0) + n


def compare(raw: bytes, counts: Counts | None = None, native: Any = None) -> Counts:
    """Assert that kio's index of a file equals h5py's; count what was compared."""
    counts = Counts() if counts is None else counts
    ours = hdf5.open(Source.of_bytes(raw)) if native is None else native
    paths = ["", *ours.groups, *ours.tensors, *ours.aliases, *ours.refused]
    assert len(set(paths)) == len(paths)
    children: dict[str, set[str]] = {path: set() for path in ["", *ours.groups]}
    for path in paths[1:]:
        parent, _, name = path.rpartition("/")
        children[parent].add(name)
    with h5py.File(io.BytesIO(raw), "r") as file:
        first = {"": address_of(file["/"])}
        for path in [*ours.groups, *ours.tensors]:
            thing = file[encoded(path)]
            first[path] = address_of(thing)
        assert len(set(first.values())) == len(first)
        named = set()
        for path, why in ours.refused.items():
            link = file[encoded(path.rpartition("/")[0] or "/")].get(encoded(path.rpartition("/")[2]), getlink=True)
            if why == "named datatype":
                assert isinstance(file[encoded(path)], h5py.Datatype)
                named.add(address_of(file[encoded(path)]))
            else:
                kind = h5py.SoftLink if why.startswith("soft") else h5py.ExternalLink
                assert isinstance(link, kind), (path, why, link)
                counts.add("refused")
        assert reachable(file) == {*first.values(), *named}
        for path, original in ours.aliases.items():
            assert address_of(file[encoded(path)]) == first[original]
            counts.add("aliases")
        for path in first:
            thing = file[encoded(path) or "/"]
            if isinstance(thing, h5py.Dataset):
                compare_dataset(ours, path, thing, counts)
            else:
                assert children[path] == {decoded(name) for name in thing.id}
                counts.add("groups")
            compare_attributes(ours, path, thing, counts)
    return counts


def encoded(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def compare_dataset(ours: Any, path: str, dataset: h5py.Dataset, counts: Counts) -> None:
    tensor = ours.tensors[path]
    if dataset.shape is None:
        assert tensor.problem == "null dataspace", tensor.problem
        counts.add("null")
        return
    if tensor.problem is not None and (tensor.problem.startswith("committed")):
        counts.add(tensor.problem)
        return
    assert tensor.shape == dataset.shape
    if tensor.problem is not None:
        counts.add(tensor.problem)
        return
    stored = dataset.id.get_type()
    if dtypes.is_text(tensor.dtype_name):
        assert np.asarray(tensor).tolist() == np.asarray(dataset[()]).tolist(), path
        counts.add("texts")
        return
    if tensor.dtype_name not in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        assert tensor.dtype_name == dtypes.name_of(dataset.dtype), (tensor.dtype_name, dataset.dtype)
        theirs = dataset[()]
        assert bytes_of(tensor) == np.asarray(theirs, dataset.dtype).tobytes(), path
        assert np.asarray(tensor).astype(dataset.dtype).tobytes() == bytes_of(tensor), path
    else:
        assert stored.get_size() == tensor.dtype.itemsize
    counts.add("datasets")
    counts.add("bytes", tensor.nbytes)


def compare_attributes(ours: Any, path: str, thing: Any, counts: Counts) -> None:
    found = ours.attributes(path)
    assert set(found) == set(thing.attrs), (path, set(found) ^ set(thing.attrs))
    for name, value in found.items():
        if isinstance(value, hdf5.Unreadable):
            counts.add("attribute: " + value.reason)
            continue
        assert same(value, thing.attrs[name]), (path, name, value, thing.attrs[name])
        counts.add("attributes")
