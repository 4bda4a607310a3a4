"""Keras 2 and tf.keras: arguments that are gone, renamed, or had another default."""

from __future__ import annotations

import keras
import numpy as np

from kio.models.eras.rule import Apply, Config, Context, dropped, refuse, renamed, rules

SOURCE = "signatures of keras/layers of Keras 2.0 to 2.15 and of Keras 3.0 to 3.15"

CLASSES = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
    "ThresholdedReLU": "ReLU",
    "DenseFeaturesV2": "DenseFeatures",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3DTranspose": "Conv3DTranspose",
    "SeparableConvolution1D": "SeparableConv1D",
    # Keras 3's own class, by the name that is not its public one.
    "GroupedQueryAttention": "GroupQueryAttention",
}

_RECURRENT = "LSTM GRU SimpleRNN RNN ConvLSTM1D ConvLSTM2D ConvLSTM3D"
_CELLS = "LSTMCell GRUCell SimpleRNNCell"
_UNGROUPED = (
    "DepthwiseConv1D DepthwiseConv2D Conv1DTranspose Conv2DTranspose Conv3DTranspose SeparableConv1D "
    "SeparableConv2D ConvLSTM1D ConvLSTM2D ConvLSTM3D"
)
_DEPTHWISE = "DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D"


def _axis(config: Config, context: Context) -> bool:
    """tf.keras stored the axis of a BatchNormalization as a list."""
    axis = config.get("axis")
    if not isinstance(axis, list):
        return False
    if len(axis) != 1:
        raise refuse(f"axis of {config.get('name')}", "one axis, as Keras 3's BatchNormalization has", axis)
    config["axis"] = axis[0]
    return True


def _reset_after(config: Config, context: Context) -> bool:
    # The argument came with 2.1.3; before, and wherever it is not stored, it was not so.
    if "reset_after" in config or context.era.modern:
        return False
    config["reset_after"] = False
    return True


def _renorm(config: Config, context: Context) -> bool:
    """Batch renormalization: Keras knows it again since 3.15; what is off needs no words."""
    if config.get("renorm"):
        return False
    gone = [config.pop(name) for name in ("renorm", "renorm_clipping", "renorm_momentum") if name in config]
    return bool(gone)


def _synchronized(config: Config, context: Context) -> bool:
    """One batch over several devices: Keras 3 knows that on TensorFlow only, and refuses it elsewhere."""
    if not config.get("synchronized") or keras.config.backend() == "tensorflow":
        return False
    del config["synchronized"]
    return True


def _bessel(config: Config, context: Context) -> bool:
    """On images the kernel behind the layer gave sum / (N - 1) for the average of variances.

    The live model keeps that (``kio.models.eras.old_training``); it stays a layer of Keras's own, so that a network
    of convolutions converts to one that needs nothing else.
    """
    fused = config.get("fused", True) is not False and not config.get("synchronized") and not config.get("renorm")
    if not fused or config.get("virtual_batch_size") is not None:
        context.unfused.add(str(config.get("name")))
        return False
    # Where the layer was built the axis is a number: 3 is that of an image's channels, 4 that of a volume's.
    return config.get("axis") in (3, [3], 4, [4])


def _pair(config: Config, context: Context) -> bool:
    """Keras 2 broadcast the mean and variance of a Normalization to each other."""
    mean, variance = config.get("mean"), config.get("variance")
    if mean is None or variance is None:
        return False
    try:
        both = np.broadcast_arrays(np.asarray(mean, "float64"), np.asarray(variance, "float64"))
    except ValueError:
        return False  # Keras says so better
    if both[0].shape == np.shape(mean) == np.shape(variance):
        return False
    config["mean"], config["variance"] = (each.tolist() for each in both)
    return True


def _stateless(config: Config, context: Context) -> bool:
    """With a state tf.keras went step by step, and through the first step twice, to see its shape."""
    if _stateful(config.get("layer")):
        raise refuse(f"layer of {config.get('name')}", "one without a state", "stateful=True")
    return False


def _stateful(value: object) -> bool:
    if isinstance(value, dict):
        return value.get("stateful") is True or any(map(_stateful, value.values()))
    return isinstance(value, list) and any(map(_stateful, value))


def _silent_regularizer(config: Config, context: Context) -> bool:
    if config.get("activity_regularizer") is not None:
        raise refuse(f"activity_regularizer of {config.get('name')}", "None", config["activity_regularizer"])
    return False


def _bool_scale(config: Config, context: Context) -> bool:
    done = False
    for name in ("scale", "center"):
        if type(config.get(name)) is int:
            config[name] = bool(config[name])
            done = True
    return done


def _causal(config: Config, context: Context) -> bool:
    """A constructor argument that became an argument of the call; see ``graph.call_arguments``."""
    if "causal" not in config:
        return False
    if not config.pop("causal"):
        return True
    config["_kio_call"] = {"use_causal_mask": True}
    return True


def _forgotten(*names: str) -> Apply:
    def apply(config: Config, context: Context) -> bool:
        found = [config.pop(name) for name in names if name in config]
        return bool(found)

    return apply


def _unless_true(name: str) -> Apply:
    def apply(config: Config, context: Context) -> bool:
        if name not in config or config[name]:
            return False
        del config[name]
        return True

    return apply


def _lookup(config: Config, context: Context) -> bool:
    """IntegerLookup and StringLookup of TF 2.3 to 2.5 spoke of values."""
    done = False
    for old, new in (("max_values", "max_tokens"), ("mask_value", "mask_token"), ("oov_value", "oov_token")):
        if old in config:
            config.setdefault(new, config.pop(old))
            done = True
    return done


def _vocabulary_size(config: Config, context: Context) -> bool:
    """How many words there are: kept where they come from the assets, when the layers behind are built already.

    Keras 3 takes the argument, too.  Where no words were counted it would forbid to count some.
    """
    if "vocabulary_size" not in config:
        return False
    fixed = config.get("output_mode", "int") == "int" or config.get("pad_to_max_tokens")
    known, unknown = config["vocabulary_size"], config.get("num_oov_indices", 1)
    counted = type(known) is int and type(unknown) is int and known > unknown
    if counted and not fixed and config.get("vocabulary") is None:
        return False
    del config["vocabulary_size"]
    return True


def _output_mode(config: Config, context: Context) -> bool:
    mode = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(str(config.get("output_mode")))
    if mode is not None:
        config["output_mode"] = mode
    return mode is not None


RULES = rules(SOURCE, (
    ("groups of a convolution without any", _UNGROUPED, dropped("groups", 1)),
    ("kernel arguments of a depthwise convolution", _DEPTHWISE,
     _forgotten("kernel_initializer", "kernel_regularizer", "kernel_constraint")),
    ("filters of a DepthwiseConv", "DepthwiseConv1D DepthwiseConv2D", dropped("filters", None)),
    ("rank", f"{_UNGROUPED} Conv1D Conv2D Conv3D", dropped("rank")),
    ("time_major", f"{_RECURRENT}", dropped("time_major", False, instead="transpose the input and the output")),
    ("implementation", f"{_RECURRENT} {_CELLS}", dropped("implementation")),
    # How noise was drawn; no generator of today draws the same.
    ("rng_type of tf_keras", "*", dropped("rng_type")),
    ("num_constants", f"{_RECURRENT}", dropped("num_constants", None)),
    ("input_length", "*", dropped("input_length")),
    ("reset_after of an old GRU", "GRU GRUCell", _reset_after),
    ("alpha of a LeakyReLU", "LeakyReLU", renamed("alpha", "negative_slope")),
    ("variances of samples while training", "BatchNormalization", _bessel),
    ("axis in a list", "BatchNormalization", _axis),
    ("scale and center as numbers", "BatchNormalization", _bool_scale),
    ("renorm off", "BatchNormalization", _renorm),
    ("synchronized on one device", "BatchNormalization", _synchronized),
    ("mean and variance of one shape", "Normalization", _pair),
    ("fused", "BatchNormalization", dropped("fused")),
    ("virtual_batch_size", "BatchNormalization", dropped("virtual_batch_size", None)),
    ("adjustment", "BatchNormalization", dropped("adjustment", None)),
    ("noise_shape", "SpatialDropout1D SpatialDropout2D SpatialDropout3D", dropped("noise_shape", None)),
    ("trainable of a dropout", "SpatialDropout1D SpatialDropout2D SpatialDropout3D", dropped("trainable")),
    ("trainable of a preprocessing layer", "Discretization HashedCrossing", dropped("trainable")),
    ("shapes of a MultiHeadAttention", "MultiHeadAttention", _forgotten("query_shape", "key_shape", "value_shape")),
    ("state under a TimeDistributed", "TimeDistributed", _stateless),
    # Every projection has it there too, but the sum of them is another one.
    ("activity_regularizer of a MultiHeadAttention", "MultiHeadAttention", _silent_regularizer),
    # Where it is said, kio's own layers take it.
    ("softmax_robust_masking", "MultiHeadAttention", _unless_true("softmax_robust_masking")),
    ("robust_masking", "Softmax", _unless_true("robust_masking")),
    ("causal", "Attention AdditiveAttention", _causal),
    ("sparse gradients of an Embedding", "Embedding", dropped("sparse")),
    ("dynamic", "*", dropped("dynamic", False)),
    ("experimental_autocast", "*", dropped("experimental_autocast")),
    ("bins", "Discretization", renamed("bins", "bin_boundaries")),
    ("max_tokens", "CategoryEncoding", renamed("max_tokens", "num_tokens")),
    ("binary output", "CategoryEncoding TextVectorization IntegerLookup StringLookup",
     _output_mode),
    ("values of a lookup", "IntegerLookup StringLookup", _lookup),
    ("vocabulary_size", "TextVectorization IntegerLookup StringLookup", _vocabulary_size),
    ("has_input_vocabulary", "TextVectorization IntegerLookup StringLookup", dropped("has_input_vocabulary")),
    ("ragged input", "InputLayer", dropped("ragged", False, None, instead="ragged tensors exist in TensorFlow only")),
    ("type_spec", "InputLayer", dropped("type_spec", None)),
))  # fmt: skip


def cudnn(name: str, config: Config) -> None:
    """What CuDNN's recurrent layers did without saying so."""
    config.setdefault("activation", "tanh")
    config["recurrent_activation"] = "sigmoid"
    if name == "CuDNNGRU":
        config["reset_after"] = True


def thresholded(config: Config) -> None:
    """``ThresholdedReLU``: x where x > theta, else 0; so is ReLU with a threshold."""
    config["threshold"] = config.pop("theta", 1.0)
