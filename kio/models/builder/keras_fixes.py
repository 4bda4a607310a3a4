"""What Keras 3 gets wrong where it makes a model anew.

A call waits while a layer that it comes from has not been called often enough: ``deserialize_node``
raises an IndexError then, and is asked again.  Keras up to 3.9 raises a ValueError instead, and so
loads no model in which a layer stands before its inputs; up to 3.13 it asks for ever where calls
form a loop.

A layer that is not trained says so to the variables that it makes; up to 3.2 it does not, and they
are trained.

A layer without a ``build`` of its own makes the layers within it when it is called.  Loaded by any Keras
up to 3.15 it counts as built before that; where it says the shape of its output it is not called
at all, and the file holds values for layers that were never made.

Spec: ``functional_from_config`` and ``deserialize_node`` of Keras 3.0.5, 3.6.0, 3.10.0 and 3.14.0;
``Layer.build_from_config`` of 3.0.5 to 3.15.1.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import keras

from kio.limits import REPEATED_CALLS
from kio.models.builder.hook import Hook
from kio.models.eras.versions import installed

# The first releases without the one and the other; none is without the last.
_CALLS, _FLAGS, _NEVER = (3, 14), (3, 3), (4,)


class _Progress(threading.local):
    """How the calls of the model that a thread is making come along."""

    def __init__(self) -> None:
        self.layers: Any = None
        self.waiting = 0
        self.made: dict[int, int] = {}

    def of(self, layers: Any) -> _Progress:
        if layers is not self.layers:
            self.layers, self.waiting, self.made = layers, 0, {}
        return self


_progress = _Progress()


@contextlib.contextmanager
def mended() -> Iterator[None]:
    """Let Keras make models as its later releases do."""
    with contextlib.ExitStack() as stack:
        for until, hook in ((_CALLS, _CALL_HOOK), (_FLAGS, _COMPILE_HOOK), (_NEVER, _BUILD_HOOK)):
            if installed() < until:
                stack.enter_context(hook)
        try:
            yield
        finally:
            _progress.of(None)  # lets go of the layers


def freeze(model: Any) -> None:
    """Tell variables that their layers are not trained, in a Keras that forgets to."""
    if installed() >= _FLAGS or not isinstance(model, keras.Model):
        return
    for layer in model._flatten_layers():
        if not layer.trainable:
            for variable in layer.variables:
                variable.trainable = False


def _node(node_data: Any, created_layers: Any, *others: Any) -> Any:
    progress = _progress.of(created_layers)
    try:
        found = _CALL_HOOK.stock(node_data, created_layers, *others)
    except (IndexError, ValueError) as error:
        if not str(error).startswith("Layer node index out of bounds"):
            raise
        progress.waiting += 1
        if progress.waiting > 2 * len(created_layers):
            raise ValueError("calls of layers that wait for one another") from error
        raise IndexError(str(error)) from error
    times = progress.made[id(node_data)] = progress.made.get(id(node_data), 0) + 1
    if times > REPEATED_CALLS:
        raise ValueError("a call of a layer that raises an IndexError")
    progress.waiting = 0
    return found


def _functional() -> ModuleType:
    from kio.keras_private import functional

    return functional  # type: ignore[no-any-return]


_CALL_HOOK = Hook(_functional, "deserialize_node", _node)


def _compile(self: Any, config: Any) -> None:
    # The optimizer makes its slots here.
    freeze(self)
    _COMPILE_HOOK.stock(self, config)


def _trainer() -> type:
    from kio.keras_private import Trainer

    return Trainer  # type: ignore[no-any-return]


_COMPILE_HOOK = Hook(_trainer, "compile_from_config", _compile)


def _build(self: Any, config: Any) -> None:
    from kio.keras_private import is_default, might_have_unbuilt_state

    if isinstance(config, dict) and is_default(self.build) and might_have_unbuilt_state(self):
        # Keras's own attempts, which it makes for models only; they fail without an exception.
        with keras.name_scope(self.name, caller=self):
            if "input_shape" in config:
                self._build_by_run_for_single_pos_arg(config["input_shape"])
            elif isinstance(config.get("shapes_dict"), dict):
                self._build_by_run_for_kwargs(config["shapes_dict"])
    _BUILD_HOOK.stock(self, config)


def _layer() -> type:
    return keras.Layer  # type: ignore[no-any-return]


_BUILD_HOOK = Hook(_layer, "build_from_config", _build)
