"""Every layer with masks on none, one or all of its inputs gives the writers' own values and masks."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.keras_private import get_keras_mask  # noqa: E402
from tests import lanes  # noqa: E402
from tests.models.old_layers import FOLDER, Corpus  # noqa: E402

pytestmark = pytest.mark.keras

MASKS = FOLDER.parent / "masks"
WRITERS = sorted(path.name.removesuffix(".json.gz") for path in MASKS.glob("*.json.gz"))
CORPORA = {writer: Corpus(writer, MASKS) for writer in WRITERS}
# Where each is compiled, continuous integration runs one in so many.
SHARE = 1 if keras.config.backend() in ("torch", "numpy") else 4

# What is refused, or what Keras cannot build, with a part of the words.
REFUSED: list[tuple[str, type[Exception], str]] = [
    # Its scale is as wide as the values there, and as the queries here.
    ("wide AdditiveAttention", kio.MatchError, "additive_attention/scale"),
    # A shape that is computed from another tensor's says nothing of its width.
    ("tf broadcast read", kio.FormatError, "fully-defined"),
]


@pytest.mark.parametrize(
    ("writer", "name"),
    [
        pytest.param(writer, name, id=f"{writer}-{name}")
        for writer, corpus in CORPORA.items()
        for name in corpus.cases
        if lanes.in_ci(name, SHARE)
    ],
)
def test_values_and_masks_are_the_writers(writer: str, name: str) -> None:
    corpus = CORPORA[writer]
    case = corpus.cases[name]
    keras.backend.clear_session(free_memory=False)
    with warnings.catch_warnings():
        # Untrue of models, which know masks if their layers do.
        warnings.filterwarnings("ignore", "(.|\n)*an input with a mask", UserWarning)
        for pattern, kind, part in REFUSED:
            if name.startswith(pattern):
                with pytest.raises(kind, match=re.escape(part)):
                    load(corpus, case)
                return
        model = load(corpus, case)
        xs = [keras.ops.convert_to_tensor(corpus.array(place)) for place in case["x"]]
        for places in [[place] for place in case["calls"]] if "calls" in case else [case["y"]]:
            made = model(xs if len(xs) > 1 else xs[0], training=False)
            outputs = keras.tree.flatten(made)
            for y, place in zip(outputs, places, strict=True):
                agrees(y, corpus.array(place))
        if "masks" in case:
            for y, place in zip(outputs, case["masks"], strict=True):
                same_mask(get_keras_mask(y), None if place is None else corpus.array(place))
        if "trained" in case:
            agrees(model(xs if len(xs) > 1 else xs[0], training=True), corpus.array(case["trained"]))
            for variable, place in zip(model.weights, case["after"], strict=True):
                agrees(variable.value, corpus.array(place))


def load(corpus: Corpus, case: dict[str, Any]) -> Any:
    if case["weights"]:
        return kio.load_model(corpus.h5(case))
    return kio.model_from_json(json.dumps(case["config"]))


def agrees(found: Any, expected: Any) -> None:
    found = keras.ops.convert_to_numpy(found)
    assert found.shape == expected.shape
    scale = np.nanmax(np.abs(expected), initial=0.0)
    np.testing.assert_allclose(found.astype("f8"), expected.astype("f8"), rtol=1e-5, atol=1e-5 * scale)


def same_mask(found: Any, expected: Any) -> None:
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(found), expected)


def test_no_case_is_refused_that_is_not_there() -> None:
    for pattern, *_ in REFUSED:
        assert any(name.startswith(pattern) for corpus in CORPORA.values() for name in corpus.cases), pattern
