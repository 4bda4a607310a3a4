"""Layers, functions and optimizers that Keras no longer has, as they were.

Importing this registers them, so that ``keras.saving.load_model`` finds them in files that
kio converted; kio itself imports it when an old model asks for one.

    import kio.layers
"""

from __future__ import annotations

from kio.layers.dense import Highway, MaxoutDense
from kio.layers.functions import hard_sigmoid
from kio.layers.local import LocallyConnected1D, LocallyConnected2D
from kio.layers.optimizers import Adagrad, DecayedSchedule, Nadam, RMSprop
from kio.layers.wrappers import TimeDistributed

__all__ = [
    "Adagrad",
    "DecayedSchedule",
    "Highway",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "MaxoutDense",
    "Nadam",
    "RMSprop",
    "TimeDistributed",
    "hard_sigmoid",
]
