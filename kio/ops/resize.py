"""Resizing of images as TensorFlow 2 does it, on every backend.

Resizing is linear and goes along one axis at a time, so each axis is one matrix: a row for
every new pixel, weights for the old ones.  Keras 3 leaves the kernels to its backends, which
differ (torch's bicubic has another constant) or do not have them all.

    half-pixel centres    pixel i of the new image lies at (i + 0.5) * old / new - 0.5
    nearest               the pixel that floor((i + 0.5) * old / new) names
    bilinear              weights 1 - |d|, clamped at the edges
    bicubic               Keys's kernel with -0.5; weights outside the image are left out
    lanczos, gaussian, mitchellcubic   the same with a wider kernel
    area                  the share of each old pixel that the new one covers
    antialias             the kernel is stretched by the scale when images shrink

Spec: ``resize_images_v2`` of TensorFlow 2; ``scale_and_translate_op.cc``, ``resize_bicubic_op.cc``,
``resize_area_op.cc``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from kio.limits import TABLE_ITEMS

Array = npt.NDArray[np.float64]


def _triangle(d: Array) -> Array:
    return np.maximum(0.0, 1.0 - np.abs(d))


def _keys(d: Array) -> Array:
    d = np.abs(d)
    near = (1.5 * d - 2.5) * d * d + 1.0
    far = ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0
    return np.where(d < 1, near, np.where(d < 2, far, 0.0))


def _mitchell(d: Array) -> Array:
    d = np.abs(d)
    near = ((7.0 / 6.0 * d - 2.0) * d) * d + 8.0 / 9.0
    far = ((-7.0 / 18.0 * d + 2.0) * d - 10.0 / 3.0) * d + 16.0 / 9.0
    return np.where(d < 1, near, np.where(d < 2, far, 0.0))


def _lanczos(radius: float) -> Callable[[Array], Array]:
    def kernel(d: Array) -> Array:
        return np.where(np.abs(d) <= radius, np.sinc(d) * np.sinc(d / radius), 0.0)

    return kernel


def _gaussian(d: Array) -> Array:
    radius = 1.5
    return np.where(np.abs(d) < radius, np.exp(-(d * d) / (2.0 * (radius / 3.0) ** 2)), 0.0)


_KERNELS: dict[str, Callable[[Array], Array]] = {
    "bilinear": _triangle,
    "bicubic": _keys,
    "mitchellcubic": _mitchell,
    "lanczos3": _lanczos(3.0),
    "lanczos5": _lanczos(5.0),
    "gaussian": _gaussian,
}
METHODS = frozenset({*_KERNELS, "nearest", "area"})


def weights(
    old: int, new: int, method: str, antialias: bool = False, corners: bool = False, half: bool = True
) -> Array:
    """One axis as a matrix ``(new, old)``.

    Args:
        old, new: Pixels before and after.
        method: One of ``METHODS``.
        antialias: Stretch the kernel where the image shrinks.
        corners: Let the centres of the corner pixels coincide, as TensorFlow 1 could.
        half: Half-pixel centres; False is TensorFlow 1.
    """
    if method not in METHODS:
        raise ValueError(f"resize: expected a method of {', '.join(sorted(METHODS))}, found {method!r}")
    if old * new > TABLE_ITEMS:
        raise ValueError(f"resize: expected at most {TABLE_ITEMS} weights of an axis, found {old} by {new}")
    scale = (old - 1) / (new - 1) if corners and new > 1 else old / new
    rows, columns = np.arange(new, dtype="f8"), np.arange(old, dtype="f8")
    if method == "area":
        low, high = rows * scale, (rows + 1) * scale
        share = np.minimum(high[:, None], columns + 1) - np.maximum(low[:, None], columns)
        return np.asarray(np.maximum(share, 0.0) / scale)
    centre = rows * scale if corners or not half else (rows + 0.5) * scale - 0.5
    if method == "nearest":
        place = np.floor(centre + 0.5) if corners else np.floor(centre if not half else (rows + 0.5) * scale)
        return np.asarray((columns == np.clip(place, 0, old - 1)[:, None]).astype("f8"))
    if method == "bicubic" and not half:
        return _first_bicubic(centre, old)
    kernel = _KERNELS[method]
    if method == "bilinear" and not antialias:
        # Edge pixels go on outside.
        return np.asarray(kernel(columns - np.clip(centre, 0, old - 1)[:, None]))
    stretch = max(scale, 1.0) if antialias else 1.0
    found = kernel((columns - centre[:, None]) / stretch)
    if method == "bicubic" and not antialias:
        # TensorFlow reads this kernel from a table of 1024 steps.
        step = np.floor(centre)
        exact = np.round((centre - step) * 1024) / 1024
        found = kernel(columns - (step + exact)[:, None])
    total = found.sum(1, keepdims=True)
    return np.asarray(np.divide(found, total, out=np.zeros_like(found), where=np.abs(total) > 1e-9))


def _first_bicubic(centre: Array, old: int) -> Array:
    """TensorFlow 1's: another constant, from a table of 1024 steps, and edge pixels go on outside."""
    step = np.floor(centre)
    exact = np.round((centre - step) * 1024) / 1024
    made = np.zeros((len(centre), old))
    for tap in range(-1, 3):
        d = np.abs(tap - exact)
        near = (1.25 * d - 2.25) * d * d + 1.0
        far = ((-0.75 * d + 3.75) * d - 6.0) * d + 3.0
        column = np.clip(step + tap, 0, old - 1).astype("i8")
        np.add.at(made, (np.arange(len(centre)), column), np.where(d < 1, near, np.where(d < 2, far, 0.0)))
    return made


def resized(
    images: Any,
    size: Any,
    method: str = "bilinear",
    antialias: bool = False,
    corners: bool = False,
    half: bool = True,
    first: bool = False,
) -> Any:
    """Images of another size.

    Args:
        images: ``(…, height, width, channels)``; ``(…, channels, height, width)`` if ``first``.
        size: New height and width.
        method, antialias, corners, half: As of ``weights``.

    Returns:
        Floats, but for ``"nearest"``, which keeps the dtype.
    """
    axes = (-2, -1) if first else (-3, -2)
    made = images
    for axis, new in zip(axes, size, strict=True):
        old = images.shape[axis]
        if old is None:
            raise ValueError(f"resize: expected images of a known size, found {tuple(images.shape)}")
        matrix = weights(int(old), int(new), method, antialias, corners, half)
        if method == "nearest":
            made = ops.take(made, matrix.argmax(1).astype("int32"), axis=axis)
            continue
        made = ops.cast(made, "float32") if "int" in str(made.dtype) else made
        moved = ops.moveaxis(made, axis, -1)
        made = ops.moveaxis(
            ops.matmul(moved, ops.cast(ops.convert_to_tensor(matrix.T.astype("float32")), moved.dtype)), -1, axis
        )
    return made
