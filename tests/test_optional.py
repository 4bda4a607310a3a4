"""What kio says where a package is missing: one line with what to install, from every command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kio import optional
from tests import hidden
from tests.conftest import CORPUS

KERAS3 = CORPUS / "keras3" / "3.15.1" / "functional"
ARCHIVE, WEIGHTS = str(KERAS3 / "model.keras"), str(KERAS3 / "model.weights.h5")
CLI = "from kio.cli import main; sys.exit(main(sys.argv[1:]))"
CHOOSE = """
import os
from kio import optional
print(optional.choose_backend("x", optional.COMPUTES), os.environ["KERAS_BACKEND"])
"""
NOTHING = ("jax", "jaxlib", "torch", "tensorflow", "scipy")

pytestmark = pytest.mark.keras


def old(legacy) -> str:
    return str(legacy / "tf-2.15.1/dense.h5")


def commands(legacy, tmp_path):
    """Every command that can meet Keras, and what its message starts with."""
    return {
        "demo": (["demo"], "kio demo"),
        "plan": (["plan", WEIGHTS, "--model", ARCHIVE], "kio plan"),
        "convert": (["convert", old(legacy), str(tmp_path / "new.keras")], "conversion of a model of tf.keras 2.15.0"),
    }


@pytest.mark.parametrize("name", ["demo", "plan", "convert"])
@pytest.mark.parametrize(
    "without, backend, says",
    [
        (("keras",), None, 'needs Keras and a backend: pip install "kio-weights[jax]"'),
        (NOTHING, None, 'needs a backend of Keras (jax, torch or tensorflow): pip install "kio-weights[jax]"'),
        (NOTHING, "torch", 'needs torch, as Keras is set to torch: pip install "kio-weights[torch]"'),
        (("scipy",), "numpy", 'needs scipy, as Keras is set to numpy: pip install "kio-weights[jax]"'),
    ],
)
def test_a_command_says_in_one_line_what_to_install(name, without, backend, says, legacy, tmp_path):
    argv, purpose = commands(legacy, tmp_path)[name]
    done = hidden.run(CLI, *argv, without=without, backend=backend)
    assert done.returncode == 1 and done.stdout == ""
    # A backend that is here is offered as well.
    line, _, offer = done.stderr.rstrip("\n").partition(", or set KERAS_BACKEND=")
    assert line == f"kio: {purpose} {says}"
    assert bool(offer) == (without == ("scipy",))


@pytest.mark.parametrize("without", [("keras",), NOTHING])
def test_what_needs_no_keras_works_without_it(without, legacy):
    for argv in (["ls", ARCHIVE], ["verify", ARCHIVE, WEIGHTS], ["cat", WEIGHTS, "layers/dense/vars/0"]):
        done = hidden.run(CLI, *argv, without=without)
        assert done.returncode == 0 and done.stderr == "", argv
    done = hidden.run(CLI, "info", old(legacy), without=without)
    assert done.returncode == 0 and "tf.keras 2.15.0" in done.stdout
    assert "not known: kio info needs" in done.stdout and 'pip install "kio-weights[jax]"' in done.stdout


def test_a_library_call_says_it_too(legacy):
    code = "import kio\ntry: kio.load_model(sys.argv[1])\nexcept kio.MissingDependencyError as e: print(e)"
    done = hidden.run(code, ARCHIVE, without=("keras",))
    assert done.stdout == 'kio.load_model needs Keras and a backend: pip install "kio-weights[jax]"\n', done.stderr
    code = "import kio\ntry: kio.model_from_json('{}')\nexcept kio.MissingDependencyError as e: print(e)"
    done = hidden.run(code, without=NOTHING, backend="jax")
    assert done.stdout == ('kio.model_from_json needs jax, as Keras is set to jax: pip install "kio-weights[jax]"\n'), (
        done.stderr
    )


def test_a_fault_of_keras_itself_is_not_called_missing():
    with pytest.raises(ImportError) as caught, optional.needed("x"):
        from keras import no_such_name  # noqa: F401
    assert type(caught.value) is ImportError
    with pytest.raises(ModuleNotFoundError), optional.needed("x"):
        import no_such_package  # noqa: F401


@pytest.mark.parametrize(
    "without, chosen",
    [((), "jax"), (("jax",), "torch"), (("jaxlib",), "torch"), (("jax", "torch"), "tensorflow")],
)
def test_the_first_backend_that_can_be_imported(without, chosen):
    if not optional.importable(chosen):
        pytest.skip(f"needs {chosen}")
    done = hidden.run(CHOOSE, without=without or ("-",))
    assert done.stdout.split() == [chosen, chosen], done.stderr


def test_numpy_takes_scipy_and_jax():
    code = "from kio.optional import importable; print(importable('numpy'))"
    assert hidden.run(code, without=("-",)).stdout == "True\n"
    for package in ("scipy", "jax", "jaxlib"):
        assert hidden.run(code, without=(package,)).stdout == "False\n"


def test_the_variable_is_followed_and_a_wrong_one_refused():
    done = hidden.run(CHOOSE, without=("-",), backend="numpy")
    assert done.stdout.split() == ["numpy", "numpy"], done.stderr
    done = hidden.run(CLI, "demo", without=("-",), backend="theano")
    assert done.returncode == 1
    assert done.stderr == "kio: KERAS_BACKEND: expected one of jax, torch, tensorflow, numpy, found 'theano'\n"


def test_a_broken_installation_is_not_chosen(tmp_path: Path):
    """It is found, but its import fails: for any reason."""
    (tmp_path / "jax.py").write_text("raise RuntimeError('jaxlib is version 0.1')")
    code = f"sys.path.insert(0, {str(tmp_path)!r})\n{CHOOSE}"
    done = hidden.run(code, without=("torch", "tensorflow"))
    assert done.returncode == 1
    assert "MissingDependencyError: x needs a backend of Keras (jax, torch or tensorflow)" in done.stderr


def test_values_without_ml_dtypes_are_bytes(tmp_path):
    """Listed, compared and printed all the same: JSON as hexadecimal digits."""
    import ml_dtypes
    import numpy as np

    import kio

    a, b = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    kio.write(a, {"w": np.array([1, 2], ml_dtypes.bfloat16)})
    kio.write(b, {"w": np.array([1, 3], ml_dtypes.bfloat16)})
    done = hidden.run(CLI, "cat", str(a), "w", "--json", without=("ml_dtypes",))
    assert json.loads(done.stdout) == ["803f", "0040"], done.stderr
    done = hidden.run(CLI, "diff", str(a), str(b), "--json", without=("ml_dtypes",))
    assert done.returncode == 1 and json.loads(done.stdout)["different"][0]["nelems"] == 1, done.stderr
    done = hidden.run(CLI, "convert", str(a), str(tmp_path / "c.npz"), "--dtype", "float32", without=("ml_dtypes",))
    assert done.stderr == 'kio: conversion of bfloat16 to float32 needs ml_dtypes: pip install "kio-weights[keras]"\n'


def test_every_extra_that_is_named_exists_and_brings_the_package():
    tomllib = pytest.importorskip("tomllib")
    extras = tomllib.loads((CORPUS.parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    brings = {"keras": {"keras", "ml_dtypes"}, "jax": {"keras", "jax", "jaxlib", "scipy"}}
    brings |= {name: {"keras", name} for name in ("torch", "tensorflow")}
    for package, extra in optional.EXTRAS.items():
        assert package in brings[extra]
    for extra in ("jax", "torch", "tensorflow"):
        assert {line.partition(">")[0] for line in extras[extra]} == {"keras", extra}
