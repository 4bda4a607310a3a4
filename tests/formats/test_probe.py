"""Probe: every kind of input, and what is told apart by content."""

import gzip
import io
import os
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from kio.errors import FormatError, UnknownFormatError, UnsupportedError
from kio.formats import open_checkpoint
from kio.formats.probe import Probe
from kio.raw.source import Source

CORPUS = Path(__file__).parents[1] / "corpus"


def fill(group):
    group["layers/dense/vars/0"] = np.arange(6, dtype="float32").reshape(2, 3)
    group["layers/dense/vars"].attrs["name"] = "first"


def check(what, prefix=""):
    with open_checkpoint(what) as found:
        assert list(found) == ["layers/dense/vars/0"]
        assert found.names_of == {"layers/dense/vars": "first"}
        assert found.attributes("layers/dense/vars") == {"name": "first"}
        np.testing.assert_array_equal(found.read()["layers/dense/vars/0"], [[0, 1, 2], [3, 4, 5]])
    return found


def test_h5py_file_read_only(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        fill(file)
    with h5py.File(tmp_path / "x.h5", "r") as file:
        found = check(file)
        assert found.name == str(tmp_path / "x.h5")
        check(file)  # closing the checkpoint left h5py's file open


def test_h5py_file_being_written(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        fill(file)
        check(file)
        file["layers/dense/vars/1"] = 5.0
        with open_checkpoint(file) as found:
            assert found.read()["layers/dense/vars/1"] == 5.0


def test_h5py_file_in_memory():
    with h5py.File("nothing.h5", "w", driver="core", backing_store=False) as file:
        fill(file)
        check(file)
    with h5py.File(io.BytesIO(), "w") as file:
        fill(file)
        check(file)


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be replaced on Windows")
def test_h5py_file_replaced_on_disk(tmp_path):
    """What h5py has open counts, not what has its name now."""
    for name, value in (("x.h5", 1.0), ("y.h5", 2.0)):
        with h5py.File(tmp_path / name, "w") as file:
            file["a"] = value
    with h5py.File(tmp_path / "x.h5", "r") as file:
        os.replace(tmp_path / "y.h5", tmp_path / "x.h5")
        with open_checkpoint(file) as found:
            assert found.read()["a"] == 1.0


def test_h5py_group(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        fill(file.create_group("some/group"))
        file["other"] = 1.0
    with h5py.File(tmp_path / "x.h5", "r") as file:
        check(file["some/group"])
        with open_checkpoint(file["some"]) as found:
            assert list(found) == ["group/layers/dense/vars/0"]
            assert found.names_of == {"group/layers/dense/vars": "first"}


def test_h5py_group_of_a_legacy_file(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"dense"]
        group["dense/kernel:0"] = np.zeros(3)
    with h5py.File(tmp_path / "x.h5", "r") as file:
        for what, names in (
            (file, ["model_weights/dense/kernel:0"]),
            (file["model_weights"], ["dense/kernel:0"]),
        ):
            with open_checkpoint(what) as found:
                assert (found.format, found.layout, list(found)) == ("keras_h5", "h5_layers", names)
                assert found.attributes(names[0].rsplit("/", 2)[0] if what is file else "") is not None


def test_source_stays_open():
    source = Source.of_bytes((CORPUS / "npz" / "plain" / "arrays.npz").read_bytes(), "mine")
    for _ in range(2):
        with open_checkpoint(source) as found:
            assert found.name == "mine" and len(found) > 10
    assert source.read(0, 2) == b"PK"


def test_path_likes(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(3))

    class Like:
        def __fspath__(self):
            return str(tmp_path / "x.npz")

    for what in (Like(), str(tmp_path / "x.npz"), os.fsencode(tmp_path / "x.npz").decode()):
        with open_checkpoint(what) as found:
            assert list(found) == ["a"]


def test_gzip_file_object():
    """A file object is what it reads as, not what its descriptor holds."""
    out = io.BytesIO()
    np.savez(out, a=np.ones(3))
    packed = io.BytesIO(gzip.compress(out.getvalue()))
    with gzip.open(packed) as file, open_checkpoint(file) as found:
        assert found.read()["a"].tolist() == [1, 1, 1]


def test_text_file_object():
    with pytest.raises(TypeError, match="binary"):
        open_checkpoint(io.StringIO("hello"))
    with pytest.raises(TypeError):
        open_checkpoint(5)


def test_folder_of_anything(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(UnknownFormatError, match=r"a folder with a\.txt"):
        open_checkpoint(tmp_path)
    # What transformers and others save: nothing of Keras's.
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UnknownFormatError):
        open_checkpoint(tmp_path)


def test_zip_of_anything(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("a.txt", "hello")
    with pytest.raises(UnknownFormatError, match=r"a zip archive with a\.txt"):
        open_checkpoint(out.getvalue())


def test_nothing_left_open(tmp_path):
    if not os.path.isdir("/proc/self/fd"):
        return
    before = len(os.listdir("/proc/self/fd"))
    for path in sorted(CORPUS.glob("*/*/expected.json")):
        for file in path.parent.iterdir():
            try:
                open_checkpoint(file).close()
            except FormatError:
                continue
    assert len(os.listdir("/proc/self/fd")) == before


def test_fifo(tmp_path):
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "x.keras")
        with pytest.raises(UnsupportedError, match="regular file"):
            open_checkpoint(tmp_path / "x.keras")


def test_signatures_further_in_do_not_count():
    data = b"\x89HDF\r\n\x1a\n"
    for at in (1, 100, 511, 513, 700):
        assert Probe(bytes(at) + data + bytes(2000)).container == "unknown"
    for at in (0, 512, 1024, 2048):
        assert Probe(bytes(at) + data + bytes(2000)).container == "hdf5"
