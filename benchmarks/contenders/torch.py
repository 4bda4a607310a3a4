"""torch.load of the same tensors in its own format, as a user would load a state_dict."""

from collections.abc import Mapping
from typing import Any

import torch

label = "torch.load"


def read(path: str) -> Mapping[str, Any]:
    return torch.load(path, weights_only=True)  # type: ignore[no-any-return]


def arrays(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: tensor.numpy() for name, tensor in result.items()}
