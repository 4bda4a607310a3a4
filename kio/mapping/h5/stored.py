"""The file's side of a legacy match: layers in order, each with its weights in order.

model_weights/             layer_names: order of the layers
model_weights/dense/       weight_names: order of the weights, as paths below the group
layer_3/param_0            Keras 0.x: nb_layers and nb_params count instead
graph/param_0              a Graph of Keras 0.x: all weights of the model in one group
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kio.errors import CorruptError, shown
from kio.limits import COUNTED_ITEMS
from kio.mapping.h5.convert import Era
from kio.raw.tensor import Tensor

TOP = "top_level_model_weights"
# TensorFlow numbers the outputs of what makes a variable, Theano has none; only Keras 1 called kernels W.
_OF_TENSORFLOW = re.compile(r".+:\d+")
_OF_THEANO = re.compile(r"[^/:]+_W(?:_[a-z]+)?")
# tf.keras 2.3 to 2.6 stored the state of random layers among their weights.
_STATE = frozenset({"StateVar", "StateVar:0"})
# What tf.keras's Discretization has seen; today it is no variable.
_SUMMARY = frozenset({"summary", "summary:0"})


@dataclass(slots=True)
class StoredLayer:
    """One layer of the file: its name, its tensors in order and the names they were given."""

    name: str
    tensors: list[Tensor]
    names: list[str]


class StoredLayers:
    """A legacy file, or the part of it below ``model_weights``.

    Attributes:
        layers: Layers that have weights, in order.
        own: The model's own weights, None where the file has no such group.
        era: The file's marks; of Keras 1, which stored no backend, the one that the names tell.
        optimizer: What ``optimizer_weights`` lists, None without it.
        summaries: What each Discretization has seen, by the layer's name.
        states: Names of random states, which today's layers do not store.
        used: Names of all tensors that belong to a layer, to the model or to the optimizer.
        told: The backend, where it was the names that told it.
        counted: Keras 0.x: weights are known by number only; ``"graph"`` has no layers either.

    Args:
        checkpoint: Of a legacy HDF5 file.
        backend: Of the writer, whatever the file says; None: what the file says.

    Raises:
        CorruptError: if a list names what is not there.
    """

    def __init__(self, checkpoint: Any, backend: str | None = None) -> None:
        self._checkpoint = checkpoint
        metadata: Mapping[str, Any] = getattr(checkpoint, "metadata", None) or {}
        self.era = Era(metadata.get("keras_version"), backend or metadata.get("backend"))
        self.summaries: dict[str, Tensor] = {}
        self.states: list[str] = []
        self.used: set[str] = set()
        root = self._attributes("")
        prefix = "" if _has(root, "layer_names") or "nb_layers" in root else "model_weights"
        marks = root if not prefix else self._attributes(prefix)
        self.counted = self.told = ""
        if "nb_layers" in marks:
            self.counted = "layers"
            names = [f"layer_{k}" for k in range(_number(marks["nb_layers"], "nb_layers", checkpoint))]
        elif _has(marks, "layer_names"):
            names = _list(marks, "layer_names")
        elif "nb_params" in self._attributes("graph"):
            self.counted, prefix, names = "graph", "", ["graph"]
        else:
            names = []
        below = prefix + "/" if prefix else ""
        found = [self._layer(below + name, name) for name in names]
        self.layers = [layer for layer in found if layer.tensors]
        if self.era.keras1 and self.era.backend is None:
            told = _backend(name for layer in self.layers for name in layer.names)
            self.era, self.told = replace(self.era, backend=told), told or ""
        names_of_1 = (name for layer in self.layers for name in layer.names) if self.era.keras1 else ()
        running = any("running_std" in name for name in names_of_1)
        self.era = replace(self.era, counted=bool(self.counted), whole=bool(prefix), running_std=running)
        top = self._attributes(below + TOP)
        self.own = self._layer(below + TOP, TOP) if _has(top, "weight_names") else None
        has_optimizer = _has(self._attributes("optimizer_weights"), "weight_names")
        self.optimizer = self._layer("optimizer_weights", "optimizer_weights") if has_optimizer else None

    def _attributes(self, path: str) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = self._checkpoint.attributes(path)
        except KeyError:
            return {}
        return found

    def _layer(self, path: str, name: str) -> StoredLayer:
        marks = self._attributes(path)
        if "nb_params" in marks and not _has(marks, "weight_names"):
            names = [f"param_{k}" for k in range(_number(marks["nb_params"], "nb_params", self._checkpoint))]
        else:
            names = _list(marks, "weight_names")
        layer = StoredLayer(name, [], [])
        for each in names:
            where = f"{path}/{each}"
            tensor = self._checkpoint.get(where)
            if tensor is None:
                raise CorruptError(
                    f"weight_names of {shown(path)}: expected a dataset for each, found none at {shown(where)}",
                    source=getattr(self._checkpoint, "name", None),
                )
            self.used.add(where)
            if each.rpartition("/")[2] in _STATE:
                self.states.append(where)
                continue
            if each.rpartition("/")[2] in _SUMMARY:
                self.summaries[name] = tensor
                continue
            layer.tensors.append(tensor)
            layer.names.append(each)
        return layer


def _backend(names: Iterable[str]) -> str | None:
    """The backend on which Keras 1 named these weights; None where they do not agree, or do not tell."""
    told = set()
    for name in names:
        if _OF_THEANO.fullmatch(name):
            told.add("theano")
        elif _OF_TENSORFLOW.fullmatch(name):
            told.add("tensorflow")
    return told.pop() if len(told) == 1 else None


def _has(marks: Mapping[str, Any], name: str) -> bool:
    return name in marks or name + "0" in marks


def _list(marks: Mapping[str, Any], name: str) -> list[str]:
    """A list of names; in pieces where it did not fit into one attribute."""
    if name in marks:
        return _texts(marks[name])
    found: list[str] = []
    piece = 0
    while f"{name}{piece}" in marks:
        found += _texts(marks[f"{name}{piece}"])
        piece += 1
    return found


def _texts(value: Any) -> list[str]:
    if isinstance(value, (str, bytes)):
        value = [value]
    # An empty list was stored as an array of no floats.
    return [v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else str(v) for v in value]


def _number(value: Any, name: str, checkpoint: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number <= COUNTED_ITEMS:
        raise CorruptError(
            f"{name}: expected a number of layers or weights, found {shown(str(value))}",
            source=getattr(checkpoint, "name", None),
        )
    return number
