"""Calls of layers in a functional model: the mirror of ``upgrade.graph``.

    {"args": [t, 2], "kwargs": {"mask": t}}   →   [["x", 0, 0, {"value": 2, "mask": ["y", 0, 0]}]]

tf.keras 2 counts the making of a nested model as its call 0.  Keras 3 does not in arguments; in
the outputs of a model it does for functional models, and not for sequential ones.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Any

from kio.models.allowlist import builtin_class

Config = dict[str, Any]
_RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"})


class Calls:
    """The calls in one functional model.

    Args:
        nested: Names of its layers that are models.
        sequential: Those of them that are sequential.
        problems: What cannot be said is added to it.
    """

    def __init__(self, nested: Collection[str], sequential: Collection[str], problems: list[str]) -> None:
        self._nested, self._sequential, self._problems = nested, sequential, problems

    def call(self, call: Config, class_name: str) -> Any:
        """One call of a layer."""
        args, kwargs = list(call["args"]), {k: v for k, v in call["kwargs"].items() if v is not None}
        if not args:
            name = next(iter(kwargs), None)
            args = [kwargs.pop(name)] if name is not None else []
        named = {**dict(zip(self._names(class_name, len(args)), args[1:], strict=False)), **kwargs}
        named = {key: value for key, value in named.items() if value is not None}
        first = args[0] if args else None
        if class_name in _RECURRENT and "initial_state" in named:
            states = named.pop("initial_state")
            first = [first, *(states if isinstance(states, list) else [states])]
        rest = {key: self._value(value) for key, value in named.items()}
        return self._first(first, rest)

    def _names(self, class_name: str, n: int) -> list[str]:
        """Names of the arguments of ``call`` behind the first."""
        cls: Any = builtin_class(class_name, None)
        found = list(inspect.signature(cls.call).parameters)[2:] if cls is not None else []
        if n > 1 + len(found):
            self._problems.append(f"a call of {class_name} with {n} arguments, whose names are not known")
        return found

    def _first(self, value: Any, rest: Config) -> Any:
        if is_tensor(value):
            return [[*self._place(value), rest]]
        if isinstance(value, list):
            found = []
            for each in value:
                if not is_tensor(each):
                    self._problems.append("a call with lists of lists of tensors")
                    return []
                # What is called with the list is with its first; tf.keras reads it from each.
                found.append([*self._place(each), rest])
            return found
        if isinstance(value, dict) and all(map(is_tensor, value.values())):
            return {key: [*self._place(each), rest] for key, each in value.items()}
        self._problems.append("a call whose first argument is no tensor")
        return []

    def _value(self, value: Any) -> Any:
        if is_tensor(value):
            return self._place(value)
        if isinstance(value, list):
            return [self._value(each) for each in value]
        return {key: self._value(each) for key, each in value.items()} if isinstance(value, dict) else value

    def _place(self, tensor: Config) -> list[Any]:
        name, node, output = tensor["config"]["keras_history"]
        return [name, node + (name in self._nested), output]

    def places(self, value: Any) -> Any:
        """Inputs or outputs of the model."""
        if isinstance(value, dict):
            return {key: self._end(each) for key, each in value.items()}
        return [self._end(each) for each in ([value] if _is_place(value) else value)]

    def _end(self, place: Any) -> Any:
        if not _is_place(place):
            self._problems.append("inputs or outputs in lists of lists")
            return place
        return [place[0], place[1] + (place[0] in self._sequential), place[2]]


def is_tensor(value: Any) -> bool:
    """Whether a value stands for a tensor of the graph."""
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def _is_place(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int)
