"""The value of one variable as bytes to write: memory to read of now, or what is fetched when its turn comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from keras.ops import convert_to_numpy

from kio import dtypes
from kio.contents import Value, little_endian
from kio.errors import UnsupportedError
from kio.models.memory import variables
from kio.raw.transfer_out import Lazy

Array = npt.NDArray[Any]


def _named(variable: Any, dtype_name: str) -> str:
    if dtype_name not in dtypes.BY_NAME:
        raise UnsupportedError(
            f"variable {getattr(variable, 'path', variable)}: expected a dtype that kio writes, found {dtype_name}"
        )
    return dtype_name


def here(variable: Any, array: Array, lasting: bool = False) -> Value:
    """A value whose elements are in the CPU's memory.

    Args:
        variable: For messages.
        array: The elements, which the variable owns.
        lasting: Nobody will ever write to them.

    Raises:
        UnsupportedError: for a type that kio does not know.
    """
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


def later(variable: Any, dtype_name: str, shape: Sequence[int], fetch: Fetch) -> Value:
    """A value that is fetched when its turn comes."""
    shape = tuple(int(extent) for extent in shape)
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtypes.BY_NAME[_named(variable, dtype_name)].itemsize
    return Value(dtype_name, shape, Lazy(nbytes, fetch))


def general(variable: Any, raw: Any) -> Value:
    """The way of any backend: Keras makes an array when the value's turn comes."""
    fetch = Fetch(lambda: convert_to_numpy(variable))
    return later(variable, variables.dtype_of(variable), variables.shape_of(variable), fetch)
