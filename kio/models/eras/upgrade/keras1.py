"""Keras 1 and 0.x: other names of layers and arguments, one argument for each dimension."""

from __future__ import annotations

from typing import Any

from kio.models.eras.rule import Apply, Config, Context, dropped, refuse, renamed, rules

SOURCE = "keras/legacy/interfaces.py of Keras 2.0, which said the same in reverse"

# Classes that are called otherwise today and take the same weights in the same order.
CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "AtrousConv1D": "Conv1D",
    "AtrousConv2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconv2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    # Dense has always worked on the last axis; since Keras 2 it says so.
    "TimeDistributedDense": "Dense",
}

_ORDERINGS = {"th": "channels_first", "tf": "channels_last", "default": None}
_BORDERS = {"valid": "valid", "same": "same"}


def _kernel_size(*names: str) -> Apply:
    def apply(config: Config, context: Context) -> bool:
        if names[0] not in config:
            return False
        config["kernel_size"] = [config.pop(name) for name in names]
        return True

    return apply


def _forget(config: Config, context: Context) -> bool:
    if "forget_bias_init" not in config:
        return False
    value = config.pop("forget_bias_init")
    known = {"one": True, "ones": True, "zero": False, "zeros": False}
    if value not in known:
        raise refuse("forget_bias_init", "'one' or 'zero'", value)
    config["unit_forget_bias"] = known[value]
    return True


def _output_shape(config: Config, context: Context) -> bool:
    """Keras 1 was told the shape that today's layer works out."""
    if "output_shape" not in config:
        return False
    strides: Any = config.get("subsample", config.get("strides", [1, 1]))
    if any(s != 1 for s in strides):
        raise refuse(
            f"output_shape of {config.get('name')}", "strides of 1, which leave no choice", strides,
            "build the model in code with output_padding and use kio.load_weights",
        )  # fmt: skip
    del config["output_shape"]
    return True


def _regularizer(names: tuple[str, ...]) -> Apply:
    """``{"name": "WeightRegularizer", "l1": …, "l2": …}`` as an object of today's grammar."""

    def apply(config: Config, context: Context) -> bool:
        done = False
        for name in names:
            value = config.get(name)
            if isinstance(value, dict) and "class_name" not in value and "name" in value:
                inner = {k: v for k, v in value.items() if k != "name"}
                kind = value["name"]
                if kind in ("WeightRegularizer", "ActivityRegularizer", "L1L2Regularizer", "L1L2"):
                    config[name] = {"class_name": "L1L2", "config": inner}
                elif kind in ("MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm"):
                    if "m" in inner:
                        inner["max_value"] = inner.pop("m")
                    config[name] = {"class_name": kind, "config": inner}
                else:
                    raise refuse(name, "a regularizer or constraint that Keras 3 has", kind)
                done = True
        return done

    return apply


def _sides(*pairs: tuple[str, str]) -> Apply:
    """Padding by the names of the sides, or one number for each of the four."""

    def apply(config: Config, context: Context) -> bool:
        padding = config.get("padding")
        if isinstance(padding, dict):
            found = [[padding.get(f"{side}_pad", 0) for side in pair] for pair in pairs]
        elif isinstance(padding, list) and len(padding) == 4 and len(pairs) == 2:
            found = [padding[:2], padding[2:]]
        else:
            return False
        config["padding"] = found if len(pairs) > 1 else found[0]
        return True

    return apply


def _named_starts(config: Config, context: Context) -> bool:
    names = [key for key in ("t_left_init", "a_left_init", "t_right_init", "a_right_init") if key in config]
    for key in names:
        config[key] = {"zero": "zeros", "one": "ones"}.get(config[key], config[key])
    return bool(names)


def _mode(config: Config, context: Context) -> bool:
    if "mode" not in config:
        return False
    if config["mode"] != 0:
        raise refuse(f"mode of {config.get('name')}", "0, normalization over the batch", config["mode"])
    del config["mode"]
    return True


_ANY_RECURRENT = "LSTM GRU SimpleRNN ConvLSTM2D"
_ANY_CONV = "Conv1D Conv2D Conv3D Conv2DTranspose Conv3DTranspose SeparableConv2D LocallyConnected1D LocallyConnected2D"
_ANY_POOL = "MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D"
_SPATIAL = (
    f"{_ANY_CONV} {_ANY_POOL} ConvLSTM2D ZeroPadding2D ZeroPadding3D Cropping2D Cropping3D UpSampling2D UpSampling3D "
    "GlobalMaxPooling2D GlobalAveragePooling2D GlobalMaxPooling3D GlobalAveragePooling3D "
    "SpatialDropout2D SpatialDropout3D"
)
_WEIGHTED = f"Dense Highway MaxoutDense {_ANY_CONV} {_ANY_RECURRENT}"

RULES = rules(SOURCE, (
    ("regularizer and constraint by name", "*", _regularizer((
        "W_regularizer", "b_regularizer", "U_regularizer", "activity_regularizer", "gamma_regularizer",
        "beta_regularizer", "W_constraint", "b_constraint", "U_constraint", "depthwise_regularizer",
        "pointwise_regularizer", "depthwise_constraint", "pointwise_constraint",
    ))),
    ("output_shape of a deconvolution", "Conv2DTranspose Conv3DTranspose", _output_shape),
    ("nb_filter", _ANY_CONV + " ConvLSTM2D", renamed("nb_filter", "filters")),
    ("nb_row, nb_col", "Conv2D Conv2DTranspose SeparableConv2D LocallyConnected2D ConvLSTM2D",
     _kernel_size("nb_row", "nb_col")),
    ("kernel_dim1…3", "Conv3D Conv3DTranspose", _kernel_size("kernel_dim1", "kernel_dim2", "kernel_dim3")),
    ("filter_length", "Conv1D LocallyConnected1D", renamed("filter_length", "kernel_size")),
    ("subsample", _ANY_CONV + " ConvLSTM2D", renamed("subsample", "strides")),
    ("subsample_length", _ANY_CONV, renamed("subsample_length", "strides")),
    ("border_mode", f"{_ANY_CONV} {_ANY_POOL} ConvLSTM2D", renamed("border_mode", "padding", _BORDERS)),
    ("dim_ordering", _SPATIAL + " Flatten", renamed("dim_ordering", "data_format", _ORDERINGS)),
    ("padding of both ends", "ZeroPadding1D", _sides(("left", "right"))),
    ("padding of each side", "ZeroPadding2D", _sides(("top", "bottom"), ("left", "right"))),
    ("initializers of an SReLU", "SReLU", _named_starts),
    ("atrous_rate", _ANY_CONV, renamed("atrous_rate", "dilation_rate")),
    ("pool_length", _ANY_POOL, renamed("pool_length", "pool_size")),
    ("stride", _ANY_POOL, renamed("stride", "strides")),
    ("length", "UpSampling1D", renamed("length", "size")),
    ("init of an Embedding", "Embedding", renamed("init", "embeddings_initializer")),
    ("init", _WEIGHTED, renamed("init", "kernel_initializer")),
    ("init of a PReLU", "PReLU", renamed("init", "alpha_initializer")),
    ("inner_init", _ANY_RECURRENT, renamed("inner_init", "recurrent_initializer")),
    ("inner_activation", _ANY_RECURRENT, renamed("inner_activation", "recurrent_activation")),
    ("forget_bias_init", "LSTM ConvLSTM2D", _forget),
    ("consume_less", _ANY_RECURRENT, dropped("consume_less")),
    ("dropout_W", _ANY_RECURRENT, renamed("dropout_W", "dropout")),
    ("dropout_U", _ANY_RECURRENT, renamed("dropout_U", "recurrent_dropout")),
    ("dropout of an Embedding", "Embedding", dropped("dropout", 0, 0.0, None)),
    ("W_regularizer of an Embedding", "Embedding", renamed("W_regularizer", "embeddings_regularizer")),
    ("W_constraint of an Embedding", "Embedding", renamed("W_constraint", "embeddings_constraint")),
    ("W_regularizer", _WEIGHTED, renamed("W_regularizer", "kernel_regularizer")),
    ("W_constraint", _WEIGHTED, renamed("W_constraint", "kernel_constraint")),
    ("U_regularizer", _WEIGHTED, renamed("U_regularizer", "recurrent_regularizer")),
    ("U_constraint", _WEIGHTED, renamed("U_constraint", "recurrent_constraint")),
    ("b_regularizer", _WEIGHTED, renamed("b_regularizer", "bias_regularizer")),
    ("b_constraint", _WEIGHTED, renamed("b_constraint", "bias_constraint")),
    ("bias", _WEIGHTED, renamed("bias", "use_bias")),
    ("output_dim", f"Dense MaxoutDense {_ANY_RECURRENT}", renamed("output_dim", "units")),
    ("mode of a BatchNormalization", "BatchNormalization", _mode),
    ("gamma_init", "BatchNormalization", renamed("gamma_init", "gamma_initializer")),
    ("beta_init", "BatchNormalization", renamed("beta_init", "beta_initializer")),
    ("p", "Dropout GaussianDropout SpatialDropout1D SpatialDropout2D SpatialDropout3D AlphaDropout",
     renamed("p", "rate")),
    ("sigma", "GaussianNoise", renamed("sigma", "stddev")),
))  # fmt: skip

# How Keras 1 merged, as classes of today; the dot product takes its axes along.
MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "concat": "Concatenate",
    "ave": "Average",
    "max": "Maximum",
    "dot": "Dot",
    "cos": "CosineMerge",
}


def merge(config: Config) -> tuple[str, Config]:
    """Class and arguments of today for a ``Merge`` layer.

    Raises:
        UpgradeError: for functions.
    """
    mode = config.get("mode", "sum")
    if not isinstance(mode, str) or mode not in MERGES:
        raise refuse(f"mode of Merge {config.get('name')}", ", ".join(MERGES), mode)
    today: Config = {"name": config.get("name"), "trainable": config.get("trainable", True)}
    if mode == "concat":
        today["axis"] = config.get("concat_axis", -1)
    if mode == "dot":
        axes: Any = config.get("dot_axes", -1)
        today["axes"] = axes
    return MERGES[mode], today
