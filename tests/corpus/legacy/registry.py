"""Which Keras writes, and the list of kinds of models."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

try:
    import tf_keras as keras

    VERSION = keras.__version__
except ImportError:
    import keras

    VERSION = keras.__version__
    if VERSION.startswith("2"):
        from tensorflow import keras

MODERN = VERSION.startswith("3")
L = keras.layers
KINDS = {}


class Kind:
    """One kind of model.

    Attributes:
        build: Makes it.
        shapes: Of its inputs without the batch.
        optimizer: Name of a class, or makes one.
        ints: Inputs are whole numbers below five.
        strings: Inputs are words of this list.
        targets: Makes targets from a random state and the shapes of the outputs.
        train: Whether it is trained.
        stored: Whether the corpus keeps it; others are for full runs.
        options: Arguments of compile, and ``policy``.
    """

    def __init__(self, build, shapes, optimizer="Adam", ints=False, strings=None, targets=None, train=True,
                 stored=True, **options):
        self.build, self.shapes, self.optimizer, self.ints, self.strings = build, shapes, optimizer, ints, strings
        self.targets, self.train, self.stored, self.options = targets, train, stored, options


def kind(*shapes, where=True, name=None, **options):
    """Register a builder; ``where`` False: this Keras has no such thing."""

    def add(build):
        if where:
            KINDS[name or build.__name__] = Kind(build, shapes, **options)
        return build

    return add


def legacy(name, **arguments):
    return getattr(keras.optimizers.legacy, name)(**arguments)
