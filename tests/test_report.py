"""The published speed table is replaced by a full run of this checkout only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ROOT, chart, report
from benchmarks.cases import GOALS

MACHINE = {"ncpus": 2, "cpu": "a CPU", "memory": 24 << 30, "system": "Linux", "python": "3.11.7"}


def results(**settings: Any) -> list[dict[str, Any]]:
    """A run in which every contender took a second for every case, and kio a quarter of one."""
    run: dict[str, Any] = {"kind": "run", "run": "20261201-000000", "quick": False, "adam": True, "commit": "abc1234"}
    run |= {"machine": MACHINE, "versions": {"keras": "3.15.1"}} | settings
    found = [run]
    for case in {goal.case.name: goal.case for goal in GOALS}.values():
        entries = {goal.entry for goal in GOALS if goal.case == case} | {
            goal.against for goal in GOALS if goal.case == case
        }
        for entry in entries:
            seconds = 0.25 if entry.startswith("kio") else 1.0
            sample = {"kind": "sample", "run": run["run"], "case": case.name, "entry": entry, "status": "ok"}
            sample |= {"wall_s": seconds, "cpu_s": seconds, "file_nbytes": 1 << 30, "nbytes": 1 << 30, "nvariables": 20}
            found.append(sample | {"peak_extra": 1 << 30, "minor_faults": 1, "load": 0.5, "library": f"kio 0 {ROOT}"})
    return found


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nanother table\n{report.END}\nafter\n")
    monkeypatch.setattr(chart, "README", readme)
    monkeypatch.setattr(chart, "CHART", tmp_path / "chart.svg")
    return readme


def written(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    file = tmp_path / "results.jsonl"
    file.write_text("\n".join(map(json.dumps, records)))
    report.write(file)


def test_a_full_run_is_published(tmp_path: Path, published: Path) -> None:
    written(tmp_path, results())
    text = published.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "another table" not in text
    assert "Measured 2026-12-01, commit abc1234" in text and text.count("**4.0x**") >= 20
    assert all(f"| {goal.what} |" in text for goal in GOALS)
    drawn = (tmp_path / "chart.svg").read_text()
    assert drawn.count("4.0x") == len(chart.ROWS) and "Measured 2026-12-01, commit abc1234, on 2 CPUs." in drawn


@pytest.mark.parametrize("settings", [{"quick": True}, {"adam": False}])
def test_small_files_are_not(settings: dict[str, Any], tmp_path: Path, published: Path) -> None:
    before = published.read_text()
    written(tmp_path, results(**settings))
    assert published.read_text() == before and not (tmp_path / "chart.svg").exists()
    assert (tmp_path / "table.md").exists()


def test_a_part_is_not(tmp_path: Path, published: Path) -> None:
    before = published.read_text()
    written(tmp_path, results()[:-1])
    assert published.read_text() == before


def test_another_kio_is_not(tmp_path: Path, published: Path) -> None:
    before, records = published.read_text(), results()
    for record in records[1:]:
        record["library"] = "kio 0.1 /elsewhere"
    written(tmp_path, records)
    assert published.read_text() == before
