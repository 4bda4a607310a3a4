"""Strict JSON: what RFC 8259 leaves open is refused, and cost is bounded before parsing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kio.containers.json_text import parse, parse_text
from kio.errors import CorruptError, FormatError, LimitError
from kio.limits import DEFAULT, Limits
from tests.clock import worked_less_than

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values, st.booleans())
def test_equals_json(value, ascii_only):
    try:
        data = json.dumps(value, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return
    try:
        assert parse(data, "x.json") == value
    except CorruptError as error:
        # Hypothesis finds strings with half a surrogate pair, which ASCII escapes can spell.
        assert "surrogate" in str(error)


@pytest.mark.parametrize(
    "data, says",
    [
        (b'{"a": 1, "a": 2}', "'a' twice"),
        (b'{"o": {"a": 1, "b": 2, "a": 1}}', "'a' twice"),
        (b"[NaN]", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e999]", "1e999"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udc00x": 1}', "surrogate"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'"\xff"', "UTF-8"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        ("{}".encode("utf-16"), "UTF-8"),
        (b"{'a': 1}", "strict JSON"),
        (b"[1,]", "strict JSON"),
        (b"{} {}", "Extra data"),
        (b"[01]", "strict JSON"),
        (b'["\n"]', "control character"),
        (b"// hello\n{}", "strict JSON"),
        (b"", "strict JSON"),
        (b"[" + b"9" * 5000 + b"]", "digits"),
    ],
)
def test_refused(data, says):
    with pytest.raises(CorruptError, match=says) as caught:
        parse(data, "x.json")
    assert "x.json" in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "data, field",
    [
        (b"[" * 129 + b"]" * 129, "config_depth"),
        (b"[" * 5_000_000, "config_depth"),
        (b'{"a":' * 5_000_000, "config_depth"),
        (b"[" + b"[]," * 5_000_000 + b"[]]", "config_nodes"),
        (b"[" + b"0," * 5_000_000 + b"0]", "config_nodes"),
        (b"{" + b",".join(b'"%d":0' % k for k in range(600_000)) + b"}", "config_nodes"),
        (b'"' + b"x" * (64 << 20) + b'"', "config_bytes"),
    ],
    ids=["nested", "open arrays", "open objects", "lists", "numbers", "keys", "long"],
)
def test_cost_is_bounded_before_parsing(data, field):
    says = f"limits.{field}={getattr(DEFAULT, field)}"
    with worked_less_than(1), pytest.raises(LimitError, match=says) as caught:
        parse(data, "x.json")
    assert caught.value.field == field


def test_brackets_in_strings_do_not_nest():
    text = json.dumps(["[" * 1000, '\\"[{' * 500, "\\"])
    assert parse(text.encode(), "x.json") == json.loads(text)


def test_limits_are_exact():
    assert parse(b"[[1]]", "x", Limits(config_depth=2, config_nodes=3, config_bytes=5)) == [[1]]
    for field, value in (("config_depth", 1), ("config_nodes", 2), ("config_bytes", 4)):
        with pytest.raises(LimitError):
            parse(b"[[1]]", "x", Limits(**{field: value}))


def test_text_is_not_looked_into():
    assert parse_text(b"not json", "x") == "not json"
    with pytest.raises(CorruptError):
        parse_text(b"\xff", "x")
    with pytest.raises(LimitError):
        parse_text(b"12", "x", Limits(config_bytes=1))


@given(st.binary(max_size=60))
def test_nothing_but_format_errors(data):
    try:
        parse(data, "x")
    except FormatError as error:
        assert str(error).isprintable()
