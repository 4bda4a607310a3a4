"""Rows of ``corpus/legacy/expectations.json``: what is expected of which file, and which files the lane ``ci`` runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[1] / "corpus" / "legacy" / "expectations.json"
# What a row of the expectations may say comes of a file.
OUTCOMES = {
    "skipped", "needs_tensorflow", "unsafe", "refused", "left_out",
    "not_compiled", "unscaled", "trains_otherwise", "losses_not_compared", "rounded",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        why: The reason.
        outcome: One of OUTCOMES; empty for a row of the lane.
        writers, kinds, suffixes, backends: Patterns that match in full.
        keras_before: The row holds where an older Keras than this reads; None: wherever.
        says: What an error, a warning or a configuration has to say, or must not hold.
        tolerance: Of outputs and losses, relative.
    """

    why: str
    outcome: str = ""
    writers: str = ".*"
    kinds: str = ".*"
    suffixes: str = ".*"
    backends: str = ".*"
    keras_before: tuple[int, ...] | None = None
    says: str = ""
    tolerance: float = 0.0

    def covers(self, writer: str, kind: str, suffix: str) -> bool:
        """Whether the row is about a file, whatever reads it."""
        given = ((self.writers, writer), (self.kinds, kind), (self.suffixes, suffix))
        return all(re.fullmatch(pattern, text) for pattern, text in given)

    def holds(self, backend: str, version: tuple[int, ...]) -> bool:
        """Whether the row counts on a backend and version of Keras."""
        new = self.keras_before is not None and version >= self.keras_before
        return not new and re.fullmatch(self.backends, backend) is not None


def _row(given: dict[str, Any], groups: dict[str, str]) -> Row:
    kinds = "|".join(groups.get(part, part) for part in given.get("kinds", ".*").split("|"))
    before = given.get("keras_before")
    return Row(**given | {"kinds": kinds, "keras_before": before and tuple(map(int, before.split(".")))})


@cache
def rows(part: str) -> tuple[Row, ...]:
    """The rows of ``"expectations"`` or of ``"ci"``."""
    stored = json.loads(PATH.read_text(encoding="utf-8"))
    return tuple(_row(each, stored["groups"]) for each in stored[part])


def expected(writer: str, kind: str, suffix: str, backend: str, version: tuple[int, ...]) -> dict[str, Row]:
    """What is expected of a file, by outcome."""
    found = [row for row in rows("expectations") if row.covers(writer, kind, suffix) and row.holds(backend, version)]
    return {row.outcome: row for row in reversed(found)}


def in_ci(writer: str, kind: str, suffix: str, backend: str) -> bool:
    """Whether the lane ``ci`` runs a file on a backend."""
    return any(row.covers(writer, kind, suffix) and row.holds(backend, ()) for row in rows("ci"))
