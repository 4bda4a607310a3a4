"""What all tests share: where things are, which backend, and what is skipped without what."""

from __future__ import annotations

import atexit
import gc
import itertools
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("kio.testing")

from tests import lanes  # noqa: E402
from tests.corpus import frozen  # noqa: E402

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"

# One backend a process.  TensorFlow's and JAX's own chatter would hide what a test prints.
if "KERAS_BACKEND" not in os.environ:
    os.environ["KERAS_BACKEND"] = next((b for b in ("jax", "torch", "tensorflow") if find_spec(b)), "numpy")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# JAX compiles the same small programs in every test, worker and child process; compiling is half of the time of all
# tests that train.  One folder a run, of a few megabytes: each program is compiled once.  Functions that an older
# JAX has stored take memory that is not theirs: see models/memory/jax_arrays.py.
_PROGRAMS = "JAX_COMPILATION_CACHE_DIR"
_CACHES = find_spec("jax") is not None and tuple(map(int, version("jax").split(".")[:3])) >= (0, 6, 2)
if _CACHES and _PROGRAMS not in os.environ:
    os.environ[_PROGRAMS] = tempfile.mkdtemp(prefix="kio-tests-jax-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    atexit.register(shutil.rmtree, os.environ[_PROGRAMS], ignore_errors=True)

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--corpus", choices=lanes.LANES, default="quick", help="which cases run: see tests/README.md")
    until = "leave out cases that would begin after this time, in seconds since 1970"
    parser.addoption("--until", type=float, default=float("inf"), metavar="SECONDS", help=until)


TIME_IS_UP = "left out: the time that --until gave is up"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.time() > item.config.getoption("--until"):
        pytest.skip(TIME_IS_UP)


def pytest_configure(config: pytest.Config) -> None:
    lanes.use(config.getoption("--corpus"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for marker, packages in NEEDS.items():
            missing = [package for package in packages if find_spec(package) is None]
            if item.get_closest_marker(marker) and missing:
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))
    if lanes.lane() in ("quick", "rest"):
        _choose(config, items)


# What the lane left out, in words: how many of how many cases.
_left_out: dict[str, tuple[int, int]] = {}


def _choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out of ``items`` what is not of the lane, and note what that was."""
    # A case that was named runs in every lane.
    asked = {arg.rpartition("tests/")[2] for arg in config.args if "[" in arg}
    rows: dict[lanes.Row | None, list[tuple[pytest.Item, tuple[str, str]]]] = {}
    for item in items:
        test, _, name = item.nodeid.removeprefix("tests/").partition("[")
        rows.setdefault(lanes.ROWS.get(test), []).append((item, (test, name.removesuffix("]"))))
    quick = set()
    for row, members in rows.items():
        if row is None:
            chosen = {case for item, case in members if not item.get_closest_marker("slow")}
        else:
            chosen = lanes.kept(row, [case for _, case in members])
        quick |= {item for item, case in members if case in chosen}
        if len(chosen) < len(members) and lanes.lane() == "quick":
            slow = len(members) - len(chosen)
            _left_out[row.keeps if row else lanes.SLOW] = slow, len(members) if row else slow
    run = [item for item in items if (item in quick) == (lanes.lane() == "quick") or item.nodeid[6:] in asked]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(run)])
    items[:] = run


def pytest_sessionfinish(session: pytest.Session) -> None:
    # Under xdist the workers collect, and each the same.
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = _left_out


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _left_out.update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    late = sum(TIME_IS_UP in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if late:
        asked = terminalreporter.config.invocation_params.args
        command = shlex.join(arg for arg in map(str, asked) if not arg.startswith("--until"))
        terminalreporter.section(f"left out, as the time was up: {late} cases; this runs them, and those that ran")
        terminalreporter.write_line(f"KERAS_BACKEND={os.environ['KERAS_BACKEND']} python -m pytest {command}")
    if _left_out:
        out, of = (sum(pair[n] for pair in _left_out.values()) for n in (0, 1))
        terminalreporter.section(f"left out by --corpus=quick: {out} of {of} cases; --corpus=all runs them")
        for keeps, (number, total) in sorted(_left_out.items()):
            terminalreporter.write_line(f"{number:5} of {total:5}   kept: {keeps}")


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
    """The corpus of models of TensorFlow's Keras, which is kept in archives, one or more a writer.

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
            for path in frozen.archives(CORPUS / "legacy", writer):
                with zipfile.ZipFile(path) as archive:
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
