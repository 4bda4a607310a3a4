"""Which call of a shared layer a tensor comes from, where Keras 3.2 did not write it down.

Keras 3.2.0 and 3.2.1 number the call that a tensor comes from among those that belong to the model,
and find none that does: every tensor comes from call 0, but for the model's outputs.  Any Keras
computes something else from that.  Each call was written because something comes of it, though, and
has its own inputs from earlier ones: where only one numbering agrees with both, it is the model's.

Spec: ``serialize_node`` of ``functional.py`` of Keras 3.2.1 and 3.3.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product
from math import prod
from typing import Any

from kio.models.eras.rule import Config, Context, refuse

# Numberings to look through for one layer; more than that are sure to have two that agree.
_WAYS = 4096

Place = list[Any]


def restored(config: Config, context: Context) -> Config:
    """The configuration with the numbers of calls; changed in place.

    Raises:
        UpgradeError: where several numberings agree with what was written.
    """
    if context.era.version is None or context.era.version[:2] != (3, 2):
        return config
    for inner in _models(config):
        _restore(inner, context)
    return config


def _models(config: Any) -> Iterator[Config]:
    """What functional models within a configuration are made of."""
    todo = [config]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            if isinstance(node.get("layers"), list) and "output_layers" in node:
                yield node
            todo += node.values()
        elif isinstance(node, list):
            todo += node


def _places(node: Any) -> Iterator[Place]:
    """Where the tensors in a call's arguments come from."""
    todo = [node]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            place = node.get("keras_history")
            if isinstance(place, list) and len(place) == 3 and isinstance(place[0], str):
                yield place
            else:
                todo += node.values()
        elif isinstance(node, list):
            todo += node


def _outputs(node: Any) -> Iterator[Place]:
    if isinstance(node, list) and len(node) == 3 and isinstance(node[0], str):
        yield node
    elif isinstance(node, (list, dict)):
        for each in node.values() if isinstance(node, dict) else node:
            yield from _outputs(each)


def _restore(inner: Config, context: Context) -> None:
    layers = [each for each in inner["layers"] if isinstance(each, dict) and isinstance(each.get("name"), str)]
    calls = {each["name"]: each["inbound_nodes"] for each in layers if isinstance(each.get("inbound_nodes"), list)}
    shared = {name: len(made) for name, made in calls.items() if len(made) > 1}
    uses: dict[str, list[tuple[Place, int]]] = {name: [] for name in shared}
    for user, made in calls.items():
        for number, call in enumerate(made):
            for place in _places(call):
                if place[0] in shared:
                    # What a call of the layer itself is made on was there before it.
                    uses[place[0]].append((place, number if user == place[0] else shared[place[0]]))
    for name, count in shared.items():
        if any(place[1] != 0 for place, _ in uses[name]):
            continue  # it is written down after all
        wanted = set(range(count)) - {place[1] for place in _outputs(inner["output_layers"]) if place[0] == name}
        found = list(islice(_numberings([limit for _, limit in uses[name]], wanted), 2))
        if len(found) != 1:
            raise refuse(
                f"calls of {name}",
                f"which of {count} each tensor comes from",
                0,
                hint="Keras 3.2 writes 0 for all of them; build the model in code and use kio.load_weights",
            )
        for (place, _), number in zip(uses[name], found[0], strict=True):
            context.applied["number of a call"] += number != place[1]
            place[1] = number


def _numberings(limits: Sequence[int], wanted: set[int]) -> Iterator[tuple[int, ...]]:
    """Numbers below the limits with all that are wanted among them; none where there are too many ways."""
    if prod(limits) <= _WAYS:
        for numbers in product(*map(range, limits)):
            if wanted <= set(numbers):
                yield numbers
