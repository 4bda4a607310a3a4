"""Which cases run: the lanes of ``--corpus``, and the table of what the quick one keeps.

Every test runs in every lane.  Of a test with many cases, the quick lane keeps enough that each *kind* of case
occurs once; the table says what a kind is.  The choice depends on the names of the cases alone.

========= ====================================================================================================
``quick`` One case of every kind: the default, about six minutes on two cores.
``ci``    What continuous integration runs: all cases, but of the two largest collections a part (``chosen`` in
          models/test_legacy_corpus.py and models/test_old_layers.py).
``rest``  What ``ci`` has beyond ``quick``, for those who have just run that.
``all``   Everything.
========= ====================================================================================================
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

LANES = ("quick", "ci", "rest", "all")
# Tests outside the table run in the quick lane, unless they are marked slow.
SLOW = "none of the tests that are marked slow"


@dataclass(frozen=True, slots=True)
class Row:
    """What the quick lane keeps of some tests.

    Attributes:
        tests: Files and functions, below ``tests/``.  Of several, each kind is kept in one.
        kinds: A pattern over a case's name (what pytest shows in brackets).  Each group is a property; each value
            of each property is kept once.  None where cases have no kinds: random models, positions in a file.
        keeps: What that comes to, in words.
        every: Without kinds, one case in so many is kept.
    """

    tests: tuple[str, ...]
    kinds: str | None
    keeps: str
    every: int = 1


_NAME = r"(.+)"
TABLE: tuple[Row, ...] = (
    Row(
        ("models/test_legacy_corpus.py::test_outputs_and_training_are_the_writers",),
        # The first word of a name is a family: opt_rmsprop, integer (of integer_lookup_adapted), text.
        r"([^/]+)/(opt_[a-z]+|(?!opt_)[a-z]+)\w*(\..+)",
        "one file of every family of models, class of optimizer, writer and format of the corpus `legacy`",
    ),
    Row(
        ("models/test_old_layers.py::test_outputs_are_the_writers",),
        r"((?:tf|tf_keras)-[\d.]+)-(tf \w+|\S+).*",
        "one case of every layer, of every sort of function and of every writer",
    ),
    Row(
        ("models/test_mask_corpus.py::test_values_and_masks_are_the_writers",),
        r"(?:tf|tf_keras)-[\d.]+-(?:(\S+) (\w+)|(.+)).*",
        "of the corpus `masks` every layer and every way of masking its inputs, one case each",
    ),
    Row(
        (
            "models/test_theano.py::test_configuration_and_weights",
            "models/test_theano.py::test_whole_models",
        ),
        r"(keras-[\d.]+)-(\w+)",
        "one file of every kind of model and every writer of the corpus `theano`, whole or weights alone",
    ),
    Row(
        (
            "differential/test_keras3_corpus.py::test_load_model",
            "models/test_corpus_plans.py::test_plan",
        ),
        r"([\d.]+)-(\w+)-(.*)",
        "one file of every case, every version and every form of the corpus `keras3`: a model, or a plan",
    ),
    Row(
        ("differential/test_keras3_corpus.py::test_outputs",),
        r"([\d.]+)-(\w+)",
        "the outputs of one model of every case and every version of the corpus `keras3`",
    ),
    Row(
        ("differential/test_legacy_real.py::test_outcome",),
        r"(\w+)/([^+]+).*",
        "one file of every owner of public repositories",
    ),
    Row(
        (
            "models/test_save.py::test_weights_are_those_of_stock",
            "models/test_save.py::test_model_is_that_of_stock",
            "models/test_save_h5.py::test_whole_model_is_that_of_stock",
            "models/test_save_h5.py::test_weights_are_those_of_stock",
            "models/test_save_h5.py::test_kio_and_stock_load_it",
            "models/test_initialisers.py::test_unfilled_model_equals_stock",
            "models/test_initialisers.py::test_filled_model_runs_no_initialiser",
            "models/test_h5_layers.py::test_every_kind_equals_stock",
        ),
        _NAME,
        "every kind of model saved in one of the forms, built unfilled, built filled, or filled from a legacy file",
    ),
    Row(
        (
            "ops/test_rows.py::test_numbers_are_those_of_tensorflow",
            "ops/test_rows.py::test_keras_s_own_operation_gives_the_same",
        ),
        r"\d+-(.+)",
        "one call of every operation of TensorFlow, as kio computes it or as Keras does",
    ),
    Row(
        ("models/test_training.py::test_what_keras_3_saves_as_h5_trains_on",),
        None,
        "one optimizer in three, trained on from a legacy file of Keras 3",
        every=3,
    ),
    Row(
        ("models/test_convert.py::test_stock_keras_loads_what_becomes_of_old_models",),
        None,
        "one old model in three, converted and loaded by stock Keras",
        every=3,
    ),
    Row(
        ("models/test_distribution.py::test_every_optimizer",),
        None,
        "one way to distribute a model, with every optimizer",
        every=2,
    ),
    Row(
        ("crash/test_crash.py::test_several_parts",),
        None,
        "one save of several files in two, failed and killed at every call",
        every=2,
    ),
    Row(
        ("models/test_background.py::test_signal_during_a_save",),
        None,
        "one signal in three that ends a process during a save",
        every=3,
    ),
    Row(
        ("models/test_tree.py::test_grown_models_have_the_keys_that_keras_writes",),
        None,
        "one in ten of the random models whose keys Keras tells",
        every=10,
    ),
    Row(
        ("models/test_load.py::test_grown_models_load_what_stock_keras_wrote",),
        None,
        "one in six of the random models that stock Keras wrote",
        every=6,
    ),
)
ROWS = {test: row for row in TABLE for test in row.tests}

_lane = "quick"


def use(name: str) -> None:
    """Choose the lane of this process: what ``--corpus`` says, before any test is collected."""
    global _lane
    _lane = name


def lane() -> str:
    """The lane of this process."""
    return _lane


def lot(name: str) -> tuple[int, str]:
    """A number that a case draws: the same everywhere and always, and no two in a row alike."""
    return zlib.crc32(name.encode()), name


def in_ci(name: str, share: int) -> bool:
    """Whether a case is among the one in ``share`` that ``ci`` runs of a collection too large to run whole."""
    return lot(name)[0] % share == 0


def kept(row: Row, cases: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """The cases of a row that the quick lane keeps.

    Args:
        row: A row of the table.
        cases: All cases of its tests: a test, and the name of the case.

    Returns:
        Those that are kept.  Between cases of equal worth their checksums decide, so that writers and formats mix,
        and a new case changes little.
    """
    ordered = sorted(cases, key=lambda case: lot(" ".join(case)))
    if row.kinds is None:
        return set(ordered[:: row.every])
    seen: set[tuple[int, str]] = set()
    chosen = set()
    for case in ordered:
        found = re.fullmatch(row.kinds, case[1])
        values = {(n, value) for n, value in enumerate(found.groups() if found else case[1:]) if value is not None}
        if values - seen:
            seen |= values
            chosen.add(case)
    return chosen
