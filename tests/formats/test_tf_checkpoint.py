"""TensorFlow checkpoints through the front door: every way to name one, every command."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import kio
from kio import cli
from kio.containers.object_graph import ObjectGraph
from kio.errors import CorruptError, FormatError, LimitError, UnsupportedError
from tests.conftest import CORPUS
from tests.containers.bundles import FLOAT, Draft

HERE = CORPUS / "tf_checkpoint"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(HERE / "manager-2.21", tmp_path / "run")
    return tmp_path / "run"


def draft(prefix: Path, value: float = 1.0) -> None:
    made = Draft()
    made.add("x", FLOAT, np.full((2, 3), value, "f4"))
    made.write(prefix)


def test_by_prefix_index_and_folder(folder):
    opened = {}
    for what in (
        folder,
        folder / "ckpt-3",
        folder / "ckpt-3.index",
        str(folder / "ckpt-3"),
        os.fspath(folder) + os.sep,
    ):
        with kio.open(what) as found:
            opened[what] = {name: array.tolist() for name, array in found.read(verify=True).items()}
            assert found.layout == "tf_objects" and isinstance(found.structure, ObjectGraph)
            assert "net" in found.structure.children(0)
            key = found.structure.attributes(found.structure.children(0)["step"])["VARIABLE_VALUE"][1]
            assert found[key][()] == 4
            assert kio.containers.bundle.GRAPH not in found
    assert len({repr(each) for each in opened.values()}) == 1 and len(opened[folder]) == 24
    with kio.open(folder / "ckpt-2") as found:
        assert found["step/.ATTRIBUTES/VARIABLE_VALUE"][()] == 3


def test_relative_paths(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for what in (".", "ckpt-3", "ckpt-3.index", "../run/ckpt-3"):
        with kio.open(what) as found:
            copy = pickle.loads(pickle.dumps(found))
            assert found["step/.ATTRIBUTES/VARIABLE_VALUE"][()] == copy["step/.ATTRIBUTES/VARIABLE_VALUE"][()] == 4
            copy.close()


def test_a_folder_beside_a_prefix_of_the_same_name(tmp_path):
    (tmp_path / "ckpt").mkdir()
    draft(tmp_path / "ckpt")
    with pytest.raises(FormatError, match="folder"):
        kio.open(tmp_path / "ckpt")
    draft(tmp_path / "ckpt" / "inner", 2.0)
    with kio.open(tmp_path / "ckpt") as found:
        assert found["x"][0, 0] == 2.0
    with kio.open(tmp_path / "ckpt.index") as found:
        assert found["x"][0, 0] == 1.0


def test_a_moved_folder_counts_by_the_last_part(tmp_path):
    """Savers write absolute paths: those of the machine that trained."""
    (tmp_path / "new").mkdir()
    (tmp_path / "old").mkdir()
    draft(tmp_path / "old" / "ckpt-7", 1.0)
    state = f'model_checkpoint_path: "{tmp_path}/old/ckpt-7"\n'
    (tmp_path / "new" / "checkpoint").write_text(state)
    with pytest.raises(UnsupportedError, match="checkpoint of this folder") as caught:
        kio.open(tmp_path / "new")
    # The hint, followed.
    hint = str(caught.value).split("open ")[-1].removesuffix(" itself")
    with kio.open(hint) as found:
        assert found["x"][0, 0] == 1.0
    draft(tmp_path / "new" / "ckpt-7", 2.0)
    with kio.open(tmp_path / "new") as found:
        assert found["x"][0, 0] == 2.0
    (tmp_path / "old" / "checkpoint").write_text(state)
    with kio.open(tmp_path / "old") as found:
        assert found["x"][0, 0] == 1.0


@pytest.mark.parametrize(
    "path", ["../out/ckpt", "a/../../out/ckpt", "./../out/ckpt", "a/../ckpt", "..", "a\\\\..\\\\ckpt"]
)
def test_state_files_stay_in_the_folder(tmp_path, path):
    for name in ("out", "run", "run/a"):
        (tmp_path / name).mkdir()
    draft(tmp_path / "out" / "ckpt")
    draft(tmp_path / "run" / "ckpt")
    (tmp_path / "run" / "checkpoint").write_text(f'model_checkpoint_path: "{path}"\n')
    with pytest.raises(CorruptError, match="stays in the folder"):
        kio.open(tmp_path / "run")


def test_links(tmp_path):
    """What the user names may be a link; nothing that a file names is followed."""
    for name in ("data", "run"):
        (tmp_path / name).mkdir()
    draft(tmp_path / "data" / "ckpt")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with kio.open(tmp_path / "link" / "ckpt") as found:
        assert found["x"].shape == (2, 3)
    shard = "ckpt.data-00000-of-00001"
    shutil.copy(tmp_path / "data" / "ckpt.index", tmp_path / "run")
    (tmp_path / "run" / shard).symlink_to(tmp_path / "data" / shard)
    with pytest.raises(UnsupportedError, match="found a link"):
        kio.open(tmp_path / "run" / "ckpt")
    (tmp_path / "run" / "sub").symlink_to(tmp_path / "data")
    (tmp_path / "run" / "checkpoint").write_text('model_checkpoint_path: "sub/ckpt"\n')
    with pytest.raises(UnsupportedError, match="expected a folder, found a link"):
        kio.open(tmp_path / "run")
    for special in (os.mkfifo, os.mkdir):
        (tmp_path / "run" / shard).unlink()
        special(tmp_path / "run" / shard)
        with pytest.raises((UnsupportedError, CorruptError, OSError)):
            kio.open(tmp_path / "run" / "ckpt")
        if special is os.mkdir:
            (tmp_path / "run" / shard).rmdir()


def test_a_folder_of_several_says_what_to_open(tmp_path):
    draft(tmp_path / "a")
    draft(tmp_path / "b", 2.0)
    with pytest.raises(UnsupportedError, match="found 2") as caught:
        kio.open(tmp_path)
    with kio.open(str(caught.value).split("as ")[-1]) as found:
        assert found["x"][0, 0] == 1.0


def test_an_index_alone(tmp_path):
    draft(tmp_path / "ckpt")
    with pytest.raises(UnsupportedError, match="open the checkpoint by the path of its index"):
        kio.open((tmp_path / "ckpt.index").read_bytes())
    (tmp_path / "ckpt.index").rename(tmp_path / "other")
    with pytest.raises(UnsupportedError, match="rename it"):
        kio.open(tmp_path / "other")
    (tmp_path / "x.index").symlink_to(tmp_path / "other")
    with pytest.raises(CorruptError, match="copy all files"):
        kio.open(tmp_path / "x")


def test_an_sstable_of_others(tmp_path):
    from kio.containers import sstable

    (tmp_path / "x.index").write_bytes(sstable.table_of([(b"key", b"value")]))
    with pytest.raises(CorruptError, match="header"):
        kio.open(tmp_path / "x.index")


def test_commands(folder, tmp_path, capsys):
    prefix = str(folder / "ckpt-3")

    def said(*words, code=0):
        assert cli.main(list(words)) == code
        return capsys.readouterr().out

    listed = json.loads(said("ls", prefix, "--json"))
    assert {"name": "step/.ATTRIBUTES/VARIABLE_VALUE", "shape": [], "dtype": "int32", "nbytes": 4} in listed
    assert "tf_objects" in said("info", prefix) and "24" in said("info", str(folder))
    assert said("cat", prefix, "step/.ATTRIBUTES/VARIABLE_VALUE").strip().endswith("4")
    said("verify", prefix)
    assert "step" in said("diff", prefix, str(folder / "ckpt-2"), code=1)
    said("diff", prefix, prefix)
    for name in ("x.safetensors", "x.npz"):
        said("convert", prefix, str(tmp_path / name))
        said("diff", prefix, str(tmp_path / name))
    shard = folder / "ckpt-3.data-00000-of-00001"
    damaged = bytearray(shard.read_bytes())
    damaged[100] ^= 1
    shard.write_bytes(damaged)
    said("verify", prefix, code=1)
    with kio.open(prefix) as found, pytest.raises(kio.ChecksumError, match="CRC-32C"):
        found.read()


def test_slices_and_strings_convert(tmp_path):
    with kio.open(HERE / "slices-2.15" / "ckpt") as found:
        wanted = found.read()
        kio.convert(found, tmp_path / "x.npz")
    with kio.open(tmp_path / "x.npz") as found:
        assert {name: array.tobytes() for name, array in found.read().items()} == {
            name: array.tobytes() for name, array in wanted.items()
        }
    with kio.open(HERE / "types-2.21" / "ckpt") as found:
        with pytest.raises(UnsupportedError, match="text"):
            kio.convert(found, tmp_path / "x.safetensors")
        assert found["strings"][()].tolist()[0] == [b"", "größe".encode()]


@pytest.mark.keras
def test_a_model_is_told_that_there_is_no_mapping_yet():
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for case in ("manager-2.21", "names-2.15"):
        with pytest.raises(UnsupportedError, match=r"layout: .*found tf_.*kio\.convert"):
            kio.load_weights(model, HERE / case)


def test_object_graphs_are_checked(tmp_path):
    made = Draft()
    made.add_strings(kio.containers.bundle.GRAPH, [b"a", b"b"])
    made.write(tmp_path / "two")
    with pytest.raises(CorruptError, match="expected one string"):
        kio.open(tmp_path / "two")
    made = Draft()
    made.add(kio.containers.bundle.GRAPH, FLOAT, np.ones(2, "f4"))
    made.write(tmp_path / "floats")
    with pytest.raises(CorruptError, match="expected one string, found float32"):
        kio.open(tmp_path / "floats")
    with pytest.raises(LimitError, match="config_bytes"):
        kio.open(HERE / "manager-2.21", limits=kio.Limits(config_bytes=800))


def test_nothing_stays_open(folder):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    if before is None:
        pytest.skip("no /proc")
    for what in (folder, folder / "ckpt-3", folder / "ckpt-3.index"):
        kio.open(what).close()
    (folder / "ckpt-3.data-00000-of-00001").write_bytes(b"")
    for what in (folder, folder / "ckpt-3", folder / "ckpt-3.index"):
        with pytest.raises(FormatError):
            kio.open(what)
    assert len(os.listdir("/proc/self/fd")) == before
