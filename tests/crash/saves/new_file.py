"""A file that must not exist: there is no old state but nothing."""

import os

from kio.raw.sink import Sink

TARGET = "a.bin"
OVER = (None,)


def save(path, version):
    # Before a second save its caller has removed the first.
    if os.path.exists(path):
        os.unlink(path)
    with Sink.open(path, overwrite=False) as sink:
        sink.write_at(0, version.encode() * 1000)
