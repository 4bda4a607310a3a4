"""Regularizers of activities, whose strength Keras measured in two ways."""

from __future__ import annotations

import re
from typing import Any

import keras
from keras import ops

# Since when Keras 3 divides the penalty of a layer's outputs by the size of the batch.
DIVIDED = (3, 14)


@keras.saving.register_keras_serializable("kio", "ActivityRegularizer")
class ActivityRegularizer(keras.regularizers.Regularizer):  # type: ignore[misc]
    """What a layer's outputs cost, for a sample or for a batch, whatever the installed Keras makes of it.

    tf.keras and Keras 3.14 divide the penalty by the size of the batch; Keras 2.0 to 2.3 and
    Keras 3.0 to 3.13 do not.

    Args:
        regularizer: A regularizer, its name or its configuration.
        mean: Whether the penalty is divided.
    """

    def __init__(self, regularizer: Any, mean: bool) -> None:
        self.regularizer, self.mean = keras.regularizers.get(regularizer), mean

    def __call__(self, x: Any) -> Any:
        penalty = self.regularizer(x)
        divides = tuple(map(int, re.findall(r"\d+", keras.__version__)[:2])) >= DIVIDED
        if self.mean == divides:
            return penalty
        samples = ops.cast(ops.shape(x)[0], keras.backend.standardize_dtype(penalty.dtype))
        return penalty * samples if divides else penalty / ops.maximum(samples, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {"regularizer": keras.regularizers.serialize(self.regularizer), "mean": self.mean}
