"""A file with structure and payload, partly past the page cache."""

import os

import numpy as np

from kio.raw.sink import Sink
from kio.raw.transfer_out import write

TARGET = "a.bin"


def save(path, version):
    value = 1 if version == "old" else 2
    payload = np.full(500_000, value, np.uint8)
    with Sink.open(path) as sink:
        sink.reserve(700_000)
        sink.write_at(0, version.encode() * 100)
        write(
            sink,
            [(1000, payload), (1000 + len(payload) + 20_000, b"small")],
            checksums=[(1000, len(payload))],
            direct="KIO_CRASH_BUFFERED" not in os.environ,
            threads=2,
        )
        sink.write_at(500, b"patched")
        sink.truncate(699_990)
