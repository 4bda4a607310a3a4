"""safetensors: kio and the reference implementation on the same bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import SafetensorError
from safetensors.numpy import load, save

from kio.errors import FormatError
from kio.raw import transfer
from tests.containers.test_safetensors import BAD, made, opened

dtypes = st.sampled_from(["?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8"])
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


names = texts.filter(lambda text: text != "__metadata__")


# safetensors 0.8 writes a broken header for metadata={} without tensors, so min_size=1.
@given(st.dictionaries(names, arrays, max_size=5), st.none() | st.dictionaries(texts, texts, min_size=1))
def test_equals_safetensors(tensors, metadata):
    data = save({name: np.ascontiguousarray(a).reshape(a.shape) for name, a in tensors.items()}, metadata)
    index, found = opened(data)
    assert found == (metadata or {})
    assert set(index) == set(tensors)
    for tensor, array in zip(index.values(), transfer.read(index.values()), strict=True):
        np.testing.assert_array_equal(array, tensors[tensor.name])
        assert array.dtype == tensors[tensor.name].dtype and array.shape == tensors[tensor.name].shape


# The reference takes an extra field and a leading space, and keeps the last of two equal names.
STRICTER = {"extra field", "twice", "leading space"}


@pytest.mark.parametrize("name", sorted(BAD.keys() - STRICTER))
def test_the_reference_refuses_too(name):
    header, nbytes = BAD[name]
    with pytest.raises((SafetensorError, TypeError)):
        load(made(header, bytes(nbytes)))


@given(st.binary(max_size=12), st.integers(0, 400), st.integers(0, 7))
def test_what_kio_takes_of_a_damaged_file_the_reference_takes(payload, at, bit):
    data = bytearray(save({"a": np.frombuffer(payload, "u1"), "b": np.ones(2, "f4")}, {"k": "v"}))
    data[at % len(data)] ^= 1 << bit
    try:
        index, _ = opened(bytes(data))
        found = dict(zip(index, transfer.read(index.values()), strict=True))
    except FormatError:
        return
    theirs = load(bytes(data))
    assert found.keys() == theirs.keys()
    for name, array in found.items():
        assert array.tobytes() == theirs[name].tobytes()
