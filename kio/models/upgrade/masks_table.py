"""What each layer does with masks, in Keras 2 and today: the table behind ``masks``."""

from __future__ import annotations

from dataclasses import dataclass

from kio.models.upgrade.rule import Config, classes


@dataclass(frozen=True, slots=True)
class Inputs:
    """One call of one layer.

    Attributes:
        name: Its class.
        config: Its arguments.
        masks: Of the tensors in its first argument: where each began, None for none.
        kwargs: All else that it is called with; for tensors the list of their masks.
    """

    name: str
    config: Config
    masks: tuple[str | None, ...]
    kwargs: Config

    @property
    def masked(self) -> bool:
        """Whether a mask may come along with the tensors."""
        return any(mask is not None for mask in self.masks)


RECURRENT = classes("LSTM GRU SimpleRNN RNN ConvLSTM1D ConvLSTM2D ConvLSTM3D")

# They hand no mask on.
ENDS = classes(
    "Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose DepthwiseConv1D DepthwiseConv2D "
    "SeparableConv1D SeparableConv2D AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D "
    "MaxPooling3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D "
    "GlobalMaxPooling2D GlobalMaxPooling3D Flatten Reshape Permute RepeatVector Cropping1D Cropping2D Cropping3D "
    "UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D Dot Embedding"
)
# They hand on that of the first tensor, whatever else they are called with.
FIRST_ONLY = classes("Attention AdditiveAttention MultiHeadAttention")


# Cells that give their first state: what was given one step before is known from it.
_PLAIN_CELLS = frozenset({"LSTMCell", "GRUCell", "SimpleRNNCell"})


def wants(inputs: Inputs) -> str | None:
    """The layer of kio's that a call needs, or None where Keras's own does the same."""
    if inputs.name in RECURRENT or inputs.name == "Bidirectional":
        return inputs.name if _recurrent(inputs) else None
    return None


def _recurrent(inputs: Inputs) -> bool:
    """Whether a state and a mask, or two states, or a mask and a cell that nobody knows meet."""
    named = inputs.kwargs.get("mask")
    masked = named is not None or any(mask is not None for mask in inputs.masks[:1])
    handed = inputs.kwargs.get("initial_state") is not None
    inner = inputs.config.get("layer", {}).get("config", {}) if inputs.name == "Bidirectional" else inputs.config
    kept = bool(inner.get("stateful"))
    return (handed and kept) or (masked and (handed or kept or _unknown_cell(inner)))


def _unknown_cell(config: Config) -> bool:
    cell = config.get("cell")
    if not isinstance(cell, dict):
        return False
    inner = cell.get("config")
    if cell.get("class_name") == "StackedRNNCells" and isinstance(inner, dict):
        return any(_unknown_cell({"cell": each}) for each in inner.get("cells") or ())
    return cell.get("class_name") not in _PLAIN_CELLS
