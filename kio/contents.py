"""Contents: what is to be written, before any format has a say.

The counterpart of ``Checkpoint``: named tensors, the groups that hold them, configuration,
metadata and assets.  Everything is known and checked in here before a sink is opened; the
bytes of a tensor may still be on a device or in another file.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kio import dtypes
from kio.errors import MissingDependencyError, UnsupportedError, shown
from kio.raw import transfer
from kio.raw.source import Source
from kio.raw.tensor import Tensor
from kio.raw.transfer_out import Lazy

Array = npt.NDArray[Any]


_LITTLE = sys.byteorder == "little"
# How a configuration names what kio has registered.
_OURS = re.compile(r'"kio>(\w+)"')


class Value:
    """One tensor to write.

    Args:
        dtype_name: A row of ``kio.dtypes``.
        shape: In elements.
        data: The elements, C-contiguous and little-endian: an array, a ``Lazy`` that makes
            one, or a ``Tensor`` of a file, whose stored bytes may be copied as they are.
        lasting: Nobody will write to the data, however long the save takes.
    """

    __slots__ = ("data", "dtype_name", "lasting", "shape")

    def __init__(
        self, dtype_name: str, shape: tuple[int, ...], data: Array | Lazy | Tensor, *, lasting: bool = False
    ) -> None:
        self.lasting = lasting
        self.dtype_name = dtype_name
        self.shape = shape
        self.data = data

    @property
    def nelems(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of the elements in bytes."""
        return self.nelems * dtypes.BY_NAME[self.dtype_name].itemsize

    @property
    def piece(self) -> Any:
        """The bytes as ``transfer_out.write`` takes them; a plain stored run is copied as it is."""
        data = self.data
        if not isinstance(data, Tensor):
            return data
        if data.plain and data.dtype == dtypes.numpy_dtype(self.dtype_name) and data.nelems:
            return data.extents[0]
        return Lazy(self.nbytes, lambda: little_endian(transfer.read([data])[0]))

    def array(self) -> Array:
        """The elements in memory, in the shape of the tensor; of a file they are read."""
        data = self.data
        if isinstance(data, Tensor):
            read: Array = transfer.read([data])[0]
            return read
        made: Array = np.asarray(data.make() if isinstance(data, Lazy) else data)
        return made.view(dtypes.numpy_dtype(self.dtype_name)).reshape(self.shape)

    def __repr__(self) -> str:
        return f"Value({self.dtype_name}{list(self.shape)})"


def little_endian(array: Array) -> Array:
    """The array as files have it: C-contiguous and little-endian; a copy only where it is not."""
    # Asked first: a new dtype costs more than all the rest.
    if not (array.dtype.isnative and _LITTLE) and array.dtype.newbyteorder("<") != array.dtype:
        array = array.astype(array.dtype.newbyteorder("<"))
    return array if array.flags.c_contiguous else np.ascontiguousarray(array).reshape(array.shape)


def value_of(name: str, what: Any) -> Value:
    """The value of anything array-like, of a ``Tensor``, or of a ``Value`` itself.

    Args:
        name: Of the tensor, for the error.
        what: The elements.

    Raises:
        UnsupportedError: for elements that are no numbers.
    """
    if isinstance(what, Value):
        return what
    if isinstance(what, Tensor):
        if what.problem is not None:
            raise UnsupportedError(f"tensor data: {what.problem}, which kio does not read", tensor=name)
        if dtypes.is_text(what.dtype_name):
            raise UnsupportedError("element type: expected numbers, found text", tensor=name)
        return Value(what.dtype_name, what.shape, what)
    array = np.asarray(what)
    try:
        dtype_name = dtypes.name_of(array.dtype)
    except KeyError:
        raise UnsupportedError(
            f"element type: expected numbers, found {shown(str(array.dtype))}",
            tensor=name,
        ) from None
    return Value(dtype_name, array.shape, little_endian(array))


def cast(value: Value, dtype_name: str) -> Value:
    """The value with floats of another kind; anything but floats stays as it is."""
    if value.dtype_name == dtype_name or dtypes.BY_NAME[value.dtype_name].kind != "f":
        return value
    row = dtypes.BY_NAME.get(dtype_name)
    if row is None or row.kind != "f":
        raise UnsupportedError(f"dtype: expected a floating-point one, found {dtype_name!r}")
    dtype = dtypes.numpy_dtype(dtype_name)
    for each in (dtype, dtypes.numpy_dtype(value.dtype_name)):
        if each.type is np.void:
            raise MissingDependencyError("ml_dtypes", "keras", f"conversion of {value.dtype_name} to {dtype_name}")
    return Value(dtype_name, value.shape, Lazy(value.nelems * row.itemsize, lambda: value.array().astype(dtype)))


def parents(names: Iterable[str]) -> set[str]:
    """Every group that something of these names is in, but the root."""
    found: set[str] = set()
    for name in names:
        above = name.rpartition("/")[0]
        # Those above a known one are known.
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found


# What an asset is written from: its bytes, a file of our own, or a file in a file.
Asset = bytes | str | Source


@dataclass(slots=True)
class Contents:
    """Everything that one save writes.

    Attributes:
        tensors: By name, in the order of the save.
        groups: Groups that exist even without a tensor, by path (``"layers/dense/vars"``), with
            the name of the object that each belongs to, or None where it has none.
        attributes: What legacy HDF5 says of its groups, by path (``""`` is the root): names of
            layers and weights, in order.
        config: JSON text of the model's configuration, or None.
        metadata: Text, by key.
        assets: Files beside the weights, by name without ``assets/``.
        version: Keras version whose readers the file is for, or None for the newest.
        closing: Called once when all is written or given up.
    """

    tensors: dict[str, Value] = field(default_factory=dict)
    groups: dict[str, str | None] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    config: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    assets: Mapping[str, Asset] = field(default_factory=dict)
    version: tuple[int, ...] | None = None
    closing: Callable[[], None] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """What of ``kio.layers`` stock Keras needs to build the model."""
        # In legacy HDF5 the optimizer is beside the configuration.
        texts = (self.config or "", self.metadata.get("training_config", ""))
        return tuple(sorted({name for text in texts if "kio>" in text for name in _OURS.findall(text)}))

    @property
    def nbytes(self) -> int:
        """Size of all tensors in bytes."""
        return sum(value.nbytes for value in self.tensors.values())

    def close(self) -> None:
        """Give back what the assets were kept in."""
        if self.closing is not None:
            self.closing()
            self.closing = None

    def __enter__(self) -> Contents:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
