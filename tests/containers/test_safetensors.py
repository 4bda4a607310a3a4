"""safetensors: what is refused, and how.  The reference reader is asked in tests/differential."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kio.containers import safetensors as container
from kio.errors import FormatError, LimitError, TruncatedError, UnsupportedError
from kio.limits import Limits
from kio.raw import transfer
from kio.raw.source import Source


def opened(data, **limits):
    return container.open(Source.of_bytes(data, "x.safetensors"), Limits(**limits))


def made(header, payload=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + payload


def entry(begin, end, dtype="U8", shape=None, **more):
    return {
        "dtype": dtype,
        "shape": [end - begin] if shape is None else shape,
        "data_offsets": [begin, end],
        **more,
    }


BAD = {
    "overlap": ({"a": entry(0, 4), "b": entry(2, 6)}, 6),
    "gap": ({"a": entry(0, 4), "b": entry(5, 6)}, 6),
    "hidden start": ({"a": entry(2, 6)}, 6),
    "bytes left": ({"a": entry(0, 4)}, 5),
    "too short": ({"a": entry(0, 4)}, 3),
    "size and shape differ": ({"a": entry(0, 4, shape=[5])}, 4),
    "begin after end": ({"a": {"dtype": "U8", "shape": [0], "data_offsets": [4, 0]}}, 4),
    "negative offset": ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [-4, 0]}}, 4),
    "negative shape": ({"a": entry(0, 4, shape=[-2, -2])}, 4),
    "overflow": ({"a": entry(0, 4, shape=[2**62, 2**62, 4])}, 4),
    "huge": ({"a": entry(0, 2**62)}, 4),
    "float offset": ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0.0, 4]}}, 4),
    "bool shape": ({"a": entry(0, 1, shape=[True])}, 1),
    "three offsets": ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4, 4]}}, 4),
    "no offsets": ({"a": {"dtype": "U8", "shape": [4]}}, 4),
    "extra field": ({"a": entry(0, 4, more=1)}, 4),
    "unknown dtype": ({"a": entry(0, 4, dtype="F7")}, 4),
    "dtype no text": ({"a": entry(0, 4, dtype=5)}, 4),
    "entry no object": ({"a": [0, 4]}, 4),
    "metadata no text": ({"__metadata__": {"a": 1}}, 0),
    "metadata no object": ({"__metadata__": ["a"]}, 0),
    "header no object": (b"[]", 0),
    "leading space": (b" {}", 0),
    "twice": (b"{%s,%s}" % ((b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}',) * 2), 1),
    "not JSON": (b"{'a': 1}", 0),
    "not UTF-8": (b'{"\xff": 1}', 0),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name):
    header, nbytes = BAD[name]
    with pytest.raises(FormatError) as caught:
        opened(made(header, bytes(nbytes)))
    assert "x.safetensors" in str(caught.value) and str(caught.value).isprintable()


def test_kinds_of_error():
    with pytest.raises(TruncatedError):
        opened(b"1234567")
    with pytest.raises(TruncatedError):
        opened((2**63).to_bytes(8, "little") + b"{}")
    with pytest.raises(UnsupportedError, match="F7"):
        opened(made({"a": entry(0, 4, dtype="F7")}, bytes(4)))
    with pytest.raises(LimitError, match="config_bytes"):
        opened(made({"a": entry(0, 4)}, bytes(4)), config_bytes=10)
    with pytest.raises(LimitError, match="config_nodes"):
        opened(made({str(k): entry(k, k + 1) for k in range(50)}, bytes(50)), config_nodes=100)
    with pytest.raises(LimitError, match="tensors"):
        opened(made({str(k): entry(k, k + 1) for k in range(50)}, bytes(50)), tensors=49)


def test_types_kio_does_not_read_are_listed():
    index, _ = opened(made({"a": entry(0, 2, "F4", [4]), "b": entry(2, 3)}, bytes(3)))
    assert index["a"].shape == (4,) and "F4" in index["a"].problem
    with pytest.raises(UnsupportedError, match="F4"):
        transfer.read([index["a"]])
    np.testing.assert_array_equal(transfer.read([index["b"]])[0], [0])


def test_padded_header():
    data = made(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}     ', b"\7")
    assert transfer.read(opened(data)[0].values())[0].tolist() == [7]


@given(st.binary(max_size=100))
def test_nothing_but_format_errors(data):
    try:
        opened(made(b"{" + data))
    except FormatError as error:
        assert str(error).isprintable()
