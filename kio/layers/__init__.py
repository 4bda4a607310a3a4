"""Layers and functions that Keras no longer has, as they were.

Importing this registers them, so that ``keras.saving.load_model`` finds them in files that
kio converted; kio itself imports it when an old model asks for one.

    import kio.layers
"""

from __future__ import annotations

from kio.layers import tf_arrays, tf_images, tf_math  # noqa: F401  (their functions enter the table)
from kio.layers.dense import Highway, MaxoutDense
from kio.layers.functions import hard_sigmoid
from kio.layers.images import RandomCrop, RandomHeight, RandomWidth, Resizing, UpSampling2D
from kio.layers.local import LocallyConnected1D, LocallyConnected2D
from kio.layers.others import Functional, RadialConstraint, RandomFourierFeatures, SeparableConv1D, SimpleRNN
from kio.layers.tf_function import TFFunction

__all__ = [
    "Functional",
    "Highway",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "MaxoutDense",
    "RadialConstraint",
    "RandomCrop",
    "RandomFourierFeatures",
    "RandomHeight",
    "RandomWidth",
    "Resizing",
    "SeparableConv1D",
    "SimpleRNN",
    "TFFunction",
    "UpSampling2D",
    "hard_sigmoid",
]
