"""Every single bit of a file that kio wrote, flipped: found by ``verify``, or nothing that is loaded changes.

Small files in the default run.  The files of 1 MiB are 8 million flips each, so bits of data
are judged by the check of their own tensor, which is what ``verify`` does to each; all other
bits by opening the file anew.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

import kio
from kio.containers import hdf5
from kio.containers.zip_writer import ZipWriter
from kio.errors import FormatError
from kio.raw import transfer
from kio.raw.sink import Sink
from kio.raw.source import Source
from tests.containers.written import written

RNG = np.random.default_rng(11)


def tensors(nbytes):
    """About so many bytes of what a small model has: most of it in a few tensors."""
    shapes = [(nbytes // 2 // 4,), (nbytes // 4 // 64, 16), (nbytes // 8 // 8, 2), (7,), (), (3, 5)]
    values = {f"layers/dense_{k}/vars/0": RNG.standard_normal(shape).astype("f4") for k, shape in enumerate(shapes)}
    values["optimizer/vars/0"] = np.array(12, "i8")
    values["layers/mask/vars/0"] = RNG.integers(0, 2, 40).astype("?")
    return values


def weights(nbytes, **options):
    values = tensors(nbytes)
    return values, written(values, {"layers/dense_0/vars": {"name": "dense"}}, **options)


def archive(nbytes):
    values = tensors(nbytes)
    draft = hdf5.Draft()
    for path, value in values.items():
        draft.dataset(path, kio.dtypes.name_of(value.dtype), value.shape)
    sink = Sink.of_memory()
    writer = ZipWriter(sink)
    writer.add("metadata.json", b'{"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"}')
    writer.add("config.json", b'{"class_name": "Sequential", "config": {"name": "m", "layers": []}}')
    base = writer.begin("model.weights.h5", hdf5.nbytes_of(draft), boundary=64)
    writer.end(*hdf5.write(sink, draft, values, base=base))
    writer.add("assets/words.txt", b"a\nb\n")
    writer.finish()
    return values, bytes(sink.getvalue())


def content(data):
    """All that a load could see, every checksum compared."""
    with kio.open(data) as found:
        found.verify()
        names = {name: (t.dtype_name, t.shape) for name, t in found.items()}
        assets = {name: found.assets.read(name) for name in found.assets}
        return names, found.read(verify=True), found.config, found.metadata, assets


def same(a, b):
    return a[0] == b[0] and a[2:] == b[2:] and all(a[1][name].tobytes() == b[1][name].tobytes() for name in a[1])


def owners(data):
    """For each byte the tensor that it is of, or None.  The tensors lie over data itself."""
    with kio.open(bytes(data)) as found:
        inner = next(t for t in found.values() if t.nbytes).extents[0].source
        base, nbytes = inner.base, inner.nbytes
    index = hdf5.open(Source.of_bytes(data).window(base, nbytes, "weights")).tensors
    out = [None] * len(data)
    for tensor in index.values():
        for extent in tensor.extents if tensor.nbytes else ():
            first = base + extent.offset
            out[first : first + extent.nbytes] = [tensor] * extent.nbytes
    return out


def flip_all(data, bits_of=lambda at: range(8)):
    """Flip every bit, or those that ``bits_of`` says; ``(bits, found, harmless)``."""
    data = bytearray(data)
    expected = content(bytes(data))
    found = harmless = 0
    for at, tensor in enumerate(owners(data)):
        for bit in bits_of(at):
            data[at] ^= 1 << bit
            try:
                if tensor is not None:
                    transfer.check([tensor], threads=1, members=False)
                    changed = True
                else:
                    changed = not same(content(bytes(data)), expected)
                assert not changed, f"bit {bit} of byte {at:#x} goes unnoticed"
                harmless += 1
            except FormatError:
                found += 1
            finally:
                data[at] ^= 1 << bit
    assert same(content(bytes(data)), expected)
    return found + harmless, found, harmless


SMALL = {
    "plain": lambda: written({"a": RNG.standard_normal(50).astype("f4"), "b": np.array(True)}),
    "compressed": lambda: written({"x": RNG.integers(0, 2, 20_000, "u1")}, compression="gzip"),
}


@pytest.mark.parametrize("kind", SMALL)
def test_small_files(kind):
    data = SMALL[kind]()
    bits, found, _ = flip_all(data)
    assert bits == 8 * len(data) and found > 0.8 * bits


def test_an_archive():
    """One bit of each byte; all of them in the slow run."""
    _, data = archive(600)
    bits, found, _ = flip_all(data, lambda at: (at % 8,))
    assert bits == len(data) and found > 0.8 * bits


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["weights", "archive"])
def test_a_mebibyte(kind, capsys):
    _, data = (weights if kind == "weights" else archive)(1_200_000)
    assert len(data) >= 1 << 20
    began = time.perf_counter()
    bits, found, harmless = flip_all(data)
    with capsys.disabled():
        print(f"\n{kind}: {bits} bits flipped, {found} found, {harmless} harmless, {time.perf_counter() - began:.0f} s")
    assert found + harmless == bits
