"""TensorFlow's functions where only a call and no model of the corpus tells."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from kio.layers.tf_function import TFFunction  # noqa: E402
from kio.ops import FUNCTIONS, values  # noqa: E402
from kio.ops.arrays import one_hot, pad  # noqa: E402
from kio.ops.shapes import arange  # noqa: E402

pytestmark = pytest.mark.keras


@pytest.mark.parametrize(
    ("given", "dtype", "row"),
    [
        ({}, "float32", [0, 1, 0]),
        ({"on_value": 5}, "int32", [0, 5, 0]),
        ({"on_value": 5, "off_value": 2}, "int32", [2, 5, 2]),
        ({"on_value": 0.5, "off_value": -1}, "float32", [-1, 0.5, -1]),
        ({"on_value": 5, "dtype": "float32"}, "float32", [0, 5, 0]),
    ],
)
def test_one_hot_is_of_the_type_of_its_values(given: dict[str, object], dtype: str, row: list[float]) -> None:
    made = one_hot(keras.ops.convert_to_tensor(np.array([1])), 3, **given)
    assert keras.backend.standardize_dtype(made.dtype) == dtype
    assert keras.ops.convert_to_numpy(made).tolist() == [row]


def test_no_function_takes_arguments_that_it_does_not_know() -> None:
    for name, row in FUNCTIONS.items():
        kinds = {parameter.kind for parameter in inspect.signature(row.run).parameters.values()}
        assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD}, name


def test_a_shape_is_not_found_without_the_arguments_that_nobody_knows() -> None:
    x = keras.KerasTensor((2, 4, 4, 1))
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        TFFunction("image.resize")(x, size=[2, 2], z=1)


def test_a_range_of_fractions_is_refused() -> None:
    assert keras.ops.convert_to_numpy(arange(1, 7, 2)).tolist() == [1, 3, 5]
    with pytest.raises(ValueError, match=r"expected whole numbers, found 0\.5"):
        arange(0.5, 3.0, 0.5)


@pytest.mark.tf
def test_time_distributed_has_all_steps_in_a_graph_that_does_not_know_them() -> None:
    if keras.config.backend() != "tensorflow":
        pytest.skip("only TensorFlow has shapes that are not known")
    import tensorflow as tf

    from kio.layers import TimeDistributed

    x = keras.Input((None, 3))
    model = keras.Model(x, TimeDistributed(keras.layers.Dense(2))(x))
    data = np.ones((1, 4, 3), "float32")
    graph = tf.function(model, input_signature=[tf.TensorSpec((None, None, 3))])
    np.testing.assert_allclose(graph(data), model(data), rtol=1e-6)


def test_shapes_that_are_computed_inside_a_compiled_step() -> None:
    if keras.config.backend() == "torch":
        pytest.skip("torch compiles nothing here")
    x = keras.Input((4,), batch_size=2)
    shape = TFFunction("shape")(x)
    longer = TFFunction("concat")([shape, [1]], axis=0)
    model = keras.Model(x, TFFunction("reshape")(x, shape=longer))
    data = np.arange(8, dtype="float32").reshape(2, 4)
    assert model.predict(data, batch_size=2, verbose=0).tolist() == data[..., None].tolist()


@pytest.mark.tf
@pytest.mark.parametrize("mode", ["SYMMETRIC", "REFLECT"])
@pytest.mark.parametrize("before", [0, 1, 3, 4, 5])
@pytest.mark.parametrize("after", [0, 2, 4, 5])
def test_padding_in_a_graph_that_does_not_know_its_sizes(before: int, after: int, mode: str) -> None:
    if keras.config.backend() != "tensorflow":
        pytest.skip("only TensorFlow has shapes that are not known")
    import tensorflow as tf

    x, paddings = np.arange(24, dtype="float32").reshape(2, 4, 3), [[0, 0], [before, after], [0, 2]]
    for known in ((None, None, None), (None, None, 3), (2, 4, 3)):

        def padded(tensor: object) -> object:
            return pad(tensor, paddings, mode)

        if max(before, after) > (4 if mode == "SYMMETRIC" else 3):
            with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
                tf.function(padded, input_signature=[tf.TensorSpec(known)])(x)
        else:
            made = tf.function(padded, input_signature=[tf.TensorSpec(known)])(x)
            np.testing.assert_array_equal(made, tf.pad(x, paddings, mode))


@pytest.mark.parametrize("paddings", [[[0, 0], [5, 0]], [[0, 0], [0, 4]], [[-1, 0], [0, 0]]])
def test_padding_that_hangs_over_is_refused(paddings: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"tf\.pad: expected at most"):
        pad(keras.ops.ones((2, 4)), paddings, "REFLECT")


def test_sizes_that_have_no_numbers_yet() -> None:
    """What each backend raises for them is known by kind: anything else is an error that must be seen."""
    for value in (keras.ops.convert_to_tensor([2, 3]), np.asarray([2, 3]), [2, np.int64(3)], (2, 3)):
        assert values.sizes(value) == [2, 3]
    model = keras.Model(
        x := keras.Input((4,)),
        TFFunction("reshape")(x, shape=[TFFunction("shape")(x)[0], 2, 2]),
    )
    data = np.arange(12, dtype="float32").reshape(3, 4)
    assert keras.ops.convert_to_numpy(model(data)).tolist() == data.reshape(3, 2, 2).tolist()
