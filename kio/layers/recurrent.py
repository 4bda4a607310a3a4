"""Recurrent layers that see the mask of their sequence also where they are handed a state.

Keras 2 gave a layer the mask of its first input whatever else it was called with.  Keras 3 looks
for the mask of an argument ``x`` under the name ``x_mask`` as soon as a call has two tensors,
finds no such argument in its recurrent layers, and goes through the padding.  These have it.

Where a layer keeps its state between batches, Keras 2 took the state that it was handed only
while its own was zero; Keras 3 always does.

Steps that are written out (``unroll``) lose masks in Keras 3 in ways of their own; see ``_written_out``.

At a masked step a layer gives what it gave one step before, and zeros before the first step that
counts.  Keras's backends for JAX and NumPy take the first state for what was given before.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops, regularizers

from kio.keras_private import rnn


class _Handed:
    """What comes first in each class: the rest is as in Keras.

    Call arguments:
        sequences_mask: Of the sequence, ``(batch, time)``; Keras fills it in.
    """

    unroll: bool
    go_backwards: bool
    return_sequences: bool
    zero_output_for_mask: bool

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: Any = False,
        sequences_mask: Any = None,
    ) -> Any:
        given = mask if mask is not None else sequences_mask
        state = _first(self, initial_state)
        return super().call(sequences, initial_state=state, mask=given, training=training)  # type: ignore[misc]

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: Any = False) -> Any:
        run = self._written_out if self.unroll and mask is not None else self._loop
        return run(sequences, initial_state, mask, training)

    def _written_out(self, sequences: Any, initial_state: Any, mask: Any, training: Any) -> Any:
        """Steps one by one, as a loop.

        Keras 2 zeroed all outputs at once behind them: those of a sequence that goes backwards by the mask of the
        sequence itself, step by step from its front.  Keras 3 does not on JAX, and takes no such mask on torch.
        """
        zeroed = self.zero_output_for_mask
        self.unroll = self.zero_output_for_mask = False
        try:
            last, outputs, states = self._loop(sequences, initial_state, mask, training)
        finally:
            self.unroll, self.zero_output_for_mask = True, zeroed
        if zeroed:
            final = mask[:, 0 if self.go_backwards else -1]
            last = ops.where(_wide(final, last), last, ops.zeros_like(last))
            if self.return_sequences:
                outputs = ops.where(_wide(mask, outputs), outputs, ops.zeros_like(outputs))
        return last, outputs, states

    def _loop(self, sequences: Any, initial_state: Any, mask: Any, training: Any) -> Any:
        last, outputs, states = super().inner_loop(sequences, initial_state, mask, training)  # type: ignore[misc]
        if mask is not None and keras.config.backend() in ("jax", "numpy"):
            # In the order of the loop: true from the first step that counts.
            steps = ops.flip(mask, axis=1) if self.go_backwards else mask
            seen = ops.cumsum(ops.cast(steps, "int32"), axis=1) > 0
            last = ops.where(_wide(seen[:, -1], last), last, ops.zeros_like(last))
            if self.return_sequences:
                outputs = ops.where(_wide(seen, outputs), outputs, ops.zeros_like(outputs))
        return last, outputs, states


def _wide(mask: Any, x: Any) -> Any:
    """A mask with as many dimensions as what it is for."""
    return ops.reshape(mask, (*ops.shape(mask), *[1] * (len(x.shape) - len(mask.shape))))


def _first(layer: Any, given: Any) -> Any:
    """The state to begin with: the layer's own once it has one."""
    own = getattr(layer, "states", None)
    if given is None or own is None or not layer.stateful:
        return given
    flat = list(given) if isinstance(given, (list, tuple)) else [given]
    used = ops.any(ops.stack([ops.any(ops.not_equal(each, 0)) for each in own]))
    return [ops.where(used, ops.cast(mine, each.dtype), each) for mine, each in zip(own, flat, strict=True)]


@keras.saving.register_keras_serializable("kio", "SimpleRNN")
class SimpleRNN(_Handed, keras.layers.SimpleRNN):  # type: ignore[misc]
    """With the activity regularizer, too, that Keras 3's takes and forgets."""

    def __init__(self, units: int, activity_regularizer: Any = None, **options: Any) -> None:
        super().__init__(units, **options)
        self.activity_regularizer = regularizers.get(activity_regularizer)


@keras.saving.register_keras_serializable("kio", "LSTM")
class LSTM(_Handed, keras.layers.LSTM):  # type: ignore[misc]
    """With the mask of its sequence beside a state."""


@keras.saving.register_keras_serializable("kio", "GRU")
class GRU(_Handed, keras.layers.GRU):  # type: ignore[misc]
    """With the mask of its sequence beside a state."""


@keras.saving.register_keras_serializable("kio", "RNN")
class RNN(_Handed, keras.layers.RNN):  # type: ignore[misc]
    """With the mask of its sequence beside a state, and any cell: what was given before is one more state."""

    def _loop(self, sequences: Any, initial_state: Any, mask: Any, training: Any) -> Any:
        if mask is None:
            return super()._loop(sequences, initial_state, mask, training)
        options = {"training": training} if getattr(self.cell, "_call_has_training_arg", False) else {}
        size = getattr(self.cell, "output_size", None) or self.state_size[0]
        before = ops.zeros((ops.shape(sequences)[0], size), dtype=self.compute_dtype)

        def step(x: Any, states: Any) -> Any:
            made, new = self.cell(x, list(states[1:]), **options)
            return made, [made, *(new if isinstance(new, (list, tuple)) else [new])]

        last, outputs, states = rnn(
            step,
            sequences,
            [before, *initial_state],
            go_backwards=self.go_backwards,
            mask=mask,
            unroll=self.unroll,
            input_length=sequences.shape[1],
            zero_output_for_mask=self.zero_output_for_mask,
            return_all_outputs=self.return_sequences,
        )
        return last, outputs, list(states)[1:]


class _Images(_Handed):
    """Recurrent layers of images: on JAX and NumPy the mask of a step was lined up with the axes of the image."""

    cell: Any

    def _loop(self, sequences: Any, initial_state: Any, mask: Any, training: Any) -> Any:
        if mask is None or keras.config.backend() not in ("jax", "numpy"):
            return super()._loop(sequences, initial_state, mask, training)
        zeroed = self.zero_output_for_mask

        def step(inputs: Any, states: Any) -> Any:
            x, counts = inputs
            before, *own = states
            made, new = self.cell(x, own, training=training)
            kept = [ops.where(_wide(counts, now), now, old) for now, old in zip(new, own, strict=True)]
            given = ops.where(_wide(counts, made), made, ops.zeros_like(made) if zeroed else before)
            return given, [given, *kept]

        last, outputs, states = rnn(
            step,
            (sequences, ops.cast(mask, "bool")),
            [ops.zeros_like(initial_state[0]), *initial_state],
            go_backwards=self.go_backwards,
            input_length=sequences.shape[1],
            return_all_outputs=self.return_sequences,
        )
        return last, outputs, list(states)[1:]


@keras.saving.register_keras_serializable("kio", "ConvLSTM1D")
class ConvLSTM1D(_Images, keras.layers.ConvLSTM1D):  # type: ignore[misc]
    """With the mask of its sequence beside a state."""


@keras.saving.register_keras_serializable("kio", "ConvLSTM2D")
class ConvLSTM2D(_Images, keras.layers.ConvLSTM2D):  # type: ignore[misc]
    """With the mask of its sequence beside a state."""


@keras.saving.register_keras_serializable("kio", "ConvLSTM3D")
class ConvLSTM3D(_Images, keras.layers.ConvLSTM3D):  # type: ignore[misc]
    """With the mask of its sequence beside a state."""


@keras.saving.register_keras_serializable("kio", "Bidirectional")
class Bidirectional(_Handed, keras.layers.Bidirectional):  # type: ignore[misc]
    """With the mask of its sequence beside the states of both directions.

    Both Kerases ask the parts for zeros at masked steps of sequences; a ConvLSTM of Keras 2 did not listen.
    """

    def __init__(self, layer: Any, *args: Any, **options: Any) -> None:
        super().__init__(layer, *args, **options)
        for part in (self.forward_layer, self.backward_layer):
            if isinstance(part, (keras.layers.ConvLSTM1D, keras.layers.ConvLSTM2D, keras.layers.ConvLSTM3D)):
                part.zero_output_for_mask = False
