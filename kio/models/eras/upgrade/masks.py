"""Which masks reach which layers, and where that needs layers that treat them as Keras 2 did.

A mask begins at ``Masking``, at an ``Embedding`` of ``mask_zero`` or in a class of the user's, goes
along with the tensors and ends where a layer does not hand it on.  Both Kerases work that out while
a model runs.  Here it is told from the configuration which masks may come to each call, so that a
model without any is made of Keras's own layers alone.  Where it cannot be told a mask may come.

A mask is known by where it began, with a mark if it may be of another shape than (rows, steps).  Two
inputs with one and the same mask are merged alike by any rule; two masks, or a mask and none, are not.

Spec: ``compute_mask`` and ``supports_masking`` of the layers of tf_keras 2.21 and Keras 3.15.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from kio.keras_private import ops
from kio.models.eras.rule import Config, Context
from kio.models.eras.upgrade import objects
from kio.models.eras.upgrade.masks_table import ENDS, FIRST_ONLY, ODD, RECURRENT, SAME_OPERATIONS, Inputs, odd, wants

# Where a mask began; None for no mask.
Mask = str | None
# The masks that came to a call of a model, and those of what it gives.
Pattern = tuple[Mask, ...]
Place = tuple[str, int, int]

# The first TensorFlow whose normalizations know masks.
_NORMALIZED = (2, 12)
_MODELS = frozenset({"Functional", "Sequential"})


def keep(model: Config, context: Context) -> None:
    """Give each layer that an old mask reaches the class that treats it as it was.

    Args:
        model: A model or layer in today's grammar; changed in place.
        context: Told which layers of kio's it needs.
    """
    masks = _Masks(context)
    masks.after(model, [None], {}, "")
    masks.share(model)


@dataclass(slots=True)
class _Calls:
    """The calls of one functional model, ready to be gone through in an order in which they can be made."""

    nodes: dict[str, Config]
    inputs: dict[tuple[str, int], list[Place]] = field(default_factory=dict)
    users: dict[tuple[str, int], list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, layers: Sequence[Config]) -> _Calls:
        calls = cls({layer["name"]: layer for layer in layers})
        for layer in layers:
            for number, call in enumerate(layer.get("inbound_nodes") or ()):
                key = (layer["name"], number)
                calls.inputs[key] = places = list(_places(call))
                for source in {place[:2] for place in places}:
                    calls.users[source].append(key)
        return calls

    def ordered(self) -> Iterator[tuple[str, int]]:
        """Calls, each behind those that it takes tensors from; those of a circle never come."""
        waits = {key: len({place[:2] for place in places} & self.inputs.keys()) for key, places in self.inputs.items()}
        ready = deque(key for key, count in waits.items() if not count)
        while ready:
            key = ready.popleft()
            yield key
            for user in self.users[key]:
                waits[user] -= 1
                if not waits[user]:
                    ready.append(user)


class _Masks:
    """One look at one model.

    Args:
        context: Told which layers of kio's it needs.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        version = context.era.version
        self._normalizes = version is None or version >= _NORMALIZED
        self._changed: set[Any] = set()
        # Operations behind which the mask ends.
        self._parted: dict[int, Config] = {}
        self._done: set[int] = set()
        # What nested models gave, by model and what came to it: a model may be called often, in models called often.
        self._known: dict[tuple[int, Pattern], list[Mask]] = {}

    def after(self, node: Config, given: list[Mask], kwargs: Config, where: str) -> list[Mask]:
        """The masks of what a call of a layer or model gives; the last one is that of all further outputs.

        Args:
            node: The layer; gets another class where it has to.
            given: Masks of the tensors that it is called with, its states not among them.
            kwargs: What else it is called with.
            where: Names the call: masks that begin in it are told apart by that.
        """
        inner = node.get("config")
        name = str(node.get("class_name"))
        if not isinstance(inner, dict) or self._is_custom(node):
            return [where + ODD]
        if name in _MODELS and isinstance(inner.get("layers"), list):
            return self._model(node, given, where)
        if _is_operation(node):
            return self._operation(node, given)
        own = dict(kwargs)
        for key in ("layer", "backward_layer"):
            if isinstance(inner.get(key), dict):
                own[f"_{key}"] = self._within(inner[key], name, given, kwargs, where)
        inputs = Inputs(name, inner, tuple(given), own, own.pop("_rank", None), self._normalizes)
        todays = wants(inputs)
        if todays is not None:
            self._replace(node, todays)
        if todays == "BatchNormalization":
            inner["masked"] = self._normalizes
        return _given(inputs, where)

    def _operation(self, node: Config, given: list[Mask]) -> list[Mask]:
        """What computes on tensors alone gives new ones, without masks; but a cast to the same dtype is none."""
        name = node["config"].get("function", node["class_name"])
        if name in ("Cast", "cast", "convert_to_tensor"):
            return given[:1]
        masked = any(mask is not None for mask in given)
        if masked and name in SAME_OPERATIONS and id(node) not in self._done:
            self._parted[id(node)] = node
        return [None]

    def _is_custom(self, node: Config) -> bool:
        """Whether nobody but the user knows what a layer does with masks."""
        module = str(node.get("module"))
        if module.split(".")[0] == "kio":
            return False
        return not module.startswith("keras") or self._context.is_custom(
            str(node.get("registered_name") or node.get("class_name"))
        )

    def _within(self, inner: Config, wrapper: str, given: list[Mask], kwargs: Config, where: str) -> list[Mask]:
        """The layer in a wrapper, called as the wrapper calls it."""
        passed = dict(kwargs)
        if wrapper == "Bidirectional" and given[:1] != [None]:
            passed["mask"] = True  # handed over by name
        passed["_wrapped"] = True
        passed.pop("_rank", None)
        return self.after(inner, given, passed, f"{where}/{inner.get('class_name')}")

    def _replace(self, node: Config, name: str) -> None:
        if node.get("module") == "kio.layers" and node["class_name"] == name:
            return
        node.update(objects.kio_class(name, self._context))
        if node.get("shared_object_id") is not None:
            self._changed.add(node["shared_object_id"])

    def share(self, model: Config) -> None:
        """Objects that are stored twice are one: the class of the one is that of the other."""
        if not self._changed:
            return
        todo: list[Any] = [model]
        while todo:
            node = todo.pop()
            if isinstance(node, dict):
                shared = node.get("shared_object_id")
                if isinstance(shared, (int, str)) and shared in self._changed and node.get("module") == "keras.layers":
                    node.update(objects.kio_class(node["class_name"], self._context))
                todo += node.values()
            elif isinstance(node, list):
                todo += node

    # ------------------------------------------------------------------------- models

    def _model(self, node: Config, given: list[Mask], where: str) -> list[Mask]:
        """A model within: gone through once for each pattern of masks that comes to it."""
        names = {
            mask: f"in {i}{ODD if odd([mask]) else ''}"
            for i, mask in reversed(list(enumerate(given)))
            if mask is not None
        }
        pattern = tuple(None if mask is None else names[mask] for mask in given)
        key = (id(node), pattern)
        if key not in self._known:
            self._known[key] = []  # a model in itself
            run = self._sequential if node["class_name"] == "Sequential" else self._functional
            self._known[key] = run(node["config"], list(pattern))
        back = {name: mask for mask, name in names.items()}
        return [None if mask is None else back.get(mask, f"{where}>{mask}") for mask in self._known[key]]

    def _sequential(self, inner: Config, given: list[Mask]) -> list[Mask]:
        rank = None
        for number, layer in enumerate(each for each in inner["layers"] if isinstance(each, dict)):
            if layer.get("class_name") != "InputLayer":
                given = self.after(layer, given[:1], {"_rank": rank}, str(number))
            rank = _rank(layer) if layer.get("class_name") == "InputLayer" else None
        return given

    def _part(self, inner: Config, layers: list[Config]) -> None:
        """Behind an operation that may hand its tensor on: a copy, by the operation's name."""
        taken = {layer["name"] for layer in layers}
        for layer in layers:
            if self._parted.pop(id(layer), None) is None:
                continue
            name = layer["name"]
            other = next(each for n in count() if (each := f"{name}_masked{n or ''}") not in taken)
            taken.add(other)
            layer["name"] = layer["config"]["name"] = other
            made = objects.kio_class("TFFunction", self._context)
            calls = [{"args": [_tensor(other, i)], "kwargs": {}} for i in range(len(layer["inbound_nodes"]))]
            made |= {"config": {"function": "identity", "name": name}, "name": name, "inbound_nodes": calls}
            inner["layers"].insert(inner["layers"].index(layer) + 1, made)
            self._done.add(id(layer))

    def _functional(self, inner: Config, given: list[Mask]) -> list[Mask]:
        layers = [each for each in inner["layers"] if isinstance(each, dict) and isinstance(each.get("name"), str)]
        calls = _Calls.of(layers)
        found: dict[tuple[str, int], list[Mask]] = {}
        for i, place in enumerate(_ends(inner.get("input_layers"))):
            found[place[:2]] = [given[min(i, len(given) - 1)]]
        ranks = {layer["name"]: _rank(layer) for layer in layers}
        for key in calls.ordered():
            layer = calls.nodes[key[0]]
            call = layer["inbound_nodes"][key[1]]
            tensors, kwargs = _arguments(call, found)
            if not calls.inputs[key] and key in found:
                continue  # an input
            if len(sources := {place[0] for place in calls.inputs[key]}) == 1:
                kwargs["_rank"] = ranks.get(next(iter(sources)))
            found[key] = self.after(layer, tensors, kwargs, f"{key[0]} {key[1]}")
        self._part(inner, layers)
        # Calls of a model within are counted in two ways here: all of them are meant.
        made: dict[str, list[list[Mask]]] = defaultdict(list)
        for (name, _), masks in found.items():
            made[name].append(masks)
        return [_one(made[place[0]], place[2]) for place in _ends(inner.get("output_layers"))] or [None]


def _is_operation(node: Config) -> bool:
    """Whether a node computes on tensors alone: what it gives is new, without a mask."""
    return str(node.get("module")).startswith(ops("")) or node["class_name"] == "TFFunction"


def _rank(layer: Config) -> int | None:
    """Of the input of the model that a layer is; None for anything else."""
    inner = layer.get("config")
    shape = inner.get("batch_shape") if isinstance(inner, dict) and layer.get("class_name") == "InputLayer" else None
    return len(shape) if isinstance(shape, list) else None


def _tensor(name: str, call: int) -> Config:
    place = {"shape": [], "dtype": "float32", "keras_history": [name, call, 0]}
    return {"class_name": "__keras_tensor__", "config": place}


def _one(calls: list[list[Mask]], output: int) -> Mask:
    """The mask of an output of any call of a layer."""
    masks = {_at(each, output) for each in calls}
    return masks.pop() if len(masks) == 1 else next((str(mask) for mask in sorted(map(str, masks - {None}))), None)


def _at(masks: list[Mask], output: int) -> Mask:
    return masks[min(output, len(masks) - 1)] if masks else None


def _arguments(call: Config, found: dict[tuple[str, int], list[Mask]]) -> tuple[list[Mask], Config]:
    """Masks of the tensors in the first argument, and what is given by name; tensors there as their masks."""

    def masks(value: Any) -> list[Mask]:
        return [_at(found.get((name, number), []), output) for name, number, output in _places(value)]

    args, kwargs = call.get("args") or [], call.get("kwargs") or {}
    first, *others = args or [None]
    named: Config = {f"_{i}": masks(each) for i, each in enumerate(others)}
    for key, value in kwargs.items():
        places = masks(value)
        named[key] = places if places else value
    found_first = masks(first) or [None]
    if isinstance(first, dict) and "class_name" not in first and len(set(found_first)) > 1:
        # By name: which of a model's inputs each belongs to is not looked into.
        found_first = [str(next(mask for mask in found_first if mask is not None))] * len(found_first)
    return found_first, named


def _places(value: Any) -> Iterator[Place]:
    """Where the tensors in the arguments of a call come from."""
    todo = [value]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            place = node.get("keras_history")
            if isinstance(place, list) and len(place) == 3 and isinstance(place[0], str):
                yield place[0], int(place[1]), int(place[2])
            else:
                todo += list(node.values())[::-1]
        elif isinstance(node, list):
            todo += node[::-1]


def _ends(value: Any) -> list[Place]:
    """The places in ``input_layers`` or ``output_layers``, in order."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
        return [(value[0], value[1], int(value[2]))]
    if isinstance(value, dict):
        value = list(value.values())
    return [place for each in value for place in _ends(each)] if isinstance(value, list) else []


def _given(inputs: Inputs, where: str) -> list[Mask]:
    """The masks of what a layer gives."""
    name, config = inputs.name, inputs.config
    first = inputs.masks[0] if inputs.masks else None
    several = {mask for mask in inputs.masks if mask is not None}
    if name == "Masking" or (name == "Embedding" and config.get("mask_zero")):
        known = inputs.rank == (3 if name == "Masking" else 2)
        return [where if known else where + ODD]
    if name in ENDS:
        return [None]
    if name in RECURRENT or name == "Bidirectional":
        layer = config.get("layer", {}).get("config", {}) if name == "Bidirectional" else config
        both = name == "Bidirectional" and config.get("merge_mode", "concat") is None
        return [*([first] * (1 + both) if layer.get("return_sequences") else [None] * (1 + both)), None]
    if name == "TimeDistributed":
        within = inputs.kwargs.get("_layer", [None])[0]
        return [first if within is None or within == first else where + ODD]
    if name == "MultiHeadAttention":
        return [first, where + ODD]  # the scores have that of the scores
    if name in FIRST_ONLY:
        return [first, None]
    if len(several) < 2:
        return [next(iter(several), None)]
    return [where + ODD if odd(several) else where]
