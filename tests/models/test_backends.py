"""Filled memory becomes the value of a variable, exactly as ``assign`` would have made it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.dtypes import numpy_dtype  # noqa: E402
from kio.models.builder.initialisers import deferred_initialisation  # noqa: E402
from kio.models.memory import backends, variables  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("default")]

BACKEND = keras.backend.backend()
DTYPES = (
    "float32", "float16", "bfloat16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32",
    "int64", "bool", "float8_e4m3fn", "float8_e5m2",
)  # fmt: skip
SHAPES = ((), (3,), (0, 4), (5, 7), (2, 3, 4))


def aligned(values: Any, dtype: str, offset: int = 0) -> Any:
    """An owned array that begins ``offset`` bytes after a 64-byte boundary."""
    values = np.asarray(values).astype(numpy_dtype(dtype))
    block = np.zeros(values.nbytes + 128, np.uint8)
    start = -block.ctypes.data % 64 + offset
    array = block[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    array[...] = values
    return array


def sample(shape: tuple[int, ...], dtype: str, offset: int = 0) -> Any:
    return aligned(np.random.default_rng(1).integers(0, 2 if dtype == "bool" else 90, shape), dtype, offset)


def variable(shape: tuple[int, ...], dtype: str = "float32", **options: Any) -> Any:
    options.setdefault("trainable", "float" in dtype and "8" not in dtype)
    try:
        return variables.Variable("zeros", shape=shape, dtype=dtype, **options)
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        pytest.skip(f"{BACKEND} has no {dtype}: {str(error)[:80]}")


def read(v: Any) -> Any:
    if BACKEND == "torch" and variables.dtype_of(v).startswith("float8"):
        # torch cannot hand these to NumPy.
        import torch

        return v._value.detach().view(torch.uint8).numpy().view(numpy_dtype(variables.dtype_of(v)))
    return keras.ops.convert_to_numpy(v.value)


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("offset", [0, 8])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stored", [None, "float32", "float64", "int32"])
def test_put_is_assign(dtype: str, stored: str | None, offset: int) -> None:
    for shape in SHAPES:
        array = sample(shape, stored or dtype, offset)
        expected, found = variable(shape, dtype), variable(shape, dtype)
        before = variables.raw_value(found)
        try:
            expected.assign(array)
        except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
            if array.dtype.name == dtype:  # kio moves bytes that stock cannot convert
                backends.put([found], [array])
                assert same(read(found), array)
            else:
                with pytest.raises(type(error)):
                    backends.put([found], [array])
            continue
        backends.put([found], [array])
        assert same(read(found), read(expected))
        value, wanted = variables.raw_value(found), variables.raw_value(expected)
        assert type(value) is type(wanted) and str(value.dtype) == str(wanted.dtype)
        if BACKEND in ("torch", "tensorflow"):
            assert value is before
        if BACKEND == "jax":
            assert value.weak_type == wanted.weak_type and value.sharding == wanted.sharding


@pytest.mark.parametrize("dtype", DTYPES)
def test_destinations(dtype: str) -> None:
    found = [variable(shape, dtype) for shape in SHAPES]
    places = backends.destinations(found)
    for v, place in zip(found, places, strict=True):
        if place is None:
            continue
        array = sample(variables.shape_of(v), dtype)
        assert place[1] == array.nbytes
        if array.nbytes:
            _write(place[0], array.tobytes())
        backends.settled([v])
        assert same(read(v), array)
    # torch stores the wider unsigned integers as something else.
    direct = BACKEND == "torch" and dtype not in ("uint16", "uint32")
    assert [place is not None for place in places] == [direct] * len(found)


def _write(address: int, payload: bytes) -> None:
    import ctypes

    ctypes.memmove(address, payload, len(payload))


def test_wrong_shape_is_refused() -> None:
    v = variable((3, 4))
    with pytest.raises(ValueError):
        backends.put([v], [sample((4, 3), "float32")])
    assert not read(v).any()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "uint32"])
def test_deferred_variables_take_values(dtype: str) -> None:
    arrays = [sample(shape, dtype) for shape in SHAPES]
    with deferred_initialisation() as deferral:
        found = [variable(shape, dtype) for shape in SHAPES]
        assert len(deferral.pending) == len(found)
        places = backends.destinations(found)
        rest = [i for i, place in enumerate(places) if place is None]
        for place, array in zip(places, arrays, strict=True):
            if place is not None and array.nbytes:
                _write(place[0], array.tobytes())
        backends.put([found[i] for i in rest], [arrays[i] for i in rest])
        backends.settled([found[i] for i in range(len(found)) if i not in rest])
        assert not deferral.pending
    for v, array in zip(found, arrays, strict=True):
        fresh = variable(array.shape, dtype)
        fresh.assign(array)
        assert same(read(v), read(fresh))
        assert type(variables.raw_value(v)) is type(variables.raw_value(fresh))
        assert type(v) is variables.Variable
        # and is an ordinary variable from now on
        v.assign(np.zeros(array.shape, "float32"))
        assert not read(v).astype("float32").any()
        if BACKEND == "torch":
            assert variables.raw_value(v).requires_grad == v.trainable


def test_assign_to_deferred_variable() -> None:
    with deferred_initialisation() as deferral:
        v = variable((4,), "float32")
        given = keras.ops.convert_to_tensor(np.arange(4, dtype="float32"))
        v.assign(given)
        assert not deferral.pending
    v.assign_add(keras.ops.ones((4,)))
    assert read(v).tolist() == [1, 2, 3, 4]
    assert keras.ops.convert_to_numpy(given).tolist() == [0, 1, 2, 3]


def test_snapshot_and_restore() -> None:
    found = [variable(shape, dtype) for shape in SHAPES for dtype in ("float32", "bfloat16", "int32")]
    for v in found:
        v.assign(sample(variables.shape_of(v), "float32"))
    expected = [read(v) for v in found]
    kept = backends.snapshot(found)
    for v in found:
        v.assign(keras.ops.zeros(v.shape, dtype=v.dtype))
        backends.put([v], [sample(variables.shape_of(v), variables.dtype_of(v)) * 0])
    backends.restore(found, kept)
    for v, array in zip(found, expected, strict=True):
        assert same(read(v), array)


def test_stateless_scope_keeps_the_variable() -> None:
    v = variable((3,))
    with keras.StatelessScope() as scope:
        assert backends.destinations([v]) == [None]
        backends.put([v], [sample((3,), "float32")])
        assert scope.get_current_value(v) is not None
    assert not read(v).any()


def test_subclass_is_assigned() -> None:
    seen = []

    class Watched(variables.Variable):  # type: ignore[misc]
        def assign(self, value: Any) -> Any:
            seen.append(1)
            return super().assign(value)

    v = Watched("zeros", shape=(3,), dtype="float32")
    assert backends.destinations([v]) == [None]
    backends.put([v], [sample((3,), "float32")])
    assert seen == [1] and read(v).any()


@pytest.mark.skipif(BACKEND != "jax", reason="jax")
class TestJax:
    def test_aligned_array_is_not_copied(self) -> None:
        for offset in (0, 8):
            array = sample((300, 300), "float32", offset)
            v = variable(array.shape)
            backends.put([v], [array])
            shared = v._value.unsafe_buffer_pointer() == array.ctypes.data
            assert shared == (offset == 0)

    def test_donation_leaves_neighbours_alone(self) -> None:
        import jax

        block = aligned(np.arange(4096), "float32")
        arrays = [block[:1024], block[1024:2048]]
        found = [variable((1024,)) for _ in arrays]
        backends.put(found, arrays)
        step = jax.jit(lambda a, b: (a + 1, b * 2), donate_argnums=(0, 1))
        step(*(v._value for v in found))
        assert np.array_equal(block, np.arange(4096))

    def test_follows_the_default_device(self) -> None:
        # More than one CPU device needs a flag set before JAX starts.
        code = (
            "import jax, numpy as np, keras\n"
            "from kio.models.memory import backends, variables\n"
            "from keras import distribution as d\n"
            "devices = jax.devices()\n"
            "v = variables.Variable('zeros', shape=(8, 4), dtype='float32')\n"
            "with jax.default_device(devices[2]):\n"
            "    backends.put([v], [np.ones((8, 4), 'float32')])\n"
            "assert v._value.devices() == {devices[2]}, v._value.devices()\n"
            "mesh = d.DeviceMesh((4,), ('model',), [f'cpu:{i}' for i in range(4)])\n"
            "layouts = d.LayoutMap(mesh); layouts['.*kernel'] = ('model', None)\n"
            "import inspect\n"
            "mesh_first = 'device_mesh' in inspect.signature(d.ModelParallel).parameters\n"
            "args = (mesh, layouts) if mesh_first else ()\n"
            "d.set_distribution(d.ModelParallel(*args, **({} if args else {'layout_map': layouts})))\n"
            "from kio.models.builder.initialisers import deferred_initialisation\n"
            "for deferred in (False, True):\n"
            "    with deferred_initialisation() as deferral:\n"
            "        v = variables.Variable('zeros', shape=(8, 4), dtype='float32', name='kernel')\n"
            "        if not deferred: deferral.finish()\n"
            "        backends.put([v], [np.ones((8, 4), 'float32')])\n"
            "    assert len(v._value.sharding.device_set) == 4, v._value.sharding\n"
            "    assert v._value.addressable_shards[0].data.shape == (2, 4)\n"
            "    assert np.asarray(v._value).all()\n"
        )
        _run(code, XLA_FLAGS="--xla_force_host_platform_device_count=4")


@pytest.mark.skipif(BACKEND != "torch", reason="torch")
class TestTorch:
    def test_bytes_are_read_into_the_parameter(self) -> None:
        v = variable((5, 5))
        parameter, version = v._value, v._value._version
        assert backends.destinations([v]) == [(parameter.data_ptr(), 100)]
        backends.settled([v])
        assert v._value is parameter and parameter._version > version

    def test_what_is_not_plain_memory(self) -> None:
        import torch

        transposed, meta, double = variable((5, 4)), variable((3,)), variable((3,))
        transposed._value = torch.nn.Parameter(torch.zeros(4, 5).t())
        meta._value = torch.nn.Parameter(torch.zeros(3, device="meta"))
        double._value = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
        assert backends.destinations([transposed, meta, double]) == [None] * 3
        array = sample((5, 4), "float32")
        backends.put([transposed], [array])
        assert same(read(transposed), array)

    def test_stale_gradient_is_noticed(self) -> None:
        import torch

        v = variable((3,))
        loss = (v._value * v._value).sum()
        backends.destinations([v])
        backends.settled([v])
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
        assert isinstance(v._value, torch.nn.Parameter)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tensorflow")
class TestTensorFlow:
    def test_array_is_never_written_to(self) -> None:
        array = aligned(np.ones(1000), "float32")
        v = variable((1000,))
        backends.put([v], [array])
        v._value.assign_add(np.ones(1000, "float32"))
        assert array.tolist() == [1] * 1000 and read(v).tolist() == [2] * 1000

    def test_under_a_strategy_values_are_assigned(self) -> None:
        import tensorflow as tf

        strategy = tf.distribute.MirroredStrategy(["cpu:0"])
        with strategy.scope():
            v = variable((4,))
            backends.put([v], [sample((4,), "float32")])
        assert same(read(v), sample((4,), "float32"))

    def test_optimizer_sees_the_variables(self) -> None:
        with deferred_initialisation() as deferral:
            v = variable((2000,))
            optimizer = keras.optimizers.Adam()
            optimizer.build([v])
            arrays = [sample((2000,), "float32") for _ in deferral.pending]
            backends.put(deferral.pending, arrays)
            assert not deferral.pending
        optimizer.apply([keras.ops.ones((2000,))])
        assert same(arrays[0], sample((2000,), "float32"))


@pytest.mark.skipif(BACKEND != "numpy", reason="numpy")
def test_numpy_array_becomes_the_value() -> None:
    array = sample((5, 5), "float32")
    v = variable((5, 5))
    backends.put([v], [array])
    assert v._value is array
    array = sample((5, 5), "float32")
    array.flags.writeable = False
    backends.put([v], [array])
    assert v._value is not array and v._value.flags.writeable


def test_memory_is_released() -> None:
    v = variable((1 << 20,))
    array = sample((1 << 20,), "float32")
    backends.put([v], [array])
    released = []
    if BACKEND in ("jax", "tensorflow", "torch"):
        import weakref

        weakref.finalize(array.base, released.append, 1)
        del array
        v.assign(np.zeros(1 << 20, "float32"))
        gc.collect()
        assert released == [1]


def _run(code: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_jax_narrows_is_said_before_anything_changes(tmp_path: Path) -> None:
    if keras.backend.backend() != "jax":
        pytest.skip("the others keep 64 bits")
    import jax

    if jax.config.jax_enable_x64:
        pytest.skip("jax keeps 64 bits")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = keras.Sequential([keras.Input((3,)), *[keras.layers.Dense(3, dtype="float64") for _ in range(3)]])
    model.save_weights(tmp_path / "w.weights.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for variable in model.weights:
            variable.assign(np.full(variable.shape, 7.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match=r"^6 variables of float64 have half of their bits on jax"):
            kio.load_weights(model, tmp_path / "w.weights.h5")
    assert all((keras.ops.convert_to_numpy(v) == 7).all() for v in model.weights)
    with pytest.warns(UserWarning, match="jax_enable_x64") as said:
        kio.load_weights(model, tmp_path / "w.weights.h5")
    assert len(said) == 1
    assert not any((keras.ops.convert_to_numpy(v) == 7).any() for v in model.weights)


# ------------------------------------------------------------------- the table


def test_each_module_of_a_backend_is_listed() -> None:
    folder = Path(backends.__file__).parent
    listed = {f"kio.models.memory.{path.stem}" for path in folder.glob("on_*.py")}
    assert set(backends.BACKENDS.values()) == listed
    assert all(module.endswith(f".on_{name}") for name, module in backends.BACKENDS.items())


def test_the_row_of_this_backend_says_what_it_can() -> None:
    row = backends.current()
    assert row is backends.named(BACKEND) and row.defers and row.stand_in is not None
    assert (row.hollow is not None) == (BACKEND == "tensorflow")
    assert row.registers == (BACKEND == "torch")
    assert bool(row.random_states()) == (BACKEND == "torch")


def test_a_backend_without_a_row_goes_the_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a save and a load ask of a backend, by Keras's public functions alone."""
    from kio.models.memory.backend import Backend
    from kio.models.memory.values import values

    monkeypatch.setattr(backends, "current", lambda: backends.named("another"))
    assert backends.named("another") == Backend()
    array = sample((3, 2), "float32")
    found = variable((3, 2))
    assert backends.destinations([found]) == [None]
    kept = backends.snapshot([found])
    backends.put([found], [array])
    assert same(read(found), array)
    assert same(values([found])[0].array(), array)
    backends.restore([found], kept)
    assert not read(found).any()
    assert backends.narrowed([found]) == ""
    with deferred_initialisation():
        made = keras.layers.Dense(2)
        made.build((None, 3))
        assert not variables.is_deferred(made.kernel)
