"""The state file of a folder of TensorFlow checkpoints, ``checkpoint``: which there are, and which is the latest.

    model_checkpoint_path: "ckpt-3"
    all_model_checkpoint_paths: "ckpt-2"
    all_model_checkpoint_paths: "ckpt-3"
    all_model_checkpoint_timestamps: 1700000000.5
    last_preserved_timestamp: 1699999999.25

It is the text form of a protocol buffer, CheckpointState: bytes outside of ASCII come as C escapes.

Spec: tensorflow/python/training/checkpoint_state.proto; protobuf.dev/reference/protobuf/textformat-spec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kio.errors import CorruptError, shown

NAME = "checkpoint"
_MAIN, _ALL = "model_checkpoint_path", "all_model_checkpoint_paths"
_TIMES, _LAST = "all_model_checkpoint_timestamps", "last_preserved_timestamp"

_SPACE = re.compile(rb"(?:[ \t\r\n\v\f;,]|#[^\n]*)*")
_FIELD = re.compile(rb"([A-Za-z_][A-Za-z0-9_]{0,80})[ \t\r\n]*:")
_STRING = re.compile(rb"\"((?:[^\"\\\n]|\\[^\n])*)\"|'((?:[^'\\\n]|\\[^\n])*)'")
_NUMBER = re.compile(rb"-?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)[fF]?|-?(?:inf|infinity|nan)", re.I)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.S)
_LETTERS = {b"a": 7, b"b": 8, b"f": 12, b"n": 10, b"r": 13, b"t": 9, b"v": 11}
_LETTERS |= {each: ord(each) for each in (b"\\", b"'", b'"', b"?")}


@dataclass(frozen=True, slots=True)
class CheckpointState:
    """What a state file says; fields as in TensorFlow.

    Attributes:
        model_checkpoint_path: Prefix of the latest checkpoint, as it is written there.
        all_model_checkpoint_paths: Those that are kept, oldest first.
        all_model_checkpoint_timestamps: When each was written, in seconds since 1970; or none.
        last_preserved_timestamp: When the last one was written that is kept for good.
    """

    model_checkpoint_path: str = ""
    all_model_checkpoint_paths: list[str] = field(default_factory=list)
    all_model_checkpoint_timestamps: list[float] = field(default_factory=list)
    last_preserved_timestamp: float = 0.0


def parse_state(data: bytes, name: str) -> CheckpointState:
    """Parse a state file.

    Args:
        data: All of it.
        name: For messages.

    Raises:
        CorruptError: naming the byte, for anything that is no CheckpointState.
    """
    single: dict[str, str | float] = {}
    paths: list[str] = []
    times: list[float] = []
    at = _after(_SPACE, data, 0)
    while at < len(data):
        match = _FIELD.match(data, at)
        if match is None:
            raise CorruptError(
                f"state file: expected a field, found {shown(data[at : at + 40])}", source=name, offset=at
            )
        key, begin = match[1].decode(), at
        at = _after(_SPACE, data, match.end())
        value: str | float
        if key in (_MAIN, _ALL):
            value, at = _text(data, at, name)
        elif key in (_TIMES, _LAST):
            value, at = _number(data, at, name)
        else:
            raise CorruptError(
                f"state file: expected a field of CheckpointState, found {key}", source=name, offset=begin
            )
        if isinstance(value, str) and key == _ALL:
            paths.append(value)
        elif isinstance(value, float) and key == _TIMES:
            times.append(value)
        elif key in single:
            raise CorruptError(f"state file: expected {key} once, found it again", source=name, offset=begin)
        else:
            single[key] = value
        at = _after(_SPACE, data, at)
    return CheckpointState(str(single.get(_MAIN, "")), paths, times, float(single.get(_LAST, 0.0)))


def _after(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    match = pattern.match(data, at)
    return at if match is None else match.end()


def _text(data: bytes, at: int, name: str) -> tuple[str, int]:
    """A string, which may come in parts."""
    begin, out = at, b""
    match = _STRING.match(data, at)
    if match is None:
        raise CorruptError(f"state file: expected a string, found {shown(data[at : at + 40])}", source=name, offset=at)
    while match is not None:
        out += _ESCAPE.sub(_unescaped, match[1] if match[1] is not None else match[2])
        at = _after(_SPACE, data, match.end())
        match = _STRING.match(data, at)
    try:
        return out.decode(), at
    except UnicodeDecodeError:
        raise CorruptError(f"state file: expected UTF-8, found {shown(out)}", source=name, offset=begin) from None


def _unescaped(match: re.Match[bytes]) -> bytes:
    octal, digits, short, long, letter = match.groups()
    if octal is not None:
        return bytes([int(octal, 8) & 255])
    if digits is not None:
        return bytes([int(digits, 16)])
    if letter is not None:
        return bytes([_LETTERS[letter]]) if letter in _LETTERS else match[0]
    code = int(short or long, 16)
    return chr(code).encode("utf-8", "replace") if code < 0x110000 else b"?"


def _number(data: bytes, at: int, name: str) -> tuple[float, int]:
    match = _NUMBER.match(data, at)
    if match is None:
        raise CorruptError(f"state file: expected a number, found {shown(data[at : at + 40])}", source=name, offset=at)
    return float(
        match[0].rstrip(b"fF") if match[0][-1:] in b"fF" and match[0].lower()[-3:] != b"inf" else match[0]
    ), match.end()
