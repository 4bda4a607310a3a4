"""npy: every header NumPy writes, and what is refused."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kio.containers import npy
from kio.errors import CorruptError, FormatError, LimitError, TruncatedError, UnsupportedError
from kio.limits import Limits
from kio.raw.source import Source

numbers = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | hnp.complex_number_dtypes(endianness="?", sizes=(64, 128))
)


def opened(data, **limits):
    return npy.open(Source.of_bytes(data, "x.npy"), "x", Limits(**limits))


def saved(array, version=None):
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), version=version)
    return out.getvalue()


def header(text, payload=b"", version=b"\1\0"):
    width = 2 if version[0] == 1 else 4
    return b"\x93NUMPY" + version + len(text).to_bytes(width, "little") + text + payload


@given(hnp.arrays(numbers, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)))
def test_equals_numpy(array):
    tensor = opened(saved(array))
    assert tensor.shape == array.shape
    found = np.asarray(tensor)
    assert found.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions(version):
    np.testing.assert_array_equal(
        np.asarray(opened(saved(np.arange(6).reshape(2, 3), version))), [[0, 1, 2], [3, 4, 5]]
    )


@pytest.mark.parametrize(
    "text",
    [
        b"{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n",
        b"{'shape': (2,), 'fortran_order': False, 'descr': '<i4'}",
        b"{ 'fortran_order' : False , 'shape' : ( 2 , ) , 'descr' : '<i4' }   \n",
        b"{'descr': '<i4', 'fortran_order': False, 'shape': (2L,), }\n",  # Python 2
        b"{'descr': '<i4', 'fortran_order': True, 'shape': (2,), }\n",
    ],
)
def test_headers_other_writers_write(text):
    np.testing.assert_array_equal(np.asarray(opened(header(text, b"\1\0\0\0\2\0\0\0"))), [1, 2])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"{'descr': '<i4', 'fortran_order': False}",
        b"{'descr': '<i4', 'descr': '<i4', 'shape': (2,)}",
        b"{'descr': '<i4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
        b"{'descr': '<i4', 'fortran_order': 0, 'shape': (2,)}",
        b"{'descr': '<i4', 'fortran_order': False, 'shape': [2]}",
        b"{'descr': '<i4', 'fortran_order': False, 'shape': (-2,)}",
        b"{'descr': '<i4', 'fortran_order': False, 'shape': (2,), } and __import__('os')",
        b"__import__('os').system('true')",
        b"(" * 60000,
        b"{'descr': '<i4', 'fortran_order': False, 'shape': (" + b"1 " * 20000,
        b"\xff\xfe",
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_headers_refused(text):
    with pytest.raises(CorruptError):
        opened(header(text, bytes(8)))


@pytest.mark.parametrize(
    "array, says",
    [
        (np.array([None]), "pickled Python objects"),
        (np.zeros(2, "i4,f4"), "records"),
        (np.array(["a"], ">U1"), "expected a number"),
        (np.array(["2024"], "M8[D]"), "expected a number"),
        (np.zeros(2, "g"), "expected a number"),
        (np.asfortranarray(np.ones((2, 3))), "ascontiguousarray"),
    ],
)
def test_kinds_refused(array, says):
    with pytest.raises(UnsupportedError, match=says):
        opened(saved(array))


def test_size_must_fit():
    data = saved(np.arange(4, dtype="i4"))
    for damaged in (data + b"\0", data[:-1]):
        with pytest.raises(CorruptError):
            opened(damaged)
    for nbytes in range(len(data)):
        with pytest.raises(FormatError):
            opened(data[:nbytes])


@pytest.mark.parametrize("shape", ["(2**62,)", "(4611686018427387904, 4)", "(18446744073709551617,)"])
def test_shape_bombs(shape):
    with pytest.raises(FormatError):
        opened(header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode(), bytes(16)))
    with pytest.raises(LimitError, match="rank"):
        opened(saved(np.ones((1,) * 20)), rank=19)
    with pytest.raises(LimitError, match="attribute_bytes"):
        opened(saved(np.ones(3)), attribute_bytes=10)


def test_not_npy():
    with pytest.raises(CorruptError, match="signature"):
        opened(b"PK\3\4" + bytes(100))
    with pytest.raises(UnsupportedError, match="version"):
        opened(b"\x93NUMPY\4\0" + bytes(100))
    with pytest.raises(TruncatedError):
        opened(b"\x93NUMPY\1\0\xff\xff")


@given(st.binary(max_size=200))
def test_nothing_but_format_errors(data):
    try:
        opened(b"\x93NUMPY\1\0" + data)
    except FormatError as error:
        assert str(error).isprintable()
