"""Real files of weights alone: what each says, and one network stored by Theano and by TensorFlow."""

from __future__ import annotations

import json

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.layers import hard_sigmoid  # noqa: E402
from tests.conftest import CORPUS, real, real_units  # noqa: E402
from tests.corpus.real_weights import models  # noqa: E402

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(not real_units(["h5_weights"]), reason="the real files are not at hand"),
]
MUSIC = "keunwoochoi+music-auto_tagging-keras__weights_layer{}_{}.hdf5"


def filled(name, **options):
    model = models.UNITS[name].build(keras, hard_sigmoid)
    return model, kio.load_weights(model, real() / "h5_weights" / name, **options)


def arrays(model):
    return [keras.ops.convert_to_numpy(v) for v in model.weights]


def test_every_file_has_a_model_and_outputs():
    files = {unit["path"].rpartition("/")[2] for unit in real_units(["h5_weights"])}
    assert files == set(models.UNITS)
    assert files == set(json.loads((CORPUS / "real_weights" / "expected.json").read_text()))


@pytest.mark.parametrize("depth", [0, 1])
def test_one_network_of_two_backends(depth):
    """The same training, exported for Theano and, by its author's own script, for TensorFlow."""
    theano, report = filled(MUSIC.format(depth, "theano"))
    assert report.plan.rule.endswith("on theano")
    tensorflow, report = filled(MUSIC.format(depth, "tensorflow"))
    assert report.plan.rule.endswith("on tensorflow")
    for mine, theirs in zip(arrays(theano), arrays(tensorflow), strict=False):
        np.testing.assert_array_equal(mine, theirs)
    # Not because nothing is turned: the files differ in the kernels alone.
    unturned, _ = filled(MUSIC.format(depth, "theano"), original_backend="tensorflow")
    same = [np.array_equal(a, b) for a, b in zip(arrays(unturned), arrays(tensorflow), strict=False)]
    assert same.count(False) == depth + 1


@pytest.mark.parametrize("name", [name for name in models.UNITS if "tf" in name or "theano" in name])
def test_the_backend_is_told_by_marks_or_names(name):
    _, report = filled(name)
    assert report.plan.rule.endswith("on theano" if "theano" in name else "on tensorflow")
    assert not report.plan.doubts
    # Theano's files have no marks at all, and what names tell is said.
    assert any("original_backend='tensorflow'" in note for note in report.plan.notes) == (
        "theano" in name and "lstm" not in name
    )
