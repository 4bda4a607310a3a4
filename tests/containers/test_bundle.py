"""Tensor bundles: TensorFlow's bytes, read; and everything that is wrong with them, refused."""

from __future__ import annotations

import itertools
import pickle

import ml_dtypes
import numpy as np
import pytest

from kio import dtypes
from kio.containers import bundle
from kio.errors import (
    ChecksumError,
    CorruptError,
    FormatError,
    LimitError,
    TruncatedError,
    UnsupportedError,
)
from kio.raw import kernels, transfer
from kio.raw.source import Source
from tests.containers import bundles, tables
from tests.containers.bundles import FLOAT, HALF, INT32, INT64, RESOURCE, STRING, VARIANT, Draft, entry, opened
from tests.containers.protos import blob, number

rng = np.random.default_rng(3)


def read(found, name, **options):
    return transfer.read([found[name]], **options)[0]


# ---------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("name", "extents", "key"),
    [
        # From a checkpoint of TensorFlow 2.15: three slices of rows.
        (b"A", [(0, 4), (0, -1)], "00 41 00 01 01 02 80 84 80 7f"),
        (b"a\x00b\xff", [(0, 1)], "00 61 00 ff 62 ff 00 00 01 01 01 80 81"),
        (b"big", [(70000, 100)], "00 62 69 67 00 01 01 01 e1 11 70 c0 64"),
        (b"e", [(63, 64)], "00 65 00 01 01 01 bf c0 40"),
        (b"e", [(8191, 8192)], "00 65 00 01 01 01 df ff e0 20 00"),
        (b"", [], "00 00 01 00"),
    ],
)
def test_slice_keys(name, extents, key):
    assert bundle.slice_key(name, extents).hex(" ") == key


def test_slice_keys_sort_as_their_numbers():
    numbers = [-1, 0, 1, 63, 64, 8191, 8192, 2**20, 2**27, 2**34, 2**41, 2**48, 2**55, 2**62, 2**63 - 1]
    keys = [bundle.slice_key(b"x", [(n, 1)]) for n in numbers]
    assert keys == sorted(keys) and len(set(map(len, keys))) == 10


# ---------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("big", [False, True])
def test_every_type_of_numbers(big):
    draft, wanted = Draft(big), {}
    for number_of, (name, row) in bundle.TYPES.items():
        if row is None:
            continue
        dtype = dtypes.numpy_dtype(row)
        raw = rng.integers(0, 2 if row == "bool" else 4 if dtype.itemsize == 1 else 256, 6 * dtype.itemsize, np.uint8)
        wanted[name] = raw.view(dtype).reshape(2, 3)
        if row.startswith("complex") and big:
            half = raw.view(f"u{dtype.itemsize // 2}").byteswap().view(np.uint8)
            draft.entries[name.encode()] = entry(
                number_of, (2, 3), draft.put(half.tobytes()), kernels.crc32c_of(half.tobytes())
            )
        else:
            draft.add(name, number_of, wanted[name])
        draft.add(f"ref of {name}", number_of + 100, raw.view(dtype)[:0])
    assert len(wanted) == 30
    found = draft.open()
    assert list(found) == sorted([*wanted, *(f"ref of {name}" for name in wanted)])
    for name, array in wanted.items():
        back = read(found, name)
        assert (back.dtype, back.shape) == (array.dtype, (2, 3)) and back.tobytes() == array.tobytes()
        assert found[name].summed and bundle.TYPES[found.numbers[name]][0] == name
        assert found.numbers[f"ref of {name}"] == found.numbers[name] and found[f"ref of {name}"].shape == (0,)


def test_scalars_and_tensors_without_elements():
    draft = Draft()
    draft.add("scalar", FLOAT, np.float32(2.5))
    draft.entries[b"scalar"] = draft.entries[b"scalar"].replace(b"\x12\x02\x12\x00", b"\x12\x00")
    draft.entries[b"none"] = entry(INT64, (3, 0, 2))
    draft.entries[b"elsewhere"] = entry(INT64, (0,), shard=4)
    draft.add_strings("no strings", [])
    found = opened(draft.index(bundles.header(5)), {0: bytes(draft.shard)})
    assert found["none"].shape == (3, 0, 2) and read(found, "none").shape == (3, 0, 2)
    assert read(found, "elsewhere").tolist() == [] and read(found, "no strings").tolist() == []
    assert list(found.shards) == [0]


def test_scalar():
    draft = Draft()
    draft.entries[b"s"] = entry(FLOAT, (), draft.put(np.float32(2.5).tobytes()), kernels.crc32c_of(b"\0\0\x20\x40"))
    back = read(draft.open(), "s")
    assert back.shape == () and back == np.float32(2.5)


@pytest.mark.parametrize("big", [False, True])
def test_strings(big):
    values = [b"", b"ab", bytes(range(256)) * 300, b"\x00"]
    draft = Draft(big)
    draft.add_strings("s", values, (2, 2))
    data, crc = bundles.strings([b"one"], big)
    draft.entries[b"scalar"] = entry(STRING, (), draft.put(data), crc)
    found = draft.open()
    assert read(found, "s").tolist() == [values[:2], values[2:]]
    back = np.asarray(found["scalar"])
    assert back.shape == () and back.item() == b"one"
    assert found["s"][1:, 0].tolist() == [values[2]] and found["s"].dtype_name == "text"
    assert transfer.read_box(found["s"], (0, 1), (1, 1)).tolist() == [[b"ab"]]


def test_no_strings_with_their_checksum():
    """As TensorFlow writes them; and any other four bytes, or more."""
    good = tables.masked(0).to_bytes(4, "little")
    for data, says in (
        (good, ""),
        (b"\1" + good[1:], "CRC-32C of lengths"),
        (good + b"x", "expected 0 bytes, found 1"),
    ):
        draft = Draft()
        draft.entries[b"x"] = entry(STRING, (0, 2), draft.put(data), kernels.crc32c_of(data))
        if not says:
            assert read(draft.open(), "x").shape == (0, 2)
            continue
        with pytest.raises(CorruptError, match=says):
            read(draft.open(), "x")


def test_damaged_strings():
    draft = Draft()
    draft.add_strings("s", [b"one", b"four"])
    good = bytes(draft.shard)
    assert good[3:5] == b"\x03\x04"
    for at in range(3, len(good)):
        for bit in range(8):
            damaged = bytearray(good)
            damaged[at] ^= 1 << bit
            found = opened(draft.index(), [bytes(damaged)])
            with pytest.raises(CorruptError, match="tensor s"):
                read(found, "s")


def test_variants_and_resources_are_listed():
    draft = Draft()
    draft.entries[b"iterator"] = entry(VARIANT, (), draft.put(b"opaque"), 7)
    draft.entries[b"table"] = entry(RESOURCE, (), draft.put(b"x"), 7)
    draft.entries[b"later"] = entry(77, (2,), draft.put(b"x"), 7)
    found = draft.open()
    assert "variant" in found["iterator"].problem and "resource" in found["table"].problem
    assert "77" in found["later"].problem and found["later"].shape == (2,)
    with pytest.raises(UnsupportedError, match="variant"):
        np.asarray(found["iterator"])


CUTS = {
    "rows": [[(0, 4), (0, -1)], [(4, 3), (0, -1)], [(7, 3), (0, -1)]],
    "columns": [[(0, -1), (0, 2)], [(0, -1), (2, 3)], [(0, -1), (5, 1)]],
    "both": [[(a, 5), (b, 3)] for a in (0, 5) for b in (0, 3)],
    "bricks": [[(0, 5), (0, 2)], [(0, 5), (2, 4)], [(5, 5), (0, 4)], [(5, 5), (4, 2)]],
    "none of one": [[(0, 10), (0, -1)], [(3, 0), (0, -1)]],
}


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("dtype", ["f4", "f2", "i8", "c8"])
@pytest.mark.parametrize("big", [False, True])
def test_slices(cuts, dtype, big):
    if big and dtype == "c8":
        pytest.skip("the helper swaps complex numbers as one")
    array = rng.integers(0, 256, 60 * np.dtype(dtype).itemsize, np.uint8).view(dtype).reshape(10, 6)
    draft = Draft(big)
    draft.add("behind", FLOAT, np.ones(3, "f4"))
    draft.add_slices("x", {"f4": FLOAT, "f2": HALF, "i8": INT64, "c8": 8}[dtype], array, cuts)
    found = draft.open()
    assert list(found) == ["behind", "x"] and found["x"].summed
    assert read(found, "x").tobytes() == array.tobytes()
    for rows, columns in itertools.product([(0, 10), (3, 5), (6, 9), (9, 9)], [(0, 6), (1, 4), (5, 6)]):
        key = slice(*rows), slice(*columns)
        for verify in (True, None, False):
            assert transfer.read_slice(found["x"], key, verify=verify).tobytes() == array[key].tobytes()
    transfer.check(found.values())


def test_large_slices_are_read_in_parts_of_a_window():
    """5 MB a slice, cut where a row of the whole is no row of the slice."""
    array = rng.integers(0, 2**31, (3, 1000, 900), np.int32)
    draft = Draft()
    draft.add_slices("x", INT32, array, [[(0, -1), (0, -1), (0, 400)], [(0, -1), (0, -1), (400, 500)]])
    found = draft.open()
    assert (read(found, "x", threads=3) == array).all()
    assert (found["x"][1, 10:20] == array[1, 10:20]).all()
    at = bytes(draft.shard).index(array[2, 900, 450:460].tobytes())
    draft.shard[at] ^= 1
    for wanted in (lambda t: read({"x": t}, "x"), lambda t: transfer.read_slice(t, (0, 0, 450), verify=True)):
        with pytest.raises(ChecksumError, match=r"CRC-32C of stored data.*data-0, tensor x, byte 0x493"):
            wanted(draft.open()["x"])
    # Of the other slice every byte is right.
    assert (transfer.read_slice(draft.open()["x"], (0, 0, slice(0, 400)), verify=True) == array[0, 0, :400]).all()


@pytest.mark.parametrize("nelems", [1, 50_000, 70_000, 300_000, 3_000_000])
def test_a_changed_byte_is_found_whatever_the_size(nelems):
    """One window, one block of a job, several jobs that threads share."""
    draft = Draft()
    draft.add("before", FLOAT, np.ones(5, "f4"))
    draft.add("x", FLOAT, rng.normal(size=nelems).astype("f4"))
    assert transfer.check(draft.open().values()) is None
    start = len(draft.shard) - 4 * nelems
    for at in {start, start + 4 * nelems // 2, len(draft.shard) - 1}:
        damaged = bytearray(draft.shard)
        damaged[at] ^= 0x10
        found = opened(draft.index(), [bytes(damaged)])
        for threads in (1, 3):
            with pytest.raises(ChecksumError, match=rf"CRC-32C of stored data.*data-0, tensor x, byte {start:#x}\)"):
                transfer.read(list(found.values()), threads=threads)
        with pytest.raises(ChecksumError, match="tensor x"):
            transfer.check(found.values())
        with pytest.raises(ChecksumError, match="tensor x"):
            transfer.read_slice(found["x"], slice(0, 1), verify=True)
        # Less than half, and nobody asked.
        assert transfer.read_slice(found["x"], slice(0, nelems // 3)).shape == (nelems // 3,)
        assert transfer.read(list(found.values()), verify=False)[1].shape == (nelems,)


def test_the_same_tensor_twice_in_a_call():
    draft = Draft()
    draft.add("x", FLOAT, rng.normal(size=300_000).astype("f4"))
    found = draft.open()
    a, b = transfer.read([found["x"], found["x"]])
    assert a.tobytes() == b.tobytes() == bytes(draft.shard[3:])


def test_tensors_travel(tmp_path):
    array = rng.normal(size=(400, 300)).astype("f4")
    draft = Draft()
    draft.add("x", FLOAT, array)
    draft.add_slices("y", FLOAT, array, [[(0, -1), (0, 100)], [(0, -1), (100, 200)]])
    draft.write(tmp_path / "ckpt")

    def copies():
        shard = Source.open(tmp_path / "ckpt.data-00000-of-00001")
        found = bundle.open(Source.open(tmp_path / "ckpt.index"), lambda *_: shard)
        return [pickle.loads(pickle.dumps(found[name])) for name in found]

    for copy in copies():
        assert copy.summed and (np.asarray(copy) == array).all()
    damaged = bytearray(draft.shard)
    damaged[-100] ^= 1
    damaged[100] ^= 1
    (tmp_path / "ckpt.data-00000-of-00001").write_bytes(damaged)
    for copy in copies():
        with pytest.raises(ChecksumError, match="CRC-32C"):
            np.asarray(copy)


def test_types_of_small_floats_keep_their_names():
    draft = Draft()
    draft.add("x", 14, np.ones(3, ml_dtypes.bfloat16))
    assert draft.open()["x"].dtype_name == "bfloat16"


# ---------------------------------------------------------------------------------- refused

BROKEN = {
    "no header": (lambda d: tables.of(sorted(d.entries.items())), CorruptError, "header"),
    "nothing": (lambda d: tables.of([(b"x", b"")]), CorruptError, "header"),
    "byte order": (lambda d: d.index(bundles.header(endian=2)), CorruptError, "byte order"),
    "version": (lambda d: d.index(bundles.header(version=number(2, 2))), UnsupportedError, "version"),
    "two counts": (lambda d: d.index(bundles.header() + number(1, 1)), CorruptError, "once"),
    "shard": (lambda d: d.index(bundles.header(0)), CorruptError, "shard"),
}


@pytest.mark.parametrize(("make", "error", "says"), BROKEN.values(), ids=BROKEN)
def test_broken_headers(make, error, says):
    draft = Draft()
    draft.add("x", FLOAT, np.ones(3, "f4"))
    with pytest.raises(error, match=says):
        opened(make(draft), [bytes(draft.shard)])


ENTRIES = {
    "no dtype": (entry(0, (3,), (3, 12)), CorruptError, "dtype"),
    "beyond the file": (entry(FLOAT, (3,), (4, 12)), TruncatedError, "expected 12 bytes, found 11"),
    "beyond 64 bits": (entry(FLOAT, (3,), (2**64 - 4, 12)), TruncatedError, "expected 12 bytes, found 0 "),
    "size": (entry(FLOAT, (3,), (3, 8)), CorruptError, "expected 12 bytes, found 8"),
    "negative dimension": (entry(FLOAT, (-1,), (3, 12)), CorruptError, "negative"),
    "product of 2**64": (entry(FLOAT, (2**31, 2**31, 4), (3, 12)), LimitError, "tensor_bytes"),
    "product of 0 by overflow": (entry(FLOAT, (2**32, 2**32), (3, 0)), LimitError, "tensor_bytes"),
    "unknown rank": (number(1, FLOAT) + blob(2, number(3, 1)), CorruptError, "shape"),
    "rank": (entry(FLOAT, (1,) * 33, (3, 4)), LimitError, "limits.rank"),
    "shard": (entry(FLOAT, (3,), (3, 12), shard=1), CorruptError, "shard"),
    "two shapes": (entry(FLOAT, (3,), (3, 12), more=blob(2, b"")), CorruptError, "once"),
    "strings beyond the file": (entry(STRING, (3,), (9, 12)), TruncatedError, "stored run"),
    "more strings than bytes": (entry(STRING, (9,), (3, 12)), CorruptError, "strings"),
    "2**62 strings": (entry(STRING, (2**31, 2**31), (3, 12)), CorruptError, "strings"),
    "strings of nothing": (entry(STRING, (0,), (3, 3)), CorruptError, "strings: expected at least 4 bytes for 0"),
    "variant beyond the file": (entry(VARIANT, (), (2**40, 12)), TruncatedError, "found 0 "),
    "no slice of that key": (entry(FLOAT, (3,), more=blob(7, bundles.slice_of([(0, 2)]))), CorruptError, "slice"),
    "a number for a shape": (number(1, FLOAT) + number(2, 3), CorruptError, "expected bytes"),
}


@pytest.mark.parametrize(("value", "error", "says"), ENTRIES.values(), ids=ENTRIES)
def test_broken_entries(value, error, says):
    draft = Draft()
    draft.shard += bytes(12)
    draft.entries[b"x"] = value
    with pytest.raises(error, match=says) as caught:
        draft.open()
    assert str(caught.value).isprintable()


def cut(cuts, shape=(10, 6)):
    """Slices of zeros as they are said to be."""
    draft = Draft()
    for each in cuts:
        part = [whole if n == -1 else n for whole, (_, n) in zip(shape, each, strict=True)]
        data = bytes(4 * int(np.prod(part)))
        key = bundle.slice_key(b"x", each)
        draft.entries[key] = entry(FLOAT, part, draft.put(data), kernels.crc32c_of(data))
    more = b"".join(blob(7, bundles.slice_of(each)) for each in cuts)
    draft.entries[b"x"] = number(1, FLOAT) + blob(2, bundles.shape_of(shape)) + more
    return draft


SLICES = {
    "overlap": ([[(0, 6), (0, -1)], [(4, 6), (0, -1)]], "found one in none or in several"),
    "gap": ([[(0, 4), (0, -1)], [(5, 5), (0, -1)]], "found one in none or in several"),
    # As many elements as there are, the corners of the whole, and still a hole.
    "overlap and gap": ([[(0, 6), (0, 3)], [(4, 6), (3, 3)], [(0, 4), (3, 3)], [(5, 4), (0, 3)]], "in several"),
    "beyond": ([[(0, 4), (0, -1)], [(4, 7), (0, -1)]], "expected it inside"),
    "start beyond": ([[(0, 10), (0, -1)], [(11, 0), (0, -1)]], "expected it inside"),
}


@pytest.mark.parametrize(("cuts", "says"), SLICES.values(), ids=SLICES)
def test_slices_that_do_not_fit(cuts, says):
    with pytest.raises(CorruptError, match=says):
        cut(cuts).open()


def test_slices_and_their_entries():
    good = [[(0, 4), (0, -1)], [(4, 6), (0, -1)]]
    key = bundle.slice_key(b"x", good[1])
    for change, says in (
        (lambda d: d.entries.pop(key), "expected an entry of its own"),
        (lambda d: d.entries.update({key: entry(HALF, (6, 6), (3, 72))}), "expected type 1"),
        (lambda d: d.entries.update({key: entry(FLOAT, (6, 5), (3, 120))}), r"shape \(6, 6\), found"),
        (lambda d: d.entries.update({key: entry(FLOAT, (6, 6), (99, 140))}), "expected 144 bytes, found 140"),
        (lambda d: d.entries.update({key: entry(FLOAT, (6, 6), (3, 144))}), "overlap"),
        (lambda d: d.entries.update({key: entry(FLOAT, (6, 6), (200, 144))}), "stored run"),
        (lambda d: d.entries.update({bundle.slice_key(b"y", good[0]): entry(FLOAT, (), (3, 0))}), "belong to a tensor"),
        (lambda d: d.entries.update(x_of(good + good[:1])), "entry of its own"),
        (lambda d: d.entries.update(x_of([[(0, 4)], [(4, 6)]])), "entry of its own"),
    ):
        draft = cut(good)
        change(draft)
        with pytest.raises(CorruptError, match=says):
            draft.open()


def x_of(cuts):
    more = b"".join(blob(7, bundles.slice_of(each)) for each in cuts)
    return {b"x": number(1, FLOAT) + blob(2, bundles.shape_of((10, 6))) + more}


def test_runs_do_not_overlap():
    draft = Draft()
    draft.add("a", FLOAT, np.ones(3, "f4"))
    for name, value in {
        "plain": entry(FLOAT, (2,), (11, 8)),
        "strings": entry(STRING, (2,), (11, 8)),
        "variant": entry(VARIANT, (), (11, 8)),
    }.items():
        draft.shard += bytes(20)
        draft.entries[b"b"] = value
        with pytest.raises(CorruptError, match=r"overlap.*tensor b"):
            draft.open()
        assert name


def test_limits():
    draft = cut([[(0, 4), (0, -1)], [(4, 6), (0, -1)]])
    draft.add("y", FLOAT, np.ones(3, "f4"))
    for field, value in {"tensors": 1, "rank": 1, "chunks": 1, "tensor_bytes": 100, "name_bytes": 3}.items():
        with pytest.raises(LimitError, match=f"limits.{field}"):
            draft.open(**{field: value})
    with pytest.raises(LimitError, match="members"):
        draft.open(members=0)


def test_a_missing_shard_says_which():
    draft = Draft()
    draft.add("x", FLOAT, np.ones(3, "f4"))

    def opener(number, of):
        raise FileNotFoundError(2, "No such file", "ckpt.data-00000-of-00001")

    with pytest.raises(
        CorruptError, match=r"shard 0 of 1: expected ckpt\.data-00000-of-00001.*tensor x.*copy all files"
    ):
        bundle.open(Source.of_bytes(draft.index(), "index"), opener)


def test_names_are_text():
    draft = Draft()
    draft.entries[b"\xff\xfe"] = entry(FLOAT, (0,))
    with pytest.raises(CorruptError, match="UTF-8"):
        draft.open()


def test_every_cut_of_an_index_is_refused():
    draft = cut([[(0, 4), (0, -1)], [(4, 6), (0, -1)]])
    index = draft.index()
    for nbytes in range(len(index)):
        with pytest.raises(FormatError):
            opened(index[:nbytes], [bytes(draft.shard)])
