"""Models of every shape that matters to key paths, from seeds and by hand.

Every variable gets a value of its own, so that a file shows which variable it holds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from kio.mapping.keras3.rules import RULES, Rule


def own_rule() -> Rule:
    """The rule of the Keras that runs."""
    version = tuple(int(n) for n in keras.__version__.split(".")[:3])
    return next(r for r in RULES if r.since <= version <= r.until and r.keys == "index")


def number(model: Any, extra: Any = ()) -> None:
    """Give every variable a value that no other has."""
    seen: dict[int, Any] = {}
    for v in [*model.variables, *(getattr(model, "optimizer", None) or _NONE).variables, *extra]:
        seen.setdefault(id(v), v)
    for i, v in enumerate(seen.values()):
        v.assign(np.full(v.shape, i % 120 if "int8" in v.dtype else i + 1, v.dtype))


class _None:
    variables: tuple[()] = ()


_NONE = _None()


class Block(layers.Layer):
    """A layer whose parts hang where a seed says."""

    def __init__(self, plan: list[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, value in plan:
            setattr(self, name, value)

    def call(self, x: Any) -> Any:
        return x


class Net(keras.Model):
    """A subclassed model whose parts hang where a seed says."""

    def __init__(self, plan: list[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, value in plan:
            setattr(self, name, value)

    def call(self, x: Any) -> Any:
        return x


class Propertied(Block):
    """With a property that leads to a layer and one that raises."""

    @property
    def a_property(self) -> Any:
        return self._hidden_part

    @property
    def broken(self) -> Any:
        raise RuntimeError("not to be asked")


_NAMES = "a b enc zs main _p _zz Upper layer k9 é _É blocks memo kernelx".split()  # noqa: SIM905
_LEAVES: list[Callable[[], Any]] = [
    lambda: _built(layers.Dense(2), (None, 2)),
    lambda: _built(layers.Dense(2), (None, 2)),
    lambda: _built(layers.Dense(3, use_bias=False), (None, 2)),
    lambda: _built(layers.LayerNormalization(), (None, 2)),
    lambda: _built(layers.BatchNormalization(), (None, 2)),
    lambda: _built(layers.Embedding(3, 2), (None,)),
    lambda: layers.Dropout(0.1),
    lambda: _built(layers.Conv1D(2, 1), (None, 4, 2)),
]


def _built(layer: Any, shape: tuple[int | None, ...]) -> Any:
    layer.build(shape)
    return layer


class Grower:
    """Grows an object graph from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.made: list[Any] = []

    def leaf(self) -> Any:
        if self.made and self.random.random() < 0.2:
            return self.random.choice(self.made)
        layer = self.random.choice(_LEAVES)()
        self.made.append(layer)
        return layer

    def value(self, depth: int) -> Any:
        r = self.random.random()
        n = self.random.randint(1, 3)
        if depth <= 0 or r < 0.4:
            return self.leaf()
        if r < 0.5:
            return [self.value(depth - 1) for _ in range(n)]
        if r < 0.57:
            return {self.random.choice(["x", "y", "z", "w"]): self.value(depth - 1) for _ in range(n)}
        if r < 0.64:
            return tuple(self.value(depth - 1) for _ in range(n))
        if r < 0.68:
            return self.random.choice([[], {}, (1, 2), ["s"], [(), [1]], None, 3, "text"])
        if r < 0.74:
            return sequential(self, n)
        if r < 0.80:
            return functional(self, n)
        if r < 0.85 and self.made:
            block = Propertied([("_hidden_part", self.random.choice(self.made))])
        else:
            block = Block(self.plan(depth - 1))
        block.build((None, 2))
        self.made.append(block)
        return block

    def plan(self, depth: int) -> list[tuple[str, Any]]:
        names = self.random.sample(_NAMES, self.random.randint(1, 5))
        return [(name, self.value(depth)) for name in names]


def sequential(grower: Grower, n: int) -> Any:
    model = keras.Sequential([layers.Dense(2) for _ in range(n)])
    if grower.random.random() < 0.5:
        model.build((None, 2))
    else:
        model.add(layers.Dropout(0.2))
        model.build((None, 2))
    return model


def functional(grower: Grower, n: int) -> Any:
    x = first = keras.Input((2,))
    for i in range(n):
        x = layers.Dense(2, name=f"named_{i}" if grower.random.random() < 0.3 else None)(x)
        if grower.random.random() < 0.3:
            x = keras.ops.relu(x) + 1.0
        if grower.random.random() < 0.3:
            shared = layers.Dense(2)
            x = layers.Add()([shared(x), shared(x)])
    return keras.Model(first, x)


def grown(seed: int) -> Any:
    """The model that a seed stands for."""
    grower = Grower(seed)
    kind = seed % 4
    if kind == 0:
        model = functional(grower, 3)
        for name, value in grower.plan(2):
            setattr(model, name, value)
    elif kind == 1:
        model = keras.Sequential([keras.Input((2,)), *(layers.Dense(2) for _ in range(3))])
        for name, value in grower.plan(2):
            setattr(model, name, value)
    else:
        model = Net(grower.plan(3))
        model.build((None, 2))
    return model
