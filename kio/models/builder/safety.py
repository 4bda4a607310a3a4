"""Walk a model configuration before anything in it is believed.

Every dict with ``class_name`` and ``config`` is an object that Keras would make.
It must resolve through ``allowlist.Resolver`` and must not be one of the things
that run code from the file: lambda bytecode, ``TFSMLayer``, ``TorchModuleWrapper``,
a vocabulary *file*, a function in the place of a layer or of a call argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from kio.dtypes import BY_NAME
from kio.errors import CorruptError, LimitError, UnsafeError, shown
from kio.keras_private import is_own
from kio.limits import Limits
from kio.models.allowlist import EXECUTING, Resolver, UnknownClassError, all_unknown, unknown

# Values, not objects: Keras makes them without looking anything up.
_DATA = frozenset({"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"})
_ARRAY_DTYPES = frozenset({*BY_NAME, "string", "str"})

_LOOKUPS = frozenset({"IndexLookup", "StringLookup", "IntegerLookup", "TextVectorization"})
_MODELS = frozenset({"Functional", "Sequential", "Model"})
# Unknown names in one error.
_LISTED = 20
_PLAIN = frozenset({str, int, float, bool, type(None)})


def check(config: Any, resolver: Resolver, limits: Limits) -> None:
    """Refuse a configuration that names what it must not name.

    Args:
        config: Parsed JSON.
        resolver: What names mean.
        limits: ``config_depth`` and ``config_nodes`` apply.

    Raises:
        UnsafeError: for anything that would execute code from the file.
        UnknownClassError: for names that neither Keras nor the user supplied; lists them all.
        LimitError: for too deep or too many nodes.
        CorruptError: for objects whose parts have the wrong type.
    """
    walk = _Walk(resolver, limits)
    walk.visit(config, 0, in_call=False, in_custom=False)
    if walk.unknown:
        raise all_unknown(list(walk.unknown.values()))


class _Walk:
    def __init__(self, resolver: Resolver, limits: Limits) -> None:
        self._resolver = resolver
        self._limits = limits
        self._nodes = 0
        # What nobody knows, by what it is called: the user wants to hear of all at once.
        self.unknown: dict[tuple[str, ...], UnknownClassError] = {}
        # Keys and indices down to the current node.
        self._path: list[Any] = []

    @property
    def _where(self) -> str:
        steps = self._path if len(self._path) <= 24 else [*self._path[:8], "…", *self._path[-15:]]
        return "".join(f"[{s}]" if isinstance(s, int) else f".{shown(s)[:60]}" for s in steps) or "."

    def visit(self, node: Any, depth: int, *, in_call: bool, in_custom: bool) -> None:
        """Check ``node`` and all below.

        Args:
            in_call: Whether it belongs to the arguments of a layer call.
            in_custom: Whether it belongs to the configuration of a class of the user's,
                where a dict with a class name need not be an object.
        """
        self._nodes += 1
        if self._nodes > self._limits.config_nodes:
            raise LimitError(
                f"model config: expected at most limits.config_nodes={self._limits.config_nodes} values, found more",
                field="config_nodes",
            )
        if depth > self._limits.config_depth:
            raise LimitError(
                f"model config: expected at most limits.config_depth={self._limits.config_depth} levels, found more "
                f"at {self._where}",
                field="config_depth",
            )
        if isinstance(node, dict):
            if "class_name" in node and "config" in node:
                in_custom = self._object(node, in_call=in_call, in_custom=in_custom)
            items: Any = node.items()
        elif isinstance(node, (list, tuple)):
            items = enumerate(node)
        else:
            return
        for key, value in items:
            if type(value) in _PLAIN:
                self._nodes += 1
                continue
            self._path.append(key)
            self.visit(value, depth + 1, in_call=in_call or key == "inbound_nodes", in_custom=in_custom)
            self._path.pop()

    def _object(self, node: Mapping[str, Any], *, in_call: bool, in_custom: bool) -> bool:
        """Check one object; True if what is below is the user's business."""
        name, inner = node["class_name"], node["config"]
        if not isinstance(name, str):
            if in_custom:
                return True
            raise CorruptError(
                f"model config: expected class_name to be a string, found {shown(name)}", field=self._where
            )
        if name in _DATA:
            self._check_data(name, inner)
            return in_custom
        if name == "__lambda__":
            raise self._unsafe("Python bytecode of a lambda")
        module, registered = node.get("module"), node.get("registered_name", name)
        function = name == "function"
        if function:
            label, found = inner, self._resolver.resolve_function(inner, module)
        else:
            label, found = name, self._resolver.resolve_class(name, registered, module)
        if found is None:
            if in_custom:
                return True
            kind = "function" if function else "class"
            error = unknown(kind, label, module, registered, self._where)
            self.unknown.setdefault((kind, *error.names), error)
            if len(self.unknown) == _LISTED:
                raise all_unknown(list(self.unknown.values()))
            return True
        if not is_builtin(found):
            return True
        if in_call:
            raise self._unsafe(f"the object {shown(str(label))} among the arguments of a layer call")
        if not function:
            self._check_builtin(name, found, inner)
        return in_custom

    def _check_data(self, name: str, inner: Any) -> None:
        if name in ("__tensor__", "__numpy__") and isinstance(inner, Mapping):
            dtype = inner.get("dtype")
            if dtype is not None and dtype not in _ARRAY_DTYPES:
                raise CorruptError(
                    f"model config: expected the dtype of a constant, found {shown(str(dtype))}",
                    field=self._where,
                )

    def _check_builtin(self, name: str, found: Any, inner: Any) -> None:
        ancestry = {cls.__name__ for cls in getattr(found, "__mro__", (found,))}
        if ancestry & EXECUTING:
            raise self._unsafe(f"a {shown(name)}, which runs a program that the file names")
        if not isinstance(inner, Mapping):
            return
        if "Lambda" in ancestry and any(_is_code(inner, key) for key in ("function", "output_shape", "mask")):
            raise self._unsafe("Python bytecode of a Lambda layer")
        if isinstance(inner.get("vocabulary"), str) and ancestry & _LOOKUPS:
            raise self._unsafe(f"a {shown(name)} with the vocabulary file {shown(inner['vocabulary'])}")
        if ancestry & _MODELS and isinstance(inner.get("layers"), list):
            for layer in inner["layers"]:
                self._check_layer(layer)

    def _check_layer(self, layer: Any) -> None:
        """A member of a model must be a layer or operation: anything else would just be called."""
        if not isinstance(layer, Mapping):
            return
        name, module = layer.get("class_name"), layer.get("module")
        if name == "function":
            raise self._unsafe(f"function {shown(str(layer.get('config')))} in the place of a layer")
        found = self._resolver.resolve_class(name, layer.get("registered_name", name), module)
        if isinstance(found, type) and is_builtin(found) and not issubclass(found, keras.Operation):
            raise self._unsafe(f"an object of class {shown(str(name))} in the place of a layer")

    def _unsafe(self, what: str) -> UnsafeError:
        return UnsafeError(
            f"model config: expected data, found {what}, at {self._where}; pass safe_mode=False "
            "if you trust the file and want to run code from it"
        )


def is_builtin(found: Any) -> bool:
    """Whether an object is Keras's own, or one that kio has in its stead."""
    return is_own(found) or str(getattr(found, "__module__", "")).startswith("kio.layers.")


def _is_code(inner: Mapping[str, Any], key: str) -> bool:
    # Keras 1 and 2: [code, defaults, closure] beside "function_type": "lambda".
    value = inner.get(key)
    kind = inner.get("function_type" if key == "function" else f"{key}_type")
    return kind == "lambda" or (isinstance(value, list) and bool(value) and isinstance(value[0], str))
