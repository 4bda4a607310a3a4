"""A .weights.h5 file: structure, payload and the table of checksums."""

import numpy as np

import kio

TARGET = "a.weights.h5"


def tensors(version):
    value = 1 if version == "old" else 2
    return {
        "layers/dense/vars/0": np.full((300, 300), value, np.float32),
        "layers/dense/vars/1": np.full(300, value, np.float32),
    }


def save(path, version):
    kio.write(path, tensors(version))
