"""Backend: what kio does better on one backend than through Keras's public functions.

Each backend is a module, ``on_<name>.py``, with a ``BACKEND``; what it leaves out is done in the general
way, which any backend has.  ``backends.py`` lists the modules and calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from keras.ops import convert_to_numpy

from kio.contents import Value
from kio.dtypes import numpy_dtype
from kio.models.memory import fetch, variables

Array = npt.NDArray[Any]
# Address and number of bytes of C-contiguous, writable, native-order memory.
Memory = tuple[int, int]

ALIGNMENT = 64


def nowhere(targets: Sequence[Any]) -> list[Memory | None]:
    return [None] * len(targets)


def assign_each(targets: Sequence[Any], arrays: Sequence[Array]) -> None:
    for variable, array in zip(targets, arrays, strict=True):
        variable.assign(array)


def copied(variable: Any) -> Any:
    return np.array(convert_to_numpy(variable))


def assign(variable: Any, value: Any) -> None:
    variable.assign(value)


def assign_directly(variable: Any, value: Any) -> None:
    variable._direct_assign(value)


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend.  Every field has a default that is right everywhere, and slower or more careful.

    Attributes:
        destinations: Of variables: the memory of each that bytes may be read into, None where there is none.
        settled: Told when that memory was written.
        put: Arrays become the values of variables, as ``Variable.assign`` would make them; the arrays are
            handed over.
        snapshot, restore: What undoes any change to a variable, and undoing it.
        value: Of a variable and its raw value: the bytes to write.  See ``fetch``.
        lasting: Whether bytes that ``value`` calls lasting stay as they are whatever training does.
        narrowed: What it cannot keep of these variables' values, for people.

        defers: Variables survive being without a value through every way of building a model, so that
            initialisers may wait.  Needs ``stand_in``.
        registers: Layers register the values of their variables when they are built.
        infers: Whether it is inferring shapes right now, by a sign of its own.
        stand_in: Of a variable, its shape, dtype and a number: what it shows while Keras infers shapes.
        hollow: Of a variable: an identity without numbers, for who only wants that; None where a value has none.
        owned: A value as the first one of a variable, sharing no memory with the caller's.
        outside_traces: Run an initialiser of a variable so that it makes a value even while a function is traced.

        random_states, set_random_states: States of its own generators of random numbers.
    """

    destinations: Callable[[Sequence[Any]], list[Memory | None]] = nowhere
    settled: Callable[[Sequence[Any]], None] = lambda targets: None
    put: Callable[[Sequence[Any], Sequence[Array]], None] = assign_each
    snapshot: Callable[[Any], Any] = copied
    restore: Callable[[Any, Any], None] = assign
    value: Callable[[Any, Any], Value] = fetch.general
    lasting: Callable[[], bool] = lambda: True
    narrowed: Callable[[Sequence[Any]], str] = lambda targets: ""

    defers: bool = False
    registers: bool = False
    infers: Callable[[], bool] = lambda: False
    stand_in: Callable[[Any, tuple[int, ...], str, Any], Any] | None = None
    hollow: Callable[[Any], Any] | None = None
    owned: Callable[[Any], Any] = lambda value: value
    outside_traces: Callable[[Callable[[], None], Any], None] = lambda run, variable: run()

    random_states: Callable[[], list[Array]] = list
    set_random_states: Callable[[list[Array]], None] = lambda states: None


def aligned_zeros(shape: Sequence[int], dtype: str) -> Array:
    """Zeros at a 64-byte boundary; large ones are pages that nothing has touched."""
    kind = numpy_dtype(dtype)
    nbytes = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    block = np.zeros(nbytes + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + nbytes].view(kind).reshape(tuple(shape))


class _Names(dict["np.dtype[Any]", str]):
    """Names of dtypes in native byte order; NumPy works them out anew each time."""

    def __missing__(self, dtype: np.dtype[Any]) -> str:
        name = self[dtype] = dtype.name if dtype.isnative else ""
        return name


def split(
    targets: Sequence[Any], arrays: Sequence[Array], native: Callable[[Any, Array], bool]
) -> tuple[list[Any], list[Array]]:
    """Assign what is not plain; give back the pairs whose array is the value bit for bit."""
    plain, names = variables.Plain(), _Names()
    direct_targets, direct_arrays = [], []
    for variable, array in zip(targets, arrays, strict=True):
        if (
            plain[type(variable)]
            and names[array.dtype] == variables.dtype_of(variable)
            and array.shape == variables.shape_of(variable)
            and array.flags.c_contiguous
            and native(variable, array)
        ):
            direct_targets.append(variable)
            direct_arrays.append(array)
        else:
            variable.assign(array)
    return direct_targets, direct_arrays
