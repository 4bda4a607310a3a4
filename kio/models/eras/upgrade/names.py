"""Names of layers with a slash: Keras 1 and 2 took them, Keras 3 takes none.

A name says nothing but which layer is meant, so each becomes one without slashes, wherever
the configuration speaks of it: in the layer, in calls, among inputs, outputs and losses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kio.models.eras.rule import Config
from kio.models.eras.upgrade import graph


def slashed(config: Any) -> dict[str, str]:
    """Names with slashes and what they become; no two layers share one.

    Args:
        config: Of a model, in the grammar of its writer.
    """
    names = set(_names(config))
    made: dict[str, str] = {}
    for name in sorted(name for name in names if "/" in name):
        plain = start = name.replace("/", "_")
        number = 0
        while plain in names:
            number += 1
            plain = f"{start}_{number}"
        names.add(plain)
        made[name] = plain
    return made


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from _names(each)
    elif isinstance(node, dict):
        inner = node.get("config")
        if "class_name" in node and isinstance(inner, dict):
            yield from (each["name"] for each in (node, inner) if isinstance(each.get("name"), str))
        for each in node.values():
            yield from _names(each)


def renamed(node: Any, names: dict[str, str]) -> Any:
    """A configuration with other names of layers.

    Args:
        node: Part of a model's configuration.
        names: From ``slashed``.
    """
    if graph.is_place(node):
        return [names.get(node[0], node[0]), *(renamed(each, names) for each in node[1:])]
    if isinstance(node, list):
        return [renamed(each, names) for each in node]
    if isinstance(node, dict):
        return {
            key: names.get(each, each) if key == "name" and isinstance(each, str) else renamed(each, names)
            for key, each in node.items()
        }
    return node


def keyed(training: Config, names: dict[str, str]) -> Config:
    """What was compiled by the names of outputs: losses, their weights, metrics."""
    made = dict(training)
    for key in ("loss", "loss_weights", "metrics", "weighted_metrics"):
        value = made.get(key)
        if isinstance(value, dict):
            made[key] = {names.get(name, name): each for name, each in value.items()}
    return made
