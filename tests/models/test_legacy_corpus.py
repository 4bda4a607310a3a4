"""Models of tf.keras, tf_keras and Keras 3: outputs and further training are the writer's own."""

from __future__ import annotations

import os
import re
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.models.builder.configs import ConfigError  # noqa: E402
from kio.models.eras.upgrade import UpgradeError  # noqa: E402
from tests import lanes  # noqa: E402
from tests.conftest import Legacy  # noqa: E402
from tests.corpus import frozen  # noqa: E402
from tests.models import continued, legacy_rows  # noqa: E402
from tests.models.legacy_rows import Row, expected, in_ci  # noqa: E402

pytestmark = pytest.mark.keras

CORPUS = Path(__file__).parents[1] / "corpus" / "legacy"
BACKEND = os.environ.get("KERAS_BACKEND", "")

TOLERANCE = 1e-5
VERSION = tuple(map(int, keras.__version__.split(".")[:2]))


def chosen(writer: str, kind: str, suffix: str) -> bool:
    """Whether a file is in the lane ``ci``, of which the quick one takes a part."""
    return lanes.lane() == "all" or in_ci(writer, kind, suffix, BACKEND)


@cache
def files() -> list[str]:
    found = []
    for path in sorted(CORPUS.glob("*.zip")):
        writer = frozen.writer_of(path)
        found += [f"{writer}/{name}" for name in stored(path) if chosen(writer, *continued.split(Path(name)))]
    return found


def stored(path: Path) -> list[str]:
    """The models of an archive."""
    with zipfile.ZipFile(path) as archive:
        return [name for name in archive.namelist() if not name.endswith(".npz")]


@pytest.mark.parametrize("name", files())
def test_outputs_and_training_are_the_writers(name: str, legacy: Legacy) -> None:
    path = legacy / name
    kind, suffix = continued.split(path)
    rows = expected(path.parent.name, kind, suffix, BACKEND, VERSION)
    if "skipped" in rows:
        pytest.skip(rows["skipped"].why)
    if "needs_tensorflow" in rows:
        pytest.importorskip("tensorflow", reason=rows["needs_tensorflow"].why)
    whole = path if suffix in (".h5", ".keras") else path.with_name(kind + ".h5")
    if "unsafe" in rows:
        with pytest.raises(kio.UnsafeError):
            kio.load_model(whole)
        if sys.version_info[:2] != (3, 11):
            pytest.skip(rows["unsafe"].why)
    if "refused" in rows:
        with pytest.raises((ConfigError, UpgradeError, kio.MatchError), match=rows["refused"].says):
            continued.outcome(path)
    elif "left_out" in rows:
        with kio.open(whole) as checkpoint:
            assert rows["left_out"].says not in str(checkpoint.config)
    else:
        compare(continued.outcome(path), rows)


def compare(found: continued.Outcome, rows: dict[str, Row]) -> None:
    """Outputs and losses are the writer's, but for what a row says."""
    tolerance = rows["rounded"].tolerance if "rounded" in rows else TOLERANCE
    assert found.outputs <= tolerance
    if "unscaled" in rows:
        assert re.search(rows["unscaled"].says, found.why), found.why
    elif found.losses is None:
        says = rows["not_compiled"].says if "not_compiled" in rows else "not compiled"
        assert any(each in found.why for each in (*continued.NOTHING, says)), found.why
        assert "not compiled" not in found.why or "not_compiled" in rows
    elif "trains_otherwise" in rows:
        assert found.losses > TOLERANCE, "equal after all: its row may go"
    elif "losses_not_compared" not in rows:
        assert found.losses <= tolerance


def test_every_row_is_about_a_file_and_says_why() -> None:
    paths = sorted(CORPUS.glob("*.zip"))
    files = [(frozen.writer_of(path), *continued.split(Path(name))) for path in paths for name in stored(path)]
    for row in (*legacy_rows.rows("expectations"), *legacy_rows.rows("ci")):
        assert any(row.covers(*file) for file in files), row
        assert row.why and row.outcome in (*legacy_rows.OUTCOMES, "")
    assert {row.outcome for row in legacy_rows.rows("expectations")} == legacy_rows.OUTCOMES
