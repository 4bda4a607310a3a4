"""Models and layers in the grammar of tf.keras 2."""

from __future__ import annotations

from typing import Any

from kio.errors import shown
from kio.keras_private import ops
from kio.models.eras.downgrade import graph
from kio.models.eras.downgrade.table import ACTIVATIONS, MISSING, NEUTRAL, NEUTRAL_OF, OTHER_NAMES, OWN, RENAMED

Config = dict[str, Any]

MODELS = ("Functional", "Sequential", "Model")
_POLICIES = frozenset({"DTypePolicy", "FloatDTypePolicy"})
_WITHIN = ("layer", "backward_layer", "cell")


class Layers:
    """One downgrade.

    Attributes:
        problems: What tf.keras 2 cannot express.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []

    # ------------------------------------------------------------------------- models

    def model(self, node: Config) -> Config:
        """A model, and all below it."""
        name, inner = class_of(node), node.get("config")
        if name == "Sequential" and isinstance(inner, dict):
            kept = {"name": inner.get("name"), "layers": [self.layer(each) for each in inner.get("layers", ())]}
            return {"class_name": name, "config": kept}
        if name in ("Functional", "Model") and isinstance(inner, dict) and "input_layers" in inner:
            return {"class_name": name, "config": self.functional(inner)}
        self.problems.append(f"model of the class {shown(name)}, which tf.keras 2 cannot build")
        return node

    def functional(self, inner: Config) -> Config:
        """A functional model's configuration."""
        stored = inner["layers"]
        nested = {each["name"] for each in stored if class_of(each) in MODELS}
        sequential = {each["name"] for each in stored if each.get("class_name") == "Sequential"}
        calls = graph.Calls(nested, sequential, self.problems)
        made = []
        for each in stored:
            layer = self.layer(each)
            layer["name"] = each["name"]
            layer["inbound_nodes"] = [calls.call(call, class_of(each)) for call in each["inbound_nodes"]]
            made.append(layer)
        kept = {"name": inner.get("name"), "trainable": inner.get("trainable", True), "layers": made}
        for key in ("input_layers", "output_layers"):
            kept[key] = calls.places(inner[key])
        return kept

    # ------------------------------------------------------------------------- layers

    def layer(self, node: Config) -> Config:
        """One layer."""
        name, inner = class_of(node), node.get("config")
        if name in MODELS:
            return self.model(node)
        if str(node.get("module")).startswith(ops("")):
            self.problems.append(f"operation {shown(name)}")
            return {"class_name": name, "config": inner}
        if name.startswith("kio>") or (">" not in name and name in MISSING["layers"]):
            self.problems.append(f"layer {shown(name)}")
        inner = inner if isinstance(inner, dict) else {}
        made = self.arguments(name, _unforced(inner) if name == "Bidirectional" else inner)
        if name == "MultiHeadAttention":
            # Its from_config takes them out, and builds the layer if they are there.
            made.update(dict.fromkeys(("query_shape", "key_shape", "value_shape")))
        if "module" in node:
            module = "keras.layers" if node.get("class_name") in OWN else node["module"]
            return {"module": module, "class_name": name, "config": made, "registered_name": None}
        return {"class_name": name, "config": made}

    def arguments(self, name: str, inner: Config) -> Config:
        """Arguments of one object, those that tf.keras 2 knows, by its names."""
        made: Config = {}
        for key, value in inner.items():
            neutral = NEUTRAL_OF.get((name, key), NEUTRAL.get(key, ()))
            if (name, key) in NEUTRAL_OF or key in NEUTRAL:
                if not any(value == each for each in neutral):
                    self.problems.append(f"{name}({key}={shown(str(value))})")
                continue
            made[RENAMED.get((name, key), key)] = self.value(name, key, value)
        return made

    def value(self, name: str, key: str, value: Any) -> Any:
        """One argument."""
        if key.endswith("activation") or (name == "Activation" and key == "activation"):
            return self.activation(value)
        if isinstance(value, list):
            return [self.value(name, key, each) for each in value]
        if not isinstance(value, dict) or "class_name" not in value:
            return value
        if value["class_name"] in _POLICIES:
            return value["config"]["name"]
        if key in _WITHIN or key == "cells":
            return self.layer(value)
        if key == "dtype":
            self.problems.append(f"dtype {shown(str(value['class_name']))} of {name}")
            return value
        return self.object(value)

    def object(self, value: Config) -> Config:
        """An initializer, regularizer, constraint, schedule, …"""
        name = str(value["class_name"])
        inner = value.get("config")
        if name in MISSING["initializers"]:
            self.problems.append(f"initializer {name}")
        if not isinstance(inner, dict):
            return value
        if isinstance(inner.get("seed"), dict):
            self.problems.append(f"a seed of {name} that is an object")
        kept: Config = {key: value[key] for key in ("module", "class_name", "registered_name") if key in value}
        return {**kept, "config": self.arguments(name, inner)}

    def activation(self, value: Any) -> Any:
        """An activation by name; the user's own as it is."""
        name = value.get("config") if isinstance(value, dict) and value.get("class_name") == "function" else value
        if not isinstance(name, str):
            return value if value is None else self.object(value)
        name = OTHER_NAMES.get(name, name)
        if name not in ACTIVATIONS and (value == name or str(value.get("module")).startswith("keras")):
            self.problems.append(f"activation {name}, which is none or another one there")
        return name


def _unforced(inner: Config) -> Config:
    """Arguments of a layer for both directions without what either Keras makes of its parts by itself."""
    made = dict(inner)
    for key in ("layer", "backward_layer"):
        part = made.get(key)
        if isinstance(part, dict) and isinstance(part.get("config"), dict):
            own = dict(part["config"])
            if own.get("zero_output_for_mask") == own.get("return_sequences", False):
                own.pop("zero_output_for_mask", None)
            made[key] = {**part, "config": own}
    return made


def class_of(node: Config) -> str:
    """The class that tf.keras 2 knows a layer by."""
    name = str(node.get("class_name"))
    registered = str(node.get("registered_name"))
    return OWN.get(name) or (OWN.get(registered, name) if node.get("module") == "kio.layers" else name)
