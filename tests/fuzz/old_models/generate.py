"""Writes random models: ``python -m tests.fuzz.old_models.generate --seed 1 --count 50 --out FOLDER``.

Runs under any Python that has tf_keras, or TensorFlow with its own Keras 2; imports no kio.
``--recipes FILE`` writes the models of these recipes instead (a JSON list), with ``--nudge``
what the same models compute with weights and inputs that are a little off.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np

from tests.fuzz.old_models import building, choices
from tests.fuzz.old_models.recipes import Recipe, prune

# Adam's and RMSprop's first step is a sign where nothing is added to its square: rounding would decide.
_OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    ("Adam", {"learning_rate": 0.01, "epsilon": 1.0}),
    ("RMSprop", {"learning_rate": 0.01, "epsilon": 1.0}),
]
_SEQUENCES = [(3, 2), (4, 3), (5, 3), (4, 4)]
_IMAGES = [(5, 5, 2), (6, 5, 3), (4, 6, 2)]
_VOLUMES = [(4, 4, 3, 2), (3, 4, 4, 2)]


class Writer:
    """One random model under construction.

    Args:
        seed: All choices come from it.
    """

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        d = self.dice
        self.recipe: Recipe = {
            "seed": seed, "batch": d.choice([4, 4, 3, 5, 2]), "format": d.choice(["h5", "keras"]),
            "inputs": [], "layers": {}, "nodes": [], "outputs": [], "train": None,
        }  # fmt: skip
        self.used: set[tuple[int, int]] = set()

    def inputs(self) -> None:
        d = self.dice
        for _ in range(d.choice([1, 1, 1, 1, 2, 2, 3])):
            kind = d.choice(["tokens", "padded", "floats", "floats"])
            shapes = {"tokens": [(3,), (4,), (5,), (4,), (3, 2)], "padded": _SEQUENCES}
            usual = [(3,), (4,), *_SEQUENCES, *_SEQUENCES, *_IMAGES, *_VOLUMES[:1]]
            self.recipe["inputs"].append({"shape": list(d.choice(shapes.get(kind, usual))), "kind": kind})

    def start(self) -> None:
        """Build the inputs; tokens are always looked up."""
        self.graph = building.Graph(self.recipe)
        for k, each in enumerate(self.recipe["inputs"]):
            if each["kind"] == "tokens":
                self.single(choices.TOKENS, (k, 0))

    # ------------------------------------------------------------------------- steps

    def shape(self, place: tuple[int, int]) -> tuple[int, ...] | None:
        """Without the batch; None where it is not wholly known or the tensor is no float."""
        tensor = self.graph.at(place)
        shape = tuple(tensor.shape)[1:]
        dtype = getattr(tensor.dtype, "name", tensor.dtype)
        return shape if shape and None not in shape and dtype == "float32" else None

    def places(self) -> list[tuple[int, int]]:
        """Tensors to go on from: those that nobody has used first."""
        found = [(k, j) for k, made in enumerate(self.graph.values) for j in range(len(made))]
        found = [place for place in found if self.shape(place) and np.prod(self.shape(place)) <= 400]
        free = [place for place in found if place not in self.used]
        return free * 4 + found

    def add(self, node: dict[str, Any]) -> bool:
        """Add a node if tf.keras takes it and nothing grows too large."""
        before = len(self.graph.values)
        try:
            made = self.graph.call(node)
            bad = any(None in tuple(t.shape)[1:] or 0 in tuple(t.shape)[1:] for t in made)
        except Exception:
            bad = True
        if bad:
            del self.graph.values[before:]
            return False
        self.recipe["nodes"].append(node)
        self.used |= {tuple(place) for place in node["ins"]}
        return True

    def layer(self, cls: str, args: dict[str, Any], ins: list[Any], call: dict[str, Any] | None = None) -> bool:
        key = f"l{len(self.recipe['layers'])}"
        given = {"cls": cls, "args": args}
        if self.dice.random() < 0.1:
            given["args"] = {**args, "name": f"my_{key}"}
        try:
            self.graph.layers[key] = building.layer(given)
        except Exception:
            return False
        self.recipe["layers"][key] = given
        node: dict[str, Any] = {"layer": key, "ins": [list(place) for place in ins]}
        if call:
            node["call"] = call
        if self.add(node):
            return True
        del self.recipe["layers"][key], self.graph.layers[key]
        return False

    def single(self, rows: Any, place: tuple[int, int]) -> bool:
        """A layer with one input."""
        d = self.dice
        shape = tuple(self.graph.at(place).shape)[1:]
        fitting = [(name, args, n) for name, make, n in rows if (args := make(d, shape)) is not None]
        if not fitting:
            return False
        name, args, _ = d.choices(fitting, [n for *_, n in fitting])[0]
        call: dict[str, Any] = {}
        if name in ("BatchNormalization", "Dropout") and d.random() < 0.1:
            call["training"] = d.random() < 0.5
        if name in ("LSTM", "GRU", "SimpleRNN") and d.random() < 0.25:
            call |= self.states(name, args["units"])
        if name in ("LSTM", "GRU", "Bidirectional", "RNN") and d.random() < 0.1:
            call |= self.mask(shape[0])
        return self.layer(name, args, [place], call)

    def mask(self, steps: int) -> dict[str, Any]:
        """The mask of a recurrent layer as an argument: where tokens are not 0."""
        for k, each in enumerate(self.recipe["inputs"]):
            if each["kind"] == "tokens" and each["shape"] == [steps] and self.add({"op": "not_equal", "ins": [[k, 0]]}):
                place = [len(self.graph.values) - 1, 0]
                self.used.add((place[0], 0))
                return {"mask": {"at": [place], "single": True}}
        return {}

    def states(self, name: str, units: int) -> dict[str, Any]:
        """Initial states from tensors of one step that have as many numbers."""
        wide = [p for p in self.places() if self.shape(p) == (units,)]
        if not wide:
            flat = [p for p in self.places() if len(self.shape(p) or ()) == 1]
            if not flat or not self.layer("Dense", {"units": units}, [self.dice.choice(flat)]):
                return {}
            wide = [(len(self.graph.values) - 1, 0)]
        chosen = [self.dice.choice(wide) for _ in range(2 if name == "LSTM" else 1)]
        self.used |= set(chosen)
        return {"initial_state": {"at": [list(p) for p in chosen], "single": len(chosen) == 1}}

    def merge(self, place: tuple[int, int]) -> bool:
        d = self.dice
        shape = self.shape(place) or ()
        same = [p for p in set(self.places()) if self.shape(p) == shape]
        ins = [place, *(d.choice(same) for _ in range(d.choice([1, 1, 2])))]
        name = d.choice(choices.MERGES)
        args: dict[str, Any] = {}
        if name == "Concatenate":
            args = choices.maybe(d, 0.5, axis=lambda: d.choice([-1, 1, len(shape)]))
        return self.layer(name, args, ins[:2] if name == "Subtract" else ins)

    def attend(self, place: tuple[int, int]) -> bool:
        d = self.dice
        shape = self.shape(place) or ()
        others = [
            p for p in set(self.places()) if len(self.shape(p) or ()) == len(shape) and self.shape(p)[-1] == shape[-1]
        ]
        name = d.choice(["Attention", "AdditiveAttention", "MultiHeadAttention", "MultiHeadAttention", "Dot"])
        second = d.choice(others)
        call: dict[str, Any] = {}
        if name == "Dot":
            axes = d.choice([-1, 1, 2, [1, 2], [2, 1]]) if len(shape) > 1 else -1
            return self.layer(name, {"axes": axes, **choices.maybe(d, 0.3, normalize=True)}, [place, second])
        if name == "MultiHeadAttention":
            args = choices.heads(d, shape)
            call = {"value": {"at": [list(second)], "single": True}}
            call |= choices.maybe(d, 0.15, return_attention_scores=True)
            if building.tf.__version__ >= "2.10":
                call |= choices.maybe(d, 0.15, use_causal_mask=True)
            self.used.add(second)
            return args is not None and self.layer(name, args, [place], call)
        args = choices.attention(d, shape)
        call = choices.maybe(d, 0.15, return_attention_scores=True)
        return args is not None and self.layer(name, args, [place, second], call)

    def operation(self, place: tuple[int, int]) -> bool:
        d = self.dice
        shape = self.shape(place) or ()
        if d.random() < 0.3:
            name = d.choice(choices.BINARY)
            same = [p for p in set(self.places()) if self.shape(p) == shape]
            args = {"axis": d.choice([-1, 1])} if name in ("concat", "stack") else {}
            return self.add({"op": name, "ins": [list(place), list(d.choice(same))], "args": args})
        name, _, _, make = d.choice([row for row in choices.UNARY if row[1] <= len(shape) <= row[2]])
        return self.add({"op": name, "ins": [list(place)], "args": make(d, shape)})

    def again(self, place: tuple[int, int]) -> bool:
        """A layer that is there already, on another tensor."""
        d = self.dice
        keys = list(self.recipe["layers"])
        return bool(keys) and self.add({"layer": d.choice(keys), "ins": [list(place)]})

    def nested(self, place: tuple[int, int]) -> bool:
        """A model of a few layers as a layer."""
        d = self.dice
        inner = Writer(d.randrange(1 << 30))
        inner.recipe["inputs"] = [{"shape": list(self.shape(place) or ()), "kind": "floats"}]
        inner.start()
        inner.grow(d.randint(1, 3), nest=False)
        if not inner.finish(train=False):
            return False
        recipe = {key: inner.recipe[key] for key in ("inputs", "layers", "nodes", "outputs")}
        key = f"l{len(self.recipe['layers'])}"
        given: dict[str, Any] = {"cls": "Model", "recipe": recipe}
        if d.random() < 0.5 and (chain := _chain(recipe)):
            given["recipe"] = {"inputs": recipe["inputs"], "sequential": chain}
        try:
            self.graph.layers[key] = building.layer(given)
        except Exception:
            return False
        self.recipe["layers"][key] = given
        if self.add({"layer": key, "ins": [list(place)]}):
            return True
        del self.recipe["layers"][key]
        return False

    # ------------------------------------------------------------------------- whole

    def grow(self, steps: int, nest: bool = True) -> None:
        """Add so many nodes, as far as tf.keras takes them."""
        d = self.dice
        tries = 0
        while steps and tries < 40:
            tries += 1
            places = self.places()
            if not places:
                return
            place = d.choice(places)
            way = d.random()
            if way < 0.55:
                done = self.single(choices.ROWS, place)
            elif way < 0.7:
                done = self.merge(place)
            elif way < 0.77:
                done = self.attend(place)
            elif way < 0.88:
                done = self.operation(place)
            elif way < 0.93:
                done = self.again(place)
            else:
                done = nest and self.nested(place)
            steps -= done

    def finish(self, train: bool = True) -> bool:
        """Choose outputs and how to train."""
        d = self.dice
        start = len(self.recipe["inputs"])
        free = [p for p in dict.fromkeys(self.places()) if p[0] >= start and p not in self.used]
        if not free:
            return False
        self.recipe["outputs"] = [list(p) for p in free[:3]]
        if not train:
            self.recipe["outputs"] = [list(free[-1])]
        prune(self.recipe)
        if train and d.random() < 0.75:
            optimizer, options = d.choice(_OPTIMIZERS)
            self.recipe["train"] = {
                "optimizer": optimizer, "options": options, "weights": d.random() < 0.3,
                "loss": d.choice(["mse", "mse", "huber", "log_cosh"]),
            }  # fmt: skip
        return True


def _chain(recipe: Recipe) -> list[Any] | None:
    """The layers of a recipe that is one chain of layers, each used once."""
    nodes = recipe["nodes"]
    for k, node in enumerate(nodes):
        if "op" in node or node["ins"] != [[k, 0]] or node.get("call") or "args" not in recipe["layers"][node["layer"]]:
            return None
    keys = [node["layer"] for node in nodes]
    if len(set(keys)) < len(keys) or recipe["outputs"] != [[len(nodes), 0]]:
        return None
    return [recipe["layers"][key] for key in keys]


def random_recipe(seed: int) -> Recipe:
    """A model that tf.keras builds; the next seed of a row of its own where one comes to nothing."""
    for attempt in range(50):
        building.keras.backend.clear_session()
        writer = Writer(seed * 64 + attempt)
        writer.inputs()
        writer.start()
        writer.grow(writer.dice.randint(1, 6))
        if writer.finish():
            return writer.recipe
    raise RuntimeError(f"no model comes of seed {seed}")


def write(recipe: Recipe, folder: Path, nudge: float = 0.0) -> str:
    """One case: recipe, file and numbers; says what was wrong with it if anything was."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(json.dumps(recipe))
    path = folder / f"model.{recipe['format']}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = building.run(recipe, path, nudge)
            if not building.sane(found):
                return "numbers that cannot be compared"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    np.savez(folder / "numbers.npz", **found)
    return ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipes", type=Path)
    parser.add_argument("--nudge", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=1e9)
    options = parser.parse_args()
    started, failed = time.monotonic(), 0
    building.tf.config.threading.set_intra_op_parallelism_threads(1)
    building.tf.config.threading.set_inter_op_parallelism_threads(1)
    if options.recipes:
        given = json.loads(options.recipes.read_text())
        made = [(f"{k:05d}", recipe) for k, recipe in enumerate(given)]
        for name, recipe in made:
            failed += bool(write(recipe, options.out / name, options.nudge))
    else:
        for seed in range(options.seed, options.seed + options.count):
            if time.monotonic() - started > options.seconds:
                break
            for attempt in range(8):
                problem = write(random_recipe(seed + attempt * 10_000_019), options.out / f"{seed:07d}")
                if not problem:
                    break
                failed += 1
    print(json.dumps({"keras": building.keras.__version__, "failed": failed, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
