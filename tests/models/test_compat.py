"""``compat=``: other releases of Keras read what kio wrote for them.

The files are read by stock Keras in interpreters of their own.  Their paths come from the
environment variable KIO_KERAS_PYTHONS, separated as PATH is; without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.errors import MatchError, UnsupportedError  # noqa: E402
from kio.models.eras import versions  # noqa: E402
from tests.models import kinds  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("default")]

PYTHONS = [path for path in os.environ.get("KIO_KERAS_PYTHONS", "").split(os.pathsep) if path]
READER = Path(__file__).with_name("old_reader.py")
# Needs code that the other interpreter does not have, or is no model that stock loads again.
# What a release cannot load from its own files either.
BROKEN = {"3.0.0": {"bidirectional"}, "3.0.5": {"bidirectional"}}
# LoRA is merged on saving, float8 keeps statistics, random layers are random.
EXEMPT = {"lora", "float8", "augmentation"}
OWN_CODE = {"custom_layer", "late_building", "subclassed", "subclassed_called", "sequential_unbuilt"}


def ask(python: str, *arguments: str) -> str:
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": ""}
    done = subprocess.run(
        [python, str(READER), *arguments], capture_output=True, text=True, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[0].strip()


@cache
def version_of(python: str) -> str:
    return ask(python)


def feed_of(model: Any) -> list[Any]:
    rng = np.random.default_rng(3)
    found = []
    for tensor in model.inputs:
        shape = [2 if extent is None else extent for extent in tensor.shape]
        shape = [2, *shape[1:]]
        is_index = "int" in str(tensor.dtype)
        found.append(rng.integers(0, 4, shape).astype("int32") if is_index else rng.normal(size=shape).astype("f4"))
    return found


def flat(outputs: Any) -> list[Any]:
    if isinstance(outputs, dict):
        outputs = [outputs[key] for key in sorted(outputs)]
    return outputs if isinstance(outputs, (list, tuple)) else [outputs]


def array(variable: Any) -> Any:
    return np.asarray(keras.ops.convert_to_numpy(variable.value)).astype("float64")


def save_shards(model: Any, path: Path, compat: str) -> None:
    """In the smallest shards that hold every object."""
    for size in (2e-6, 4e-6, 8e-6, 1e-4):
        try:
            kio.save_weights(model, path, max_shard_size=size, compat=compat)
            return
        except MatchError as error:
            last = error
    raise last


def prepare(folder: Path, compat: str) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Write every kind for that version; what each holds, and which were refused and why."""
    written, refused = {}, {}
    for name, build in kinds.KINDS.items():
        if name in OWN_CODE or kinds.missing(name):
            continue
        model = build()
        path = folder / f"{name}.keras"
        try:
            kio.save_model(model, path, compat=compat)
            kio.save_weights(model, folder / f"{name}.weights.h5", compat=compat)
            if versions.version_of(compat) >= (3, 10):
                save_shards(model, folder / f"{name}.weights.json", compat)
        except UnsupportedError as error:
            refused[name] = str(error)
            path.unlink(missing_ok=True)
            continue
        inputs = feed_of(model)
        np.savez(folder / f"{name}.npz", **{f"input_{k}": x for k, x in enumerate(inputs)})
        found = {f"weight_{k:03}": array(v) for k, v in enumerate(model.weights)}
        outputs = flat(model(inputs[0] if len(inputs) == 1 else inputs))
        values = [np.asarray(keras.ops.convert_to_numpy(o)).astype("float64") for o in outputs]
        found |= {f"output_{k}": value for k, value in enumerate(values)}
        found |= {f"again.weights.h5_{k}": value for k, value in enumerate(values)}
        if versions.version_of(compat) >= (3, 10):
            found |= {f"again.weights.json_{k}": value for k, value in enumerate(values)}
        if getattr(model, "optimizer", None) is not None:
            found |= {f"optimizer_{k:03}": array(v) for k, v in enumerate(model.optimizer.variables)}
        written[name] = found
    return written, refused


@pytest.mark.slow
@pytest.mark.skipif(not PYTHONS, reason="needs interpreters with other releases of Keras: KIO_KERAS_PYTHONS")
@pytest.mark.parametrize("python", PYTHONS)
def test_other_releases_read_it(python: str, tmp_path: Path) -> None:
    version = version_of(python)
    if tuple(map(int, version.split("."))) > versions.installed():
        pytest.skip("newer than the installed Keras")
    written, refused = prepare(tmp_path, version)
    assert len(written) > 30, refused
    ask(python, str(tmp_path))
    failed = [path for path in sorted(tmp_path.glob("*.error")) if path.stem not in BROKEN.get(version, ())]
    problems = [f"{path.stem}: {path.read_text()[-600:]}" for path in failed]
    for name, expected in written.items():
        out = tmp_path / f"{name}.out.npz"
        if not out.exists():
            continue
        with np.load(out) as found:
            missing = expected.keys() - set(found.files)
            if missing:
                problems.append(f"{name}: without {sorted(missing)[:4]}")
            for key in expected.keys() & set(found.files):
                exact = key.startswith(("weight", "optimizer"))
                same = np.array_equal if exact else lambda a, b: np.allclose(a, b, rtol=1e-3, atol=1e-5)
                if name not in EXEMPT and not same(found[key], expected[key]):
                    problems.append(f"{name}: {key} differs")
    assert not problems, f"{len(problems)} of {len(written)} with Keras {version}:\n" + "\n".join(problems)


def config_of(model: Any, tmp_path: Path, compat: str) -> tuple[str, dict[str, str]]:
    kio.save_model(model, tmp_path / "x.keras", compat=compat)
    with zipfile.ZipFile(tmp_path / "x.keras") as archive:
        return archive.read("config.json").decode(), json.loads(archive.read("metadata.json"))


def test_keys_of_newer_versions_go(tmp_path: Path) -> None:
    if versions.installed() < (3, 15):
        pytest.skip("the installed Keras has none")
    model = kinds.chain(keras.layers.Dense(3))
    text, metadata = config_of(model, tmp_path, "3.15")
    assert "quantization_config" in text and metadata["keras_version"] == keras.__version__
    text, metadata = config_of(model, tmp_path, "3.14")
    assert "quantization_config" in text and "input_axes" not in text and metadata["keras_version"] == "3.14.1"
    text, metadata = config_of(model, tmp_path, "3.3")
    assert "quantization_config" not in text and "DTypePolicy" not in text and '"dtype": "float32"' in text
    assert metadata["keras_version"] == "3.3.3"


class Own(keras.layers.Dense):
    """A class of the user's inherits Keras's arguments."""


@pytest.mark.parametrize(
    "build, what, since",
    [
        (lambda: keras.layers.RMSNormalization(), "class RMSNormalization", (3, 9)),
        (lambda: keras.layers.Dense(3, activation="celu"), "activation celu", (3, 9)),
        (
            lambda: keras.layers.Dense(3, kernel_initializer=keras.initializers.HeNormal(input_axes=[0])),
            "input_axes",
            (3, 15),
        ),
    ],
)
def test_what_an_older_version_cannot_do_is_refused(
    build: Any, what: str, since: tuple[int, int], tmp_path: Path
) -> None:
    if since > kinds.VERSION:
        pytest.skip(f"{what} since {since[0]}.{since[1]}")
    model = kinds.chain(build())
    with pytest.raises(UnsupportedError, match=what):
        kio.save_model(model, tmp_path / "x.keras", compat="3.6")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(kinds.VERSION < (3, 6), reason="the versions that it is about are newer than the installed Keras")
def test_classes_of_the_user(tmp_path: Path) -> None:
    text, _ = config_of(kinds.chain(Own(3)), tmp_path, "3.6")
    assert "quantization_config" not in text


@pytest.mark.skipif(kinds.VERSION < (3, 6), reason="the versions that it is about are newer than the installed Keras")
def test_rules_follow_the_version(tmp_path: Path) -> None:
    model = kinds.chain(keras.layers.Dense(3))
    kio.save_weights(model, tmp_path / "new.weights.h5", compat="3.6")
    kio.save_weights(model, tmp_path / "old.weights.h5", compat="3.5")
    with kio.open(tmp_path / "new.weights.h5") as new, kio.open(tmp_path / "old.weights.h5") as old:
        assert new.names_of and not old.names_of
    for wrong in ("2.15", "3", "3.99", "new"):
        with pytest.raises(UnsupportedError, match="compat"):
            kio.save_weights(model, tmp_path / "x.weights.h5", compat=wrong)
    with pytest.raises(UnsupportedError, match=r"3\.10"):
        kio.save_weights(model, tmp_path / "x.weights.json", max_shard_size=1, compat="3.9")


def test_quantized_layers_of_another_form(tmp_path: Path) -> None:
    if versions.installed() < (3, 14):
        pytest.skip("the installed Keras has the older form")
    model = kinds.chain(keras.layers.Dense(4))
    model.quantize("int4")
    with pytest.raises(UnsupportedError, match="int4"):
        kio.save_weights(model, tmp_path / "x.weights.h5", compat="3.13")
    kio.save_weights(model, tmp_path / "x.weights.h5")
