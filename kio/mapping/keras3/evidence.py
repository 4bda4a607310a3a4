"""What the names stored beside the objects prove about a reading (Keras 3.6 and later).

Keys are positions: ``layers/dense_1`` is the second Dense layer, whatever it is called.  If
layers were inserted or swapped since, a file may fit in every shape and still go to the
wrong places.  The stored name tells: a name that a user gave, at the position of one
layer, while another layer of the model has it, contradicts the reading.

Names that Keras made up (``dense_7``), or derived from such names, prove nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from kio.mapping.automatic import is_automatic
from kio.mapping.keras3.reading import Reading
from kio.mapping.keras3.rules import has_weights
from kio.mapping.tree import Node


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A stored name that belongs to another object than the one its place leads to.

    Attributes:
        node: What the place leads to.
        path: The place.
        stored: The name stored there.
        other: The object of the model that has this name.
    """

    node: Node
    path: str
    stored: str
    other: Node


def _essence(name: str, node: Node, path: str, owners: list[str]) -> str:
    """The part of a name that the user chose; empty for automatic names.

    ``owners`` are names of the objects above, nearest first: a layer may name its parts after itself.
    """
    cls = path.rpartition("/")[2].rstrip("0123456789").removesuffix("_")
    if is_automatic(name, node.cls) or is_automatic(name, cls):
        return ""
    for owner in owners:
        if owner and name.startswith(owner) and len(name) > len(owner):
            return "…" + name[len(owner) :]
    return name


def contradictions(reading: Reading) -> list[Contradiction]:
    """Places where the file's names and the reading disagree.

    Cost: one look-up an object unless some name differs.
    """
    names, paths = reading.stored.names, reading.paths
    if not names:
        return []
    differing = []
    for node in reading.order:
        stored = names.get(paths[node.index] or "")
        if (
            stored is not None
            and stored != node.name
            and node.index
            and node.index not in reading.moved
            and node.kind not in ("Optimizer", "Metric", "Loss")
        ):
            differing.append((node, paths[node.index] or "", stored))
    if not differing:
        return []
    return _examine(reading, differing)


def _examine(reading: Reading, differing: list[tuple[Node, str, str]]) -> list[Contradiction]:
    names = reading.stored.names
    at = {path: node for node, path in zip(reading.tree.nodes, reading.paths, strict=True) if path is not None}

    def owners(path: str, of_file: bool) -> list[str]:
        found = []
        while path:
            path = path.rpartition("/")[0]
            owner = at.get(path)
            if owner is not None and path:
                found.append((names.get(path) if of_file else owner.name) or "")
        return found

    suspects: dict[str, list[Node]] = {}
    odd = []
    for node, path, stored in differing:
        mine = _essence(node.name or "", node, path, owners(path, False))
        theirs = _essence(stored, node, path, owners(path, True))
        if mine == theirs:
            continue
        if mine:
            suspects.setdefault(mine, []).append(node)
        if theirs:
            odd.append((node, path, stored, theirs))
    for node in reading.failed:
        if node.name and not is_automatic(node.name, node.cls):
            suspects.setdefault(node.name, []).append(node)
    found = []
    for node, path, stored, theirs in odd:
        for other in suspects.get(theirs, ()):
            if other is not node and _alike(node, other) and has_weights(node):
                found.append(Contradiction(node, path, stored, other))
                break
    return found


def _alike(node: Node, other: Node) -> bool:
    """Whether what is stored for ``node`` could as well be meant for ``other``."""
    if node.cls != other.cls:
        return False
    return [leaf.shape for leaf in node.leaves] == [leaf.shape for leaf in other.leaves]


def touched(reading: Reading, found: list[Contradiction]) -> dict[int, Contradiction]:
    """The nodes, by index, that must not be filled because of contradictions."""
    result: dict[int, Contradiction] = {}
    for c in found:
        for node in (c.node, c.other):
            result.setdefault(node.index, c)
    roots = {path + "/": result[i] for i, path in enumerate(reading.paths) if i in result and path}
    if roots:
        for i, path in enumerate(reading.paths):
            # What hangs below goes along: a nested model is swapped with all its layers.
            while path and i not in result:
                path = path.rpartition("/")[0]
                if path + "/" in roots:
                    result[i] = roots[path + "/"]
    return result
