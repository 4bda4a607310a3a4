"""What functions of TensorFlow are called with: tensors, constants of a file, numbers that were computed."""

from __future__ import annotations

import importlib
from typing import Any

import keras
import numpy as np
from keras import ops

if hasattr(keras, "tree"):
    flatten, pack = keras.tree.flatten, keras.tree.pack_sequence_as
else:  # Keras 3.0 needs the package of that name
    _tree = importlib.import_module("tree")
    flatten, pack = _tree.flatten, _tree.unflatten_as

# What is raised for numbers of a tensor that has none yet: in TensorFlow's graphs and on torch's meta device
# the one, by JAX's tracers and for Keras's symbolic tensors the other.
_NO_NUMBERS = (NotImplementedError, TypeError)
# The names of element types that are not those of NumPy, in graphs ("DT_HALF") and in configurations.
_DTYPES = {"float": "float32", "half": "float16", "double": "float64"}


def tensor(value: Any, like: Any = None) -> Any:
    """A constant of a stored call as a tensor; of the dtype of ``like``, as TensorFlow makes it."""
    if isinstance(value, (list, tuple)) and any(is_tensor(each) for each in value):
        return ops.stack([tensor(each, like) for each in value])
    if isinstance(value, (list, tuple, int, float, bool, np.ndarray)):
        array = np.asarray(value)
        if like is not None and array.dtype != bool:
            return ops.cast(ops.convert_to_tensor(array), keras.backend.standardize_dtype(like.dtype))
        array = array.astype({"f": "float32", "i": "int32"}.get(array.dtype.kind, array.dtype))
        return ops.convert_to_tensor(array)
    return value


def is_tensor(value: Any) -> bool:
    return isinstance(value, keras.KerasTensor) or ops.is_tensor(value)


def plain(value: Any) -> bool:
    """Whether a value is a constant that takes the dtype of what it is computed with."""
    return isinstance(value, (int, float, bool, list, tuple))


def both(x: Any, y: Any) -> tuple[Any, Any]:
    """Two operands as tensors: a constant takes the dtype of the other."""
    x = tensor(x, like=None if plain(y) else y)
    return x, tensor(y, like=x)


def axes(axis: Any) -> Any:
    """Axes as Keras takes them: a number, a tuple, or None for all."""
    if isinstance(axis, np.ndarray):
        axis = axis.tolist()
    return tuple(axis) if isinstance(axis, list) else axis


def shape_of(value: Any) -> tuple[Any, ...]:
    return tuple(value.shape) if is_tensor(value) else np.shape(value)


def dtype_of(value: Any) -> str:
    if is_tensor(value):
        return str(keras.backend.standardize_dtype(value.dtype))
    return str(keras.backend.standardize_dtype(tensor(value).dtype))


def dtype_named(dtype: Any) -> str:
    """The name that Keras has for an element type: ``float16`` of ``DT_HALF``."""
    name = str(dtype).removeprefix("DT_").lower()
    return _DTYPES.get(name, name)


def whole(dtype: str) -> bool:
    """Whether a dtype is one of whole numbers, with or without a sign."""
    return dtype.startswith(("int", "uint"))


def sizes(shape: Any) -> list[Any]:
    """A shape whose numbers may have been computed: plain numbers where they can be had."""
    if is_tensor(shape):
        try:
            shape = list(_concrete(shape))
        except _NO_NUMBERS:  # TensorFlow takes its parts as they are
            shape = [shape[i] for i in range(int(shape.shape[0]))]
    return [_number(each) for each in shape]


def _concrete(value: Any) -> Any:
    return ops.convert_to_numpy(value) if not isinstance(value, np.ndarray) else value


def _number(value: Any) -> Any:
    if isinstance(value, (int, np.integer)):
        return int(value)
    try:
        return int(_concrete(value))
    except _NO_NUMBERS:  # TensorFlow takes it as it is
        return value


def constant(value: Any) -> Any:
    """Numbers that shapes are computed from: in a jitted function of JAX only NumPy's stay constants."""
    return value if keras.config.backend() == "jax" else ops.convert_to_tensor(value)


def fixed(values: Any) -> Any:
    """The parts of a shape that JAX has to know, as NumPy's; None if there is a tensor among them, or no shape."""
    shape = next((each for each in values if isinstance(each, (np.ndarray, np.integer))), None)
    if keras.config.backend() != "jax" or shape is None or any(map(is_tensor, flatten(values))):
        return None
    return [np.asarray(each, shape.dtype) for each in values]


def last(data_format: Any) -> None:
    """Refuse channels first."""
    if data_format not in (None, "NHWC", "NWC", "NDHWC"):
        raise ValueError(f"data_format: expected channels last, found {data_format}")
