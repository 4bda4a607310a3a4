"""Keras 0.x: rows of layers and graphs of named nodes, rewritten in the grammar of Keras 1.

    {"name": "Sequential", "layers": [{"name": "Dense", "custom_name": …, …}, …]}
    {"name": "Graph", "input_config": […], "node_config": […], "output_config": […], "nodes": {…}}

Classes go by ``name``, names by ``custom_name``, which need not be unique.  A node of a graph
takes one ``input``, or several ``inputs`` merged on the way in.  A row may begin with a
``Merge`` of other rows.  What a model was compiled with lies among its own keys.

Spec: ``container_from_config`` of ``keras/utils/layer_utils.py`` and ``keras/layers/containers.py``
of Keras 0.3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kio.errors import CorruptError, LimitError, shown
from kio.limits import DEFAULT, Limits
from kio.models.eras.rule import Config, refuse

SOURCE = "keras/layers of Keras 0.3.3"

_ROWS, _GRAPHS = "Sequential", "Graph"
_BUILD = "build the model in code and use kio.load_weights"
# Arguments by their names in Keras 1.
_RENAMED = {"Reshape": {"dims": "target_shape"}}
# Layers of images that had an ordering and did not store it: Theano's.
_UNORDERED = frozenset({"UpSampling2D", "UpSampling3D", "ZeroPadding2D", "ZeroPadding3D"})
_MERGES = ("sum", "mul", "concat", "ave")
_OF_CODE = frozenset({"Lambda", "MaskedLambda"})
_GONE = frozenset({"Merge", "LambdaMerge", "Siamese", "SiameseHead", "JZS1", "JZS2", "JZS3"})

Place = list[Any]


@dataclass(slots=True)
class Old:
    """A model of Keras 0.x in the grammar of Keras 1.

    Attributes:
        config: Class and arguments.
        order: Names of the outermost layers in the order of their weights in a file.
        training: What it was compiled with, as Keras 1 would have stored it; None if it was not.
    """

    config: Config
    order: tuple[str, ...]
    training: Config | None = None


def is_old(config: Config) -> bool:
    """Whether this is a model of Keras 0.x."""
    name = config.get("name")
    inside = {_ROWS: "layers", _GRAPHS: "nodes"}.get(name) if isinstance(name, str) else None
    return "class_name" not in config and inside in config


def convert(config: Config, limits: Limits = DEFAULT) -> Old:
    """Rewrite a model of Keras 0.x.

    Args:
        config: Parsed.
        limits: ``config_nodes`` caps what shared nodes multiply to.

    Raises:
        UpgradeError: for what has no equal today.
        CorruptError: for what no Keras wrote.
    """
    names = _Names()
    if config["name"] == _GRAPHS:
        made = _Graph(names, limits).convert(config)
    else:
        layers = _list(config, "layers")
        if layers and _class(layers[0]) == "Merge":
            made = _merged(layers, names)
        else:
            rows = _row(layers, names)
            made = Old({"class_name": _ROWS, "config": rows}, tuple(each["config"]["name"] for each in rows))
    made.training = _training(config)
    return made


def _training(config: Config) -> Config | None:
    stored = config.get("optimizer")
    if not isinstance(stored, dict) or not isinstance(stored.get("name"), str):
        return None
    inner = {key: value for key, value in stored.items() if key != "name"}
    optimizer = {"class_name": stored["name"], "config": inner}
    return {"optimizer_config": optimizer, "loss": config.get("loss"), "metrics": None}


# ------------------------------------------------------------------------------ layers


@dataclass(slots=True)
class _Names:
    """Names that are unique in a model, which those of Keras 0.x were not."""

    taken: set[str] = field(default_factory=set)

    def of(self, wanted: Any, kind: str) -> str:
        stem = name = wanted if isinstance(wanted, str) and wanted else kind.lower()
        number = 1
        while name in self.taken:
            name = f"{stem}_{number}"
            number += 1
        self.taken.add(name)
        return name


def _class(node: Any) -> str:
    if not isinstance(node, dict) or not isinstance(node.get("name"), str):
        raise CorruptError(f"layer of Keras 0.x: expected an object with a name, found {shown(str(node))}")
    return str(node["name"])


def _list(config: Config, key: str) -> list[Any]:
    value = config.get(key)
    if not isinstance(value, list):
        raise CorruptError(f"{key}: expected a list, found {shown(str(value))}")
    return value


def _row(nodes: Sequence[Any], names: _Names) -> list[Config]:
    """Layers one after the other; where the first is a row of its own, what goes in is said before it."""
    made = [_layer(each, names) for each in nodes]
    if made and made[0]["class_name"] == _ROWS:
        given = _input(names.of(None, "input"), _first_shape(nodes[0]), "float32")
        made.insert(0, {"class_name": given["class_name"], "config": given["config"]})
    return made


def _layer(node: Any, names: _Names, name: str | None = None) -> Config:
    """One layer, or a row or a pair of rows in the place of one."""
    cls = _class(node)
    if cls == _GRAPHS:
        raise refuse("Graph inside another model", "a Graph alone", cls, _BUILD)
    if cls == "AutoEncoder":
        if node.get("output_reconstruction") is not True:
            raise refuse("output_reconstruction of an AutoEncoder", "True", node.get("output_reconstruction"), _BUILD)
        called = name or names.of(node.get("custom_name"), cls)
        inner = _row([node.get(key) for key in ("encoder_config", "decoder_config")], _Names())
        return {"class_name": _ROWS, "config": {"name": called, "layers": inner}}
    if cls == _ROWS:
        called = name or names.of(node.get("custom_name"), cls)
        return {"class_name": _ROWS, "config": {"name": called, "layers": _row(_list(node, "layers"), _Names())}}
    if cls in _GONE:
        raise refuse("layer of Keras 0.x", "one that Keras 3 has an equal of in this place", cls, _BUILD)
    inner_config = {key: value for key, value in node.items() if key not in ("name", "custom_name", "cache_enabled")}
    inner_config["name"] = name or names.of(node.get("custom_name"), cls)
    for old, new in _RENAMED.get(cls, {}).items():
        if old in inner_config:
            inner_config[new] = inner_config.pop(old)
    shape = _shape(node)
    inner_config.pop("input_shape", None)
    if shape is not None:
        inner_config["batch_input_shape"] = shape
    if cls in _UNORDERED:
        inner_config.setdefault("dim_ordering", "th")
    if cls in _OF_CODE:
        # Bytecode of Python: whoever walks the result refuses it as such.
        cls = "Lambda"
        inner_config |= {"function": [node.get("function"), None, None], "function_type": "lambda"}
    if isinstance(inner_config.get("layer"), dict):
        inner_config["layer"] = _layer(inner_config["layer"], _Names())
    if cls == "TimeDistributedMerge" and inner_config.get("mode") == "ave":
        del inner_config["mode"]
        cls = "GlobalAveragePooling1D"
    return {"class_name": cls, "config": inner_config}


def _shape(node: Config) -> list[Any] | None:
    """Of a first layer's inputs, batch first."""
    if _class(node) == "Embedding":
        # What it stores as its input_shape is the size of its vocabulary.
        return [None, node.get("input_length")] if "input_shape" in node else None
    for key, before in (("batch_input_shape", []), ("input_shape", [None])):
        if isinstance(node.get(key), list):
            return [*before, *node[key]]
    return None


def _first_shape(node: Any) -> list[Any]:
    """Of the inputs of a row, from its first layer."""
    while _class(node) in (_ROWS, "AutoEncoder"):
        node = node.get("encoder_config") if _class(node) == "AutoEncoder" else (_list(node, "layers") or [None])[0]
    shape = _shape(node)
    if shape is None or _class(node) in _GONE:
        raise refuse("row of Keras 0.x", "an input shape in its first layer", _class(node), _BUILD)
    return shape


# ------------------------------------------------------------------------------ graphs


def _merge(name: str, mode: Any, places: Sequence[Place], stored: Config) -> Config:
    if mode not in _MERGES:
        raise refuse(f"merge_mode of {shown(name)}", ", ".join(_MERGES), mode, _BUILD)
    inner = {"name": name, "mode": mode, "concat_axis": stored.get("concat_axis", -1)}
    return {"class_name": "Merge", "config": inner, "name": name, "inbound_nodes": [[*places]]}


def _input(name: str, shape: list[Any], dtype: str) -> Config:
    inner = {"name": name, "batch_input_shape": shape, "input_dtype": dtype}
    return {"class_name": "InputLayer", "config": inner, "name": name, "inbound_nodes": []}


def _functional(layers: list[Config], inputs: list[Place], outputs: list[Place], order: Sequence[str]) -> Old:
    inner = {"name": "model", "layers": layers, "input_layers": inputs, "output_layers": outputs}
    return Old({"class_name": "Model", "config": inner}, tuple(order))


def _called(layer: Config, calls: list[list[Place]]) -> tuple[Config, int]:
    """A layer as a member of a graph, and the number of its first call."""
    name = layer["config"]["name"]
    # The making of a model was its call 0.
    return {**layer, "name": name, "inbound_nodes": calls}, int(layer["class_name"] == _ROWS)


def _merged(layers: list[Any], names: _Names) -> Old:
    """A row that begins with a merge of rows: several inputs."""
    first = layers[0]
    made: list[Config] = []
    inputs: list[Place] = []
    ends: list[Place] = []
    order: list[str] = []
    for i, branch in enumerate(_list(first, "layers")):
        given = _input(names.of(None, f"input_{i + 1}"), _first_shape(branch), "float32")
        inputs.append([given["name"], 0, 0])
        member, call = _called(_layer(branch, names), [[inputs[-1]]])
        made += [given, member]
        ends.append([member["name"], call, 0])
        order.append(member["name"])
    made.append(_merge(names.of(first.get("custom_name"), "merge"), first.get("mode"), ends, first))
    last: Place = [made[-1]["name"], 0, 0]
    for each in layers[1:]:
        member, call = _called(_layer(each, names), [[last]])
        made.append(member)
        order.append(member["name"])
        last = [member["name"], call, 0]
    return _functional(made, inputs, [last], order)


class _Graph:
    """Converts one graph.

    Attributes:
        places: What each name of the graph stands for.
        heads: What each layer that is called on several inputs gives, one place a call.
    """

    def __init__(self, names: _Names, limits: Limits) -> None:
        self.names, self.limits = names, limits
        self.layers: list[Config] = []
        self.places: dict[str, Place] = {}
        self.heads: dict[str, list[Place]] = {}
        self.order: list[str] = []
        self.calls = 0

    def convert(self, config: Config) -> Old:
        nodes = config["nodes"]
        if not isinstance(nodes, dict):
            raise CorruptError(f"nodes: expected an object, found {shown(str(nodes))}")
        inputs, outputs = [self.named(each) for each in _list(config, "input_config")], _list(config, "output_config")
        for name, stored in inputs:
            shape = _shape({**stored, "name": "Layer"})
            if shape is None:
                raise CorruptError(f"input_config of {shown(name)}: expected a shape, found none")
            self.define(name, [self.names.of(name, name), 0, 0])
            self.layers.append(_input(name, shape, "int32" if stored.get("dtype") == "int" else "float32"))
        for name, stored in map(self.named, _list(config, "node_config")):
            self.node(name, stored, nodes.get(name))
        found = {name: self.output(name, stored) for name, stored in map(self.named, outputs)}
        if len(found) < len(outputs):
            raise CorruptError(f"output_config: expected {len(outputs)} names, found {len(found)}")
        ordered = config.get("output_order")
        if not isinstance(ordered, list) or not all(isinstance(name, str) for name in ordered):
            ordered = []
        if sorted(ordered) != sorted(found):
            ordered = list(found)
        first = [self.places[name] for name, _ in inputs]
        return _functional(self.layers, first, [found[name] for name in ordered], self.order)

    def named(self, stored: Any) -> tuple[str, Config]:
        return _class(stored), stored

    def define(self, name: str, place: Place) -> None:
        if name in self.places or name in self.heads:
            raise CorruptError(f"Graph: expected every name once, found {shown(name)} twice")
        self.places[name] = place

    def at(self, name: Any) -> Place:
        place = self.places.get(name) if isinstance(name, str) else None
        if place is None:
            raise CorruptError(f"Graph: expected the name of an input or of an earlier node, found {shown(str(name))}")
        return place

    def merged(self, name: str, mode: Any, inputs: Sequence[Place], stored: Config) -> Place:
        """Several places as one, by a layer of this name."""
        if len(inputs) < 2:
            raise CorruptError(f"inputs of {shown(name)}: expected two or more, found {len(inputs)}")
        self.layers.append(_merge(self.names.of(name, name), mode, inputs, stored))
        return [self.layers[-1]["name"], 0, 0]

    def node(self, name: str, stored: Config, layer: Any) -> None:
        cls = _class(layer)
        if cls == "SiameseHead":
            owner, head = stored.get("inputs"), layer.get("head")
            owners = owner if isinstance(owner, list) and all(isinstance(each, str) for each in owner) else []
            calls = self.heads.get(owners[0], []) if len(owners) == 1 else []
            if not isinstance(head, int) or not 0 <= head < len(calls):
                raise CorruptError(f"node {shown(name)}: expected a call of a shared node, found {shown(str(head))}")
            self.define(name, calls[head])
            return
        if cls == "Siamese":
            self.shared(name, stored, layer.get("layer"))
            return
        if stored.get("inputs"):
            given = [self.at(each) for each in _list(stored, "inputs")]
            source = self.merged(f"merge_inputs_for_{name}", stored.get("merge_mode"), given, stored)
        else:
            source = self.at(stored.get("input"))
        member, call = _called(_layer(layer, self.names, self.names.of(name, name)), [[source]])
        self.add(name, member, [member["name"], call, 0])

    def shared(self, name: str, stored: Config, layer: Any) -> None:
        """A layer that is called on several inputs, its outputs merged or each under a name of its own."""
        given: list[Place] = []
        for each in _list(stored, "inputs"):
            more = self.heads[each] if isinstance(each, str) and each in self.heads else [self.at(each)]
            self.calls += len(more)
            if self.calls > self.limits.config_nodes:
                # Each shared node may double the calls of the one before.
                raise LimitError(
                    f"Graph: expected at most limits.config_nodes={self.limits.config_nodes} calls of shared nodes, "
                    "found more",
                    field="config_nodes",
                    hint="each shared node may double the calls of the one before",
                )
            given += more
        mode = stored.get("merge_mode")
        inner = f"{name}_shared" if mode else name
        member, call = _called(_layer(layer, self.names, self.names.of(inner, inner)), [[place] for place in given])
        heads = [[member["name"], call + i, 0] for i in range(len(given))]
        if not mode:
            if name in self.places or name in self.heads:
                raise CorruptError(f"Graph: expected every name once, found {shown(name)} twice")
            self.heads[name] = heads
        self.layers.append(member)
        self.order.append(member["name"])
        if mode:
            self.define(name, self.merged(name, mode, heads, stored))

    def add(self, name: str, member: Config, place: Place) -> None:
        self.define(name, place)
        self.layers.append(member)
        self.order.append(member["name"])

    def output(self, name: str, stored: Config) -> Place:
        if stored.get("inputs"):
            given = [self.at(each) for each in _list(stored, "inputs")]
            return self.merged(name, stored.get("merge_mode"), given, stored)
        source = self.at(stored.get("input"))
        if source[0] == name:
            return source
        # Keeps the output's name, which losses go by.
        called = self.names.of(name, name)
        inner = {"name": called, "activation": "linear"}
        self.layers.append({"class_name": "Activation", "config": inner, "name": called, "inbound_nodes": [[source]]})
        return [called, 0, 0]
