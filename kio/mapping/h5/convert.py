"""Values that mean the same but were stored otherwise: kernels of Keras 1, of Theano, of CuDNN.

| stored by              | for                        | becomes                                            |
|------------------------|----------------------------|----------------------------------------------------|
| Keras 1                | Conv1D                     | without the axis of length one                     |
| Keras 1, th ordering   | Conv2D, Conv3D, ConvLSTM2D | out, in, rows, cols → rows, cols, in, out          |
| Keras 1                | Deconvolution2D            | in and out exchanged                               |
| Keras 1                | LSTM, ConvLSTM2D, GRU      | one array a gate → one array; i c f o → i f c o    |
| Keras to 1.0.5         | BatchNormalization         | (deviation + epsilon)² - epsilon: was no variance  |
| any Keras on Theano    | convolutions               | kernels turned by 180°: Theano convolves           |
| CuDNNLSTM, CuDNNGRU    | LSTM, GRU                  | gates' kernels re-laid, LSTM's two biases added up |

Whether an entry applies is decided from shapes and the file's own marks before anything is
read; the arrays are converted after the read.  Kernels of depthwise and separable convolutions
are not turned: for those Keras turned them itself, each time it computed.

Spec: ``preprocess_weights_for_loading`` and ``_convert_rnn_weights`` of Keras 2.0 to 2.3 and
of tf.keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from kio.mapping import cudnn
from kio.mapping.cudnn import Array, Make
from kio.mapping.tree import Leaf, Part


@dataclass(frozen=True, slots=True)
class Era:
    """The marks of a legacy file that decide about conversions.

    Attributes:
        version: ``keras_version`` as stored, None where there is none: Keras 1 and before.
        backend: ``backend`` as stored, or None.
        counted: Keras 0.x: weights are known by number only, each layer's together.
        whole: Whether the model is in the file, too.
        running_std: Whether what normalizations kept is called so, as in Keras 1 only.
    """

    version: str | None = None
    backend: str | None = None
    counted: bool = False
    whole: bool = False
    running_std: bool = False

    @property
    def deviations(self) -> bool:
        """Whether normalizations kept a deviation: until 1.0.5, and 1.0.6 on Theano.

        Whole models have had a version since 1.0.7; weights alone of Keras 1 never had one.
        """
        return self.counted or (self.whole and self.running_std and self.version is None)

    @property
    def keras1(self) -> bool:
        return self.version is None or self.version.startswith(("0.", "1."))

    @property
    def sorts(self) -> bool:
        """Whether optimizers went through the weights by name: until 2.0.5."""
        return self.keras1 or self.version in ("2.0.0", "2.0.1", "2.0.2", "2.0.3", "2.0.4", "2.0.5")

    @property
    def theano(self) -> bool:
        return self.backend == "theano"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one variable is made from stored tensors.

    Attributes:
        which: Indices of the tensors at hand that it takes.
        make: Arrays to array; None: the only tensor as it is.
        what: For people.
    """

    which: tuple[int, ...]
    make: Make | None = None
    what: str = ""


def recipes(part: Part, leaves: Sequence[Leaf], shapes: Sequence[tuple[int, ...]], era: Era) -> list[Recipe] | None:
    """How the next stored tensors become the variables of one part, one recipe a variable.

    Args:
        part: Who owns the variables.
        leaves: The variables, in order; all of the part's, or those of one phase.
        shapes: Of all tensors that are left, in the order of the file.
        era: Marks of the file.

    Returns:
        Recipes for ``leaves``, together consuming the first tensors; None if nothing fits.
    """
    for rows in _candidates(part, leaves, shapes, era):
        if all(_fits(recipe, leaf, shapes) for recipe, leaf in zip(rows, leaves, strict=True)):
            return rows
    return None


def turns(part: Part, leaves: Sequence[Leaf]) -> bool:
    """Whether some of the variables are kernels that Theano would have turned."""
    if part.node.cls not in _CONVOLUTIONS and part.node.cls != "conv_lstm_cell":
        return False
    # A kernel of one place is the same turned.
    return any(len(leaf.shape) > 2 and prod(leaf.shape[:-2]) > 1 for leaf in leaves)


def consumed(rows: Sequence[Recipe]) -> int:
    """How many tensors recipes take from the front."""
    return sum(len(row.which) for row in rows)


def _fits(recipe: Recipe, leaf: Leaf, shapes: Sequence[tuple[int, ...]]) -> bool:
    given = [shapes[i] for i in recipe.which]
    if recipe.make is None:
        return given[0] == leaf.shape
    # What the model asks for bounds what the trial takes: a byte an element.  Adding up
    # two biases halves them.
    if sum(map(prod, given)) not in (prod(leaf.shape), 2 * prod(leaf.shape)):
        return False
    try:
        made = recipe.make([np.broadcast_to(np.uint8(0), shape) for shape in given])
    except (ValueError, IndexError):
        return False
    return made.shape == leaf.shape


def _candidates(part: Part, leaves: Sequence[Leaf], shapes: Sequence[tuple[int, ...]], era: Era) -> list[list[Recipe]]:
    """Possible ways, the likeliest first."""
    cls, n, found = part.node.cls, len(leaves), []
    plain = [Recipe((i,)) for i in range(n)] if n <= len(shapes) else None
    if cls in _CONVOLUTIONS and plain:
        moves = _kernel_moves(cls, part.channels_first) if era.keras1 else []
        for what, make in [*moves, ("", None)]:
            rows = [Recipe((0,), make, what), *plain[1:]]
            found.append([_turned(rows[0]), *plain[1:]] if era.theano else rows)
        return found
    if era.counted and plain and n == len(_KERAS_0.get(cls, ())):
        return [[Recipe((i,)) for i in _KERAS_0[cls]]]
    if cls == "batch_normalization" and plain and era.deviations:
        return [[_variance(part, i) if leaf.name == VARIANCE else plain[i] for i, leaf in enumerate(leaves)]]
    if cls == "conv_lstm_cell" and plain and era.theano:
        found.append([_turned(row) for row in plain[:2]] + plain[2:])
    elif plain:
        found.append(plain)
    gates = _GATES.get(cls)
    if gates and n == 3:
        k = 3 * len(gates)
        if len(shapes) >= k:
            found += _gathered(cls, gates, part.channels_first, era)
        if cls in cudnn.CELLS and len(shapes) >= 3:
            layout = cudnn.CELLS[cls]
            found.append([Recipe((i,), make, layout.what) for i, make in enumerate(layout.makes)])
    return found


# ------------------------------------------------------------------------ convolutions

_CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d", "conv2d_transpose", "conv3d_transpose"})


def _axes(*order: int) -> Make:
    return lambda arrays: np.transpose(arrays[0], order)


def _squeezed(*order: int) -> Make:
    def make(arrays: Sequence[Array]) -> Array:
        kernel = np.transpose(arrays[0], order)
        if kernel.shape[1] != 1:
            raise ValueError("not a kernel of a Conv1D")
        return kernel[:, 0]

    return make


def _kernel_moves(cls: str, channels_first: bool) -> list[tuple[str, Make | None]]:
    """Layouts of Keras 1's kernels, by class; the last resort is the modern one."""
    name = "kernel of Keras 1"
    if cls == "conv1d":
        # (length, 1, in, out); before 1.1 (out, in, length, 1)
        return [(name, _squeezed(0, 1, 2, 3)), (name, _squeezed(2, 3, 1, 0))]
    if cls == "conv2d" and channels_first:
        return [(name, _axes(2, 3, 1, 0))]
    if cls == "conv3d" and channels_first:
        return [(name, _axes(2, 3, 4, 1, 0))]
    if cls == "conv2d_transpose":
        return [(name, _axes(2, 3, 0, 1) if channels_first else _axes(0, 1, 3, 2))]
    return []


def _turned(recipe: Recipe) -> Recipe:
    """The recipe, then the kernel turned in all its spatial axes."""
    inner = recipe.make

    def make(arrays: Sequence[Array]) -> Array:
        kernel = arrays[0] if inner is None else inner(arrays)
        return kernel[(slice(None, None, -1),) * (kernel.ndim - 2)]

    return Recipe(recipe.which, make, " and ".join(filter(None, [recipe.what, "Theano's convolution"])))


# ------------------------------------------------------------------------ Keras 0.x and 1.0

# Where Keras 0.x stored each variable of layers that it had otherwise.
_KERAS_0 = {"highway": (0, 2, 1, 3)}

VARIANCE = "moving_variance"


def _variance(part: Part, i: int) -> Recipe:
    # They divided by deviation + epsilon; today by the root of variance + epsilon.
    return Recipe((i,), lambda arrays: _squared(arrays[0], part.epsilon), "deviation of Keras before 1.0.6")


def _squared(deviation: Array, epsilon: float) -> Array:
    wide = deviation.astype("float64") + epsilon
    return np.asarray(wide * wide - epsilon, dtype=deviation.dtype)


# ----------------------------------------------------------------------------- recurrent

# Where Keras 1 stored each gate (kernel, recurrent kernel, bias in turn), in today's order.
_GATES = {"lstm_cell": (0, 2, 1, 3), "conv_lstm_cell": (0, 2, 1, 3), "gru_cell": (0, 1, 2)}


def _gathered(cls: str, gates: tuple[int, ...], channels_first: bool, era: Era) -> list[list[Recipe]]:
    """One array a gate, joined along the last axis."""
    what = "gates of Keras 1"

    def joined(order: tuple[int, ...] | None) -> Make:
        return lambda arrays: np.concatenate([a if order is None else np.transpose(a, order) for a in arrays], -1)

    order = (2, 3, 1, 0) if cls == "conv_lstm_cell" and channels_first else None
    rows = [
        Recipe(tuple(3 * gate + kind for gate in gates), joined(order if kind < 2 else None), what) for kind in range(3)
    ]
    if cls == "conv_lstm_cell" and era.theano:
        rows = [_turned(row) for row in rows[:2]] + rows[2:]
    return [rows]
