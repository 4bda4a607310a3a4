"""Every row of ``kio.ops`` gives what TensorFlow gave: ``make.py`` asked it, for each of ``cases``."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from kio.errors import CorruptError, UnsupportedError  # noqa: E402
from kio.ops import FUNCTIONS, NODES, Row, node  # noqa: E402
from kio.ops.stock import Arguments  # noqa: E402
from kio.ops.table import row  # noqa: E402
from tests.ops.cases import CASES, Case  # noqa: E402
from tests.ops.make import EXPECTED  # noqa: E402
from tests.ops.running import is_node, of_kio, of_stock  # noqa: E402

pytestmark = pytest.mark.keras
ROWS = list({id(each): each for each in [*FUNCTIONS.values(), *NODES.values()]}.values())


def names_of(each: Row) -> tuple[str, ...]:
    return each.names + tuple(text.partition("(")[0] for text in each.nodes)


def test_every_row_and_every_node_has_a_case() -> None:
    named = {each.name for each in CASES}
    assert not [names_of(each) for each in ROWS if not named & set(names_of(each))]
    assert sorted(NODES.keys() - named) == []
    assert sorted(named - FUNCTIONS.keys() - NODES.keys()) == []


def test_a_name_has_one_row() -> None:
    for names, nodes in (("math.add", ()), ("", ("AddV2(x, y)",))):
        with pytest.raises(ValueError, match="expected one row of the name, found two"):
            row(names, *nodes)(lambda x, y: x)
    assert sum(len(each.names) for each in ROWS) == len(FUNCTIONS)
    assert sum(len(each.nodes) for each in ROWS) == len(NODES)


def test_what_rows_say_is_what_their_functions_take() -> None:
    for each in ROWS:
        assert each.computed <= each.parameters.keys(), names_of(each)
        for op in (text.partition("(")[0] for text in each.nodes):
            said = node(op)
            known = {*said.inputs, *said.attributes.values(), *said.defaults}
            assert known <= each.parameters.keys(), op


def test_every_operation_of_keras_that_is_named_exists() -> None:
    given = {"shape": [1], "axis": 0, "indices": 1, "depth": 2, "perm": [0], "multiples": [1], "paddings": [[0, 0]],
             "num_or_size_splits": 2, "size": [2, 2], "clip_value_min": 0, "clip_value_max": 1,
             "repeats": 2, "shift": 1, "dtype": "float32", "slice_spec": 0, "inputs": [1], "y": 1}  # fmt: skip
    for each in ROWS:
        # What the table says of one_hot depends on the backend.
        if each.stock is not None and each.names != ("one_hot",):
            module, cls, *_ = each.stock(Arguments(each.names[0], "ab,bc->ac", dict(given)))
            assert hasattr(importlib.import_module(module), cls), each.names


@pytest.fixture(scope="module")
def expected() -> Any:
    with np.load(EXPECTED) as archive:
        return dict(archive)


# Zeros divide and 64 bits become 32, here as there.
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:Explicitly requested dtype")
@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{i}-{each.name}" for i, each in enumerate(CASES)])
def test_numbers_are_those_of_tensorflow(number: int, expected: Any) -> None:
    case = CASES[number]
    wanted = [expected[key] for j in range(9) if (key := f"{number}-{j}") in expected]
    assert wanted, "run python -m tests.ops.make"
    found = of_kio(case)
    # TensorFlow's fused normalization hands on what only its gradient needs.
    assert len(found) == len(wanted) or (case.name.startswith("FusedBatchNorm") and len(found) == 3)
    for one, other in zip(found, wanted, strict=False):
        assert one.shape == other.shape
        assert one.dtype.kind == other.dtype.kind, f"{one.dtype}, TensorFlow: {other.dtype}"
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


# Keras's mean of whole numbers is a fraction; a configuration does not say what the numbers are.
APART = {("math.reduce_mean", "int32")}
STOCK = [i for i, each in enumerate(CASES) if not is_node(each.name) and FUNCTIONS[each.name].stock is not None]


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:Explicitly requested dtype", "ignore:The use of `x.T`")
@pytest.mark.parametrize("number", STOCK, ids=[f"{i}-{CASES[i].name}" for i in STOCK])
def test_keras_s_own_operation_gives_the_same(number: int, expected: Any) -> None:
    case = CASES[number]
    found = of_stock(case)
    if found is None:
        pytest.skip("Keras's operation means something else: kio's own stands for the call")
    wanted = [expected[key] for j in range(9) if (key := f"{number}-{j}") in expected]
    assert len(found) == len(wanted)
    apart = (case.name, str(getattr(case.args[0], "dtype", ""))) in APART
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        equal = np.allclose(one, other, rtol=2e-5, atol=2e-6, equal_nan=True) and one.dtype.kind == other.dtype.kind
        assert equal is not apart


# Torch warns of what Keras calls.  On NumPy a symbolic call computes on memory that nobody has written, and Keras's
# logsumexp takes no list of axes.
@pytest.mark.filterwarnings("ignore:(?s).*x.T:UserWarning")
@pytest.mark.skipif(keras.config.backend() == "numpy", reason="NumPy computes symbolic calls")
def test_what_keras_s_operation_would_do_otherwise_is_refused() -> None:
    refused = {CASES[i].name for i in STOCK if of_stock(CASES[i]) is None}
    assert {"clip_by_value", "repeat", "pad", "math.cumsum", "nn.silu", "split", "image.resize"} <= refused
    assert not {"math.exp", "math.multiply", "math.reduce_sum", "reshape", "transpose"} & refused


# ------------------------------------------------------------------ where kio and TensorFlow were apart


def run(name: str, *args: Any, **kwargs: Any) -> Any:
    return of_kio(Case(name, args, kwargs))[0].tolist()


def test_saturated_bytes_reach_their_largest() -> None:
    x = np.array([-1e10, 254.2, 300.0, 1e10], "float32")
    assert run("dtypes.saturate_cast", x, dtype="uint8") == [0, 254, 255, 255]
    assert run("dtypes.saturate_cast", x, dtype="int16") == [-32768, 254, 300, 32767]


def test_the_mean_of_whole_numbers_is_cut_off() -> None:
    x = np.array([[-7, 4], [7, -4]], "int32")
    assert run("Mean", x, np.array(1, "int32")) == [-1, 1]
    assert run("math.reduce_mean", x, axis=-1, keepdims=True) == [[-1], [1]]


def test_no_axis_at_all_leaves_a_tensor_as_it_is() -> None:
    x = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    for name in ("Sum", "Mean", "Max", "Prod", "EuclideanNorm"):
        assert run(name, x, np.array([], "int32")) == x.tolist()


def test_the_lower_bound_holds_where_two_cross() -> None:
    assert run("clip_by_value", np.array([-5.0, 0.0, 5.0], "float32"), 3.0, -3.0) == [3.0, 3.0, 3.0]


def test_hot_numbers_have_the_type_of_their_values() -> None:
    x = np.array([-1, 0, 2], "int32")
    assert of_kio(Case("OneHot", (x, 3, np.int32(5), np.int32(-1)), {}))[0].dtype == "int32"
    assert run("OneHot", x, 3, np.int32(5), np.int32(-1)) == [[-1, -1, -1], [5, -1, -1], [-1, -1, 5]]


def test_parts_that_are_repeated_a_number_of_times_each() -> None:
    assert run("repeat", np.array([[1, 2], [3, 4]], "int32"), [1, 2], axis=0) == [[1, 2], [3, 4], [3, 4]]


def test_the_first_tensorflow_resized_by_corners() -> None:
    x = np.arange(4, dtype="float32").reshape(1, 1, 4, 1)
    assert np.ravel(run("compat.v1.image.resize", x, [1, 6], 1)).tolist() == [0, 0, 1, 2, 2, 3]
    assert np.ravel(run("image.resize", x, [1, 6], "nearest")).tolist() == [0, 1, 1, 2, 3, 3]
    found = np.ravel(run("compat.v1.image.resize", x, [1, 8]))
    np.testing.assert_allclose(found, [0, 0.5, 1, 1.5, 2, 2.5, 3, 3])
    half = np.ravel(run("image.resize", x, [1, 8]))
    np.testing.assert_allclose(half, [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])


def test_halves_between_corners_go_up() -> None:
    x = np.arange(4, dtype="float32").reshape(1, 1, 4, 1)
    found = run("ResizeNearestNeighbor", x, [1, 7], align_corners=True)
    assert np.ravel(found).tolist() == [0, 1, 1, 2, 2, 3, 3]


def test_inputs_and_attributes_of_nodes_are_bound_by_name() -> None:
    assert node("ConcatV2").bind([1, 2, 3], {"N": 2}) == {"values": [1, 2], "axis": 3}
    split = {"axis": 0, "value": "x", "num_or_size_splits": 2}
    assert node("Split").bind([0, "x"], {"num_split": 2, "T": "f"}) == split
    assert node("FusedBatchNormV3").bind(list("abcde"), {"epsilon": 0.5})["epsilon"] == 0.5
    assert node("FusedBatchNormV3").bind(list("abcde"), {})["epsilon"] == 1e-4
    with pytest.raises(CorruptError, match="inputs of a Neg: expected 1 to 1, found 2"):
        node("Neg").bind([1, 2], {})
    with pytest.raises(CorruptError, match="inputs of a ConcatV2: expected at least 2, found 1"):
        node("ConcatV2").bind([1], {})
    with pytest.raises(UnsupportedError, match="fast of a MatMul: expected no such attribute"):
        node("MatMul").bind([1, 2], {"fast": True})


def test_constants_are_told_from_tensors() -> None:
    assert NODES["Transpose"].constants == {"perm"}
    assert NODES["Reshape"].constants == set()
    assert NODES["Reshape"].computed == {"shape"}
    assert is_node("AddV2")
    assert not is_node("math.add")
