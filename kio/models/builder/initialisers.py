"""Build a model without running initialisers for values that are about to be read.

Of the time stock Keras takes to load a model, 85 % goes into drawing random
numbers that are overwritten a moment later.  Inside ``deferred_initialisation``
a variable made from a callable initialiser is left without a value, in the
state that Keras itself uses for variables made in a ``StatelessScope``.  Then

* whoever gives it a value (``backends.put``, ``Variable.assign``) makes it an
  ordinary variable, and its initialiser is never called;
* whoever reads it eagerly, e.g. a ``build`` that derives something from a weight,
  gets what Keras would have given: the initialiser runs, once, on the spot;
* whoever reads it while only shapes are inferred gets a stand-in of the right
  shape and dtype that takes no memory;
* ``finish`` runs the initialisers of the rest in order of creation.  Keras draws
  the seed of a random initialiser when the *initialiser* is made, so the values
  are those of a stock build with the same ``keras.utils.set_random_seed``.

Not deferred, because the result would depend on the order of calls or cost
nothing to have: variables made from arrays and numbers, the state of seed
generators, initialisers seeded by a ``SeedGenerator``, flax.nnx variables.

Deferral is per thread: a class-level hook that other threads pass through.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from collections.abc import Iterator
from functools import cache
from types import FunctionType
from typing import Any

from keras import StatelessScope

from kio.errors import LimitError, shown
from kio.keras_private import can_defer, get_global_attribute, set_global_attribute
from kio.models.builder import placeholders
from kio.models.builder.hook import Hook
from kio.models.memory import backends, variables

# Bytes of unfilled variables above which it pays to drop those nobody holds any more.
_COLLECT = 4 << 20

_active = threading.local()


class Deferral:
    """The variables whose initialisers wait, and the layers that wait for them.

    Args:
        limit_bytes: Refuse to build a model of more bytes than this: what a configuration
            asks for is checked against what the file holds, or this machine.
        backing: What holds less than that, for the message.
    """

    def __init__(self, limit_bytes: int | None = None, backing: str = "the file") -> None:
        # Weak: a wrapper that copies its layer leaves the original and its variables behind.
        self._variables: list[weakref.ref[Any]] = []
        self._layers: dict[int, weakref.ref[Any]] = {}
        self._nbytes = 0
        self._limit_bytes = limit_bytes
        self._backing = backing
        self._scope = StatelessScope()

    @property
    def pending(self) -> list[Any]:
        """The variables that still have no value, in order of creation."""
        alive = (reference() for reference in self._variables)
        return [v for v in alive if v is not None and variables.is_waiting(v)]

    def finish(self) -> None:
        """Initialise what was not filled, exactly as a stock build would have."""
        if getattr(_active, "deferral", None) is self:
            _active.deferral = None
        if sum(map(variables.nbytes_of, self.pending)) > _COLLECT:
            gc.collect()
        for variable in self.pending:
            _initialise(variable)
        self._variables.clear()
        for reference in self._layers.values():
            layer = reference()
            if layer is not None:
                layer._post_build()
        self._layers.clear()

    def _wait(self, layer: Any) -> None:
        """Let a layer's ``_post_build`` wait, once however often it is built."""
        known = self._layers.get(id(layer))
        if known is None or known() is not layer:  # a layer that is gone leaves its id to others
            self._layers[id(layer)] = weakref.ref(layer)

    def _count(self, nbytes: int, what: str) -> None:
        """Refuse a model as soon as it is too large; no value exists yet."""
        self._nbytes += nbytes
        if self._limit_bytes is not None and self._nbytes > self._limit_bytes:
            raise LimitError(
                f"model config: expected at most {self._limit_bytes} bytes of variables, "
                f"found {self._nbytes} by {what}",
                field="model_bytes",
                hint=f"{self._backing} holds far less",
            )

    def _create(self, variable: Any, initializer: Any, args: Any, kwargs: Any) -> None:
        """Stand in for ``Variable.__init__``: Keras's own, as in a stateless scope."""
        before = get_global_attribute("stateless_scope")
        if before is None:
            set_global_attribute("stateless_scope", self._scope)
        try:
            _CREATION_HOOK.stock(variable, initializer, *args, **kwargs)
        finally:
            set_global_attribute("stateless_scope", before)
        waiting = get_global_attribute("uninitialized_variables") or []
        if waiting and waiting[-1] is variable:
            waiting.pop()
        if variable._value is not None:
            return
        self._count(variables.nbytes_of(variable), variable.path)
        variables.remember(variable)
        variable.__class__ = _deferred_class(variable.__class__)
        self._variables.append(weakref.ref(variable))


@contextlib.contextmanager
def deferred_initialisation(limit_bytes: int | None = None, backing: str = "the file") -> Iterator[Deferral]:
    """Defer initialisers in this thread; run those of unfilled variables at the end.

    On an exception nothing is run: what was built is left to be collected.

    Yields:
        The ``Deferral``, whose ``finish`` may be called earlier.
    """
    outer = getattr(_active, "deferral", None)
    deferral = Deferral(limit_bytes, backing)
    enabled = backends.current().defers and not variables.nnx_enabled() and can_defer()
    with contextlib.ExitStack() as stack:
        if enabled:
            stack.enter_context(_CREATION_HOOK)
            if backends.current().registers:
                stack.enter_context(_TORCH_HOOK)
        _active.deferral = deferral if enabled else None
        try:
            yield deferral
        finally:
            _active.deferral = outer
        deferral.finish()


def _value(self: Any) -> Any:
    """``Variable.value`` while the variable waits."""
    scope = get_global_attribute("stateless_scope")
    if scope is not None and scope.get_current_value(self) is not None:
        return type(self)._kio_origin.value.fget(self)
    if placeholders.wanted(scope is not None):
        return placeholders.stand_in(self)
    if placeholders.handle_wanted():
        return placeholders.hollow(self)
    _initialise(self)
    return self.value


def _direct_assign(self: Any, value: Any) -> None:
    """``Variable._direct_assign``: the value assigned becomes the first one."""
    if self._value is not None:
        variables.settle(self)
        self._direct_assign(value)
    else:
        variables.initialise_with(self, placeholders.owned(value))


def _deferred_initialize(self: Any) -> None:
    variables.settle(self)
    with variables.as_created(self):
        self._deferred_initialize()


@cache
def _deferred_class(origin: Any) -> Any:
    """The class of a variable of class ``origin`` while it waits; same layout, no state of its own."""
    # One base: with a mixin first, Python would see another layout and refuse __class__.
    return type(origin)(
        origin.__name__,
        (origin,),
        {
            "__slots__": (),
            "__module__": origin.__module__,
            "_kio_origin": origin,
            "value": property(_value),
            "_direct_assign": _direct_assign,
            "_deferred_initialize": _deferred_initialize,
        },
    )


def _initialise(variable: Any) -> None:
    hollow = variable._value is not None
    if not hollow:
        placeholders.outside_traces(lambda: variables.initialise(variable), variable)
        return
    # A TensorFlow variable that exists for its handle only.
    variables.settle(variable)
    initializer, variable._initializer = variable._initializer, None
    variable._value.assign(initializer(variable._shape, dtype=variable._dtype))


def _may_wait(variable: Any, initializer: Any) -> bool:
    if not variables.is_plain(variable):
        return False
    if isinstance(initializer, str):
        return True
    if not callable(initializer):
        return False
    if isinstance(initializer, FunctionType):
        # The state of a seed generator: two integers that every draw advances.
        return not initializer.__qualname__.startswith("SeedGenerator.")
    return type(getattr(initializer, "seed", None)).__name__ != "SeedGenerator"


def _creator() -> type:
    """The class in the ancestry of ``Variable`` whose ``__init__`` does the work."""
    # Before 3.9 Variable is the backend's class itself; in 3.10 to 3.14 JAX's takes
    # ``layout`` off the arguments and calls on.  The last definition is the common one.
    return [c for c in variables.Variable.__mro__ if "__init__" in vars(c) and c is not object][-1]


def _create(self: Any, initializer: Any, *args: Any, **kwargs: Any) -> None:
    deferral = getattr(_active, "deferral", None)
    if deferral is not None and _may_wait(self, initializer):
        deferral._create(self, initializer, args, kwargs)
        return
    if deferral is not None and (callable(initializer) or isinstance(initializer, str)):
        # Its value is made on the spot, and may be as large as any.
        deferral._count(variables.nbytes_wanted(*args, **kwargs), shown(str(kwargs.get("name"))))
    _CREATION_HOOK.stock(self, initializer, *args, **kwargs)


def _torch_layer() -> type:
    from kio.keras_private import TorchLayer

    return TorchLayer  # type: ignore[no-any-return]


def _post_build(self: Any) -> None:
    # Stock registers the parameters with torch.nn.Module here, which reads every value.
    deferral = getattr(_active, "deferral", None)
    if deferral is not None and get_global_attribute("stateless_scope") is None:
        deferral._wait(self)
    else:
        _TORCH_HOOK.stock(self)


_CREATION_HOOK = Hook(_creator, "__init__", _create)
_TORCH_HOOK = Hook(_torch_layer, "_post_build", _post_build)
