"""Images: turned round, cropped, other colours, other sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from kio.ops import specs, stock
from kio.ops.resize import resized
from kio.ops.table import row
from kio.ops.values import tensor


@row("image.flip_left_right")
def flip_left_right(image: Any) -> Any:
    return ops.flip(image, -2)


@row("image.flip_up_down")
def flip_up_down(image: Any) -> Any:
    return ops.flip(image, -3)


@row("image.transpose")
def transpose(image: Any) -> Any:
    return ops.swapaxes(image, -2, -3)


@row("image.rot90")
def rot90(image: Any, k: int = 1) -> Any:
    for _ in range(k % 4):
        image = ops.flip(ops.swapaxes(image, -2, -3), -3)
    return image


@row("image.adjust_brightness")
def adjust_brightness(image: Any, delta: float) -> Any:
    return ops.add(image, delta)


@row("image.adjust_contrast")
def adjust_contrast(images: Any, contrast_factor: float) -> Any:
    mean = ops.mean(images, axis=(-3, -2), keepdims=True)
    return (images - mean) * contrast_factor + mean


@row("image.per_image_standardization")
def per_image_standardization(image: Any) -> Any:
    pixels = float(np.prod(image.shape[-3:]))
    mean = ops.mean(image, axis=(-3, -2, -1), keepdims=True)
    deviation = ops.sqrt(ops.mean(ops.square(image - mean), axis=(-3, -2, -1), keepdims=True))
    return (image - mean) / ops.maximum(deviation, 1.0 / pixels**0.5)


@row("image.rgb_to_grayscale")
def rgb_to_grayscale(images: Any) -> Any:
    return ops.expand_dims(ops.tensordot(images, tensor([0.2989, 0.5870, 0.1140], like=images), axes=1), -1)


@row("image.grayscale_to_rgb")
def grayscale_to_rgb(images: Any) -> Any:
    return ops.concatenate([images] * 3, axis=-1)


@row("image.crop_to_bounding_box")
def crop(image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int) -> Any:
    return image[..., offset_height : offset_height + target_height, offset_width : offset_width + target_width, :]


@row("image.pad_to_bounding_box")
def pad(image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int) -> Any:
    h, w = image.shape[-3:-1]
    widths = [
        [offset_height, target_height - h - offset_height],
        [offset_width, target_width - w - offset_width],
        [0, 0],
    ]
    return ops.pad(image, [[0, 0]] * (len(image.shape) - 3) + widths)


@row("image.central_crop")
def central_crop(image: Any, central_fraction: float) -> Any:
    h, w = image.shape[-3:-1]
    top, left = int((h - h * central_fraction) / 2), int((w - w * central_fraction) / 2)
    return crop(image, top, left, h - 2 * top, w - 2 * left)


@row("image.resize", stock=stock.resize, spec=specs.resized)
def resize(
    images: Any,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
    align_corners: bool = False,
) -> Any:
    if preserve_aspect_ratio:
        raise ValueError("tf.image.resize: expected preserve_aspect_ratio=False, found True")
    return resized(images, size, method, antialias, align_corners)


# What compat.v1 calls a method: a number, or the name of today.
_METHODS = {0: "bilinear", 1: "nearest", 2: "bicubic", 3: "area"}


# Not image.resize: in TensorFlow 1 the centre of a pixel is its corner.
@row("compat.v1.image.resize", spec=specs.resized_first)
def resize_first(
    images: Any,
    size: Any,
    method: Any = 0,
    align_corners: bool = False,
    preserve_aspect_ratio: bool = False,
) -> Any:
    if preserve_aspect_ratio:
        raise ValueError("tf.compat.v1.image.resize: expected preserve_aspect_ratio=False, found True")
    return resized(images, size, _METHODS.get(method, method), False, align_corners, False)


_NODE = "(images, size; align_corners, half_pixel_centers)"


@row("", f"ResizeBicubic{_NODE}", own=False, spec=specs.resized_first)
def resize_bicubic(images: Any, size: Any, align_corners: bool = False, half_pixel_centers: bool = False) -> Any:
    return resized(images, size, "bicubic", False, align_corners, half_pixel_centers)


@row("compat.v1.image.resize_bilinear", f"ResizeBilinear{_NODE}", spec=specs.resized)
def resize_bilinear(images: Any, size: Any, align_corners: bool = False, half_pixel_centers: bool = False) -> Any:
    return resized(images, size, "bilinear", False, align_corners, half_pixel_centers)


@row("compat.v1.image.resize_nearest_neighbor", f"ResizeNearestNeighbor{_NODE}", spec=specs.resized_nearest)
def resize_nearest(images: Any, size: Any, align_corners: bool = False, half_pixel_centers: bool = False) -> Any:
    return resized(images, size, "nearest", False, align_corners, half_pixel_centers)
