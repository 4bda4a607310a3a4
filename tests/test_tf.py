"""``kio.tf`` gives what ``tf.train`` gives, and needs no TensorFlow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import kio
from kio import tf as mine
from kio.errors import CorruptError, UnknownNameError, UnsupportedError
from kio.testing import cases
from tests.conftest import CORPUS

HERE = CORPUS / "tf_checkpoint"
GOOD = [case for case in cases(HERE) if not case.bad]


def prefix_of(case):
    """What ``tf.train`` opens."""
    path = case.path
    if path.name == "variables":
        return str(path / "variables")
    if path.is_dir():
        return str(path / case.expected["metadata"]["checkpoint"])
    return str(path).removesuffix(".index")


def test_without_tensorflow():
    """In a process that cannot import it."""
    program = f"""
import sys
sys.modules["tensorflow"] = sys.modules["tf_keras"] = sys.modules["keras"] = None
import kio, kio.tf
folder = {str(HERE / "manager-2.21")!r}
path = kio.tf.latest_checkpoint(folder)
reader = kio.tf.load_checkpoint(path)
print(len(reader.get_variable_to_shape_map()), reader.get_tensor("step/.ATTRIBUTES/VARIABLE_VALUE"))
print(kio.tf.load_variable(folder, "save_counter/.ATTRIBUTES/VARIABLE_VALUE"))
assert "tensorflow" not in {{name for name, module in sys.modules.items() if module is not None}}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CORPUS.parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["25", "4", "3"]


def test_a_reader():
    with mine.load_checkpoint(HERE / "types-2.21" / "ckpt") as reader:
        assert reader.get_tensor("scalar") == 2.5 and type(reader.get_tensor("scalar")) is np.float32
        assert reader.get_tensor("string") == b"one"
        assert reader.get_tensor("strings").dtype == object and reader.get_tensor("strings").shape == (2, 2)
        assert reader.has_tensor("scalar") and reader.has_tensor("größe/三") and not reader.has_tensor("nothing")
        types = reader.get_variable_to_dtype_map()
        assert types["bfloat16"] == np.dtype(ml_dtypes.bfloat16) and types["quint8"] == np.uint8
        assert types["string"] == np.dtype(object) and types["int4"] == np.dtype(ml_dtypes.int4)
        assert reader.get_variable_to_shape_map()["empty"] == [0, 3]
        lines = reader.debug_string().decode().splitlines()
        assert "float16 (DT_HALF) [2,3]" in lines and "scalar (DT_FLOAT) []" in lines
        with pytest.raises(UnknownNameError, match="scalar"):
            reader.get_tensor("scalr")
    reader = mine.load_checkpoint(HERE / "variants-2.15" / "ckpt")
    with reader, pytest.raises(UnsupportedError, match="variant"):
        reader.get_tensor("iterator/.ATTRIBUTES/ITERATOR_STATE")


def test_variables_of_a_folder():
    folder = HERE / "names-2.15"
    listed = mine.list_variables(folder)
    assert listed == sorted(listed) and ("emb/w", [10, 4]) in listed and ("global_step", []) in listed
    assert mine.load_variable(folder, "global_step:0") == mine.load_variable(str(folder), "global_step") == 1


def test_other_formats_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(2))
    with pytest.raises(UnsupportedError, match="found npz"):
        mine.load_checkpoint(tmp_path / "x.npz")
    with pytest.raises(FileNotFoundError):
        mine.load_checkpoint(tmp_path / "nothing")


def test_states(tmp_path):
    assert mine.get_checkpoint_state(tmp_path) is None and mine.latest_checkpoint(tmp_path) is None
    assert mine.get_checkpoint_state(tmp_path / "nothing") is None
    shutil.copytree(HERE / "manager-2.15", tmp_path / "run")
    state = mine.get_checkpoint_state(tmp_path / "run")
    assert state.model_checkpoint_path == f"{tmp_path}/run/ckpt-3"
    assert state.all_model_checkpoint_paths == [f"{tmp_path}/run/ckpt-2", f"{tmp_path}/run/ckpt-3"]
    assert len(state.all_model_checkpoint_timestamps) == 2 and state.last_preserved_timestamp > 1.6e9
    assert mine.latest_checkpoint(tmp_path / "run") == f"{tmp_path}/run/ckpt-3"
    assert mine.checkpoint_exists(f"{tmp_path}/run/ckpt-2") and not mine.checkpoint_exists(f"{tmp_path}/run/ckpt-1")
    os.rename(tmp_path / "run" / "checkpoint", tmp_path / "run" / "other")
    assert mine.latest_checkpoint(tmp_path / "run") is None
    assert mine.latest_checkpoint(tmp_path / "run", "other") == f"{tmp_path}/run/ckpt-3"
    os.remove(tmp_path / "run" / "ckpt-3.index")
    assert mine.latest_checkpoint(tmp_path / "run", "other") is None
    (tmp_path / "run" / "checkpoint").write_bytes(b"\0\1")
    with pytest.raises(CorruptError, match="state file"):
        mine.latest_checkpoint(tmp_path / "run")


def test_version_1(tmp_path):
    shutil.copytree(HERE / "first_sharded-2.15", tmp_path / "run")
    pattern = f"{tmp_path}/run/m.ckpt-?????-of-00002"
    assert mine.latest_checkpoint(tmp_path / "run") == pattern and mine.checkpoint_exists(pattern)
    for what in (pattern, f"{tmp_path}/run/m.ckpt", f"{tmp_path}/run/m.ckpt-00001-of-00002", tmp_path / "run"):
        assert mine.list_variables(what) == [("a", [3]), ("b", [2])]
        assert mine.load_variable(what, "b").tolist() == [2, 2]
    os.remove(tmp_path / "run" / "m.ckpt-00000-of-00002")
    with pytest.raises(CorruptError, match="copy all files"):
        mine.load_checkpoint(f"{tmp_path}/run/m.ckpt-00001-of-00002")
    with kio.open((HERE / "first-2.21" / "model.ckpt-5").read_bytes()) as found:
        assert found["same"][1:3, 4].tolist() == [7, 7] and found["string"][:].tolist() == [b"ab", b""]
        found.verify()


# --------------------------------------------------------------------------- against TensorFlow


@pytest.mark.tf
@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.folder.name)
def test_as_tensorflow(case):
    tf = pytest.importorskip("tensorflow")
    prefix = prefix_of(case)
    theirs = tf.train.load_checkpoint(prefix)
    with mine.load_checkpoint(prefix) as reader:
        assert reader.get_variable_to_shape_map() == theirs.get_variable_to_shape_map()
        types = theirs.get_variable_to_dtype_map()
        found = reader.get_variable_to_dtype_map()
        assert set(found) == set(types)
        for name, dtype in types.items():
            if dtype.name not in ("string", "variant") and not dtype.name.lstrip("q").startswith("q"):
                assert found[name].name == dtype.name.removeprefix("q"), name
        if not case.folder.name.startswith("first"):
            # Of tensors in slices TensorFlow lists the slices, by their keys.
            lines = [line for line in theirs.debug_string().splitlines() if not line.startswith(b"\0")]
            listed = reader.debug_string().splitlines()
            assert [line for line in listed if line in lines] == lines
            assert len(listed) == len(types)
        for name in types:
            try:
                wanted = theirs.get_tensor(name)
            except Exception:
                continue  # variants, halves in slices
            value = reader.get_tensor(name)
            assert type(value) is type(wanted), name
            if isinstance(wanted, bytes):
                assert value == wanted
            elif np.asarray(wanted).dtype == object:
                assert value.tolist() == wanted.tolist()
            else:
                assert (
                    value.dtype == wanted.dtype and value.shape == wanted.shape and value.tobytes() == wanted.tobytes()
                )
    assert mine.list_variables(prefix) == tf.train.list_variables(prefix)


@pytest.mark.tf
@pytest.mark.parametrize("name", ["manager-2.21", "names-2.15", "objects-2.12", "first_sharded-2.15", "types-2.21"])
def test_states_as_tensorflow(name):
    tf = pytest.importorskip("tensorflow")
    folder = str(HERE / name)
    state, theirs = mine.get_checkpoint_state(folder), tf.train.get_checkpoint_state(folder)
    assert (state is None) == (theirs is None)
    if state is not None:
        assert state.model_checkpoint_path == theirs.model_checkpoint_path
        assert state.all_model_checkpoint_paths == list(theirs.all_model_checkpoint_paths)
        assert state.all_model_checkpoint_timestamps == list(theirs.all_model_checkpoint_timestamps)
        assert state.last_preserved_timestamp == theirs.last_preserved_timestamp
    assert mine.latest_checkpoint(folder) == tf.train.latest_checkpoint(folder)


@pytest.mark.tf
def test_six_thousand_keys(tmp_path):
    """Several blocks of an index."""
    tf = pytest.importorskip("tensorflow")
    names = [f"layer_{n // 10}/some/rather/long/scope/variable_{n}" for n in range(6000)]
    values = [np.float32(n) for n in range(6000)]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "ckpt"),
        tensor_names=names,
        shape_and_slices=[""] * 6000,
        tensors=[tf.constant(value) for value in values],
    )
    with mine.load_checkpoint(tmp_path / "ckpt") as reader:
        assert sorted(reader.get_variable_to_shape_map()) == sorted(names)
        assert reader.get_tensor(names[4321]) == 4321
    with kio.open(tmp_path / "ckpt") as found:
        assert [float(array) for array in found.read(names).values()] == list(range(6000))


def test_the_corpus_says_what_it_is():
    writers = [json.loads((case.folder / "expected.json").read_text())["writer"] for case in GOOD]
    found = {writer.get("tensorflow") or writer.get("tensorflow-cpu") for writer in writers}
    assert found == {"2.12.1", "2.15.1", "2.21.0"}
