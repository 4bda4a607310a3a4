"""What each saveable class writes of itself: ``save_own_variables``, on a store of ours.

For the two functions that nearly every object has (``Layer``'s and ``Optimizer``'s) the
result is known and none of their code runs.  All other code runs as it is, Keras's own and
the user's, and writes into a ``Store``.

Spec: every ``save_own_variables`` of Keras 3.0.0 to 3.15.1.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from kio.contents import Value, value_of
from kio.errors import UnsupportedError, shown
from kio.keras_private import is_own
from kio.mapping.keras3 import rules
from kio.mapping.tree import Node, Tree
from kio.models.eras import versions
from kio.models.live import int4, optimizer_order
from kio.models.memory import variables
from kio.models.memory.values import values

Kept = Any  # a Keras variable, or a Value


@dataclass(slots=True)
class Stored:
    """What one object writes.

    Attributes:
        node: The object.
        path: Of its group, without ``vars``.
        kept: Variables and values, by key.
        covered: Ids of the variables that are safe, or None if all of its own are.
        others: Keys of what is none of its variables, where its code is not Keras's own.
    """

    node: Node
    path: str
    kept: dict[str, Kept] = field(default_factory=dict)
    covered: set[int] | None = None
    others: list[str] = field(default_factory=list)


def stored(tree: Tree, version: tuple[int, ...]) -> list[Stored]:
    """What every object of a live model writes, in the order in which Keras asks them.

    Args:
        tree: Of the model.
        version: The Keras whose readers the file is for.

    Raises:
        Exception: whatever an object's own ``save_own_variables`` raises.
    """
    found = []
    for node, path in rules.walk(tree, rules.rule_of(version)):
        one = Stored(node, path)
        if hasattr(node.handle, "save_own_variables"):
            one.kept, one.covered, one.others = own(node.handle, node, version)
            if node.forms and version < int4.SINCE <= versions.installed():
                int4.store_before(one.kept, node)
            found.append(one)
        elif hasattr(node.handle, "save_assets"):
            found.append(one)
    return found


class Store(MutableMapping[str, Kept]):
    """A dictionary as ``save_own_variables`` sees it.

    Args:
        what: The object that is saved, for errors.
        trusted: Its code is Keras's own: variables are kept as they are.  Anybody else's may
            change what it has stored already, so that a copy is kept.
    """

    def __init__(self, what: str, trusted: bool) -> None:
        self.kept: dict[str, Kept] = {}
        self.variables: dict[str, int] = {}
        self._what, self._trusted = what, trusted

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise UnsupportedError(f"key in the store of {self._what}: expected text, found {shown(key)}")
        if key in self.kept:
            raise UnsupportedError(f"key in the store of {self._what}: expected each once, found {shown(key)} twice")
        if isinstance(value, variables.Variable):
            self.variables[key] = id(value)
            if self._trusted:
                self.kept[key] = value
                return
        self.kept[key] = _copied(f"{self._what}, key {key}", value)

    def __getitem__(self, key: str) -> Any:
        kept = self.kept[key]
        return kept.array() if isinstance(kept, Value) else np.asarray(kept)

    def __delitem__(self, key: str) -> None:
        del self.kept[key]
        self.variables.pop(key, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)

    def __bool__(self) -> bool:
        # As Keras's own stores: there is a file, even if nothing is in it.
        return True


def _copied(what: str, value: Any) -> Value:
    from keras.ops import convert_to_numpy

    if isinstance(value, variables.Variable):
        (found,) = values([value])
        return Value(found.dtype_name, found.shape, np.array(found.array()), lasting=True)
    copy = value_of(what, np.array(convert_to_numpy(value)))
    copy.lasting = True
    return copy


def own(
    obj: Any, node: Node, version: tuple[int, ...] | None = None
) -> tuple[dict[str, Kept], set[int] | None, list[str]]:
    """What an object writes of itself.

    Args:
        obj: Has ``save_own_variables``.
        node: Its node.
        version: The Keras whose readers the file is for.

    Returns:
        Variables and values by key; the ids of the variables that are safe with them, None
        where the object's own code is trusted with all that it has; and the keys of what
        anybody else's code stored that is none of the object's variables.
    """
    cls = type(obj)
    save = getattr(cls, "save_own_variables", None)
    if "save_own_variables" not in obj.__dict__:
        if save is _base().layer:
            found = list(obj._trainable_variables) + list(obj._non_trainable_variables)
            return {str(i): v for i, v in enumerate(found)}, set(map(id, found)), []
        if save is _base().optimizer:
            found = optimizer_order.ordered(obj, version)
            return {str(i): v for i, v in enumerate(found)}, set(map(id, found)), []
    trusted = "save_own_variables" not in obj.__dict__ and is_own(save)
    store = Store(f"{node.name or node.cls}", trusted)
    obj.save_own_variables(store)
    if not trusted:
        owned = {id(v) for name in ("weights", "variables") for v in getattr(obj, name, None) or ()}
        return store.kept, None, [key for key in store.kept if store.variables.get(key) not in owned]
    if is_own(cls):
        return store.kept, None, []
    # A subclass that inherits what Keras's class writes: anything it added is not in there.
    return store.kept, set(store.variables.values()) | _known_to_keras(obj), []


def _known_to_keras(obj: Any) -> set[int]:
    """Variables of Keras's own class that its code stores in another form, or means not to store."""
    spec = getattr(obj, "variable_serialization_spec", None) or {}
    names = {name for listed in spec.values() for name in listed}
    names |= {"_kernel", "_embeddings", "kernel", "embeddings", "idf_weights"}
    names |= {name for name in vars(obj) if name.startswith("lora_")}
    return {id(vars(obj)[name]) for name in names if name in vars(obj)}


class _Base:
    """The functions whose result is known."""

    def __init__(self) -> None:
        from keras import layers, optimizers

        self.layer: Any = layers.Layer.save_own_variables
        self.optimizer: Any = optimizers.Optimizer.save_own_variables


@cache
def _base() -> _Base:
    return _Base()
