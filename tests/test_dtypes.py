"""The table of element types: known bytes of each row, through every format that has it, and by the reference readers.

A new row needs its line in ``KNOWN``, or the first test fails.
"""

from __future__ import annotations

import io
import json

import h5py
import numpy as np
import pytest

import kio
from kio import dtypes
from kio.containers import hdf5, hdf5_lib
from kio.raw.source import Source

# Name -> one element as it is stored on a little-endian machine, its value, and the names of others for the type:
# safetensors', TensorFlow's.
KNOWN = {
    "bool": ("01", True, "BOOL", "bool"),
    "int8": ("fe", -2, "I8", "int8"),
    "uint8": ("fe", 254, "U8", "uint8"),
    "int16": ("fe7f", 32766, "I16", "int16"),
    "uint16": ("feff", 65534, "U16", "uint16"),
    "int32": ("0100ffff", -65535, "I32", "int32"),
    "uint32": ("0100ffff", 4294901761, "U32", "uint32"),
    "int64": ("00000000000000ff", -(1 << 56), "I64", "int64"),
    "uint64": ("00000000000000ff", 255 << 56, "U64", "uint64"),
    "float16": ("003e", 1.5, "F16", "float16"),
    "float32": ("0000c03f", 1.5, "F32", "float32"),
    "float64": ("000000000000f83f", 1.5, "F64", "float64"),
    "bfloat16": ("c03f", 1.5, "BF16", "bfloat16"),
    "float8_e4m3fn": ("3c", 1.5, "F8_E4M3", "float8_e4m3fn"),
    "float8_e5m2": ("3e", 1.5, "F8_E5M2", "float8_e5m2"),
    "complex64": ("0000c03f000000c0", 1.5 - 2j, "C64", "complex64"),
    "complex128": ("000000000000f83f00000000000000c0", 1.5 - 2j, None, "complex128"),
    "float8_e4m3fnuz": ("44", 1.5, None, "float8_e4m3fnuz"),
    "float8_e4m3b11fnuz": ("5c", 1.5, None, "float8_e4m3b11fnuz"),
    "float8_e5m2fnuz": ("42", 1.5, None, "float8_e5m2fnuz"),
    "int4": ("fe", -2, None, "int4"),
    "uint4": ("0e", 14, None, "uint4"),
    "int2": ("fe", -2, None, "int2"),
    "uint2": ("03", 3, None, "uint2"),
    "float4_e2m1fn": ("03", 1.5, None, "float4_e2m1fn"),
    "opaque1": ("07", b"\x07", None, None),
    "opaque2": ("0708", b"\x07\x08", None, None),
}
ROWS = pytest.mark.parametrize("row", dtypes.TABLE, ids=lambda row: row.name)
SMALL = [row for row in dtypes.TABLE if row.raw]


def stored(row):
    return bytes.fromhex(KNOWN[row.name][0])


def one(row):
    """The known element as an array of one."""
    return np.frombuffer(stored(row), dtypes.numpy_dtype(row.name))


def same(found, row):
    assert dtypes.name_of(found.dtype) == row.name and found.tobytes() == one(row).tobytes()


def test_each_row_has_known_bytes():
    assert set(KNOWN) == {row.name for row in dtypes.TABLE}, "a new row wants a known element"


def test_numbers_and_names_are_used_once():
    for facts in (
        [row.name for row in dtypes.TABLE],
        [row.numpy for row in dtypes.TABLE if row.numpy],
        [row.safetensors for row in dtypes.TABLE if row.safetensors],
        [row.tensorflow for row in dtypes.TABLE if row.tensorflow],
        [(row.itemsize, row.layout) for row in dtypes.TABLE if row.layout],
    ):
        assert len(set(facts)) == len(facts)


@ROWS
def test_numpy(row):
    array = one(row)
    assert array.shape == (1,) and array.dtype.itemsize == row.itemsize == len(stored(row))
    value = array[0].tobytes() if row.kind == "V" else array[0].item()
    assert value == KNOWN[row.name][1] and type(value) is type(KNOWN[row.name][1])
    assert dtypes.name_of(array.dtype) == row.name and dtypes.BY_NAME[row.name] is row
    assert dtypes.TABLE[dtypes.CODES[row.name]] is row
    if row.numpy and row.kind != "V":
        assert array.dtype == np.dtype(row.numpy) and array.dtype.kind == row.kind
        turned = np.frombuffer(stored(row)[::-1] if row.kind != "c" else one(row).byteswap().tobytes(), dtype=np.uint8)
        assert turned.view(dtypes.numpy_dtype(row.name, big_endian=True))[0].item() == KNOWN[row.name][1]
    assert row.itemsize > 8 or np.dtype(row.bits).itemsize == row.itemsize


@ROWS
def test_float_layout(row):
    """Sign, exponent and mantissa fill the element, and their numbers are NumPy's."""
    # HDF5 would describe an infinity, or eight bits, where these have none.
    assert (row.layout is not None) == (row.kind == "f" and not row.name.endswith(("fnuz", "e2m1fn")))
    if row.layout is None:
        return
    exponent, mantissa, bias = row.layout
    assert 1 + exponent + mantissa == 8 * row.itemsize
    # 1.5 is an exponent of 0 and the first bit of the mantissa.
    assert int.from_bytes(stored(row), "little") == bias << mantissa | 1 << mantissa - 1


@ROWS
@pytest.mark.parametrize("engine", [None, "h5py"])
def test_hdf5(row, engine, tmp_path):
    """Written natively and through libhdf5; read by both readers, and by h5py."""
    path = tmp_path / "a.weights.h5"
    kio.write(path, {"layers/x/vars/0": one(row)}, engine=engine)
    with kio.open(path) as found:
        same(found.read()["layers/x/vars/0"], row)
    with h5py.File(path) as file:
        dataset = file["layers/x/vars/0"]
        assert dataset[()].tobytes() == stored(row)
        if row.numpy and row.kind != "V":
            assert dataset.dtype == one(row).dtype and dataset[0] == KNOWN[row.name][1]
            assert "dtype" not in dataset.attrs
        else:
            assert dataset.id.get_type().get_class() == h5py.h5t.OPAQUE
            assert dataset.attrs.get("dtype") == (row.name if row.raw else None)
    native = hdf5.open(Source.open(path))
    with hdf5_lib.open(native) as twin:
        assert twin["layers/x/vars/0"].dtype_name == native.tensors["layers/x/vars/0"].dtype_name


@pytest.mark.parametrize("row", [row for row in dtypes.TABLE if row.layout], ids=lambda row: row.name)
@pytest.mark.parametrize("order", ["little", "big"])
def test_hdf5_floats_that_libhdf5_describes(row, order):
    """A float type made bit by bit, as HDF5 2.0 and others do for bfloat16: both readers know it."""
    exponent, mantissa, bias = row.layout
    kind = (h5py.h5t.IEEE_F64LE if order == "little" else h5py.h5t.IEEE_F64BE).copy()
    kind.set_fields(8 * row.itemsize - 1, mantissa, exponent, 0, mantissa)
    kind.set_precision(8 * row.itemsize)
    kind.set_size(row.itemsize)
    kind.set_ebias(bias)
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        made = h5py.h5d.create(file.id, b"x", kind, h5py.h5s.create_simple((1,)))
        data = np.frombuffer(stored(row) if order == "little" else stored(row)[::-1], f"V{row.itemsize}")
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, data, mtype=kind)
    native = hdf5.open(Source.of_bytes(image.getvalue()))
    assert native.tensors["x"].dtype_name == row.name
    assert np.asarray(native.tensors["x"]).astype("f8").tolist() == [1.5]
    with hdf5_lib.open(native) as twin:
        assert twin["x"].dtype_name == row.name


@ROWS
def test_safetensors(row, tmp_path):
    path = tmp_path / "a.safetensors"
    name = KNOWN[row.name][2]
    assert row.safetensors == name
    if name is None:
        with pytest.raises(kio.UnsupportedError, match="safetensors type: expected one of"):
            kio.write(path, {"x": one(row)})
        return
    kio.write(path, {"x": one(row)})
    data = path.read_bytes()
    head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert head["x"]["dtype"] == name and data.endswith(stored(row))
    with kio.open(path) as found:
        same(found.read()["x"], row)


@ROWS
def test_npy(row, tmp_path):
    path = tmp_path / "a.npz"
    if row.numpy is None:
        with pytest.raises(kio.UnsupportedError, match="npy element type: expected one of NumPy's"):
            kio.write(path, {"x": one(row)})
        return
    kio.write(path, {"x": one(row)})
    with np.load(path) as found:
        assert found["x"].dtype == one(row).dtype and found["x"].tobytes() == stored(row)
    with kio.open(path) as found:
        same(found.read()["x"], row)


@pytest.mark.tf
@ROWS
def test_tensorflow(row):
    tf = pytest.importorskip("tensorflow")
    name = KNOWN[row.name][3]
    assert (row.tensorflow is None) == (name is None)
    if name is not None:
        assert tf.dtypes.as_dtype(row.tensorflow).name == name == row.name


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
@pytest.mark.parametrize("row", [row for row in dtypes.TABLE if row.kind == "f"], ids=lambda row: row.name)
def test_variables(row):
    """A live variable takes the bytes and gives them back, where its backend has the type."""
    keras = pytest.importorskip("keras")
    from kio.models.memory import backends
    from kio.models.memory.values import values

    try:
        variable = keras.Variable(np.zeros(1), dtype=row.name, trainable=False)
    except (ValueError, TypeError) as error:
        pytest.skip(f"no such variable: {error}")
    backends.put([variable], [one(row).copy()])
    (value,) = values([variable])
    narrowed = row.wide and keras.backend.backend() == "jax"
    assert value.dtype_name == ("float32" if narrowed else row.name)
    assert value.array().astype("f8").tolist() == [1.5]


def test_raw_bytes_are_what_the_variable_says():
    assert [row.name for row in SMALL if row.itemsize == 2] == ["bfloat16"]
    assert {"float8_e4m3fn", "float8_e5m2", "int4", "float4_e2m1fn"} <= {row.name for row in SMALL}
    assert dtypes.of_raw("opaque2") == dtypes.of_raw("opaque2", "float32") == "bfloat16"
    assert dtypes.of_raw("opaque1", "float8_e5m2") == "float8_e5m2"
    for stored_name, wanted in (
        ("opaque1", ""),
        ("opaque1", "float32"),
        ("opaque1", "int8"),
        ("opaque2", "int16"),
        ("opaque2", "float8_e5m2"),
        ("float32", "float32"),
        ("float16", "bfloat16"),
    ):
        assert dtypes.of_raw(stored_name, wanted) is None


def test_complex_numbers_and_their_halves():
    assert dtypes.COMPLEX_OF == {"float32": "complex64", "float64": "complex128"}
    assert {row.name for row in dtypes.TABLE if row.wide} == {"int64", "uint64", "float64", "complex128"}
