"""Windows that move over images: convolutions and pooling with fixed kernels, blocks of pixels."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kio.limits import TABLE_ITEMS
from kio.ops.averages import averaged
from kio.ops.table import row
from kio.ops.values import last, sizes, tensor


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


for _rank, _names, _suffix in (
    (1, "nn.{0}_pool1d", None),
    (2, "nn.{0}_pool2d nn.{0}_pool compat.v1.nn.{0}_pool", ""),
    (3, "nn.{0}_pool3d", "3D"),
):
    for _kind in ("max", "avg"):
        _node = f"{_kind.capitalize()}Pool{_suffix}(input; ksize, strides, padding, data_format)"
        row(_names.format(_kind), *([] if _suffix is None else [_node]))(_pool(_kind, _rank))


@row("compat.v1.nn.pool nn.pool")
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


_NODE = "(input, filters; strides, padding, data_format, dilations)"
row("compat.v1.nn.conv1d nn.conv1d")(_conv(1))
row("compat.v1.nn.conv2d nn.conv2d compat.v1.nn.convolution nn.convolution", f"Conv2D{_NODE}")(_conv(2))
row("nn.conv3d compat.v1.nn.conv3d", f"Conv3D{_NODE}")(_conv(3))


def _depthwise(input: Any, filter: Any, *arguments: Any, **options: Any) -> Any:
    """A kernel with one slice for each channel, also where a computed one does not say how many."""
    if not isinstance(filter, keras.KerasTensor) or not isinstance(input, keras.KerasTensor):
        return None
    shape = list(filter.shape)
    shape[2] = input.shape[-1]
    return depthwise_conv2d(input, keras.KerasTensor(tuple(shape), filter.dtype), *arguments, **options)


@row(
    "compat.v1.nn.depthwise_conv2d nn.depthwise_conv2d",
    "DepthwiseConv2dNative(input, filter; strides, padding, data_format, dilations)",
    spec=_depthwise,
)
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


@row("compat.v1.nn.separable_conv2d nn.separable_conv2d")
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


@row(
    "nn.conv2d_transpose compat.v1.nn.conv2d_transpose",
    "Conv2DBackpropInput(output_shape, filters, input; strides, padding, data_format, dilations)",
)
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
    wanted = tuple(sizes(output_shape))
    if tuple(made.shape[1:]) != wanted[1:] or any(n != 1 for n in dilations or ()):
        raise ValueError(f"tf.nn.conv2d_transpose: expected an output of {tuple(made.shape)}, found {wanted}")
    return made


@row("space_to_batch_nd compat.v1.space_to_batch_nd", "SpaceToBatchND(input, block_shape, paddings)")
def space_to_batch(input: Any, block_shape: Any, paddings: Any) -> Any:
    x = ops.pad(input, [[0, 0], *paddings, [0, 0]])
    _, h, w, c = x.shape
    m, n = block_shape
    x = ops.reshape(x, (-1, h // m, m, w // n, n, c))
    return ops.reshape(ops.transpose(x, (2, 4, 0, 1, 3, 5)), (-1, h // m, w // n, c))


@row("compat.v1.batch_to_space_nd batch_to_space batch_to_space_nd", "BatchToSpaceND(input, block_shape, crops)")
def batch_to_space(input: Any, block_shape: Any, crops: Any) -> Any:
    _, h, w, c = input.shape
    m, n = block_shape
    x = ops.reshape(input, (m, n, -1, h, w, c))
    x = ops.reshape(ops.transpose(x, (2, 3, 0, 4, 1, 5)), (-1, h * m, w * n, c))
    (top, bottom), (left, right) = crops
    return x[:, top : h * m - bottom, left : w * n - right, :]


@row("depth_to_space nn.depth_to_space compat.v1.depth_to_space", "DepthToSpace(input; block_size, data_format)")
def depth_to_space(input: Any, block_size: int, data_format: str = "NHWC") -> Any:
    last(data_format)
    _, h, w, c = input.shape
    n = block_size
    x = ops.reshape(input, (-1, h, w, n, n, c // (n * n)))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, h * n, w * n, c // (n * n)))


@row("space_to_depth nn.space_to_depth compat.v1.space_to_depth", "SpaceToDepth(input; block_size, data_format)")
def space_to_depth(input: Any, block_size: int, data_format: str = "NHWC") -> Any:
    last(data_format)
    _, h, w, c = input.shape
    n = block_size
    x = ops.reshape(input, (-1, h // n, n, w // n, n, c))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, h // n, w // n, n * n * c))


@row("image.extract_patches", "ExtractImagePatches(images; ksizes>sizes, strides, rates, padding)")
def extract_patches(images: Any, sizes: Any, strides: Any, rates: Any, padding: Any) -> Any:
    n = sizes[1] * sizes[2] * images.shape[-1]
    if n * n > TABLE_ITEMS:
        raise ValueError(f"tf.image.extract_patches: expected at most {TABLE_ITEMS} weights, found {n} by {n}")
    kernel = np.eye(n, dtype="float32").reshape(sizes[1], sizes[2], images.shape[-1], n)
    return ops.conv(
        images, tensor(kernel, like=images), _inner(strides), _padding(padding), "channels_last", _inner(rates)
    )
