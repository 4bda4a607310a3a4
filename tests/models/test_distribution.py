"""Under keras.distribution on jax variables are laid out as stock Keras does it, and no device holds a whole one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

VERSION = tuple(map(int, keras.__version__.split(".")[:2]))


@pytest.mark.skipif(VERSION < (3, 10), reason="optimizers copy no layouts before")
@pytest.mark.parametrize("parallel", ["model", "data"])
def test_every_optimizer(parallel: str, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    script = Path(__file__).with_name("distributed.py")
    root = str(script.parents[2])
    environment = os.environ | {"PYTHONPATH": root, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), parallel],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "done\n", done.stdout + done.stderr[-3000:]
