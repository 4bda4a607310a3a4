"""Which layers there are, and random arguments for them.  Imports neither Keras nor kio.

Each row says what a layer or an operation takes: ``make(dice, shape)`` gives arguments for an
input of this shape (without the batch), or None where it takes none of the kind.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Args = dict[str, Any]
Make = Callable[[random.Random, tuple[int, ...]], "Args | None"]

ACTIVATIONS = ["relu", "tanh", "sigmoid", "linear", "elu", "selu", "softplus", "softsign", "swish", "gelu",
               "hard_sigmoid", "softmax", "exponential"]  # fmt: skip
SMOOTH = ["tanh", "sigmoid", "linear", "softsign", "elu"]


def maybe(dice: random.Random, chance: float, **args: Any) -> Args:
    """Each argument with this chance; those that are functions are called for their value."""
    return {k: (v() if callable(v) else v) for k, v in args.items() if dice.random() < chance}


def regularizer(d: random.Random) -> Args:
    name = d.choice(["L1", "L2", "L1L2"])
    args = {"L1": {"l1": 0.02}, "L2": {"l2": 0.03}, "L1L2": {"l1": 0.01, "l2": 0.02}}[name]
    return {"obj": f"regularizers.{name}", "args": args}


def constraint(d: random.Random) -> Args:
    return d.choice(
        [
            {"obj": "constraints.MaxNorm", "args": {"max_value": 0.9, "axis": 0}},
            {"obj": "constraints.NonNeg", "args": {}},
            {"obj": "constraints.UnitNorm", "args": {"axis": 0}},
            {"obj": "constraints.MinMaxNorm", "args": {"min_value": 0.3, "max_value": 1.0, "rate": 0.9, "axis": 0}},
        ]
    )


def weighted(d: random.Random, *kernels: str, bias: str = "use_bias", activity: bool = True) -> Args:
    """Arguments that most layers with weights have."""
    found = maybe(d, 0.3, **({bias: lambda: d.random() < 0.5} if bias else {}))
    for kernel in kernels:
        found |= maybe(d, 0.08, **{f"{kernel}_regularizer": lambda: regularizer(d)})
        found |= maybe(d, 0.06, **{f"{kernel}_constraint": lambda: constraint(d)})
        found |= maybe(d, 0.06, **{f"{kernel}_initializer": lambda: d.choice(["he_normal", "ones", "random_normal"])})
    if activity:
        found |= maybe(d, 0.08, activity_regularizer=lambda: regularizer(d))
    found |= maybe(d, 0.04, trainable=False)
    return found


def activation(d: random.Random, chance: float = 0.5) -> Args:
    return maybe(d, chance, activation=lambda: d.choice(ACTIVATIONS))


def size(d: random.Random, rank: int, low: int = 1, high: int = 3) -> Any:
    return d.randint(low, high) if d.random() < 0.5 else [d.randint(low, high) for _ in range(rank)]


def convolution(rank: int, kind: str = "") -> Make:
    def make(d: random.Random, shape: tuple[int, ...]) -> Args | None:
        if len(shape) != rank + 1:
            return None
        args: Args = {"kernel_size": size(d, rank)}
        if kind != "depthwise":
            args["filters"] = d.randint(1, 4)
        paddings = ["valid", "same"] + (["causal"] if rank == 1 and kind in ("", "separable") else [])
        args |= maybe(d, 0.6, padding=lambda: d.choice(paddings))
        if d.random() < 0.5:
            n = d.randint(1, 2 if kind else 3)
            key = "strides" if d.random() < 0.6 or kind == "transposed" else "dilation_rate"
            args[key] = n if d.random() < 0.5 or kind in ("depthwise", "separable") else [n] * rank
        if kind in ("depthwise", "separable"):
            args |= maybe(d, 0.4, depth_multiplier=lambda: d.randint(1, 2))
        if kind == "transposed" and d.random() < 0.2 and args.get("strides") in (2, [2] * rank):
            args["output_padding"] = 1
        if kind == "" and d.random() < 0.15 and shape[-1] % 2 == 0:
            args |= {"groups": 2, "filters": 4}
        names = {"": ["kernel"], "transposed": ["kernel"], "depthwise": ["depthwise"]}
        return {**args, **activation(d), **weighted(d, *names.get(kind, ["depthwise", "pointwise"]))}

    return make


def pooling(rank: int) -> Make:
    def make(d: random.Random, shape: tuple[int, ...]) -> Args | None:
        if len(shape) != rank + 1:
            return None
        return {
            "pool_size": size(d, rank, 1, 3),
            **maybe(d, 0.5, strides=lambda: size(d, rank, 1, 3)),
            **maybe(d, 0.6, padding=lambda: d.choice(["same", "same", "valid"])),
        }

    return make


def of_rank(rank: int, args: Callable[[random.Random, tuple[int, ...]], Args]) -> Make:
    return lambda d, shape: args(d, shape) if len(shape) == rank else None


def any_rank(args: Callable[[random.Random, tuple[int, ...]], Args], least: int = 1, most: int = 4) -> Make:
    return lambda d, shape: args(d, shape) if least <= len(shape) <= most else None


def _recurrent_args(d: random.Random, name: str) -> Args:
    args: Args = {"units": d.randint(1, 4)}
    args |= maybe(d, 0.25, activation=lambda: d.choice(SMOOTH))
    if name != "SimpleRNN":
        args |= maybe(d, 0.25, recurrent_activation=lambda: d.choice(["sigmoid", "hard_sigmoid", "tanh"]))
    if name == "GRU":
        args |= maybe(d, 0.4, reset_after=lambda: d.random() < 0.5)
    if name == "LSTM":
        args |= maybe(d, 0.2, unit_forget_bias=False)
    args |= maybe(d, 0.1, implementation=lambda: d.choice([1, 2]))
    return args


def recurrent(name: str) -> Make:
    def make(d: random.Random, shape: tuple[int, ...]) -> Args | None:
        if len(shape) != 2:
            return None
        args = {**_recurrent_args(d, name), **weighted(d, "kernel", "recurrent")}
        args |= maybe(d, 0.6, return_sequences=True)
        args |= maybe(d, 0.25, return_state=True)
        args |= maybe(d, 0.3, go_backwards=True)
        args |= maybe(d, 0.25, unroll=True)
        args |= maybe(d, 0.1, zero_output_for_mask=True)
        return args

    return make


def cells(d: random.Random, shape: tuple[int, ...]) -> Args | None:
    if len(shape) != 2:
        return None
    made = []
    for _ in range(d.randint(1, 2)):
        name = d.choice(["LSTM", "GRU", "SimpleRNN"])
        args = _recurrent_args(d, name)
        args.pop("implementation", None)
        made.append({"cls": f"{name}Cell", "args": args})
    options = maybe(d, 0.6, return_sequences=True) | maybe(d, 0.25, go_backwards=True) | maybe(d, 0.2, unroll=True)
    return {"cells": made, **options, **maybe(d, 0.2, return_state=True), **maybe(d, 0.15, zero_output_for_mask=True)}


def bidirectional(d: random.Random, shape: tuple[int, ...]) -> Args | None:
    if len(shape) != 2:
        return None
    name = d.choice(["LSTM", "GRU", "SimpleRNN"])
    inner = recurrent(name)(d, shape) or {}
    inner.pop("activity_regularizer", None)
    args: Args = {"layer": {"cls": name, "args": inner}}
    args |= maybe(d, 0.6, merge_mode=lambda: d.choice(["concat", "sum", "mul", "ave", None]))
    if d.random() < 0.15:
        args["backward_layer"] = {"cls": name, "args": {**inner, "go_backwards": not inner.get("go_backwards", False)}}
    return args


def distributed(d: random.Random, shape: tuple[int, ...]) -> Args | None:
    if len(shape) < 2:
        return None
    inside = [
        name
        for name, ranks, weight in ROWS
        if name not in ("TimeDistributed", "MultiHeadAttention", "RNN", "Masking", "Embedding") and weight
    ]
    for _ in range(20):
        name = d.choice(inside)
        make = next(m for n, m, _ in ROWS if n == name)
        args = make(d, shape[1:])
        if args is not None:
            args.pop("return_state", None)
            return {"layer": {"cls": name, "args": args}}
    return None


def attention(d: random.Random, shape: tuple[int, ...]) -> Args | None:
    return maybe(d, 0.4, use_scale=lambda: d.random() < 0.5) if len(shape) == 2 else None


def heads(d: random.Random, shape: tuple[int, ...]) -> Args | None:
    if len(shape) not in (2, 3):
        return None
    return {
        "num_heads": d.randint(1, 2),
        "key_dim": d.randint(1, 3),
        **maybe(d, 0.3, value_dim=lambda: d.randint(1, 3)),
        **maybe(d, 0.2, output_shape=lambda: d.randint(1, 4)),
        **(maybe(d, 0.3, attention_axes=lambda: d.choice([[1], [2], [1, 2]])) if len(shape) == 3 else {}),
        **weighted(d, "kernel", activity=False),
    }


def normalization(d: random.Random, shape: tuple[int, ...]) -> Args:
    axis = maybe(d, 0.25, axis=lambda: d.randint(1, len(shape)))
    return {
        **axis,
        **maybe(d, 0.4, momentum=lambda: d.choice([0.5, 0.9])),
        **maybe(d, 0.4, epsilon=lambda: d.choice([0.01, 0.1])),
        **maybe(d, 0.2, center=False),
        **maybe(d, 0.2, scale=False),
        **maybe(d, 0.08, trainable=False),
        **maybe(d, 0.06, gamma_regularizer=lambda: regularizer(d)),
    }


def layer_normalization(d: random.Random, shape: tuple[int, ...]) -> Args:
    axes = sorted(d.sample(range(1, len(shape) + 1), d.randint(1, len(shape))))
    return {
        **maybe(d, 0.4, axis=lambda: axes if d.random() < 0.6 else axes[0]),
        **maybe(d, 0.6, epsilon=lambda: d.choice([0.01, 0.1])),
        **maybe(d, 0.2, center=False),
        **maybe(d, 0.2, scale=False),
    }


def group_normalization(d: random.Random, shape: tuple[int, ...]) -> Args:
    return {"groups": d.choice([-1, 1, 2]), "epsilon": 0.05, **maybe(d, 0.2, axis=lambda: d.randint(1, len(shape)))}


def reshape(d: random.Random, shape: tuple[int, ...]) -> Args:
    n = 1
    for each in shape:
        n *= each
    a = d.choice([k for k in range(1, n + 1) if n % k == 0])
    found = [a, n // a] if d.random() < 0.6 else [a, n // a, 1]
    if d.random() < 0.3:
        found[d.randrange(2)] = -1
    return {"target_shape": found}


def permute(d: random.Random, shape: tuple[int, ...]) -> Args:
    dims = list(range(1, len(shape) + 1))
    d.shuffle(dims)
    return {"dims": dims}


def border(rank: int, high: int) -> Callable[[random.Random, tuple[int, ...]], Args]:
    def make(d: random.Random, shape: tuple[int, ...]) -> Args:
        key = "cropping" if high == 1 else "padding"
        if rank == 1:
            return {key: d.choice([1, [0, 1], [1, 0]])}
        both = [[d.randint(0, high), d.randint(0, high)] for _ in range(rank)]
        return {key: d.choice([1, [d.randint(0, high) for _ in range(rank)], both])}

    return make


def dense(d: random.Random, shape: tuple[int, ...]) -> Args:
    return {"units": d.randint(1, 4), **activation(d), **weighted(d, "kernel")}


def einsum(d: random.Random, shape: tuple[int, ...]) -> Args | None:
    units = d.randint(1, 4)
    if len(shape) == 1:
        return {"equation": "ab,bc->ac", "output_shape": units, **maybe(d, 0.5, bias_axes="c")}
    if len(shape) == 2:
        one: Args = {"equation": "abc,cd->abd", "output_shape": [None, units], **maybe(d, 0.5, bias_axes="d")}
        two: Args = {"equation": "...x,xy->...y", "output_shape": units, **maybe(d, 0.5, bias_axes="y")}
        return {**d.choice([one, two]), **activation(d, 0.3)}
    return None


def relu(d: random.Random, shape: tuple[int, ...]) -> Args:
    return {
        **maybe(d, 0.5, max_value=lambda: d.choice([1.0, 6.0])),
        **maybe(d, 0.5, negative_slope=0.1),
        **maybe(d, 0.4, threshold=0.2),
    }


def prelu(d: random.Random, shape: tuple[int, ...]) -> Args:
    return maybe(d, 0.5, shared_axes=lambda: d.sample(range(1, len(shape) + 1), d.randint(1, len(shape))))


def softmax(d: random.Random, shape: tuple[int, ...]) -> Args:
    return maybe(d, 0.4, axis=lambda: d.choice([-1, 1, *([[1, 2]] if len(shape) > 1 else [])]))


def numbers(d: random.Random, shape: tuple[int, ...]) -> Args:
    n = shape[-1]
    mean, variance = [d.choice([0.0, 0.5, -1.0]) for _ in range(n)], [d.choice([0.5, 2.0]) for _ in range(n)]
    return {"mean": mean, "variance": variance, **maybe(d, 0.2, invert=True)}


def conv_lstm(rank: int) -> Make:
    def make(d: random.Random, shape: tuple[int, ...]) -> Args | None:
        if len(shape) != rank + 2:
            return None
        args: Args = {"filters": d.randint(1, 3), "kernel_size": size(d, rank, 1, 2)}
        args |= maybe(d, 0.5, padding="same") | maybe(d, 0.5, return_sequences=True) | maybe(d, 0.2, return_state=True)
        args |= maybe(d, 0.2, go_backwards=True) | maybe(d, 0.2, strides=2)
        return {**args, **maybe(d, 0.3, activation=lambda: d.choice(SMOOTH)), **weighted(d, "kernel", "recurrent")}

    return make


def local(rank: int) -> Make:
    def make(d: random.Random, shape: tuple[int, ...]) -> Args | None:
        if len(shape) != rank + 1:
            return None
        args: Args = {"filters": d.randint(1, 3), "kernel_size": size(d, rank, 1, 2)}
        args |= maybe(d, 0.3, strides=lambda: size(d, rank, 1, 2)) | maybe(
            d, 0.3, implementation=lambda: d.randint(1, 3)
        )
        return {**args, **activation(d), **weighted(d, "kernel")}

    return make


def nothing(d: random.Random, shape: tuple[int, ...]) -> Args:
    return {}


def sampling(rank: int) -> Make:
    def make(d: random.Random, shape: tuple[int, ...]) -> Args:
        more = maybe(d, 0.4, interpolation=lambda: d.choice(["nearest", "bilinear", "bicubic"])) if rank == 2 else {}
        return {"size": d.randint(1, 2) if rank == 1 else size(d, rank, 1, 2), **more}

    return of_rank(rank + 1, make)


def resizing(d: random.Random, shape: tuple[int, ...]) -> Args:
    ways = ["nearest", "bilinear", "area", "bicubic"]
    return {
        "height": d.randint(2, 7),
        "width": d.randint(2, 7),
        **maybe(d, 0.5, interpolation=lambda: d.choice(ways)),
        **maybe(d, 0.3, crop_to_aspect_ratio=True),
    }


def penalty(d: random.Random, shape: tuple[int, ...]) -> Args:
    return {"l1": d.choice([0.0, 0.02]), "l2": d.choice([0.01, 0.03])}


# Layers with one input: name, arguments, how often.
ROWS: list[tuple[str, Make, int]] = [
    ("Dense", any_rank(dense), 8),
    ("EinsumDense", any_rank(einsum, most=2), 2),
    ("Activation", any_rank(lambda d, s: {"activation": d.choice(ACTIVATIONS)}), 3),
    ("LeakyReLU", any_rank(lambda d, s: maybe(d, 0.5, alpha=0.2)), 1),
    ("ELU", any_rank(lambda d, s: maybe(d, 0.5, alpha=0.7)), 1),
    ("ThresholdedReLU", any_rank(lambda d, s: maybe(d, 0.5, theta=0.3)), 1),
    ("ReLU", any_rank(relu), 1),
    ("PReLU", any_rank(prelu), 1),
    ("Softmax", any_rank(softmax), 2),
    ("Dropout", any_rank(lambda d, s: {"rate": 0.0}), 1),
    ("GaussianNoise", any_rank(lambda d, s: {"stddev": 0.0}), 1),
    ("GaussianDropout", any_rank(lambda d, s: {"rate": 0.0}), 1),
    ("AlphaDropout", any_rank(lambda d, s: {"rate": 0.0}), 1),
    ("SpatialDropout1D", of_rank(2, lambda d, s: {"rate": 0.0}), 1),
    ("ActivityRegularization", any_rank(penalty), 1),
    ("BatchNormalization", any_rank(normalization), 4),
    ("LayerNormalization", any_rank(layer_normalization), 3),
    ("GroupNormalization", any_rank(group_normalization, least=2), 1),
    ("UnitNormalization", any_rank(lambda d, s: maybe(d, 0.3, axis=lambda: d.randint(1, len(s)))), 1),
    ("Normalization", any_rank(numbers), 1),
    ("Rescaling", any_rank(lambda d, s: {"scale": 0.5, "offset": d.choice([0.0, -0.3])}), 1),
    ("Flatten", any_rank(nothing, least=2), 2),
    ("Reshape", any_rank(reshape, most=3), 2),
    ("Permute", any_rank(permute, least=2, most=3), 2),
    ("RepeatVector", of_rank(1, lambda d, s: {"n": d.randint(2, 4)}), 2),
    ("Masking", any_rank(lambda d, s: maybe(d, 0.2, mask_value=1.0), least=2, most=3), 2),
    ("Conv1D", convolution(1), 4),
    ("Conv2D", convolution(2), 5),
    ("Conv3D", convolution(3), 2),
    ("Conv1DTranspose", convolution(1, "transposed"), 2),
    ("Conv2DTranspose", convolution(2, "transposed"), 2),
    ("Conv3DTranspose", convolution(3, "transposed"), 1),
    ("DepthwiseConv1D", convolution(1, "depthwise"), 1),
    ("DepthwiseConv2D", convolution(2, "depthwise"), 2),
    ("SeparableConv1D", convolution(1, "separable"), 2),
    ("SeparableConv2D", convolution(2, "separable"), 2),
    ("LocallyConnected1D", local(1), 1),
    ("LocallyConnected2D", local(2), 1),
    *((f"{kind}Pooling{rank}D", pooling(rank), 2) for kind in ("Max", "Average") for rank in (1, 2, 3)),
    *((f"Global{kind}Pooling{rank}D", of_rank(rank + 1, lambda d, s: maybe(d, 0.2, keepdims=True)), 2)
      for kind in ("Max", "Average") for rank in (1, 2, 3)),
    *((f"UpSampling{rank}D", sampling(rank), 1) for rank in (1, 2, 3)),
    *((f"ZeroPadding{rank}D", of_rank(rank + 1, border(rank, 2)), 1) for rank in (1, 2, 3)),
    *((f"Cropping{rank}D", of_rank(rank + 1, border(rank, 1)), 1) for rank in (1, 2, 3)),
    ("Resizing", of_rank(3, resizing), 1),
    ("CenterCrop", of_rank(3, lambda d, s: {"height": d.randint(2, 4), "width": d.randint(2, 4)}), 1),
    ("LSTM", recurrent("LSTM"), 5),
    ("GRU", recurrent("GRU"), 4),
    ("SimpleRNN", recurrent("SimpleRNN"), 4),
    ("RNN", cells, 3),
    ("Bidirectional", bidirectional, 5),
    ("TimeDistributed", distributed, 5),
    ("ConvLSTM1D", conv_lstm(1), 1),
    ("ConvLSTM2D", conv_lstm(2), 1),
]  # fmt: skip

# Layers of tokens.
TOKENS: list[tuple[str, Make, int]] = [
    ("Embedding", any_rank(
        lambda d, s: {"input_dim": 7, "output_dim": d.randint(1, 4), **maybe(d, 0.75, mask_zero=True),
                      **weighted(d, "embeddings", bias="", activity=True)}, most=2), 8),
    ("CategoryEncoding", of_rank(1, lambda d, s: {"num_tokens": 7, "output_mode": d.choice(["multi_hot"])}), 1),
]  # fmt: skip

# Layers of two tensors or more of one shape.
MERGES = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]

# Operations of one tensor: least and most rank, arguments.
Unary = tuple[str, int, int, Callable[[random.Random, tuple[int, ...]], Args]]


def _axis(d: random.Random, shape: tuple[int, ...]) -> int:
    return d.choice([-1, d.randint(1, len(shape))])


def _window(d: random.Random, shape: tuple[int, ...]) -> Args:
    return {"ksize": d.randint(1, 3), "strides": d.randint(1, 2), "padding": d.choice(["SAME", "VALID"])}


def _perm(d: random.Random, shape: tuple[int, ...]) -> Args:
    dims = list(range(1, len(shape) + 1))
    d.shuffle(dims)
    return {"perm": [0, *dims]}


def _cut(d: random.Random, shape: tuple[int, ...]) -> Args:
    spec: list[Any] = [[None, None]]
    at = d.randrange(len(shape))
    spec = [[None, None] for _ in shape]
    spec[at] = d.choice([[None, -1], [1, None], [None, None, -1], [None, None, 2], d.randrange(shape[at])])
    return {"spec": spec[: at + 1]}


def _reduced(d: random.Random, shape: tuple[int, ...]) -> Args:
    return {"axis": _axis(d, shape), "keepdims": d.random() < 0.4}


def _n_ways(d: random.Random, shape: tuple[int, ...]) -> Args:
    return {"n": shape[-1], "axis": -1}


UNARY: list[Unary] = [
    ("scale", 1, 4, lambda d, s: {"by": d.choice([0.5, 2.0, -1.5])}),
    ("shift", 1, 4, lambda d, s: {"by": d.choice([1.0, 0.3])}),
    ("over", 1, 4, lambda d, s: {"by": d.choice([2.0, 0.7])}),
    ("nn_leaky_relu", 1, 4, lambda d, s: {"alpha": d.choice([0.1, 0.2])}),
    ("nn_softmax", 1, 4, lambda d, s: {"axis": -1}),
    ("nn_l2_normalize", 1, 3, lambda d, s: {"axis": -1}),
    ("nn_avg_pool2d", 3, 3, _window),
    ("nn_max_pool2d", 3, 3, _window),
    ("clip", 1, 4, lambda d, s: {"low": -0.5, "high": 0.8}),
    ("reduce_mean", 2, 4, _reduced),
    ("reduce_sum", 2, 4, _reduced),
    ("reduce_max", 2, 4, _reduced),
    ("expand_dims", 1, 3, lambda d, s: {"axis": d.choice([1, -1, 2])}),
    ("transpose", 2, 3, _perm),
    ("reverse", 1, 3, lambda d, s: {"axis": d.randint(1, len(s))}),
    ("cumsum", 1, 3, lambda d, s: {"axis": d.randint(1, len(s))}),
    ("tile", 1, 3, lambda d, s: {"multiples": [1, *(d.choice([1, 1, 2]) for _ in s)]}),
    ("pad", 1, 3, lambda d, s: {"paddings": [[0, 0], *([d.randint(0, 1), d.randint(0, 1)] for _ in s)]}),
    ("split", 1, 3, _n_ways),
    ("slice", 1, 3, _cut),
    ("gather", 1, 3, lambda d, s: {"indices": [0, s[-1] - 1, 0], "axis": -1}),
    ("one_hot", 1, 2, lambda d, s: {"depth": d.randint(2, 4)}),
    *((name, 1, 4, lambda d, s: {}) for name in (
        "neg", "pow", "tanh", "sigmoid", "nn_relu", "nn_elu", "abs", "sin", "exp", "square", "softplus")),
]  # fmt: skip
BINARY = ["add", "sub", "mul", "maximum", "minimum", "where", "concat", "stack"]
