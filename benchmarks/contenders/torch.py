"""torch.load of the same tensors in its own format, as a user would load a state_dict."""

from collections.abc import Mapping
from typing import Any

import torch

from benchmarks import saving, shapes

label = "torch.load"


def read(path: str) -> Mapping[str, Any]:
    return torch.load(path, weights_only=True)  # type: ignore[no-any-return]


def arrays(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: tensor.numpy() for name, tensor in result.items()}


def save_weights(model: Any, path: str, *, fsync: int = 0) -> None:
    torch.save({f"{i:05}": variable.value.detach() for i, variable in enumerate(shapes.variables(model))}, path)
    if fsync:
        saving.durable(path)
