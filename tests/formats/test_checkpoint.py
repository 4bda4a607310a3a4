"""Checkpoint: what every format opens to."""

import numpy as np
import pytest

from kio.checkpoint import Assets, Checkpoint, nbytes_of
from kio.errors import FormatError
from kio.formats import open_checkpoint

AMOUNTS = {5: 5, "5": 5, "5B": 5, "1KB": 1000, "1kb": 1000, "256MB": 256_000_000, "256 MiB": 256 << 20}
AMOUNTS |= {"1.5GB": 1_500_000_000, "2GiB": 2 << 30, "1T": 10**12, " 3 K ": 3000}


@pytest.mark.parametrize("amount, nbytes", AMOUNTS.items())
def test_nbytes_of(amount, nbytes):
    assert nbytes_of(amount) == nbytes


@pytest.mark.parametrize("amount", ["", "MB", "-1MB", "1XB", "1e3", "1.MB", "1 2", "9" * 30])
def test_nbytes_of_nonsense(amount):
    with pytest.raises(ValueError, match="256MB"):
        nbytes_of(amount)


@pytest.fixture
def found(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.arange(12).reshape(3, 4), b=np.float32(2), odd=np.array([None]))
    with open_checkpoint(tmp_path / "x.npz") as found:
        yield found


def test_is_a_mapping(found):
    assert set(found) == {"a", "b", "odd"} == set(found.keys()) and len(found) == 3
    assert "a" in found and "x" not in found and found.get("x") is None
    assert found["a"].shape == (3, 4)
    assert found.nbytes == found["a"].nbytes + 4 + found["odd"].nbytes
    assert dict(found.items())["a"] is found["a"]
    with pytest.raises(KeyError):
        found["x"]
    assert "3 tensors" in repr(found) and "npz" in repr(found)
    assert found.attributes() == {} == dict(found.names_of) and not found.assets


def test_read(found):
    assert list(found.read(["b", "a"])) == ["b", "a"]
    np.testing.assert_array_equal(found.read(["a"])["a"], np.arange(12).reshape(3, 4))
    with pytest.raises(KeyError):
        found.read(["x"])
    with pytest.raises(FormatError, match="pickled"):
        found.read()
    found.verify()  # what kio does not read is not damaged
    assert list(found.unread) == ["odd"] and "pickled" in found.unread["odd"]


def test_stream(found):
    assert dict(found.stream(["a", "a", "b"]))["b"] == 2
    assert [name for name, _ in found.stream(["b", "a"], budget=1)] == ["a", "b"]  # the file's order
    with pytest.raises(ValueError, match="256MB"):
        next(found.stream(["a"], budget="lots"))


def test_read_shards(found):
    parts = found.read_shards({"a": (slice(1, 3), slice(0, 2)), "b": ()})
    np.testing.assert_array_equal(parts["a"], [[4, 5], [8, 9]])
    assert parts["b"] == 2


def test_two_names_of_one_tensor(found):
    twice = Checkpoint({"one": found["a"], "two": found["a"]}, format="x", layout="flat", name="x")
    assert {name: array.sum() for name, array in twice.stream()} == {"one": 66, "two": 66}
    assert {name: array.sum() for name, array in twice.read().items()} == {"one": 66, "two": 66}


def test_reading_after_close(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(3))
    found = open_checkpoint(tmp_path / "x.npz")
    array = found.read()["a"]
    found.close()
    found.close()
    assert array.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="closed"):
        found.read()


def test_no_assets():
    assets = Assets()
    assert list(assets) == [] and len(assets) == 0 and "x" not in assets
    for ask in (assets.__getitem__, assets.read, assets.nbytes_of):
        with pytest.raises(KeyError):
            ask("x")
