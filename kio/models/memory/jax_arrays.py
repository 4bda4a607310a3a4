"""NumPy arrays as JAX arrays, in a few microseconds each.

``jax.device_put`` and ``jax.numpy.asarray`` take 25 to 50 µs an array.  What both
call in the end, ``batched_device_put``, takes 4.  It is private: before it is
relied upon, its result is compared with that of ``jax.device_put`` (value, dtype,
sharding, not committed, not weakly typed), else the public function is used.
On the CPU both share the memory of an array that begins at a 64-byte boundary.
JAX never writes to such a buffer, also when it is donated.  But functions that up to jax 0.5.3 come
from the persistent cache of compiled ones (``jax_compilation_cache_dir``) take donated memory of
NumPy's for their own, and the process dies: where that cache is in use, these get copies.

Checked against jax 0.4.26, 0.5.3 and 0.10.2.  Benchmark: ``put`` in benchmarks/cases.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# The first release looked at in which functions from the persistent cache leave NumPy's memory alone.
_SAFE = (0, 6, 2)


@cache
def canonical(dtype: np.dtype[Any]) -> bool:
    """Whether JAX keeps this dtype: without x64 it narrows 64-bit types."""
    return bool(jax.dtypes.canonicalize_dtype(dtype) == dtype)


def make(arrays: Sequence[Array]) -> list[Any]:
    """Each array on JAX's default device, sharing memory where it can.

    The arrays must not be written to afterwards.
    """
    if not arrays:
        return []
    values = _shared(arrays)
    return [value.copy() for value in values] if _keeps_functions() else values


def shard(array: Array, layout: Any) -> Any:
    """The array in a layout, each part made on its own device; NumPy's own where jax has another word for layouts.

    No device holds more than its part, not even for a moment.
    """
    if not isinstance(layout, jax.sharding.Sharding):
        return array
    keep = _keeps_functions()
    return jax.make_array_from_callback(
        array.shape, layout, lambda index: np.array(array[index]) if keep else np.asarray(array[index])
    )


def _keeps_functions() -> bool:
    """Whether donated memory of NumPy's is not safe here: an older jax with its persistent cache."""
    return jax.__version_info__ < _SAFE and bool(jax.config.jax_compilation_cache_dir)


def _shared(arrays: Sequence[Array]) -> list[Any]:
    batched = _batched()
    if batched is None:
        return list(jax.device_put(list(arrays)))
    # One array the public way tells where the default device is now.
    model = jax.device_put(np.zeros((), np.float32))
    return batched(arrays, model.sharding, list(model.devices()))


@cache
def _batched() -> Callable[[Sequence[Array], Any, list[Any]], list[Any]] | None:
    try:
        from jax._src.core import ShapedArray
        from jax._src.lib import xla_client

        put = xla_client.batched_device_put
        avals: dict[tuple[tuple[int, ...], np.dtype[Any]], Any] = {}

        def batched(arrays: Sequence[Array], sharding: Any, devices: list[Any]) -> list[Any]:
            values = []
            for array in arrays:
                key = (array.shape, array.dtype)
                aval = avals.get(key)
                if aval is None:
                    if len(avals) > 10_000:
                        avals.clear()
                    aval = avals[key] = ShapedArray(*key)
                values.append(put(aval, sharding, [array], devices, False))
            return values

        for sample in (np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int32)):
            expected = jax.device_put(sample)
            found = batched([sample], expected.sharding, list(expected.devices()))[0]
            if not _same(found, expected):
                return None
    except Exception:  # any change of a private interface: use the public one
        return None
    return batched


def _same(found: Any, expected: Any) -> bool:
    return (
        type(found) is type(expected)
        and found.dtype == expected.dtype
        and found.shape == expected.shape
        and found.weak_type == expected.weak_type
        and found.sharding == expected.sharding
        and getattr(found, "_committed", None) == getattr(expected, "_committed", None)
        and bool(np.array_equal(np.asarray(found), np.asarray(expected)))
    )


@cache
def views_last() -> bool:
    """Whether NumPy's view of a jax array keeps its values when the array is donated.

    Keras donates the state of a model to each training step.  On the CPU, XLA then copies
    buffers that somebody outside of jax refers to, instead of reusing them; that is its
    habit and not its promise, so it is tried once.  Benchmark: ``save_in_background`` in
    benchmarks/cases.py.

    Cost: compiling one small function, once a process.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where buffers cannot be donated, jax says so
        # From an odd address jax copies, into a buffer of its own, which can be donated.
        odd = np.zeros(4 * 4097, np.uint8)[1:-3].view(np.float32)
        owned = jax.device_put(odd)
        view = np.asarray(owned)
        expected = view.copy()
        step = jax.jit(lambda a: a + 1, donate_argnums=0)
        step(step(owned)).block_until_ready()
    return bool(np.array_equal(view, expected))
