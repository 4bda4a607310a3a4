"""What each layer does with masks, in Keras 2 and today: the table behind ``masks``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from kio.models.eras.rule import Config, classes
from kio.models.eras.versions import installed


@dataclass(frozen=True, slots=True)
class Inputs:
    """One call of one layer.

    Attributes:
        name: Its class.
        config: Its arguments.
        masks: Of the tensors in its first argument: where each began, None for none.
        kwargs: All else that it is called with; for tensors the list of their masks.
        rank: Dimensions of the one input, where that is the model's own.
        normalizes: Whether the writer's normalizations left masked steps out.
    """

    name: str
    config: Config
    masks: tuple[str | None, ...]
    kwargs: Config
    rank: int | None = None
    normalizes: bool = True

    @property
    def masked(self) -> bool:
        """Whether a mask may come along with the tensors."""
        return any(mask is not None for mask in self.masks)


# Ends the name of a mask that may not be (rows, steps).
ODD = "*"


def odd(masks: Iterable[str | None]) -> bool:
    """Whether one of some masks may be of another shape than (rows, steps)."""
    return any(mask is not None and mask.endswith(ODD) for mask in masks)


RECURRENT = classes("LSTM GRU SimpleRNN RNN ConvLSTM1D ConvLSTM2D ConvLSTM3D")

# They hand no mask on.
ENDS = classes(
    "Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose DepthwiseConv1D DepthwiseConv2D "
    "SeparableConv1D SeparableConv2D AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D "
    "MaxPooling3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D "
    "GlobalMaxPooling2D GlobalMaxPooling3D Flatten Reshape Permute RepeatVector Cropping1D Cropping2D Cropping3D "
    "UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D Dot Embedding Identity "
    "Normalization Rescaling EinsumDense"
)
# They hand on that of the first tensor, whatever else they are called with.
FIRST_ONLY = classes("Attention AdditiveAttention MultiHeadAttention")


# Cells that give their first state: what was given one step before is known from it.
_PLAIN_CELLS = frozenset({"LSTMCell", "GRUCell", "SimpleRNNCell"})

# Merges that leave the values at masked steps alone in both.
_LINEAR = classes("Add Subtract Average Concatenate")
_MERGES = _LINEAR | classes("Multiply Maximum Minimum")
# Today they hand masks on.
_HANDS_ON = classes("Identity Normalization Rescaling")
# Within a TimeDistributed: they have no use for a mask, and hand on any.
_PASSING = classes(
    "Activation ActivityRegularization AlphaDropout Dense Dropout ELU GaussianDropout GaussianNoise GroupNormalization "
    "LayerNormalization LeakyReLU PReLU ReLU SpatialDropout1D SpatialDropout2D SpatialDropout3D UnitNormalization"
)
# Before, Keras 3 had no masks for lists of inputs.
_LISTS = (3, 10)

# Operations that may give the very tensor that they take, which Keras 2 never did: JAX's where nothing changes.
SAME_OPERATIONS = classes(
    "Reshape Transpose GetItem StopGradient Concatenate BroadcastTo Squeeze Tile Identity Copy Slice Flip Roll Pad "
    "Ravel Moveaxis Swapaxes Repeat"
)


def wants(inputs: Inputs) -> str | None:
    """The layer of kio's that a call needs, or None where Keras's own does the same."""
    needed = False
    name = inputs.name
    if name in RECURRENT or name == "Bidirectional":
        needed = _recurrent(inputs)
    elif name in _MERGES:
        needed = inputs.masked and not _one_mask(inputs)
    elif name == "MultiHeadAttention":
        needed = inputs.masked or any(map(_comes, inputs.kwargs.values())) or _mask_by_name(inputs, "attention_mask")
    elif name == "Softmax":
        needed = inputs.masked or _mask_by_name(inputs, "mask")
    elif name == "TimeDistributed":
        within = inputs.kwargs.get("_layer") or [None]
        inner = inputs.config.get("layer", {}).get("class_name")
        needed = within[0] is not None and (inner not in _PASSING or within[0] not in inputs.masks)
        needed = needed or (inputs.masked and inner not in _PASSING)
    elif name == "BatchNormalization":
        # An axis of 2 is that of (rows, steps, features), the only one that Keras's own takes with such a mask.
        named = _mask_by_name(inputs, "mask")
        needed = (inputs.masked or named) and (
            inputs.config.get("axis") != 2 or not inputs.normalizes or "_wrapped" in inputs.kwargs
        )
    elif name in _HANDS_ON:
        needed = inputs.masked
    elif name in ("Attention", "AdditiveAttention", "Flatten"):
        # Attention takes a mask of a batch alone for one of values; what is flat stays as it is.
        needed = odd(inputs.masks) or (name != "Flatten" and _comes_odd(inputs.kwargs.get("mask")))
    elif name in _SAME:
        needed = inputs.masked and _SAME[name](inputs.config)
    return name if needed else None


def _nothing_cropped(config: Config) -> bool:
    return not any(_flat(config.get("cropping", 0)))


def _flat(value: Any) -> list[Any]:
    return [inner for each in value for inner in _flat(each)] if isinstance(value, list) else [value]


# What may give the very tensor that it takes.
_SAME: dict[str, Callable[[Config], bool]] = {
    "Reshape": lambda config: True,
    "Permute": lambda config: config.get("dims") == sorted(config.get("dims") or []),
    **dict.fromkeys(("Cropping1D", "Cropping2D", "Cropping3D"), _nothing_cropped),
}


def _comes(value: Any) -> bool:
    """Whether an argument holds tensors of which one may have a mask."""
    return isinstance(value, list) and any(isinstance(each, str) for each in value)


def _comes_odd(value: Any) -> bool:
    return isinstance(value, list) and odd(each for each in value if isinstance(each, str))


def _mask_by_name(inputs: Inputs, name: str) -> bool:
    return inputs.kwargs.get(name) is not None


def _one_mask(inputs: Inputs) -> bool:
    """Whether all inputs of a merge have one and the same mask, which either Keras gives to what it makes."""
    along = inputs.name != "Concatenate" or inputs.config.get("axis", -1) == -1
    return inputs.name in _LINEAR and along and len(set(inputs.masks)) == 1 and installed() >= _LISTS


def _recurrent(inputs: Inputs) -> bool:
    """Whether a state and a mask, two states, or a mask and steps written out or a cell that nobody knows meet."""
    named = inputs.kwargs.get("mask")
    masked = named is not None or any(mask is not None for mask in inputs.masks[:1])
    handed = inputs.kwargs.get("initial_state") is not None
    inner = inputs.config.get("layer", {}).get("config", {}) if inputs.name == "Bidirectional" else inputs.config
    behind = inputs.config.get("backward_layer") or {}
    kept, unrolled = bool(inner.get("stateful")), bool(inner.get("unroll") or behind.get("config", {}).get("unroll"))
    # JAX lines the mask of a step up with the last axes of an image.
    images = "ConvLSTM" in f"{inputs.name} {inputs.config.get('layer', {}).get('class_name')}"
    return (handed and kept) or (masked and (handed or kept or unrolled or images or _unknown_cell(inner)))


def _unknown_cell(config: Config) -> bool:
    cell = config.get("cell")
    if not isinstance(cell, dict):
        return False
    inner = cell.get("config")
    if cell.get("class_name") == "StackedRNNCells" and isinstance(inner, dict):
        return any(_unknown_cell({"cell": each}) for each in inner.get("cells") or ())
    return cell.get("class_name") not in _PLAIN_CELLS
