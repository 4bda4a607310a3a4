"""Valid, but of a kind that kio does not read: named as such, never called damaged.

Files are h5py's, NumPy's and Python's own, one a kind.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kio
from kio import cli
from kio.errors import CorruptError, LimitError, UnsupportedError

A = np.arange(6.0, dtype="float32").reshape(2, 3)
WORDS = [b"one", b"", b"drei \xc3\xa4", b"a much longer one, of forty-four bytes in all"]


def h5(path: Path, make: Callable[[Any], object]) -> str:
    with h5py.File(path, "w") as file:
        file["a"] = A
        make(file)
    return str(path)


def _chunked_by(filter: int, *options: int) -> Callable[[Any], object]:
    def make(file: Any) -> None:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((32,))
        plist.set_filter(filter, h5py.h5z.FLAG_OPTIONAL, options)
        space = h5py.h5s.create_simple((64,))
        h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_FLOAT, space, plist)

    return make


def _null(file: Any) -> None:
    file["x"] = h5py.Empty("f4")


def _committed(file: Any) -> None:
    file["type"] = np.dtype("f4")
    file.create_dataset("x", data=A, dtype=file["type"])


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((2, 3), "f4")
    layout[:] = h5py.VirtualSource(".", "a", (2, 3))
    file.create_virtual_dataset("x", layout)


def _external(file: Any) -> None:
    file.create_dataset("x", (4,), "f4", external=[("elsewhere.bin", 0, 16)])


def _low(kind: Any, n: int = 4) -> Callable[[Any], object]:
    def make(file: Any) -> None:
        h5py.h5d.create(file.id, b"x", kind, h5py.h5s.create_simple((n,)))
        file.flush()

    return make


def _odd_float() -> Any:
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(31, 24, 7, 0, 24)
    kind.set_ebias(63)
    return kind


def _odd_int() -> Any:
    kind = h5py.h5t.STD_I32LE.copy()
    kind.set_precision(17)
    return kind


# What makes it, and what the reason says.
KINDS: dict[str, tuple[Callable[[Any], object], str]] = {
    "compound": (lambda f: f.create_dataset("x", data=np.zeros(3, [("a", "f4"), ("b", "i4")])), "compound type"),
    "enumeration": (lambda f: f.create_dataset("x", (3,), h5py.enum_dtype({"R": 0, "G": 1, "B": 2})), "enumeration"),
    "object reference": (lambda f: f.create_dataset("x", data=[f["a"].ref], dtype=h5py.ref_dtype), "references"),
    "region reference": (
        lambda f: f.create_dataset("x", data=[f["a"].regionref[:1]], dtype=h5py.regionref_dtype),
        "references",
    ),
    "bit field": (_low(h5py.h5t.STD_B8LE), "bit field"),
    "time": (_low(h5py.h5t.UNIX_D32LE), "time type"),
    "numbers of any length": (lambda f: f.create_dataset("x", (3,), h5py.vlen_dtype("i4")), "variable-length data"),
    "array": (lambda f: f.create_dataset("x", (3,), np.dtype(("f4", (2,)))), "array type"),
    "opaque": (lambda f: f.create_dataset("x", data=np.zeros(3, "V5")), "opaque type"),
    "odd float": (_low(_odd_float()), "not IEEE"),
    "long double": (lambda f: f.create_dataset("x", data=np.zeros(3, np.longdouble)), "not IEEE"),
    "odd integer": (_low(_odd_int()), "padding bits"),
    "null": (_null, "null dataspace"),
    "committed type": (_committed, "committed datatype"),
    "virtual": (_virtual, "virtual dataset"),
    "external storage": (_external, "external storage"),
    "never written": (lambda f: f.create_dataset("x", (4,), "f4"), "no data stored"),
    "never written in part": (
        lambda f: f.create_dataset("x", (8,), "f4", chunks=(4,)).__setitem__(slice(0, 4), 1),
        "no data stored for 1 of 2 chunks",
    ),
    "scale-offset": (lambda f: f.create_dataset("x", data=np.arange(64), chunks=(32,), scaleoffset=0), "scaleoffset"),
    "szip": (_chunked_by(4, 4, 8), "szip"),
    "nbit": (_chunked_by(5), "nbit"),
    "blosc": (_chunked_by(32001), "32001"),
    "bitshuffle": (_chunked_by(32008), "32008"),
    "a filter of nobody's": (_chunked_by(65000), "65000"),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    make, why = KINDS[request.param]
    try:
        return h5(tmp_path / "x.h5", make), why
    except (ValueError, TypeError, OSError) as error:
        pytest.skip(f"this h5py makes no such thing: {error}")


def test_it_is_named_and_the_rest_is_read(
    kind: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, why = kind
    report = kio.verify(path)
    assert report.ok and report.verdict == "ok" and report.problems == report.refused == []
    assert list(report.unread) == ["x"] and why in report.unread["x"]
    assert "ok, 1 tensor kio does not read" in str(report) and why in str(report) and "DAMAGED" not in str(report)
    with kio.open(path) as checkpoint:
        assert np.array_equal(checkpoint["a"], A)
        if "x" in checkpoint:
            for read in (lambda: np.asarray(checkpoint["x"]), checkpoint.read, lambda: checkpoint["x"][:1]):
                with pytest.raises(UnsupportedError, match="tensor x"):
                    read()
    assert cli.main(["verify", path]) == 0
    assert cli.main(["ls", path]) == 0 and cli.main(["ls", "--json", path]) == 0
    assert capsys.readouterr().out.count(why.split(" for")[0]) == 3
    same = kio.diff(path, path)
    assert same.same == (same.unread == {}) and same.equal == 1


def test_convert_refuses_and_leaves_out(kind: tuple[str, str], tmp_path: Path) -> None:
    path, _ = kind
    with pytest.raises(UnsupportedError, match=r"x\.h5, tensor x\); .*unsupported='skip'"):
        kio.convert(path, tmp_path / "y.npz")
    assert not (tmp_path / "y.npz").exists()
    with pytest.warns(UserWarning, match="left out, as kio cannot convert it: x"):
        kio.convert(path, tmp_path / "y.npz", unsupported="skip")
    with np.load(tmp_path / "y.npz") as made:
        assert list(made) == ["a"] and np.array_equal(made["a"], A)
    assert cli.main(["convert", path, str(tmp_path / "z.safetensors")]) == 1
    assert cli.main(["convert", "--unsupported", "skip", path, str(tmp_path / "z.safetensors")]) == 0


# ---- text


def _padded(pad: int, n: int = 12) -> Any:
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(n)
    kind.set_strpad(pad)
    return kind


def _fixed(pad: int) -> Callable[[Any], object]:
    def make(file: Any) -> None:
        made = h5py.h5d.create(file.id, b"x", _padded(pad), h5py.h5s.create_simple((3,)))
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([b"one", b"", b"zwei words"], "S12"))

    return make


def _texts(shape: tuple[int, ...], **more: Any) -> Callable[[Any], object]:
    def make(file: Any) -> None:
        data = np.array(WORDS, object)[:3] if shape == (3,) else np.array(WORDS, object).reshape(shape)
        file.create_dataset("x", data=data, dtype=h5py.string_dtype(), **more)

    return make


TEXTS: dict[str, Callable[[Any], object]] = {
    "padded with zeros": lambda f: f.create_dataset("x", data=np.array([[b"a", b"bcd"], [b"", b"x y"]], "S3")),
    "ended by a zero": _fixed(h5py.h5t.STR_NULLTERM),
    "padded with spaces": _fixed(h5py.h5t.STR_SPACEPAD),
    "fixed UTF-8": lambda f: f.create_dataset("x", data=np.array(["ä".encode(), b"bc"], h5py.string_dtype("utf-8", 4))),
    "fixed, compressed": lambda f: f.create_dataset("x", data=np.array(WORDS * 50, "S50"), compression="gzip"),
    "any length": _texts((4,)),
    "any length, in rows": _texts((2, 2)),
    "any length, ASCII": lambda f: f.create_dataset("x", data=[b"a", b"bc"], dtype=h5py.string_dtype("ascii")),
    "any length, compressed": _texts((4,), chunks=(2,), compression="gzip"),
    "any length, one": lambda f: f.create_dataset("x", data="just one"),
    "fixed, one": lambda f: f.create_dataset("x", data=np.bytes_(b"just one")),
    "none": lambda f: f.create_dataset("x", (0,), h5py.string_dtype()),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_text_is_what_h5py_gives(tmp_path: Path, name: str, libver: str) -> None:
    path = str(tmp_path / "x.h5")
    with h5py.File(path, "w", libver=libver) as file:
        file["a"] = A
        TEXTS[name](file)
    with h5py.File(path) as file:
        expected = np.asarray(file["x"][()], dtype=file["x"].dtype if file["x"].dtype.kind == "S" else object)
    with kio.open(path) as checkpoint:
        tensor = checkpoint["x"]
        found = np.asarray(tensor)
        assert found.dtype.kind == expected.dtype.kind and found.shape == expected.shape == tensor.shape
        assert found.tolist() == expected.tolist()
        assert tensor.dtype_name == ("text" if found.dtype == object else str(found.dtype.str[1:]))
        if found.ndim:
            assert tensor[-1:].tolist() == expected[-1:].tolist()
        both = checkpoint.read()
        assert both["x"].tolist() == expected.tolist() and np.array_equal(both["a"], A)
        assert {key: array.tolist() for key, array in checkpoint.stream(budget=1)} == {
            "a": A.tolist(),
            "x": expected.tolist(),
        }
    report = kio.verify(path)
    assert report.ok and report.unread == {} and report.tensors == 2
    assert kio.diff(path, path).equal == 2


def test_text_in_npz(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=A, b=np.array([b"one", b""]), u=np.array([["ä", "bcd"]]))
    with kio.open(path) as checkpoint:
        assert checkpoint["b"].dtype_name == "S3" and checkpoint["u"].dtype_name == "U3"
        assert np.asarray(checkpoint["b"]).tolist() == [b"one", b""]
        assert np.asarray(checkpoint["u"]).tolist() == [["ä", "bcd"]] and checkpoint["u"][0, 1:].tolist() == ["bcd"]
    assert kio.verify(path).ok
    with pytest.raises(UnsupportedError, match=r"found text.*tensor b"):
        kio.convert(path, tmp_path / "y.safetensors")


def test_text_that_differs(tmp_path: Path) -> None:
    a = h5(tmp_path / "a.h5", _texts((4,)))
    b = h5(
        tmp_path / "b.h5", lambda f: f.create_dataset("x", data=[b"one", b"", b"x", b"y"], dtype=h5py.string_dtype())
    )
    report = kio.diff(a, b)
    assert report.equal == 1 and [(d.name, d.what, d.nelems) for d in report.different] == [("x", "values", 2)]


def test_cat_shows_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = h5(tmp_path / "x.h5", _texts((4,)))
    assert cli.main(["cat", "--json", path, "x"]) == 0
    assert json.loads(capsys.readouterr().out)[2] == "drei ä"


@pytest.mark.keras
def test_text_is_no_variable(tmp_path: Path) -> None:
    """Four bytes of text have the size of a float."""
    import keras

    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3, use_bias=False)])
    path = str(tmp_path / "x.weights.h5")
    model.save_weights(path)
    with h5py.File(path, "a") as file:
        group = file["layers/dense/vars"]
        del group["0"]
        group["0"] = np.full((2, 3), b"abcd", "S4")
    with pytest.raises(kio.MatchError, match="text"):
        kio.load_weights(model, path)


# ---- hostile text


def _patched(path: str, old: bytes, new: bytes) -> str:
    data = Path(path).read_bytes()
    assert data.count(old) == 1 and len(old) == len(new)
    Path(path).write_bytes(data.replace(old, new))
    return path


def _one_text(tmp_path: Path) -> tuple[str, bytes]:
    """A file with one string, and the reference to it: length, address, index."""
    path = h5(tmp_path / "x.h5", lambda f: f.create_dataset("x", data=[b"0123456789"], dtype=h5py.string_dtype()))
    with kio.open(path) as checkpoint:
        stored = checkpoint["x"].stored
        assert stored is not None and stored.source is not None
        extent = stored.extents[0]
        return path, stored.source.read(extent.offset, 16)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("length beyond the object", lambda n, at, i: (n + 1, at, i)),
        ("length beyond the file", lambda n, at, i: (0xFFFFFFFF, at, i)),
        ("heap beyond the file", lambda n, at, i: (n, 1 << 40, i)),
        ("heap that is none", lambda n, at, i: (n, 96, i)),
        ("heap at an undefined address", lambda n, at, i: (n, (1 << 64) - 1, i)),
        ("object that is not there", lambda n, at, i: (n, at, 77)),
    ],
)
def test_references_that_lead_nowhere(tmp_path: Path, what: str, change: Callable[..., Any]) -> None:
    path, stored = _one_text(tmp_path)
    _patched(path, stored, struct.pack("<IQI", *change(*struct.unpack("<IQI", stored))))
    with kio.open(path) as checkpoint:
        with pytest.raises(CorruptError):
            np.asarray(checkpoint["x"])
        assert np.array_equal(checkpoint["a"], A)
    report = kio.verify(path)
    assert report.verdict == "DAMAGED" and len(report.problems) == 1


def test_one_long_text_that_all_elements_refer_to(tmp_path: Path) -> None:
    """A file of 3 MB would become 100 GB."""
    n = 100_000

    def make(file: Any) -> None:
        file.create_dataset("x", data=[b"z" * 1_000_000] + [b""] * (n - 1), dtype=h5py.string_dtype())

    path = h5(tmp_path / "x.h5", make)
    with kio.open(path) as checkpoint:
        assert len(np.asarray(checkpoint["x"])[0]) == 1_000_000
        stored = checkpoint["x"].stored
        assert stored is not None and stored.source is not None
        extent = stored.extents[0]
        first = stored.source.read(extent.offset, 16)
    data = bytearray(Path(path).read_bytes())
    data[extent.offset : extent.offset + 16 * n] = first * n
    Path(path).write_bytes(data)
    with kio.open(path) as checkpoint, pytest.raises(LimitError, match="work_factor"):
        np.asarray(checkpoint["x"])
    report = kio.verify(path)
    assert report.verdict == "not checked" and not report.ok


# ---- elsewhere


@pytest.mark.parametrize("link", [h5py.ExternalLink("other.h5", "/b"), h5py.SoftLink("/nowhere"), h5py.SoftLink("/a")])
def test_links_are_refused_by_name(tmp_path: Path, link: Any) -> None:
    """The whole file is: what is behind a link may be a weight."""
    path = h5(tmp_path / "x.h5", lambda f: f.__setitem__("x", link))
    with pytest.raises(UnsupportedError, match="link"):
        kio.open(path)
    report = kio.verify(path)
    assert report.verdict == "not checked" and report.problems == [] and "link" in report.refused[0]
    assert "DAMAGED" not in str(report) and cli.main(["verify", path]) == 1


def test_npz_with_pickles(tmp_path: Path) -> None:
    path = str(tmp_path / "x.npz")
    np.savez(path, a=A, o=np.array([{}], object), d=np.array(["2020-01-01"], "M8[D]"), r=np.zeros(2, [("p", "f4")]))
    report = kio.verify(path)
    assert report.ok and sorted(report.unread) == ["d", "o", "r"] and "never loads" in report.unread["o"]
    with kio.open(path) as checkpoint, pytest.raises(UnsupportedError, match="pickled"):
        np.asarray(checkpoint["o"])


def test_npz_of_pickles_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "x.npz")
    np.savez(path, o=np.array([{}], object))
    report = kio.verify(path)
    assert report.verdict == "not checked" and "pickled" in report.refused[0] and not report
    assert "DAMAGED" not in str(report)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_methods(tmp_path: Path, method: int) -> None:
    path = tmp_path / "x.npz"
    file = io.BytesIO()
    np.save(file, A)
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.npy", file.getvalue())
    with pytest.raises(UnsupportedError, match=r"x\.npz"):
        kio.open(path)
    report = kio.verify(path)
    assert report.verdict == "not checked" and report.problems == [] and cli.main(["verify", str(path)]) == 1


@pytest.mark.parametrize("dtype", ["F8_E8M0", "F4", "F6_E2M3", "F8_E4M3FNUZ"])
def test_safetensors_types(tmp_path: Path, dtype: str) -> None:
    shape, nbytes = ([4], {"F4": 2, "F6_E2M3": 3}.get(dtype, 4))
    entries = {
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "x": {"dtype": dtype, "shape": shape, "data_offsets": [24, 24 + nbytes]},
    }
    head = json.dumps(entries).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(head)) + head + A.tobytes() + bytes(nbytes))
    report = kio.verify(path)
    assert "DAMAGED" not in str(report)
    if report.ok:
        assert list(report.unread) == ["x"] and dtype in report.unread["x"]
    else:
        assert dtype in report.refused[0]


def test_a_file_of_another_kind_is_not_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"GGUF" + bytes(100))
    report = kio.verify(tmp_path / "x.h5")
    assert report.verdict == "not checked" and not report


def test_damage_is_still_damage(tmp_path: Path) -> None:
    """Beside what kio does not read, and in the bytes of what it reads."""
    path = h5(tmp_path / "x.h5", lambda f: f.create_dataset("x", data=np.zeros(3, [("a", "f4"), ("b", "i4")])))
    with h5py.File(path, "a") as file:
        file.create_dataset("b", data=np.arange(1000), chunks=(1000,), fletcher32=True)
        offset = file["b"].id.get_chunk_info(0).byte_offset
    data = bytearray(Path(path).read_bytes())
    data[offset + 5] ^= 1
    Path(path).write_bytes(data)
    report = kio.verify(path)
    assert report.verdict == "DAMAGED" and len(report.problems) == 1 and list(report.unread) == ["x"]
    assert cli.main(["verify", path]) == 1
