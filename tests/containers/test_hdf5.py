"""kio.containers.hdf5: what its File says about files of h5py's."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from kio.containers import hdf5, hdf5_lib
from kio.errors import CorruptError, LimitError
from kio.limits import Limits
from kio.raw.source import Source

LIBVERS = [None, "v108", "v110", "latest"]
pytestmark = pytest.mark.filterwarnings("ignore::h5py.h5py_warnings.H5pyDeprecationWarning")


def saved(fill: Any, **kw: Any) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w", **kw) as file:
        fill(file)
    return out.getvalue()


def opened(fill: Any, **kw: Any) -> hdf5.File:
    return hdf5.open(Source.of_bytes(saved(fill, **kw)))


def keras_like(file: h5py.File) -> None:
    for layer in ("dense", "dense_1", "dense_10"):
        group = file.create_group(f"layers/{layer}/vars")
        group.attrs["name"] = layer
        group.create_dataset("0", data=np.ones((2, 3), "f4"))
        group.create_dataset("1", data=np.zeros(3, "f4"))


@pytest.fixture(params=LIBVERS)
def libver(request: pytest.FixtureRequest) -> Any:
    return request.param


class Counted(io.FileIO):
    """A file that counts what is read of it."""

    nbytes_read = 0

    def readinto(self, buffer: Any) -> int:
        n = super().readinto(buffer)
        self.nbytes_read += n
        return n

    def read(self, n: int = -1) -> bytes:
        data = super().read(n)
        self.nbytes_read += len(data)
        return data


def test_dense_structure_is_read_whole_and_sparse_structure_is_not(tmp_path: Path) -> None:
    path = tmp_path / "dense.h5"
    large, nlarge = np.zeros(1 << 20, "f4"), 24
    with h5py.File(path, "w") as file:
        # Made in another order than that of the names, as Keras numbers layers.
        for i in range(4000):
            file[f"dense_{i}/vars/0"] = np.full((16, 16), i, "f4")
        for i in range(nlarge):
            file[f"large_{i}/vars/0"] = large
    with Counted(path) as counted:
        found = hdf5.open(Source.of_file(counted)).tensors
        # Most of what is dense, and a few windows of 2 MiB that were thought to be.
        dense = path.stat().st_size - nlarge * large.nbytes
        assert counted.nbytes_read < dense + 3 * (dense // 2 + (2 << 20))
    twin = hdf5.open(Source.of_bytes(path.read_bytes())).tensors
    assert list(found) == list(twin) and len(found) == 4000 + nlarge
    file = hdf5.open(Source.open(path)).tensors
    for name in twin:
        here, there = file[name].extents[0], twin[name].extents[0]
        assert (here.offset, here.nbytes) == (there.offset, there.nbytes)
    assert np.asarray(file["dense_3210/vars/0"])[3, 3] == 3210


def test_walk(libver: Any) -> None:
    file = opened(keras_like, libver=libver)
    assert sorted(file.groups) == sorted(
        ["layers"] + [f"layers/{n}{v}" for n in ("dense", "dense_1", "dense_10") for v in ("", "/vars")]
    )
    assert sorted(file.tensors) == sorted(
        f"layers/{n}/vars/{i}" for n in ("dense", "dense_1", "dense_10") for i in "01"
    )
    assert file.tensors.sealed
    assert file.info["datasets"] == 6 and file.info["groups"] == 7
    assert repr(file) == "File('<bytes>', 6 datasets, 7 groups)"


def test_order_is_that_of_the_tree() -> None:
    """Symbol tables are sorted by bytes, and a group comes before what is in it."""
    file = opened(keras_like)
    assert list(file.tensors)[:3] == ["layers/dense/vars/0", "layers/dense/vars/1", "layers/dense_1/vars/0"]
    assert file.groups[:3] == ["layers", "layers/dense", "layers/dense/vars"]


def test_attribute_of_all(libver: Any) -> None:
    file = opened(keras_like, libver=libver)
    names = file.attribute_of_all("name")
    assert names == {f"layers/{n}/vars": n for n in ("dense", "dense_1", "dense_10")}
    assert file.attribute_of_all("none") == {}


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "<i2", ">i2", "<u4", "<i8", ">u8", "<f2", ">f2", "<f4",
                                   ">f4", "<f8", ">f8", "<c8", ">c8", "<c16", "V1", "V2"])  # fmt: skip
def test_dtypes(libver: Any, dtype: str) -> None:
    data = np.frombuffer(np.arange(96, dtype="u1") % (2 if dtype == "?" else 251), dtype)
    file = opened(lambda f: f.create_dataset("x", data=data), libver=libver)
    tensor = file.tensors["x"]
    assert tensor.problem is None
    assert tensor.dtype == data.dtype
    assert tensor.shape == data.shape
    (extent,) = tensor.extents
    assert extent.source.read(extent.offset, extent.nbytes) == data.tobytes()


def custom_float(file: h5py.File, name: str, nbytes: int, exponent: int, mantissa: int, bias: int) -> None:
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(8 * nbytes - 1, mantissa, exponent, 0, mantissa)
    kind.set_ebias(bias)
    kind.set_precision(8 * nbytes)
    kind.set_size(nbytes)
    h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple((0,)))


def test_short_floats() -> None:
    def fill(file: h5py.File) -> None:
        custom_float(file, "bfloat16", 2, 8, 7, 127)
        custom_float(file, "float8_e4m3fn", 1, 4, 3, 7)
        custom_float(file, "float8_e5m2", 1, 5, 2, 15)
        custom_float(file, "odd_bias", 2, 8, 7, 126)
        custom_float(file, "odd_fields", 2, 7, 8, 63)

    file = opened(fill)
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        assert file.tensors[name].dtype_name == name
        assert file.tensors[name].problem is None
    for name in ("odd_bias", "odd_fields"):
        assert file.tensors[name].problem == "floating-point format that is not IEEE"


def test_bfloat16_of_keras() -> None:
    """Two opaque bytes and an attribute; the format says what they are."""

    def fill(file: h5py.File) -> None:
        data = np.arange(6).astype(ml_dtypes.bfloat16)
        file.create_dataset("x", data=data.view("V2")).attrs["dtype"] = "bfloat16"

    file = opened(fill)
    assert file.tensors["x"].dtype_name == "opaque2"
    assert file.attribute_of_all("dtype") == {"x": "bfloat16"}
    file.tensors.set_dtype("x", "bfloat16")
    assert file.tensors["x"].dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize(
    "dtype, problem",
    [
        (h5py.vlen_dtype(np.dtype("i4")), "variable-length data"),
        (np.dtype([("a", "i4"), ("b", "f8")]), "compound type"),
        (np.dtype([("r", "f4"), ("i", "f8")]), "compound type"),
        (np.dtype(("f4", (3,))), "array type"),
        (h5py.enum_dtype({"A": 1, "B": 2}), "enumeration"),
        (h5py.enum_dtype({"FALSE": 1, "TRUE": 0}, "i1"), "enumeration"),
        (h5py.ref_dtype, "references"),
        ("V5", "opaque type"),
        (h5py.opaque_dtype(np.dtype("M8[s]")), "opaque type"),
    ],
)
def test_types_not_read(libver: Any, dtype: Any, problem: str) -> None:
    file = opened(lambda f: f.create_dataset("x", (3,), dtype), libver=libver)
    assert file.tensors["x"].problem == problem
    assert file.tensors["x"].shape == (3,)


def test_named_datatype() -> None:
    def fill(file: h5py.File) -> None:
        file["t"] = np.dtype("f4")
        file["again"] = file["t"]
        file.create_dataset("x", (2,), dtype=file["t"])

    file = opened(fill)
    assert file.refused == {"again": "named datatype", "t": "named datatype"}
    assert file.tensors["x"].problem == "committed datatype or shared header message"
    with pytest.raises(KeyError):
        file.attributes("t")


def test_shapes(libver: Any) -> None:
    shapes = [(), (0,), (5,), (2, 0, 3), (2, 3, 4), (1,) * 32]
    file = opened(
        lambda f: [f.create_dataset(str(i), data=np.ones(s, "f4")) for i, s in enumerate(shapes)],
        libver=libver,
    )
    for i, shape in enumerate(shapes):
        assert file.tensors[str(i)].shape == shape
        assert file.tensors[str(i)].problem is None


def test_aliases(libver: Any) -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("a/x", data=np.ones(2))
        file["b"] = file["a"]
        file["c"] = file["a/x"]
        file["a/up"] = file["/"]

    file = opened(fill, libver=libver)
    assert len(file.tensors) == 1
    assert len(file.aliases) == 3
    for path, first in file.aliases.items():
        assert file.attributes(path) == file.attributes(first)


def test_names_of_any_bytes() -> None:
    def fill(file: h5py.File) -> None:
        h5py.h5g.create(file.id, b"caf\xe9")
        file.create_group("日本")

    assert opened(fill).groups == ["caf\udce9", "日本"]


# ------------------------------------------------------------------ attributes

VALUES: dict[str, tuple[Any, Any]] = {
    "text": ("jax", "jax"),
    "text empty": ("", ""),
    "text wide": ("日本", "日本"),
    "bytes": (np.bytes_(b"abc"), "abc"),
    "bytes odd": (np.bytes_(b"\xff\xfe"), b"\xff\xfe"),
    "list": (["a", "", "日本"], ["a", "", "日本"]),
    "list of bytes": ([b"a", b"bb"], ["a", "bb"]),
    "fixed": (np.array([b"ab", b"c"]), ["ab", "c"]),
    "empty list": ([], np.zeros(0)),
    "int": (7, np.int64(7)),
    "float": (0.5, np.float64(0.5)),
    "bool": (True, np.bool_(True)),
    "bools": (np.array([True, False]), np.array([True, False])),
    "array": (np.arange(6, dtype="f4").reshape(2, 3), np.arange(6, dtype="f4").reshape(2, 3)),
    "big-endian": (np.arange(3, dtype=">i4"), np.arange(3, dtype="i4")),
    "complex": (1j, np.complex128(1j)),
}


@pytest.mark.parametrize("name", VALUES)
def test_attribute_values(libver: Any, name: str) -> None:
    given, expected = VALUES[name]
    found = opened(lambda f: f.attrs.create(name, given), libver=libver).attributes("")[name]
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype and found.dtype.isnative
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


@pytest.mark.parametrize("padding", [h5py.h5t.STR_NULLTERM, h5py.h5t.STR_NULLPAD, h5py.h5t.STR_SPACEPAD])
def test_string_padding(padding: int) -> None:
    def fill(file: h5py.File) -> None:
        kind = h5py.h5t.C_S1.copy()
        kind.set_size(6)
        kind.set_strpad(padding)
        attribute = h5py.h5a.create(file.id, b"x", kind, h5py.h5s.create(h5py.h5s.SCALAR))
        pad = b" " if padding == h5py.h5t.STR_SPACEPAD else b"\0"
        attribute.write(np.array(b"abc".ljust(6, pad), "S6"), mtype=kind)

    assert opened(fill).attributes("")["x"] == "abc"


@pytest.mark.parametrize("value", [h5py.Empty("f4"), np.zeros(2, [("a", "i4")]), np.zeros(2, "V5")])
def test_attributes_not_read(value: Any) -> None:
    found = opened(lambda f: f.attrs.__setitem__("x", value)).attributes("")["x"]
    assert isinstance(found, hdf5.Unreadable)
    assert repr(found) == f"Unreadable({found.reason!r})"
    assert found == hdf5.Unreadable(found.reason) and hash(found) == hash(found.reason)


def test_many_attributes(libver: Any) -> None:
    """More than eight go to a fractal heap, more than 64 KiB to a huge object of it."""

    def fill(file: h5py.File) -> None:
        group = file.create_group("g")
        for i in range(100):
            group.attrs[f"a{i}"] = "v" * i
        if libver is not None:
            group.attrs["huge"] = np.arange(20000.0)

    found = opened(fill, libver=libver).attributes("g")
    assert {found[f"a{i}"] for i in range(100)} == {"v" * i for i in range(100)}
    if libver is not None:
        np.testing.assert_array_equal(found["huge"], np.arange(20000.0))


def test_attributes_are_the_callers() -> None:
    file = opened(lambda f: f.attrs.__setitem__("x", 1))
    file.attributes("").clear()
    assert file.attributes("") == {"x": 1}


def test_long_name_lists() -> None:
    names = [f"layer_{i}" for i in range(4000)]
    file = opened(lambda f: f.attrs.__setitem__("layer_names", names))
    assert file.attributes("")["layer_names"] == names


# ------------------------------------------------------------------ chunks


@pytest.mark.parametrize("shape, chunk, maximum", [
    ((10, 7), (3, 4), None),
    ((10, 7), (10, 7), None),
    ((10, 7), (3, 4), (20, 9)),
    ((10, 7), (3, 4), (None, 7)),
    ((10, 7), (3, 4), (10, None)),
    ((10, 7), (3, 4), (None, None)),
    ((1000,), (1,), (None,)),
    ((3000,), (1,), None),
])  # fmt: skip
@pytest.mark.parametrize("filters", [(), ("gzip",), ("lzf", "shuffle"), ("gzip", "shuffle", "fletcher32")])
def test_chunks(libver: Any, shape: Any, chunk: Any, maximum: Any, filters: tuple[str, ...]) -> None:
    data = np.arange(np.prod(shape), dtype="i4").reshape(shape)
    kw: dict[str, Any] = dict.fromkeys(filters[1:], True)
    if filters:
        kw["compression"] = filters[0]
    file = opened(lambda f: f.create_dataset("x", data=data, chunks=chunk, maxshape=maximum, **kw), libver=libver)
    tensor = file.tensors["x"]
    assert tensor.problem is None
    assert len(tensor.extents) == np.prod([-(-n // c) for n, c in zip(shape, chunk, strict=True)])
    undone = tuple({"gzip": "deflate"}.get(f, f) for f in ("fletcher32", *filters[:1], "shuffle"))
    expected = tuple(f for f in undone if f in {"deflate", *filters})
    for extent in tensor.extents:
        assert extent.chunk == chunk
        # LZF is optional: h5py skips it for chunks that it would not make smaller.
        found = tuple(name for name, _ in extent.codecs)
        assert found == expected or found == tuple(name for name in expected if name != "lzf")
        assert dict(extent.codecs).get("shuffle", 4) == 4
    np.testing.assert_array_equal(np.asarray(tensor), data)


def test_filter_mask() -> None:
    def fill(file: h5py.File) -> None:
        data = file.create_dataset("x", (4,), "i4", chunks=(2,), compression="gzip", shuffle=True)
        data.id.write_direct_chunk((0,), bytes(8), filter_mask=0b11)
        data[2:] = [1, 2]

    first, second = sorted(opened(fill).tensors["x"].extents, key=lambda e: e.start)
    assert first.codecs == ()
    assert second.codecs == (("deflate", 4), ("shuffle", 4))


def test_partial_chunks() -> None:
    def fill(file: h5py.File) -> None:
        data = file.create_dataset("x", (10,), "f4", chunks=(2,))
        data[4:6] = 1

    tensor = opened(fill).tensors["x"]
    assert tensor.problem == "no data stored for 4 of 5 chunks"


def test_compact() -> None:
    def fill(file: h5py.File) -> None:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((5,))
        data = h5py.h5d.create(file.id, b"x", h5py.h5t.STD_I32LE, space, plist)
        h5py.Dataset(data)[...] = range(5)

    tensor = opened(fill).tensors["x"]
    assert tensor.plain
    np.testing.assert_array_equal(np.asarray(tensor), range(5))


# ------------------------------------------------------------------ whole files


@pytest.mark.parametrize("kw", [
    {"userblock_size": 512}, {"userblock_size": 4096, "libver": "latest"},
    {"alignment_threshold": 1, "alignment_interval": 64}, {"meta_block_size": 0},
    {"fs_strategy": "none"}, {"track_order": True},
])  # fmt: skip
def test_file_settings(kw: dict[str, Any]) -> None:
    raw = saved(keras_like, **kw)
    file = hdf5.open(Source.of_bytes(raw))
    assert file.info["user_block"] == kw.get("userblock_size", 0)
    for tensor in file.tensors.values():
        expected = np.ones((2, 3), "f4") if tensor.ndim == 2 else np.zeros(3, "f4")
        np.testing.assert_array_equal(np.asarray(tensor), expected)


@pytest.mark.parametrize("libver", LIBVERS)
@pytest.mark.parametrize("before, after", [(0, 512), (512, 0), (1024, 2048)])
def test_moved_superblock(libver: Any, before: int, after: int) -> None:
    """A user block was put in front or taken away: the location counts, not the field."""
    raw = saved(keras_like, libver=libver, userblock_size=before)[before:]
    file = hdf5.open(Source.of_bytes(bytes(after) + raw))
    np.testing.assert_array_equal(np.asarray(file.tensors["layers/dense/vars/0"]), np.ones((2, 3)))


def test_trailing_bytes() -> None:
    assert len(hdf5.open(Source.of_bytes(saved(keras_like) + bytes(1000))).tensors) == 6


def test_member_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", saved(keras_like))
        info = archive.getinfo("model.weights.h5")
    start = info.header_offset + 30 + len(info.filename)
    source = Source.open(path).window(start, info.file_size, "model.weights.h5")
    file = hdf5.open(source)
    np.testing.assert_array_equal(np.asarray(file.tensors["layers/dense/vars/0"]), np.ones((2, 3)))
    with hdf5_lib.open(file) as twin:
        assert set(twin) == set(file.tensors)


def test_open_reads_structure_only(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(saved(lambda f: [f.create_dataset(str(i), data=np.ones(1 << 18)) for i in range(8)]))
    inner = Source.open(path)
    count = 0

    class Counting(io.RawIOBase):
        at = 0

        def seek(self, offset: int, whence: int = 0) -> int:
            self.at = offset + (0, self.at, inner.nbytes)[whence]
            return self.at

        def read(self, nbytes: int = -1) -> bytes:
            nonlocal count
            count += nbytes
            return inner.read(self.at, nbytes)

    file = hdf5.open(Source.of_file(Counting()))
    assert len(file.tensors) == 8
    assert count < 1 << 19 < inner.nbytes


def test_structure_is_not_kept(tmp_path: Path) -> None:
    """A file that is nearly all structure; in the order of names its groups lie anywhere."""
    path = tmp_path / "many.h5"
    with h5py.File(path, "w") as file:
        for i in range(10_000):
            group = file.create_group(f"g{i * 7919 % 10_000}")
            group.attrs["name"] = f"group {i}"
            group.attrs["index"] = i
            group["x"] = [i]
    file = hdf5.open(Source.open(str(path)))
    held = [file.held]
    names = file.attribute_of_all("name")
    held.append(file.held)
    with h5py.File(path) as theirs:
        assert names == {path: group.attrs["name"] for path, group in theirs.items()}
        # What was let go of is read again.
        for name in list(theirs)[::97]:
            assert file.attributes(name) == dict(theirs[name].attrs)
            held.append(file.held)
            assert file.tensors[f"{name}/x"].extents[0].offset == theirs[f"{name}/x"].id.get_offset()
    assert path.stat().st_size > 14 << 20
    assert 0 < max(held) <= 8 << 20


def test_structure_is_let_go_of_by_nobody_while_others_read(tmp_path: Path) -> None:
    path = tmp_path / "many.h5"
    with h5py.File(path, "w") as file:
        for i in range(10_000):
            file.create_group(f"g{i * 7919 % 10_000}").attrs["index"] = i
    file = hdf5.open(Source.open(str(path)))

    def read(start: int) -> int:
        # Far apart, so that each has to be read again.
        return sum(file.attributes(f"g{i * 7919 % 10_000}") != {"index": i} for i in range(start, 10_000, 97))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(read, range(12))) == 0
    assert path.stat().st_size > 8 << 20 >= file.held


def test_structure_of_a_stream_is_read_once(tmp_path: Path) -> None:
    data = saved(lambda f: [f.create_group(f"g{i}").attrs.update({"x": "y"}) for i in range(10_000)])
    path = tmp_path / "x.h5"
    path.write_bytes(data)
    with Counted(path) as stream:
        file = hdf5.open(Source.of_file(stream))
        file.attribute_of_all("x")
        assert file.held > 8 << 20
        assert stream.nbytes_read <= len(data)


def test_limits_are_the_callers() -> None:
    raw = saved(keras_like)
    with pytest.raises(LimitError, match=r"limits\.tensors=3"):
        hdf5.open(Source.of_bytes(raw), Limits(tensors=3))


def test_no_instances_by_hand() -> None:
    with pytest.raises(TypeError):
        hdf5.File()


def test_same_name_twice() -> None:
    """Dense and compact links have no order that would show it."""
    raw = bytearray(saved(lambda f: [f.create_group(n) for n in ("aaaa", "bbbb")], libver="latest"))
    at = raw.index(b"bbbb")
    raw[at : at + 4] = b"aaaa"
    from kio.containers.hdf5.structure import verify_checksums

    verify_checksums(False)
    try:
        with pytest.raises(CorruptError, match="link names: expected each once"):
            hdf5.open(Source.of_bytes(bytes(raw)))
    finally:
        verify_checksums(True)
