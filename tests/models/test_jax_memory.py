"""Values of jax variables are replaced in their own memory, and nobody else's array changes or dies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
if keras.backend.backend() != "jax":
    pytest.skip("jax", allow_module_level=True)

import jax  # noqa: E402

import kio  # noqa: E402
from kio.models import load  # noqa: E402
from kio.models.memory import backends, jax_donation, variables  # noqa: E402
from kio.raw.reading import Reading  # noqa: E402
from tests.models.test_backends import aligned  # noqa: E402

pytestmark = pytest.mark.keras

SHAPE = (64, 64)


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax_donation, "_LARGE", 64 * 64 * 4)
    monkeypatch.setattr(jax_donation, "_WORTH", 1)


def variable(fill: float = 1.0, **options: Any) -> Any:
    made = variables.Variable("zeros", shape=SHAPE, dtype="float32", **options)
    made.assign(keras.ops.full(SHAPE, fill))
    return made


def address(v: Any) -> int:
    return int(variables.raw_value(v).unsafe_buffer_pointer())


def model(seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    made = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64), keras.layers.Dense(64, use_bias=False)])
    made.compile("sgd", "mse")
    return made


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, list[Any]]:
    source = model(1)
    source.save_weights(tmp_path / "a.weights.h5")
    return tmp_path / "a.weights.h5", source.get_weights()


def test_a_load_writes_where_the_old_values_were(saved: tuple[Path, list[Any]]) -> None:
    path, expected = saved
    target = model(2)
    places = [address(v) for v in target.weights]
    kio.load_weights(target, path)
    for v, place, value in zip(target.weights, places, expected, strict=True):
        assert np.array_equal(v, value)
        # A bias is small: its value comes in new memory.
        assert (address(v) == place) == (v.shape == SHAPE)
    assert not any(map(jax_donation.is_open, (v.value for v in target.weights)))
    x = np.ones((4, 64), "f4")
    source = model(1)
    np.testing.assert_allclose(target(x), source(x), rtol=1e-6)
    # The values go on as any others: donated by a step of training, loaded once more.
    target.fit(x, x, verbose=0)
    kio.load_weights(target, path)
    assert all(np.array_equal(v, value) for v, value in zip(target.weights, expected, strict=True))


@pytest.mark.parametrize("hold", ["array", "part", "view", "viewed once", "second variable", "dlpack"])
def test_what_others_hold_stays(hold: str, saved: tuple[Path, list[Any]]) -> None:
    path, expected = saved
    target = model(2)
    v = target.weights[0]
    before = np.array(v.value)
    held: Any = None
    if hold == "array":
        held = v.value
    elif hold == "part":
        held = v.value.addressable_shards[0].data
    elif hold == "view":
        held = np.asarray(v.value)
    elif hold == "viewed once":
        np.asarray(v.value)
    elif hold == "second variable":
        held = variable()
        variables.set_value(held, variables.raw_value(v))
    else:
        held = np.from_dlpack(v.value)
    kio.load_weights(target, path)
    assert np.array_equal(v, expected[0])
    if held is not None:
        assert np.array_equal(np.asarray(getattr(held, "value", held)), before)


def test_arrays_over_numpys_memory_are_not_donated() -> None:
    v = variable()
    backends.put([v], [aligned(np.ones(SHAPE), "float32")])
    assert jax_donation.memory([v]) == [None]
    assert np.array_equal(v, np.ones(SHAPE))


def test_work_that_was_started_reads_the_old_value() -> None:
    @jax.jit
    def long(value: Any) -> Any:
        return jax.lax.fori_loop(0, 3000, lambda _, made: jax.numpy.tanh(made @ value), value)

    v = variable(0.01)
    expected = np.array(long(v.value))
    started = long(variables.raw_value(v))
    (place,) = backends.destinations([v])
    assert place is not None
    _fill(place, 7)
    backends.settled([v])
    assert np.array_equal(started, expected)
    assert np.asarray(v.value).tobytes() == b"\7" * (64 * 64 * 4)


def test_what_is_no_number_may_be_replaced(saved: tuple[Path, list[Any]]) -> None:
    """Whoever looks for NaNs goes back to an earlier file when there are some."""
    path, expected = saved
    target = model(2)
    target.weights[0].assign(keras.ops.full(SHAPE, np.nan))
    with jax.debug_nans(True):
        kio.load_weights(target, path)
    assert np.array_equal(target.weights[0], expected[0])


class Looking(keras.layers.Layer):  # type: ignore[misc]
    """Takes hold of another layer's value while it is loaded."""

    other: Any = None
    seen: Any = None

    def build(self, _: Any) -> None:
        self.scale = self.add_weight(name="scale")

    def call(self, x: Any) -> Any:
        return x * self.scale

    def load_own_variables(self, store: Any) -> None:
        self.scale.assign(store["0"])
        self.seen = self.other().kernel.value


def test_what_code_of_a_layer_takes_hold_of_stays(tmp_path: Path) -> None:
    def looked_at(seed: int) -> Any:
        keras.utils.set_random_seed(seed)
        made = keras.Sequential([keras.Input((64,)), Looking(), keras.layers.Dense(64)])
        made.layers[0].other = lambda: made.layers[1]
        return made

    source, target = looked_at(1), looked_at(2)
    source.save_weights(tmp_path / "a.weights.h5")
    before = np.array(target.layers[1].kernel.value)
    kio.load_weights(target, tmp_path / "a.weights.h5")
    assert np.array_equal(target.layers[1].kernel, np.asarray(source.layers[1].kernel))
    assert np.array_equal(target.layers[0].seen, before)


def test_a_snapshot_of_what_may_change_is_a_copy() -> None:
    v = variable(3.0)
    (place,) = backends.destinations([v])
    (kept,) = backends.snapshot([v])
    assert place is not None
    _fill(place, 0)
    backends.restore([v], [kept])
    assert np.array_equal(v, np.full(SHAPE, 3.0))


def test_one_variable_given_twice_is_given_memory_once() -> None:
    v = variable()
    places = backends.destinations([v, v])
    assert places[0] is not None
    assert places[1] in (None, places[0])
    assert np.array_equal(v, np.ones(SHAPE))


def test_where_nothing_may_be_donated() -> None:
    other = variables.Variable("zeros", shape=SHAPE, dtype="bfloat16")
    variables.set_value(other, keras.ops.zeros(SHAPE, "float32"))
    assert backends.destinations([other]) == [None]
    v = variable()
    kept = variables.raw_value(v)
    with jax.disable_jit():
        assert backends.destinations([v]) == [None]
    with keras.StatelessScope():
        assert backends.destinations([v]) == [None]
    assert variables.raw_value(v) is kept
    assert not kept.is_deleted()


def test_bytes_that_fail_their_checksum_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    kio.save_model(model(1), path)
    content = bytearray(path.read_bytes())
    whole = model(1).get_weights()[0].tobytes()
    content[content.index(whole) + 100] ^= 1
    path.write_bytes(content)
    target = model(2)
    before = target.get_weights()
    with pytest.raises(kio.ChecksumError):
        kio.load_weights(target, path)
    assert all(np.array_equal(a, b) for a, b in zip(target.get_weights(), before, strict=True))


def test_large_models_are_split(saved: tuple[Path, list[Any]]) -> None:
    """Arrays that wait, arrays in place and small ones in one load."""
    path, expected = saved
    target = model(2)
    held = target.weights[0].value
    with kio.open(path) as checkpoint:
        load.load_weights(target, checkpoint, reading=Reading(verify=True, budget=1))
    assert all(np.array_equal(v, value) for v, value in zip(target.weights, expected, strict=True))
    assert not held.is_deleted()


def _fill(place: tuple[int, int], byte: int) -> None:
    import ctypes

    ctypes.memset(place[0], byte, place[1])


TWICE = """
import sys
import numpy as np
import keras
import kio

model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64), keras.layers.Dense(64)])
model.compile("adam", "mse")
kio.save_model(model, sys.argv[1])
x = np.ones((4, 64), "f4")
for _ in range(3):
    found = kio.load_model(sys.argv[1])
    for _ in range(3):
        losses = [float(m.train_on_batch(x, x)) for m in (found, model)]
    assert np.isfinite(losses).all()
print("went on")
"""


@pytest.mark.slow
def test_training_with_functions_from_the_persistent_cache(tmp_path: Path) -> None:
    """Up to jax 0.5.3 such functions free donated memory that is not theirs."""
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", TWICE, str(tmp_path / "m.keras")],
            capture_output=True,
            text=True,
            env={**os.environ, **settings},
            cwd=Path(__file__).parents[2],
        )
        assert done.returncode == 0 and "went on" in done.stdout, done.stderr[-2000:]
