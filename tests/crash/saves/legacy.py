"""A legacy .h5 file of weights: lists of names, payload and the table of checksums."""

import numpy as np

from kio import formats
from kio.contents import Contents, value_of
from kio.formats.target import Options, Target

TARGET = "a.h5"


def save(path, version):
    value = np.full((300, 300), 1 if version == "old" else 2, np.float32)
    contents = Contents(
        tensors={"dense/dense/kernel": value_of("kernel", value)},
        attributes={"": {"layer_names": [b"dense"]}, "dense": {"weight_names": [b"dense/kernel"]}},
    )
    formats.format_named("keras_h5").create(Target(path), contents, Options())
