"""State files of TensorFlow: what TensorFlow writes, what its parser takes, what nobody should."""

from __future__ import annotations

import pytest

from kio.containers.checkpoint_state import CheckpointState, parse_state
from kio.errors import CorruptError

WRITTEN = b"""model_checkpoint_path: "ckpt-3"
all_model_checkpoint_paths: "ckpt-2"
all_model_checkpoint_paths: "ckpt-3"
all_model_checkpoint_timestamps: 1700000000.5
all_model_checkpoint_timestamps: 1.7e9
last_preserved_timestamp: 1699999999.25
"""


def test_what_tensorflow_writes():
    found = parse_state(WRITTEN, "checkpoint")
    assert found == CheckpointState("ckpt-3", ["ckpt-2", "ckpt-3"], [1700000000.5, 1700000000.0], 1699999999.25)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (rb'"y\303\251 \"q\"/ck"', 'yé "q"/ck'),
        (rb"'it''s'", "its"),
        (rb'"a"  "b" # said twice', "ab"),
        (rb'"tab\tnew\nline\\\'\?\x41\101"', "tab\tnew\nline\\'?AA"),
        (rb'"\u00e9\U0001F600"', "é\U0001f600"),
        ('"größe"'.encode(), "größe"),
        (b'""', ""),
    ],
)
def test_strings(text, path):
    assert parse_state(b"model_checkpoint_path :" + text + b";", "checkpoint").model_checkpoint_path == path


def test_nothing_is_a_state_of_nothing():
    assert parse_state(b" # a comment\n", "checkpoint") == CheckpointState()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"ckpt", "expected a field"),
        (b"model_checkpoint_path: ckpt", "expected a string"),
        (b'model_checkpoint_path: "ckpt', "expected a string"),
        (b'model_checkpoint_path: "a\nb"', "expected a string"),
        (b'model_checkpoint_path: "a" model_checkpoint_path: "b"', "once"),
        (b'model_checkpoint_path: "\\377"', "UTF-8"),
        (b'model_checkpoint: "a"', "expected a field of CheckpointState"),
        (b"last_preserved_timestamp: soon", "expected a number"),
        (b'last_preserved_timestamp: "1"', "expected a number"),
        (b"\x08\x01", "expected a field"),
        (b"\0" * 20, "expected a field"),
        (b'model_checkpoint_path { x: "a" }', "expected a field"),
    ],
)
def test_refused(data, says):
    with pytest.raises(CorruptError, match=says) as caught:
        parse_state(data, "checkpoint")
    assert "checkpoint, byte 0x" in str(caught.value) and str(caught.value).isprintable()


def test_cost_is_linear():
    for data in (b" " * 10**6, b"#" * 10**6, b"a" * 10**6, b'model_checkpoint_path: "' + b"\\a" * 10**6):
        if data.strip(b" #"):
            with pytest.raises(CorruptError):
                parse_state(data, "checkpoint")
        else:
            parse_state(data, "checkpoint")


@pytest.mark.tf
def test_as_tensorflow_parses_it():
    text_format = pytest.importorskip("google.protobuf.text_format")
    training = pytest.importorskip("tensorflow.python.training.checkpoint_state_pb2")
    theirs = text_format.Parse(WRITTEN.decode(), training.CheckpointState())
    mine = parse_state(WRITTEN, "checkpoint")
    assert mine.all_model_checkpoint_paths == list(theirs.all_model_checkpoint_paths)
    assert mine.all_model_checkpoint_timestamps == list(theirs.all_model_checkpoint_timestamps)
    for path in ("plain", "yé \"q\"/'ck'", "tab\t\n\\", "三"):
        written = text_format.MessageToString(training.CheckpointState(model_checkpoint_path=path))
        assert parse_state(written.encode(), "checkpoint").model_checkpoint_path == path
