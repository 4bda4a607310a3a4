"""The command line: what it prints and how it ends."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kio import api, cli
from tests.conftest import CORPUS

FOLDER = CORPUS / "keras3" / "3.15.1" / "functional"
ARCHIVE, WEIGHTS = str(FOLDER / "model.keras"), str(FOLDER / "model.weights.h5")


def run(capsys, *argv):
    code = cli.main(argv)
    out = capsys.readouterr()
    return code, out.out, out.err


def test_ls(capsys):
    code, out, _ = run(capsys, "ls", ARCHIVE)
    assert code == 0 and "layers/dense/vars/0" in out and "[4, 5]" in out
    code, out, _ = run(capsys, "ls", "--json", ARCHIVE)
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["layers/dense/vars/0"] == {
        "name": "layers/dense/vars/0",
        "dtype": "float32",
        "shape": [4, 5],
        "nbytes": 80,
    }


def test_info(capsys):
    code, out, _ = run(capsys, "info", ARCHIVE)
    assert code == 0 and "3.15.1" in out and "Functional" in out and "Adam" in out
    code, out, _ = run(capsys, "info", "--json", WEIGHTS)
    assert json.loads(out)["format"] == "keras_weights"


@pytest.mark.keras
def test_info_of_a_legacy_model_says_what_loading_it_takes(capsys, legacy):
    file = str(legacy / "tf-2.15.1/activations.h5")
    code, out, _ = run(capsys, "info", file)
    assert code == 0 and "written by               tf.keras 2.15.0 on tensorflow" in out
    assert "hard_sigmoid as it was (2)" in out and "needs                    kio.layers.hard_sigmoid" in out
    code, out, _ = run(capsys, "info", "--json", file)
    assert json.loads(out)["upgrades"]["calls in lists"] == 1


def test_cat(capsys):
    code, out, _ = run(capsys, "cat", WEIGHTS, "layers/dense/vars/0[1:3,0]", "--json")
    assert code == 0 and len(json.loads(out)) == 2
    code, out, _ = run(capsys, "cat", WEIGHTS, "layers/dense/vars/1")
    assert code == 0 and out.startswith("[")
    code, _, err = run(capsys, "cat", WEIGHTS, "nothing")
    assert code == 1 and "kio ls" in err


def test_verify_and_diff(capsys, tmp_path):
    assert run(capsys, "verify", ARCHIVE, WEIGHTS)[0] == 0
    assert run(capsys, "diff", ARCHIVE, WEIGHTS)[0] == 0
    bad = tmp_path / "bad.keras"
    bad.write_bytes((FOLDER / "model.keras").read_bytes()[:-100])
    code, out, _ = run(capsys, "verify", ARCHIVE, str(bad))
    assert code == 1 and "DAMAGED" in out
    code, out, _ = run(capsys, "verify", "--json", str(bad))
    assert code == 1 and json.loads(out)[0]["ok"] is False


def test_errors_are_one_line(capsys, tmp_path):
    code, out, err = run(capsys, "ls", str(tmp_path / "missing"))
    assert code == 1 and out == "" and err.startswith("kio: ") and "missing" in err
    with pytest.raises(SystemExit) as e:
        cli.main(["nonsense"])
    assert e.value.code == 2


@pytest.mark.keras
def test_plan(capsys):
    code, out, _ = run(capsys, "plan", WEIGHTS, "--model", ARCHIVE)
    assert code == 0 and "layers/dense/vars/0" in out


def test_convert(capsys, tmp_path):
    source, target = tmp_path / "x.npz", tmp_path / "y.safetensors"
    np.savez(source, a=np.arange(6.0), b=np.arange(3))
    code, out, _ = run(capsys, "convert", str(source), str(target), "--dtype", "float32", "--json")
    assert code == 0 and json.loads(out)["format"] == "safetensors"
    with api.open(target) as found:
        assert found["a"].dtype_name == "float32" and found["b"].dtype_name == "int64"
    code, _, err = run(capsys, "convert", str(source), str(target), "--keep")
    assert code == 1 and "exists" in err
    code, _, err = run(capsys, "convert", str(source), str(tmp_path / "y.keras"))
    assert code == 1 and "configuration" in err
