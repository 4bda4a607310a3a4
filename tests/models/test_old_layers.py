"""Every layer, argument, function and object of TensorFlow's Keras gives the writer's own numbers.

What Keras 3 cannot do and kio has no layer for is in a table, with a part of the error.
"""

from __future__ import annotations

import json
import re
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
import kio.layers  # noqa: E402
from kio.models.builder.configs import ConfigError  # noqa: E402
from kio.models.eras.upgrade import UpgradeError  # noqa: E402
from kio.ops import FUNCTIONS  # noqa: E402
from tests import lanes  # noqa: E402
from tests.models.old_layers import WRITERS, Corpus  # noqa: E402

pytestmark = pytest.mark.keras

CORPORA = {writer: Corpus(writer) for writer in WRITERS}
# On torch and numpy all take a minute.  Elsewhere, where each is compiled, one in so many runs, unless --corpus=all:
# together they take ten on jax, and five on TensorFlow.
SHARE = 1 if keras.config.backend() in ("torch", "numpy") else 8

# Names of cases, the error, a part of its message.
REFUSED: list[tuple[str, type[Exception], str]] = [
    (r"time_major=True", UpgradeError, "time_major"),
    (r"BatchNormalization axis=\[1, 2\]", UpgradeError, "axis"),
    (r"BatchNormalization virtual_batch_size", UpgradeError, "virtual_batch_size"),
    (r"MultiHeadAttention activity_regularizer", UpgradeError, "activity_regularizer"),
    (r"TimeDistributed stateful", UpgradeError, "expected one without a state"),
    (r"einsum", UpgradeError, "did not save them"),
    (
        r"tf . (math\.(bessel_i0|cumulative_logsumexp|digamma|lgamma|igamma|approx_max_k)|meshgrid|boolean_mask"
        r"|searchsorted|random|fftless|string|unique|histogram|reverse_sequence|image\.(resize_with_pad|ssim)|linalg\.(svd|eigh|qr|expm))",
        UpgradeError,
        "expected one that Keras 3 or kio has",
    ),
    (r"tf m image\.resize tensor", UpgradeError, "expected a constant, found a tensor"),
    # Its size depends on the numbers.
    (r"x\[mask\]", ConfigError, "expected numbers and slices, found a tensor of several"),
]
# What stock Keras cannot evaluate on one backend, and says so: cases, backend, a part of its words.
STOCK = [
    (
        r"metric ('|function )(sparse_)?top_k_categorical|metric (Sparse)?TopKCategoricalAccuracy\(\)",
        "torch",
        "selected index k out of range",
    )
]
# Models that load, but not compiled, with a part of the warning.
UNCOMPILED = {r"metric ('ce'|'crossentropy')": "crossentropy", r"metric MeanRelativeError": "MeanRelativeError"}


def _chosen(corpus: Corpus) -> list[str]:
    """The cases of this lane: in ci a share, and one of each layer or sort of function of which that has none."""
    if lanes.lane() == "all":
        return list(corpus.cases)
    chosen = {name for name in corpus.cases if lanes.in_ci(name, SHARE)}
    missing = {name.split()[0] for name in corpus.cases} - {name.split()[0] for name in chosen}
    chosen |= {min((name for name in corpus.cases if name.split()[0] == kind), key=lanes.lot) for kind in missing}
    return [name for name in corpus.cases if name in chosen]


@pytest.mark.parametrize(
    ("writer", "name"),
    [
        pytest.param(writer, name, id=f"{writer}-{name}")
        for writer, corpus in CORPORA.items()
        for name in _chosen(corpus)
    ],
)
def test_outputs_are_the_writers(writer: str, name: str) -> None:
    corpus = CORPORA[writer]
    case = corpus.cases[name]
    words = any(place[0] == "text" for place in case["x"] if isinstance(place, list))
    backend = keras.config.backend()
    if words and backend != "tensorflow":
        pytest.skip("tensors of text exist in TensorFlow only")
    if re.search("IntegerLookup|Hashing|HashedCrossing", name):
        pytest.importorskip("tensorflow", reason="a layer that Keras makes of TensorFlow's functions")
    # Collecting garbage each time would cost more than all else.
    keras.backend.clear_session(free_memory=False)
    for pattern, kind, part in REFUSED:
        if re.search(pattern, name):
            with pytest.raises(kind, match=re.escape(part)):
                load(corpus, case)
            return
    model, said = load(corpus, case)
    with warnings.catch_warnings():
        # Untrue of sequential models whose layers know masks: "mask nested sequences" shows what they do.
        warnings.filterwarnings("ignore", "(.|\n)*of type Sequential.*an input with a mask", UserWarning)
        # What is of 64 bits in TensorFlow: jax says of each call that it has none.
        warnings.filterwarnings("ignore", "(.|\n)*Explicitly requested dtype int64", UserWarning)
        compare(corpus, case, model)
        expected = next((part for pattern, part in UNCOMPILED.items() if re.search(pattern, name)), None)
        if expected is not None:
            assert any(expected in text for text in said)
        elif "training" in case:
            problem = next((part for pattern, on, part in STOCK if on == backend and re.search(pattern, name)), None)
            with pytest.raises(RuntimeError, match=problem) if problem else nullcontext():
                evaluate(corpus, case, model)


def load(corpus: Corpus, case: dict[str, Any]) -> tuple[Any, list[str]]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if case["weights"]:
            model = kio.load_model(corpus.h5(case))
        else:
            model = kio.model_from_json(json.dumps(case["config"]))
    return model, [str(each.message) for each in said]


def feed(corpus: Corpus, places: list[Any]) -> Any:
    xs = [corpus.array(place) for place in places]
    if any(isinstance(x, np.ndarray) and x.dtype.kind == "U" for x in xs):
        import tensorflow as tf

        xs = [tf.constant(x) for x in xs]
    return xs[0] if len(xs) == 1 else xs


def compare(corpus: Corpus, case: dict[str, Any], model: Any) -> None:
    if "drawn" in case:
        kernel = keras.ops.convert_to_numpy(model.weights[0])
        np.testing.assert_allclose([kernel.mean(), kernel.std()], case["drawn"][:2], rtol=0.05, atol=0.02)
        return
    made = [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(feed(corpus, case["x"]), training=False))]
    expected = [corpus.array(place) for place in case["y"]]
    assert [y.shape for y in made] == [y.shape for y in expected]
    for a, b in zip(made, expected, strict=True):
        tolerance = 5e-3 if b.dtype.itemsize == 2 else 1e-5
        scale = np.abs(b, where=np.isfinite(b), out=np.zeros(b.shape, "f8")).max(initial=0.0)
        np.testing.assert_allclose(a.astype("f8"), b.astype("f8"), rtol=tolerance, atol=tolerance * scale)
    if "penalty" in case:
        total = sum(float(keras.ops.convert_to_numpy(loss).sum()) for loss in model.losses)
        assert total == pytest.approx(case["penalty"], rel=1e-4)
    if "constrained" in case:
        before, after = map(corpus.array, case["constrained"])
        found = model.layers[-1].kernel_constraint(keras.ops.convert_to_tensor(before))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(found), after, rtol=1e-5, atol=1e-6)


def evaluate(corpus: Corpus, case: dict[str, Any], model: Any) -> None:
    assert model.compiled
    if keras.config.backend() == "numpy" or "evaluated" not in case:
        return
    targets = [corpus.array(place) for place in case["t"]]
    found = model.evaluate(
        feed(corpus, case["x"]), targets[0] if len(targets) == 1 else targets, verbose=0, batch_size=64
    )
    found = found if isinstance(found, list) else [found]
    np.testing.assert_allclose(found, case["evaluated"], rtol=1e-4, atol=1e-5)


def test_no_case_is_refused_that_is_not_in_the_tables() -> None:
    for pattern, *_ in REFUSED:
        assert any(re.search(pattern, name) for corpus in CORPORA.values() for name in corpus.cases), pattern


def test_argsort_of_unsigned_numbers_from_the_largest() -> None:
    found = FUNCTIONS["argsort"].run(keras.ops.convert_to_tensor(np.array([3, 0, 255, 3], "uint8")), -1, "DESCENDING")
    assert keras.ops.convert_to_numpy(found).tolist() == [2, 0, 3, 1]


def test_dropout_with_a_shape_of_its_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="noise_shape"):
        FUNCTIONS["nn.dropout"].run(np.ones((2, 2), "float32"), 0.5, noise_shape=[2, 1])
