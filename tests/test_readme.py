"""Every example of the main README runs, and its links lead somewhere.

The Python and shell blocks run in the order of the page, in one folder, in one namespace.  That folder holds
``old.h5`` from the start: a model that Keras 1.2.2 wrote on Theano (tests/corpus/theano).  Two blocks are left to
``.ci/run``, which runs them in empty environments: those under the markers of the demo and of the test command.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = sorted(path for folder in ("kio", "tests", "benchmarks", ".github") for path in (ROOT / folder).rglob("*.md"))
# Commands that install; .ci/run runs them as written.
INSTALL = ("<!-- demo command -->", "<!-- test command -->")


@dataclass(frozen=True)
class Block:
    """A block of code: its language, its text, the line before it."""

    language: str
    text: str
    before: str


BLOCKS = [
    Block(match[2], match[3], match[1])
    for match in re.finditer(r"^([^\n]*)\n```(\w*)\n(.*?)^```$", README, re.M | re.S)
]


def test_two_blocks_are_left_out_and_no_other_language_is_used() -> None:
    assert README.count("```") == 2 * len(BLOCKS)
    assert {block.language for block in BLOCKS} == {"python", "sh"}
    assert tuple(block.before for block in BLOCKS if block.before.startswith("<!--")) == INSTALL
    assert sum(block.language == "python" for block in BLOCKS) >= 5
    for block in BLOCKS:
        assert (block.before in INSTALL) == ("pip install" in block.text)
        assert all(len(line) <= 120 for line in block.text.splitlines())


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the examples run, with old.h5, and with ``kio`` as a command of this checkout."""
    with zipfile.ZipFile(ROOT / "tests" / "corpus" / "theano" / "keras-1.2.2.zip") as archive:
        (tmp_path / "old.h5").write_bytes(archive.read("conv2d_th.h5"))
    command = tmp_path / "bin" / "kio"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m kio "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


# It starts Keras several times: seconds, but minutes where the machine has other work.
@pytest.mark.timeout(1500)
@pytest.mark.keras
def test_every_example_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in BLOCKS:
        if block.before in INSTALL:
            continue
        if block.language == "python":
            exec(compile(block.text, "README.md", "exec"), names)
        else:
            done = subprocess.run(["sh", "-euc", block.text], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    # What the page says of them.
    import keras

    with pytest.raises(Exception, match=r"(?i)pop|config|unable|unrecognized"):
        keras.saving.load_model("old.h5")
    for a, b in zip(names["again"].weights, names["kio"].load_model("model.keras").weights, strict=True):
        assert (keras.ops.convert_to_numpy(a) == keras.ops.convert_to_numpy(b)).all()
    assert names["rows"].shape == (2, 16)
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "old.h5", "model.keras", "today.keras", "legacy.h5", "checkpoint.weights.h5", "checkpoint.safetensors",
    }  # fmt: skip


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [ROOT / "README.md", *GUIDES], ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists() and there.is_relative_to(ROOT), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.M)
            assert anchor in map(slug, headings), target


def test_the_chart_is_small_and_drawn_from_the_table() -> None:
    from benchmarks import chart

    drawn = (ROOT / "benchmarks" / "chart.svg").read_text(encoding="utf-8")
    assert len(drawn.encode()) <= 100_000
    assert drawn == chart.svg((ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8"))
    assert drawn.count(" ms<") + drawn.count(" s<") >= 2 * 8
