"""Names that nobody chose: a class's name in snake case, with or without a number.

Keras numbers them by what the process has made before, so that the second Dense of one
session is the first of another.  They say of which class a layer is, never which one it is.

| writer         | a second Conv2D   | a nested model         |
|----------------|-------------------|------------------------|
| Keras 1        | convolution2d_2   | model_1, sequential_1  |
| Keras 2        | conv2d_2          | the same               |
| tf.keras       | conv2d_1          | functional_1, model_1  |
| Keras 3        | conv2d_1          | functional_1           |
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_PREFIXES = ("forward_", "backward_")  # Bidirectional's halves
# dense, dense_3, batch_normalization_v1_2, and what a writer made of two equal names: dense_1_1.
_NUMBERED = re.compile(r"(?P<stem>.*?[^_])(?:_v[12])?(?P<numbers>(?:_\d{1,9})*)")
# Classes that changed their names, as Keras 1 and CuDNN's layers spelled them.
_ONCE = (
    ("atrousconvolution", "conv"),
    ("deconvolution2d", "conv2dtranspose"),
    ("convolution", "conv"),
    ("cudnn", ""),
)
_MODELS = frozenset({"functional", "sequential", "model", "network", "container", "graph"})
# Optimizers, and what metrics and random layers count: state that a model can do without.
_OPTIMIZER_CLASSES = """
sgd rmsprop adam adamw adadelta adagrad adamax adafactor nadam ftrl lion lamb muon schedulefreeadamw
lossscaleoptimizer optimizer inneroptimizer optimizerweights
"""
_OPTIMIZERS = frozenset(_OPTIMIZER_CLASSES.split())
_COUNTERS = """
total count seed_generator_state true_positives true_negatives false_positives false_negatives
total_confusion_matrix total_cm
"""
_COUNTED = frozenset(_COUNTERS.split())
# Groups beside the layers: of a compiled model's metrics, and of kio's own backups of a training.
_GROUPS = frozenset({"metrics", "training_state"})
# What has no name of its own is called so.
_VARIABLE = "variable"


@lru_cache(maxsize=4096)
def _spelled(stem: str) -> str:
    """A stem as the classes of all eras are compared."""
    text = stem.replace("_", "").lower()
    for old, new in _ONCE:
        text = text.replace(old, new)
    return text


@lru_cache(maxsize=4096)
def stem_of(name: str) -> tuple[str, tuple[int, ...]]:
    """A name without its numbers, and these: ``"dense_7"`` → ``("dense", (7,))``."""
    match = _NUMBERED.fullmatch(name)
    if match is None:
        return name, ()
    return match["stem"], tuple(int(n) for n in match["numbers"].split("_") if n)


def is_automatic(name: str, cls: str) -> bool:
    """Whether Keras made the name of an object of this class.

    Args:
        name: Of the object.
        cls: Its class in snake case.
    """
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    stem, wanted = _spelled(stem_of(name)[0]), _spelled(cls)
    return stem == wanted or (stem in _MODELS and wanted in _MODELS)


class Automatic:
    """Tells automatic names where the class of what has them is not known.

    Args:
        classes: In snake case: those that names may come from.
    """

    def __init__(self, classes: Iterable[str]) -> None:
        spelled = {_spelled(cls) for cls in classes}
        self._known: dict[str, str] = {}
        self._classes = spelled | (_MODELS if spelled & _MODELS else set()) | {_VARIABLE}

    def __call__(self, name: str) -> bool:
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix)
        return _spelled(stem_of(name)[0]) in self._classes

    def canon(self, path: str) -> str:
        """A path whose automatic names have lost their numbers."""
        return "/".join(self._without(part) for part in path.split("/"))

    def _without(self, name: str) -> str:
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = _spelled(stem_of(name)[0]) if self(name) else name
        return found


def numbers_of(path: str) -> tuple[int, ...]:
    """The numbers in a path, for sorting: ``dense_10`` after ``dense_2``."""
    return tuple(n for part in path.split("/") for n in (stem_of(part)[1] or (0,)))


def is_state(name: str) -> bool:
    """Whether a stored tensor is state of an optimizer, a metric, a random layer or a backup, by its name."""
    parts = name.split("/")
    return any(_spelled(stem_of(part)[0]) in _OPTIMIZERS for part in parts[:2]) or (
        parts[0] in _GROUPS or stem_of(parts[-1])[0] in _COUNTED
    )
