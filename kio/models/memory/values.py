"""The values of live variables as bytes to write, without a copy where there is memory to read.

+------------+------------------------------------+--------------------------------------+
| backend    | in the CPU's memory                | elsewhere, or not one piece of it    |
+============+====================================+======================================+
| torch      | the parameter's own memory         | copied when its turn comes           |
| jax        | the array's own buffer             | fetched when its turn comes, and     |
|            |                                    | not kept: jax would cache the copy   |
| tensorflow | the tensor's own buffer            | fetched when its turn comes          |
| numpy      | the array itself                   |                                      |
| other      | ``convert_to_numpy`` when its turn comes                                  |
+------------+------------------------------------+--------------------------------------+

What a backend stores wider than Keras declares it (uint32 on torch) is written as it is
stored, as stock Keras writes it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from keras.ops import convert_to_numpy

from kio import dtypes
from kio.contents import Value, little_endian
from kio.errors import MatchError, UnsupportedError
from kio.models.memory import variables
from kio.raw.transfer_out import Lazy

Array = npt.NDArray[Any]


def values(targets: Sequence[Any]) -> list[Value]:
    """What each variable holds now.

    Args:
        targets: Keras variables, with values.

    Returns:
        For each its bytes, or how to get them; alive as long as the value is.

    Raises:
        MatchError: for a variable without a value.  UnsupportedError: for one of a type that kio does not know.
    """
    row = ROWS.get(variables.backend_name(), _any)
    plain = variables.Plain()
    scoped = variables.in_stateless_scope()
    found = []
    for variable in targets:
        raw = variables.raw_value(variable)
        if raw is None:
            where = getattr(variable, "path", variable)
            raise MatchError(f"variable {where}: expected a value, found one that was never initialised")
        found.append(_any(variable, raw) if scoped or not plain[type(variable)] else row(variable, raw))
    return found


def _named(variable: Any, dtype_name: str) -> str:
    if dtype_name not in dtypes.BY_NAME:
        raise UnsupportedError(
            f"variable {getattr(variable, 'path', variable)}: expected a dtype that kio writes, found {dtype_name}"
        )
    return dtype_name


def _here(variable: Any, array: Array, lasting: bool = False) -> Value:
    try:
        dtype_name = dtypes.name_of(array.dtype)
    except KeyError:
        dtype_name = _named(variable, array.dtype.name)  # raises
    return Value(dtype_name, array.shape, little_endian(array), lasting=lasting)


class Fetch:
    """Makes the elements of a value that is not in the CPU's memory, or not one piece of it.

    Args:
        make: Returns them.
        fresh: They are in memory that is nobody else's.
        begin: Starts the transfer and does not wait for it; for those that are fetched
            together.
    """

    __slots__ = ("begin", "fresh", "make")

    def __init__(
        self, make: Callable[[], Array], *, fresh: bool = False, begin: Callable[[], object] | None = None
    ) -> None:
        self.make, self.fresh, self.begin = make, fresh, begin

    def __call__(self) -> Array:
        return little_endian(self.make())


def _later(variable: Any, dtype_name: str, shape: Sequence[int], fetch: Fetch) -> Value:
    """A value that is fetched when its turn comes."""
    shape = tuple(int(extent) for extent in shape)
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtypes.BY_NAME[_named(variable, dtype_name)].itemsize
    return Value(dtype_name, shape, Lazy(nbytes, fetch))


def _any(variable: Any, raw: Any) -> Value:
    fetch = Fetch(lambda: convert_to_numpy(variable))
    return _later(variable, variables.dtype_of(variable), variables.shape_of(variable), fetch)


def _jax(variable: Any, raw: Any) -> Value:
    if not hasattr(raw, "addressable_data"):
        return _any(variable, raw)
    if not raw.is_fully_replicated:
        return _later(variable, raw.dtype.name, raw.shape, Fetch(lambda: _jax_gather(raw), fresh=True))
    if sys.modules["jax"].default_backend() == "cpu":
        # A view keeps its buffer from being donated: see jax_arrays.views_last.
        return _here(variable, np.asarray(raw), lasting=True)
    # Another array object over the same buffer: jax keeps the copy with the object it was asked of.
    begun: list[Any] = []

    def begin() -> None:
        begun.append(raw.addressable_data(0))
        begun[0].copy_to_host_async()

    def make() -> Array:
        array: Array = np.asarray(begun[0] if begun else raw.addressable_data(0))
        return array

    return _later(variable, raw.dtype.name, raw.shape, Fetch(make, fresh=True, begin=begin))


def _jax_gather(raw: Any) -> Array:
    """All shards of an array as one; each is fetched once, and the copy not kept."""
    if not raw.is_fully_addressable:
        return np.asarray(raw)  # which says what to do about it
    whole = np.empty(raw.shape, raw.dtype)
    for shard in raw.addressable_shards:
        if shard.replica_id == 0:
            whole[shard.index] = np.asarray(shard.data.addressable_data(0))
    return whole


def _torch(variable: Any, raw: Any) -> Value:
    torch = sys.modules["torch"]
    if type(raw) not in (torch.nn.Parameter, torch.Tensor) or raw.layout is not torch.strided:
        return _any(variable, raw)
    value = raw.detach()
    dtype_name = str(value.dtype).removeprefix("torch.")
    if not (value.is_cpu and value.is_contiguous()):
        fetch = Fetch(lambda: _torch_array(value.cpu().contiguous(), dtype_name), fresh=True)
        return _later(variable, dtype_name, value.shape, fetch)
    return _here(variable, _torch_array(value, dtype_name))


def _torch_array(value: Any, dtype_name: str) -> Array:
    """An array over a CPU tensor's memory."""
    torch = sys.modules["torch"]
    row = dtypes.BY_NAME.get(dtype_name)
    if row is not None and row.numpy is None:
        # NumPy has no such type of its own, so torch cannot hand it over as one.
        bits = value.view(getattr(torch, row.bits))
        array: Array = bits.numpy().view(dtypes.numpy_dtype(dtype_name))
        return array
    plain: Array = value.numpy()
    return plain


def _tensorflow(variable: Any, raw: Any) -> Value:
    if type(raw).__name__ != "ResourceVariable" or "CPU" not in str(raw.device or "CPU"):
        return _any(variable, raw)
    tensor = raw.read_value()  # shares the buffer; an assignment replaces it, an update in place copies first
    share = getattr(tensor, "_numpy", None)
    array = share() if share is not None else tensor.numpy()
    return _here(variable, np.asarray(array))


def _numpy(variable: Any, raw: Any) -> Value:
    return _here(variable, np.asarray(raw))


ROWS: dict[str, Callable[[Any, Any], Value]] = {
    "jax": _jax,
    "torch": _torch,
    "tensorflow": _tensorflow,
    "numpy": _numpy,
}
