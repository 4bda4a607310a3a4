"""Each layer at its defaults and with each argument at other values.

``LAYERS`` says how each public class is made; ``VALUES`` what its arguments may be.  A class or
argument of the writer's that neither table knows stops the run.
"""

import inspect

import numpy as np
import tensorflow as tf
from make import draw, keras

L = keras.layers


def f(*shape):
    return ("f", shape)


def i(*shape):
    return ("i", shape)


def s(*shape):
    return ("s", shape)


# Class: arguments, inputs without the batch.
LAYERS = {
    "Activation": (dict(activation="tanh"), f(5)),
    "ActivityRegularization": ({}, f(5)),
    "Add": ({}, f(3, 2), f(3, 2)),
    "AdditiveAttention": ({}, f(4, 3), f(5, 3)),
    "AlphaDropout": (dict(rate=0.5), f(5)),
    "Attention": ({}, f(4, 3), f(5, 3)),
    "Average": ({}, f(3, 2), f(3, 2), f(3, 2)),
    "AveragePooling1D": ({}, f(7, 2)),
    "AveragePooling2D": ({}, f(5, 6, 2)),
    "AveragePooling3D": ({}, f(4, 4, 5, 1)),
    "BatchNormalization": ({}, f(3, 2)),
    "CategoryEncoding": (dict(num_tokens=4), i(3)),
    "CenterCrop": (dict(height=3, width=2), f(5, 6, 2)),
    "Concatenate": ({}, f(3, 2), f(3, 2)),
    "Conv1D": (dict(filters=2, kernel_size=3), f(7, 2)),
    "Conv1DTranspose": (dict(filters=2, kernel_size=3), f(4, 2)),
    "Conv2D": (dict(filters=2, kernel_size=3), f(5, 6, 2)),
    "Conv2DTranspose": (dict(filters=2, kernel_size=3), f(3, 4, 2)),
    "Conv3D": (dict(filters=2, kernel_size=2), f(3, 4, 3, 2)),
    "Conv3DTranspose": (dict(filters=2, kernel_size=2), f(2, 3, 2, 2)),
    "ConvLSTM1D": (dict(filters=2, kernel_size=2), f(3, 5, 2)),
    "ConvLSTM2D": (dict(filters=2, kernel_size=2), f(3, 4, 3, 2)),
    "ConvLSTM3D": (dict(filters=1, kernel_size=2), f(2, 3, 3, 3, 1)),
    "Cropping1D": ({}, f(6, 2)),
    "Cropping2D": ({}, f(5, 6, 2)),
    "Cropping3D": ({}, f(4, 4, 5, 1)),
    "Dense": (dict(units=3), f(4)),
    "DepthwiseConv1D": (dict(kernel_size=3), f(7, 2)),
    "DepthwiseConv2D": (dict(kernel_size=3), f(5, 6, 2)),
    "Discretization": (dict(bin_boundaries=[-0.5, 0.0, 0.5]), f(4)),
    "Dot": (dict(axes=1), f(3), f(3)),
    "Dropout": (dict(rate=0.5), f(5)),
    "ELU": ({}, f(5)),
    "EinsumDense": (dict(equation="abc,cd->abd", output_shape=(None, 3)), f(2, 4)),
    "Embedding": (dict(input_dim=4, output_dim=3), i(5)),
    "Flatten": ({}, f(2, 3, 2)),
    "GRU": (dict(units=3), f(4, 2)),
    "GaussianDropout": (dict(rate=0.5), f(5)),
    "GaussianNoise": (dict(stddev=0.5), f(5)),
    "GlobalAveragePooling1D": ({}, f(5, 2)),
    "GlobalAveragePooling2D": ({}, f(3, 4, 2)),
    "GlobalAveragePooling3D": ({}, f(2, 3, 2, 2)),
    "GlobalMaxPooling1D": ({}, f(5, 2)),
    "GlobalMaxPooling2D": ({}, f(3, 4, 2)),
    "GlobalMaxPooling3D": ({}, f(2, 3, 2, 2)),
    "GroupNormalization": (dict(groups=2), f(3, 4)),
    "HashedCrossing": (dict(num_bins=5), s(1), s(1)),
    "Hashing": (dict(num_bins=5), s(3)),
    "Identity": ({}, f(3)),
    "IntegerLookup": (dict(vocabulary=[3, 1, 2]), i(5)),
    "LSTM": (dict(units=3), f(4, 2)),
    "LayerNormalization": ({}, f(3, 4)),
    "LeakyReLU": ({}, f(5)),
    "LocallyConnected1D": (dict(filters=2, kernel_size=3), f(6, 2)),
    "LocallyConnected2D": (dict(filters=2, kernel_size=2), f(3, 4, 2)),
    "Masking": ({}, f(4, 2)),
    "MaxPooling1D": ({}, f(7, 2)),
    "MaxPooling2D": ({}, f(5, 6, 2)),
    "MaxPooling3D": ({}, f(4, 4, 5, 1)),
    "Maximum": ({}, f(3, 2), f(3, 2)),
    "Minimum": ({}, f(3, 2), f(3, 2)),
    "MultiHeadAttention": (dict(num_heads=2, key_dim=3), f(4, 3), f(5, 3)),
    "Multiply": ({}, f(3, 2), f(3, 2)),
    "Normalization": (dict(mean=0.5, variance=2.0), f(3, 2)),
    "PReLU": ({}, f(3, 2)),
    "Permute": (dict(dims=(2, 1)), f(3, 2)),
    "RandomBrightness": (dict(factor=0.2), f(4, 4, 3)),
    "RandomContrast": (dict(factor=0.2), f(4, 4, 3)),
    "RandomCrop": (dict(height=3, width=2), f(4, 4, 3)),
    "RandomFlip": ({}, f(4, 4, 3)),
    "RandomHeight": (dict(factor=0.2), f(4, 4, 3)),
    "RandomRotation": (dict(factor=0.2), f(4, 4, 3)),
    "RandomTranslation": (dict(height_factor=0.2, width_factor=0.2), f(4, 4, 3)),
    "RandomWidth": (dict(factor=0.2), f(4, 4, 3)),
    "RandomZoom": (dict(height_factor=0.2), f(4, 4, 3)),
    "ReLU": ({}, f(5)),
    "RepeatVector": (dict(n=3), f(4)),
    "Rescaling": (dict(scale=0.5), f(2, 2, 3)),
    "Reshape": (dict(target_shape=(2, 3)), f(6)),
    "Resizing": (dict(height=5, width=3), f(4, 4, 2)),
    "SeparableConv1D": (dict(filters=2, kernel_size=3), f(7, 2)),
    "SeparableConv2D": (dict(filters=2, kernel_size=3), f(5, 6, 2)),
    "SimpleRNN": (dict(units=3), f(4, 2)),
    "Softmax": ({}, f(3, 4)),
    "SpatialDropout1D": (dict(rate=0.5), f(5, 2)),
    "SpatialDropout2D": (dict(rate=0.5), f(3, 4, 2)),
    "SpatialDropout3D": (dict(rate=0.5), f(2, 3, 2, 2)),
    "StringLookup": (dict(vocabulary=["the cat", "a Dog!"]), s(4)),
    "Subtract": ({}, f(3, 2), f(3, 2)),
    "TextVectorization": (dict(vocabulary=["the", "cat", "dog"]), s()),
    "ThresholdedReLU": (dict(theta=0.25), f(5)),
    "UnitNormalization": ({}, f(3, 4)),
    "UpSampling1D": ({}, f(3, 2)),
    "UpSampling2D": ({}, f(2, 3, 2)),
    "UpSampling3D": ({}, f(2, 2, 2, 1)),
    "ZeroPadding1D": ({}, f(3, 2)),
    "ZeroPadding2D": ({}, f(2, 3, 2)),
    "ZeroPadding3D": ({}, f(2, 2, 2, 1)),
    # Of compat.v1.keras.layers.
    "CuDNNGRU": (dict(units=3), f(4, 2)),
    "CuDNNLSTM": (dict(units=3), f(4, 2)),
    "SyncBatchNormalization": ({}, f(3, 2)),
    "RandomFourierFeatures": (dict(output_dim=3, scale=2.0), f(4)),
}
# Not layers of their own, or made by make_more below.
OTHERS = {
    "AbstractRNNCell", "Bidirectional", "DenseFeatures", "GRUCell", "InputLayer", "LSTMCell", "Lambda", "Layer", "RNN",
    "SimpleRNNCell", "StackedRNNCells", "TimeDistributed", "Wrapper", "PreprocessingLayer", "LinearModel",
    "SequenceFeatures", "WideDeepModel", "SpectralNormalization", "DynamicEmbedding", "DynamicLookup",
}  # fmt: skip

_ANY = {
    "activation": ["relu"],
    "use_bias": [False],
    "trainable": [False],
    "seed": [3],
    "data_format": ["channels_first"],
    "padding": ["same"],
    "strides": [2],
    "dilation_rate": [2],
    "groups": [2],
    "depth_multiplier": [2],
    "return_sequences": [True],
    "return_state": [True],
    "go_backwards": [True],
    "stateful": [True],
    "unroll": [True],
    "time_major": [True],
    "recurrent_activation": ["hard_sigmoid", "tanh"],
    "unit_forget_bias": [False],
    "reset_after": [False],
    "dropout": [0.5],
    "recurrent_dropout": [0.5],
    "noise_shape": [(None, 1)],
    "sparse": [True],
    "epsilon": [0.01],
    "momentum": [0.9],
    "center": [False],
    "scale": [False],
    "output_mode": ["multi_hot", "one_hot", "count", "tf_idf"],
    "keepdims": [True],
    "rate": [0.25],
    "factor": [(-0.1, 0.3)],
    "height_factor": [(-0.1, 0.3)],
    "width_factor": [(-0.1, 0.3)],
    "fill_mode": ["constant"],
    "fill_value": [0.5],
    "interpolation": ["nearest"],
    "max_tokens": [6],
    "num_oov_indices": [2],
    "invert": [True],
    "pad_to_max_tokens": [True],
    "encoding": ["latin-1"],
    "num_bins": [7],
}
_RNN_CELL = ("GRU", "LSTM", "SimpleRNN")
# By class and argument; () leaves an argument to the base case.
VALUES = {
    ("ActivityRegularization", "l1"): [0.1],
    ("ActivityRegularization", "l2"): [0.1],
    ("AdditiveAttention", "use_scale"): [False],
    ("Attention", "use_scale"): [True],
    ("Attention", "score_mode"): ["concat"],
    ("BatchNormalization", "axis"): [1, [2], [1, 2]],
    ("BatchNormalization", "synchronized"): [True],
    ("SyncBatchNormalization", "axis"): [1],
    ("LayerNormalization", "axis"): [1, [1, 2]],
    ("GroupNormalization", "axis"): [1],
    ("GroupNormalization", "groups"): [1, -1],
    ("UnitNormalization", "axis"): [1, [1, 2]],
    ("Bidirectional", "merge_mode"): ["sum", "mul", "ave", None],
    ("Concatenate", "axis"): [1, -2],
    ("Softmax", "axis"): [1, [1, 2]],
    ("Normalization", "axis"): [None],
    ("Normalization", "mean"): [[0.5, 0.25]],
    ("Normalization", "variance"): [[2.0, 3.0]],
    ("CategoryEncoding", "num_tokens"): [5],
    ("CategoryEncoding", "output_mode"): ["one_hot", "count"],
    ("CategoryEncoding", "sparse"): [True],
    ("Conv1D", "padding"): ["same", "causal"],
    ("Conv1D", "filters"): [4],
    ("Conv1D", "kernel_size"): [(2,)],
    ("Conv2D", "strides"): [2, (1, 2)],
    ("Conv2D", "dilation_rate"): [2, (1, 2)],
    ("Conv2D", "kernel_size"): [(1, 2)],
    ("Cropping1D", "cropping"): [2, (0, 1)],
    ("Cropping2D", "cropping"): [1, (1, 2), ((1, 0), (0, 2))],
    ("Cropping3D", "cropping"): [1, (1, 1, 2), ((1, 0), (0, 2), (1, 1))],
    ("ZeroPadding1D", "padding"): [2, (0, 1)],
    ("ZeroPadding2D", "padding"): [2, (1, 2), ((1, 0), (0, 2))],
    ("ZeroPadding3D", "padding"): [2, (1, 0, 2), ((1, 0), (0, 2), (1, 1))],
    ("Dense", "units"): [1],
    ("Discretization", "num_bins"): (),
    ("Discretization", "bin_boundaries"): [[0.25]],
    ("Discretization", "epsilon"): (),
    ("Discretization", "output_mode"): ["multi_hot", "count"],
    ("Dot", "axes"): [-1, (1, 1)],
    ("Dot", "normalize"): [True],
    ("ELU", "alpha"): [0.5],
    ("EinsumDense", "equation"): (),
    ("EinsumDense", "output_shape"): (),
    ("EinsumDense", "bias_axes"): ["d", "bd"],
    ("Embedding", "mask_zero"): [True],
    ("Embedding", "input_length"): [5],
    ("Embedding", "input_dim"): [6],
    ("Embedding", "output_dim"): [1],
    ("Embedding", "sparse"): (),
    ("GaussianNoise", "stddev"): [0.1],
    ("Hashing", "salt"): [7, [3, 4]],
    ("Hashing", "mask_value"): ["the cat"],
    ("Hashing", "output_mode"): ["multi_hot", "count"],
    ("HashedCrossing", "output_mode"): ["one_hot"],
    ("IntegerLookup", "mask_token"): [0],
    ("IntegerLookup", "oov_token"): [-7],
    ("IntegerLookup", "vocabulary"): [[7]],
    ("IntegerLookup", "vocabulary_dtype"): ["int32"],
    ("IntegerLookup", "idf_weights"): (),
    ("IntegerLookup", "output_mode"): ["multi_hot", "count"],
    ("IntegerLookup", "pad_to_max_tokens"): (),
    ("StringLookup", "mask_token"): ["the cat"],
    ("StringLookup", "oov_token"): ["[OOV]"],
    ("StringLookup", "vocabulary"): [["cat sat"]],
    ("StringLookup", "idf_weights"): (),
    ("StringLookup", "invert"): (),
    ("StringLookup", "output_mode"): ["multi_hot", "count"],
    ("StringLookup", "pad_to_max_tokens"): (),
    ("TextVectorization", "standardize"): ["lower", "strip_punctuation", None],
    ("TextVectorization", "split"): ["character", None],
    ("TextVectorization", "ngrams"): [2, (1, 2)],
    ("TextVectorization", "output_mode"): ["multi_hot", "count"],
    ("TextVectorization", "output_sequence_length"): [4],
    ("TextVectorization", "vocabulary"): [["mat"]],
    ("TextVectorization", "idf_weights"): (),
    ("TextVectorization", "pad_to_max_tokens"): (),
    ("TextVectorization", "ragged"): [True],
    ("TextVectorization", "sparse"): (),
    ("LeakyReLU", "alpha"): [0.1, 0.0],
    ("Masking", "mask_value"): [0.5],
    ("MultiHeadAttention", "value_dim"): [2],
    ("MultiHeadAttention", "output_shape"): [4, (2, 3)],
    ("MultiHeadAttention", "attention_axes"): [1, (1,)],
    ("MultiHeadAttention", "num_heads"): [1],
    ("MultiHeadAttention", "softmax_robust_masking"): [True],
    ("Softmax", "robust_masking"): [True],
    ("MultiHeadAttention", "key_dim"): [1],
    ("PReLU", "shared_axes"): [[1], [1, 2]],
    ("Permute", "dims"): (),
    ("RandomFlip", "mode"): ["horizontal"],
    ("RandomBrightness", "value_range"): [(0.0, 1.0)],
    ("ReLU", "max_value"): [0.5],
    ("ReLU", "negative_slope"): [0.25],
    ("ReLU", "threshold"): [0.25],
    ("RepeatVector", "n"): [1],
    ("Rescaling", "scale"): [[0.5, 2.0, 1.0]],
    ("Rescaling", "offset"): [0.5, [0.5, 0.25, 0.0]],
    ("Reshape", "target_shape"): [(-1, 2), (6, 1)],
    ("Resizing", "interpolation"): ["nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"],
    ("Resizing", "crop_to_aspect_ratio"): [True],
    ("ThresholdedReLU", "theta"): [1.0],
    ("UpSampling1D", "size"): [3],
    ("UpSampling2D", "size"): [3, (1, 2)],
    ("UpSampling2D", "interpolation"): ["bilinear", "bicubic", "lanczos3", "area"],
    ("UpSampling3D", "size"): [(1, 2, 1)],
    ("LocallyConnected1D", "implementation"): [2, 3],
    ("LocallyConnected2D", "implementation"): [2, 3],
    ("RandomFourierFeatures", "output_dim"): [2],
    ("RandomFourierFeatures", "scale"): [None],
    ("RandomFourierFeatures", "kernel_initializer"): ["laplacian"],
    ("Activation", "activation"): (),
    ("SpatialDropout1D", "data_format"): (),
}
for _name in ("AveragePooling", "MaxPooling"):
    for _rank in (1, 2, 3):
        VALUES[f"{_name}{_rank}D", "pool_size"] = [3] if _rank < 3 else [(1, 2, 3)]
        VALUES[f"{_name}{_rank}D", "strides"] = [1, 2]
for _name, _rank in (("Conv", 1), ("Conv", 2), ("Conv", 3)):
    VALUES[f"Conv{_rank}DTranspose", "output_padding"] = [1]
for _name in ("LocallyConnected1D", "LocallyConnected2D"):
    VALUES[_name, "padding"] = [dict(padding="same", implementation=2)]
# Arguments that need others beside them.
BESIDE = {
    "groups": {"Conv": dict(filters=2), "": {}},
    "output_padding": {"": dict(strides=2)},
    "max_tokens": {"": {}},
}
# No argument of the constructor's signature, but accepted: of every layer, of some.
EXTRA = {
    "Dense": [dict(dtype="float16"), dict(dtype="mixed_float16"), dict(trainable=False), dict(name="mine")],
    "Conv2D": [dict(strides=2, padding="same"), dict(dilation_rate=2, padding="same"), dict(filters=4, groups=2)],
    "Conv1D": [dict(padding="causal", dilation_rate=2), dict(padding="causal", strides=2)],
    "Conv1DTranspose": [dict(strides=2, padding="same"), dict(strides=3), dict(dilation_rate=2, padding="same")],
    "Conv2DTranspose": [dict(strides=2, padding="same"), dict(strides=(1, 2)), dict(strides=3, output_padding=1)],
    "Conv3DTranspose": [dict(strides=2, padding="same")],
    "SeparableConv1D": [dict(padding="causal"), dict(strides=2, padding="same")],
    "SeparableConv2D": [dict(strides=2, padding="same"), dict(dilation_rate=2)],
    "DepthwiseConv2D": [dict(strides=2, padding="same"), dict(depth_multiplier=3, use_bias=False)],
    "BatchNormalization": [
        dict(fused=False), dict(renorm=True), dict(virtual_batch_size=2), dict(center=False, scale=False),
        dict(trainable=False),
    ],
    "LSTM": [dict(implementation=1), dict(implementation=2), dict(return_sequences=True, go_backwards=True),
             dict(return_sequences=True, return_state=True), dict(zero_output_for_mask=True)],
    "GRU": [dict(implementation=1), dict(reset_after=False, return_sequences=True), dict(reset_after=False, use_bias=False),
            dict(return_sequences=True, return_state=True)],
    "SimpleRNN": [dict(return_sequences=True, return_state=True, go_backwards=True)],
    "Attention": [dict(dropout=0.5), dict(use_scale=True, score_mode="concat")],
    "AdditiveAttention": [dict(dropout=0.5)],
    "Embedding": [dict(dtype="float16")],
    "ConvLSTM2D": [dict(return_sequences=True, padding="same", go_backwards=True), dict(return_state=True, return_sequences=True)],
    "CategoryEncoding": [dict(max_tokens=5)],
    "ReLU": [dict(max_value=6.0, negative_slope=0.1, threshold=0.5)],
    "Normalization": [dict(mean=[0.5, 0.25], variance=[2.0, 3.0], invert=True), dict(mean=None, variance=None)],
    "IntegerLookup": [dict(output_mode="tf_idf", idf_weights=[0.5, 1.0, 2.0]), dict(output_mode="one_hot", one=True),
                      dict(output_mode="multi_hot", max_tokens=8, pad_to_max_tokens=True)],
    "StringLookup": [dict(output_mode="tf_idf", idf_weights=[0.5, 1.0]), dict(num_oov_indices=0, one="known"),
                     dict(output_mode="multi_hot", max_tokens=8, pad_to_max_tokens=True)],
    "TextVectorization": [dict(output_mode="tf_idf", idf_weights=[0.5, 1.0, 2.0]),
                          dict(output_mode="count", max_tokens=8, pad_to_max_tokens=True)],
    "Lambda": [],
}  # fmt: skip


# With channels first, as many filters as the outputs are wide.
for _name, _more in {
    "Conv1D": dict(filters=5), "Conv2D": dict(filters=4), "Conv1DTranspose": dict(filters=6),
    "Conv2DTranspose": dict(filters=6), "Conv3DTranspose": dict(filters=3), "DepthwiseConv1D": dict(kernel_size=6),
    "DepthwiseConv2D": dict(kernel_size=(1, 5)), "SeparableConv1D": dict(filters=5), "SeparableConv2D": dict(filters=4),
}.items():  # fmt: skip
    EXTRA.setdefault(_name, []).append(dict(_more, data_format="channels_first"))


def find(name):
    for room in (L, getattr(L, "experimental", None), tf.compat.v1.keras.layers):
        found = getattr(room, name, None)
        if isinstance(found, type):
            return found
    return None


def values_of(name, argument):
    if (name, argument) in VALUES:
        return VALUES[name, argument]
    if argument.endswith("_initializer"):
        return ["ones"]
    if argument.endswith("_regularizer"):
        return ["l2"]
    if argument.endswith("_constraint"):
        return ["max_norm"]
    return _ANY.get(argument)


def inputs_of(shapes, arguments):
    xs, tensors = [], []
    batch = 2 if arguments.get("stateful") else None
    for n, (kind, shape) in enumerate(shapes):
        x = draw(n, (2, *shape), kind)
        dtype = {"f": "float32", "i": "int32", "s": "string", "b": "bool"}[kind]
        xs.append(x)
        tensors.append(keras.Input(shape, dtype=dtype, batch_size=batch))
    return xs, tensors


def build(name, arguments, shapes):
    def make():
        given = {key: value for key, value in arguments.items() if key != "one"}
        layer = find(name)(**given)
        xs, tensors = inputs_of(shapes, given)
        made = layer(*tensors) if name == "MultiHeadAttention" else layer(tensors if len(tensors) > 1 else tensors[0])
        return keras.Model(tensors, made), xs

    return make


def last(name, arguments, shapes):
    """The outputs of a layer with channels first, by its twin with channels last."""

    def compute(model, xs):
        given = {**arguments, "data_format": "channels_last"}
        recurrent = name.startswith("ConvLSTM")
        front = 2 if recurrent else 1

        def back(x):
            return np.moveaxis(x, front, -1)

        inner = find(name)(**given)
        turned = [back(x) for x in xs]
        made = inner(turned[0])
        weights = model.get_weights()
        if name == "LocallyConnected1D" or name == "LocallyConnected2D":
            raise ValueError("the kernel has another order there, which no twin shows")
        inner.set_weights(weights)
        made = inner(turned[0]).numpy()
        same_rank = made.ndim == xs[0].ndim - (1 if recurrent and not arguments.get("return_sequences") else 0)
        if name == "Flatten":
            return made
        return (
            np.moveaxis(made, -1, front if recurrent and arguments.get("return_sequences") else 1)
            if same_rank
            else made
        )

    return compute


def without_cudnn(name, arguments):
    """The outputs of a CuDNN layer by the plain layer, the weights converted by the writer's own loader."""

    def compute(model, xs):
        import importlib

        root = "tf_keras.src" if keras.__name__.startswith("tf_keras") else "keras.src"
        try:
            legacy = importlib.import_module(f"{root}.saving.legacy.hdf5_format")
        except ImportError:
            legacy = importlib.import_module("keras.saving.legacy.hdf5_format")
        more = dict(reset_after=True) if name == "CuDNNGRU" else {}
        plain = getattr(L, name.removeprefix("CuDNN"))(**arguments, recurrent_activation="sigmoid", **more)
        plain(xs[0])
        plain.set_weights(legacy.preprocess_weights_for_loading(plain, model.get_weights(), "2.15.0", "tensorflow"))
        if arguments.get("stateful"):
            plain.reset_states()
        return plain(xs[0])

    return compute


def shapes_for(name, argument, value, shapes):
    if argument == "data_format" and value == "channels_first":
        recurrent = name.startswith("ConvLSTM")

        def turn(shape):
            return (shape[0], shape[-1], *shape[1:-1]) if recurrent else (shape[-1], *shape[:-1])

        return [(kind, turn(shape)) for kind, shape in shapes]
    if name == "Hashing" and argument == "mask_value":
        return shapes
    return shapes


def make(maker):
    public = {}
    for room in (L, getattr(L, "experimental", None), tf.compat.v1.keras.layers):
        for name in dir(room):
            found = getattr(room, name)
            if isinstance(found, type) and issubclass(found, L.Layer):
                public.setdefault(found, name)
    for cls in public:
        names = {cls.__name__, public[cls]}
        if not names & (set(LAYERS) | OTHERS):
            raise SystemExit(f"layers.py does not know {public[cls]} ({cls})")
    for name, (base, *shapes) in LAYERS.items():
        cls = find(name)
        if cls is None:
            continue
        maker.add(name, build(name, base, shapes), twin=without_cudnn(name, base) if name.startswith("CuDNN") else None)
        for argument in inspect.signature(cls.__init__).parameters:
            if argument in (
                "self",
                "args",
                "kwargs",
                "name",
                "dtype",
                "dynamic",
                *(() if argument == "trainable" else ()),
            ):
                continue
            values = values_of(name, argument)
            if values is None and argument not in base:
                raise SystemExit(f"layers.py has no value for {argument} of {name}")
            for value in values or ():
                given = {**base, **(value if isinstance(value, dict) else {argument: value})}
                if argument == "groups" and name.startswith("Conv"):
                    given["filters"] = 4
                if argument == "output_padding":
                    given["strides"] = 2
                found = shapes_for(name, argument, value, shapes)
                twin = None
                if value == "channels_first":
                    twin = last(name, given, found)
                if name.startswith("CuDNN"):
                    twin = without_cudnn(name, given)
                maker.add(f"{name} {argument}={value!r}", build(name, given, found), twin=twin)
        for more in EXTRA.get(name, ()):
            title = ", ".join(f"{key}={value!r}" for key, value in more.items() if key != "one")
            found = [i(1) if name == "IntegerLookup" else each for each in shapes] if "one" in more else shapes
            given = {**base, **more}
            if "max_tokens" in more and name == "CategoryEncoding":
                given.pop("num_tokens")
            twin = None
            if more.get("data_format") == "channels_first":
                found = shapes_for(name, "data_format", "channels_first", shapes)
                twin = last(name, given, found)
            maker.add(f"{name} {title}", build(name, given, found), twin=twin)
    sequential(maker)
    make_more(maker)


def sequential(maker):
    """Each layer with one input as the only one of a sequential model that got no Input."""
    for name, (base, *shapes) in LAYERS.items():
        cls = find(name)
        if cls is None or len(shapes) != 1 or shapes[0][0] == "s" or name.startswith(("Random", "CuDNN")):
            continue

        def build_one(cls=cls, base=base, shapes=shapes):
            kind, shape = shapes[0]
            xs = [draw(0, (2, *shape), kind)]
            return keras.Sequential([cls(**base, input_shape=shape)]), xs

        maker.add(f"Sequential of {name}", build_one)


def make_more(maker):
    import more

    more.make(maker)
