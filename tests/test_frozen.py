"""Archives of the corpus are frozen, and what a writer adds goes into a new one."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import Legacy
from tests.corpus import frozen

LEGACY = frozen.HERE / "legacy"


def test_no_archive_has_changed() -> None:
    listed = json.loads(frozen.LIST.read_text(encoding="utf-8"))
    assert frozen.found() == listed, "put what is new into another archive; `python tests/corpus/frozen.py` lists it"


def test_writer_and_next_archive(tmp_path: Path) -> None:
    for name in ("tf-2.1.zip", "tf-2.1+2.zip", "tf-2.1+10.zip", "tf-2.15.zip"):
        (tmp_path / name).touch()
    names = [path.name for path in frozen.archives(tmp_path, "tf-2.1")]
    assert names == ["tf-2.1.zip", "tf-2.1+2.zip", "tf-2.1+10.zip"]
    assert {frozen.writer_of(tmp_path / name) for name in names} == {"tf-2.1"}
    assert frozen.following(tmp_path, "tf-2.1") == "tf-2.1+4"
    assert frozen.following(tmp_path, "tf-3") == "tf-3"


def test_packing_adds_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(LEGACY), *sys.path])
    import pack

    monkeypatch.setattr(pack, "HERE", tmp_path / "corpus")
    monkeypatch.setattr(pack.frozen, "main", lambda: None)
    (tmp_path / "corpus").mkdir()
    shutil.copy(LEGACY / "tf-2.15.1.zip", tmp_path / "corpus")
    before = (tmp_path / "corpus" / "tf-2.15.1.zip").read_bytes()
    folder = tmp_path / "tf-2.15.1"
    folder.mkdir()
    for name in ("dense.h5", "dense.npz"):
        (folder / name).write_bytes(b"another")
    pack.main([folder])
    assert [path.name for path in (tmp_path / "corpus").iterdir()] == ["tf-2.15.1.zip"]
    for name in ("brand_new.h5", "brand_new.npz"):
        (folder / name).write_bytes(b"new")
    pack.main([folder])
    assert (tmp_path / "corpus" / "tf-2.15.1.zip").read_bytes() == before
    with zipfile.ZipFile(tmp_path / "corpus" / "tf-2.15.1+2.zip") as archive:
        assert archive.namelist() == ["brand_new.h5", "brand_new.npz"]


def test_the_corpus_reads_all_archives_of_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "legacy").mkdir()
    for number, kind in enumerate(("first", "second")):
        with zipfile.ZipFile(tmp_path / "legacy" / ("tf-9+2.zip" if number else "tf-9.zip"), "w") as archive:
            archive.writestr(f"{kind}.h5", kind)
    monkeypatch.setattr("tests.conftest.CORPUS", tmp_path)
    corpus = Legacy(tmp_path / "out")
    assert (corpus / "tf-9/first.h5").read_text() == "first"
    assert (corpus / "tf-9/second.h5").read_text() == "second"
