"""Attention whose masks mean what they did in Keras 2.

There a mask was added to the scores, as -1e9 where it is false.  A row that is masked throughout
came out about uniform; Keras 3 gives zeros, or not, by the way it takes on a backend.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kio.keras_private import get_keras_mask, set_keras_mask


def masked_scores(scores: Any, mask: Any, robust: bool) -> Any:
    """Scores that a softmax turns into about nothing where the mask is false.

    Args:
        scores: Of any shape.
        mask: Of a shape that fits; true, or more than 0.5, counts.
        robust: Put the large negative number there in the place of adding it.
    """
    dtype = keras.backend.standardize_dtype(scores.dtype)
    # Half of float16's least number, as TensorFlow says it: two of them may meet.
    least = -32752.0 if dtype == "float16" else -1e9
    if robust:
        if keras.backend.standardize_dtype(mask.dtype) != "bool":
            mask = mask > 0.5
        return ops.where(mask, scores, ops.cast(least, dtype))
    return scores + (1.0 - ops.cast(mask, dtype)) * ops.cast(least, dtype)


@keras.saving.register_keras_serializable("kio", "Softmax")
class Softmax(keras.layers.Softmax):  # type: ignore[misc]
    """With the masks of Keras 2, and over several axes on the numpy backend, too.

    Args:
        axis: One or several.  A list in a layer becomes Keras's own, a tuple stays.
        robust_masking: See ``masked_scores``.
    """

    def __init__(self, axis: Any = -1, robust_masking: bool = False, **options: Any) -> None:
        super().__init__(axis=tuple(axis) if isinstance(axis, list) else axis, **options)
        self.robust_masking = robust_masking

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return super().call(inputs if mask is None else masked_scores(inputs, mask, self.robust_masking))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "robust_masking": self.robust_masking}


@keras.saving.register_keras_serializable("kio", "MultiHeadAttention")
class MultiHeadAttention(keras.layers.MultiHeadAttention):  # type: ignore[misc]
    """Scores one by one, with the masks of Keras 2; the inputs keep theirs.

    Who asks for the scores gets them computed so on every backend, also on JAX where values are wider
    than keys.  Keras takes the masks away from the tensors that it attends to, which others may read.

    Args:
        softmax_robust_masking: See ``masked_scores``.
    """

    def __init__(self, *args: Any, softmax_robust_masking: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.softmax_robust_masking = softmax_robust_masking
        self._flash_attention = False  # it has no scores

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: Any = None,
        use_causal_mask: bool = False,
    ) -> Any:
        kept = [(x, get_keras_mask(x)) for x in (query, value, key) if x is not None]
        made, scores = super().call(
            query,
            value,
            key=key,
            query_mask=query_mask,
            value_mask=value_mask,
            key_mask=key_mask,
            attention_mask=attention_mask,
            return_attention_scores=True,
            training=training,
            use_causal_mask=use_causal_mask,
        )
        for x, mask in kept:
            if mask is not None:
                set_keras_mask(x, mask)
        return (made, scores) if return_attention_scores else made

    def _masked_softmax(self, attention_scores: Any, attention_mask: Any = None) -> Any:
        if attention_mask is not None:
            heads = -len(self._attention_axes) * 2 - 1
            for _ in range(len(attention_scores.shape) - len(attention_mask.shape)):
                attention_mask = ops.expand_dims(attention_mask, axis=heads)
            attention_scores = masked_scores(attention_scores, attention_mask, self.softmax_robust_masking)
        made = self._softmax(attention_scores)
        if attention_mask is not None:
            set_keras_mask(made, attention_mask)
        return made

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "softmax_robust_masking": self.softmax_robust_masking}


class _AnyRank:
    """What comes first in each class: masks of values that have several axes between batch and features."""

    def _calculate_score_mask(self, scores: Any, v_mask: Any, use_causal_mask: bool) -> Any:
        causal = super()._calculate_score_mask(scores, None, use_causal_mask)  # type: ignore[misc]
        if v_mask is None:
            return causal
        wide = ops.expand_dims(v_mask, axis=-2)
        return wide if causal is None else ops.logical_and(wide, causal)


@keras.saving.register_keras_serializable("kio", "Attention")
class Attention(_AnyRank, keras.layers.Attention):  # type: ignore[misc]
    """Dot-product attention with masks of any rank."""


@keras.saving.register_keras_serializable("kio", "AdditiveAttention")
class AdditiveAttention(_AnyRank, keras.layers.AdditiveAttention):  # type: ignore[misc]
    """Additive attention with masks of any rank."""
