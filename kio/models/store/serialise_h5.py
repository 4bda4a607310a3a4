"""A model's configuration and what it was compiled with, as legacy HDF5 has them.

    model_config      {"class_name": "Functional", "config": …}; layers without modules
    training_config   loss, metrics, …, and optimizer_config

Both are Keras's own serialisation, less three mistakes that make Keras unable to read it:

=====================================  ====================================================
stock Keras writes                     and cannot read; kio writes
=====================================  ====================================================
operations by their bare class         the same with their module, as in a ``.keras``
settings that are called as a          that layer with its module: text stays text then
function of ``keras.layers`` is
(``score_mode="dot"``)
losses and metrics by short name       losses by full name, metrics as objects that keep
(``"mse"``)                            the short one as theirs
=====================================  ====================================================

A class of the user's is called by its registered name, and compiling is left as it was:
stock Keras takes the optimizer out of the model's own ``_compile_config``.

Spec: ``keras/src/legacy/saving/saving_utils.py``, ``model_metadata``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from kio.keras_private import ops
from kio.models.eras import downgrade, keras3_older, versions
from kio.models.eras.upgrade.training import by_shape

# Where wrappers and recurrent layers have others: keys of their configuration, and attributes.
_WITHIN = ("layer", "cell", "cells", "forward_layer", "backward_layer")


def config(model: Any, version: tuple[int, ...], objects: Iterable[Any]) -> str:
    """The text of ``model_config``.

    Args:
        model: The live model.
        version: Of the Keras that shall read it.
        objects: All objects of the model: what the user's classes come from.

    Raises:
        UnsupportedError: if a reader of ``version`` could not understand it.
        Exception: whatever a ``get_config`` raises.
    """
    from keras.saving import get_registered_name, serialize_keras_object

    from kio.keras_private import get_json_type, keras_option_scope

    with keras_option_scope(use_legacy_config=True):
        tree = {"class_name": get_registered_name(type(model)), "config": model.get_config()}
    tree = json.loads(json.dumps(tree, default=get_json_type))
    if version < (3,):
        if _has_operations(model):
            _mend(tree, json.loads(json.dumps(serialize_keras_object(model))), version)
        return json.dumps(downgrade.model_config(tree))
    if any(_misread(layer, version) for layer in _layers(tree)) or _has_operations(model):
        _mend(tree, json.loads(json.dumps(serialize_keras_object(model))), version)
    if "layers" not in tree["config"] and model.built:
        # Only kio looks here: stock Keras leaves a model of the user's own without variables.
        tree["build_config"] = json.loads(json.dumps(model.get_build_config(), default=get_json_type))
    return json.dumps(keras3_older.downgraded(tree, version, keras3_older.kin_of(objects)))


def _layers(tree: Any) -> Iterable[dict[str, Any]]:
    """All layers of a model, those of models in it or in a wrapper, too."""
    inner = tree.get("config")
    if not isinstance(inner, dict):
        return
    for layer in inner.get("layers") or ():
        if isinstance(layer, dict):
            yield layer
            yield from _layers(layer)
    for wrapped in _wrapped(inner.get):
        if isinstance(wrapped, dict):
            yield from _layers(wrapped)


def _wrapped(get: Callable[[str, Any], Any]) -> Iterable[Any]:
    """What a layer has within; ``get`` gives it by key, or a default."""
    for key in _WITHIN:
        found = get(key, None)
        yield from found if isinstance(found, (list, tuple)) else [found]


def _has_operations(model: Any, above: tuple[Any, ...] = ()) -> bool:
    """Whether something in a model's graph is no layer, though it may be called like one."""
    from keras import Layer, Model

    if any(model is each for each in above):
        return False  # a layer of the user's own that knows what it is in
    parts = (*getattr(model, "operations", ()), *getattr(model, "layers", ())) if isinstance(model, Model) else ()
    within = [part for part in _wrapped(partial(getattr, model)) if isinstance(part, Layer)]
    return any(not isinstance(part, Layer) or _has_operations(part, (*above, model)) for part in (*parts, *within))


def _misread(layer: dict[str, Any], version: tuple[int, ...]) -> bool:
    """Whether that Keras cannot read the layer without its module."""
    from kio.keras_private import layer_functions

    inner = layer.get("config")
    if not isinstance(inner, dict):
        return False
    if layer.get("class_name") == "Normalization" and version < keras3_older.SCALARS and inner.get("mean") is not None:
        return True  # one number for all must be spread over the shape, which only the other grammar tells
    return any(
        key != "name" and isinstance(value, str) and inspect.isfunction(getattr(layer_functions, value, None))
        for key, value in inner.items()
    )


def _mend(tree: dict[str, Any], todays: dict[str, Any], version: tuple[int, ...]) -> None:
    """Put Keras 3's own entries in the place of those that cannot be read."""
    if not isinstance(todays.get("config"), dict):
        return
    for wrapped, other in zip(_wrapped(tree["config"].get), _wrapped(todays["config"].get), strict=False):
        if isinstance(wrapped, dict) and isinstance(wrapped.get("config"), dict) and isinstance(other, dict):
            _mend(wrapped, other, version)
    rows, others = tree["config"].get("layers"), todays["config"].get("layers")
    if not isinstance(rows, list) or not isinstance(others, list) or len(rows) != len(others):
        return
    for i, (row, other) in enumerate(zip(rows, others, strict=True)):
        module = str(other.get("module"))
        if module.startswith(ops("")) or (module.startswith("keras.") and _misread(row, version)):
            rows[i] = other
        elif isinstance(row.get("config"), dict):
            _mend(row, other, version)


def metadata(model: Any, version: tuple[int, ...], *, compiled: bool) -> dict[str, str]:
    """Everything else that the root of a whole model says; ``compiled``: what it was compiled with, too."""
    found = {"keras_version": versions.release(version), "backend": versions.backend(version)}
    training = training_config(model) if compiled else None
    if training is not None:
        if version < (3,):
            older = downgrade.training_config(training)
        else:
            older = keras3_older.downgraded(training, version, {})
        found["training_config"] = json.dumps(older)
    return found


def training_config(model: Any) -> dict[str, Any] | None:
    """What the model was compiled with; None if it was not."""
    from keras.saving import get_registered_name

    from kio.keras_private import get_json_type

    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not model.compiled:
        return None
    given = getattr(model._compile_config, "config", model._compile_config)
    made: dict[str, Any] = {}
    for key, value in given.items():
        if key == "optimizer":
            continue
        made[key] = _each(value, _CHANGES.get(key, _object))
    made["optimizer_config"] = {
        "class_name": get_registered_name(type(optimizer)),
        "config": optimizer.get_config(),
    }
    plain: dict[str, Any] = json.loads(json.dumps(made, default=get_json_type))
    return plain


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _each(each, change) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each(each, change) for each in value]
    return change(value)


def _object(value: Any) -> Any:
    from kio.keras_private import serialize_legacy

    return serialize_legacy(value) if callable(value) else value


def _loss(value: Any) -> Any:
    """A loss by the name that Keras's reader finds it by."""
    from kio.keras_private import losses_by_name

    found = losses_by_name.get(value) if isinstance(value, str) and not by_shape(value, "losses") else None
    return found.__name__ if inspect.isfunction(found) else _object(value)


def _metric(value: Any) -> Any:
    """A metric as an object that is called as the user called it."""
    from kio.keras_private import metrics_by_name

    # What compile() makes of some names depends on the shape of the output: readers leave them alone.
    found = metrics_by_name.get(value) if isinstance(value, str) and not by_shape(value, "metrics") else None
    if not inspect.isclass(found):
        return _object(value)
    made = _object(found())
    made["config"]["name"] = value
    return made


_CHANGES: dict[str, Callable[[Any], Any]] = {"loss": _loss, "metrics": _metric, "weighted_metrics": _metric}
