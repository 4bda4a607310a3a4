"""Variables of the numpy backend: an array is the value itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kio.contents import Value
from kio.models.memory import variables
from kio.models.memory.backend import Array, Backend, split
from kio.models.memory.fetch import here


def _put(targets: Sequence[Any], arrays: Sequence[Array]) -> None:
    targets, arrays = split(targets, arrays, lambda _, array: array.flags.writeable)
    for variable, array in zip(targets, arrays, strict=True):
        variables.set_value(variable, array)


def _snapshot(variable: Any) -> Any:
    return variables.raw_value(variable).copy()


def _value(variable: Any, raw: Any) -> Value:
    return here(variable, np.asarray(raw))


def _stand_in(variable: Any, shape: tuple[int, ...], dtype: str, fill: Any) -> Any:
    return np.broadcast_to(np.array(fill).astype(dtype), shape)


def _owned(value: Any) -> Any:
    return np.array(value)


BACKEND = Backend(put=_put, snapshot=_snapshot, value=_value, defers=True, stand_in=_stand_in, owned=_owned)
