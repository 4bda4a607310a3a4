"""``kio.testing`` fails where a format does not keep the contract."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kio.testing import PAYLOAD, Case, ReadingContract, cases

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
