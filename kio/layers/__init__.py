"""Layers, functions and optimizers that Keras no longer has, as they were.

Importing this registers them, so that ``keras.saving.load_model`` finds them in files that
kio converted; kio itself imports it when an old model asks for one.

    import kio.layers
"""

from __future__ import annotations

from kio.layers.attention import AdditiveAttention, Attention, MultiHeadAttention, Softmax
from kio.layers.dense import Highway, MaxoutDense
from kio.layers.first import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from kio.layers.functions import hard_sigmoid
from kio.layers.images import RandomCrop, RandomHeight, RandomWidth, Resizing, UpSampling2D
from kio.layers.keras0 import ThresholdedLinear, TimeDistributedMerge
from kio.layers.keras1 import CosineMerge, ParametricSoftplus, SReLU
from kio.layers.local import LocallyConnected1D, LocallyConnected2D
from kio.layers.masking import (
    Add,
    Average,
    BatchNormalization,
    Concatenate,
    Cropping1D,
    Cropping2D,
    Cropping3D,
    Flatten,
    Identity,
    Maximum,
    Minimum,
    Multiply,
    Normalization,
    Permute,
    Rescaling,
    Reshape,
    Subtract,
)
from kio.layers.optimizers import Adagrad, DecayedSchedule, Nadam, RMSprop
from kio.layers.others import (
    Functional,
    LayerNormalization,
    RadialConstraint,
    RandomFourierFeatures,
)
from kio.layers.pools import AveragePooling1D, AveragePooling2D, AveragePooling3D
from kio.layers.recurrent import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    ConvLSTM1D,
    ConvLSTM2D,
    ConvLSTM3D,
    SimpleRNN,
)
from kio.layers.regularizers import ActivityRegularizer
from kio.layers.tf_function import TFFunction
from kio.layers.wrappers import TimeDistributed

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "ActivityRegularizer",
    "Adagrad",
    "Add",
    "AdditiveAttention",
    "Attention",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "CosineMerge",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "DecayedSchedule",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Flatten",
    "Functional",
    "Highway",
    "Identity",
    "LayerNormalization",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "Maximum",
    "MaxoutDense",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Nadam",
    "Normalization",
    "ParametricSoftplus",
    "Permute",
    "RMSprop",
    "RadialConstraint",
    "RandomCrop",
    "RandomFourierFeatures",
    "RandomHeight",
    "RandomWidth",
    "Rescaling",
    "Reshape",
    "Resizing",
    "SReLU",
    "SeparableConv1D",
    "SeparableConv2D",
    "SimpleRNN",
    "Softmax",
    "Subtract",
    "TFFunction",
    "ThresholdedLinear",
    "TimeDistributed",
    "TimeDistributedMerge",
    "UpSampling2D",
    "hard_sigmoid",
]
