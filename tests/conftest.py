"""What all tests share: where things are, which backend, and what is skipped without what."""

from __future__ import annotations

import gc
import itertools
import json
import os
import signal
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"

# One backend a process.  TensorFlow's and JAX's own chatter would hide what a test prints.
if "KERAS_BACKEND" not in os.environ:
    os.environ["KERAS_BACKEND"] = next((b for b in ("jax", "torch", "tensorflow") if find_spec(b)), "numpy")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

NEEDS = {"keras": ("keras",), "torch": ("keras", "torch"), "tf": ("keras", "tensorflow")}


def real() -> Path | None:
    """The folder of real files from public repositories, or None where it is not at hand."""
    path = Path(os.environ.get("KIO_REAL", HERE.parent.parent / "shared" / "real"))
    return path if path.is_dir() else None


def real_units(kinds: Iterable[str]) -> list[dict[str, Any]]:
    """What is known of the real files of these kinds; nothing where they are not at hand."""
    folder = real()
    if folder is None:
        return []
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    return [unit for unit in manifest["units"] if unit["kind"] in kinds]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker, packages in NEEDS.items():
            missing = [package for package in packages if find_spec(package) is None]
            if item.get_closest_marker(marker) and missing:
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))


def pytest_collection_finish() -> None:
    # Keras collects garbage whenever a session is cleared; libraries and tests are none.
    gc.collect()
    gc.freeze()


_done = itertools.count(1)


def pytest_runtest_teardown() -> None:
    # JAX keeps what it compiled for models that are long gone: gigabytes after some thousand tests.
    jax = sys.modules.get("jax")
    if jax is not None and next(_done) % 20 == 0:
        jax.clear_caches()


def pytest_report_header() -> str:
    backend = os.environ["KERAS_BACKEND"] if find_spec("keras") else "none (keras is not installed)"
    return f"keras backend: {backend}; real files: {real() or 'not at hand'}; python {sys.version.split()[0]}"


@pytest.fixture(scope="session")
def corpus() -> Path:
    return CORPUS


class Legacy:
    """The corpus of models of TensorFlow's Keras, which is kept in one archive a writer.

    Args:
        folder: What is asked for is unpacked into it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __truediv__(self, name: str) -> Path:
        """A file by ``writer/file``, with all others of its kind beside it."""
        writer, _, file = name.partition("/")
        target = self._folder / writer
        if not (target / file).exists():
            with zipfile.ZipFile(CORPUS / "legacy" / f"{writer}.zip") as archive:
                for each in archive.namelist():
                    if each.split(".")[0] == file.split(".")[0]:
                        archive.extract(each, target)
        return target / file


@pytest.fixture(scope="session")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Legacy:
    return Legacy(tmp_path_factory.mktemp("legacy"))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises, also where the tests were started in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
