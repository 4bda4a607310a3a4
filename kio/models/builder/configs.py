"""A model from its configuration, as stock Keras builds it, but safe.

Keras's own ``deserialize_keras_object`` does the building, so every class behaves
as it always does.  Before it is let loose the text is parsed strictly and walked
(``safety.py``), and while it runs names mean what ``allowlist.py`` says.  With
``safe_mode=False`` Keras's own rules apply unchanged.

Spec: keras/src/saving/saving_lib.py, ``_model_from_config``; what is refused: ``kio/formats/README.md``.
"""

from __future__ import annotations

import contextlib
import copy
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from kio.errors import FormatError, KioError, shown
from kio.keras_private import ObjectSharingScope, in_safe_mode, uniquify, version
from kio.limits import DEFAULT, Limits
from kio.models.allowlist import Resolver, resolving
from kio.models.builder import keras_fixes
from kio.models.builder.config_text import check_tree, recursion
from kio.models.builder.config_text import parse_config as parse_config
from kio.models.builder.safety import check
from kio.models.eras import old_training
from kio.models.eras.era import Era
from kio.models.eras.upgrade import Upgraded, upgrade

# What Keras's deserialisers raise when a configuration makes no sense to them.
_BROKEN = (TypeError, ValueError, LookupError, AttributeError, RuntimeError, AssertionError)


class ConfigError(FormatError, TypeError):
    """No model can be made of this configuration; the cause is attached."""


def model_from_config(
    config: str | bytes | Mapping[str, Any],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    *,
    era: Era | None = None,
    training: str | bytes | None = None,
    limits: Limits = DEFAULT,
) -> Any:
    """Build the model that a configuration describes, of whatever Keras.

    Args:
        config: The text of a ``config.json``, or the same parsed.  Not modified.
        custom_objects: Classes and functions by name, as in ``keras.saving.load_model``.
        compile: Whether to compile the model if the configuration says how.
        safe_mode: Refuse configurations that execute code.
        era: Who wrote it; None takes what the configuration itself says.
        training: What it was compiled with, where that is kept apart (legacy HDF5).
        limits: Caps on size, depth and number of nodes.

    Returns:
        The model, built if the configuration says for which shapes.

    Raises:
        UnsafeError: if code from the file would be needed.
        UnknownClassError: if a name is neither Keras's nor the user's.
        UpgradeError: if it asks for something that Keras 3 has no equal of.
        FormatError: if the configuration is broken.
    """
    if isinstance(config, Mapping):
        check_tree(config, limits)
        with recursion():
            tree = copy.deepcopy(dict(config))
    else:
        tree = parse_config(config, limits)
    # keras.config.enable_unsafe_deserialization() is the user's word for the whole process.
    ambient = in_safe_mode()
    safe = safe_mode if ambient is None else bool(ambient)
    resolver = Resolver(custom_objects)
    compiled = parse_config(training, limits) if training is not None and compile else None
    done = upgraded(tree, resolver, era, limits, compiled)
    tree = done.config
    if not compile:
        tree["compile_config"] = None
    elif done.uncompiled:
        warnings.warn(f"The model is not compiled: {done.uncompiled}", stacklevel=5)
    if safe:
        with recursion():
            check(tree, resolver, limits)
    model = _built(tree, resolver, dict(custom_objects) if custom_objects else None, safe, done)
    if done.order:
        # Files of Keras 0.x have no names: what comes first in them is known from here alone.
        model._kio_order = done.order
    return model


def _built(
    tree: dict[str, Any], resolver: Resolver, custom_objects: dict[str, Any] | None, safe: bool, done: Upgraded
) -> Any:
    """What Keras makes of a configuration in its own grammar.

    Raises:
        UnsafeError: as the resolver says.
        ConfigError: whatever Keras found wrong.
    """
    try:
        with resolving(resolver) if safe else contextlib.nullcontext(), _sharing(), keras_fixes.mended():
            _reserve_names(tree)
            model = keras.saving.deserialize_keras_object(tree, custom_objects, safe_mode=safe)
            _build_activations(model)
            keras_fixes.freeze(model)
            if done.old:
                old_training.keep(model, done.unfused, tree.get("compile_config"))
            return model
    except KioError:
        raise
    except _BROKEN as error:
        if resolver.error is not None:
            raise resolver.error from None
        if isinstance(error, RecursionError) or isinstance(_root(error), RecursionError):
            with recursion():
                raise RecursionError from None
        if isinstance(error, RuntimeError) and type(error).__module__ != "builtins":
            raise  # a backend's own trouble: out of memory, no device
        cause = _root(error)
        raise ConfigError(
            f"model config: expected what Keras {version()} can build, found "
            f"{type(cause).__name__}{_place(error)}: {_first_words(cause)}"
        ) from error


def upgraded(
    tree: dict[str, Any],
    resolver: Resolver,
    era: Era | None,
    limits: Limits = DEFAULT,
    training: dict[str, Any] | None = None,
) -> Upgraded:
    """A parsed configuration in the grammar of the installed Keras.

    Raises:
        UpgradeError: for what has no equal there.
        CorruptError, ConfigError: for what no Keras wrote.
        UnsupportedError: if it is deeper than Python can follow.
    """
    try:
        with recursion():
            return upgrade(tree, era, lambda name: resolver.custom(name) is not None, training, limits)
    except KioError:
        raise
    except _BROKEN as error:
        # The tables take a configuration as Keras wrote it: what stands in the place of something else is found here.
        raise ConfigError(
            f"model config: expected what some Keras wrote, found {type(error).__name__}: {_first_words(error)}"
        ) from error


def _reserve_names(tree: dict[str, Any]) -> None:
    """Keep Keras from giving an operation the name of a layer that the file names.

    The mask of a ``Concatenate`` is made by an operation that numbers itself from 0 on.
    """
    inner = tree.get("config")
    for layer in inner.get("layers", ()) if isinstance(inner, dict) else ():
        if isinstance(layer, dict) and layer.get("class_name") == "Concatenate":
            uniquify("concatenate")
        elif isinstance(layer, dict):
            _reserve_names(layer)


def _build_activations(model: Any) -> None:
    """Give layers that are another layer's activation their variables: Keras does so in the first call."""
    flatten = getattr(model, "_flatten_layers", None)
    for layer in flatten() if flatten is not None else ():
        inner = getattr(layer, "activation", None)
        if isinstance(inner, keras.Layer) and not inner.built and layer.built:
            with contextlib.suppress(*_BROKEN):  # a layer without calls: its first one will do it
                inner.build(layer.output.shape)


@contextlib.contextmanager
def _sharing() -> Iterator[None]:
    """Keras's scope for objects that occur twice, leaving no trace."""
    with ObjectSharingScope():
        yield


def _root(error: BaseException) -> BaseException:
    """The first cause: what Keras raises around it only says which objects it was in."""
    while True:
        cause = error.__cause__
        if cause is None and "could not be deserialized" in str(error):
            cause = error.__context__  # Keras 3.0 to 3.14 did not say what its errors come from
        if cause is None:
            return error
        error = cause


def _place(error: BaseException) -> str:
    """The innermost object that could not be built, as Keras's errors name it."""
    found = re.findall(
        r"Error when deserializing class '([\w>]+)' using config=.{0,400}?'name': '([^']*)'", str(error), re.S
    )
    return f" in {shown(found[-1][0])} {shown(found[-1][1])}" if found else ""


def _first_words(error: BaseException) -> str:
    # Keras writes in bold, for terminals.
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = text.rpartition("Exception encountered:")[2]
    # Keras appends the whole configuration.
    for mark in ("\n\nconfig=", "Full object config:", "Full config:", "Received config=", "config={"):
        text = text.split(mark, 1)[0]
    return shown(" ".join(text.split()))
