"""Configurations for an older Keras 3 than the one that made them.

What an older version reads is the newest configuration less what it does not know.  A key
is dropped where it holds the value that changes nothing; where it says something that the
older version cannot do, the save is refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from kio.errors import UnsupportedError, shown
from kio.keras_private import is_own, ops
from kio.models.eras import int4_configs
from kio.models.eras.era import Era
from kio.models.eras.keras3_table import ACTIVATION_SINCE, ARGUMENTS_OF, CLASS_SINCE
from kio.models.eras.rule import Context
from kio.models.eras.versions import NEWEST, installed, text_of

# Since when the variables of a quantized layer are what they are now.
_QUANTIZED = {
    "int8": (3, 4),
    "float8": (3, 4),
    "int4": (3, 14),  # packed along another axis before
    "gptq": (3, 13),
    "awq": (3, 14),
}
_INT4 = (3, 11)
# Initializers that had another name, and until when.
RENAMED = {"Orthogonal": ("OrthogonalInitializer", (3, 4)), "Identity": ("IdentityInitializer", (3, 3, 3))}
# A class that has another name in public, by its own.
_PUBLIC = {"GroupedQueryAttention": "GroupQueryAttention"}
# Policies of quantized layers.
_MODES = {"QuantizedDTypePolicy", "QuantizedFloat8DTypePolicy"}
# What graphs of operations hold, and since when it can be read.
PARTS = {"__ellipsis__": (3, 3, 3), "GetItem": (3, 3, 3)}
# What the configuration of a functional model has.
_GRAPH = {"layers", "input_layers", "output_layers"}
# The first version that reads: a policy that is more than a name, a model with one input that
# is no list of one, an initializer whose seed is an object, a mean that is one number, an
# operation with a name; a model inside whose output is the model's, counting its calls from 1, a
# model that is trained with layers that are not; a layer for both directions that is stored with
# what its forward half was built for, which it builds again.
_POLICIES, _STRUCTURES, _SEEDS, SCALARS, _NAMES = (3, 4), (3, 4), (3, 6), (3, 10), (3, 11)
_NESTED, _FROZEN, TWICE = (3, 3), (3, 6), (3, 3)


def downgraded(
    tree: Any, version: tuple[int, ...], kin: Mapping[str, Sequence[str]], newest: tuple[int, ...] | None = None
) -> Any:
    """A configuration as that version reads it.

    Args:
        tree: What Keras serialised.
        version: The target.
        kin: Names of the Keras classes that each of the user's classes comes from.
        newest: The version in whose grammar the tree is; None for the installed Keras.

    Raises:
        UnsupportedError: for a class, a function or a setting that the version does not have.
    """
    if version >= (newest or installed()):
        return tree
    # As a reader will see it: lists for tuples.
    return _Downgrade(version, kin, newest).of(json.loads(json.dumps(tree)))


def built_once(name: str, config: dict[str, Any], version: tuple[int, ...]) -> dict[str, Any]:
    """The arguments of a layer without what makes that version build a part of it twice."""
    inner = config.get("layer")
    if name != "Bidirectional" or version >= TWICE or not isinstance(inner, dict) or "build_config" not in inner:
        return config
    return {**config, "layer": {key: value for key, value in inner.items() if key != "build_config"}}


def _nobodys(name: str) -> bool:
    return False


class _Downgrade:
    def __init__(
        self, version: tuple[int, ...], kin: Mapping[str, Sequence[str]], newest: tuple[int, ...] | None
    ) -> None:
        self.version, self.kin, self.newest = version, kin, newest or NEWEST
        self.reading = newest is not None

    def of(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if not isinstance(value, dict):
            return value
        name, config = value.get("class_name"), value.get("config")
        if isinstance(name, str) and isinstance(config, dict):
            module = str(value.get("module") or "")
            if "module" not in value and name not in PARTS:
                # Legacy HDF5: Keras's own layers come without one, the user's by package or bare name.
                module = "" if ">" in name or name in self.kin else "keras.layers"
            ours = module.split(".")[0] == "keras"
            if ours and name == "DTypePolicy" and self.version < _POLICIES:
                return config.get("name")
            if ours and name in _MODES and self.version < _POLICIES:
                raise self.refusal(f"a quantized layer of class {name}", _POLICIES)  # it scales otherwise
            if ours or name in PARTS:
                self.check_class(name)
            bases = (_PUBLIC.get(name, name),) if ours else self.kin.get(name.rpartition(">")[2], ())
            if ours:
                config = int4_configs.older(name, config, Context(Era(), _nobodys), self.version)
            for each in bases:
                config = self.without(each, config)
            if module == "keras.initializers" and name in RENAMED and self.version < RENAMED[name][1]:
                value = {**value, "class_name": RENAMED[name][0]}
            value = {**value, "config": self.in_old_form(name, module, config, value.get("build_config"))}
        for key, item in value.items():
            since = ACTIVATION_SINCE.get(item) if isinstance(item, str) and key.endswith("activation") else None
            if since is not None and self.reading and _has_activation(str(item)):
                continue
            if since is not None and self.version < since:
                raise self.refusal(f"activation {item}", since)
        return {key: self.of(item) for key, item in value.items()}

    def check_class(self, name: str) -> None:
        since = CLASS_SINCE.get(name) or PARTS.get(name)
        if name in CLASS_SINCE and self.reading and _arguments(name) is not None:
            return  # the table has not seen every release
        if since is not None and self.version < since:
            raise self.refusal(f"class {name}", since)

    def without(self, name: str, config: dict[str, Any]) -> dict[str, Any]:
        """A class's configuration less the arguments that the version does not know."""
        for key, neutral, since in ARGUMENTS_OF.get(name, ()):
            if key not in config or self.version >= since:
                continue
            if self.reading and key in (_arguments(name) or ()):
                continue
            if not self.says_nothing(name, key, config[key], neutral):
                raise self.refusal(f"{name}({key}={shown(config[key])})", since)
            config = {k: v for k, v in config.items() if k != key}
        return config

    def says_nothing(self, name: str, key: str, value: Any, neutral: Any) -> bool:
        """Whether an argument asks for what that version does without it."""
        if key == "data_format" and value == "channels_last":
            # One could do nothing else, the others went by the user's settings, which a reader can ask for.
            return name == "ZeroPadding1D" or (self.reading and _image_data_format() == value)
        # Some constructors store False where None was meant.
        return bool(value == neutral or (neutral is None and value is False))

    def in_old_form(self, name: str, module: str, config: dict[str, Any], build: Any) -> dict[str, Any]:
        """The same said as the version says it."""
        config = dict(built_once(name, config, self.version) if module == "keras.layers" else config)
        if self.version < _FROZEN and config.keys() >= _GRAPH and config.get("trainable") is True:
            del config["trainable"]  # it would be said to all layers, once they are made
        if self.version < _STRUCTURES and config.keys() >= _GRAPH:
            if self.version < _NESTED <= self.newest:
                inner = {layer.get("name") for layer in config["layers"] if _is_graph(layer)}
                config["output_layers"] = _earlier(config["output_layers"], inner)
            for key in ("input_layers", "output_layers"):
                if config[key] and isinstance(config[key], list) and isinstance(config[key][0], str):
                    config[key] = [config[key]]
        if self.version < _NAMES and module.startswith(ops("")):
            config.pop("name", None)
        seeded = module == "keras.initializers" and isinstance(config.get("seed"), dict)
        if seeded and self.version < _SEEDS and not self.reading:  # a model that is read draws no values
            raise self.refusal(f"a seed of {name} that is an object", _SEEDS)
        if self.version < SCALARS and module == "keras.layers" and name == "Normalization":
            for key in ("mean", "variance"):
                config[key] = _spread(config.get(key), config.get("axis"), build)
            if all(isinstance(config.get(key), (int, float)) for key in ("mean", "variance")):
                config["axis"] = None  # the same numbers, where nobody says how many they are for
        return config

    def refusal(self, what: str, since: Sequence[int]) -> UnsupportedError:
        where = "model config" if self.reading else "compat"
        return UnsupportedError(
            f"{where}: expected what Keras {text_of(self.version)} has, "
            f"found {what}, known in {text_of(since)} and later"
        )


def _arguments(name: str) -> Collection[str] | None:
    from kio.models import allowlist

    return allowlist.accepted(name)


def _has_activation(name: str) -> bool:
    import keras

    return hasattr(keras.activations, name)


def _image_data_format() -> str:
    import keras

    return str(keras.config.image_data_format())


def _is_graph(layer: Any) -> bool:
    inner = layer.get("config")
    return isinstance(inner, dict) and inner.keys() >= _GRAPH


def _earlier(places: Any, names: Collection[Any]) -> Any:
    """Places of tensors, those of these layers by one call less."""
    if isinstance(places, dict):
        return {key: _earlier(each, names) for key, each in places.items()}
    if not isinstance(places, list):
        return places
    if len(places) == 3 and isinstance(places[0], str) and isinstance(places[1], int):
        return [places[0], places[1] - (places[0] in names), places[2]]
    return [_earlier(each, names) for each in places]


def _spread(value: Any, axis: Any, build: Any) -> Any:
    """One number for all as one number each; anything else as it is."""
    shape = build.get("input_shape") if isinstance(build, dict) else None
    if not isinstance(value, (int, float)) or not isinstance(shape, list) or axis is None:
        return value
    count = 1
    for each in axis if isinstance(axis, list) else [axis]:
        count *= shape[each] or 1
    return [value] * count


def kin_of(objects: Iterable[Any]) -> dict[str, list[str]]:
    """Names of the Keras classes that the user's own classes come from, nearest first."""
    found: dict[str, list[str]] = {}
    for obj in objects:
        cls = type(obj)
        if not is_own(cls):
            found[cls.__name__] = [base.__name__ for base in cls.__mro__ if is_own(base)]
    return found


def check_layers(stored: Sequence[Any], version: tuple[int, ...]) -> None:
    """Refuse layers whose variables that version keeps in another form.

    Raises:
        UnsupportedError: naming layer and mode.
    """
    for one in stored:
        mode = getattr(one.node.handle, "quantization_mode", None)
        since = _QUANTIZED.get(str(mode)) if mode is not None else None
        if mode == "int4" and version >= _INT4 and getattr(one.node.handle, "_int4_block_size", None) in (None, -1):
            # Packed as then where that is another form; an Embedding has had one form only.
            since = None if one.node.forms or one.node.cls == "embedding" else since
        if since is not None and version < since <= installed():
            raise UnsupportedError(
                f"compat: expected what Keras {text_of(version)} has, found {one.node.name or one.node.cls} quantized "
                f"as {mode}, stored like this since {text_of(since)}"
            )
