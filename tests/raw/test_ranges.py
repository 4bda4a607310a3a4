"""Many ranges of a source: where a request is dear, neighbours are one."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kio
from kio.errors import ChecksumError, TruncatedError
from kio.raw import transfer
from kio.raw.source import Source
from kio.raw.tensor import Extent, Tensor
from tests.raw.far import Far

MIB = 1 << 20
DATA = np.random.default_rng(3).bytes(12 * MIB)


@settings(max_examples=100, deadline=None)
@given(
    ranges=st.lists(st.tuples(st.integers(0, 9 * MIB), st.integers(0, 2 * MIB)), max_size=12), base=st.integers(0, MIB)
)
def test_each_gets_its_own(ranges, base):
    file = Far(DATA)
    source = Source.of_file(file).window(base, len(DATA) - base, "w")
    wanted = [DATA[base + offset : base + offset + nbytes] for offset, nbytes in ranges]
    assert source.read_ranges(ranges) == wanted
    assert Source.of_bytes(DATA).window(base, len(DATA) - base, "w").read_ranges(ranges) == wanted
    assert len(file.requests) <= sum(nbytes > 0 for _, nbytes in ranges)
    assert all(nbytes <= 4 * MIB for _, nbytes in file.requests)


@pytest.mark.parametrize(
    ("ranges", "requests"),
    [
        ([(0, 10), (20, 10)], [(0, 30)]),
        ([(20, 10), (0, 10), (5, 20)], [(0, 30)]),
        ([(0, 10), (10 + MIB, 10)], [(0, 20 + MIB)]),
        ([(0, 10), (11 + MIB, 10)], [(0, 10), (11 + MIB, 10)]),
        ([(0, 3 * MIB), (3 * MIB, MIB)], [(0, 4 * MIB)]),
        ([(0, 3 * MIB), (3 * MIB, MIB + 1)], [(0, 3 * MIB), (3 * MIB, MIB + 1)]),
        ([(0, 9 * MIB)], [(0, 9 * MIB)]),
        ([(7, 0), (3, 0)], []),
        ([], []),
    ],
)
def test_neighbours_are_one_request(ranges, requests):
    file = Far(DATA)
    source = Source.of_file(file)
    assert source.read_ranges(ranges) == [DATA[a : a + n] for a, n in ranges]
    assert file.requests == requests


@pytest.mark.parametrize("ranges", [[(0, 5), (98, 3)], [(101, 0)], [(1 << 63, 1)]])
def test_what_is_outside_is_refused(ranges):
    for source in (Source.of_file(Far(DATA[:100])), Source.of_bytes(DATA[:100])):
        with pytest.raises(TruncatedError, match="read: expected"):
            source.read_ranges(ranges)


def test_a_file_that_ends_early_is_refused():
    file = Far(DATA[:1000])
    source = Source.of_file(file)
    file.data = file.data[:500]
    with pytest.raises(TruncatedError, match="the file shrank while open"):
        source.read_ranges([(0, 10), (490, 20)])


# ---------------------------------------------------------------------- transfers


def tensors_of(source, count, nbytes, step):
    return [Tensor(f"x{k}", "uint8", (nbytes,), [Extent(source, k * step, nbytes)]) for k in range(count)]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize(
    ("count", "nbytes", "step", "requests"),
    [
        (100, 1000, 1000, 1),  # neighbours
        (100, 1000, 100_000, 3),  # 10 MB of gaps that cost less than requests: spans of 4 MiB
        (5, 1000, 2 * MIB, 5),  # far from each other
        (1, 10 * MIB, 0, 3),  # more than one thread reads at a time
        (4, 300_000, 300_000, 1),  # each a job of its own
    ],
)
def test_small_neighbours_are_one_request(count, nbytes, step, requests, threads):
    file = Far(DATA)
    found = transfer.read(tensors_of(Source.of_file(file), count, nbytes, step), threads=threads)
    for k, array in enumerate(found):
        assert array.tobytes() == DATA[k * step : k * step + nbytes]
    assert len(file.requests) == requests
    assert file.nbytes_read <= max(count * nbytes, (count - 1) * step + nbytes)


def test_checksums_cost_no_requests():
    """What is summed on the way was read in pieces of 128 KiB, each a request."""
    value = np.frombuffer(DATA[: 3 * MIB], "u1")
    image = io.BytesIO()
    with zipfile.ZipFile(image, "w") as archive:
        head = io.BytesIO()
        np.save(head, value)
        archive.writestr("a.npy", head.getvalue())
    file = Far(image.getvalue())
    with kio.open(file) as found:
        file.requests.clear()
        assert np.array_equal(found.read(verify=True)["a"], value)
        assert len(file.requests) <= 2
    bad = bytearray(image.getvalue())
    bad[2 * MIB] ^= 1
    with kio.open(Far(bad)) as found, pytest.raises(ChecksumError):
        found.read(verify=True)


def test_big_endian_and_twice_the_same():
    source = Source.of_file(Far(DATA))
    tensors = [Tensor(f"x{k}", "float32", (1000,), [Extent(source, 0, 4000)], big_endian=True) for k in range(3)]
    for array in transfer.read(tensors):
        assert array.tobytes() == np.frombuffer(DATA[:4000], ">u4").astype("<u4").tobytes()


def test_an_error_of_the_file_is_raised_as_it_is():
    class Broken(Far):
        def read(self, nbytes=-1):
            if self.requests:
                raise ConnectionError("gone")
            return super().read(nbytes)

    file = Broken(DATA)
    source = Source.of_file(file)
    transfer.read(tensors_of(source, 3, 1000, 1000))
    with pytest.raises(ConnectionError, match="gone"):
        transfer.read(tensors_of(source, 3, 1000, 1000), threads=2)
