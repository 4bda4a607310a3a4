"""Conversions between float32 and the short floats, each implementation."""

from __future__ import annotations

import random

import numpy as np
import pytest

from kio.raw import kernels
from tests.csrc.spans import each_implementation, guarded, guarded_copy

ml_dtypes = pytest.importorskip("ml_dtypes")

SHORT = {
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f16": np.dtype(np.float16),
    "f8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "f8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
}
RANDOM = random.Random(3).randbytes(1 << 12)

each_widening = each_implementation(*(f"{name}_to_f32" for name in SHORT))
each_narrowing = each_implementation(*(f"f32_to_{name}" for name in SHORT))


def bits(array: np.ndarray) -> np.ndarray:
    return array.view(f"u{array.itemsize}")


def interesting() -> np.ndarray:
    """float32 values: a coarse walk over all, and all short values, their midpoints and neighbours."""
    walk = np.arange(0, 2**32, 20_011, dtype=np.uint32).view(np.float32)
    parts = [walk]
    for dtype in SHORT.values():
        every = np.arange(2 ** (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}").view(dtype)
        with np.errstate(all="ignore"):
            wide = every.astype(np.float32)
            ordered = np.sort(wide[np.isfinite(wide)])
            # The sum may round only where the midpoint is no float32: never for short floats.
            middle = (ordered[1:].astype(np.float64) + ordered[:-1]) / 2
            beyond = ordered[-1].astype(np.float64) + (ordered[-1].astype(np.float64) - ordered[-2]) / 2
            for values in (wide, middle.astype(np.float32), np.array([beyond, -beyond], np.float32)):
                parts += [values, np.nextafter(values, np.float32(np.inf))]
                parts += [np.nextafter(values, np.float32(-np.inf))]
    return np.concatenate(parts)


VALUES = interesting()


def same(found: np.ndarray, expected: np.ndarray, source: np.ndarray) -> None:
    """Equal bits; of a NaN of float16 only that it is one, and its sign."""
    different = bits(found) != bits(expected)
    if np.float16 in (found.dtype, source.dtype):
        with np.errstate(invalid="ignore"):
            both = np.isnan(found) & np.isnan(expected) & (np.signbit(found) == np.signbit(expected))
        different &= ~both
    where = np.flatnonzero(different)[:5]
    assert not len(where), [(hex(bits(source)[i]), hex(bits(found)[i]), hex(bits(expected)[i])) for i in where]


@each_widening
def test_widens_every_value(kernel, row):
    dtype = SHORT[kernel.removesuffix("_to_f32")]
    source = np.arange(2 ** (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}").view(dtype)
    found = np.empty(source.shape, np.float32)
    kernels.convert_into(kernel, found.view(np.uint8), source.view(np.uint8), row)
    with np.errstate(all="ignore"):
        same(found, source.astype(np.float32), source)


@each_narrowing
def test_narrows(kernel, row):
    dtype = SHORT[kernel.removeprefix("f32_to_")]
    found = np.empty(VALUES.shape, dtype)
    kernels.convert_into(kernel, found.view(np.uint8), VALUES.view(np.uint8), row)
    with np.errstate(all="ignore"):
        same(found, VALUES.astype(dtype), VALUES)


@each_narrowing
def test_every_short_value_comes_back(kernel, row):
    dtype = SHORT[kernel.removeprefix("f32_to_")]
    source = np.arange(2 ** (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}").view(dtype)
    source = source[~np.isnan(source.astype(np.float32))]
    wide = source.astype(np.float32)
    found = np.empty_like(source)
    kernels.convert_into(kernel, found.view(np.uint8), wide.view(np.uint8), row)
    assert found.tobytes() == source.tobytes()


@each_implementation(*(f"{name}_to_f32" for name in SHORT), *(f"f32_to_{name}" for name in SHORT))
def test_stays_inside(kernel, row):
    src_name, dst_name = kernel.split("_to_")
    src_itemsize = SHORT[src_name].itemsize if src_name in SHORT else 4
    dst_itemsize = SHORT[dst_name].itemsize if dst_name in SHORT else 4
    whole = bytearray(300 * dst_itemsize)
    kernels.convert_into(kernel, whole, RANDOM[: 300 * src_itemsize])
    for nelems in range(300):
        dst = guarded(nelems * dst_itemsize)
        kernels.convert_into(kernel, dst, guarded_copy(RANDOM[: nelems * src_itemsize]), row)
        assert dst == whole[: nelems * dst_itemsize]


def test_unknown_conversion():
    with pytest.raises(KeyError):
        kernels.convert_into("f32_to_f24", bytearray(4), bytes(4))
    with pytest.raises(KeyError):
        kernels.convert_into("bf16_to_f32", bytearray(4), bytes(2), "abacus")
