"""Activations, normalization, dropout."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kio.ops import stock
from kio.ops.linalg import distances
from kio.ops.table import Function, row
from kio.ops.values import last, tensor


def _of_one(apply: str) -> Function:
    def run(features: Any) -> Any:
        return getattr(ops, apply)(tensor(features))

    return run


for _names, _node, _class, _apply in (
    ("nn.relu", "Relu", "Relu", "relu"),
    ("nn.relu6", "Relu6", "Relu6", "relu6"),
    ("nn.elu", "Elu", "Elu", "elu"),
    ("nn.selu", "Selu", "Selu", "selu"),
    ("nn.sigmoid math.sigmoid sigmoid", "Sigmoid", "Sigmoid", "sigmoid"),
    ("nn.softplus math.softplus", "Softplus", "Softplus", "softplus"),
    ("nn.softsign", "Softsign", "Softsign", "softsign"),
):
    row(_names, f"{_node}(features)", stock=stock.unary(_class, stock.NN), own=False)(_of_one(_apply))
row("math.log_sigmoid", stock=stock.unary("LogSigmoid", stock.NN), own=False)(_of_one("log_sigmoid"))


def _softmax(apply: str) -> Function:
    def run(logits: Any, axis: Any = None) -> Any:
        return getattr(ops, apply)(tensor(logits), axis=-1 if axis is None else axis)

    return run


row("nn.softmax", "Softmax(logits)", stock=stock.softmax("Softmax"), own=False)(_softmax("softmax"))
row("nn.log_softmax", "LogSoftmax(logits)", stock=stock.softmax("LogSoftmax"), own=False)(_softmax("log_softmax"))


@row("nn.leaky_relu", "LeakyRelu(features; alpha)",
     stock=stock.having("LeakyRelu", stock.NN, negative_slope=("alpha", 0.2)), own=False)  # fmt: skip
def leaky_relu(features: Any, alpha: float = 0.2) -> Any:
    return ops.leaky_relu(tensor(features), negative_slope=alpha)


@row("nn.gelu", stock=stock.having("Gelu", stock.NN, approximate=("approximate", False)), own=False)
def gelu(features: Any, approximate: bool = False) -> Any:
    return ops.gelu(tensor(features), approximate=approximate)


@row("nn.silu nn.swish", stock=stock.silu)
def silu(features: Any, beta: float = 1.0) -> Any:
    return ops.multiply(features, ops.sigmoid(ops.multiply(beta, features)))


@row("nn.crelu compat.v1.nn.crelu")
def crelu(features: Any, axis: int = -1) -> Any:
    return ops.relu(ops.concatenate([features, ops.negative(features)], axis=axis))


@row("nn.bias_add", "BiasAdd(value, bias; data_format)", stock=stock.binary("Add"), own=False)
def bias_add(value: Any, bias: Any, data_format: Any = None) -> Any:
    value = tensor(value)
    bias = tensor(bias, like=value)
    if str(data_format or "N").startswith("NC"):
        bias = ops.reshape(bias, (-1, *[1] * (len(value.shape) - 2)))
    # Not added: see kio.layers.first.
    return ops.subtract(value, ops.negative(bias))


@row("nn.dropout")
def dropout(x: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    if noise_shape is not None:
        raise ValueError(f"tf.nn.dropout: expected no noise_shape, found {noise_shape}")
    if rate:
        # TensorFlow's function drops in every call, not in training only.
        return keras.random.dropout(x, rate)
    return x


@row(
    "compat.v1.nn.fused_batch_norm",
    *(
        f"{each}(x, scale, offset, mean, variance; epsilon=0.0001, is_training, data_format, exponential_avg_factor)"
        for each in ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
    ),
)
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


@row("nn.local_response_normalization nn.lrn", "LRN(input; depth_radius, bias, alpha, beta)")
def local_response_normalization(
    input: Any, depth_radius: int = 5, bias: float = 1, alpha: float = 1, beta: float = 0.5
) -> Any:
    n = input.shape[-1]
    near = ops.cast(ops.less_equal(ops.absolute(distances(n, n)), depth_radius), input.dtype)
    total = ops.matmul(ops.square(input), near)
    return input / ops.power(bias + alpha * total, beta)
