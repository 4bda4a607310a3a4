"""npy: a header that is a Python literal, then the elements.

    0    \\x93NUMPY
    6    major, minor version
    8    header length: 2 bytes in version 1, 4 in 2 and 3
    10   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  padded with spaces, newline
    …    the elements, to the end

The literal is matched, not evaluated: three keys, each once.  Pickled objects are
recognised and never loaded.

Spec: NEP 1; numpy.lib.format.
"""

from __future__ import annotations

import re

from kio import dtypes
from kio.errors import CorruptError, LimitError, UnsupportedError
from kio.limits import DEFAULT, Limits
from kio.raw.source import Source
from kio.raw.tensor import Extent, Tensor

MAGIC = b"\x93NUMPY"

# Most headers are 118 bytes long, so one small read gets all of it.
_FIRST_READ = 256

_ITEM = r"'(descr|fortran_order|shape)'\s*:\s*('[^']*'|True|False|\([\d\sL,]*\))"
_HEADER = re.compile(rf"\{{\s*{_ITEM}\s*,\s*{_ITEM}\s*,\s*{_ITEM}\s*,?\s*\}}\s*")
_DESCR = re.compile(r"([<>|])([a-zA-Z])(\d{1,9})")
_TYPES = {("b1" if row.numpy == "?" else row.numpy): row.name for row in dtypes.TABLE if row.numpy}


def open(source: Source, name: str, limits: Limits = DEFAULT) -> Tensor:
    """Read the header of an npy file.

    Args:
        source: The whole file.
        name: Of the tensor.
        limits: Caps; ``attribute_bytes`` bounds the header.

    Returns:
        The sealed Tensor.

    Raises:
        CorruptError: if the header breaks the format or contradicts the file's size.
        UnsupportedError: for pickled objects, dates, records, and Fortran order.

    Reads: the header.
    """
    head = source.read(0, min(_FIRST_READ, source.nbytes))
    if head[:6] != MAGIC:
        raise CorruptError(f"npy signature: expected {MAGIC!r}, found {head[:6]!r}", source=source.name, offset=0)
    if head[6:8] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise UnsupportedError(
            f"npy version: expected 1.0 to 3.0, found {list(head[6:8])}", source=source.name, offset=6
        )
    start = 10 if head[6] == 1 else 12
    nbytes = int.from_bytes(head[8:start], "little")
    if nbytes > limits.attribute_bytes:
        raise LimitError(
            f"npy header: expected at most limits.attribute_bytes={limits.attribute_bytes}, found {nbytes}",
            source=source.name,
            offset=8,
            field="attribute_bytes",
        )
    if start + nbytes > len(head):
        head = source.read(0, start + nbytes)
    return parse_header(head[start : start + nbytes], source, start + nbytes, name, limits)


def header_of(dtype_name: str, shape: tuple[int, ...]) -> bytes:
    """The bytes before the elements of a file to write; a multiple of 64.

    Raises:
        UnsupportedError: for a type that NumPy has not, which it would read as raw bytes.
    """
    code = dtypes.BY_NAME[dtype_name].numpy
    if code is None:
        raise UnsupportedError(
            f"npy element type: expected one of NumPy's, found {dtype_name}",
            hint="write .safetensors or .weights.h5, or convert to another dtype",
        )
    code = "b1" if code == "?" else code
    order = "|" if dtypes.BY_NAME[dtype_name].itemsize == 1 or code[0] == "V" else "<"
    extents = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    text = f"{{'descr': '{order}{code}', 'fortran_order': False, 'shape': ({extents}), }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return MAGIC + b"\x01\x00" + len(text).to_bytes(2, "little") + text


def _type_of(order: str, code: str) -> str | None:
    if code in _TYPES:
        return _TYPES[code]
    # Bytes have no order, and characters are not turned.
    return code if dtypes.is_text(code) and (code[0] == "S" or order == "<") else None


def parse_header(text: bytes, source: Source, payload: int, name: str, limits: Limits) -> Tensor:
    """The tensor that a header describes, its elements starting at byte ``payload``."""
    match = _HEADER.fullmatch(text.decode("latin-1"))
    found = dict(zip(match.groups()[::2], match.groups()[1::2], strict=True)) if match else {}
    descr, order, shape_text = (found.get(key, "") for key in ("descr", "fortran_order", "shape"))
    if b"'descr': [" in text[:64] or descr[1:-1].endswith("O"):
        raise UnsupportedError(
            "npy element type: expected numbers, found records or pickled Python objects, which kio never loads",
            source=source.name,
            tensor=name,
            offset=0,
        )
    if descr[:1] != "'" or order not in ("True", "False") or shape_text[:1] != "(":
        raise CorruptError(
            f"npy header: expected descr, fortran_order and shape, found {text[:120]!r}",
            source=source.name,
            tensor=name,
            offset=0,
        )
    kind = _DESCR.fullmatch(descr[1:-1])
    dtype_name = _type_of(kind[1], kind[2] + kind[3]) if kind else None
    if kind is None or dtype_name is None:
        raise UnsupportedError(
            f"npy element type: expected a number or text, found {descr[:40]}",
            source=source.name,
            tensor=name,
            offset=0,
        )
    shape = tuple(int(part) for part in re.findall(r"\d{1,20}", shape_text))
    if order == "True" and sum(extent > 1 for extent in shape) > 1:
        raise UnsupportedError(
            "npy fortran_order: expected rows first, found columns first",
            source=source.name,
            tensor=name,
            offset=0,
            hint="save numpy.ascontiguousarray(array)",
        )
    extent = Extent(source, payload, source.nbytes - payload)
    return Tensor(name, dtype_name, shape, [extent], big_endian=kind[1] == ">", limits=limits)
