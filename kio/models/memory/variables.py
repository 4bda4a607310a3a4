"""What kio must know about the inside of ``keras.Variable``.

Every private attribute of Keras that belongs to a *variable* is touched here
and nowhere else: ``_value``, ``_initializer``, ``_shape``, ``_dtype``,
``_layout``, ``_initialize``, the global ``stateless_scope`` and
``uninitialized_variables``.  How a *model* is walked lives in ``keras3.py``,
what its configuration may name in ``allowlist.py``.

Checked against Keras 3.0.0, 3.0.5, 3.3.3, 3.4.1, 3.6.0, 3.9.2, 3.10.0, 3.11.3,
3.13.2, 3.14.1 and 3.15.1; ``tests/models`` runs on each of them.  Where an
attribute is missing, the functions here say so by their result and callers
fall back to ``Variable.assign``.

A variable is *deferred* while ``_value`` is None: Keras itself leaves it so when
a layer is built inside a ``StatelessScope``, kio does when it builds a model
whose values are about to be read (see ``initialisers.py``).
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from typing import Any

import keras

from kio import keras_private
from kio.dtypes import BY_NAME
from kio.keras_private import get_global_attribute, is_nnx_enabled

Variable: type = keras_private.Variable

# Until 3.8 users got a subclass of the class that layers use; it adds nothing.
_ORDINARY = frozenset({Variable, keras.Variable})


def backend_name() -> str:
    """The backend Keras runs on in this process."""
    return str(keras.config.backend())


def nnx_enabled() -> bool:
    """Whether variables are also ``flax.nnx`` variables, which keep their value elsewhere."""
    return bool(is_nnx_enabled())


def is_deferred(variable: Any) -> bool:
    """Whether the variable has no value yet, only an initialiser."""
    return getattr(variable, "_value", variable) is None


def raw_value(variable: Any) -> Any:
    """The backend's own tensor, without autocast; None while deferred."""
    return getattr(variable, "_value", None)


def dtype_of(variable: Any) -> str:
    """The dtype the variable was declared with, without autocast."""
    return str(getattr(variable, "_dtype", None) or variable.dtype)


def shape_of(variable: Any) -> tuple[int, ...]:
    """The declared shape, also of a deferred variable."""
    return tuple(variable.shape)


def nbytes_of(variable: Any) -> int:
    """Bytes of the value as declared."""
    row = BY_NAME.get(dtype_of(variable))
    return math.prod(shape_of(variable)) * (row.itemsize if row else 8)


def nbytes_wanted(shape: Any = (), dtype: Any = None, *args: Any, **kwargs: Any) -> int:
    """Bytes of a value that ``Variable(initializer, shape, dtype, …)`` is about to make; 0 if that is no shape."""
    sides: list[int] = [side for side in shape if isinstance(side, int)] if isinstance(shape, (tuple, list)) else []
    if not sides or len(sides) < len(shape):
        return 0
    row = BY_NAME.get(str(dtype or keras.config.floatx()))
    return math.prod(sides) * (row.itemsize if row else 8)


def is_distributed() -> bool:
    """Whether a ``keras.distribution`` is in force that lays out new variables."""
    return keras.distribution.distribution() is not None


def lay_out(variable: Any) -> None:
    """Give a variable that waits the layout that Keras gives it with its first value, on jax.

    An optimizer's slots, averages and accumulators take theirs from their variable, which by
    then would have had it.  Before 3.10 they did not, and nothing reads it early.
    """
    distribution = get_global_attribute("distribution")
    if distribution is None or backend_name() != "jax" or getattr(variable, "_layout", variable) is not None:
        return
    make = getattr(variable, "_initialize_layout", None)
    if make is not None:  # since 3.13
        make()
    else:
        layout = distribution.get_variable_layout(variable)
        variable._layout = getattr(layout, "backend_layout", layout)


def layout_of(variable: Any) -> Any:
    """The layout in the backend's own terms, e.g. a ``jax.sharding.Sharding``; None without one."""
    layout = getattr(variable, "_layout", None)
    return getattr(layout, "backend_layout", layout)


def in_stateless_scope() -> bool:
    return get_global_attribute("stateless_scope") is not None


class Plain(dict[type, bool]):
    """Whether ``_value`` of a variable of some class is the whole story; made once a call.

    A subclass of the user's may do more on assignment than its base.  A variable that
    waits is of a subclass of kio's own, which keeps its origin in ``_kio_origin``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._nnx = nnx_enabled()

    def __missing__(self, cls: type) -> bool:
        plain = not self._nnx and getattr(cls, "_kio_origin", cls) in _ORDINARY
        self[cls] = plain
        return plain


def is_plain(variable: Any) -> bool:
    """Whether ``set_value`` may be used on the variable."""
    return Plain()[type(variable)]


def is_waiting(variable: Any) -> bool:
    """Whether kio deferred the variable and nobody has given it a value since."""
    return hasattr(type(variable), "_kio_origin")


def settle(variable: Any) -> None:
    """Make a variable that kio deferred an ordinary one again."""
    cls = type(variable)
    origin = getattr(cls, "_kio_origin", None)
    if origin is not None:
        variable.__class__ = origin


def set_value(variable: Any, value: Any) -> None:
    """Let ``value``, of the backend's own type, become the value as it is.

    The caller answers for shape, dtype and ownership.  No copy, no conversion.
    """
    if variable._value is None:
        settle(variable)
        variable._initializer = None
    variable._value = value


def initialise_with(variable: Any, value: Any) -> None:
    """Give a deferred variable its first value the way Keras does (layout, device, Parameter)."""
    settle(variable)
    with as_created(variable):
        variable._initialize(value)
    variable._initializer = None


def initialise(variable: Any) -> None:
    """Run the initialiser of a deferred variable, as Keras would have at its creation."""
    settle(variable)
    if variable._value is None:
        with as_created(variable):
            variable._deferred_initialize()


def remember(variable: Any) -> None:
    """Keep what Keras would have read of a variable at its creation, and others may change before it has a value.

    TensorFlow's own variable is trainable for good if Keras's was when it was made; a layer that
    is frozen afterwards, and let go later, is trained by it.  On jax it is the layout.
    """
    lay_out(variable)
    if backend_name() == "tensorflow":
        variable._kio_trainable = variable._trainable


@contextlib.contextmanager
def as_created(variable: Any) -> Iterator[None]:
    """Give a variable its value as if it were just being made: see ``remember``.

    TensorFlow names its own variable after the scope that is open.
    """
    if backend_name() != "tensorflow":
        yield
        return
    now = variable._trainable
    variable._trainable = variable.__dict__.pop("_kio_trainable", now)
    parent = variable.path.rpartition("/")[0]
    # A slash at the end: this scope, not one of that name within the scope that is open.
    scope = sys.modules["tensorflow"].name_scope(parent + "/") if parent else contextlib.nullcontext()
    try:
        with scope:
            yield
    finally:
        variable._trainable = now
