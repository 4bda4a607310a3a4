"""Random models of tf.keras with a fixed seed, and what the fuzzer itself does with a fault."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.old_models.__main__ import Campaign
from tests.fuzz.old_models.minimise import measure, minimise

ROOT = Path(__file__).parents[2]
BACKENDS = [name for name in ("jax", "torch") if find_spec(name)]


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.tf
@pytest.mark.timeout(900)
@pytest.mark.skipif(not find_spec("tf_keras"), reason="needs tf_keras")
@pytest.mark.skipif(not BACKENDS, reason="needs jax or torch")
def test_old_models_mean_what_they_meant(tmp_path: Path) -> None:
    arguments = ["--seed", "7000", "--count", "24", "--backends", ",".join(BACKENDS), "--keep", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.old_models", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    # Not because nothing was compared.
    equal = {backend: int(n) for backend, n in re.findall(r"'(\w+) equal': (\d+)", done.stdout)}
    assert all(equal.get(backend, 0) >= 20 for backend in BACKENDS), done.stdout


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.tf
@pytest.mark.timeout(900)
@pytest.mark.skipif(not find_spec("tf_keras"), reason="needs tf_keras")
@pytest.mark.skipif(not BACKENDS, reason="needs jax or torch")
def test_rounding_that_a_step_makes_large_is_no_fault(tmp_path: Path) -> None:
    # TensorFlow's softmax of one number is 0.99999994, which an Embedding takes for row 0, and not for row 1.
    given = recipe("Embedding")
    given["layers"] = {"l0": {"cls": "Embedding", "args": {"input_dim": 2, "output_dim": 1}}}
    given["inputs"] = [{"shape": [4, 1], "kind": "floats"}]
    given["nodes"] = [{"op": "nn_softmax", "args": {"axis": -1}, "ins": [[0, 0]]}, {"layer": "l0", "ins": [[1, 0]]}]
    given["outputs"] = [[2, 0]]
    campaign = Campaign(sys.executable, BACKENDS[-1:], tmp_path)
    folder = campaign.recipes([given])
    found = campaign.read(folder)
    assert [each["kind"] for each in found.values()] == ["WRONG"]
    campaign.settle(folder, found)
    assert [each["kind"] for each in found.values()] == ["unstable"]


def recipe(*classes: str) -> dict[str, Any]:
    """A chain of layers of tokens."""
    return {
        "seed": 1, "batch": 4, "format": "keras", "inputs": [{"shape": [4], "kind": "padded"}],
        "layers": {f"l{k}": {"cls": name, "args": {"units": 2, "use_bias": False}} for k, name in enumerate(classes)},
        "nodes": [{"layer": f"l{k}", "ins": [[k, 0]]} for k in range(len(classes))],
        "outputs": [[len(classes), 0]], "train": None,
    }  # fmt: skip


def test_a_failure_becomes_the_one_layer_that_fails() -> None:
    given = recipe("Dense", "Bad", "Dense", "Dense")

    def judge(recipes: list[Any]) -> list[str]:
        return ["WRONG" if "Bad" in str(each) else "equal" for each in recipes]

    (made,) = minimise({"case": (given, "WRONG")}, judge).values()
    assert [made["layers"][node["layer"]] for node in made["nodes"]] == [{"cls": "Bad", "args": {}}]
    assert made["nodes"][0]["ins"] == [[0, 0]] and made["outputs"] == [[1, 0]]
    assert made["format"] == "h5"
    assert measure(made) < measure(given)


def test_what_fails_another_way_is_not_smaller() -> None:
    given = recipe("Dense", "Bad")
    assert minimise({"case": (given, "WRONG")}, lambda recipes: ["EXCEPTION"] * len(recipes)) == {"case": given}
