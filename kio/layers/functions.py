"""Functions that kept their name in Keras 3 and changed their meaning."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("kio", "hard_sigmoid")  # type: ignore[untyped-decorator, unused-ignore]
def hard_sigmoid(x: Any) -> Any:
    """Keras 1's and 2's: ``clip(0.2 * x + 0.5, 0, 1)``; Keras 3's is ``relu6(x + 3) / 6``.

    Args:
        x: Tensor of floats, any shape.

    Returns:
        Tensor of the same shape.
    """
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


# Keras up to 3.6 saves a function whose name it has, too, as its own.
hard_sigmoid.__name__ = "hard_sigmoid_of_keras_2"
