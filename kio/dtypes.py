"""The element types kio knows, one row each.

A dtype is named as Keras names it.  NumPy has no bfloat16 or float8 of its own;
``ml_dtypes`` (which Keras and JAX bring along) supplies them.  Without it such
tensors are still listed, verified and copied, and read as raw ``V2``/``V1``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class DType:
    """One element type.

    Attributes:
        name: As Keras spells it, e.g. ``"bfloat16"``.
        itemsize: Bytes of one element.
        numpy: NumPy's own character code, which npy files have, too; None where ``ml_dtypes`` is needed.
        kind: ``f`` float, ``i`` signed, ``u`` unsigned, ``b`` bool, ``c`` complex, ``V`` raw bytes;
            text: ``S`` bytes and ``U`` characters of a fixed length, ``O`` bytes of any length.
        safetensors: Name in a safetensors header, or None.
        tensorflow: Number in TensorFlow's ``types.proto``, or None.
        layout: Of a float: bits of the exponent, bits of the mantissa, bias of the exponent; the sign is the
            first bit.  HDF5 describes floats so.
    """

    name: str
    itemsize: int
    numpy: str | None
    kind: str
    safetensors: str | None = None
    tensorflow: int | None = None
    layout: tuple[int, int, int] | None = None

    @property
    def bits(self) -> str:
        """The integers of the same size, for libraries that take these bytes but have no name for the type."""
        return f"int{8 * self.itemsize}" if self.itemsize > 1 else "uint8"

    @property
    def raw(self) -> str | None:
        """The row of raw bytes that stands for it in files that have no name for it, which add a mark; or None."""
        return f"opaque{self.itemsize}" if self.numpy is None else None

    @property
    def wide(self) -> bool:
        """Whether it has numbers of 64 bits."""
        return self.itemsize == (16 if self.kind == "c" else 8) and self.kind in "iufc"


TABLE = (
    DType("bool", 1, "?", "b", "BOOL", 10),
    DType("int8", 1, "i1", "i", "I8", 6),
    DType("uint8", 1, "u1", "u", "U8", 4),
    DType("int16", 2, "i2", "i", "I16", 5),
    DType("uint16", 2, "u2", "u", "U16", 17),
    DType("int32", 4, "i4", "i", "I32", 3),
    DType("uint32", 4, "u4", "u", "U32", 22),
    DType("int64", 8, "i8", "i", "I64", 9),
    DType("uint64", 8, "u8", "u", "U64", 23),
    DType("float16", 2, "f2", "f", "F16", 19, (5, 10, 15)),
    DType("float32", 4, "f4", "f", "F32", 1, (8, 23, 127)),
    DType("float64", 8, "f8", "f", "F64", 2, (11, 52, 1023)),
    DType("bfloat16", 2, None, "f", "BF16", 14, (8, 7, 127)),
    DType("float8_e4m3fn", 1, None, "f", "F8_E4M3", 25, (4, 3, 7)),
    DType("float8_e5m2", 1, None, "f", "F8_E5M2", 24, (5, 2, 15)),
    DType("complex64", 8, "c8", "c", "C64", 8),
    DType("complex128", 16, "c16", "c", None, 18),
    # TensorFlow and ml_dtypes have each of these in a byte of its own.
    DType("float8_e4m3fnuz", 1, None, "f", None, 26),
    DType("float8_e4m3b11fnuz", 1, None, "f", None, 27),
    DType("float8_e5m2fnuz", 1, None, "f", None, 28),
    DType("int4", 1, None, "i", None, 29),
    DType("uint4", 1, None, "u", None, 30),
    DType("int2", 1, None, "i", None, 31),
    DType("uint2", 1, None, "u", None, 32),
    DType("float4_e2m1fn", 1, None, "f", None, 33),
    DType("opaque1", 1, "V1", "V"),  # float8 of writers that left no marker
    DType("opaque2", 2, "V2", "V"),  # bfloat16 of writers that left no marker
)


class _Rows(dict[str, DType]):
    """Rows by name.  Those of text are made as they are asked for: no table has every length."""

    def __missing__(self, name: str) -> DType:
        if name == TEXT:
            return DType(TEXT, 16, "O", "O")
        found = _OF_TEXT.fullmatch(name)
        if found is None:
            raise KeyError(name)
        return DType(name, int(found[2]) * (4 if found[1] == "U" else 1), name, found[1])


# Text is read and shown; no variable is made of it, and no file is written with it.  It is named
# as NumPy names it, ``S10`` or ``U5``; bytes of any length, which HDF5 alone has, are "text".
TEXT = "text"
_OF_TEXT = re.compile(r"([SU])([1-9]\d{0,9})")

BY_NAME = _Rows({row.name: row for row in TABLE})
# A C table holds the row's number; -1 stands for a type kio does not read.
CODES = {row.name: code for code, row in enumerate(TABLE)}


# Of a complex number: the row of its two parts -> its own.
COMPLEX_OF = {
    half.name: row.name
    for row in TABLE
    for half in TABLE
    if row.kind == "c" and half.kind == "f" and half.numpy is not None and 2 * half.itemsize == row.itemsize
}


def of_raw(stored: str, wanted: str = "") -> str | None:
    """What raw bytes without a mark hold.

    Args:
        stored: Name of their row, ``"opaque2"``.
        wanted: Dtype of the variable that they are for, or an empty string.

    Returns:
        The name of a row: the one wanted, or the only one that there is; None where neither tells,
        and for what is no row of raw bytes.
    """
    names = [row.name for row in TABLE if row.raw == stored]
    if wanted in names:
        return wanted
    row = BY_NAME.get(wanted)
    other = row is not None and (row.kind != "f" or row.raw is not None)
    return names[0] if len(names) == 1 and not other else None


def is_text(name: str) -> bool:
    """Whether a row is one of text."""
    return name == TEXT or _OF_TEXT.fullmatch(name) is not None


@cache
def numpy_dtype(name: str, big_endian: bool = False) -> np.dtype[Any]:
    """The NumPy dtype of the row ``name``, in the byte order given.

    Raises:
        KeyError: if no row has that name.
    """
    row = BY_NAME[name]
    if row.numpy is not None:
        dtype: np.dtype[Any] = np.dtype(row.numpy)
        return dtype.newbyteorder(">") if big_endian else dtype.newbyteorder("<")
    try:
        import ml_dtypes
    except ImportError:
        return np.dtype(f"V{row.itemsize}")
    made = getattr(ml_dtypes, name, None)  # an old ml_dtypes has not all
    found: np.dtype[Any] = np.dtype(f"V{row.itemsize}" if made is None else made)
    return found


def name_of(dtype: Any) -> str:
    """The row's name for a NumPy dtype, whatever its byte order.

    Raises:
        KeyError: if kio has no such dtype.
    """
    return _name_of(np.dtype(dtype))


@cache  # NumPy works a dtype's name out anew each time
def _name_of(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "V" and dtype.names is None and dtype.name.startswith("void"):
        name = f"opaque{dtype.itemsize}"
    else:
        name = dtype.name
    if name not in BY_NAME:
        raise KeyError(name)
    return name
