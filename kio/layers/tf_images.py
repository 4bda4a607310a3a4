"""Images for ``TFFunction``: convolutions and pooling with fixed kernels, crops, colours, sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from kio.layers.pools import averaged
from kio.layers.resize import resized
from kio.layers.tf_arrays import last
from kio.layers.tf_function import named, tensor
from kio.layers.tf_math import distances
from kio.limits import TABLE_ITEMS


def _inner(value: Any, rank: int = 2) -> Any:
    """Sizes of the middle dimensions: 2, [2, 2] or [1, 2, 2, 1] in TensorFlow."""
    if value is None:
        return 1
    if isinstance(value, (list, tuple)):
        value = list(value)
        value = value[1:-1] if len(value) == rank + 2 else value
        return tuple(value) if len(value) > 1 else value[0]
    return value


def _padding(value: Any) -> str:
    if not isinstance(value, str) or value.lower() not in ("same", "valid"):
        raise ValueError(f"padding: expected SAME or VALID, found {value}")
    return value.lower()


def _window(strides: Any, padding: Any, data_format: Any, rank: int = 2) -> tuple[Any, str, str]:
    """How a window moves, as Keras's operations take it."""
    last(data_format)
    return _inner(strides, rank), _padding(padding), "channels_last"


def _pool(apply: str, rank: int) -> Any:
    def pool(input: Any, ksize: Any, strides: Any, padding: Any, data_format: Any = None) -> Any:
        function = ops.max_pool if apply == "max" else averaged
        return function(input, _inner(ksize, rank), *_window(strides, padding, data_format, rank))

    return pool


for _rank, _names in ((1, "nn.{}_pool1d"), (2, "nn.{}_pool2d nn.{}_pool compat.v1.nn.{}_pool"), (3, "nn.{}_pool3d")):
    for _kind in ("max", "avg"):
        named(*_names.format(*[_kind] * 3).split())(_pool(_kind, _rank))


@named("compat.v1.nn.pool", "nn.pool")
def pool(
    input: Any,
    window_shape: Any,
    pooling_type: str,
    strides: Any = None,
    padding: Any = "VALID",
    data_format: Any = None,
    dilation_rate: Any = None,
    dilations: Any = None,
) -> Any:
    if any(n != 1 for n in (dilation_rate or dilations or [])):
        raise ValueError("tf.nn.pool: expected no dilation")
    function = ops.max_pool if pooling_type == "MAX" else averaged
    return function(input, tuple(window_shape), *_window(strides, padding, data_format, len(window_shape)))


def _conv(rank: int) -> Any:
    def conv(
        input: Any,
        filters: Any = None,
        strides: Any = None,
        padding: Any = "VALID",
        data_format: Any = None,
        dilations: Any = None,
        filter: Any = None,
        stride: Any = None,
        dilation_rate: Any = None,
    ) -> Any:
        kernel = tensor(filters if filters is not None else filter, like=input)
        window = _window(strides if strides is not None else stride, padding, data_format, rank)
        return ops.conv(input, kernel, *window, _inner(dilations or dilation_rate, rank))

    return conv


named("compat.v1.nn.conv1d", "nn.conv1d")(_conv(1))
named("compat.v1.nn.conv2d", "nn.conv2d", "compat.v1.nn.convolution", "nn.convolution")(_conv(2))
named("nn.conv3d", "compat.v1.nn.conv3d")(_conv(3))


@named("compat.v1.nn.depthwise_conv2d", "nn.depthwise_conv2d")
def depthwise_conv2d(
    input: Any,
    filter: Any,
    strides: Any,
    padding: Any,
    rate: Any = None,
    data_format: Any = None,
    dilations: Any = None,
) -> Any:
    window = _window(strides, padding, data_format)
    return ops.depthwise_conv(input, tensor(filter, like=input), *window, _inner(rate or dilations))


@named("compat.v1.nn.separable_conv2d", "nn.separable_conv2d")
def separable_conv2d(
    input: Any,
    depthwise_filter: Any,
    pointwise_filter: Any,
    strides: Any,
    padding: Any,
    rate: Any = None,
    data_format: Any = None,
    dilations: Any = None,
) -> Any:
    made = depthwise_conv2d(input, depthwise_filter, strides, padding, rate, data_format, dilations)
    return ops.conv(made, tensor(pointwise_filter, like=input), 1, "valid", "channels_last")


@named("nn.conv2d_transpose", "compat.v1.nn.conv2d_transpose")
def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: Any = "SAME",
    data_format: Any = "NHWC",
    dilations: Any = None,
) -> Any:
    steps, edges, layout = _window(strides, padding, data_format)
    made = ops.conv_transpose(input, tensor(filters, like=input), steps, edges, None, layout, 1)
    if tuple(made.shape[1:]) != tuple(output_shape[1:]) or dilations is not None:
        raise ValueError(
            f"tf.nn.conv2d_transpose: expected an output of {tuple(made.shape)}, found {tuple(output_shape)}"
        )
    return made


@named("space_to_batch_nd", "compat.v1.space_to_batch_nd")
def space_to_batch(input: Any, block_shape: Any, paddings: Any) -> Any:
    x = ops.pad(input, [[0, 0], *paddings, [0, 0]])
    _, h, w, c = x.shape
    m, n = block_shape
    x = ops.reshape(x, (-1, h // m, m, w // n, n, c))
    return ops.reshape(ops.transpose(x, (2, 4, 0, 1, 3, 5)), (-1, h // m, w // n, c))


@named("compat.v1.batch_to_space_nd", "batch_to_space", "batch_to_space_nd")
def batch_to_space(input: Any, block_shape: Any, crops: Any) -> Any:
    _, h, w, c = input.shape
    m, n = block_shape
    x = ops.reshape(input, (m, n, -1, h, w, c))
    x = ops.reshape(ops.transpose(x, (2, 3, 0, 4, 1, 5)), (-1, h * m, w * n, c))
    (top, bottom), (left, right) = crops
    return x[:, top : h * m - bottom, left : w * n - right, :]


@named("compat.v1.nn.fused_batch_norm")
def fused_batch_norm(
    x: Any,
    scale: Any,
    offset: Any,
    mean: Any,
    variance: Any,
    epsilon: float = 0.001,
    is_training: bool = True,
    data_format: str = "NHWC",
    exponential_avg_factor: float = 1.0,
) -> Any:
    last(data_format)
    if is_training:
        raise ValueError("tf.nn.fused_batch_norm: expected is_training=False, found True")
    mean, variance = tensor(mean, like=x), tensor(variance, like=x)
    made = (x - mean) / ops.sqrt(variance + epsilon) * tensor(scale, like=x) + tensor(offset, like=x)
    return made, mean, variance


@named("nn.local_response_normalization", "nn.lrn")
def local_response_normalization(
    input: Any, depth_radius: int = 5, bias: float = 1, alpha: float = 1, beta: float = 0.5
) -> Any:
    n = input.shape[-1]
    near = ops.cast(ops.less_equal(ops.absolute(distances(n, n)), depth_radius), input.dtype)
    total = ops.matmul(ops.square(input), near)
    return input / ops.power(bias + alpha * total, beta)


# ---------------------------------------------------------------------- images


@named("image.flip_left_right")
def flip_left_right(image: Any) -> Any:
    return ops.flip(image, -2)


@named("image.flip_up_down")
def flip_up_down(image: Any) -> Any:
    return ops.flip(image, -3)


@named("image.transpose")
def transpose(image: Any) -> Any:
    return ops.swapaxes(image, -2, -3)


@named("image.rot90")
def rot90(image: Any, k: int = 1) -> Any:
    for _ in range(k % 4):
        image = ops.flip(ops.swapaxes(image, -2, -3), -3)
    return image


@named("image.adjust_brightness")
def adjust_brightness(image: Any, delta: float) -> Any:
    return ops.add(image, delta)


@named("image.adjust_contrast")
def adjust_contrast(images: Any, contrast_factor: float) -> Any:
    mean = ops.mean(images, axis=(-3, -2), keepdims=True)
    return (images - mean) * contrast_factor + mean


@named("image.per_image_standardization")
def per_image_standardization(image: Any) -> Any:
    pixels = float(np.prod(image.shape[-3:]))
    mean = ops.mean(image, axis=(-3, -2, -1), keepdims=True)
    deviation = ops.sqrt(ops.mean(ops.square(image - mean), axis=(-3, -2, -1), keepdims=True))
    return (image - mean) / ops.maximum(deviation, 1.0 / pixels**0.5)


@named("image.rgb_to_grayscale")
def rgb_to_grayscale(images: Any) -> Any:
    return ops.expand_dims(ops.tensordot(images, tensor([0.2989, 0.5870, 0.1140], like=images), axes=1), -1)


@named("image.grayscale_to_rgb")
def grayscale_to_rgb(images: Any) -> Any:
    return ops.concatenate([images] * 3, axis=-1)


@named("image.crop_to_bounding_box")
def crop(image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int) -> Any:
    return image[..., offset_height : offset_height + target_height, offset_width : offset_width + target_width, :]


@named("image.pad_to_bounding_box")
def pad(image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int) -> Any:
    h, w = image.shape[-3:-1]
    widths = [
        [offset_height, target_height - h - offset_height],
        [offset_width, target_width - w - offset_width],
        [0, 0],
    ]
    return ops.pad(image, [[0, 0]] * (len(image.shape) - 3) + widths)


@named("image.central_crop")
def central_crop(image: Any, central_fraction: float) -> Any:
    h, w = image.shape[-3:-1]
    top, left = int((h - h * central_fraction) / 2), int((w - w * central_fraction) / 2)
    return crop(image, top, left, h - 2 * top, w - 2 * left)


@named("image.extract_patches")
def extract_patches(images: Any, sizes: Any, strides: Any, rates: Any, padding: Any) -> Any:
    n = sizes[1] * sizes[2] * images.shape[-1]
    if n * n > TABLE_ITEMS:
        raise ValueError(f"tf.image.extract_patches: expected at most {TABLE_ITEMS} weights, found {n} by {n}")
    kernel = np.eye(n, dtype="float32").reshape(sizes[1], sizes[2], images.shape[-1], n)
    return ops.conv(
        images, tensor(kernel, like=images), _inner(strides), _padding(padding), "channels_last", _inner(rates)
    )


@named("image.resize", "compat.v1.image.resize")
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


@named("compat.v1.image.resize_bilinear")
def resize_bilinear(images: Any, size: Any, align_corners: bool = False, half_pixel_centers: bool = False) -> Any:
    return resized(images, size, "bilinear", False, align_corners, half_pixel_centers)


@named("compat.v1.image.resize_nearest_neighbor")
def resize_nearest(images: Any, size: Any, align_corners: bool = False, half_pixel_centers: bool = False) -> Any:
    return resized(images, size, "nearest", False, align_corners, half_pixel_centers)
