"""CuDNNLSTM and CuDNNGRU: what LSTM and GRU make of the weights of layers that had CuDNN's layout.

| stored           | LSTM, GRU have it                                                    |
|------------------|----------------------------------------------------------------------|
| kernel           | gate by gate transposed, the numbers then in the shape of before     |
| recurrent kernel | gate by gate transposed                                              |
| biases, in a row | LSTM: the sum of the two; GRU that resets after: one row each        |

The layers had no cells: files that go by paths have the weights one step higher.

Spec: ``_convert_rnn_weights`` of Keras 2.0 to 2.3 and of tf.keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Make = Callable[[Sequence[Array]], Array]
Shape = tuple[int, ...]


def _by_gate(n: int, change: Callable[[Array], Array]) -> Make:
    def make(arrays: Sequence[Array]) -> Array:
        # Gate by gate: a whole kernel is in memory twice, not three times.
        made = np.empty_like(arrays[0], order="C")
        for gate, place in zip(np.split(arrays[0], n, axis=1), np.split(made, n, axis=1), strict=True):
            place[...] = change(gate)
        return made

    return make


def _input_kernel(gate: Array) -> Array:
    # CuDNN wants it transposed, and its Keras layer kept those numbers in the untransposed shape.
    return gate.T.reshape(gate.shape, order="F")


def _transposed(gate: Array) -> Array:
    return gate.T


def _summed(arrays: Sequence[Array]) -> Array:
    first, second = np.split(arrays[0], 2)
    return np.asarray(first + second)


def _two_rows(arrays: Sequence[Array]) -> Array:
    return arrays[0].reshape(2, -1)


@dataclass(frozen=True, slots=True)
class Layout:
    """How CuDNN's layer kept what one cell has.

    Attributes:
        what: The layer's class.
        was: Its name in paths.
        is_: The name of today's layer there.
        gates: Number of gates.
        makes: Stored array, alone in a list, to the cell's: kernel, recurrent kernel, bias.
    """

    what: str
    was: str
    is_: str
    gates: int
    makes: tuple[Make, Make, Make]

    def fits(self, shapes: Sequence[Shape]) -> bool:
        """Whether kernel, recurrent kernel and bias have such a layer's shapes, which no other layer's have."""
        kernel, recurrent, bias = shapes
        if len(kernel) != 2 or len(recurrent) != 2:
            return False
        columns = self.gates * recurrent[0]
        return kernel[1] == recurrent[1] == columns and bias == (2 * columns,)

    def today(self, shape: Shape) -> Shape:
        """The shape that the cell has where this one is stored."""
        if len(shape) != 1:
            return shape
        return (2, shape[0] // 2) if self.gates == 3 else (shape[0] // 2,)


CELLS: Mapping[str, Layout] = {
    "lstm_cell": Layout(
        "CuDNNLSTM", "cu_dnnlstm", "lstm", 4, (_by_gate(4, _input_kernel), _by_gate(4, _transposed), _summed)
    ),
    "gru_cell": Layout(
        "CuDNNGRU", "cu_dnngru", "gru", 3, (_by_gate(3, _input_kernel), _by_gate(3, _transposed), _two_rows)
    ),
}


def places(layout: Layout, path: str) -> list[str]:
    """Where a file may have what a cell finds at a path today: there, at the layer, at the layer by its old name."""
    owner = path.removesuffix("/cell")
    head, slash, last = owner.rpartition("/")
    name, number = (last, "") if not last.rpartition("_")[2].isdigit() else last.rsplit("_", 1)
    found = [path, owner]
    if name == layout.is_:
        found.append(head + slash + layout.was + ("_" + number if number else ""))
    return found
