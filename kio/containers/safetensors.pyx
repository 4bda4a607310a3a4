"""safetensors: the length of a JSON header, the header, the elements.

    0    header length n, 8 bytes little-endian
    8    {"name": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}, …,
          "__metadata__": {"key": "text"}}, padded with spaces
    8+n  the elements; offsets count from here and cover all of it

Spec: huggingface/safetensors README, "Format"; the validation of its Rust reader.
"""

import json

from kio.containers import json_text
from kio.errors import CorruptError, LimitError, TruncatedError, UnsupportedError
from kio.limits import DEFAULT

from libc.stdint cimport uint64_t

from kio.raw.source cimport Source
from kio.raw.tensor cimport PLAIN, UNREADABLE, Index, Row

from kio import dtypes

cdef dict TYPES = {row.safetensors: row.name for row in dtypes.TABLE if row.safetensors}
cdef dict CODES = dtypes.CODES
cdef dict SPELLED = {name: spelled for spelled, name in TYPES.items()}

# Where elements begin: a multiple of this, so that a mapped file can be used as it is.
cdef enum:
    BOUNDARY = 64

# Types the format has and kio's table has not, with their size in bits.
cdef dict OTHER_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
                        "F8_E5M2FNUZ": 8, "E8M0": 8}


def open(Source source, limits=DEFAULT):
    """Read the header of a safetensors file.

    Args:
        source: The whole file.
        limits: Caps; ``config_bytes`` and ``config_nodes`` bound the header.

    Returns:
        ``(index, metadata)``: the sealed Index, and the ``__metadata__`` of the header.

    Raises:
        FormatError: for anything the format's own reader refuses.

    Reads: the header.
    """
    cdef uint64_t nbytes
    if source.nbytes < 8:
        raise TruncatedError(f"header length: expected 8 bytes, found {source.nbytes}",
                             source=source.name, offset=0)
    nbytes = int.from_bytes(source.read(0, 8), "little")
    if nbytes > source.nbytes - 8:
        raise TruncatedError(f"header: expected {nbytes} bytes, found {source.nbytes - 8}",
                             source=source.name, offset=8)
    if nbytes > <uint64_t>limits.config_bytes:
        raise LimitError(f"header: expected at most limits.config_bytes={limits.config_bytes}, "
                         f"found {nbytes}", source=source.name, offset=0, field="config_bytes")
    text = source.read(8, nbytes)
    if text[:1] != b"{":
        raise CorruptError(f"header: expected '{{' as its first byte, found {text[:1]!r}",
                           source=source.name, offset=8)
    header = json_text.parse(text, source.name, limits)
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all([isinstance(v, str) for v in metadata.values()]):
        raise CorruptError("__metadata__: expected an object of strings, found something else",
                           source=source.name, field="__metadata__")
    return index(source, header, 8 + nbytes, limits), metadata


cdef Index index(Source source, dict header, uint64_t base, limits):
    cdef Index tensors = Index(source, limits)
    cdef Row *row
    cdef uint64_t at = 0, begin, end
    cdef unsigned d
    # The spec has no order; the elements themselves do.
    for name, entry in sorted(header.items(), key=_begin(source)):
        dtype, shape, begin, end = _fields(source, name, entry)
        if begin != at:
            what = "overlap" if begin < at else "gap"
            raise CorruptError(f"data_offsets: expected to go on at {at} without {what}, found {begin}",
                               source=source.name, tensor=name, offset=base + begin, field="data_offsets")
        at = end
        row = tensors.append(name, len(shape))
        for d in range(<unsigned>len(shape)):
            tensors.dims[row.dims + d] = shape[d]
        row.offset, row.nbytes = base + begin, end - begin
        row.kind = PLAIN
        row.dtype = -1
        if dtype in TYPES:           # before the others: the table may grow
            row.dtype = CODES[TYPES[dtype]]
        elif dtype in OTHER_BITS:
            row.kind = UNREADABLE
            tensors.problems[name] = f"element type {dtype} not supported"
        else:
            raise UnsupportedError(f"dtype: expected a type of the format, found {dtype[:40]!r}",
                                   source=source.name, tensor=name, field="dtype")
    if base + at != source.nbytes:
        raise (TruncatedError if base + at > source.nbytes else CorruptError)(
            f"file size: expected {base + at} bytes for all tensors, found {source.nbytes}",
            source=source.name, offset=min(base + at, source.nbytes))
    tensors.seal()
    return tensors


def _begin(Source source):
    def begin(item):
        name, entry = item
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        if type(offsets) is not list or len(offsets) != 2:
            raise CorruptError("header entry: expected an object with two data_offsets, found "
                               f"{str(entry)[:80]}", source=source.name, tensor=name)
        return tuple([v if type(v) is int else -1 for v in offsets])
    return begin


cdef tuple _fields(Source source, str name, dict entry):
    """``(dtype, shape, begin, end)`` of an entry, of the right types and in range."""
    if entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise CorruptError("header entry: expected dtype, shape and data_offsets, found "
                           f"{', '.join(entry)[:80]}", source=source.name, tensor=name)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(dtype) is not str or type(shape) is not list:
        raise CorruptError(f"header entry: expected a string and a list, found {str(dtype)[:40]} and "
                           f"{str(shape)[:80]}", source=source.name, tensor=name)
    for number in [*shape, *offsets]:
        if type(number) is not int or not 0 <= number < 1 << 63:
            raise CorruptError(f"header entry: expected numbers from 0 to 2**63 - 1, found "
                               f"{str(number)[:40]}", source=source.name, tensor=name)
    if offsets[0] > offsets[1]:
        raise CorruptError(f"data_offsets: expected begin before end, found {offsets}",
                           source=source.name, tensor=name, field="data_offsets")
    return dtype, shape, offsets[0], offsets[1]


def draft(tensors, metadata=None):
    """The header of a file to write, and where its elements go.

    Wide types come first, so that every tensor begins at a multiple of its item size.

    Args:
        tensors: ``(name, dtype name, shape, nbytes)`` of each.
        metadata: Text by key, or None.

    Returns:
        ``(header, offsets)``: the bytes up to the first element, and the place of each
        tensor in the file, in the order given.

    Raises:
        UnsupportedError: for a type that the format has not, or a name that it reserves.
    """
    cdef uint64_t at = 0
    tensors = list(tensors)
    entries = {}
    if metadata:
        entries["__metadata__"] = {str(key): str(value) for key, value in metadata.items()}
    for name, dtype_name, _, _ in tensors:
        if dtype_name not in SPELLED:
            raise UnsupportedError(f"safetensors type: expected one of {', '.join(SPELLED)}, found {dtype_name}",
                                   tensor=name)
        if name == "__metadata__":
            raise UnsupportedError("safetensors name: expected any but '__metadata__', found it")
    ends = {}
    for name, dtype_name, shape, nbytes in sorted(
            tensors, key=lambda t: (-dtypes.BY_NAME[t[1]].itemsize, t[0])):
        entries[name] = {"dtype": SPELLED[dtype_name], "shape": list(shape), "data_offsets": [at, at + nbytes]}
        ends[name] = at
        at += nbytes
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % BOUNDARY)
    head = len(text).to_bytes(8, "little") + text
    return head, [len(head) + ends[name] for name, _, _, _ in tensors]
