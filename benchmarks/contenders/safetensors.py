"""safetensors.numpy: the same tensors in its own format."""

from collections.abc import Mapping
from typing import Any

import safetensors.numpy

label = "safetensors.numpy"


def read(path: str) -> Mapping[str, Any]:
    return safetensors.numpy.load_file(path)  # type: ignore[no-any-return]


def arrays(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return result
