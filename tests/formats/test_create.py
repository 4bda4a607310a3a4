"""``kio.write`` and ``kio.convert``; what each format promises is ``kio.testing.WritingContract``."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kio
from kio import formats
from kio.contents import value_of
from kio.dtypes import TABLE, numpy_dtype
from kio.errors import FormatError, KioError, MatchError, UnknownFormatError, UnsupportedError
from kio.formats import keras_weights

PLAIN = [suffix for suffix, format in formats.suffixes() if format.layout != "h5_layers"]
CONFIG = '{"class_name": "X", "config": {"name": "ü"}}'


def arrays() -> dict[str, Any]:
    """Names of Keras 3, every dtype that all formats have, every odd shape."""
    rng = np.random.default_rng(1)
    found: dict[str, Any] = {}
    for row in TABLE:
        if row.numpy is not None and row.kind not in "Vc":
            array = rng.integers(0, 2, (3, 5)).astype(numpy_dtype(row.name))
            found[f"layers/{row.name}/vars/0"] = array
    found["layers/odd/vars/0"] = np.float32(3.5)
    found["layers/odd/vars/1"] = np.zeros((0, 4), np.float32)
    found["layers/odd/vars/2"] = rng.normal(size=(70, 70, 3))[:, ::2]
    found["layers/odd/vars/3"] = rng.normal(size=(6, 4)).astype(">f4")
    found["layers/ünï cöde/vars/0"] = np.arange(4, dtype=np.int64)
    return found


def options_of(suffix: str) -> dict[str, Any]:
    return {"config": CONFIG} if suffix == ".keras" else {}


def equal(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=") and bool(np.array_equal(a, b))


@pytest.mark.parametrize("suffix", PLAIN)
def test_read_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    given = arrays()
    result = kio.write(path, given, **options_of(suffix))
    assert result.nbytes == sum(os.path.getsize(tmp_path / name) for name in os.listdir(tmp_path))
    assert str(result).startswith(f"{path}: {result.nbytes} bytes")
    with kio.open(path) as found:
        assert found.format == result.format
        assert set(found) == set(given)
        for name, array in given.items():
            assert equal(found[name], array), name
        if suffix == ".keras":
            assert found.config == CONFIG
    assert kio.verify(path)


@pytest.mark.parametrize("suffix", PLAIN)
def test_into_an_open_file(suffix: str) -> None:
    memory = io.BytesIO()
    if suffix == ".weights.json":
        with pytest.raises(UnsupportedError, match="several files"):
            kio.write(memory, arrays(), format=suffix)
        return
    kio.write(memory, arrays(), format=suffix, **options_of(suffix))
    with kio.open(memory.getvalue()) as found:
        assert all(equal(found[name], array) for name, array in arrays().items())


@pytest.mark.parametrize("suffix", PLAIN)
def test_what_is_no_number_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    for wrong in ("text", np.array(["a"]), np.array([object()]), np.zeros(2, "f4,i4")):
        with pytest.raises(UnsupportedError, match="expected numbers"):
            kio.write(path, {"a": np.zeros(3), "b": wrong}, **options_of(suffix))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", [".weights.h5", ".weights.json", ".keras"])
@pytest.mark.parametrize("names", [["a//b"], ["/a"], ["a/"], [""], ["a/./b"], ["a\0b"], ["a", "a/b"]])
def test_names_that_hdf5_cannot_hold(suffix: str, names: list[str], tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="name: expected"):
        kio.write(tmp_path / f"x{suffix}", dict.fromkeys(names, np.zeros(2)), **options_of(suffix))
    assert os.listdir(tmp_path) == []


def test_configuration_has_one_home(tmp_path: Path) -> None:
    for suffix in PLAIN:
        if suffix != ".keras":
            with pytest.raises(UnsupportedError, match="weights alone"):
                kio.write(tmp_path / f"x{suffix}", {"a": np.zeros(2)}, config=CONFIG)
    with pytest.raises(UnsupportedError, match="configuration"):
        kio.write(tmp_path / "x.keras", {"a": np.zeros(2)})
    with pytest.raises(UnknownFormatError, match="suffix"):
        kio.write(tmp_path / "x.unknown", {"a": np.zeros(2)})
    with pytest.raises(UnknownFormatError, match="format"):
        kio.write(tmp_path / "x.unknown", {"a": np.zeros(2)}, format="pickle")
    with pytest.raises(UnsupportedError, match="format"):
        kio.write(io.BytesIO(), {"a": np.zeros(2)})
    assert os.listdir(tmp_path) == []


def test_reference_readers_agree(tmp_path: Path) -> None:
    given = arrays()
    kio.write(tmp_path / "x.npz", given)
    with np.load(tmp_path / "x.npz") as found:
        assert all(equal(found[name], array) for name, array in given.items())
    kio.write(tmp_path / "x.weights.h5", given)
    with h5py.File(tmp_path / "x.weights.h5") as found:
        assert all(equal(found[name][()], array) for name, array in given.items())
    reference = pytest.importorskip("safetensors.numpy")
    kio.write(tmp_path / "x.safetensors", given, metadata={"format": "np", "ü": "ä"})
    found = reference.load_file(tmp_path / "x.safetensors")
    assert all(equal(found[name], array) for name, array in given.items())
    with kio.open(tmp_path / "x.safetensors") as mine:
        assert mine.metadata == {"format": "np", "ü": "ä"}


@pytest.mark.parametrize("suffix", PLAIN)
def test_overwrite_and_progress(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    seen: list[tuple[int, int]] = []
    kio.write(path, arrays(), overwrite=False, progress=lambda *at: seen.append(at), **options_of(suffix))
    assert seen and seen[-1][0] == seen[-1][1] and seen == sorted(seen)
    with pytest.raises(FileExistsError):
        kio.write(path, arrays(), overwrite=False, **options_of(suffix))


# ---------------------------------------------------------------------------- shards


def sharded(path: Path, nbytes: int, seed: int = 0, **options: Any) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    given = {f"layers/dense_{i}/vars/{k}": rng.normal(size=50) for i in range(4) for k in range(2)}
    kio.write(path, given, max_shard_size=nbytes / 2**30, **options)
    return given


def test_shards(tmp_path: Path) -> None:
    path = tmp_path / "x.weights.json"
    given = sharded(path, 1000)
    assert sorted(os.listdir(tmp_path)) == ["x.weights.json", *(f"x_{i:05}.weights.h5" for i in range(4))]
    document = json.loads(path.read_text())
    assert document["metadata"] == {"total_size": 3200.0}
    assert document["weight_map"]["/layers/dense_1/vars"] == ["x_00001.weights.h5"]
    with kio.open(path) as found:
        assert all(equal(found[name], array) for name, array in given.items())


def test_a_save_over_shards_never_mixes(tmp_path: Path) -> None:
    path = tmp_path / "x.weights.json"
    (tmp_path / "y_00001.weights.h5").write_bytes(b"of another save")
    (tmp_path / "x_00001.weights.h5.bak").write_bytes(b"mine")
    for seed, nbytes in enumerate((1000, 500, 4000, 1000, 800)):
        given = sharded(path, nbytes, seed)
        with kio.open(path) as found:
            assert all(equal(found[name], array) for name, array in given.items())
            used = set(found.metadata["shards"])
        others = set(os.listdir(tmp_path)) - used
        # Keras 3 opens number 0 before it reads the map.
        assert others | {"x_00000.weights.h5"} == {
            "x.weights.json", "y_00001.weights.h5", "x_00001.weights.h5.bak", "x_00000.weights.h5",
        }  # fmt: skip
        if seed:
            with h5py.File(tmp_path / "x_00000.weights.h5") as placeholder:
                assert not list(placeholder)


def test_an_old_map_keeps_its_shards_until_the_new_one_is_there(tmp_path: Path) -> None:
    path = tmp_path / "x.weights.json"
    given = sharded(path, 1000)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    calls: list[int] = []

    def fail(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == 3:
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        sharded(path, 500, 1, progress=fail)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before
    with kio.open(path) as found:
        assert all(equal(found[name], array) for name, array in given.items())


def test_a_tensor_that_no_shard_holds(tmp_path: Path) -> None:
    with pytest.raises(MatchError, match="max_shard_size"):
        sharded(tmp_path / "x.weights.json", 100)
    for name in (".weights.json", "a b\\.weights.json"):
        with pytest.raises(UnsupportedError, match="name of a sharded save"):
            sharded(tmp_path / name, 1000)
    assert os.listdir(tmp_path) == []


# ---------------------------------------------------------------------------- convert


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for suffix in PLAIN:
        found[suffix] = tmp_path / "from" / f"x{suffix}"
        found[suffix].parent.mkdir(exist_ok=True)
        kio.write(found[suffix], arrays(), **options_of(suffix))
    return found


@pytest.mark.parametrize("b", PLAIN)
@pytest.mark.parametrize("a", PLAIN)
def test_convert(a: str, b: str, sources: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / f"y{b}"
    if b == ".keras" and a != ".keras":
        with pytest.raises(UnsupportedError, match="configuration"):
            kio.convert(sources[a], target)
        assert os.listdir(tmp_path) == ["from"]
        return
    result = kio.convert(sources[a], target)
    assert result.format == kio.open(target).format
    assert kio.diff(sources[a], target)
    if a == b == ".keras":
        with kio.open(sources[a]) as old, kio.open(target) as new:
            assert new.config == old.config and dict(new.metadata) == dict(old.metadata)


def test_convert_casts_and_renames(tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes")
    given = {"a/vars/0": np.linspace(-1, 1, 9, dtype=np.float32), "a/vars/1": np.arange(3), "b/vars/0": np.float64(2.5)}
    kio.write(tmp_path / "x.weights.h5", given)
    kio.convert(tmp_path / "x.weights.h5", tmp_path / "y.safetensors", dtype="bfloat16", rename={"a": "layers/dense"})
    with kio.open(tmp_path / "y.safetensors") as found:
        assert sorted(found) == ["b/vars/0", "layers/dense/vars/0", "layers/dense/vars/1"]
        assert equal(found["layers/dense/vars/0"], given["a/vars/0"].astype(numpy_dtype("bfloat16")))
        assert equal(found["layers/dense/vars/1"], given["a/vars/1"])
        assert found["b/vars/0"].dtype_name == "bfloat16"
    kio.convert(tmp_path / "y.safetensors", tmp_path / "z.weights.h5", dtype="float32")
    with kio.open(tmp_path / "z.weights.h5") as found:
        assert found.layout == "keras_paths" and found["b/vars/0"].dtype_name == "float32"
    with pytest.raises(UnsupportedError, match="two for"):
        kio.convert(tmp_path / "x.weights.h5", tmp_path / "w.npz", rename=lambda name: "same")
    with pytest.raises(UnsupportedError, match="floating-point"):
        kio.convert(tmp_path / "x.weights.h5", tmp_path / "w.npz", dtype="int8")
    assert not (tmp_path / "w.npz").exists()


def test_convert_keeps_names_and_compressed_chunks_are_decoded(tmp_path: Path) -> None:
    array = np.arange(10_000, dtype=np.float32).reshape(100, 100)
    with h5py.File(tmp_path / "x.weights.h5", "w") as file:
        file.create_dataset("layers/d/vars/0", data=array, chunks=(10, 100), compression="gzip", shuffle=True)
        file["layers/d/vars"].attrs["name"] = "my dense"
        file.create_group("layers/e/vars").attrs["name"] = "nothing"
    kio.convert(tmp_path / "x.weights.h5", tmp_path / "y.weights.h5")
    with h5py.File(tmp_path / "y.weights.h5") as file:
        assert np.array_equal(file["layers/d/vars/0"], array)
        assert file["layers/d/vars"].attrs["name"] == "my dense" and file["layers/e/vars"].attrs["name"] == "nothing"


def test_convert_refuses_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.keras"
    kio.write(path, {"layers/a/vars/0": np.arange(1000.0)}, config=CONFIG)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(np.float64(777).tobytes())] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(FormatError):
        kio.convert(path, tmp_path / "y.weights.h5")
    assert os.listdir(tmp_path) == ["x.keras"]
    kio.convert(path, tmp_path / "y.weights.h5", verify=False)


def test_convert_to_a_folder_and_in_place(tmp_path: Path) -> None:
    path = tmp_path / "x.keras"
    kio.write(path, arrays(), config=CONFIG)
    kio.convert(path, tmp_path / "folder", zipped=False)
    assert sorted(os.listdir(tmp_path / "folder")) == ["config.json", "metadata.json", "model.weights.h5"]
    assert kio.diff(path, tmp_path / "folder")
    kio.convert(path, path, dtype="float32")
    with kio.open(path) as found:
        assert found["layers/float64/vars/0"].dtype_name == "float32"
    with pytest.raises(KioError):
        kio.convert(path, tmp_path / "y.h5x")


@pytest.mark.parametrize("engine", ["h5py", "native"])
def test_engines_agree(engine: str, tmp_path: Path) -> None:
    kio.write(tmp_path / "x.keras", arrays(), config=CONFIG, engine=engine)
    with kio.open(tmp_path / "x.keras") as found:
        assert all(equal(found[name], array) for name, array in arrays().items())
    with pytest.raises(ValueError, match="engine"):
        kio.write(tmp_path / "y.keras", arrays(), config=CONFIG, engine="other")


@pytest.mark.timeout(20)
def test_time_is_linear_in_depth() -> None:
    folder = "/".join(["g"] * 1500)
    tensors = {f"{folder}/{i}": value_of("x", np.zeros(1)) for i in range(3000)}
    keras_weights.check(tensors, [])
    assert len(keras_weights.parents(tensors)) == 1500
    with pytest.raises(UnsupportedError, match="both"):
        keras_weights.check({**tensors, "g/g": value_of("x", np.zeros(1))}, [])
    with pytest.raises(UnsupportedError, match="both"):
        keras_weights.check({"a/b": value_of("x", np.zeros(1))}, ["a/b/c"])
