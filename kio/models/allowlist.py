"""Which classes and functions a model configuration may name.

A configuration is input from a stranger.  Stock Keras looks a name up by importing
the module that the file names, which has led to code execution time and again
(CVE-2024-3660, CVE-2025-1550, -8747, -9905, -9906).  kio never imports for a file.
A name means, in this order,

1. an object the *user* supplied: ``custom_objects``, ``custom_object_scope``,
   ``register_keras_serializable``;
2. a class of Keras's own object tables: layer, model, operation, loss, metric,
   optimizer, schedule, initializer, regularizer, constraint, dtype policy, quantizer;
3. a function of Keras's own tables of activations, losses, metrics, operations,
   random draws and quantisers.

Everything else does not exist.  ``check`` walks the whole configuration before
anything is built; ``resolving`` puts the same rules in the place of Keras's own
look-up while Keras deserialises, for names that only turn up then.

Spec: keras/src/saving/serialization_lib.py, ``_retrieve_class_or_fn``.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import FunctionType
from typing import Any

import keras

from kio.errors import FormatError, UnsupportedError, shown
from kio.keras_private import OWN, exported, get_global_attribute, is_own, names_of, roots, serialization_lib, version

# Public modules whose functions compute and do nothing else.
_FUNCTION_MODULES = (
    "activations",
    "losses",
    "metrics",
    "initializers",
    "regularizers",
    "constraints",
    "ops",
    "random",
    "quantizers",
)
# They deserialise, i.e. would open a second way in.
_NOT_FUNCTIONS = frozenset({"get", "serialize", "deserialize"})

# Modules that a configuration without a module (Keras 1 and 2) may mean.
_LEGACY_MODULES = ("layers", "models", "", *_FUNCTION_MODULES, "optimizers", "optimizers.schedules")

# Packages on top of Keras whose classes Keras accepts unregistered.
_FAMILY = frozenset({"keras", "keras_hub", "keras_cv", "keras_nlp"})

# These execute what their configuration holds or names.
EXECUTING = frozenset({"TFSMLayer", "TorchModuleWrapper"})


class UnknownClassError(UnsupportedError, TypeError):
    """A configuration names a class or function that neither Keras nor the user supplied.

    Attributes:
        names: What ``custom_objects`` lacks.
    """

    def __init__(self, what: str, names: Sequence[str], *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, field=field, hint=hint)
        self.names = tuple(names)


class Resolver:
    """Finds what a name in a configuration means; never imports.

    Args:
        custom_objects: Classes and functions by name, as in ``keras.saving.load_model``.
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None = None) -> None:
        self._custom = dict(custom_objects or {})
        # The first name that could not be resolved while Keras deserialised.
        self.error: Exception | None = None

    def custom(self, *names: Any) -> Any:
        """The user's object of one of these names, or None."""
        scope = get_global_attribute("custom_objects_scope_dict") or {}
        for name in names:
            if not isinstance(name, str):
                continue
            for table in (scope, keras.saving.get_custom_objects(), self._custom):
                if table.get(name) is not None:
                    return table[name]
        return None

    def custom_function(self, name: str) -> Any:
        """The user's function of this name; files of Keras 3.0 to 3.6 left the package off."""
        found = self.custom(name)
        if found is None and ">" not in name:
            scope = get_global_attribute("custom_objects_scope_dict") or {}
            for table in (scope, keras.saving.get_custom_objects(), self._custom):
                for key, value in table.items():
                    if key.endswith(f">{name}"):
                        return value
        return found

    def resolve_class(self, name: Any, registered_name: Any, module: Any) -> Any:
        """The class (or the user's stand-in for it) that a configuration means, or None."""
        for found in (
            # An explicit null is Keras's mark for its own classes.
            self.custom(registered_name),
            builtin_class(name, module),
            # Registered when it was saved, handed over by its bare name now.
            self.custom(name),
        ):
            if found is not None:
                return found
        return None

    def resolve_function(self, name: Any, module: Any) -> Any:
        """The function that a configuration means, or None."""
        found = self.custom_function(name) if isinstance(name, str) else None
        return found if found is not None else builtin_function(name, module)


# Keras on torch makes a subclass of its own when it is asked for keras.optimizers.Adam, and stores that one's module,
# which is not imported before the first optimizer, and on other backends never.
_BACKEND_OPTIMIZERS = re.compile(r"keras\.src\.backend\.\w+\.optimizers\.\w+")


def builtin_class(name: Any, module: Any) -> type | None:
    """A class of Keras's object tables, or None.  ``module`` None: of any of them."""
    if not isinstance(name, str):
        return None
    if module is None:
        candidates = [exported.get(_join("keras", place, name)) for place in _LEGACY_MODULES]
        candidates += [names_of(f"{OWN}layers").get(name), names_of(f"{OWN}models").get(name)]
    elif isinstance(module, str) and module.split(".", 1)[0] in _FAMILY:
        candidates = [exported.get(f"{module}.{name}"), names_of(module).get(name)]
        if _BACKEND_OPTIMIZERS.fullmatch(module):
            candidates.insert(0, exported.get(f"keras.optimizers.{name}"))
        # keras.src.initializers.random_initializers.OrthogonalInitializer is a public alias.
        candidates.append(names_of(".".join(_public(module)[:2])).get(name))
    else:
        return None
    for found in candidates:
        if isinstance(found, type) and issubclass(found, _roots()):
            return found
    return None


def builtin_function(name: Any, module: Any) -> Any:
    """A function of Keras's tables, or None."""
    if not isinstance(name, str) or name in _NOT_FUNCTIONS:
        return None
    if module in (None, "builtins"):
        places = [f"keras.{place}" for place in _FUNCTION_MODULES if place not in ("ops", "random")]
    elif isinstance(module, str) and _is_function_module(module):
        # keras.src.activations.activations means keras.activations
        parts = _public(module)
        places = [module, ".".join(parts[:2]), ".".join(parts[:3])]
    else:
        return None
    for place in places:
        found = exported.get(f"{place}.{name}")
        if found is None:
            # An alias: only the first of several public names is in the registry.
            found = names_of(place).get(name)
        if isinstance(found, FunctionType) and is_own(found):
            return found
        if isinstance(found, type) and issubclass(found, _roots()):
            return found
    return None


@cache
def accepted(name: str) -> frozenset[str] | None:
    """The arguments of a class by name, None where it is not known."""
    cls = builtin_class(name, None)
    if cls is None:
        return None
    found: set[str] = set()
    for base in cls.__mro__:
        init = vars(base).get("__init__")
        if init is None or base is object:
            continue
        parameters = inspect.signature(init).parameters
        found.update(parameters)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            break
    return frozenset(found)


def _public(module: str) -> list[str]:
    """The parts of a module's name as users see it: ``keras.src.x`` is found as ``keras.x``."""
    return [part for part in module.split(".") if part != "src"]


def _is_function_module(module: str) -> bool:
    parts = _public(module)
    return len(parts) >= 2 and parts[0] == "keras" and parts[1] in _FUNCTION_MODULES


def unknown(kind: str, name: Any, module: Any, registered_name: Any, where: str) -> UnknownClassError:
    """The error for a name that does not resolve; says how to supply it."""
    label = shown(str(name))
    if isinstance(registered_name, str) and registered_name not in ("", name, "function"):
        key = registered_name
    else:
        key = str(name)
    package = module.split(".", 1)[0] if isinstance(module, str) else ""
    hint = f"pass custom_objects={{{shown(key)!r}: …}}"
    if ">" in key:
        hint += " or import the code that registers it"
    if package in _FAMILY - {"keras"} and package not in sys.modules:
        hint = f"import {package} first, or {hint}"
    if package == "keras":
        hint += f"; Keras {version()} has no such {kind} that a model may use"
    return UnknownClassError(
        f"model config: expected a {kind} of Keras or of custom_objects, found {kind} {label} "
        f"(module {shown(str(module))}, registered name {shown(str(registered_name))}) at {where}",
        [key],
        field=where,
        hint=hint,
    )


def all_unknown(errors: Sequence[UnknownClassError]) -> UnknownClassError:
    """One error for several names; the first is the one that says where it stands."""
    if len(errors) == 1:
        return errors[0]
    names = [name for error in errors for name in error.names]
    listed = ", ".join(f"{shown(name)!r}: …" for name in names)
    return UnknownClassError(
        f"model config: expected classes and functions of Keras or of custom_objects, found {len(names)} others: "
        f"{', '.join(map(shown, names))}; the first at {errors[0].field}",
        names,
        field=errors[0].field,
        hint=f"pass custom_objects={{{listed}}} or import the code that registers them",
    )


@contextlib.contextmanager
def resolving(resolver: Resolver) -> Iterator[None]:
    """Let Keras find classes and functions through ``resolver`` alone, in this thread.

    Raises:
        FormatError: if this Keras has no such place to hook into.
    """
    before = getattr(_local, "resolver", None)
    with _lock:
        _install()
    _local.resolver = resolver
    try:
        yield
    finally:
        _local.resolver = before
        with _lock:
            _uninstall()


_local = threading.local()
_lock = threading.Lock()
_installed: list[Any] = []
_HOOKED = "_retrieve_class_or_fn"


def _install() -> None:
    stock = getattr(serialization_lib, _HOOKED, None)
    if stock is None:
        raise FormatError(
            f"model config: expected Keras 3.0 to 3.15, found {version()}, whose look-up of names kio cannot make safe",
            hint="pass safe_mode=False if you trust the file",
        )
    if not _installed:
        setattr(serialization_lib, _HOOKED, _retrieve)
    _installed.append(_installed[0] if _installed else stock)


def _uninstall() -> None:
    stock = _installed.pop()
    if not _installed:
        setattr(serialization_lib, _HOOKED, stock)


def _retrieve(
    name: Any, registered_name: Any, module: Any, obj_type: str, full_config: Any, custom_objects: Any = None
) -> Any:
    resolver = getattr(_local, "resolver", None)
    if resolver is None:
        return _installed[0](name, registered_name, module, obj_type, full_config, custom_objects)
    scoped = Resolver({**(custom_objects or {}), **resolver._custom})
    if obj_type == "function":
        found = scoped.resolve_function(name, module)
    else:
        found = scoped.resolve_class(name, registered_name, module)
    if found is None:
        error = unknown(obj_type, name, module, registered_name, ".…")
        resolver.error = resolver.error or error
        raise error
    return found


@cache
def _roots() -> tuple[type, ...]:
    return roots()


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)
