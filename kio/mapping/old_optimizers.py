"""The state of an optimizer in the ``.keras`` and ``.weights.h5`` of tf.keras: keys of other variables.

| optimizer          | tf.keras 2.11 to 2.21                    | Keras 3                                |
|--------------------|------------------------------------------|----------------------------------------|
| any                | iteration, slots                         | iteration, learning_rate, slots        |
| SGD, no momentum   | a slot a weight, to no use               | none                                   |
| Adafactor          | rows and columns of matrices             | a placeholder each for other weights   |
| LossScaleOptimizer | the variables of the one inside          | four of its own before them            |

Spec: ``optimizers/optimizer.py`` of tf.keras 2.15, ``optimizers/base_optimizer.py`` of Keras 3.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kio.mapping.tree import Leaf, Node

SCALE = "loss_scale_optimizer"


def in_old_order(node: Node, shapes: Sequence[tuple[int, ...]], checkpoint: Any) -> list[Leaf] | None:
    """Today's variables in the order of tf.keras's keys; None if that is no such state.

    What is stored beyond them has the shapes of momenta that SGD did not use.

    Args:
        node: An optimizer of today.
        shapes: What is stored for it, in the order of its keys.
        checkpoint: The file, whose configuration tells whose state it is where shapes do not.
    """
    leaves = [leaf for leaf in node.leaves if leaf.name != "learning_rate" or leaf.shape]
    if node.cls == SCALE:
        inner = {
            id(leaf.handle)
            for _, child in node.entries
            if isinstance(child, Node) and child.kind == "Optimizer"
            for leaf in child.leaves
        }
        leaves = [leaf for leaf in leaves if id(leaf.handle) in inner]
    if node.cls == "adafactor":
        leaves = [leaf for leaf in leaves if leaf.shape or leaf.name == "iteration"]
    if len(shapes) == len(leaves):
        return leaves
    spare = node.spare and list(shapes[len(leaves) :]) == list(node.spare)
    return leaves if spare and plain_sgd(checkpoint) is not False else None


def plain_sgd(checkpoint: Any) -> bool | None:
    """Whether a file was written with an SGD without momentum; None where it has no configuration.

    RMSprop, Adagrad and Lion have one slot a weight as well: shapes alone do not make a state SGD's.
    """
    metadata = getattr(checkpoint, "metadata", None) or {}
    for text, *keys in (
        (metadata.get("training_config"), "optimizer_config"),
        (getattr(checkpoint, "config", None), "compile_config", "optimizer"),
    ):
        try:
            found = json.loads(text) if isinstance(text, (str, bytes)) else text
        except (ValueError, RecursionError):
            continue
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        if found is not None:
            return _plain(found)
    return None


def _plain(optimizer: Any, scaled: bool = False) -> bool:
    if not isinstance(optimizer, dict):
        return isinstance(optimizer, str) and optimizer.lower() == "sgd"
    inner = optimizer.get("config")
    inner = inner if isinstance(inner, dict) else {}
    within = inner.get("inner_optimizer", inner.get("optimizer"))
    if within is not None:
        return not scaled and _plain(within, True)
    name = str(optimizer.get("class_name")).rpartition(">")[2]
    return name.lower() == "sgd" and not inner.get("momentum")
