"""Variables of the jax backend; see ``jax_arrays`` and ``jax_donation`` for how."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from kio.contents import Value
from kio.dtypes import BY_NAME
from kio.models.memory import jax_arrays, jax_donation, variables
from kio.models.memory.backend import Array, Backend, assign_directly, split
from kio.models.memory.fetch import Fetch, general, here, later

# A stand-in up to this many elements is a concrete array: code may branch on it.
_CONCRETE = 64


def _put(targets: Sequence[Any], arrays: Sequence[Array]) -> None:
    with _quiet() if any(map(_is_narrowed, targets)) else contextlib.nullcontext():
        targets, arrays = split(targets, arrays, lambda _, array: jax_arrays.canonical(array.dtype))
    distributed = variables.is_distributed()
    layouts = list(map(variables.layout_of, targets))
    whole = jax_arrays.make([array for array, layout in zip(arrays, layouts, strict=True) if layout is None])
    jax_donation.lend(whole)
    values = iter(whole)
    for variable, array, layout in zip(targets, arrays, layouts, strict=True):
        value = next(values) if layout is None else jax_arrays.shard(array, layout)
        if not distributed and layout is None:
            variables.set_value(variable, value)
        elif variables.is_deferred(variable):
            variables.initialise_with(variable, value)
        else:
            variable._direct_assign(value)


def _is_narrowed(variable: Any) -> bool:
    name = variables.dtype_of(variable)
    row = BY_NAME.get(name)
    return row is not None and row.wide and not jax_arrays.canonical(np.dtype(name))


def _narrowed(targets: Sequence[Any]) -> str:
    lost = [variables.dtype_of(v) for v in targets if _is_narrowed(v)]
    if not lost:
        return ""
    return (
        f"{len(lost)} variables of {' and '.join(sorted(set(lost)))} have half of their bits on jax, whose 64-bit "
        "numbers are switched off: jax.config.update('jax_enable_x64', True) keeps them"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without jax's own warning for each variable: the user has had one for all, see ``narrowed``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Explicitly requested dtype", UserWarning)
        yield


def _snapshot(variable: Any) -> Any:
    value = variables.raw_value(variable)
    return value.copy() if jax_donation.is_open(value) else value


def _value(variable: Any, raw: Any) -> Value:
    if not hasattr(raw, "addressable_data"):
        return general(variable, raw)
    if not raw.is_fully_replicated:
        return later(variable, raw.dtype.name, raw.shape, Fetch(lambda: _gather(raw), fresh=True))
    if jax.default_backend() == "cpu":
        # A view keeps its buffer from being donated: see jax_arrays.views_last.
        return here(variable, np.asarray(raw), lasting=True)
    # Another array object over the same buffer: jax keeps the copy with the object it was asked of.
    begun: list[Any] = []

    def begin() -> None:
        begun.append(raw.addressable_data(0))
        begun[0].copy_to_host_async()

    def make() -> Array:
        array: Array = np.asarray(begun[0] if begun else raw.addressable_data(0))
        return array

    return later(variable, raw.dtype.name, raw.shape, Fetch(make, fresh=True, begin=begin))


def _gather(raw: Any) -> Array:
    """All shards of an array as one; each is fetched once, and the copy not kept."""
    if not raw.is_fully_addressable:
        return np.asarray(raw)  # which says what to do about it
    whole = np.empty(raw.shape, raw.dtype)
    for shard in raw.addressable_shards:
        if shard.replica_id == 0:
            whole[shard.index] = np.asarray(shard.data.addressable_data(0))
    return whole


def _stand_in(variable: Any, shape: tuple[int, ...], dtype: str, fill: Any) -> Any:
    if int(np.prod(shape, dtype=np.int64)) <= _CONCRETE:
        with jax.ensure_compile_time_eval():
            return jax.numpy.full(shape, fill, dtype)
    return jax.numpy.full(shape, fill, dtype)


def _outside_traces(run: Callable[[], None], variable: Any) -> None:
    initializer = variable._initializer
    run()
    if isinstance(variable._value, jax.core.Tracer):
        with jax.ensure_compile_time_eval():
            variable._value = None
            variable._initializer = initializer
            run()


BACKEND = Backend(
    destinations=jax_donation.memory,
    settled=jax_donation.close,
    put=_put,
    snapshot=_snapshot,
    restore=assign_directly,
    value=_value,
    lasting=jax_arrays.views_last,
    narrowed=_narrowed,
    defers=True,
    stand_in=_stand_in,
    outside_traces=_outside_traces,
)
