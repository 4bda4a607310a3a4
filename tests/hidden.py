"""A Python in which some packages are not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# As if the folders of these packages were not there: no spec is found, an import names what is missing.
PRELUDE = """
import sys
from importlib.machinery import PathFinder
hidden = set(sys.argv.pop(1).split(","))
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in hidden else find(name, *rest)
"""


def run(code: str, *argv: str, without: tuple[str, ...], backend: str | None = None) -> subprocess.CompletedProcess:
    """Run Python code that does not find the packages ``without``, with ``KERAS_BACKEND`` as said."""
    environ = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    if backend is not None:
        environ["KERAS_BACKEND"] = backend
    command = [sys.executable, "-c", PRELUDE + code, ",".join(without), *argv]
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False, timeout=240)
