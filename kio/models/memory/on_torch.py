"""Variables of the torch backend; see ``torch_memory`` for how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kio import dtypes
from kio.contents import Value
from kio.keras_private import get_device, get_global_attribute, to_torch_dtype
from kio.models.memory import torch_memory, variables
from kio.models.memory.backend import Array, Backend, Memory, assign_directly, split
from kio.models.memory.fetch import Fetch, general, here, later


def _destinations(targets: Sequence[Any]) -> list[Memory | None]:
    return list(torch_memory.Places().memories(targets))


def _settled(targets: Sequence[Any]) -> None:
    torch_memory.bump([variables.raw_value(v) for v in targets])


def _put(targets: Sequence[Any], arrays: Sequence[Array]) -> None:
    places = torch_memory.Places()
    targets, arrays = split(targets, arrays, lambda v, array: array.flags.writeable and places.fits(v))
    for variable, array in zip(targets, arrays, strict=True):
        torch_memory.copy(variables.raw_value(variable), array)


def _snapshot(variable: Any) -> Any:
    return variables.raw_value(variable).detach().clone()


def _value(variable: Any, raw: Any) -> Value:
    if type(raw) not in (torch.nn.Parameter, torch.Tensor) or raw.layout is not torch.strided:
        return general(variable, raw)
    value = raw.detach()
    dtype_name = str(value.dtype).removeprefix("torch.")
    if not (value.is_cpu and value.is_contiguous()):
        fetch = Fetch(lambda: _array(value.cpu().contiguous(), dtype_name), fresh=True)
        return later(variable, dtype_name, value.shape, fetch)
    return here(variable, _array(value, dtype_name))


def _array(value: Any, dtype_name: str) -> Array:
    """An array over a CPU tensor's memory."""
    row = dtypes.BY_NAME.get(dtype_name)
    if row is not None and row.numpy is None:
        # NumPy has no such type of its own, so torch cannot hand it over as one.
        bits = value.view(getattr(torch, row.bits))
        array: Array = bits.numpy().view(dtypes.numpy_dtype(dtype_name))
        return array
    plain: Array = value.numpy()
    return plain


def _device() -> str:
    # The literal KERAS_TORCH_DEVICE and tests on names are Keras's; see torch/core.py.
    device = get_global_attribute("torch_device")
    return "" if device is None else str(device)


def _stand_in(variable: Any, shape: tuple[int, ...], dtype: str, fill: Any) -> Any:
    kind = to_torch_dtype(dtype)
    if _device() == "meta":
        meta = torch.empty(shape, dtype=kind, device="meta")
        return torch.nn.Parameter(meta, requires_grad=variable.trainable and kind.is_floating_point)
    return torch.full((), fill, dtype=kind, device=get_device()).expand(shape)


def _infers() -> bool:
    return _device() == "meta"


def _owned(value: Any) -> Any:
    return value.detach().clone()


def _random_states() -> list[Array]:
    """The CPU's, then each GPU's."""
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():
        states += torch.cuda.get_rng_state_all()
    return [np.array(state.cpu().numpy()) for state in states]


def _set_random_states(states: list[Array]) -> None:
    torch.set_rng_state(torch.from_numpy(states[0]))
    if torch.cuda.is_available() and len(states) - 1 == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([torch.from_numpy(state) for state in states[1:]])


BACKEND = Backend(
    destinations=_destinations,
    settled=_settled,
    put=_put,
    snapshot=_snapshot,
    restore=assign_directly,
    value=_value,
    defers=True,
    registers=True,
    infers=_infers,
    stand_in=_stand_in,
    owned=_owned,
    random_states=_random_states,
    set_random_states=_set_random_states,
)
