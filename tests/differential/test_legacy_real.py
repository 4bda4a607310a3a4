"""What becomes of each real file of Keras 1, 2 and tf.keras: outputs equal the references, or a precise refusal.

KERAS_BACKEND=torch python -m pytest tests/differential/test_legacy_real.py
"""

from __future__ import annotations

import os
import warnings

import pytest

pytest.importorskip("keras")

from kio.errors import KioError
from tests.conftest import real, real_units
from tests.differential.legacy_report import KINDS, one
from tests.differential.real_outcomes import REFUSED, WITHOUT_REFERENCE

pytestmark = pytest.mark.keras

UNITS = real_units(KINDS)
# NumPy's convolutions are too slow for the larger ones.
QUICK = os.environ.get("KERAS_BACKEND") == "numpy"


@pytest.mark.skipif(not UNITS, reason="the real files are not at hand")
@pytest.mark.parametrize("unit", UNITS, ids=[unit["path"] for unit in UNITS])
def test_outcome(unit):
    if QUICK and unit["total_bytes"] > 1 << 20:
        pytest.skip("more than NumPy computes in a second")
    path = unit["path"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path in REFUSED:
            kind, part = REFUSED[path]
            with pytest.raises(KioError, match=part) as refused:
                one(real(), unit, True)
            assert type(refused.value).__name__ == kind
            return
        outcome, why = one(real(), unit, True)
    expected = "loaded" if path in WITHOUT_REFERENCE else "equal"
    assert outcome == expected, why


def test_the_table_names_files_that_exist():
    if UNITS:
        assert set(REFUSED) | set(WITHOUT_REFERENCE) <= {unit["path"] for unit in UNITS}
