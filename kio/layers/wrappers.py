"""Wrappers that Keras 3 has under the same name and that train, or treat masks, otherwise."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kio.keras_private import get_keras_mask, set_keras_mask


@keras.saving.register_keras_serializable("kio", "TimeDistributed")
class TimeDistributed(keras.layers.TimeDistributed):  # type: ignore[misc]
    """Keras 2's: all steps of a batch go through the layer at once, as one large batch.

    Keras 3 calls the layer step by step, which for most layers is the same; a normalization
    of batches takes mean and variance of each step then, and moves its averages once a step.
    In a graph of TensorFlow with an unknown number of steps it calls as many as the batch has rows.

    The mask is that of what the layer gives.  Where that has none, a step counts if any part of it does.

    Args:
        layer: What is applied to each step.
        options: As of ``keras.layers.TimeDistributed``.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        batch, steps, *rest = ops.shape(inputs)
        options: dict[str, Any] = {}
        flat = ops.reshape(inputs, (-1, *rest))
        if flat is inputs:
            flat = ops.copy(flat)
        if mask is not None:
            set_keras_mask(flat, ops.reshape(mask, (-1, *ops.shape(mask)[2:])))
        if getattr(self.layer, "_call_has_training_arg", False):
            options["training"] = training
        given = self.layer(flat, **options)
        made = ops.reshape(given, (batch, steps, *ops.shape(given)[1:]))
        found = get_keras_mask(given)
        if found is not None:
            mask = ops.reshape(found, (batch, steps, *ops.shape(found)[1:]))
        elif mask is not None and len(mask.shape) > 2:
            mask = ops.any(mask, axis=tuple(range(2, len(mask.shape))))
        if mask is not None:
            set_keras_mask(made, mask)
        return made

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Nothing: the call says it, which knows what the layer gave."""
