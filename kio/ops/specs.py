"""Outputs of functions whose shape hangs on numbers, which a symbolic call must not look at.

Keras's numpy backend finds shapes by running the function on memory that holds anything.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kio.ops.values import dtype_of, is_tensor, shape_of


def listed(shape: Any) -> list[Any]:
    """A shape as numbers, None for those that are computed."""
    if isinstance(shape, (list, tuple)):
        return [None if is_tensor(n) or n == -1 else int(n) for n in shape]
    # A whole shape in one tensor: only how many dimensions it has is known.
    return [None] * int(shape.shape[0])


def reshape(x: Any, shape: Any) -> Any:
    found = listed(shape)
    if not is_tensor(shape) and found.count(None) == 1 and None not in shape_of(x):
        found[found.index(None)] = int(np.prod(shape_of(x))) // max(
            1, int(np.prod([n for n in found if n is not None]))
        )
    return keras.KerasTensor(tuple(found), dtype_of(x))


def broadcast_to(x: Any, shape: Any) -> Any:
    return keras.KerasTensor(tuple(listed(shape)), dtype_of(x))


def tile(x: Any, multiples: Any) -> Any:
    pairs = zip(shape_of(x), listed(multiples), strict=True)
    return keras.KerasTensor(tuple(None if a is None or b is None else a * b for a, b in pairs), dtype_of(x))


def fill(dims: Any, value: Any) -> Any:
    return keras.KerasTensor(tuple(listed(dims)), dtype_of(value))


def filled(shape: Any, dtype: Any = "float32") -> Any:
    return keras.KerasTensor(tuple(listed(shape)), str(dtype))


def shape(input: Any, optimize: bool = True) -> Any:
    return keras.KerasTensor((len(input.shape),), "int32")


def size(input: Any, optimize: bool = True) -> Any:
    return keras.KerasTensor((), "int32")


def getitem(x: Any, slice_spec: Any) -> Any:
    keys = list(slice_spec) if isinstance(slice_spec, (list, tuple)) else [slice_spec]
    keys = [Ellipsis if isinstance(key, str) else key for key in keys]
    left = list(shape_of(x))
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
    return keras.KerasTensor((*made, *left), dtype_of(x))


def rows_only(batch_dims: int, axis: int, indices: Any) -> None:
    """Refuse what ``gather`` does not know: batches of more than rows."""
    if batch_dims and (batch_dims != 1 or axis != 1 or len(shape_of(indices)) != 2):
        raise ValueError(f"tf.gather: expected one batch dimension and rows, found {batch_dims} and axis {axis}")


def places_only(batch_dims: int, bad_indices_policy: str) -> None:
    """Refuse what ``gather_nd`` does not know: batches, and zeros in the place of what is not there."""
    if batch_dims:
        raise ValueError(f"tf.gather_nd: expected no batch dimensions, found {batch_dims}")
    if bad_indices_policy.upper() not in ("", "DEFAULT", "ERROR"):
        raise ValueError(f"tf.gather_nd: expected indices that exist, found bad_indices_policy={bad_indices_policy}")


def taken(params: Any, indices: Any, axis: Any = None, batch_dims: int = 0) -> Any:
    shape = shape_of(params)
    axis = (batch_dims if axis is None else axis) % max(1, len(shape))
    rows_only(batch_dims, axis, indices)
    return keras.KerasTensor((*shape[:axis], *shape_of(indices)[batch_dims:], *shape[axis + 1 :]), dtype_of(params))


def taken_nd(params: Any, indices: Any, batch_dims: int = 0, bad_indices_policy: str = "") -> Any:
    places_only(batch_dims, bad_indices_policy)
    places = shape_of(indices)
    return keras.KerasTensor((*places[:-1], *shape_of(params)[places[-1] :]), dtype_of(params))


def embedded(params: Any, ids: Any, max_norm: Any = None) -> Any:
    return taken(params, ids, 0)


def hot(indices: Any, depth: int, on_value: Any = 1, off_value: Any = 0, axis: int = -1, dtype: Any = None) -> Any:
    shape = list(shape_of(indices))
    shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, int(depth))
    return keras.KerasTensor(tuple(shape), str(dtype or "float32"))


def cumulated(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Any:
    return keras.KerasTensor(shape_of(x), dtype_of(x))


def like_first(input: Any, adjoint: bool = False) -> Any:
    return keras.KerasTensor(shape_of(input), dtype_of(input))


def solved(matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False) -> Any:
    return keras.KerasTensor(shape_of(rhs), dtype_of(rhs))


def counted(arr: Any, weights: Any = None, minlength: int = 0) -> Any:
    # As long as its largest number says.
    return keras.KerasTensor((None,), "int32" if weights is None else dtype_of(weights))


def resized(images: Any, size: Any, method: str = "bilinear", **_: Any) -> Any:
    height, width = listed(size)
    dtype = dtype_of(images)
    made = dtype if method == "nearest" or "int" not in dtype else "float32"
    return keras.KerasTensor((*shape_of(images)[:-3], height, width, shape_of(images)[-1]), made)


def resized_nearest(images: Any, size: Any, **_: Any) -> Any:
    return resized(images, size, "nearest")


def resized_first(images: Any, size: Any, method: Any = 0, **_: Any) -> Any:
    return resized(images, size, "nearest" if method in (1, "nearest") else "bilinear")
