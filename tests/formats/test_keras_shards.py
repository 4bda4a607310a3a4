"""Shards: what the map says, what the data says, and what happens when they differ."""

import json
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from kio.errors import CorruptError, FormatError, LimitError, UnsupportedError
from kio.formats import open_checkpoint
from kio.limits import Limits

CORPUS = Path(__file__).parents[1] / "corpus" / "keras_shards"


def shard(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[f"layers/{name.replace('__', '/vars/')}"] = array
        for group in {name.split("__")[0] for name in arrays}:
            file[f"layers/{group}/vars"].attrs["name"] = group


def made(folder, weight_map, total, shards, name="m.weights.json"):
    for number, arrays in shards.items():
        shard(folder / f"m_{number:05}.weights.h5", **arrays)
    document = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / name).write_text(json.dumps(document))
    return folder / name


ONE, TWO = np.ones(3, "float32"), np.full(5, 2.0, "float32")
MAP = {"/layers/a/vars": "m_00000.weights.h5", "/layers/b/vars": ["m_00001.weights.h5"]}


def test_merges(tmp_path):
    path = made(tmp_path, MAP, 32.0, {0: {"a__0": ONE}, 1: {"b__0": TWO}})
    with open_checkpoint(path) as found:
        assert set(found) == {"layers/a/vars/0", "layers/b/vars/0"}
        assert found.names_of == {"layers/a/vars": "a", "layers/b/vars": "b"}
        assert found.metadata["shards"] == ["m_00000.weights.h5", "m_00001.weights.h5"]
        assert found.attributes("layers/b/vars") == {"name": "b"}
        with pytest.raises(KeyError):
            found.attributes("nothing")


def test_unlisted_variable_is_loaded_and_reported(tmp_path):
    path = made(tmp_path, MAP, 44.0, {0: {"a__0": ONE}, 1: {"b__0": TWO, "c__0": ONE}})
    with open_checkpoint(path) as found:
        assert found.metadata["unlisted_tensors"] == ["layers/c/vars/0"]
        np.testing.assert_array_equal(found.read()["layers/c/vars/0"], ONE)


def test_keys_with_a_slash(tmp_path):
    path = made(tmp_path, {"/layers/a/vars": "m_00000.weights.h5"}, 12.0, {0: {"a__x/y": ONE}})
    with open_checkpoint(path) as found:
        assert list(found) == ["layers/a/vars/x/y"] and "unlisted_tensors" not in found.metadata


def test_bool_is_counted_as_keras_counts(tmp_path):
    path = made(
        tmp_path,
        {"/layers/a/vars": "m_00000.weights.h5"},
        13.25,
        {0: {"a__0": ONE, "a__1": np.ones(10, bool)}},
    )
    assert len(open_checkpoint(path)) == 2


@pytest.mark.parametrize(
    "weight_map, total, shards, says",
    [
        (MAP, 32.0, {0: {"a__0": ONE}}, "expected it beside the map"),
        (MAP, 32.0, {0: {"a__0": ONE}, 1: {"a__0": TWO}}, "expected it in one shard"),
        (MAP, 12.0, {0: {"a__0": ONE}, 1: {}}, "expected variables in"),
        (MAP, 33.0, {0: {"a__0": ONE}, 1: {"b__0": TWO}}, "expected 33.0 bytes"),
        (MAP, 31, {0: {"a__0": ONE}, 1: {"b__0": TWO}}, "expected 31 bytes"),
        (MAP, "32", {0: {"a__0": ONE}, 1: {"b__0": TWO}}, "expected a number"),
        (MAP, True, {0: {"a__0": ONE}, 1: {"b__0": TWO}}, "expected a number"),
        (MAP, None, {0: {"a__0": ONE}, 1: {"b__0": TWO}, 2: {"c__0": ONE}}, "total_size"),
        ({"/a": "x_00000.weights.h5", "/b": "m_00000.weights.h5"}, 1, {}, "one base name"),
    ],
)
def test_contradictions(tmp_path, weight_map, total, shards, says):
    with pytest.raises(CorruptError, match=says) as caught:
        open_checkpoint(made(tmp_path, weight_map, total, shards))
    assert "m.weights.json" in str(caught.value)


NAMES = ["../m_00000.weights.h5", "/m_00000.weights.h5", "a/m_00000.weights.h5", "..\\m_00000.weights.h5"]
NAMES += ["C:m_00000.weights.h5", "m_00000.weights.h5\0", "m_00000.weights.h5\n", ".m_00000.weights.h5"]
NAMES += [
    "m_0000.weights.h5",
    "m_00000.weights.h5/",
    "m_00000.weights.H5",
    "m.h5",
    "",
    "x" * 300 + "_00000.weights.h5",
]
NAMES += [5, None, ["m_00000.weights.h5"], {}]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_names_of_shards(tmp_path, name):
    weight_map = {"/layers/a/vars": [name], "/layers/b/vars": "m_00000.weights.h5"}
    with pytest.raises(FormatError):
        open_checkpoint(made(tmp_path, weight_map, 12.0, {0: {"a__0": ONE}}))


def test_shard_is_a_link(tmp_path):
    path = made(tmp_path, MAP, 32.0, {0: {"a__0": ONE}, 1: {"b__0": TWO}})
    shutil.move(tmp_path / "m_00001.weights.h5", tmp_path / "elsewhere")
    (tmp_path / "m_00001.weights.h5").symlink_to("elsewhere")
    with pytest.raises(UnsupportedError, match="link"):
        open_checkpoint(path)


def test_hugging_face_snapshot(tmp_path):
    """A snapshot of the hub's cache: every file a link to a blob."""
    snapshot, blobs = tmp_path / "snapshots" / "main", tmp_path / "blobs"
    shutil.copytree(CORPUS.parent / "keras_archive" / "preset" / "model", snapshot)
    blobs.mkdir()
    for k, file in enumerate(sorted(snapshot.iterdir())):
        shutil.move(file, blobs / f"{k:040x}")
        file.symlink_to(f"../../blobs/{k:040x}")
    with (
        open_checkpoint(snapshot) as found,
        open_checkpoint(CORPUS.parent / "keras_archive/preset/model") as wanted,
    ):
        assert set(found) == set(wanted) and found.config == wanted.config
        for name, array in found.read().items():
            np.testing.assert_array_equal(array, np.asarray(wanted[name]))


def test_map_alone(tmp_path):
    path = made(tmp_path, MAP, 32.0, {0: {"a__0": ONE}, 1: {"b__0": TWO}})
    with pytest.raises(UnsupportedError, match="by its path"):
        open_checkpoint(path.read_bytes())


def test_names_of_two_saves(tmp_path):
    path = made(tmp_path, MAP, 44.0, {0: {"a__0": ONE, "b__0": TWO}, 1: {"b__1": ONE}})
    with h5py.File(tmp_path / "m_00001.weights.h5", "a") as file:
        file["layers/b/vars"].attrs["name"] = "other"
    with open_checkpoint(path) as found, pytest.raises(CorruptError, match="different saves"):
        _ = found.names_of


def test_inside_an_archive(tmp_path):
    made(tmp_path, MAP, 32.0, {0: {"a__0": ONE}, 1: {"b__0": TWO}}, "model.weights.json")
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "x.keras", "w", method) as z:
            z.writestr("config.json", "{}")
            for file in sorted(tmp_path.glob("m*")):
                z.write(file, file.name)
        with open_checkpoint(tmp_path / "x.keras") as found:
            assert found.format == "keras_archive"
            np.testing.assert_array_equal(found.read(verify=True)["layers/b/vars/0"], TWO)


def test_many_shards_are_bounded(tmp_path):
    weight_map = {f"/layers/a{k}/vars": f"m_{k:05}.weights.h5" for k in range(12)}
    path = made(tmp_path, weight_map, 144.0, {k: {f"a{k}__0": ONE} for k in range(12)})
    assert len(open_checkpoint(path)) == 12
    with pytest.raises(LimitError, match="members"):
        open_checkpoint(path, Limits(members=5))
