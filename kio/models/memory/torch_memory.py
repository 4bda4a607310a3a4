"""The memory behind torch parameters.

Bytes read straight into a parameter's memory are a change in place that torch
does not see; ``bump`` tells autograd of it.  A new large parameter asks for huge
pages, as NumPy does for its own arrays: filling it then costs a page fault per
2 MiB instead of one per 4 KiB.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy.typing as npt
import torch

from kio.dtypes import BY_NAME
from kio.keras_private import get_device
from kio.models.memory import variables

Array = npt.NDArray[Any]

# Where torch holds a dtype of Keras's as it is.  Keras stores uint16 and uint32 wider.
_KINDS = {name: getattr(torch, name) for name in BY_NAME if hasattr(torch, name)}
for _wider in ("uint16", "uint32", "uint64"):
    _KINDS.pop(_wider, None)

# Subclasses (DTensor, fake and functorch tensors) keep their values elsewhere.
_OWN = frozenset({torch.nn.Parameter, torch.Tensor})

_HUGE = 4 << 20
_PAGE = mmap.PAGESIZE


class Places:
    """Memory of variables, with what holds for all of them worked out once."""

    def __init__(self) -> None:
        self._plain = variables.Plain()
        # New parameters go where Keras would put them.
        self._on_cpu = str(get_device()) == "cpu" and not variables.is_distributed()

    def memory(self, variable: Any) -> tuple[int, int] | None:
        """Address and size of the variable's value in CPU memory, made first if deferred."""
        kind = _KINDS.get(variables.dtype_of(variable))
        if kind is None or not self._plain[type(variable)]:
            return None
        value = variables.raw_value(variable)
        if value is None:
            value = self._empty(variable, kind)
            if value is None:
                return None
        elif not _writable(value, kind):
            return None
        return value.data_ptr(), value.nbytes

    def memories(self, targets: Sequence[Any]) -> list[tuple[int, int] | None]:
        """``memory`` of each; what is already there as it should be is found without further calls."""
        found: list[tuple[int, int] | None] = []
        plain, strided = self._plain, torch.strided
        for variable in targets:
            kind = _KINDS.get(getattr(variable, "_dtype", ""))
            value: Any = getattr(variable, "_value", None)
            if (
                kind is not None
                and type(value) in _OWN
                and value.dtype is kind
                and value.is_cpu
                and value.layout is strided
                and value.is_contiguous()
                and plain[type(variable)]
            ):
                found.append((value.data_ptr(), value.nbytes))
            else:
                found.append(self.memory(variable))
        return found

    def fits(self, variable: Any) -> bool:
        """Whether an array of the variable's own dtype can be copied into its value."""
        kind = _KINDS.get(variables.dtype_of(variable))
        if kind is None:
            return False
        value = variables.raw_value(variable)
        if value is None:
            value = self._empty(variable, kind)
            if value is None:
                return False
        return value.dtype is kind and type(value) in _OWN

    def _empty(self, variable: Any, kind: Any) -> Any:
        """Give a deferred variable a parameter over untouched memory; None off the CPU."""
        if not self._on_cpu:
            return None
        value = torch.empty(variables.shape_of(variable), dtype=kind)
        nbytes = value.nbytes
        if nbytes >= _HUGE:
            _advise_huge(value.data_ptr(), nbytes)
        parameter = torch.nn.Parameter(value, requires_grad=variable.trainable)
        variables.set_value(variable, parameter)
        return parameter


def copy(value: Any, array: Array) -> None:
    """Copy an array of the same shape and dtype into a tensor, wherever it is."""
    with torch.no_grad():
        value.copy_(_tensor(array, value.dtype))


def bump(values: Sequence[Any]) -> None:
    """Tell autograd that these tensors were written to."""
    increment = getattr(torch.autograd.graph, "increment_version", None)
    values = [value for value in values if value is not None]
    if increment is None:
        for value in values:
            value.data.add_(0)
        return
    try:
        increment(values)
    except TypeError:  # one tensor at a time before torch 2.6
        for value in values:
            increment(value)


def _writable(value: Any, kind: Any) -> bool:
    return (
        type(value) in _OWN
        and value.is_cpu
        and value.dtype is kind
        and value.layout is torch.strided
        and value.is_contiguous()
    )


def _tensor(array: Array, kind: Any) -> Any:
    row = BY_NAME.get(array.dtype.name)
    if row is not None and row.numpy is None:
        # NumPy has no such type of its own, so from_numpy does not know it.
        return torch.from_numpy(array.view(row.bits)).view(kind)
    return torch.from_numpy(array)


@cache
def _madvise() -> Any:
    advice = getattr(mmap, "MADV_HUGEPAGE", None)
    if advice is None or not sys.platform.startswith("linux"):
        return None
    try:
        call = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
    call.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return lambda address, nbytes: call(address, nbytes, advice)


def _advise_huge(address: int, nbytes: int) -> None:
    advise = _madvise()
    if advise is None:
        return
    first = math.ceil(address / _PAGE) * _PAGE
    last = (address + nbytes) // _PAGE * _PAGE
    advise(first, last - first)
