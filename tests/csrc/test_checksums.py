"""CRC-32, CRC-32C, Adler-32, Fletcher-32 and lookup3, each implementation."""

from __future__ import annotations

import random
import struct
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kio.raw import kernels
from tests.csrc.spans import each_implementation, guarded, guarded_copy

RANDOM = random.Random(1).randbytes(1 << 18)
# Every size up to where the widest kernel enters its main loop, and around its strides.
SIZES = [*range(301), *range(505, 530), *range(760, 775), 1000, 4095, 4096, 5552, 5553, 65537]


def crc32c_slowly(data: bytes, crc: int = 0) -> int:
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ CRC32C_BYTES[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _crc32c_byte(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


CRC32C_BYTES = [_crc32c_byte(byte) for byte in range(256)]


def fletcher32_slowly(data: bytes) -> int:
    """H5_checksum_fletcher32, word by word; folding as late as Python's integers allow."""
    words = struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2])
    sum1 = sum2 = 0
    for word in (*words, data[-1] << 8) if len(data) % 2 else words:
        sum1 += word
        sum2 += sum1

    def fold(total: int) -> int:
        return total % 65535 or (65535 if total else 0)

    return fold(sum2) << 16 | fold(sum1)


REFERENCE = {
    "crc32": zlib.crc32,
    "crc32c": crc32c_slowly,
    "adler32": zlib.adler32,
}
FUNCTION = {
    "crc32": kernels.crc32_of,
    "crc32c": kernels.crc32c_of,
    "adler32": kernels.adler32_of,
    "crc32_copy": kernels.crc32_copy_into,
    "crc32c_copy": kernels.crc32c_copy_into,
}
INITIAL = {"crc32": 0, "crc32c": 0, "adler32": 1}

each_checksum = each_implementation("crc32", "crc32c", "adler32")


@each_checksum
def test_known_values(kernel, row):
    expected = {"crc32": 0xCBF43926, "crc32c": 0xE3069283, "adler32": 0x091E01DE}
    assert FUNCTION[kernel](b"123456789", INITIAL[kernel], row) == expected[kernel]
    assert FUNCTION[kernel](b"", INITIAL[kernel], row) == INITIAL[kernel]


@each_implementation("crc32c")
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_rfc3720_vectors(kernel, row, data, expected):
    assert kernels.crc32c_of(data, 0, row) == expected


@each_checksum
def test_every_size_and_start(kernel, row):
    whole = memoryview(RANDOM)
    for start in (0, 1, 7, 13):
        for nbytes in SIZES:
            data = whole[start : start + nbytes]
            assert FUNCTION[kernel](data, 0x12345678, row) == REFERENCE[kernel](data, 0x12345678), nbytes


@each_checksum
@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_extreme_bytes(kernel, row, byte):
    # Adler-32's sums are largest for 0xFF after a start of 65520.
    data = bytes([byte]) * 100_003
    assert FUNCTION[kernel](data, 0xFFF0FFF0, row) == REFERENCE[kernel](data, 0xFFF0FFF0)


@each_checksum
def test_reads_nothing_else(kernel, row):
    for at_end in (True, False):
        for nbytes in SIZES:
            data = RANDOM[:nbytes]
            span = guarded_copy(data, at_end)
            assert FUNCTION[kernel](span, 1, row) == REFERENCE[kernel](data, 1)


@each_checksum
@given(cut=st.integers(0, 5000), nbytes=st.integers(0, 5000))
def test_continues(kernel, row, cut, nbytes):
    data = RANDOM[:nbytes]
    function, initial = FUNCTION[kernel], INITIAL[kernel]
    assert function(data[cut:], function(data[:cut], initial, row), row) == REFERENCE[kernel](data)


@each_implementation("crc32_copy", "crc32c_copy")
def test_copies(kernel, row):
    checksum = FUNCTION[kernel.removesuffix("_copy")]
    for nbytes in SIZES:
        data = RANDOM[3 : 3 + nbytes]
        src, dst = guarded_copy(data), guarded(nbytes)
        assert FUNCTION[kernel](dst, src, 7, row) == checksum(data, 7)
        assert dst == data
        # Nothing behind the copy changes where there is room.
        roomy = bytearray(b"\xa5" * (nbytes + 64))
        FUNCTION[kernel](roomy, src, 7, row)
        assert roomy == data + b"\xa5" * 64


@pytest.mark.parametrize("kernel", ["crc32", "crc32c"])
@given(cut=st.integers(0, 3000), nbytes=st.integers(0, 3000))
def test_combines(kernel, cut, nbytes):
    data = RANDOM[:nbytes]
    first, second = data[:cut], data[cut:]
    combine = {"crc32": kernels.crc32_combine_of, "crc32c": kernels.crc32c_combine_of}[kernel]
    reference = REFERENCE[kernel]
    assert combine(reference(first), reference(second), len(second)) == reference(data)


@pytest.mark.parametrize("kernel", ["crc32", "crc32c"])
@given(
    crc=st.integers(0, 2**32 - 1),
    m=st.integers(0, 2**63 - 1),
    n=st.integers(0, 2**63 - 1),
)
def test_combines_any_length(kernel, crc, m, n):
    # Appending m bytes and then n is appending m + n, also where no buffer is that large.
    combine = {"crc32": kernels.crc32_combine_of, "crc32c": kernels.crc32c_combine_of}[kernel]
    assert combine(combine(crc, 0, m), 0, n) == combine(crc, 0, m + n)


@each_implementation("fletcher32")
def test_fletcher32(kernel, row):
    assert kernels.fletcher32_of(b"", row) == 0
    # The published vectors are of little-endian words: HDF5's are the same of exchanged bytes.
    assert kernels.fletcher32_of(b"badcfe", row) == 0x56502D2A
    for nbytes in SIZES:
        data = RANDOM[5 : 5 + nbytes]
        assert kernels.fletcher32_of(guarded_copy(data), row) == fletcher32_slowly(data), nbytes


@each_implementation("fletcher32")
@pytest.mark.parametrize("pair", [b"\0\0", b"\xff\xff", b"\0\xff", b"\xff\0", b"\xff\xfe\0\x01"])
def test_fletcher32_folds(kernel, row, pair):
    # Sums that are multiples of 65535 must become 0xFFFF, and zero must stay zero.
    for repeats in (1, 255, 257, 1000, 65535, 100_000):
        data = pair * repeats
        assert kernels.fletcher32_of(data, row) == fletcher32_slowly(data)


@pytest.mark.parametrize("nbytes", [2, 3, 101, 4096, 100_001])
def test_fletcher32_as_hdf5(tmp_path, nbytes):
    values = np.frombuffer(RANDOM[:nbytes], "u1")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        dataset = file.create_dataset("x", data=values, chunks=(nbytes,), fletcher32=True)
        _, chunk = dataset.id.read_direct_chunk((0,))
    stored = int.from_bytes(chunk[-4:], "little")
    assert chunk[:-4] == values.tobytes()
    assert kernels.fletcher32_of(values) == stored
    assert kernels.fletcher32_old_of(0x12345678) == 0x34127856


@pytest.mark.parametrize(
    ("data", "initval", "expected"),
    [  # driver5() of lookup3.c
        (b"", 0, 0xDEADBEEF),
        (b"", 0xDEADBEEF, 0xBD5B7DDE),
        (b"Four score and seven years ago", 0, 0x17770551),
        (b"Four score and seven years ago", 1, 0xCD628161),
    ],
)
def test_lookup3_vectors(data, initval, expected):
    assert kernels.lookup3_of(data, initval) == expected


def test_lookup3_reads_nothing_else():
    values = {kernels.lookup3_of(guarded_copy(RANDOM[:n])) for n in range(300)}
    assert len(values) == 300
    assert all(
        kernels.lookup3_of(guarded_copy(RANDOM[:n], False)) == kernels.lookup3_of(RANDOM[:n]) for n in range(300)
    )


def test_lookup3_as_hdf5(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w", libver="latest") as file:
        file["x"] = np.arange(3)
    superblock = (tmp_path / "f.h5").read_bytes()[:48]
    assert superblock[8] in (2, 3)
    assert kernels.lookup3_of(superblock[:44]) == int.from_bytes(superblock[44:], "little")


def test_unknown_names_are_refused():
    with pytest.raises(KeyError):
        kernels.implementations("md5")
    with pytest.raises(KeyError):
        kernels.crc32_of(b"", 0, "abacus")
    with pytest.raises(ValueError, match="dst: expected at least 4 bytes, found 3"):
        kernels.crc32_copy_into(bytearray(3), b"1234")
