"""Shuffle, byte swap and box placement, each implementation."""

from __future__ import annotations

import random

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kio.raw import kernels
from tests.csrc.spans import each_implementation, guarded, guarded_copy

RANDOM = random.Random(2).randbytes(1 << 17)
ITEMSIZES = [1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 33]
SIZES = [*range(301), 511, 512, 513, 4096, 32768 + 5, 100_003]


def shuffled(data: bytes, itemsize: int) -> bytes:
    whole = len(data) // itemsize * itemsize
    items = np.frombuffer(data[:whole], "u1").reshape(-1, itemsize)
    return items.T.tobytes() + data[whole:]


@each_implementation("shuffle")
@pytest.mark.parametrize("itemsize", ITEMSIZES)
def test_shuffle(kernel, row, itemsize):
    for nbytes in SIZES:
        data = RANDOM[1 : 1 + nbytes]
        dst = guarded(nbytes)
        kernels.shuffle_into(dst, guarded_copy(data), itemsize, row)
        assert dst == shuffled(data, itemsize), nbytes


@each_implementation("unshuffle")
@pytest.mark.parametrize("itemsize", ITEMSIZES)
def test_unshuffle(kernel, row, itemsize):
    for nbytes in SIZES:
        data = RANDOM[1 : 1 + nbytes]
        dst = guarded(nbytes)
        kernels.unshuffle_into(dst, guarded_copy(shuffled(data, itemsize)), itemsize, row)
        assert dst == data, nbytes


@each_implementation("shuffle", "unshuffle")
def test_shuffle_stays_inside(kernel, row):
    function = {"shuffle": kernels.shuffle_into, "unshuffle": kernels.unshuffle_into}[kernel]
    for itemsize in ITEMSIZES:
        for nbytes in (0, 1, 63, 64, 65, 300, 1000):
            dst = bytearray(b"\xa5" * (nbytes + 64))
            function(dst, guarded_copy(RANDOM[:nbytes], False), itemsize, row)
            assert dst[nbytes:] == b"\xa5" * 64


@each_implementation("shuffle", "unshuffle")
def test_item_of_no_bytes_copies(kernel, row):
    function = {"shuffle": kernels.shuffle_into, "unshuffle": kernels.unshuffle_into}[kernel]
    dst = bytearray(100)
    function(dst, RANDOM[:100], 0, row)
    assert dst == RANDOM[:100]


@pytest.mark.parametrize("dtype", ["u1", "f2", "f4", "f8", "c16", "V3", "V10"])
@pytest.mark.parametrize("nelems", [1, 5, 16, 1001])
def test_shuffle_as_hdf5(tmp_path, dtype, nelems):
    dtype = np.dtype(dtype)
    values = np.frombuffer(RANDOM[: nelems * dtype.itemsize], dtype)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        dataset = file.create_dataset("x", data=values, chunks=(nelems,), shuffle=True)
        _, chunk = dataset.id.read_direct_chunk((0,))
    dst = bytearray(len(chunk))
    kernels.unshuffle_into(dst, chunk, dtype.itemsize)
    assert dst == values.tobytes()
    kernels.shuffle_into(dst, values.tobytes(), dtype.itemsize)
    assert dst == chunk


@each_implementation("swap")
@pytest.mark.parametrize("itemsize", [1, 2, 3, 4, 8, 16])
def test_swap(kernel, row, itemsize):
    for nelems in [*range(70), 1000, 4099]:
        data = RANDOM[1 : 1 + nelems * itemsize]
        expected = data
        if itemsize in (2, 4, 8):
            expected = np.frombuffer(data, f"u{itemsize}").byteswap().tobytes()
        dst = guarded(len(data))
        kernels.swap_into(dst, guarded_copy(data), itemsize, row)
        assert dst == expected
        in_place = bytearray(data)
        kernels.swap_into(in_place, in_place, itemsize, row)
        assert in_place == expected


def test_swap_wants_whole_items():
    with pytest.raises(ValueError, match="expected whole items of 4 bytes, found 7 bytes"):
        kernels.swap_into(bytearray(8), bytes(7), 4)


@st.composite
def boxes(draw):
    rank = draw(st.integers(0, 5))
    box = [draw(st.integers(0, 4)) for _ in range(rank)]
    shapes, starts = [], []
    for _ in range(2):
        # Whole dimensions must be common: they are what gets merged.
        before = [draw(st.sampled_from([0, 0, 1, 2])) for _ in range(rank)]
        after = [draw(st.sampled_from([0, 0, 1, 2])) for _ in range(rank)]
        starts.append(before)
        shapes.append([b + n + a for b, n, a in zip(before, box, after, strict=True)])
    return box, shapes, starts, draw(st.sampled_from([1, 2, 3, 4, 8, 16, 24]))


@given(boxes())
def test_place(case):
    box, (dst_shape, src_shape), (dst_start, src_start), itemsize = case
    dtype = np.dtype(f"V{itemsize}")
    src_nbytes = itemsize * int(np.prod(src_shape, dtype=int))
    dst_nbytes = itemsize * int(np.prod(dst_shape, dtype=int))
    src = np.frombuffer(RANDOM[:src_nbytes], dtype).reshape(src_shape)
    expected = np.frombuffer(bytearray(b"\xa5" * dst_nbytes), dtype).reshape(dst_shape)

    def at(start):
        return tuple(slice(s, s + n) for s, n in zip(start, box, strict=True))

    expected[at(dst_start)] = src[at(src_start)]
    dst = guarded(dst_nbytes)
    dst[:] = b"\xa5" * dst_nbytes
    kernels.place_into(
        dst, dst_shape, dst_start, guarded_copy(RANDOM[:src_nbytes]), src_shape, src_start, box, itemsize
    )
    assert dst == expected.tobytes()


def test_place_rank_32():
    shape = [2] * 10 + [1] * 22
    dst = bytearray(1024 * 4)
    kernels.place_into(dst, shape, [0] * 32, RANDOM[:4096], shape, [0] * 32, shape, 4)
    assert dst == RANDOM[:4096]
    with pytest.raises(ValueError, match="rank: expected at most 32, found 33"):
        kernels.place_into(dst, [1] * 33, [0] * 33, RANDOM, [1] * 33, [0] * 33, [1] * 33, 4)
    with pytest.raises(ValueError, match="box: expected to lie within both arrays"):
        kernels.place_into(dst, [4], [2], RANDOM, [4], [0], [3], 4)
