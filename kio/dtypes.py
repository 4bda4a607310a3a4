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
        numpy: NumPy's own character code, or None where ``ml_dtypes`` is needed.
        kind: ``f`` float, ``i`` signed, ``u`` unsigned, ``b`` bool, ``c`` complex, ``V`` raw bytes;
            text: ``S`` bytes and ``U`` characters of a fixed length, ``O`` bytes of any length.
    """

    name: str
    itemsize: int
    numpy: str | None
    kind: str


TABLE = (
    DType("bool", 1, "?", "b"),
    DType("int8", 1, "i1", "i"),
    DType("uint8", 1, "u1", "u"),
    DType("int16", 2, "i2", "i"),
    DType("uint16", 2, "u2", "u"),
    DType("int32", 4, "i4", "i"),
    DType("uint32", 4, "u4", "u"),
    DType("int64", 8, "i8", "i"),
    DType("uint64", 8, "u8", "u"),
    DType("float16", 2, "f2", "f"),
    DType("float32", 4, "f4", "f"),
    DType("float64", 8, "f8", "f"),
    DType("bfloat16", 2, None, "f"),
    DType("float8_e4m3fn", 1, None, "f"),
    DType("float8_e5m2", 1, None, "f"),
    DType("complex64", 8, "c8", "c"),
    DType("complex128", 16, "c16", "c"),
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
    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
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
