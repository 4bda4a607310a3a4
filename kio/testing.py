"""Tests that every format of kio passes, for formats of others to inherit.

    from pathlib import Path
    from kio.testing import ReadingContract

    class TestMine(ReadingContract):
        format = "mine"
        corpus = Path(__file__).parent / "corpus"

pytest collects the class, and runs each test on each case of the corpus.  Files of a corpus come from another writer
than kio.  A case is a folder with its files and ``expected.json``:

=============== ======================================================================================
``open``        what to open, relative to the folder
``layout``      the name of the mapping
``tensors``     by name: ``dtype``, ``shape``, ``sha256`` of the bytes, row-major and little-endian
``problems``    by name: a part of the reason why a tensor is listed but cannot be read
``names``       by folder of the file: the name of the layer
``metadata``    as the checkpoint gives it
``assets``      by name: the SHA-256 of the bytes
``config``      the SHA-256 of the configuration
``error``       instead of all these: the class of the error that kio raises; ``says`` is a part of it
=============== ======================================================================================

A format that kio writes inherits ``WritingContract``, too; what is tested follows from what the format declares
(``kio.formats.format.Format``).  It needs no corpus.

Needs pytest; ``pytest.register_assert_rewrite("kio.testing")`` in a conftest.py makes it show the values of a
failed comparison.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import hashlib
import io
import json
import os
import random
import shutil
import struct
import sys
import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kio import dtypes, errors, formats
from kio.checkpoint import Checkpoint
from kio.contents import Contents, value_of
from kio.errors import FormatError, LimitError, UnsupportedError
from kio.formats import open_checkpoint
from kio.formats.format import Format
from kio.formats.probe import Probe
from kio.formats.target import Options, Target
from kio.limits import Limits

# Payload of the file that is opened to count the bytes read; what opening may read of it.
PAYLOAD = 24 << 20
METADATA = 1 << 20
# Of one damaged file: seconds of work, and of waiting on a busy machine.
_WORKED, _WAITED = 1.0, 20.0
_OTHER_NAMES = ("x", "x.keras", "x.weights.h5", "x.npz", "x.safetensors", "x.json", "x.index", "x.h5")


@dataclasses.dataclass(frozen=True)
class Case:
    """One case of a corpus: a folder with ``expected.json``."""

    folder: Path

    @cached_property
    def expected(self) -> dict[str, Any]:
        """What ``expected.json`` says."""
        read: dict[str, Any] = json.loads((self.folder / "expected.json").read_text(encoding="utf-8"))
        return read

    @property
    def path(self) -> Path:
        """What to open."""
        return self.folder / str(self.expected["open"])

    @property
    def bad(self) -> bool:
        """Whether kio refuses it."""
        return "error" in self.expected


def cases(corpus: Path) -> list[Case]:
    """The cases of a corpus, sorted by name."""
    return [Case(path.parent) for path in sorted(corpus.glob("*/expected.json"))]


def digest(array: Any) -> str:
    """The SHA-256 of an array's bytes, row-major and little-endian; of text of any length, of size (u64) and bytes."""
    little = np.asarray(array)
    if little.dtype == object:
        return hashlib.sha256(b"".join(struct.pack("<Q", len(each)) + each for each in little.reshape(-1))).hexdigest()
    little = little.astype(little.dtype.newbyteorder("<"), copy=False) if little.dtype.kind != "V" else little
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()


def digests(found: Checkpoint) -> dict[str, Any]:
    """All of a checkpoint that can be compared, payload included."""
    good = [name for name, tensor in found.items() if tensor.problem is None]
    return {
        "tensors": {name: digest(array) for name, array in found.read(good, verify=True).items()},
        "facts": {name: (t.dtype_name, t.shape, t.problem) for name, t in found.items()},
        "assets": {name: found.assets.read(name) for name in found.assets},
        "names": dict(found.names_of),
        "config": found.config,
        "metadata": found.metadata,
    }


def unnamed(found: dict[str, Any]) -> dict[str, Any]:
    """The same without the text of problems, which names the file: bytes have no name."""
    facts = {name: (*fact[:2], fact[2] is None) for name, fact in found["facts"].items()}
    return {**found, "facts": facts}


def outcome(what: Any, **limits: Any) -> Any:
    """What comes of opening an input and reading all of it: digests, or the FormatError.

    Args:
        what: As for ``kio.open``.
        limits: Fields of ``kio.Limits``.

    Raises:
        AssertionError: if it took more than a second of CPU time, or if the error's text is unprintable or long.
    """
    if sys.__stderr__ is not None:
        faulthandler.dump_traceback_later(4, file=sys.__stderr__)
    start, work = time.perf_counter(), time.process_time()
    result: Any
    try:
        with open_checkpoint(what, Limits(**limits)) as found:
            result = unnamed(digests(found))
    except FormatError as error:
        assert str(error).isprintable() and len(str(error)) < 2000
        result = error
    finally:
        waited, worked = time.perf_counter() - start, time.process_time() - work
        faulthandler.cancel_dump_traceback_later()
    load = os.getloadavg() if hasattr(os, "getloadavg") else None
    assert worked < _WORKED and waited < _WAITED, f"{worked:.2f} s of CPU, {waited:.2f} s, load {load}: {result!r}"[
        :500
    ]
    return result


def cuts(nbytes: int) -> list[int]:
    """Offsets to cut a file at: all near both ends, and some everywhere."""
    return sorted({*range(min(nbytes, 80)), *range(max(nbytes - 80, 0), nbytes), *range(0, nbytes, nbytes // 60 + 1)})


class PlainFile:
    """The least that counts as a file object; counts the bytes that are read."""

    def __init__(self, raw: bytes) -> None:
        self._file = io.BytesIO(raw)
        self.nbytes = 0

    def read(self, n: int = -1) -> bytes:
        """The next n bytes."""
        found = self._file.read(n)
        self.nbytes += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, as in a file."""
        return self._file.seek(offset, whence)


class ReadingContract:
    """What every format that kio reads keeps, tested on the format's own corpus.

    Attributes:
        format: The format's name.
        corpus: The folder with its cases.
        checksummed: All that is read is under a checksum: a flipped bit is an error, or changes nothing.
        several_files: A case is more than the file that is opened, so it cannot come as bytes.
    """

    format: str
    corpus: Path
    checksummed = False
    several_files = False

    def large(self) -> bytes | None:
        """A file with PAYLOAD bytes of payload, of which opening reads at most METADATA; None to leave this out."""
        return None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each case that its argument names: ``case``, ``good``, ``bad`` or ``file``."""
        found = cases(self.corpus)
        kinds = {
            "case": found,
            "good": [case for case in found if not case.bad],
            "bad": [case for case in found if case.bad],
            "file": [case for case in found if not case.bad and not self.several_files and case.path.is_file()],
        }
        for name, chosen in kinds.items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, chosen, ids=[case.folder.name for case in chosen])
        if "field" in metafunc.fixturenames:
            metafunc.parametrize("field", [field.name for field in dataclasses.fields(Limits)])

    def test_has_a_corpus(self) -> None:
        assert cases(self.corpus), f"no case in {self.corpus}"

    def test_claims_its_own_and_no_other_does(self, case: Case) -> None:
        probe = Probe(case.path)
        probe.look()
        assert [each.name for each in formats.formats() if each.claims(probe)] == [self.format]
        probe.close()

    def test_refuses(self, bad: Case) -> None:
        with pytest.raises(FormatError) as caught:
            open_checkpoint(bad.path)
        text = str(caught.value)
        assert type(caught.value) is getattr(errors, bad.expected["error"])
        assert bad.expected["says"] in text
        assert text.isprintable() and len(text) < 2000
        assert bad.expected["open"] == "." or bad.expected["open"] in text

    def test_says_what_the_reference_says(self, good: Case) -> None:
        wanted = good.expected
        with open_checkpoint(good.path) as found:
            assert found.format == self.format
            assert found.layout == wanted["layout"]
            problems = wanted.get("problems", {})
            assert set(found) == set(wanted["tensors"]) | set(problems)
            for name, record in wanted["tensors"].items():
                tensor = found[name]
                facts = (tensor.name, tensor.dtype_name, tensor.shape)
                assert facts == (name, record["dtype"], tuple(record["shape"]))
                assert tensor.problem is None
            for name, says in problems.items():
                assert says in str(found[name].problem)
                with pytest.raises(FormatError, match=says):
                    np.asarray(found[name])
            assert {name: digest(array) for name, array in found.read(wanted["tensors"], verify=True).items()} == {
                name: record["sha256"] for name, record in wanted["tensors"].items()
            }
            assert found.names_of == wanted.get("names", found.names_of)
            assert found.metadata == wanted.get("metadata", found.metadata)
            config = None if found.config is None else hashlib.sha256(found.config.encode()).hexdigest()
            assert config == (wanted.get("config") or None)
            assets = {name: hashlib.sha256(found.assets.read(name)).hexdigest() for name in found.assets}
            assert assets == wanted.get("assets", {})
            if not problems:
                found.verify()

    def test_any_way_of_reading_gives_the_same(self, good: Case) -> None:
        wanted = {name: record["sha256"] for name, record in good.expected["tensors"].items()}
        names = list(wanted)
        with open_checkpoint(good.path) as found:
            for threads in (1, 3):
                random.Random(threads).shuffle(names)
                assert {name: digest(array) for name, array in found.read(names, threads=threads).items()} == wanted
            budgets: Iterable[int | str] = (1, 5000, "1MB")
            for budget in budgets:
                stream = found.stream(names, budget=budget, verify=budget == 1)
                assert {name: digest(array) for name, array in stream} == wanted
            for name in names:
                tensor = found[name]
                whole = np.asarray(tensor)
                assert digest(whole) == wanted[name]
                if whole.dtype != object:
                    into = np.empty_like(whole)
                    tensor.read_into(into)
                    assert digest(into) == wanted[name]
                box = tuple(slice(extent // 3, extent - extent // 4) for extent in whole.shape)
                assert digest(found.read_shards({name: box})[name]) == digest(whole[box])
                if whole.ndim:
                    assert digest(tensor[1:]) == digest(whole[1:])

    def test_any_kind_of_input_gives_the_same(self, file: Case) -> None:
        path = file.path
        with open_checkpoint(path) as found:
            wanted = unnamed(digests(found))
        raw = path.read_bytes()
        with path.open("rb") as stream:
            for what in (str(path), raw, bytearray(raw), memoryview(raw), io.BytesIO(raw), PlainFile(raw), stream):
                with open_checkpoint(what) as found:
                    assert unnamed(digests(found)) == wanted
        with open_checkpoint(path, mmap=True) as found:
            assert unnamed(digests(found)) == wanted

    def test_a_name_decides_nothing(self, file: Case, tmp_path: Path) -> None:
        with open_checkpoint(file.path) as found:
            wanted = unnamed(digests(found))
        for name in _OTHER_NAMES:
            shutil.copy(file.path, tmp_path / name)
            with open_checkpoint(tmp_path / name) as found:
                assert found.format == self.format
                assert unnamed(digests(found)) == wanted

    def test_opening_reads_metadata_only(self) -> None:
        raw = self.large()
        if raw is None:
            return
        assert len(raw) >= PAYLOAD
        file = PlainFile(raw)
        with open_checkpoint(file) as found:
            assert found.format == self.format
            assert [(t.dtype, t.shape, t.nbytes) for t in found.values()]
            assert found.names_of is not None and list(found.assets) is not None
            assert file.nbytes < METADATA

    def test_cut_short(self, file: Case) -> None:
        raw = file.path.read_bytes()
        for nbytes in cuts(len(raw)):
            assert isinstance(outcome(raw[:nbytes]), FormatError), nbytes

    def test_flipped_bits(self, file: Case) -> None:
        raw = file.path.read_bytes()
        wanted = outcome(raw)
        places = random.Random(7)
        for _ in range(150):
            damaged = bytearray(raw)
            damaged[places.randrange(len(raw))] ^= 1 << places.randrange(8)
            found = outcome(bytes(damaged))
            if not isinstance(found, FormatError) and self.checksummed:
                assert found == wanted

    def test_limits(self, good: Case, field: str) -> None:
        wanted = outcome(good.path)
        for value in (0, 1, 2):
            found = outcome(good.path, **{field: value})
            if isinstance(found, FormatError):
                assert isinstance(found, LimitError), found
                assert field in str(found)
            else:
                assert found == wanted


CONFIG = '{"class_name": "X", "config": {"name": "ü"}}'


class Pipe(io.RawIOBase):
    """Takes bytes in order, and nothing else."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, given: Any, /) -> int:
        """Take them."""
        self.taken += memoryview(given).cast("B")
        return memoryview(given).nbytes


def _tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path from there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class WritingContract:
    """What every format that kio writes keeps, in every form that it declares: a file, a folder, a group of files.

    Attributes:
        format: The format's name.
    """

    format: str
    nbytes = 0  # of the last save, as the format says

    @property
    def declared(self) -> Format:
        """What the format says of itself."""
        return formats.format_named(self.format)

    def arrays(self) -> dict[str, Any]:
        """What is written: every dtype that NumPy has, and odd shapes, under names of the format's layout."""
        rng = np.random.default_rng(1)
        rows = [row for row in dtypes.TABLE if row.numpy is not None and row.kind not in "Vc"]
        made: dict[str, Any] = {
            f"layers/{row.name}/vars/0": rng.integers(0, 2, (3, 5)).astype(dtypes.numpy_dtype(row.name)) for row in rows
        }
        made["layers/odd/vars/0"] = np.float32(3.5)
        made["layers/odd/vars/1"] = np.zeros((0, 4), np.float32)
        made["layers/odd/vars/2"] = rng.normal(size=(70, 70, 3))[:, ::2]
        made["layers/odd/vars/3"] = rng.normal(size=(6, 4)).astype(">f4")
        made["layers/ünï cöde/vars/0"] = np.arange(4, dtype=np.int64)
        return made

    def contents(self, arrays: dict[str, Any], **facts: Any) -> Contents:
        """Contents that the format can write.

        Args:
            arrays: By name.
            facts: More fields of ``Contents``.
        """
        if "weights" not in self.declared.holds:
            facts.setdefault("config", CONFIG)
        return Contents({name: value_of(name, array) for name, array in arrays.items()}, **facts)

    def create(self, contents: Contents, folder: Path, form: str, overwrite: bool = True, **options: Any) -> Path:
        """Write into a folder, in one of the forms; return the path."""
        path = folder / ("x" if form == "folder" else f"x{self.declared.suffixes[0]}")
        self.nbytes = self.write(Target(path, overwrite=overwrite), contents, form, **options)
        return path

    def write(self, target: Target, contents: Contents, form: str, **options: Any) -> int:
        """Write, in one of the forms; return how many bytes the format says that it wrote."""
        create = self.declared.create
        assert create is not None
        return create(target, contents, Options(zipped=form != "folder", **options))

    def same(self, found: Checkpoint, arrays: dict[str, Any]) -> None:
        """Whether a checkpoint holds these arrays, dtypes included, and nothing else."""
        assert found.format == self.format and found.layout == self.declared.layout
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            wanted = np.asarray(array)
            tensor = np.asarray(found[name])
            assert tensor.dtype.newbyteorder("=") == wanted.dtype.newbyteorder("="), name
            assert tensor.shape == wanted.shape and digest(tensor) == digest(wanted), name

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each form that a save takes."""
        if "form" in metafunc.fixturenames:
            metafunc.parametrize("form", self.declared.writes)

    def test_its_name_and_its_suffixes_lead_to_it(self) -> None:
        assert formats.format_named(self.format).name == self.format
        for suffix in self.declared.suffixes:
            assert formats.format_of_path(f"x{suffix}").name == self.format
            assert formats.format_named(suffix).name == self.format

    def test_what_is_written_is_read(self, form: str, tmp_path: Path) -> None:
        path = self.create(self.contents(self.arrays()), tmp_path, form)
        assert self.nbytes == sum(map(len, _tree(tmp_path).values()))
        with open_checkpoint(path) as found:
            self.same(found, self.arrays())
            found.verify()

    def test_the_same_bytes_each_time(self, form: str, tmp_path: Path) -> None:
        for name in "ab":
            (tmp_path / name).mkdir()
            self.create(self.contents(self.arrays()), tmp_path / name, form)
        assert _tree(tmp_path / "a") == _tree(tmp_path / "b")

    def test_into_an_open_file(self, form: str) -> None:
        for file in (io.BytesIO(), Pipe()):
            if form != "file":
                with pytest.raises(UnsupportedError, match="found an open file"):
                    self.write(Target(file), self.contents(self.arrays()), form)
                continue
            self.write(Target(file), self.contents(self.arrays()), form)
            with open_checkpoint(bytes(file.taken if isinstance(file, Pipe) else file.getvalue())) as found:
                self.same(found, self.arrays())

    def test_small_floats(self, form: str, tmp_path: Path) -> None:
        pytest.importorskip("ml_dtypes")
        for row in dtypes.TABLE:
            if row.kind != "f" or row.raw is None:
                continue
            given = {"layers/a/vars/0": np.arange(12).reshape(3, 4).astype(dtypes.numpy_dtype(row.name))}
            folder = tmp_path / row.name
            folder.mkdir()
            try:
                path = self.create(self.contents(given), folder, form)
            except UnsupportedError as refused:
                assert row.name in str(refused) and not self.declared.widens
                assert not list(folder.iterdir())
                continue
            with open_checkpoint(path) as found:
                kept = {
                    name: array.astype(np.float32) if self.declared.widens else array for name, array in given.items()
                }
                self.same(found, kept)

    def test_what_is_no_weights(self, form: str, tmp_path: Path) -> None:
        """Configuration, assets and metadata are kept, or refused before anything exists."""
        arrays = {"layers/a/vars/0": np.arange(3.0)}
        whole = {"config": CONFIG, "metadata": {"keras_version": "3.15.1"}, "assets": {"words.txt": b"a b"}}
        for i, (what, given) in enumerate(whole.items()):
            folder = tmp_path / str(i)
            folder.mkdir()
            try:
                path = self.create(self.contents(arrays, **{what: given}), folder, form)
            except UnsupportedError:
                assert not list(folder.iterdir())
                assert "model" not in self.declared.holds or what == "assets"
                assert what != "metadata" or "metadata" not in self.declared.holds
                continue
            with open_checkpoint(path) as found:
                self.same(found, arrays)
                if what == "config":
                    assert found.config == given
                elif what == "metadata":
                    assert found.metadata["keras_version"] == "3.15.1"
                else:
                    assert {name: found.assets.read(name) for name in found.assets} == given

    def test_a_model_needs_its_configuration(self, form: str, tmp_path: Path) -> None:
        if "weights" not in self.declared.holds:
            with pytest.raises(UnsupportedError, match="configuration"):
                self.create(self.contents({"layers/a/vars/0": np.zeros(2)}, config=None), tmp_path, form)
            assert not list(tmp_path.iterdir())

    def test_a_save_over_another_leaves_nothing_of_it(self, form: str, tmp_path: Path) -> None:
        for n in (50, 3, 9):
            arrays = {f"layers/dense_{i}/vars/0": np.arange(n) + i for i in range(1 + n % 7)}
            with open_checkpoint(self.create(self.contents(arrays), tmp_path, form)) as found:
                self.same(found, arrays)

    def test_a_save_that_fails_leaves_the_old_one(self, form: str, tmp_path: Path) -> None:
        self.create(self.contents({"layers/a/vars/0": np.arange(5)}), tmp_path, form)
        before = _tree(tmp_path)

        def fail(done: int, total: int) -> None:
            raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            self.create(self.contents({"layers/a/vars/0": np.arange(50)}), tmp_path, form, progress=fail)
        assert _tree(tmp_path) == before

    def test_progress_and_what_exists(self, form: str, tmp_path: Path) -> None:
        seen: list[tuple[int, int]] = []
        arrays = self.arrays()
        path = self.create(self.contents(arrays), tmp_path, form, overwrite=False, progress=lambda *at: seen.append(at))
        assert seen and seen[-1][0] == seen[-1][1] and seen == sorted(seen)
        with pytest.raises(FileExistsError):
            self.create(self.contents({}), tmp_path, form, overwrite=False)
        with open_checkpoint(path) as found:
            self.same(found, arrays)
