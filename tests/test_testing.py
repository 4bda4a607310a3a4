"""``kio.testing`` fails where a format does not keep the contract."""

from __future__ import annotations

import dataclasses
import inspect
import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kio.contents import Contents, value_of
from kio.errors import FormatError
from kio.formats import npz
from kio.formats.format import Format
from kio.formats.target import Options, Target
from kio.testing import PAYLOAD, Case, ReadingContract, WritingContract, cases

CORPUS = Path(__file__).parent / "corpus" / "npz"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    good = next(case for case in cases(CORPUS) if not case.bad and case.expected["tensors"])
    shutil.copytree(good.folder, tmp_path / "case")
    return cases(tmp_path)[0]


def changed(case: Case, **facts: Any) -> Case:
    (case.folder / "expected.json").write_text(json.dumps({**case.expected, **facts}))
    return Case(case.folder)


class Npz(ReadingContract):
    format = "npz"
    checksummed = True

    def __init__(self, corpus: Path) -> None:
        self.corpus = corpus


def test_a_good_case_passes(case: Case) -> None:
    contract = Npz(case.folder.parent)
    contract.test_has_a_corpus()
    contract.test_claims_its_own_and_no_other_does(case)
    contract.test_says_what_the_reference_says(case)
    contract.test_any_way_of_reading_gives_the_same(case)


def test_wrong_values_names_shapes_and_layouts_fail(case: Case) -> None:
    contract = Npz(case.folder.parent)
    name, record = next(iter(case.expected["tensors"].items()))
    wrong: list[dict[str, Any]] = [
        {"tensors": {**case.expected["tensors"], name: {**record, "sha256": "0" * 64}}},
        {"tensors": {**case.expected["tensors"], name: {**record, "shape": [*record["shape"], 1]}}},
        {"tensors": {**case.expected["tensors"], "another": record}},
        {"layout": "another"},
        {"assets": {"words.txt": "0" * 64}},
        {"config": "0" * 64},
    ]
    good = dict(case.expected)
    for facts in wrong:
        with pytest.raises(AssertionError):
            contract.test_says_what_the_reference_says(changed(case, **facts))
        changed(case, **good)


def test_another_format_fails(case: Case) -> None:
    contract = Npz(case.folder.parent)
    contract.format = "safetensors"
    with pytest.raises(AssertionError):
        contract.test_claims_its_own_and_no_other_does(case)


def test_what_is_not_refused_fails(case: Case) -> None:
    with pytest.raises(pytest.fail.Exception):
        Npz(case.folder.parent).test_refuses(changed(case, error="CorruptError", says="x"))


def test_a_folder_without_cases_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no case"):
        Npz(tmp_path).test_has_a_corpus()


def test_opening_that_reads_payload_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Large(Npz):
        def large(self) -> bytes:
            out = io.BytesIO()
            np.savez(out, a=np.zeros(PAYLOAD // 8))
            return out.getvalue()

    Large(tmp_path).test_opening_reads_metadata_only()
    # The index alone is more than that.
    monkeypatch.setattr("kio.testing.METADATA", 100)
    with pytest.raises(AssertionError):
        Large(tmp_path).test_opening_reads_metadata_only()


# ---------------------------------------------------------------------------- writing


class Broken(WritingContract):
    """A format whose ``create`` is another."""

    format = "npz"

    def __init__(self, create: Any, **facts: Any) -> None:
        self._broken = dataclasses.replace(npz.FORMAT, create=create, **facts)

    @property
    def declared(self) -> Format:
        return self._broken


def lossy(target: Target, contents: Contents, options: Options) -> int:
    contents.tensors.pop(next(iter(contents.tensors)), None)
    return npz.create(target, contents, options)


def forgetful(target: Target, contents: Contents, options: Options) -> int:
    """Leaves out in silence what it has no place for."""
    return npz.create(target, Contents(contents.tensors), options)


def hasty(target: Target, contents: Contents, options: Options) -> int:
    """Writes over the old file."""
    if target.path is None or options.progress is None:
        return npz.create(target, contents, options)
    Path(target.path).write_bytes(b"PK")
    options.progress(1, 1)
    return 2


def counting(target: Target, contents: Contents, options: Options) -> int:
    return npz.create(target, contents, options) + 1


def dated(target: Target, contents: Contents, options: Options) -> int:
    contents.tensors["made"] = value_of("made", np.float64(time.perf_counter()))
    return npz.create(target, contents, options)


@pytest.mark.parametrize(
    ("create", "test"),
    [
        (lossy, "test_what_is_written_is_read"),
        (lossy, "test_into_an_open_file"),
        (lossy, "test_small_floats"),
        (lossy, "test_a_save_over_another_leaves_nothing_of_it"),
        (dated, "test_the_same_bytes_each_time"),
        (counting, "test_what_is_written_is_read"),
        (forgetful, "test_what_is_no_weights"),
        (hasty, "test_a_save_that_fails_leaves_the_old_one"),
        (hasty, "test_progress_and_what_exists"),
    ],
)
def test_a_format_that_writes_wrongly_fails(create: Any, test: str, tmp_path: Path) -> None:
    facts = {"widens": True} if test == "test_small_floats" else {}  # npz refuses small floats, and may
    given = {} if test == "test_into_an_open_file" else {"tmp_path": tmp_path}
    with pytest.raises((AssertionError, FormatError)):
        getattr(Broken(create, **facts), test)(form="file", **given)


def test_a_format_that_writes_rightly_passes(tmp_path: Path) -> None:
    right = Broken(npz.create)
    for i, test in enumerate(name for name in dir(right) if name.startswith("test_")):
        (tmp_path / str(i)).mkdir()
        given = {"form": "file", "tmp_path": tmp_path / str(i)}
        method = getattr(right, test)
        method(**{name: given[name] for name in inspect.signature(method).parameters})
