"""safetensors.numpy: the same tensors in its own format."""

from collections.abc import Mapping
from typing import Any

import safetensors.numpy

from benchmarks import saving, shapes

label = "safetensors.numpy"


def read(path: str) -> Mapping[str, Any]:
    return safetensors.numpy.load_file(path)  # type: ignore[no-any-return]


def arrays(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return result


def save_weights(model: Any, path: str, *, fsync: int = 0) -> None:
    """safetensors.torch on torch, as its users call it."""
    import keras

    if keras.backend.backend() == "torch":
        import safetensors.torch

        values = {f"{i:05}": variable.value.detach() for i, variable in enumerate(shapes.variables(model))}
        safetensors.torch.save_file(values, path)
    else:
        safetensors.numpy.save_file({f"{i:05}": array for i, array in enumerate(shapes.values(model))}, path)
    if fsync:
        saving.durable(path)
