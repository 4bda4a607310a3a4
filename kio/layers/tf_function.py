"""TensorFlow functions that no operation of Keras 3 stands for, as one layer.

A functional model of tf.keras holds calls like ``tf.math.squared_difference`` in the place
of layers.  ``TFFunction`` is such a call: its name must be in the table of ``kio.ops``, whose
rows are written in ``keras.ops`` with the arguments that TensorFlow has, so that they run on
every backend.  Nothing is looked up by name anywhere else.

Files name this module and this class: both stay where they are.
"""

from __future__ import annotations

import inspect
from typing import Any

import keras
from keras import ops

from kio.keras_private import compute_output_spec
from kio.ops import FUNCTIONS
from kio.ops.table import IDLE
from kio.ops.values import flatten, is_tensor, pack

# They give the very tensor that they take, if there is nothing to do.
_AS_IT_IS = frozenset({"convert_to_tensor", "cast", "compat.v1.cast"})


@keras.saving.register_keras_serializable("kio", "TFFunction")
class TFFunction(keras.Operation):  # type: ignore[misc]
    """A call of a TensorFlow function.

    Args:
        function: Its name without ``tf.``; one of ``kio.ops.FUNCTIONS``.

    Raises:
        ValueError: for any other name.
    """

    def __init__(self, function: str, name: str | None = None) -> None:
        super().__init__(name=name)
        if function not in FUNCTIONS:
            raise ValueError(f"TFFunction: expected a function that kio has, found {str(function)[:80]!r}")
        self.function = function

    def call(self, *args: Any, **kwargs: Any) -> Any:
        given = {key: value for key, value in kwargs.items() if key not in IDLE and value is not None}
        made = FUNCTIONS[self.function].run(*args, **given)
        if self.function in _AS_IT_IS or not any(made is each for each in flatten((args, given))):
            return made
        # TensorFlow made a new tensor, without the mask of the one that came in.
        return ops.copy(made) if is_tensor(made) else made

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        known = _static(self.function, args, kwargs)
        if known is not None:
            return known
        # JAX would trace constants as well, and nobody could look at their numbers.
        flat = flatten((args, kwargs))
        places = [i for i, value in enumerate(flat) if isinstance(value, keras.KerasTensor)]

        def run(*tensors: Any) -> Any:
            values = list(flat)
            for i, value in zip(places, tensors, strict=True):
                values[i] = value
            args_, kwargs_ = pack((args, kwargs), values)
            return self.call(*args_, **kwargs_)

        return compute_output_spec(run, *(_dense(flat[i]) for i in places))

    def get_config(self) -> dict[str, Any]:
        return {"function": self.function, "name": self.name}


def _dense(value: Any) -> Any:
    """Keras takes products with a constant for sparse, which TensorFlow's functions here never are."""
    return keras.KerasTensor(value.shape, value.dtype)


def _static(function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The outputs of functions whose shape hangs on values, which a symbolic call must not look at; else None.

    Keras's numpy backend finds shapes by running the function on memory that holds anything.
    """
    spec = FUNCTIONS[function].spec
    if spec is None:
        return None
    given = {key: value for key, value in kwargs.items() if key not in IDLE and value is not None}
    # What the function does not know must not be lost on the way to its shape.
    inspect.signature(FUNCTIONS[function].run).bind(*args, **given)
    return spec(*args, **given)
