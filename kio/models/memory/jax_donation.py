"""The memory behind jax arrays that are about to be replaced.

A jax array never changes, so a new value wants new memory: the kernel has to clear
every page before a byte is read into it, and to take the old value's pages back.
Donation is jax's way out: a compiled function may be given an array for good, waits
until nothing that was started before still reads it, and returns its result in the
same memory, as an array that nobody has seen.  Bytes are read into that.

An array is donated only if the variable alone knows of it (``_lone``): whoever else
held it would find it deleted, as would another thread that takes hold of it in between;
a model that is being loaded is not to be used.  Donation costs the compilation of one
function for each shape, so small shapes are left alone.  Whether the result is where the
donated array was is looked at each time: older versions copy, as all do with memory that
NumPy looks at, too.

Checked against jax 0.4.34, 0.5.3, 0.7.2 and 0.10.2.  Benchmark: ``load_weights`` in benchmarks/cases.py.
"""

from __future__ import annotations

import sys
import warnings
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import jax
import numpy as np

from kio.models.memory import variables

# Bytes of all variables of one shape.  Compiling takes 10 ms, clearing this much takes 10.
_WORTH = 32 << 20
_LARGE = 1 << 20

# Arrays that may still be written to, by id.
_open: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
# Arrays over NumPy's memory, which jax copies when they are donated, by id.
_lent: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def memory(targets: Sequence[Any]) -> list[tuple[int, int] | None]:
    """Address and size of the value of each variable that may be written to; None for the others.

    Variables keep their values, in other arrays, until something is written.  ``close`` ends it.
    """
    found: list[tuple[int, int] | None] = [None] * len(targets)
    for indices in _candidates(targets):
        for index in indices:
            value = _donated(targets[index])
            if value is None:
                return found
            _open[id(value)] = value
            found[index] = (value.unsafe_buffer_pointer(), value.nbytes)
    return found


def close(targets: Sequence[Any]) -> None:
    """The values of these variables will not change any more."""
    for variable in targets:
        _open.pop(id(variables.raw_value(variable)), None)


def is_open(value: Any) -> bool:
    """Whether the array may yet change in place."""
    return _open.get(id(value)) is value


def lend(values: Sequence[Any]) -> None:
    """Remember arrays that share NumPy's memory: to donate them would copy them."""
    for value in values:
        if value.nbytes >= _LARGE:
            _lent[id(value)] = value


def _candidates(targets: Sequence[Any]) -> Iterator[list[int]]:
    """Indices of variables whose value may be donated, by shape and dtype, where it is worth it."""
    plain = variables.Plain()
    groups: dict[Any, list[int]] = {}
    for index, variable in enumerate(targets):
        if (
            not variables.is_deferred(variable)
            and variables.nbytes_of(variable) >= _LARGE
            and plain[type(variable)]
            and getattr(variable, "_layout", None) is None
            and _fits(variable)
        ):
            groups.setdefault((variables.shape_of(variable), variables.dtype_of(variable)), []).append(index)
    groups = {
        key: indices
        for key, indices in groups.items()
        if sum(variables.nbytes_of(targets[index]) for index in indices) >= _WORTH
    }
    if not groups or variables.is_distributed():
        return
    seen = _addresses()
    alone = _references(_Holder(jax.device_put(np.float32(0))))
    for indices in groups.values():
        yield [i for i in indices if _references(targets[i]) == alone and _lone(variables.raw_value(targets[i]), seen)]


def _fits(variable: Any) -> bool:
    """Whether the value lies in one piece of this machine's memory, as the variable was declared."""
    value = variables.raw_value(variable)
    return (
        isinstance(value, jax.Array)
        and not isinstance(value, jax.core.Tracer)
        and not value.is_deleted()
        and value.dtype.name == variables.dtype_of(variable)
        and tuple(value.shape) == variables.shape_of(variable)
        and [device.platform for device in value.devices()] == ["cpu"]
    )


class _Holder:
    """Something that holds a value as a variable does."""

    def __init__(self, value: Any) -> None:
        self._value = value


def _references(variable: Any) -> int:
    return sys.getrefcount(variables.raw_value(variable))


def _listed(values: Sequence[Any]) -> list[int]:
    """References to each member of a list."""
    return [sys.getrefcount(value) for value in values]


def _addresses() -> Counter[int]:
    """How many arrays that somebody holds begin at each address.

    An array may hold another, which stands for its only part; jax lists them, too.
    """
    values = [
        value
        for value in jax.live_arrays()
        if value.nbytes >= _LARGE and not value.is_deleted() and len(value.devices()) == 1
    ]
    parts = {id(part) for value in values for part in getattr(value, "_arrays", ()) if part is not value}
    (nobody,) = _listed([object()])
    return Counter(
        value.unsafe_buffer_pointer()
        for value, references in zip(values, _listed(values), strict=True)
        if references > nobody + (id(value) in parts)
    )


def _lone(value: Any, seen: Counter[int]) -> bool:
    """Whether no other array and no array of NumPy's shares the memory, as far as can be known."""
    return (
        getattr(value, "_npy_value", None) is None
        and _lent.get(id(value)) is not value
        and seen[value.unsafe_buffer_pointer()] == 1
    )


def _donated(variable: Any) -> Any:
    """Give the variable's value to jax and the variable an equal one; None if that is not in its place."""
    value = variables.raw_value(variable)
    address = value.unsafe_buffer_pointer()
    # What is replaced may well be a NaN, which jax is asked to refuse in results only.
    with warnings.catch_warnings(), jax.debug_nans(False), jax.debug_infs(False):
        warnings.simplefilter("ignore")  # where buffers cannot be donated, jax says so
        made = _step()(value)
    if not value.is_deleted():
        return None
    variables.set_value(variable, made)
    made.block_until_ready()
    return made if made.unsafe_buffer_pointer() == address else None


@cache
def _step() -> Any:
    return jax.jit(lambda value: value, donate_argnums=0, keep_unused=True)
