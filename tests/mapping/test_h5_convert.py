"""Other forms of kernels: each against a slow rewriting by hand, and none where a shape forbids it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from kio.mapping.h5.convert import Era, consumed, recipes
from kio.mapping.tree import Leaf, Node, Part

ONE = Era("1.2.2", "tensorflow")
THEANO = Era("2.0.8", "theano")
TWO = Era("2.2.4", "tensorflow")
RNG = np.random.default_rng(5)


def part(cls: str, *shapes: tuple[int, ...], channels_first: bool = False) -> Part:
    node = Node(0, cls, "Layer", cls)
    node.leaves = [Leaf(str(i), f"{cls}/{i}", str(i), s, "float32", object(), node) for i, s in enumerate(shapes)]
    return Part(node, node.leaves, len(shapes), (True,) * len(shapes), (cls,), channels_first)


def made(one: Part, arrays: Sequence[Any], era: Era) -> list[Any] | None:
    rows = recipes(one, one.leaves, [a.shape for a in arrays], era)
    if rows is None:
        return None
    assert consumed(rows) == len(arrays)
    return [arrays[r.which[0]] if r.make is None else r.make([arrays[i] for i in r.which]) for r in rows]


def test_what_fits_is_taken_as_it_is() -> None:
    kernel, bias = RNG.normal(size=(3, 4)), RNG.normal(size=4)
    result = made(part("dense", (3, 4), (4,)), [kernel, bias], ONE)
    assert result is not None and result[0] is kernel and result[1] is bias
    assert made(part("dense", (4, 3), (4,)), [kernel, bias], ONE) is None
    assert made(part("dense", (3, 4), (4,)), [kernel], ONE) is None


def test_theano_convolves() -> None:
    kernel = RNG.normal(size=(3, 2, 4, 5))
    result = made(part("conv2d", (3, 2, 4, 5), (5,)), [kernel, np.zeros(5)], THEANO)
    assert result is not None
    for i in range(3):
        for j in range(2):
            np.testing.assert_array_equal(result[0][i, j], kernel[2 - i, 1 - j])
    assert made(part("conv2d", (3, 2, 4, 5), (5,)), [kernel, np.zeros(5)], TWO)[0] is kernel  # type: ignore[index]
    lines = RNG.normal(size=(3, 4, 5))
    np.testing.assert_array_equal(made(part("conv1d", (3, 4, 5)), [lines], THEANO)[0], lines[::-1])  # type: ignore[index]


def test_theano_ordering_of_keras_1() -> None:
    stored = RNG.normal(size=(5, 4, 3, 2))  # out, in, rows, columns
    result = made(part("conv2d", (3, 2, 4, 5), channels_first=True), [stored], ONE)
    assert result is not None
    for o in range(5):
        for i in range(4):
            np.testing.assert_array_equal(result[0][:, :, i, o], stored[o, i])
    # Square everywhere: only the layer's own ordering tells.
    square = RNG.normal(size=(3, 3, 3, 3))
    assert made(part("conv2d", (3, 3, 3, 3)), [square], ONE)[0] is square  # type: ignore[index]
    turned = made(part("conv2d", (3, 3, 3, 3), channels_first=True), [square], ONE)
    np.testing.assert_array_equal(turned[0], square.transpose(2, 3, 1, 0))  # type: ignore[index]
    both = made(part("conv2d", (3, 2, 4, 5), channels_first=True), [stored], Era("1.2.2", "theano"))
    np.testing.assert_array_equal(both[0], result[0][::-1, ::-1])  # type: ignore[index]


def test_one_dimension_of_keras_1() -> None:
    stored = RNG.normal(size=(3, 1, 4, 5))
    np.testing.assert_array_equal(made(part("conv1d", (3, 4, 5)), [stored], ONE)[0], stored[:, 0])  # type: ignore[index]
    older = RNG.normal(size=(5, 4, 3, 1))
    np.testing.assert_array_equal(made(part("conv1d", (3, 4, 5)), [older], ONE)[0],  # type: ignore[index]
                                  older[..., 0].transpose(2, 1, 0))  # fmt: skip
    assert made(part("conv1d", (3, 4, 5)), [stored], TWO) is None


def test_deconvolutions_of_keras_1() -> None:
    stored = RNG.normal(size=(3, 2, 4, 5))  # rows, columns, in, out
    result = made(part("conv2d_transpose", (3, 2, 5, 4)), [stored], ONE)
    np.testing.assert_array_equal(result[0], np.swapaxes(stored, 2, 3))  # type: ignore[index]


@pytest.mark.parametrize(("cls", "order"), [("lstm_cell", "icfo"), ("gru_cell", "zrh")])
def test_gates_of_keras_1(cls: str, order: str) -> None:
    today = {"lstm_cell": "ifco", "gru_cell": "zrh"}[cls]
    n, units, width = len(order), 2, 3
    shapes = ((width, units), (units, units), (units,))
    gates = {g: [RNG.normal(size=shape) for shape in shapes] for g in order}
    stored = [array for g in order for array in gates[g]]
    result = made(part(cls, (width, n * units), (units, n * units), (n * units,)), stored, ONE)
    assert result is not None
    for kind in range(3):
        for k, gate in enumerate(today):
            np.testing.assert_array_equal(result[kind][..., k * units : (k + 1) * units], gates[gate][kind])


def cudnn_step(kernel: Any, recurrent: Any, n: int) -> tuple[Any, Any]:
    """The matrices that CuDNN multiplies by, gate for gate: it reads its memory row by row, transposed."""
    inputs, states = [], []
    for gate in np.split(kernel, n, axis=1):
        inputs.append(gate.reshape(gate.shape[1], gate.shape[0]).T)
    for gate in np.split(recurrent, n, axis=1):
        states.append(gate.T)
    return np.concatenate(inputs, 1), np.concatenate(states, 1)


@pytest.mark.parametrize(("cls", "n"), [("lstm_cell", 4), ("gru_cell", 3)])
def test_cudnn(cls: str, n: int) -> None:
    units, width = 2, 3
    kernel, recurrent = RNG.normal(size=(width, n * units)), RNG.normal(size=(units, n * units))
    bias = RNG.normal(size=2 * n * units)
    shape = (n * units,) if cls == "lstm_cell" else (2, n * units)
    result = made(part(cls, kernel.shape, recurrent.shape, shape), [kernel, recurrent, bias], TWO)
    assert result is not None
    inputs, states = cudnn_step(kernel, recurrent, n)
    np.testing.assert_array_equal(result[0], inputs)
    np.testing.assert_array_equal(result[1], states)
    if cls == "lstm_cell":
        np.testing.assert_allclose(result[2], bias[: n * units] + bias[n * units :])
    else:
        np.testing.assert_array_equal(result[2], bias.reshape(2, -1))
    # A GRU that resets before has one bias: CuDNN's state does not fit it.
    if cls == "gru_cell":
        assert made(part(cls, kernel.shape, recurrent.shape, (n * units,)), [kernel, recurrent, bias], TWO) is None


def test_conv_lstm_on_theano_turns_both_kernels() -> None:
    kernel, recurrent, bias = RNG.normal(size=(3, 3, 2, 8)), RNG.normal(size=(3, 3, 2, 8)), np.zeros(8)
    result = made(part("conv_lstm_cell", kernel.shape, recurrent.shape, (8,)), [kernel, recurrent, bias], THEANO)
    np.testing.assert_array_equal(result[0], kernel[::-1, ::-1])  # type: ignore[index]
    np.testing.assert_array_equal(result[1], recurrent[::-1, ::-1])  # type: ignore[index]
