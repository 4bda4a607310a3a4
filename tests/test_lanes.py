"""The quick lane keeps one case of every kind, always the same, and its table names tests that exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import lanes

HERE = Path(__file__).parent


def cases(test: str, *names: str) -> list[tuple[str, str]]:
    return [(test, name) for name in names]


def test_every_value_of_every_property_is_kept_once() -> None:
    row = lanes.Row(("a", "b"), r"(\d)-(\w)", "")
    given = cases("a", "1-x", "1-y", "2-x", "2-y", "3-y") + cases("b", "1-x", "2-y")
    kept = lanes.kept(row, given)
    found = [re.fullmatch(r"(\d)-(\w)", name) for _, name in kept]
    assert {match[1] for match in found if match} == {"1", "2", "3"}
    assert {match[2] for match in found if match} == {"x", "y"}
    assert 3 <= len(kept) < len(given) and kept <= set(given)
    # Neither order nor repetition changes the choice.
    assert lanes.kept(row, reversed(given)) == kept == lanes.kept(row, given + given)


def test_each_kind_is_kept_in_one_of_several_tests() -> None:
    row = lanes.Row(("a", "b", "c"), "(.+)", "")
    kept = lanes.kept(row, [case for test in "abc" for case in cases(test, *map(str, range(60)))])
    assert sorted(name for _, name in kept) == sorted(map(str, range(60)))
    assert {test for test, _ in kept} == {"a", "b", "c"}


def test_a_name_without_the_properties_is_a_kind_of_its_own() -> None:
    row = lanes.Row(("a",), r"(\d)-(\w)", "")
    assert lanes.kept(row, cases("a", "odd", "1-x")) == set(cases("a", "odd", "1-x"))


def test_one_in_so_many() -> None:
    row = lanes.Row(("a",), None, "", every=10)
    assert len(lanes.kept(row, cases("a", *map(str, range(300))))) == 30


@pytest.mark.parametrize("test", lanes.ROWS)
def test_the_table_names_tests_that_exist(test: str) -> None:
    file, name = test.split("::")
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


# Interpreters, files and switches of programs of their own.  What runs is chosen by --corpus alone.
VARIABLES = {"KIO_REAL", "KIO_OLD_H5PY", "KIO_KERAS_PYTHONS", "KIO_TF_KERAS_PYTHONS", "KIO_CRASH_BUFFERED"}


def test_no_variable_of_the_environment_selects_tests() -> None:
    found: dict[str, str] = {}
    for path in HERE.rglob("*.py"):
        for name in re.findall(r"environ\b[^\n]{0,9}\"(KIO_\w+)", path.read_text(encoding="utf-8")):
            found[name] = str(path)
    assert set(found) <= VARIABLES, found


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_run_ends_when_its_time_is_up_and_says_what_it_left_out(workers: str) -> None:
    """Nothing runs after the time that --until gives; before it, everything."""

    def run(until: float) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-n", workers, f"--until={until}", "-k", "pointers or typed"]
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", "tests/test_house.py"],
            capture_output=True,
            text=True,
            cwd=HERE.parent,
            check=False,
        )
        return done.returncode, done.stdout

    code, out = run(time.time() - 1)
    assert code == 0 and "2 skipped" in out and " passed" not in out
    assert "left out, as the time was up: 2 cases" in out
    assert f"python -m pytest -n {workers} -k 'pointers or typed' -p no:cacheprovider tests/test_house.py" in out
    if workers == "2":
        return
    code, out = run(time.time() + 3600)
    assert code == 0 and "2 passed" in out and "left out" not in out
