"""The shapes of model that are measured, and the model that has each shape.

Every size is that of the *file*: with Adam state a third of it is the model and two
thirds are the optimizer's two slots; without, all of it is the model.
"""

import math
from dataclasses import dataclass
from typing import Any

# format: file name.  All of them hold the same variables of one model.
FILES = {
    "keras": "model.keras",
    "h5": "model.weights.h5",
    "legacy": "model.h5",  # whole model in HDF5, as model.save("x.h5") has written since Keras 1
    "gzip": "gzip.weights.h5",  # chunked, shuffled, deflated; as a user of h5py would write it
    "safetensors": "tensors.safetensors",
    "torch": "tensors.pt",
}


@dataclass(frozen=True)
class Shape:
    """``nbytes`` of fp32 in ``nvariables`` variables of the model; or, where ``nbytes`` is 0,
    ``nvariables`` kernels of 16x16 in the file."""

    name: str
    nvariables: int
    nbytes: int = 0
    adam: bool = True
    formats: tuple[str, ...] = ("keras", "h5")

    @staticmethod
    def of(fields: dict[str, Any]) -> "Shape":
        """The shape whose dataclasses.asdict, through JSON, is given."""
        return Shape(**{**fields, "formats": tuple(fields["formats"])})

    @property
    def share(self) -> int:
        return 3 if self.adam else 1


# large: 1 GB in 100 variables of the model (302 in the file with Adam's slots and two scalars).
# small, index: 12,000 and 20,000 variables in the file, the two scalars aside.
# plain, layers: what load_weights takes from a legacy file, which is the model's weights only.
def full(adam: bool) -> dict[str, Shape]:
    return _by_name(
        Shape("large", 100, 1_000_000_000, adam, ("keras", "h5", "legacy", "safetensors", "torch")),
        Shape("small", 12_000, adam=adam),
        Shape("index", 20_000, adam=adam, formats=("h5",)),
        Shape("gzip", 100, 256_000_000, False, ("gzip",)),
        Shape("plain", 100, 1_000_000_000, False, ("legacy",)),
        Shape("layers", 12_000, adam=False, formats=("legacy",)),
    )


def quick(adam: bool) -> dict[str, Shape]:
    return _by_name(
        Shape("large", 20, 24_000_000, adam, ("keras", "h5", "legacy", "safetensors", "torch")),
        Shape("small", 300, adam=adam),
        Shape("index", 600, adam=adam, formats=("h5",)),
        Shape("gzip", 20, 8_000_000, False, ("gzip",)),
        Shape("plain", 20, 24_000_000, False, ("legacy",)),
        Shape("layers", 300, adam=False, formats=("legacy",)),
    )


def _by_name(*shapes: Shape) -> dict[str, Shape]:
    # tiny: what each contender does once before it is timed (see sample.py).
    tiny = Shape("tiny", 4, 64_000, formats=tuple(FILES))
    return {shape.name: shape for shape in (*shapes, tiny)}


def build(shape: Shape) -> Any:
    """Build and compile the model with stock Keras; the optimizer's slots exist afterwards."""
    import keras

    model = _large(shape) if shape.nbytes else _small(shape)
    if shape.adam:
        # Stock Keras cannot load a legacy file of its own that names the loss by a string.
        model.compile(optimizer="adam", loss=keras.losses.MeanSquaredError())
        model.optimizer.build(model.trainable_variables)
    return model


def _large(shape: Shape) -> Any:
    """Pairs of Dense d -> 4d -> d, as in a transformer's feed-forward blocks."""
    import keras

    nblocks = shape.nvariables // 4
    # A block is two kernels of 4 d x d and two biases, in 4-byte elements.
    width = math.isqrt(shape.nbytes // shape.share // (nblocks * 8 * 4))
    width -= width % 8
    inputs = keras.Input((width,))
    outputs = inputs
    for _ in range(nblocks):
        outputs = keras.layers.Dense(4 * width, activation="relu")(outputs)
        outputs = keras.layers.Dense(width)(outputs)
    return keras.Model(inputs, outputs)


def _small(shape: Shape) -> Any:
    """Kernels of 16x16 in side-by-side chains: Keras walks a graph recursively, so one chain
    of thousands of layers would be too deep for it."""
    import keras

    nkernels = shape.nvariables // shape.share
    inputs = keras.Input((16,))
    chains = []
    for first in range(0, nkernels, 100):
        outputs = inputs
        for _ in range(first, min(first + 100, nkernels)):
            outputs = keras.layers.Dense(16, use_bias=False)(outputs)
        chains.append(outputs)
    return keras.Model(inputs, keras.layers.Add()(chains) if len(chains) > 1 else chains[0])


def variables(model: Any) -> list[Any]:
    """Every variable that a file holds, in an order that does not depend on names."""
    optimizer = getattr(model, "optimizer", None)
    return [*model.weights, *(optimizer.variables if optimizer is not None else [])]


def values(model: Any) -> list[Any]:
    """The same as numpy arrays, without a copy where the backend allows it."""
    import keras
    import numpy as np

    if keras.backend.backend() == "torch":
        return [variable.value.detach().cpu().numpy() for variable in variables(model)]
    return [np.asarray(variable.value) for variable in variables(model)]
