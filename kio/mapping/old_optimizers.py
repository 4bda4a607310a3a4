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

from collections.abc import Sequence

from kio.mapping.tree import Leaf, Node

SCALE = "loss_scale_optimizer"


def in_old_order(node: Node, shapes: Sequence[tuple[int, ...]]) -> list[Leaf] | None:
    """Today's variables in the order of tf.keras's keys; None if that is no such state.

    Args:
        node: An optimizer of today.
        shapes: What is stored for it, in the order of its keys.
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
    if len(shapes) == len(leaves) or (node.spare and list(shapes[len(leaves) :]) == list(node.spare)):
        return leaves
    return None
