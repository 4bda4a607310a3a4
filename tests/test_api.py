"""The public verbs that need no framework."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

import kio
from tests.conftest import CORPUS

FOLDER = CORPUS / "keras3" / "3.15.1" / "functional"
ARCHIVE, WEIGHTS = FOLDER / "model.keras", FOLDER / "model.weights.h5"
KERNEL = "layers/dense/vars/0"


@pytest.fixture(scope="module")
def kernel():
    with h5py.File(WEIGHTS) as f:
        return f[KERNEL][()]


def test_every_kind_of_input(tmp_path, kernel):
    odd = tmp_path / "no suffix at all"
    odd.write_bytes(ARCHIVE.read_bytes())
    wrong = tmp_path / "weights.keras"
    wrong.write_bytes(WEIGHTS.read_bytes())
    with open(ARCHIVE, "rb") as file, h5py.File(WEIGHTS) as h5:
        for what in (
            ARCHIVE,
            str(ARCHIVE),
            os.fsencode(ARCHIVE).decode(),
            ARCHIVE.read_bytes(),
            bytearray(WEIGHTS.read_bytes()),
            io.BytesIO(ARCHIVE.read_bytes()),
            file,
            odd,
            wrong,
            h5,
        ):
            with kio.open(what) as ckpt:
                np.testing.assert_array_equal(ckpt[KERNEL], kernel)
        with kio.open(h5["layers/dense"]) as ckpt:
            np.testing.assert_array_equal(ckpt["vars/0"], kernel)


def test_views_of_a_mapped_file(kernel):
    with kio.open(WEIGHTS, mmap=True) as ckpt:
        view = np.asarray(ckpt[KERNEL])
    assert not view.flags.writeable
    np.testing.assert_array_equal(view, kernel)


def test_slices_and_reads(kernel):
    with kio.open(ARCHIVE) as ckpt:
        np.testing.assert_array_equal(ckpt[KERNEL][1:3, ::2], kernel[1:3, ::2])
        arrays = ckpt.read(["layers/dense/vars/1", KERNEL])
        assert list(arrays) == ["layers/dense/vars/1", KERNEL]
        out = np.zeros_like(kernel)
        ckpt[KERNEL].read_into(out)
        np.testing.assert_array_equal(out, kernel)
        streamed = dict(kio.stream(ckpt, budget="1KB"))
        assert streamed.keys() == set(ckpt)
        assert ckpt.config.startswith("{") and ckpt.metadata["keras_version"] == "3.15.1"


def test_verify(tmp_path):
    assert kio.verify(ARCHIVE) and kio.verify(WEIGHTS)
    data = bytearray(ARCHIVE.read_bytes())
    with h5py.File(WEIGHTS) as f:
        needle = f[KERNEL][()].tobytes()
    data[data.index(needle) + 3] ^= 4
    bad = tmp_path / "bad.keras"
    bad.write_bytes(data)
    report = kio.verify(bad)
    assert not report and len(report.problems) == 1
    assert "CRC-32" in str(report) and "model.weights.h5" in str(report)
    report = kio.verify(b"nothing that anyone wrote" * 10)
    assert not report and report.format is None


def test_diff(tmp_path):
    assert kio.diff(ARCHIVE, WEIGHTS)
    changed = tmp_path / "w.h5"
    changed.write_bytes(WEIGHTS.read_bytes())
    with h5py.File(changed, "r+") as f:
        f[KERNEL][0, 0] = np.nextafter(f[KERNEL][0, 0], np.float32(9))
        f["layers/extra/vars/0"] = np.zeros(3)
        del f["layers/dense_1/vars/1"]
        bias = f["layers/dense/vars/1"][()]
        del f["layers/dense/vars/1"]
        f["layers/dense/vars/1"] = bias.astype("f8")
        kernel = f["layers/dense_1/vars/0"][()]
        del f["layers/dense_1/vars/0"]
        f["layers/dense_1/vars/0"] = kernel.T
    report = kio.diff(WEIGHTS, changed)
    assert not report
    assert report.only_a == ["layers/dense_1/vars/1"] and report.only_b == ["layers/extra/vars/0"]
    kinds = {d.name: d for d in report.different}
    assert kinds[KERNEL].what == "values" and kinds[KERNEL].nelems == 1 and kinds[KERNEL].max_ulp == 1
    assert kinds["layers/dense/vars/1"].what == "dtype"
    assert kinds["layers/dense_1/vars/0"].what == "shape"
    assert "1 ulp" in str(report)


def test_what_is_not_there_and_what_is_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        kio.open(tmp_path / "missing.keras")
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for what in (empty, b"", b"garbage" * 100):
        with pytest.raises(kio.FormatError):
            kio.open(what)


def test_importing_kio_imports_no_framework():
    code = (
        "import sys, kio, kio.cli; kio.open(sys.argv[1]).read();"
        "print([m for m in ('keras', 'jax', 'torch', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ARCHIVE)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names():
    for name in kio.__all__:
        if name not in ("background", "callbacks", "saving"):
            assert getattr(kio, name) is not None
    assert set(dir(kio)) == set(kio.__all__)
    with pytest.raises(AttributeError):
        kio.nonsense  # noqa: B018


@pytest.mark.parametrize("url", ["gs://bucket/m.keras", "https://example.org/m.weights.h5"])
def test_urls_are_declined_not_missing(url):
    """So that ``kio.saving.install()`` leaves them to Keras, which may know how to get them."""
    with pytest.raises(kio.UnsupportedError, match="local path"):
        kio.open(url)
