"""Assets: only what belongs to a layer, only into a folder of our own, only for a moment."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from kio.errors import ChecksumError, LimitError, MatchError, UnsafeError
from kio.limits import Limits
from kio.mapping.tree import Node
from kio.models.store import assets_read
from kio.raw.source import Source


class Layer:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.folder: str | None = ""
        self.files: dict[str, bytes] = {}

    def load_assets(self, folder: str | None) -> None:
        self.folder = folder
        if folder is None:
            raise TypeError("no folder")
        if os.name == "posix":
            assert os.stat(folder).st_mode & 0o077 == 0
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                self.files[path.relative_to(folder).as_posix()] = path.read_bytes()


def stored(files: dict[str, bytes]) -> dict[str, Any]:
    return {name: Source.of_bytes(data, f"m.keras!assets/{name}") for name, data in files.items()}


def node(layer: Layer) -> Node:
    return Node(0, "lookup", "Layer", "lookup", layer)


def test_a_layer_gets_its_own_files_and_nothing_remains() -> None:
    a, b = Layer(), Layer()
    files = {
        "layers/a/vocabulary.txt": b"x\ny",
        "layers/a/sub/more": b"z" * 3_000_000,
        "layers/ab/vocabulary.txt": b"q",
    }
    assets_read.load(stored(files), [(node(a), "layers/a"), (node(b), "layers/ab")])
    assert a.files == {"vocabulary.txt": b"x\ny", "sub/more": b"z" * 3_000_000}
    assert b.files == {"vocabulary.txt": b"q"}
    assert not os.path.exists(a.folder or "")


def test_without_assets_nothing_happens() -> None:
    layer = Layer()
    assets_read.load({}, [(node(layer), "layers/a")])
    assert layer.folder == ""


def test_a_layer_without_files_gets_none_as_in_keras() -> None:
    layer = Layer()
    with pytest.raises(MatchError, match="no folder"):
        assets_read.load(stored({"layers/other/f": b""}), [(node(layer), "layers/a")])
    assert layer.folder is None


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/x", "a//b", ".", "a\\..\\b", "C:evil", "a/nul\0", "dot."]
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(UnsafeError, match="asset name"):
        assets_read.load(stored({"layers/a/" + name: b"x"}), [(node(Layer()), "layers/a")])


def test_size_is_limited() -> None:
    with pytest.raises(LimitError, match="spool_bytes"):
        assets_read.load(stored({"a/f": b"x" * 100}), [(node(Layer()), "a")], Limits(spool_bytes=99))


def test_checksums_are_verified() -> None:
    data = b"vocabulary"
    whole = Source.of_bytes(b"head" + data, "m.keras")
    good = whole.window(4, len(data), "m.keras!f", zlib.crc32(data))
    bad = whole.window(4, len(data), "m.keras!f", zlib.crc32(data) ^ 1)
    layer = Layer()
    assets_read.load({"a/f": good}, [(node(layer), "a")])
    assert layer.files == {"f": data}
    with pytest.raises(ChecksumError, match="CRC-32"):
        assets_read.load({"a/f": bad}, [(node(Layer()), "a")])


class Words:
    """Takes a vocabulary as Keras's lookups do, with which it shares ``load_assets``."""

    vocabulary_dtype, output_mode, input_vocabulary = "string", "int", None

    def __init__(self) -> None:
        self.words: list[Any] = []

    def load_assets(self, folder: str | None) -> None:
        raise AssertionError("set_vocabulary is asked instead")

    load_assets.__module__ = "keras.src.layers.preprocessing.index_lookup"

    def set_vocabulary(self, words: list[Any]) -> None:
        self.words = words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n[UNK]\nred\ngreen", ["", "[UNK]", "red", "green"]),
        ("[UNK]\nnew\u2028line\nv\x0b\n\x85", ["[UNK]", "new\u2028line", "v\x0b", "\x85"]),
        ("[UNK]\r\nred\r\ngreen", ["[UNK]", "red", "green"]),  # on Windows
        ("[UNK]\na\rb\nred", ["[UNK]", "a\rb", "red"]),
        ("[UNK]\nred\n\n", ["[UNK]", "red"]),
        ("[UNK]", ["[UNK]"]),
    ],
)
def test_words_are_what_was_joined(text: str, words: list[str]) -> None:
    layer: Any = Words()
    assets_read.load(stored({"a/vocabulary.txt": text.encode()}), [(node(layer), "a")])
    assert layer.words == words


def test_whole_numbers_are_words_too() -> None:
    layer: Any = Words()
    layer.vocabulary_dtype = "int64"
    assets_read.load(stored({"a/vocabulary.txt": b"-1\n3\n4"}), [(node(layer), "a")])
    assert layer.words == [-1, 3, 4]


def test_words_that_do_not_fit_are_refused() -> None:
    layer: Any = Words()
    layer.vocabulary_dtype = "int64"
    with pytest.raises(MatchError, match="found ValueError"):
        assets_read.load(stored({"a/vocabulary.txt": b"-1\nthree"}), [(node(layer), "a")])


def test_a_vocabulary_of_the_configuration_stays() -> None:
    layer: Any = Words()
    layer.input_vocabulary = ["a"]
    assets_read.load(stored({"a/vocabulary.txt": b"b"}), [(node(layer), "a")])
    assert layer.words == []
