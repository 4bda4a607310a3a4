"""LZF streams, as h5py writes them and as an attacker would."""

from __future__ import annotations

import random

import h5py
import numpy as np
import pytest

from kio.raw import kernels
from tests.csrc.spans import guarded, guarded_copy


def lzf_slowly(stream: bytes, nbytes_max: int) -> tuple[str, bytes]:
    """liblzf's lzf_d.c, in the words of kio_status."""
    out, at = bytearray(), 0
    while at < len(stream):
        control = stream[at]
        at += 1
        if control < 32:
            n = control + 1
            if at + n > len(stream):
                return "TRUNCATED", bytes(out)
            if len(out) + n > nbytes_max:
                return "LIMIT", bytes(out)
            out += stream[at : at + n]
            at += n
            continue
        n, more = control >> 5, 1 + (control >> 5 == 7)
        if at + more > len(stream):
            return "TRUNCATED", bytes(out)
        if n == 7:
            n += stream[at]
        back = ((control & 31) << 8 | stream[at + more - 1]) + 1
        at += more
        if back > len(out):
            return "CORRUPT", bytes(out)
        if len(out) + n + 2 > nbytes_max:
            return "LIMIT", bytes(out)
        for _ in range(n + 2):
            out.append(out[-back])
    return "OK", bytes(out)


@pytest.mark.parametrize("kind", ["zeros", "text", "ramp", "steps", "periods"])
@pytest.mark.parametrize("nbytes", [64, 1000, 70_000])
def test_as_h5py(tmp_path, kind, nbytes):
    data = {
        "zeros": bytes(nbytes),
        "text": (b"the quick brown fox jumps over the lazy dog. " * 2000)[:nbytes],
        "ramp": np.arange(nbytes // 4, dtype="f4").tobytes(),
        "steps": np.arange(nbytes, dtype="u4").astype("u1").tobytes(),
        "periods": b"".join(bytes(range(n)) * 9 for n in range(1, 60))[:nbytes],
    }[kind]
    values = np.frombuffer(data, "u1")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        dataset = file.create_dataset("x", data=values, chunks=values.shape, compression="lzf")
        mask, chunk = dataset.id.read_direct_chunk((0,))
    if mask:  # did not shrink: h5py left the filter out
        assert chunk == data
        return
    dst = guarded(len(data))
    assert kernels.lzf_decompress_into(dst, guarded_copy(chunk)) == ("OK", len(data))
    assert dst == data
    for n in (0, 1, len(chunk) // 2, len(chunk) - 1):
        status, found = lzf_slowly(chunk[:n], len(data))
        assert kernels.lzf_decompress_into(guarded(len(data)), guarded_copy(chunk[:n])) == (
            status,
            len(found),
        )
    for limit in (0, 1, len(data) // 2, len(data) - 1):
        assert kernels.lzf_decompress_into(guarded(limit), chunk)[0] == "LIMIT"


def test_random_streams():
    rng = random.Random(7)
    seen = set()
    for _ in range(6000):
        # Mostly well-formed: instructions one after the other, some of them reaching too far.
        stream = bytearray()
        for _ in range(rng.randrange(12)):
            if rng.random() < 0.5:
                n = rng.randrange(32)
                stream += bytes([n]) + rng.randbytes(n + 1)
            else:
                n, high = rng.randrange(1, 8), rng.choice([0, 0, 0, 1, 31])
                stream.append(n << 5 | high)
                stream += rng.randbytes(1) if n == 7 else b""
                stream.append(rng.choice([0, 1, 2, 3, 7, 8, 20, 60]))
        if rng.random() < 0.3:
            stream = stream[: rng.randrange(len(stream) + 1)]
        limit = rng.choice([0, 5, 50, 300, 3000])
        status, found = lzf_slowly(bytes(stream), limit)
        dst = guarded(limit)
        assert kernels.lzf_decompress_into(dst, guarded_copy(bytes(stream))) == (status, len(found))
        assert dst[: len(found)] == found
        seen.add(status)
    assert seen == {"OK", "TRUNCATED", "CORRUPT", "LIMIT"}
