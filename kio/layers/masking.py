"""Layers that hand masks on as Keras 2 did.

    both inputs masked          Keras 2: AND            Keras 3: OR
    one input masked            that mask               none
    Concatenate of features     all of the masks        any of them

``Multiply``, ``Maximum`` and ``Minimum`` of Keras 3 leave masked steps out of what they compute,
too, those of Keras 2 did not.  ``Identity``, ``Normalization`` and ``Rescaling`` ended a mask, and
so did layers that change a shape also where it stays as it is: JAX hands such a tensor on as the
very same one, with its mask.

Spec: ``compute_mask`` of tf_keras 2.21's layers.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kio.keras_private import get_keras_mask, set_keras_mask


class _Merge:
    """What comes first in each class: values as they are, the mask of all inputs that have one."""

    def call(self, inputs: Any) -> Any:
        mask = self.compute_mask(inputs, [get_keras_mask(x) for x in inputs])
        made = super().call(inputs)  # type: ignore[misc]
        if mask is not None:
            set_keras_mask(made, mask)
        return made

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        made = None
        for each in mask or ():
            if each is not None:
                made = each if made is None else ops.logical_and(made, each)
        return made


@keras.saving.register_keras_serializable("kio", "Add")
class Add(_Merge, keras.layers.Add):  # type: ignore[misc]
    """The sum, masked where any of its inputs is."""


@keras.saving.register_keras_serializable("kio", "Subtract")
class Subtract(_Merge, keras.layers.Subtract):  # type: ignore[misc]
    """The difference, masked where any of its inputs is."""


@keras.saving.register_keras_serializable("kio", "Average")
class Average(_Merge, keras.layers.Average):  # type: ignore[misc]
    """The mean, masked where any of its inputs is."""


class _Pairwise(_Merge):
    function: Any = None

    def _merge_function(self, inputs: Any) -> Any:
        made = inputs[0]
        for x in inputs[1:]:
            made = type(self).function(made, x)
        return made


@keras.saving.register_keras_serializable("kio", "Multiply")
class Multiply(_Pairwise, keras.layers.Multiply):  # type: ignore[misc]
    """The product, of masked steps too, masked where any of its inputs is."""

    function = staticmethod(ops.multiply)


@keras.saving.register_keras_serializable("kio", "Maximum")
class Maximum(_Pairwise, keras.layers.Maximum):  # type: ignore[misc]
    """The largest, of masked steps too, masked where any of its inputs is."""

    function = staticmethod(ops.maximum)


@keras.saving.register_keras_serializable("kio", "Minimum")
class Minimum(_Pairwise, keras.layers.Minimum):  # type: ignore[misc]
    """The smallest, of masked steps too, masked where any of its inputs is."""

    function = staticmethod(ops.minimum)


@keras.saving.register_keras_serializable("kio", "Concatenate")
class Concatenate(_Merge, keras.layers.Concatenate):  # type: ignore[misc]
    """Masks stand beside each other as the inputs do; a step counts where all its features do."""

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if not mask or all(each is None for each in mask):
            return None
        masks = []
        for x, each in zip(inputs, mask, strict=True):
            if each is None:
                each = ops.ones_like(x, dtype="bool")
            elif len(each.shape) < len(x.shape):
                each = ops.expand_dims(each, -1)
            masks.append(each)
        return ops.all(ops.concatenate(masks, axis=self.axis), axis=-1)


@keras.saving.register_keras_serializable("kio", "BatchNormalization")
class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Takes mean and variance of all steps, masked or not, where tf.keras did.

    The kernel behind inputs of four and five dimensions knew no masks, nor did TensorFlow before 2.12.

    Args:
        masked: Whether masked steps of other inputs are left out while training.
    """

    def __init__(self, *args: Any, masked: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        self.masked = masked

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        left_out = training and self.masked and len(inputs.shape) not in (4, 5)
        return super().call(inputs, training=training, mask=mask if left_out else None)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "masked": self.masked}


class _Ends:
    """What comes first in each class: what it gives is new, without the mask that came in."""

    def call(self, inputs: Any, *args: Any, **options: Any) -> Any:
        made = super().call(inputs, *args, **options)  # type: ignore[misc]
        return ops.copy(made) if made is inputs else made

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Nothing, so that Keras does not say that a mask is lost."""


@keras.saving.register_keras_serializable("kio", "Identity")
class Identity(_Ends, keras.layers.Identity):  # type: ignore[misc]
    """Hands its input on without the mask."""


@keras.saving.register_keras_serializable("kio", "Rescaling")
class Rescaling(_Ends, keras.layers.Rescaling):  # type: ignore[misc]
    """Hands no mask on."""


@keras.saving.register_keras_serializable("kio", "Normalization")
class Normalization(_Ends, keras.layers.Normalization):  # type: ignore[misc]
    """Hands no mask on."""


@keras.saving.register_keras_serializable("kio", "Reshape")
class Reshape(_Ends, keras.layers.Reshape):  # type: ignore[misc]
    """Hands no mask on, whatever the shape."""


@keras.saving.register_keras_serializable("kio", "Flatten")
class Flatten(_Ends, keras.layers.Flatten):  # type: ignore[misc]
    """Hands no mask on, whatever the shape."""


@keras.saving.register_keras_serializable("kio", "Permute")
class Permute(_Ends, keras.layers.Permute):  # type: ignore[misc]
    """Hands no mask on, whatever the order."""


@keras.saving.register_keras_serializable("kio", "Cropping1D")
class Cropping1D(_Ends, keras.layers.Cropping1D):  # type: ignore[misc]
    """Hands no mask on, however much stays."""


@keras.saving.register_keras_serializable("kio", "Cropping2D")
class Cropping2D(_Ends, keras.layers.Cropping2D):  # type: ignore[misc]
    """Hands no mask on, however much stays."""


@keras.saving.register_keras_serializable("kio", "Cropping3D")
class Cropping3D(_Ends, keras.layers.Cropping3D):  # type: ignore[misc]
    """Hands no mask on, however much stays."""
