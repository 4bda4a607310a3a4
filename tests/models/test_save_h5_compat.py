"""Other releases of Keras 3 load the ``.h5`` that kio wrote for them; see test_compat."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.errors import UnsupportedError  # noqa: E402
from kio.models.eras import versions  # noqa: E402
from tests.models import kinds  # noqa: E402
from tests.models.test_compat import EXEMPT, OWN_CODE, PYTHONS, array, feed_of, flat  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("default")]

READER = Path(__file__).with_name("legacy_reader.py")
# What no release can load from its own files, and what the first ones cannot: 3.0.5 does not give
# frozen layers and wrappers of recurrent ones their flags back.
NEVER = {"float8"}
BROKEN = {"3.0.5": {"bidirectional", "nested_frozen"}}


def prepare(folder: Path, compat: str) -> dict[str, dict[str, Any]]:
    """Write every kind for that version; what each holds."""
    written = {}
    for name, build in kinds.KINDS.items():
        if name in OWN_CODE | NEVER or kinds.missing(name):
            continue
        model = build()
        try:
            kio.save_model(model, folder / f"{name}.h5", compat=compat)
            kio.save_weights(model, folder / f"{name}.weights.hdf5", compat=compat)
        except UnsupportedError:
            (folder / f"{name}.h5").unlink(missing_ok=True)
            continue
        inputs = feed_of(model)
        np.savez(folder / f"{name}.npz", **{f"input_{k}": x for k, x in enumerate(inputs)})
        outputs = flat(model(inputs[0] if len(inputs) == 1 else inputs))
        values = [np.asarray(keras.ops.convert_to_numpy(o)).astype("f8") for o in outputs]
        found = {f"{key}_{k}": value for key in ("output", "order", "name") for k, value in enumerate(values)}
        written[name] = found | {f"weight_{k:03}": array(v) for k, v in enumerate(model.weights)}
    return written


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not PYTHONS, reason="needs interpreters with other releases of Keras: KIO_KERAS_PYTHONS")
@pytest.mark.parametrize("python", PYTHONS)
def test_other_releases_read_it(python: str, tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": ""}

    def ask(*arguments: str) -> str:
        done = subprocess.run(
            [python, str(READER), *arguments], capture_output=True, text=True, env=environment, timeout=1200
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.split()[1]

    version = ask()
    if tuple(map(int, version.split("."))) > versions.installed():
        pytest.skip("newer than the installed Keras")
    written = prepare(tmp_path, version)
    assert len(written) > 30
    ask(str(tmp_path))
    problems = []
    for name, expected in written.items():
        if name in BROKEN.get(version, ()):
            continue
        error = tmp_path / f"{name}.error"
        if error.exists():
            problems.append(f"{name}: {error.read_text()[-500:]}")
            continue
        with np.load(tmp_path / f"{name}.out.npz") as found:
            for key, value in expected.items():
                same = np.array_equal if key.startswith("weight") else np.allclose
                close = {} if key.startswith("weight") else {"rtol": 1e-3, "atol": 1e-5}
                if name not in EXEMPT and not same(found[key], value, **close):
                    problems.append(f"{name}: {key} differs")
    assert not problems, f"{len(problems)} with Keras {version}:\n" + "\n".join(problems)
