"""A .weights.h5 file whose chunks are packed while it is written."""

import kio
from tests.crash.saves import weights

TARGET = "a.weights.h5"


def save(path, version):
    kio.write(path, weights.tensors(version), compression="gzip")
