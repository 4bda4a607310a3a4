"""The table of codecs: known bytes of each row, whatever is done to them, and what the containers take from it.

A new row needs its line in ``KNOWN``, or the first test fails.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kio.cli import main
from kio.containers import hdf5, hdf5_lib
from kio.containers import zip as zips
from kio.containers.hdf5.chunking import filters_of
from kio.errors import CorruptError, FormatError, UnsupportedError
from kio.raw import codecs, packing, transfer
from kio.raw.source import Source
from kio.raw.tensor import Extent, Tensor
from tests.containers.written import written

PLAIN = bytes(range(16)) * 4
# What other programs store for PLAIN, as 16 elements of 4 bytes, and the first client value of their filter.
# zlib 1.2.13 and zstandard 0.25; h5py 3.14 with libhdf5 1.14.6 for the others.
KNOWN = {
    "deflate": ("785e6360646266616563e7e0e4e2e6e1e5e36720910f0037e001e1", 4),
    "shuffle": (
        "0004080c0004080c0004080c0004080c0105090d0105090d0105090d0105090d"
        "02060a0e02060a0e02060a0e02060a0e03070b0f03070b0f03070b0f03070b0f",
        4,
    ),
    "fletcher32": (PLAIN.hex() + "00e13d2f", 0),
    "lzf": ("10000102030405060708090a0b0c0d0e0f00e0240f010e0f", 0),
    "zstd": ("28b52ffd2040bd000080000102030405060708090a0b0c0d0e0f01009a682e01", 0),
}
# Whose damage shows itself in the stream or in a checksum: the others have nothing to tell by.
TELLS = {"deflate", "fletcher32"}
ROWS = pytest.mark.parametrize("row", codecs.TABLE, ids=lambda row: row.name)
WRITTEN = pytest.mark.parametrize("row", [row for row in codecs.TABLE if row.apply], ids=lambda row: row.name)


def tensor_of(stored, steps, nbytes):
    """A tensor of bytes, as one chunk that these steps undo."""
    return Tensor("t", "uint8", (nbytes,), [Extent(Source.of_bytes(stored), 0, len(stored), steps, (0,), (nbytes,))])


def undone(stored, steps, nbytes):
    return transfer.read([tensor_of(stored, steps, nbytes)])[0].tobytes()


def parameter(row):
    return KNOWN[row.name][1]


def test_each_row_has_known_bytes():
    assert set(KNOWN) == {row.name for row in codecs.TABLE}, "a new row wants bytes that another program made"


@ROWS
def test_known_bytes_are_undone(row):
    stored = bytes.fromhex(KNOWN[row.name][0])
    assert undone(stored, ((row.name, parameter(row)),), len(PLAIN)) == PLAIN


@ROWS
def test_each_loss_of_bytes_is_found(row):
    stored = bytes.fromhex(KNOWN[row.name][0])
    for end in range(len(stored)):
        with pytest.raises(CorruptError):
            undone(stored[:end], ((row.name, parameter(row)),), len(PLAIN))


@ROWS
def test_flipped_bits_raise_or_give_as_many_bytes(row):
    """Nothing else: no crash, no other size; and where there is a checksum, no other bytes."""
    stored = bytes.fromhex(KNOWN[row.name][0])
    for at in range(8 * len(stored)):
        bad = bytearray(stored)
        bad[at // 8] ^= 1 << at % 8
        try:
            found = undone(bad, ((row.name, parameter(row)),), len(PLAIN))
        except CorruptError:
            continue
        assert len(found) == len(PLAIN)
        assert row.name not in TELLS or found == PLAIN


@ROWS
@pytest.mark.parametrize("nbytes", [0, 1, 63, 65, 6400])
def test_another_decoded_size_is_refused(row, nbytes):
    """The chunk's shape says how much room there is; the stream's own claim does not count."""
    stored = bytes.fromhex(KNOWN[row.name][0])
    if nbytes:
        with pytest.raises(CorruptError):
            undone(stored, ((row.name, parameter(row)),), nbytes)
    # As the first of two steps the room is another: that of the second one's sum, too.
    with pytest.raises(CorruptError):
        undone(stored + b"\0" * 4, (("fletcher32", 0), (row.name, parameter(row))), nbytes + 1)


@ROWS
@settings(max_examples=60, deadline=None)
@given(noise=st.binary(max_size=200), nbytes=st.integers(1, 300))
def test_noise_raises_or_gives_as_many_bytes(row, noise, nbytes):
    with contextlib.suppress(CorruptError):
        assert len(undone(noise, ((row.name, parameter(row)),), nbytes)) == nbytes


@WRITTEN
@settings(max_examples=60, deadline=None)
@given(data=st.one_of(st.binary(min_size=1, max_size=3000), st.integers(1, 1 << 16).map(bytes)))
def test_what_is_applied_is_undone(row, data):
    for value in row.levels[1:] if row.levels else (1, 4, 8):
        stored = row.apply(np.frombuffer(data, np.uint8), value)
        assert stored.dtype == np.uint8
        assert undone(stored.tobytes(), ((row.name, value),), len(data)) == data
        assert row.compressor or len(stored) == len(data) + row.extra


def test_what_kio_does_not_write_is_not_applied():
    with pytest.raises(UnsupportedError, match="expected one that kio writes, found lzf"):
        packing.apply(np.zeros(8, np.uint8), (("lzf", ()),))


@pytest.mark.parametrize("row", [row for row in codecs.TABLE if row.hdf5], ids=lambda row: row.name)
def test_hdf5_names_it(row):
    """libhdf5 stores this filter, and both readers find this row, with what undoing needs."""
    number, name = row.hdf5
    assert codecs.of_hdf5(number) is row and codecs.named(row.name) is row
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((16,))
        # Optional, as libhdf5 comes without zstd.
        plist.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (4,) if row.parameter else ())
        space = h5py.h5s.create_simple((16,))
        made = h5py.h5d.create(file.id, b"x", h5py.h5t.STD_U32LE, space, plist)
        made.write_direct_chunk((0,), bytes.fromhex(KNOWN[row.name][0]))
    found = hdf5.open(Source.of_bytes(image.getvalue()))
    (extent,) = found.tensors["x"].extents
    assert extent.codecs == ((row.name, parameter(row)),)
    assert np.asarray(found.tensors["x"]).tobytes() == PLAIN
    with hdf5_lib.open(found) as twin:
        assert twin["x"].extents[0].codecs == extent.codecs
    # Where kio writes it, under the name that libhdf5 knows.
    if row.levels:
        data = written({"x": np.zeros((300, 300), "f4")}, compression=row.option)
        with h5py.File(io.BytesIO(data)) as file:
            plist = file["x"].id.get_create_plist()
            found = [plist.get_filter(k) for k in range(plist.get_nfilters())]
        assert [each[0] for each in found] == [2, number] and found[1][3].rstrip(b"\0") == name


def test_numbers_and_names_are_used_once():
    for facts in (
        [row.name for row in codecs.TABLE],
        [row.hdf5[0] for row in codecs.TABLE if row.hdf5],
        [row.zip[0] for row in codecs.TABLE if row.zip],
        [row.option for row in codecs.TABLE if row.option],
    ):
        assert len(set(facts)) == len(facts)
    assert all((row.levels is None) == (row.option == "") for row in codecs.TABLE)


@pytest.mark.parametrize("row", [row for row in codecs.TABLE if row.zip], ids=lambda row: row.name)
def test_zip_members(row):
    image = io.BytesIO()
    with zipfile.ZipFile(image, "w", row.zip[0]) as archive:
        archive.writestr("a", PLAIN * 20)
    found = zips.open(Source.of_bytes(image.getvalue()))
    assert found.members["a"].method == row.zip[0] == {"deflate": zipfile.ZIP_DEFLATED}[row.name]
    assert found.read("a", 1 << 20) == PLAIN * 20


def test_zip_methods_without_a_row_are_refused():
    image = io.BytesIO()
    with zipfile.ZipFile(image, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a", PLAIN)
    with pytest.raises(FormatError, match="compression method 12"):
        zips.open(Source.of_bytes(image.getvalue()))


def test_options_are_those_of_the_table(capsys):
    assert codecs.options()[:2] == ("gzip", "zstd")
    assert set(codecs.options()) == {row.option for row in codecs.TABLE if row.levels}
    assert filters_of("gzip", 4) == (("shuffle", (4,)), ("deflate", (4,)))
    assert filters_of("zstd", 1) == (("zstd", (3,)),)
    with pytest.raises(ValueError, match=r"expected 'gzip', 'zstd'.* or one of them with a level, found 'lzf'"):
        filters_of("lzf", 4)
    with pytest.raises(ValueError, match="level of zstd: expected 1 to 22, found 23"):
        filters_of(("zstd", 23), 4)
    with pytest.raises(SystemExit):
        main(["convert", "a", "b", "--compression", "lzf"])
    assert "gzip" in capsys.readouterr().err


def test_zeros_keep_to_the_bound_of_expansion():
    """A reader's guard against bombs passes what any row makes of zeros."""
    for row in codecs.TABLE:
        if row.levels:
            stored = row.apply(np.zeros(1 << 20, np.uint8), row.levels[0])
            assert (1 << 20) / 1100 < len(stored) < (1 << 20) / 500, row.name
    assert len(zlib.decompress(codecs.named("deflate").apply(np.zeros(9, np.uint8), 9).tobytes())) == 9
