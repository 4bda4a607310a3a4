"""TensorFlow functions that no operation of Keras 3 stands for, as one layer.

A functional model of tf.keras holds calls like ``tf.math.squared_difference`` in the place
of layers.  ``TFFunction`` is such a call: its name must be in ``FUNCTIONS``, whose rows are
written in ``keras.ops`` with the arguments that TensorFlow has, so that they run on every
backend.  Nothing is looked up by name anywhere else.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kio.keras_private import compute_output_spec

if hasattr(keras, "tree"):
    flatten, pack = keras.tree.flatten, keras.tree.pack_sequence_as
else:  # Keras 3.0 needs the package of that name
    _tree = importlib.import_module("tree")
    flatten, pack = _tree.flatten, _tree.unflatten_as

Function = Callable[..., Any]
FUNCTIONS: dict[str, Function] = {}

# Arguments that only TensorFlow's graphs have a use for.
IDLE = frozenset(
    {"name", "use_cudnn_on_gpu", "validate_indices", "partition_strategy", "out_type", "output_type", "message"}
)


def named(*names: str) -> Callable[[Function], Function]:
    """Put a function into the table under the names that TensorFlow has for it."""

    def add(function: Function) -> Function:
        FUNCTIONS.update(dict.fromkeys(names, function))
        return function

    return add


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


# They give the very tensor that they take, if there is nothing to do.
_AS_IT_IS = frozenset({"convert_to_tensor", "cast", "compat.v1.cast"})


@keras.saving.register_keras_serializable("kio", "TFFunction")
class TFFunction(keras.Operation):  # type: ignore[misc]
    """A call of a TensorFlow function.

    Args:
        function: Its name without ``tf.``; one of ``FUNCTIONS``.

    Raises:
        ValueError: for any other name.
    """

    def __init__(self, function: str, name: str | None = None) -> None:
        super().__init__(name=name)
        if function not in FUNCTIONS:
            raise ValueError(f"TFFunction: expected a function that kio has, found {str(function)[:80]!r}")
        self.function = function

    def call(self, *args: Any, **kwargs: Any) -> Any:
        given = {key: value for key, value in kwargs.items() if key not in IDLE and value is not None}
        made = FUNCTIONS[self.function](*args, **given)
        if self.function in _AS_IT_IS or not any(made is each for each in flatten((args, given))):
            return made
        # TensorFlow made a new tensor, without the mask of the one that came in.
        return ops.copy(made) if is_tensor(made) else made

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        known = _static(self.function, args, kwargs)
        if known is not None:
            return known
        # JAX would trace constants as well, and nobody could look at their numbers.
        flat = flatten((args, kwargs))
        places = [i for i, value in enumerate(flat) if isinstance(value, keras.KerasTensor)]

        def run(*tensors: Any) -> Any:
            values = list(flat)
            for i, value in zip(places, tensors, strict=True):
                values[i] = value
            args_, kwargs_ = pack((args, kwargs), values)
            return self.call(*args_, **kwargs_)

        return compute_output_spec(run, *(_dense(flat[i]) for i in places))

    def get_config(self) -> dict[str, Any]:
        return {"function": self.function, "name": self.name}


def _dense(value: Any) -> Any:
    """Keras takes products with a constant for sparse, which TensorFlow's functions here never are."""
    return keras.KerasTensor(value.shape, value.dtype)


def _static(function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The outputs of functions whose shape hangs on values, which a symbolic call must not look at; else None.

    Keras's numpy backend finds shapes by running the function on memory that holds anything.
    """
    spec = _SPECS.get(function)
    if spec is None:
        return None
    given = {key: value for key, value in kwargs.items() if key not in IDLE and value is not None}
    # What the function does not know must not be lost on the way to its shape.
    inspect.signature(FUNCTIONS[function]).bind(*args, **given)
    return spec(*args, **given)


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, (dict, list, tuple)):
        return any(map(_holds_tensor, value.values() if isinstance(value, dict) else value))
    return is_tensor(value)


def _listed(shape: Any) -> list[Any]:
    """A shape as numbers, None for those that are computed."""
    if isinstance(shape, (list, tuple)):
        return [None if is_tensor(n) or n == -1 else int(n) for n in shape]
    # A whole shape in one tensor: only how many dimensions it has is known.
    return [None] * int(shape.shape[0])


def _dtype(value: Any) -> str:
    if is_tensor(value):
        return str(keras.backend.standardize_dtype(value.dtype))
    return str(keras.backend.standardize_dtype(tensor(value).dtype))


def _shape(value: Any) -> tuple[Any, ...]:
    return tuple(value.shape) if is_tensor(value) else np.shape(value)


def _reshape(x: Any, shape: Any) -> Any:
    found = _listed(shape)
    if not is_tensor(shape) and found.count(None) == 1 and None not in _shape(x):
        found[found.index(None)] = int(np.prod(_shape(x))) // max(1, int(np.prod([n for n in found if n is not None])))
    return keras.KerasTensor(tuple(found), _dtype(x))


def _tile(x: Any, multiples: Any) -> Any:
    pairs = zip(_shape(x), _listed(multiples), strict=True)
    return keras.KerasTensor(tuple(None if a is None or b is None else a * b for a, b in pairs), _dtype(x))


def _getitem(x: Any, slice_spec: Any) -> Any:
    keys = list(slice_spec) if isinstance(slice_spec, (list, tuple)) else [slice_spec]
    keys = [Ellipsis if isinstance(key, str) else key for key in keys]
    left = list(_shape(x))
    made: list[int | None] = []
    ellipsis = next((i for i, k in enumerate(keys) if k is Ellipsis), None)
    if ellipsis is not None:
        taken = sum(k is not None for k in keys) - 1
        keys[ellipsis : ellipsis + 1] = [slice(None)] * (len(left) - taken)
    for key in keys:
        if key is None:
            made.append(1)
            continue
        n = left.pop(0)
        if isinstance(key, dict):
            key = slice(*(key[k] for k in ("start", "stop", "step")))
        if isinstance(key, slice):
            known = n is not None and not any(map(is_tensor, (key.start, key.stop, key.step)))
            made.append(len(range(*key.indices(n))) if known else None)
        elif is_tensor(key) and len(key.shape):
            raise ValueError("tf.__operators__.getitem: expected numbers and slices, found a tensor of several")
    return keras.KerasTensor((*made, *left), _dtype(x))


def rows_only(batch_dims: int, axis: int, indices: Any) -> None:
    """Refuse what ``gather`` does not know: batches of more than rows."""
    if batch_dims and (batch_dims != 1 or axis != 1 or len(_shape(indices)) != 2):
        raise ValueError(f"tf.gather: expected one batch dimension and rows, found {batch_dims} and axis {axis}")


def places_only(batch_dims: int, bad_indices_policy: str) -> None:
    """Refuse what ``gather_nd`` does not know: batches, and zeros in the place of what is not there."""
    if batch_dims:
        raise ValueError(f"tf.gather_nd: expected no batch dimensions, found {batch_dims}")
    if bad_indices_policy.upper() not in ("", "DEFAULT", "ERROR"):
        raise ValueError(f"tf.gather_nd: expected indices that exist, found bad_indices_policy={bad_indices_policy}")


def _taken(params: Any, indices: Any, axis: Any = None, batch_dims: int = 0) -> Any:
    shape = _shape(params)
    axis = (batch_dims if axis is None else axis) % max(1, len(shape))
    rows_only(batch_dims, axis, indices)
    return keras.KerasTensor((*shape[:axis], *_shape(indices)[batch_dims:], *shape[axis + 1 :]), _dtype(params))


def _taken_nd(params: Any, indices: Any, batch_dims: int = 0, bad_indices_policy: str = "") -> Any:
    places_only(batch_dims, bad_indices_policy)
    places = _shape(indices)
    return keras.KerasTensor((*places[:-1], *_shape(params)[places[-1] :]), _dtype(params))


def _hot(indices: Any, depth: int, on_value: Any = 1, off_value: Any = 0, axis: int = -1, dtype: Any = None) -> Any:
    shape = list(_shape(indices))
    shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, int(depth))
    return keras.KerasTensor(tuple(shape), str(dtype or "float32"))


def _depthwise(function: str) -> Callable[..., Any]:
    """A kernel with one slice for each channel, also where a computed one does not say how many."""

    def spec(input: Any, filter: Any, **options: Any) -> Any:
        if not isinstance(filter, keras.KerasTensor) or not isinstance(input, keras.KerasTensor):
            return None
        shape = list(filter.shape)
        shape[2] = input.shape[-1]
        return FUNCTIONS[function](input, keras.KerasTensor(tuple(shape), filter.dtype), **options)

    return spec


def _resized(images: Any, size: Any, method: str = "bilinear", **_: Any) -> Any:
    height, width = _listed(size)
    dtype = _dtype(images)
    made = dtype if method == "nearest" or "int" not in dtype else "float32"
    return keras.KerasTensor((*_shape(images)[:-3], height, width, _shape(images)[-1]), made)


_SPECS: dict[str, Callable[..., Any]] = {
    "reshape": _reshape,
    "broadcast_to": lambda x, shape: keras.KerasTensor(tuple(_listed(shape)), _dtype(x)),
    "tile": _tile,
    "fill": lambda dims, value: keras.KerasTensor(tuple(_listed(dims)), _dtype(value)),
    "zeros": lambda shape, dtype="float32": keras.KerasTensor(tuple(_listed(shape)), str(dtype)),
    "ones": lambda shape, dtype="float32": keras.KerasTensor(tuple(_listed(shape)), str(dtype)),
    "shape": lambda input, optimize=True: keras.KerasTensor((len(input.shape),), "int32"),
    "compat.v1.shape": lambda input, optimize=True: keras.KerasTensor((len(input.shape),), "int32"),
    "size": lambda input, optimize=True: keras.KerasTensor((), "int32"),
    "compat.v1.size": lambda input, optimize=True: keras.KerasTensor((), "int32"),
    "__operators__.getitem": _getitem,
    "gather": _taken,
    "compat.v1.gather": _taken,
    "gather_nd": _taken_nd,
    "compat.v1.gather_nd": _taken_nd,
    "nn.embedding_lookup": lambda params, ids, max_norm=None: _taken(params, ids, 0),
    "compat.v1.nn.embedding_lookup": lambda params, ids, max_norm=None: _taken(params, ids, 0),
    "one_hot": _hot,
    # torch would sum up as many items as there are.
    **dict.fromkeys(
        ("math.cumsum", "math.cumprod"),
        lambda x, axis=0, exclusive=False, reverse=False: keras.KerasTensor(_shape(x), _dtype(x)),
    ),
    # What memory holds may have no inverse.
    "linalg.inv": lambda input, adjoint=False: keras.KerasTensor(_shape(input), _dtype(input)),
    "linalg.triangular_solve": lambda matrix, rhs, lower=True, adjoint=False: keras.KerasTensor(
        _shape(rhs), _dtype(rhs)
    ),
    # As long as its largest number says.
    "math.bincount": lambda arr, weights=None, minlength=0: keras.KerasTensor(
        (None,), "int32" if weights is None else _dtype(weights)
    ),
    "nn.depthwise_conv2d": _depthwise("nn.depthwise_conv2d"),
    "compat.v1.nn.depthwise_conv2d": _depthwise("compat.v1.nn.depthwise_conv2d"),
    "image.resize": _resized,
    "compat.v1.image.resize": _resized,
    "compat.v1.image.resize_bilinear": _resized,
    "compat.v1.image.resize_nearest_neighbor": lambda images, size, **_: _resized(images, size, "nearest"),
}

# Arguments that are numbers, not tensors; of the functions beside them, tensors too.
SIZES = frozenset(
    [
        "axis",
        "axes",
        "k",
        "maxlen",
        "size",
        "sizes",
        "strides",
        "stride",
        "ksize",
        "num_segments",
        "depth",
        "begin",
        "end",
        "block_size",
        "block_shape",
        "paddings",
        "crops",
        "keepdims",
        "keep_dims",
        "multiples",
        "shape",
        "dims",
        "slice_spec",
        "num_or_size_splits",
        "perm",
        "start",
        "limit",
        "delta",
        "minlength",
        "offset_height",
        "offset_width",
        "target_height",
        "target_width",
        "window_shape",
        "dilations",
        "dilation_rate",
        "rates",
        "rate",
        "batch_dims",
        "num_lower",
        "num_upper",
        "ord",
        "dtype",
        "padding",
        "data_format",
        "depth_radius",
        "central_fraction",
    ]
)
COMPUTED = frozenset({"reshape", "broadcast_to", "tile", "fill", "zeros", "ones", "__operators__.getitem"})


# What is raised for numbers of a tensor that has none yet: in TensorFlow's graphs and on torch's meta device
# the one, by JAX's tracers and for Keras's symbolic tensors the other.
_NO_NUMBERS = (NotImplementedError, TypeError)


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
