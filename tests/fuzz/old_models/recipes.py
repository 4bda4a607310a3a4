"""What recipes are made of, without any library; see ``building``."""

from __future__ import annotations

import json
from typing import Any

Recipe = dict[str, Any]


def prune(recipe: Recipe) -> None:
    """Leave out what no output needs; changed in place."""
    start = len(recipe["inputs"])
    needed: set[int] = set()
    todo = [place[0] for place in recipe["outputs"]]
    while todo:
        k = todo.pop()
        if k in needed:
            continue
        needed.add(k)
        if k >= start:
            todo += [place[0] for place in places_of(recipe["nodes"][k - start])]
    number = {k: i for i, k in enumerate(sorted(needed))}
    recipe["inputs"] = [each for k, each in enumerate(recipe["inputs"]) if k in needed]
    kept = [node for k, node in enumerate(recipe["nodes"]) if k + start in needed]
    recipe["nodes"] = [json.loads(json.dumps(node)) for node in kept]
    for node in recipe["nodes"]:
        for place in places_of(node):
            place[0] = number[place[0]]
    for place in recipe["outputs"]:
        place[0] = number[place[0]]
    used = {node.get("layer") for node in recipe["nodes"]}
    recipe["layers"] = {key: each for key, each in recipe["layers"].items() if key in used}


def places_of(node: dict[str, Any]) -> list[list[int]]:
    """All places that a node takes its tensors from; the lists themselves, to be changed."""
    named = [each for each in node.get("call", {}).values() if isinstance(each, dict)]
    return [*node["ins"], *(place for each in named for place in each["at"])]
