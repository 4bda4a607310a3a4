"""Calls of layers in a functional model: from lists of places to today's grammar.

    [["dense", 0, 0, {"training": true}]]      one call on output 0 of call 0 of "dense"
    ["x", 0, 0, {"y": ["z", 0, 0]}]            an operation; tensors in its arguments as places
    ["_CONSTANT_VALUE", -1, 2.5, {…}]          a constant in the place of the first tensor

become ``{"args": […], "kwargs": {…}}`` with ``__keras_tensor__`` for each place.  Keras 1
and 2 counted the making of a nested model as its call 0, today's Keras does not.

Spec: ``Node.serialize`` of tf.keras 2.4 to 2.15; ``Network.get_config`` of Keras 2.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from kio.errors import CorruptError, shown
from kio.models.eras.rule import Config
from kio.ops.stock import array, holds_tensor

_CONSTANT = "_CONSTANT_VALUE"
_COMPOSITE = "_COMPOSITE_TYPE"

# Call arguments that say nothing when they are None, or that only Keras's own machinery used.
_RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"})


# Arguments of calls that may be constants of truth values.
_MASKS = frozenset({"mask", "attention_mask"})


def _is_flags(value: Any) -> bool:
    return all(map(_is_flags, value)) if isinstance(value, list) else isinstance(value, bool)


def is_place(node: Any) -> bool:
    """Whether a value is the place of a tensor: name of a layer, number of a call, of an output."""
    return (
        isinstance(node, list)
        and len(node) in (3, 4)
        and isinstance(node[0], str)
        and isinstance(node[1], int)
        and (node[0] == _CONSTANT or (isinstance(node[2], int) and node[1] >= 0))
        and (len(node) == 3 or isinstance(node[3], dict))
    )


def is_legacy(calls: Any) -> bool:
    """Whether the calls of a layer are in the old grammar."""
    return isinstance(calls, list) and any(_is_list(call) for call in calls)


def _is_list(call: Any) -> bool:
    # Models that are called with tensors by name have a dict of places.
    return isinstance(call, list) or (isinstance(call, dict) and bool(call) and all(map(is_place, call.values())))


def _constants(value: Any) -> Any:
    """Numbers among the tensors that a layer is called with, as arrays."""
    if isinstance(value, list):
        return [_constants(each) for each in value] if holds_tensor(value) else array(value)
    if isinstance(value, (int, float)):
        kind = "bool" if isinstance(value, bool) else "int32" if isinstance(value, int) else "float32"
        return {"class_name": "__numpy__", "config": {"value": value, "dtype": kind}}
    return value


class Calls:
    """The calls in one functional model.

    Args:
        layers: Names of its layers.
        nested: Names of those that are models with a call of their own making.
    """

    def __init__(self, layers: Collection[str], nested: Collection[str]) -> None:
        self._layers = layers
        self._nested = nested

    def upgrade(self, calls: Any, class_name: str, extra: Config | None = None) -> list[Config]:
        """All calls of one layer in today's grammar.

        Args:
            calls: As stored, in the old grammar.
            class_name: Of the layer.
            extra: Arguments to add to each call.

        Raises:
            CorruptError: for what is no call.
        """
        return [self.call(call, class_name, extra) for call in calls]

    def call(self, call: Any, class_name: str, extra: Config | None = None) -> Config:
        """One call: ``{"args": […], "kwargs": {…}}``."""
        first, kwargs = self.arguments(call)
        args = [_constants(first)]
        if class_name in _RECURRENT and isinstance(first, list) and len(first) > 1 and "initial_state" not in kwargs:
            # Keras 2 handed the states over in one list with the sequence.
            args, kwargs["initial_state"] = [first[0]], first[1:]
        return {"args": args, "kwargs": {**kwargs, **(extra or {})}}

    def arguments(self, call: Any) -> tuple[Any, Config]:
        """The first argument with tensors for places, and all others by name."""
        if not isinstance(call, (list, dict)):
            raise CorruptError(f"inbound_nodes: expected a list of places, found {shown(str(call))}")
        found: list[Config] = []
        first = self._tensors(call, found)
        if isinstance(first, list) and len(first) == 1:
            first = first[0]
        stored = found[0] if found else {}
        kwargs = {key: self.value(value) for key, value in stored.items() if value is not None}
        for key in _MASKS & kwargs.keys():
            if isinstance(kwargs[key], list) and _is_flags(kwargs[key]):
                kwargs[key] = {"class_name": "__numpy__", "config": {"value": kwargs[key], "dtype": "bool"}}
        return first, kwargs

    def _tensors(self, node: Any, found: list[Config]) -> Any:
        if is_place(node):
            if len(node) == 4:
                found.append(node[3])
            return self.value(node[2]) if node[0] == _CONSTANT else self.tensor(node)
        if isinstance(node, list):
            return [self._tensors(each, found) for each in node]
        if isinstance(node, dict):
            return {key: self._tensors(each, found) for key, each in node.items()}
        raise CorruptError(f"inbound_nodes: expected the place of a tensor, found {shown(str(node))}")

    def value(self, value: Any) -> Any:
        """An argument of a call: constants stay, places become tensors."""
        if is_place(value) and len(value) == 3 and value[0] in self._layers:
            return self.tensor(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {key: self.value(each) for key, each in value.items()}
        return value

    def tensor(self, place: list[Any]) -> Config:
        name, call, output = place[:3]
        if name not in self._layers:
            raise CorruptError(f"inbound_nodes: expected the name of a layer, found {shown(name)}")
        # Shape and dtype are those of the layer's output; nobody reads them here.
        return {
            "class_name": "__keras_tensor__",
            "config": {"shape": [], "dtype": "float32", "keras_history": [name, self.number(name, call), output]},
        }

    def number(self, name: str, call: int) -> int:
        """Today's number of a call."""
        return call - 1 if name in self._nested and call > 0 else call


def places(given: Any, change: Callable[[str, int], int], single: bool) -> Any:
    """``input_layers`` or ``output_layers`` with other numbers of calls.

    Args:
        given: A place, or lists and dicts of them.
        change: Name and number of a call to its number today.
        single: Whether a list of one place may become the place itself.
    """
    if is_place(given):
        return [given[0], change(given[0], given[1]), given[2]]
    if isinstance(given, list):
        if single and len(given) == 1 and is_place(given[0]):
            return places(given[0], change, single)
        return [places(each, change, False) for each in given]
    if isinstance(given, dict):
        return {key: places(each, change, False) for key, each in given.items()}
    raise CorruptError(f"input_layers or output_layers: expected places of tensors, found {shown(str(given))}")
