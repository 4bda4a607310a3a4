"""Tensor, Extent, Index: nothing that does not add up can be sealed."""

import numpy as np
import pytest

from kio.errors import CorruptError, LimitError, TruncatedError, UnsupportedError
from kio.limits import Limits
from kio.raw.source import Source
from kio.raw.tensor import Extent, Tensor

SOURCE = Source.of_bytes(bytes(range(200)))


def chunked(shape, chunk, starts, nbytes=8, codecs=(("deflate", 0),), **kw):
    extents = [Extent(SOURCE, 8 * n, nbytes, codecs, start, chunk) for n, start in enumerate(starts)]
    return Tensor("t", "float32", shape, extents, **kw)


def test_plain():
    t = Tensor("t", "int16", (2, 5), [Extent(SOURCE, 3, 20)])
    assert t.plain and t.nbytes == t.nbytes_stored == 20 and t.size == 10 and len(t) == 2
    assert np.array_equal(t, np.frombuffer(bytes(range(3, 23)), "<i2").reshape(2, 5))


@pytest.mark.parametrize("nbytes", [0, 39, 41])
def test_stored_size_must_be_that_of_the_shape(nbytes):
    with pytest.raises(CorruptError, match="stored size: expected 40 bytes"):
        Tensor("t", "float32", (2, 5), [Extent(SOURCE, 0, nbytes)])


@pytest.mark.parametrize("offset", [161, 200, 2**64 - 1])
def test_outside_the_source(offset):
    with pytest.raises(TruncatedError):
        Tensor("t", "float32", (2, 5), [Extent(SOURCE, offset, 40)])


def test_shapes_and_limits():
    with pytest.raises(CorruptError):
        Tensor("t", "float32", (2, -1))
    with pytest.raises(LimitError, match=r"limits\.rank"):
        Tensor("t", "float32", (1,) * 33)
    with pytest.raises(LimitError, match=r"limits\.tensor_bytes"):
        Tensor("t", "float32", (2**32, 2**32))
    with pytest.raises(LimitError, match=r"limits\.tensor_bytes=10"):
        Tensor("t", "uint8", (11,), [Extent(SOURCE, 0, 11)], limits=Limits(tensor_bytes=10))


def test_no_data_is_a_problem_only_when_read():
    t = Tensor("t", "float32", (3,))
    assert t.problem == "no data stored"
    with pytest.raises(UnsupportedError, match="no data stored"):
        np.asarray(t)
    assert np.asarray(Tensor("t", "float32", (3, 0))).shape == (3, 0)


@pytest.mark.parametrize(
    "shape, chunk, starts, match",
    [
        ((4, 4), (2, 2), [(0, 0), (0, 0), (2, 0), (2, 2)], "once"),
        ((4, 4), (2, 2), [(0, 1), (0, 2), (2, 0), (2, 2)], "multiple"),
        ((4, 4), (2, 2), [(0, 4), (0, 2), (2, 0), (2, 2)], "multiple"),
        ((4, 4), (2, 0), [(0, 0)], "zeros"),
        ((4, 4), (2,), [(0,)], "rank 2"),
    ],
)
def test_chunks_lie_on_their_grid(shape, chunk, starts, match):
    with pytest.raises(CorruptError, match=match):
        chunked(shape, chunk, starts)


def test_missing_chunks_are_named():
    t = chunked((4, 4), (2, 2), [(0, 0), (2, 2)])
    assert t.problem == "no data stored for 2 of 4 chunks"


def test_expansion():
    with pytest.raises(LimitError, match="expansion"):
        chunked((1 << 20,), (1 << 20,), [(0,)])
    with pytest.raises(LimitError, match="chunks"):
        chunked((1 << 30,), (1,), [(0,)])
    with pytest.raises(LimitError, match="filters"):
        chunked((4,), (4,), [(0,)], codecs=(("shuffle", 4),) * 9)


def test_unfiltered_chunks_have_their_size():
    with pytest.raises(CorruptError, match="chunk size: expected 16"):
        chunked((4,), (4,), [(0,)], codecs=(), nbytes=15)
