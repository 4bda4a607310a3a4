"""Inputs with masks, and cases made of them; see ``make.py``."""

import importlib.util
from pathlib import Path

import numpy as np

SPEC = importlib.util.spec_from_file_location("base", Path(__file__).resolve().parents[1] / "old_layers" / "make.py")
base = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(base)
tf, keras, draw = base.tf, base.keras, base.draw

L = keras.layers
KEPT = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]], bool)
OTHER = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]], bool)
ROWS, STEPS, WIDTH = 5, 4, 3


def steps(kept=KEPT, width=WIDTH, seed=0):
    """Sequences whose steps are zero where they are masked."""
    x = draw(seed, (ROWS, STEPS, width))
    x[x == 0] = 0.5
    return (x * kept[..., None]).astype("float32")


def words(kept=KEPT, seed=0):
    """Tokens from 1 on, 0 where masked."""
    return (np.abs(draw(seed, (ROWS, STEPS)) * 8).astype("int32") % 6 + 1) * kept


class Graph:
    """Inputs of one model, and what is fed to them."""

    def __init__(self):
        self.inputs, self.xs = [], []

    def feed(self, x):
        x = np.asarray(x)
        self.inputs.append(keras.Input(x.shape[1:], dtype=x.dtype.name))
        self.xs.append(x)
        return self.inputs[-1]

    def masked(self, kept=KEPT, width=WIDTH, seed=0):
        """Steps with a mask (rows, steps)."""
        return L.Masking()(self.feed(steps(kept, width, seed)))

    def plain(self, width=WIDTH, seed=7):
        """Steps without a mask."""
        return self.feed(draw(seed, (ROWS, STEPS, width)))

    def embedded(self, kept=KEPT, width=WIDTH, seed=0):
        return L.Embedding(7, width, mask_zero=True)(self.feed(words(kept, seed)))

    def high(self, seed=3):
        """(rows, steps, 2, 3) with a mask (rows, steps, 2)."""
        tokens = np.stack([words(KEPT, seed), words(OTHER, seed + 1)], -1)
        return L.Embedding(7, 3, mask_zero=True)(self.feed(tokens))

    def shaped(self, *shape, seed=0):
        """(rows, steps, *shape) without a mask."""
        return self.feed(draw(seed, (ROWS, STEPS, *shape)))

    def lines(self):
        """(rows, steps, 6, 2), of which some are zero throughout."""
        kept = np.stack([KEPT, OTHER, KEPT, KEPT, OTHER, KEPT], -1)
        return self.feed((draw(5, (ROWS, STEPS, 6, 2)) * kept[..., None]).astype("float32"))

    def model(self, outputs):
        return keras.Model(self.inputs, outputs), self.xs


class Maker(base.Maker):
    def graph(self, name, build, **extra):
        made = []

        def remembered():
            graph = Graph()
            made[:] = graph.model(build(graph))
            return made

        if self.added(name, remembered, **extra):
            model, xs = made
            given = [tf.constant(x) for x in xs]
            outputs = model(given if len(given) > 1 else given[0], training=False)
            masks = [getattr(y, "_keras_mask", None) for y in tf.nest.flatten(outputs)]
            self.cases[-1]["masks"] = [None if mask is None else self.store.put(mask.numpy()) for mask in masks]

    def added(self, name, build, **extra):
        self.add(name, build, **extra)
        return bool(self.cases) and self.cases[-1]["name"] == name

    def twice(self, name, build):
        """A model with states: what it gives in three calls, one after the other."""
        if not self.added(name, build):
            return
        keras.backend.clear_session()
        model, xs = build()
        base.fill(model)
        given = [tf.constant(x) for x in xs]
        given = given if len(given) > 1 else given[0]
        for layer in model.layers:
            if getattr(layer, "stateful", False):
                layer.reset_states()
        calls = [self.store.put(model(given, training=False).numpy()) for _ in range(3)]
        self.cases[-1].update(y=calls[:1], calls=calls)

    def trained(self, name, build):
        """A model that computes otherwise in training: what it gives then, and its weights afterwards."""
        made = []

        def remembered():
            graph = Graph()
            made[:] = graph.model(build(graph))
            return made

        if self.added(name, remembered):
            model, xs = made
            given = [tf.constant(x) for x in xs]
            y = model(given if len(given) > 1 else given[0], training=True)
            after = [self.store.put(w.numpy()) for w in model.weights]
            self.cases[-1].update(trained=self.store.put(y.numpy()), after=after)
