"""Hand filled memory to live Keras variables with at most one copy.  One row a backend.

+------------+------------------------------+-----------------------------------------+
| backend    | bytes are read into          | an array is handed over by              |
+============+==============================+=========================================+
| torch, CPU | the parameter's own memory   | copy into the parameter                 |
| torch, GPU | an array                     | copy to the device                      |
| jax, CPU   | large: the old value's memory| donation (see ``jax_memory``)           |
|            | else an array                | alias (64-byte aligned) or one copy     |
| jax, GPU   | an array                     | copy to the device                      |
| jax, laid  | an array                     | to each device its own part             |
| out        |                              |                                         |
| tensorflow | an array                     | alias (64-byte aligned) or one copy     |
| numpy      | an array                     | the array itself                        |
| other      | an array                     | ``Variable.assign``                     |
+------------+------------------------------+-----------------------------------------+

Arrays handed over belong to the variable from then on: the caller must not write
to them again.  Anything a row does not know for certain (another dtype, a layout
of ``keras.distribution``, a subclass of ``Variable``, a ``StatelessScope``) goes
through ``Variable.assign``, whose result every row reproduces.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from keras.ops import convert_to_numpy

from kio.models.memory import variables

Array = npt.NDArray[Any]
# Address and number of bytes of C-contiguous, writable, native-order memory.
Memory = tuple[int, int]

ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Backend:
    """What a backend can do better than ``Variable.assign``; see the functions below."""

    destinations: Callable[[Sequence[Any]], list[Memory | None]]
    put: Callable[[Sequence[Any], Sequence[Array]], None]
    settled: Callable[[Sequence[Any]], None]
    snapshot: Callable[[Any], Any]
    restore: Callable[[Any, Any], None]


def destinations(targets: Sequence[Any]) -> list[Memory | None]:
    """Where the bytes of each variable may be written directly.

    A deferred variable gets its memory here and is left with whatever it holds, so
    ask only for variables that will be filled, and call ``settled`` when they are.

    Args:
        targets: Keras variables.

    Returns:
        For each, address and size of the value as stored in the variable's dtype,
        or None where an array must be handed to ``put``.
    """
    if variables.in_stateless_scope():
        return [None] * len(targets)
    return _backend().destinations(targets)


def settled(targets: Sequence[Any]) -> None:
    """Tell the backend that the memory given by ``destinations`` was written."""
    _backend().settled(targets)


def put(targets: Sequence[Any], arrays: Sequence[Array]) -> None:
    """Make each array the value of its variable, as ``variable.assign(array)`` would.

    Args:
        targets: Keras variables, deferred or not.
        arrays: Owned, C-contiguous, native byte order; 64-byte aligned for no copy.

    Raises:
        ValueError: if an array's shape is not its variable's.
    """
    if variables.in_stateless_scope():
        _assign_each(targets, arrays)
    else:
        _backend().put(targets, arrays)


def snapshot(targets: Sequence[Any]) -> list[Any]:
    """What ``restore`` needs to undo any change to the variables: references where they are immutable."""
    keep = _backend().snapshot
    return [None if variables.is_deferred(v) else keep(v) for v in targets]


def restore(targets: Sequence[Any], snapshots: Sequence[Any]) -> None:
    """Give each variable back the value it had; one that had none keeps what it has."""
    undo = _backend().restore
    for variable, kept in zip(targets, snapshots, strict=True):
        if kept is not None:
            undo(variable, kept)


def aligned_zeros(shape: Sequence[int], dtype: str) -> Array:
    """Zeros at a 64-byte boundary; large ones are pages that nothing has touched."""
    from kio.dtypes import numpy_dtype

    kind = numpy_dtype(dtype)
    nbytes = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    block = np.zeros(nbytes + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + nbytes].view(kind).reshape(tuple(shape))


def _backend() -> Backend:
    return BACKENDS.get(variables.backend_name(), _ANY)


# ------------------------------------------------------------------ any backend


def _assign_each(targets: Sequence[Any], arrays: Sequence[Array]) -> None:
    for variable, array in zip(targets, arrays, strict=True):
        variable.assign(array)


def _nowhere(targets: Sequence[Any]) -> list[Memory | None]:
    return [None] * len(targets)


def _nothing(targets: Sequence[Any]) -> None:
    pass


class _Names(dict["np.dtype[Any]", str]):
    """Names of dtypes in native byte order; NumPy works them out anew each time."""

    def __missing__(self, dtype: np.dtype[Any]) -> str:
        name = self[dtype] = dtype.name if dtype.isnative else ""
        return name


def _split(
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


# ------------------------------------------------------------------ jax

_WIDE = frozenset({"float64", "int64", "uint64", "complex128"})


def _jax_destinations(targets: Sequence[Any]) -> list[Memory | None]:
    from kio.models.memory.jax_donation import memory

    return memory(targets)


def _jax_settled(targets: Sequence[Any]) -> None:
    from kio.models.memory.jax_donation import close

    close(targets)


def _jax_put(targets: Sequence[Any], arrays: Sequence[Array]) -> None:
    from kio.models.memory.jax_arrays import canonical, make, shard
    from kio.models.memory.jax_donation import lend

    with _quiet() if any(map(_is_narrowed, targets)) else contextlib.nullcontext():
        targets, arrays = _split(targets, arrays, lambda _, array: canonical(array.dtype))
    distributed = variables.is_distributed()
    layouts = list(map(variables.layout_of, targets))
    whole = make([array for array, layout in zip(arrays, layouts, strict=True) if layout is None])
    lend(whole)
    values = iter(whole)
    for variable, array, layout in zip(targets, arrays, layouts, strict=True):
        value = next(values) if layout is None else shard(array, layout)
        if not distributed and layout is None:
            variables.set_value(variable, value)
        elif variables.is_deferred(variable):
            variables.initialise_with(variable, value)
        else:
            variable._direct_assign(value)


def _is_narrowed(variable: Any) -> bool:
    from kio.models.memory.jax_arrays import canonical

    name = variables.dtype_of(variable)
    return name in _WIDE and not canonical(np.dtype(name))


def narrowed(targets: Sequence[Any]) -> str:
    """What the backend cannot keep of these variables' values, for people; empty if it keeps all."""
    if variables.backend_name() != "jax":
        return ""
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


def _jax_snapshot(variable: Any) -> Any:
    from kio.models.memory.jax_donation import is_open

    value = variables.raw_value(variable)
    return value.copy() if is_open(value) else value


def _jax_restore(variable: Any, value: Any) -> None:
    variable._direct_assign(value)


# ------------------------------------------------------------------ torch


def _torch_destinations(targets: Sequence[Any]) -> list[Memory | None]:
    from kio.models.memory.torch_memory import Places

    places = Places()
    return [places.memory(variable) for variable in targets]


def _torch_settled(targets: Sequence[Any]) -> None:
    from kio.models.memory.torch_memory import bump

    bump([variables.raw_value(v) for v in targets])


def _torch_put(targets: Sequence[Any], arrays: Sequence[Array]) -> None:
    from kio.models.memory.torch_memory import Places, copy

    places = Places()
    targets, arrays = _split(targets, arrays, lambda v, array: array.flags.writeable and places.fits(v))
    for variable, array in zip(targets, arrays, strict=True):
        copy(variables.raw_value(variable), array)


def _torch_snapshot(variable: Any) -> Any:
    return variables.raw_value(variable).detach().clone()


def _torch_restore(variable: Any, value: Any) -> None:
    variable._direct_assign(value)


# ------------------------------------------------------------------ tensorflow


def tensorflow_tensor(array: Array) -> Any:
    """An eager tensor that shares an aligned array's memory, or else copies it once."""
    from kio.models.memory.tf_tensors import tensor

    return tensor(array)


def _tensorflow_put(targets: Sequence[Any], arrays: Sequence[Array]) -> None:
    from kio.models.memory.tf_tensors import replace, writable

    targets, arrays = _split(targets, arrays, lambda variable, _: writable(variable))
    for variable, array in zip(targets, arrays, strict=True):
        value = tensorflow_tensor(array)
        if variables.is_deferred(variable):
            variables.initialise_with(variable, value)
        else:
            variables.settle(variable)
            replace(variables.raw_value(variable), value)
            variable._initializer = None  # of a variable that was made for its handle


def _tensorflow_snapshot(variable: Any) -> Any:
    # Shares the buffer; a later assignment replaces it, an update in place copies it first.
    return variables.raw_value(variable).read_value()


def _tensorflow_restore(variable: Any, value: Any) -> None:
    variables.raw_value(variable).assign(value)


# ------------------------------------------------------------------ numpy


def _numpy_put(targets: Sequence[Any], arrays: Sequence[Array]) -> None:
    targets, arrays = _split(targets, arrays, lambda _, array: array.flags.writeable)
    for variable, array in zip(targets, arrays, strict=True):
        variables.set_value(variable, array)


def _numpy_snapshot(variable: Any) -> Any:
    return variables.raw_value(variable).copy()


def _any_snapshot(variable: Any) -> Any:
    return np.array(convert_to_numpy(variable))


def _any_restore(variable: Any, value: Any) -> None:
    variable.assign(value)


_ANY = Backend(_nowhere, _assign_each, _nothing, _any_snapshot, _any_restore)

BACKENDS: dict[str, Backend] = {
    "jax": Backend(_jax_destinations, _jax_put, _jax_settled, _jax_snapshot, _jax_restore),
    "torch": Backend(_torch_destinations, _torch_put, _torch_settled, _torch_snapshot, _torch_restore),
    "tensorflow": Backend(_nowhere, _tensorflow_put, _nothing, _tensorflow_snapshot, _tensorflow_restore),
    "numpy": Backend(_nowhere, _numpy_put, _nothing, _numpy_snapshot, _any_restore),
}
