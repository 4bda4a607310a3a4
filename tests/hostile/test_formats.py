"""Attacks on whole files: refused within a second and 64 MiB, by an error that says where.

Each case is a function that gives the bytes of a file (or makes a folder) and what the
refusal must say.  All run again in a process of their own, which measures memory.
"""

import io
import json
import subprocess
import sys
import zipfile
import zlib

import h5py
import numpy as np
import pytest

from kio.errors import FormatError
from kio.formats import open_checkpoint
from tests.clock import worked_less_than
from tests.hostile.zips import raw


def weights(**arrays):
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for name, array in (arrays or {"a": np.ones(3)}).items():
            file[f"layers/{name}/vars/0"] = array
    return out.getvalue()


def keras(method=zipfile.ZIP_STORED, **members):
    """A small .keras; keyword ``config`` is config.json, and so on; None leaves one out."""
    content = {"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": weights()}
    content |= {{"config": "config.json", "metadata": "metadata.json", "weights": "model.weights.h5"}.get(k, k): v
                for k, v in members.items()}  # fmt: skip
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in content.items():
            if data is not None:
                z.writestr(name, data)
    return out.getvalue()


def bomb(name, nbytes, stated=None, others=()):
    """An archive with one deflated member of zeros, made without holding them."""
    packer, crc, data = zlib.compressobj(9, zlib.DEFLATED, -15), 0, b""
    block = bytes(1 << 20)
    for _ in range(nbytes >> 20):
        data += packer.compress(block)
        crc = zlib.crc32(block, crc)
    data += packer.flush()
    facts = {"method": 8, "crc": crc, "nbytes": nbytes if stated is None else stated, "nbytes_stored": len(data)}
    return raw([*((n.encode(), d, {}, {}) for n, d in others), (name.encode(), data, facts, facts)])


def npy(header, payload=b""):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("a.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + payload)
    return out.getvalue()


def safetensors(header, payload=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + payload


BASE = (("metadata.json", b"{}"), ("config.json", b"{}"))

CASES = {
    "weights are a bomb": (lambda: bomb("model.weights.h5", 256 << 20, None, BASE), "spool_expansion"),
    "weights are a bomb that lies": (lambda: bomb("model.weights.h5", 256 << 20, 9000, BASE), "found more"),
    "config is a bomb": (
        lambda: bomb("config.json", 256 << 20, None, [("model.weights.h5", weights())]),
        "limits.config_bytes",
    ),
    "npz is a bomb": (lambda: bomb("a.npy", 256 << 20), "spool_expansion"),
    "config beyond its limit": (lambda: keras(config=b" " * (65 << 20)), "limits.config_bytes"),
    "config is no UTF-8": (lambda: keras(config=b'{"a": "\xff"}'), "UTF-8"),
    "config with a byte order mark": (lambda: keras(config=b"\xef\xbb\xbf{}"), "byte order mark"),
    "metadata twice": (lambda: keras(metadata=b'{"a": 1, "a": 2}'), "twice"),
    "metadata no object": (lambda: keras(metadata=b"[1]"), "expected an object"),
    "metadata deep": (lambda: keras(metadata=b"[" * 1_000_000), "limits.config_depth"),
    "metadata wide": (lambda: keras(metadata=b"[" + b"[]," * 3_000_000 + b"0]"), "limits.config_nodes"),
    "no weights": (lambda: keras(weights=None), "weights: expected one of"),
    "weights are empty": (lambda: keras(weights=b""), "model.weights.h5"),
    "weights are text": (lambda: keras(weights=b"hello"), "expected HDF5"),
    "weights are a pickle": (lambda: keras(weights=b"\x80\4."), "expected HDF5"),
    "weights are a keras file": (lambda: keras(weights=keras()), "expected HDF5"),
    "weights are cut": (lambda: keras(weights=weights()[:-5]), "model.weights.h5"),
    "weights map leads out": (
        lambda: keras(
            weights=None,
            **{"model.weights.json": b'{"metadata": {"total_size": 1}, "weight_map": {"/v": "../x_00000.weights.h5"}}'},
        ),
        "plain name",
    ),
    "member leads out": (lambda: keras(**{"../evil": b""}), "plain relative path"),
    "pickled npz": (
        lambda: npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n."),
        "pickled",
    ),
    "npz shape bomb": (
        lambda: npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999,), }"),
        "stored size",
    ),
    "npz overflow": (
        lambda: npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4294967296), }"),
        "limits.tensor_bytes",
    ),
    "safetensors shape bomb": (
        lambda: safetensors({"a": {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 4]}}, bytes(4)),
        "stored size",
    ),
    "safetensors header bomb": (lambda: (60 << 20).to_bytes(8, "little") + b"{" * 100, "header: expected"),
    "safetensors deep": (lambda: safetensors(b'{"a":' * 1_000_000), "limits.config_depth"),
    "safetensors wide": (
        lambda: safetensors(b"{" + b",".join(b'"%d":{}' % k for k in range(600_000)) + b"}"),
        "limits.config_nodes",
    ),
    "shards map wide": (
        lambda: b'{"metadata": {}, "weight_map": {' + b",".join(b'"%d":[]' % k for k in range(600_000)) + b"}}",
        "limits.config_nodes",
    ),
    "a git lfs pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name):
    build, says = CASES[name]
    data = build()
    with worked_less_than(1), pytest.raises(FormatError) as caught, open_checkpoint(data) as found:
        found.read()
    text = str(caught.value)
    assert says in text and text.isprintable() and len(text) < 2000


MEASURE = """
import os, sys
from kio.errors import FormatError
from kio.formats import open_checkpoint
from tests.hostile.test_formats import CASES

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))

path = sys.argv[1]
for name, (build, _) in CASES.items():
    with open(path, "wb") as file:
        file.write(build())
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak counts from here
    before = peak()
    try:
        with open_checkpoint(path) as found:
            found.read()
        raise SystemExit(f"{name}: not refused")
    except FormatError:
        extra = peak() - before
    print(f"{extra >> 20} MiB: {name}")
    if extra > os.path.getsize(path) + (64 << 20):
        raise SystemExit(f"{name}: {extra >> 20} MiB")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resets the peak through /proc")
def test_memory_is_bounded(tmp_path):
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "x")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == len(CASES)
