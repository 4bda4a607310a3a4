"""Wrappers that Keras 3 has under the same name and that train otherwise."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("kio", "TimeDistributed")
class TimeDistributed(keras.layers.TimeDistributed):  # type: ignore[misc]
    """Keras 2's: all steps of a batch go through the layer at once, as one large batch.

    Keras 3 calls the layer step by step, which for most layers is the same; a normalization
    of batches takes mean and variance of each step then, and moves its averages once a step.
    In a graph of TensorFlow with an unknown number of steps it calls as many as the batch has rows.

    Args:
        layer: What is applied to each step.
        options: As of ``keras.layers.TimeDistributed``.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        batch, steps, *rest = ops.shape(inputs)
        options: dict[str, Any] = {}
        if mask is not None and getattr(self.layer, "_call_has_mask_arg", False):
            options["mask"] = ops.reshape(mask, (-1, *ops.shape(mask)[2:]))
        if getattr(self.layer, "_call_has_training_arg", False):
            options["training"] = training
        made = self.layer(ops.reshape(inputs, (-1, *rest)), **options)
        return ops.reshape(made, (batch, steps, *ops.shape(made)[1:]))
