"""Layers and models of an old configuration, one by one.

Every layer comes out with its module, so that nothing behind this falls back to Keras's
own reading of old grammars, which knows less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kio.errors import CorruptError, shown
from kio.keras_private import FUNCTIONAL, ops
from kio.models.allowlist import builtin_class
from kio.models.eras import keras3_adapt
from kio.models.eras.rule import Config, Context, Rule, refuse
from kio.models.eras.upgrade import graph, keras1, keras2, masks, names, objects, tf_ops

_FUNCTIONAL = {"module": FUNCTIONAL, "class_name": "Functional", "registered_name": "Functional"}
_SEQUENTIAL = {"module": "keras", "class_name": "Sequential", "registered_name": None}

# Layers that Keras no longer has and kio does.
KIO_LAYERS = frozenset(
    {
        "LocallyConnected1D",
        "LocallyConnected2D",
        "Highway",
        "MaxoutDense",
        "RandomFourierFeatures",
        "RandomHeight",
        "RandomWidth",
        "ParametricSoftplus",
        "SReLU",
        "CosineMerge",
        "ThresholdedLinear",
        "TimeDistributedMerge",
    }
)

# Interpolations that are the same on every backend of Keras 3.
_PLAIN = ("bilinear", "nearest")
_BIASED = (
    *("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv2D"),
)
_AVERAGES = ("AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
# Layers that Keras 3 has, but not with these arguments: kio's of the same name takes them.
# Asked with the arguments, and with the shape of the inputs or None.
_KIO_WHERE: dict[str, Callable[[Config, Any], bool]] = {
    "Resizing": lambda c, _: c.get("interpolation", "bilinear") not in _PLAIN,
    "UpSampling2D": lambda c, _: c.get("interpolation", "nearest") not in _PLAIN,
    "RandomCrop": lambda c, _: True,
    "SimpleRNN": lambda c, _: c.get("activity_regularizer") is not None,
    **dict.fromkeys(_BIASED, lambda c, _: _bias_misplaced(c)),
    "SeparableConv1D": lambda c, _: c.get("padding") == "causal" or _bias_misplaced(c),
    "LayerNormalization": lambda c, shape: _axes_misread(c, shape),
    # JAX's own attention wants values as wide as keys.
    "MultiHeadAttention": lambda c, _: bool(
        (keras.config.backend() == "jax" and c.get("value_dim") not in (None, c.get("key_dim")))
        or c.get("softmax_robust_masking")
    ),
    # SciPy, behind the numpy backend, wants a tuple.
    "Softmax": lambda c, _: bool(
        (isinstance(c.get("axis"), list) and keras.config.backend() == "numpy") or c.get("robust_masking")
    ),
    "TimeDistributed": lambda c, shape: _normalizes(c) or _regularizes(c) or _steps_miscounted(shape),
    **dict.fromkeys(_AVERAGES, lambda c, _: _padding_counted(c)),
}

_ACTIVATIONS = ("activation", "recurrent_activation")


def _by_class(rules: tuple[Rule, ...]) -> tuple[dict[str, list[Rule]], list[Rule]]:
    table: dict[str, list[Rule]] = {}
    for rule in rules:
        for name in rule.classes or ():
            table.setdefault(name, []).append(rule)
    return table, [rule for rule in rules if rule.classes is None]


_RULES = (_by_class(keras1.RULES), _by_class(keras2.RULES))


class Layers:
    """Upgrades a configuration under one context."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.root: Config = {}

    # ------------------------------------------------------------------------- models

    def model(self, config: Config) -> Config:
        """A whole model: the outermost object of a configuration."""
        context = self.context
        context.renamed = {} if context.era.modern else names.slashed(config)
        if context.renamed:
            config = names.renamed(config, context.renamed)
            context.applied["name with slashes"] += len(context.renamed)
        self.root = {k: v for k, v in config.items() if k not in ("keras_version", "backend")}
        made = self.layer(self.root)
        if not context.era.modern:
            masks.keep(made, context)
        return made

    def functional(self, node: Config) -> Config:
        inner = dict(node["config"])
        stored = inner.get("layers")
        if not isinstance(stored, list) or not all(isinstance(each, dict) and "name" in each for each in stored):
            raise CorruptError("layers of a model: expected a list of layers with names, found something else")
        legacy = any(graph.is_legacy(each.get("inbound_nodes")) for each in stored)
        nested = {each["name"] for each in stored if self.is_model(each)} if legacy else set()
        calls = graph.Calls({each["name"] for each in stored}, nested)
        made = [tf_ops.sliced(self.member(each, calls), self.context) for each in stored]
        inner["layers"] = made
        if legacy:
            self.context.applied["calls in lists"] += 1
            if nested:
                self.context.applied["calls of nested models"] += len(nested)
        # Up to 3.10 one input or output is written as a list of one, whatever the model was made with.
        written = self.context.era.version
        listed = legacy or (written is not None and (3,) <= written < (3, 11))
        single = listed and keras3_adapt.installed() >= (3, 4)
        # Today's reader takes one off for functional models, not for sequential ones.
        sequential = {each["name"] for each in made if each.get("class_name") == "Sequential"} & nested

        def number(name: str, call: int) -> int:
            return call - 1 if name in sequential and call > 0 else call

        for key in ("input_layers", "output_layers"):
            if key in inner and listed:
                inner[key] = graph.places(inner[key], number, single)
        inner.setdefault("name", None)
        # A model in which one call has a mode of its own tells all calls theirs, and so do the models around it.
        modes = legacy and any(_has_mode(each) or each["class_name"] == "Functional" == _kios(each) for each in made)
        return self.finish(node, objects.kio_class("Functional", self.context) if modes else _FUNCTIONAL, inner)

    def is_model(self, node: Config) -> bool:
        """Whether a member of a functional model is itself a model that Keras made a call for."""
        inner = node.get("config")
        return node.get("class_name") in ("Model", "Functional", "Sequential") or (
            isinstance(inner, dict) and "layers" in inner and "input_layers" in inner
        )

    def member(self, node: Config, calls: graph.Calls) -> Config:
        """One layer of a functional model, with its calls."""
        stored = node.get("inbound_nodes", [])
        if node.get("class_name") in tf_ops.LAYERS and not self.context.is_custom(node["class_name"]):
            return tf_ops.upgrade(node, calls, self.context)
        made = self.layer({k: v for k, v in node.items() if k not in ("inbound_nodes", "name")})
        extra = made["config"].pop("_kio_call", None) if isinstance(made["config"], dict) else None
        made["name"] = node["name"]
        made["inbound_nodes"] = stored
        if graph.is_legacy(stored):
            made["inbound_nodes"] = calls.upgrade(stored, made["class_name"], extra)
        return made

    def sequential(self, node: Config) -> Config:
        inner = node["config"]
        if isinstance(inner, list):
            self.context.applied["sequential model as a list"] += 1
            inner = {"layers": inner}
        if not isinstance(inner, dict) or not isinstance(inner.get("layers"), list):
            raise CorruptError(f"Sequential: expected a list of layers, found {shown(str(inner))}")
        stored = inner["layers"]
        if stored and isinstance(stored[0], dict) and stored[0].get("class_name") == "Merge":
            raise refuse(
                "Sequential of Keras 1", "one input", "several, merged by its first layer",
                "build the model in code as a functional one and use kio.load_weights",
            )  # fmt: skip
        made: list[Config] = []
        for i, each in enumerate(stored):
            shape = _input_shape(each) if i == 0 else None
            layer = self.layer(each)
            if shape is not None and layer["class_name"] not in ("InputLayer", "Functional", "Sequential"):
                made.append(_input(layer, shape, each))
                self.context.applied["input shape of the first layer"] += 1
            if isinstance(layer["config"], dict) and "_kio_call" in layer["config"]:
                raise refuse("causal", "False in a sequential model", True)
            made.append(layer)
        if len(made) == 1 and (first := _first_input(made[0])) is not None:
            # Today a model around a model alone is built when it is called, not before.
            made.insert(0, {**first, "config": {**first["config"], "name": f"{first['config'].get('name')}_outer"}})
        inner = {**inner, "layers": made}
        inner.setdefault("name", "sequential")
        if made and made[0]["class_name"] == "InputLayer":
            inner.pop("build_input_shape", None)
        return self.finish(node, _SEQUENTIAL, inner)

    # ------------------------------------------------------------------------- layers

    def layer(self, node: Any) -> Config:
        """A layer or model in today's grammar; the user's own classes stay as they are."""
        if not isinstance(node, dict) or not isinstance(node.get("class_name"), str) or "config" not in node:
            raise CorruptError(f"layer: expected class_name and config, found {shown(str(node))}")
        registered = node.get("registered_name") or node["class_name"]
        if self.context.is_custom(registered) or self.context.is_custom(node["class_name"]):
            return self.custom(node)
        stored_name = node["class_name"].rpartition(">")[2]
        name = keras1.CLASSES.get(stored_name, stored_name)
        name = keras2.CLASSES.get(name, name)
        if ">" in node["class_name"]:
            return self.custom(node)  # registered by somebody: never one of Keras's own
        if str(node.get("module")).startswith(ops("")):
            return node  # an operation of Keras 3, whatever layer has the same name
        inner = node["config"]
        if name == "Sequential":
            return self.sequential(node)
        if name in ("Model", "Functional") and isinstance(inner, dict) and "input_layers" in inner:
            return self.functional(node)
        if not isinstance(inner, dict):
            raise CorruptError(f"config of {shown(name)}: expected an object, found {shown(str(inner))}")
        if self.context.era.modern and "module" not in node and "trainable" not in inner:
            # Multiply is a layer and an operation, which alone has no variables to train.
            operation = objects.operation_module(name)
            if operation is not None:
                return {**node, "module": operation, "registered_name": name}
        if builtin_class(name, None) is None and name not in KIO_LAYERS and stored_name != "Merge":
            module = objects.module_of(name, node.get("module"))
            # An operation of Keras 3, or a class that nobody knows: the walk behind will say.
            return {**node, "module": module} if "module" in node else self.custom(node)
        inner = dict(inner)
        if name != stored_name:
            self.context.applied[f"{stored_name} is {name} now"] += 1
        if stored_name == "Merge":
            name, inner = keras1.merge(inner)
            self.context.applied["Merge of Keras 1"] += 1
        if stored_name in ("CuDNNLSTM", "CuDNNGRU"):
            keras2.cudnn(stored_name, inner)
        if stored_name == "ThresholdedReLU":
            keras2.thresholded(inner)
        if name == "ActivityRegularization":
            name = self.penalty(inner)
        if stored_name == "SyncBatchNormalization":
            inner["synchronized"] = True
        self.rules(name, inner)
        self.arguments(name, inner)
        inner = keras3_adapt.known(name, inner, self.context)
        if name in KIO_LAYERS or (not self.context.era.modern and _KIO_WHERE.get(name, _never)(inner, _built(node))):
            return self.finish(node, objects.kio_class(name, self.context), inner)
        # A model without layers is no layer of Keras's.
        module = "keras" if name == "Model" else "keras.layers"
        return self.finish(node, {"module": module, "class_name": name, "registered_name": None}, inner)

    def rules(self, name: str, inner: Config) -> None:
        """Apply the tables to the arguments of one layer."""
        if self.context.era.modern:
            return
        for by_class, everywhere in _RULES:
            for rule in (*everywhere, *by_class.get(name, ())):
                if rule.apply(inner, self.context):
                    self.context.applied[rule.name] += 1
        if name == "InputLayer":
            if "batch_input_shape" in inner:
                inner["batch_shape"] = inner.pop("batch_input_shape")
            if "input_dtype" in inner:
                inner["dtype"] = inner.pop("input_dtype")
            return
        for gone in ("batch_input_shape", "input_dtype", "input_shape"):
            inner.pop(gone, None)
        if name not in ("Embedding",) and "input_dim" in inner and "output_dim" not in inner:
            del inner["input_dim"]

    def arguments(self, name: str, inner: Config) -> None:
        """Objects among the arguments."""
        context = self.context
        modern = context.era.modern
        for key, value in inner.items():
            if key in ("layer", "cell", "backward_layer") and isinstance(value, dict) and "class_name" in value:
                inner[key] = self.layer(value)
            elif key == "cells" and isinstance(value, list):
                inner[key] = [self.layer(each) for each in value]
            elif key == "activity_regularizer":
                inner[key] = objects.activity(value if modern else objects.plain(value, context), context)
            elif modern:
                continue
            elif key in _ACTIVATIONS:
                inner[key] = self.activation(value)
            elif key.endswith("initializer"):
                inner[key] = objects.initializer(value, context)
            elif key.endswith("_constraint"):
                inner[key] = objects.constraint(value, context)
            elif key == "dtype":
                inner[key] = objects.dtype(value, context)
            elif name == "Lambda" and key == "function":
                continue
            elif isinstance(value, (dict, list)):
                inner[key] = objects.plain(value, context)
        if name == "Lambda" and not modern:
            _lambda(inner)
        if name == "Bidirectional" and not modern:
            self.backward(inner)

    def backward(self, inner: Config) -> None:
        """Keras 2 ran the second layer against the first; Keras 3 always runs it backwards."""
        forward = inner.get("layer")
        if inner.get("backward_layer") is None and isinstance(forward, dict) and forward["config"].get("go_backwards"):
            name = str(forward["config"].get("name")).removeprefix("forward_")
            changed = {**forward["config"], "go_backwards": False, "name": f"backward_{name}"}
            inner["backward_layer"] = {**forward, "config": changed}
            self.context.applied["backward layer that goes forward"] += 1

    def penalty(self, inner: Config) -> str:
        """A layer that is a regularizer: where that needs kio's, any layer that hands its input on."""
        own: Config = {"class_name": "L1L2", "config": {key: inner.get(key) or 0.0 for key in ("l1", "l2")}}
        own |= {"module": "keras.regularizers", "registered_name": None}
        if objects.activity(own, self.context) is own:
            return "ActivityRegularization"
        for key in ("l1", "l2"):
            inner.pop(key, None)
        inner |= {"activation": "linear", "activity_regularizer": own}
        return "Activation"

    def activation(self, value: Any) -> Any:
        """An activation: a name, a function, or a layer."""
        if isinstance(value, dict) and value.get("class_name") != "function" and "config" in value:
            return self.layer(value)
        return objects.activation(value, self.context)

    def custom(self, node: Config) -> Config:
        """A class of the user's: only its name is put where today's Keras looks for it."""
        made = dict(node)
        made.setdefault("module", None)
        made.setdefault("registered_name", node["class_name"])
        bare = node["class_name"].rpartition(">")[2]
        if builtin_class(bare, None) is None:
            made["class_name"] = bare
        inner = made["config"]
        if isinstance(inner, dict) and not self.context.era.modern:
            inner = dict(inner)
            inner.pop("batch_input_shape", None)
            if "dtype" in inner:
                inner["dtype"] = objects.dtype(inner["dtype"], self.context)
            made["config"] = inner
            if node is not self.root:
                # The call in the model builds it, with all that it holds; build() alone may not.
                made.pop("build_config", None)
        return made

    def finish(self, node: Config, today: Config, inner: Config) -> Config:
        """The object as today's Keras writes it."""
        made = {**today, "config": inner}
        if node.get("module") is not None and not self.context.era.modern:
            self.context.applied["modules of another package"] += node["module"] != today["module"]
        keep: tuple[str, ...] = ("compile_config", "shared_object_id", "name", "inbound_nodes")
        # What stands before a Dense may not know its width yet: words that were counted.
        if self.context.era.modern or today["class_name"] in ("Sequential", "Dense"):
            keep += ("build_config",)
        made.update({key: node[key] for key in keep if key in node})
        return made


def _kios(layer: Config) -> str | None:
    """The name of a class of kio's."""
    return str(layer["class_name"]) if layer.get("module") == "kio.layers" else None


def _has_mode(layer: Config) -> bool:
    """Whether a layer is called for training or inference whatever the model is."""
    return any(call.get("kwargs", {}).get("training") is not None for call in layer.get("inbound_nodes", ()))


def _never(config: Config, shape: Any) -> bool:
    return False


def _built(node: Config) -> Any:
    """The shape that a layer was built for, where the file says so."""
    stored = node.get("build_config")
    return stored.get("input_shape") if isinstance(stored, dict) else None


def _bias_misplaced(config: Config) -> bool:
    """Whether Keras's backend might take the width for the channels; see ``kio.layers.first``."""
    return bool(
        keras.config.backend() == "tensorflow"
        and config.get("data_format") == "channels_first"
        and config.get("use_bias", True)
    )


def _steps_miscounted(shape: Any) -> bool:
    """Whether TensorFlow's graphs might take the batch for the number of steps; see ``kio.layers.TimeDistributed``."""
    known = isinstance(shape, list) and len(shape) > 1 and isinstance(shape[1], int)
    return keras.config.backend() == "tensorflow" and not known


def _axes_misread(config: Config, shape: Any) -> bool:
    """Whether torch might normalize other axes; see ``kio.layers.LayerNormalization``."""
    axis = config.get("axis", -1)
    axes = axis if isinstance(axis, list) else [axis]
    if keras.config.backend() != "torch" or axes == [-1] or not all(isinstance(each, int) for each in axes):
        return False
    if not isinstance(shape, list) or not all(n is None or isinstance(n, int) for n in shape) or not shape:
        return True
    rank = len(shape)
    return sorted(each % rank for each in axes) != list(range(rank - len(axes), rank))


def _normalizes(value: Any) -> bool:
    """Whether a layer or one inside it normalizes batches."""
    if isinstance(value, dict):
        return value.get("class_name") == "BatchNormalization" or any(map(_normalizes, value.values()))
    return isinstance(value, list) and any(map(_normalizes, value))


def _regularizes(value: Any) -> bool:
    """Whether a layer's outputs cost something, which only a call of the whole layer adds up."""
    if isinstance(value, dict):
        found = value.get("activity_regularizer") is not None or value.get("class_name") == "ActivityRegularization"
        return found or any(map(_regularizes, value.values()))
    return isinstance(value, list) and any(map(_regularizes, value))


def _padding_counted(config: Config) -> bool:
    """Whether torch might take an uneven padding into its averages; see ``kio.layers.AveragePooling2D``."""
    return keras.config.backend() == "torch" and config.get("padding") == "same"


def _input_shape(node: Any) -> list[Any] | None:
    """The shape that the first layer of a sequential model says it is called with, batch first."""
    inner = node.get("config") if isinstance(node, dict) else None
    if not isinstance(inner, dict) or node.get("class_name") == "InputLayer":
        return None
    shape = inner.get("batch_input_shape")
    if isinstance(shape, list):
        return shape
    if isinstance(inner.get("input_shape"), list):
        return [None, *inner["input_shape"]]
    if isinstance(inner.get("input_dim"), int) and "output_dim" in inner and "input_length" in inner:
        # Keras 1: the dimension of the last axis.
        return None if node.get("class_name") == "Embedding" else [None, inner["input_length"], inner["input_dim"]]
    return None


def _first_input(model: Config) -> Config | None:
    """The input layer of a sequential model, as it is today."""
    layers = model["config"].get("layers") if model.get("class_name") == "Sequential" else None
    first = layers[0] if layers else None
    return first if isinstance(first, dict) and first.get("class_name") == "InputLayer" else None


def _input(layer: Config, shape: list[Any], stored: Config) -> Config:
    """The input layer that Keras 2 made behind the first one's back."""
    inner = stored["config"]
    dtype = inner.get("input_dtype") or inner.get("dtype")
    return {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {
            "batch_shape": shape,
            "dtype": dtype if isinstance(dtype, str) and not dtype.startswith("mixed") else "float32",
            "name": f"{inner.get('name') or layer['class_name'].lower()}_input",
        },
        "registered_name": None,
    }


def _lambda(inner: Config) -> None:
    """``function`` in today's grammar; ``safety`` refuses what would run code of the file."""
    kind = inner.pop("function_type", None)
    for gone in ("module", "output_shape_type", "output_shape_module"):
        inner.pop(gone, None)
    value = inner.get("function")
    if isinstance(value, list) and len(value) == 3:
        inner["function"] = {
            "class_name": "__lambda__",
            "config": {"code": value[0], "defaults": value[1], "closure": value[2]},
        }
    elif isinstance(value, str) and kind != "lambda":
        inner["function"] = objects.function(value)
