"""Models without variables, or with some: what they load, and what cannot be loaded into them.

A model that was never called has no variables yet, but may have parts that do: layers that
were built by hand, states of random layers, vocabularies.  Keras saves it and loads it again
as it was.  Where a file holds weights of a layer that has no variables yet, Keras names the
layer if the weights are its own, and forgets them without a word if they belong to layers
that it makes when it is built.
"""

from __future__ import annotations

from typing import Any

from kio.checkpoint import Checkpoint
from kio.errors import MatchError, shown
from kio.mapping.keras3.rules import RULES, paths
from kio.mapping.plan import Plan
from kio.mapping.tree import Node

_SHOWN = 5

# What was compiled belongs to nothing that is built: Keras leaves alone what it has no use for.
_TRAINING = ("optimizer/", "optimizer_weights/")


def refuse_live(model: Any) -> None:
    """Refuse to load weights into a model that is not built, as Keras does.

    Raises:
        MatchError: if it is not.
    """
    if not getattr(model, "built", True):
        raise MatchError(
            f"{getattr(model, 'name', 'model')}: expected a built model, found one that is not; "
            "call it on data, or build() it, first"
        )


def check(model: Any, checkpoint: Checkpoint, plan: Plan) -> None:
    """Refuse a model just made from its file, if the file holds weights of layers that are not built.

    Args:
        model: As its configuration made it.
        checkpoint: Its file.
        plan: What would be loaded; not checked yet.

    Raises:
        MatchError: naming the layers.
    """
    left = [name for name in plan.unexpected if not name.startswith(_TRAINING)]
    refused = [m.tensor for m in plan.mismatched if m.leaf is None]
    if not left and not refused:
        return
    # Weights have names that lead to their layer in some layouts only.
    found = _by_path(model, plan, left + refused) if checkpoint.layout == "keras_paths" else _by_layer(model, left)
    if found:
        listed = [f"  {what}: {', '.join(map(shown, names[:_SHOWN]))}{_more(names)}" for what, names in found.items()]
        raise MatchError(
            f"match of file and model: expected weights of layers that are built, found some of {len(found)} "
            f"that are not{f' ({shown(plan.source)})' if plan.source else ''}\n"
            + "\n".join(listed[:_SHOWN])
            + _more(listed)
            + "\n  The file does not say on what they are called. Build the model in code and use kio.load_weights.",
            plan=plan,
        )


def _by_path(model: Any, plan: Plan, names: list[str]) -> dict[str, list[str]]:
    """Stored weights by the layer without variables at or below whose path they are."""
    from kio.models.live import walk

    tree = walk.tree(model)
    rule = next((rule for rule in RULES if rule.name == plan.rule), RULES[0])
    places = {f"{path}/" if path else "": node for node, path in zip(tree.nodes, paths(tree, rule), strict=True)
              if path is not None and _waits(node)}  # fmt: skip
    found: dict[str, list[str]] = {}
    for name in names:
        steps = name.split("/")
        for n in range(len(steps), -1, -1):
            node = places.get("".join(f"{step}/" for step in steps[:n]))
            if node is not None:
                found.setdefault(_called(node.handle), []).append(name)
                break
    return found


def _waits(node: Node) -> bool:
    return node.kind != "Optimizer" and getattr(node.handle, "built", True) is False


def _by_layer(model: Any, names: list[str]) -> dict[str, list[str]]:
    """The same where nothing tells the layer: all of them, if any layer waits."""
    layers = [model, *getattr(model, "layers", ())]
    waiting = [layer for layer in layers if getattr(layer, "built", True) is False]
    return {", ".join(map(_called, waiting[:_SHOWN])): names} if waiting and names else {}


def _called(layer: Any) -> str:
    return shown(str(getattr(layer, "name", type(layer).__name__)))


def _more(items: list[str]) -> str:
    return f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
