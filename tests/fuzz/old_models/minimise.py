"""Makes recipes that fail smaller, all at once: each round writes and reads every candidate of every failure.

A candidate leaves out one thing: an output, the training, a call and all before it (its inputs become
inputs of the model), an argument, a model around layers.  The smallest that still fails the same way is
where the next round starts.  Imports neither Keras nor kio.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.fuzz.old_models.recipes import places_of, prune

Recipe = dict[str, Any]
# Recipes and how they failed: what each candidate comes to.
Judge = Callable[[list[Recipe]], list[str]]
# Candidates of one failure in one round.
_WIDE = 40


def measure(recipe: Recipe) -> int:
    """How large a recipe is."""
    return len(json.dumps({**recipe, "seed": 0})) + 1000 * len(recipe["nodes"])


def candidates(recipe: Recipe) -> Iterator[Recipe]:
    """Recipes that are smaller by one thing, the largest steps first."""
    start = len(recipe["inputs"])
    ends = [[k + start, 0] for k in range(len(recipe["nodes"]))]
    # One value in the middle as the only output.
    if recipe["outputs"] != [ends[-1]] or len(recipe["outputs"]) > 1:
        for place in recipe["outputs"]:
            yield _with(recipe, outputs=[place])
    for place in ends[:-1]:
        yield _with(recipe, outputs=[place])
    # A call handed one of its inputs on.
    for k, node in enumerate(recipe["nodes"]):
        for place in places_of(node):
            made = copy.deepcopy(recipe)
            for other in [*made["nodes"], {"ins": made["outputs"]}]:
                for each in places_of(other):
                    if each[0] == k + start:
                        each[:] = place
            made["outputs"] = [each for each in made["outputs"] if each[0] >= start]
            if made["outputs"]:
                yield _with(made)
    # One input for all that have its shape.
    if recipe.get("train"):
        yield _with(recipe, train=None)
        if recipe["train"]["weights"]:
            yield _with(recipe, train={**recipe["train"], "weights": False})
        plain = {"optimizer": "SGD", "options": {"learning_rate": 0.1}, "loss": "mse"}
        if {key: recipe["train"][key] for key in plain} != plain:
            yield _with(recipe, train={**recipe["train"], **plain})
    for k, node in enumerate(recipe["nodes"]):
        for key in node.get("call", {}):
            made = copy.deepcopy(recipe)
            del made["nodes"][k]["call"][key]
            yield _with(made)
    for key, each in recipe["layers"].items():
        for smaller in _layers(each):
            made = copy.deepcopy(recipe)
            made["layers"][key] = smaller
            yield _with(made)
    for k, each in enumerate(recipe["inputs"]):
        if each["kind"] == "padded":
            made = copy.deepcopy(recipe)
            made["inputs"][k]["kind"] = "floats"
            yield _with(made)
    if recipe["format"] == "keras":
        yield _with(recipe, format="h5")


def _layers(given: Any) -> Iterator[Any]:
    if given["cls"] == "Model":
        recipe = given["recipe"]
        if "sequential" in recipe:
            for k in range(len(recipe["sequential"])):
                if len(recipe["sequential"]) > 1:
                    kept = recipe["sequential"][:k] + recipe["sequential"][k + 1 :]
                    yield {**given, "recipe": {**recipe, "sequential": kept}}
                for smaller in _layers(recipe["sequential"][k]):
                    kept = [*recipe["sequential"][:k], smaller, *recipe["sequential"][k + 1 :]]
                    yield {**given, "recipe": {**recipe, "sequential": kept}}
            return
        for made in candidates({**recipe, "seed": 0, "format": "h5", "train": None}):
            yield {**given, "recipe": {key: made[key] for key in ("inputs", "layers", "nodes", "outputs")}}
        return
    for key, value in given.get("args", {}).items():
        if key not in ("layer", "cells"):
            yield {**given, "args": {k: v for k, v in given["args"].items() if k != key}}
        if isinstance(value, dict) and "cls" in value:
            for smaller in _layers(value):
                yield {**given, "args": {**given["args"], key: smaller}}
        if key == "cells":
            for k in range(len(value)):
                kept = value[:k] + value[k + 1 :]
                if kept:
                    yield {**given, "args": {**given["args"], key: kept}}
                for smaller in _layers(value[k]):
                    yield {**given, "args": {**given["args"], key: [*value[:k], smaller, *value[k + 1 :]]}}


def _with(recipe: Recipe, **changed: Any) -> Recipe:
    made = copy.deepcopy({**recipe, **changed})
    prune(made)
    return made


def minimise(failures: dict[str, tuple[Recipe, str]], judge: Judge, rounds: int = 12) -> dict[str, Recipe]:
    """The smallest recipes found that fail as theirs did.

    Args:
        failures: Recipes with what they come to, by name.
        judge: Tells what recipes come to; those that tf.keras does not build come to nothing.
        rounds: At most so many steps.
    """
    best = {name: recipe for name, (recipe, _) in failures.items()}
    todo = set(best)
    for _ in range(rounds):
        tried: list[tuple[str, Recipe]] = []
        for name in sorted(todo):
            seen: set[str] = set()
            for made in candidates(best[name]):
                text = json.dumps(made)
                if measure(made) < measure(best[name]) and text not in seen and made["nodes"]:
                    seen.add(text)
                    tried.append((name, made))
                if len(seen) >= _WIDE:
                    break
        if not tried:
            break
        smaller = set()
        for (name, made), found in zip(tried, judge([made for _, made in tried]), strict=True):
            if found == failures[name][1] and measure(made) < measure(best[name]):
                best[name] = made
                smaller.add(name)
        todo = smaller
    return best
