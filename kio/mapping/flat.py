"""Layout without structure: a tensor is called as its variable (npz, safetensors).

A leaf is found by its variable path (``"sequential/dense/kernel"``), by the key that a
Keras 3 file would use (``"layers/dense/vars/0"``), or by its path without the model's own
name, whichever spelling fits most of the file.  With dots for slashes it is the same.

The numbers in automatic names (``dense_7``) say only how many layers a process had made
before.  They count where all names of file and model are the same; else the first of its
class in the file is the first in the model (``flat_order``).  Where that is not certain, or
layers of the file stay unused, both readings are shown and nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kio.errors import shown
from kio.mapping import keras_paths
from kio.mapping.automatic import is_state
from kio.mapping.flat_order import Order, owner
from kio.mapping.pairing import told
from kio.mapping.plan import Mismatch, Plan, refusal
from kio.mapping.selection import EVERYTHING, Chooser, Renamer, Selection
from kio.mapping.tree import Leaf, Tree

# No backend turned what is in such files.
BACKENDS: tuple[str, ...] = ()

Names = dict[Leaf, str]


def names(tree: Tree) -> Names:
    """Variable paths; where two variables share one, the Keras 3 key of either."""
    seen: dict[str, Leaf] = {}
    twice = set()
    for leaf in tree.leaves:
        other = seen.setdefault(leaf.path, leaf)
        if other is not leaf and other.handle is not leaf.handle:
            twice.add(leaf.path)
    keys = keras_paths.names(tree)
    return {leaf: keys.get(leaf, leaf.path) if leaf.path in twice else leaf.path for leaf in tree.leaves}


def _without_model(path: str) -> str:
    return path.partition("/")[2] or path


def match(checkpoint: Any, tree: Tree, selection: Selection = EVERYTHING) -> Plan:
    """Decide which stored tensor goes to which variable.

    Args:
        checkpoint: ``Mapping[str, Tensor]``.
        tree: The model.
        selection: ``include`` and ``exclude`` are globs over variable paths and stored names; ``rename`` leads from
            names of the model to names in the file; ``by_name`` takes all names at their word, the numbers in
            automatic ones, too; ``whole`` is of no meaning: flat files hold no model.

    Returns:
        The plan; nothing is refused before ``plan.check``.

    Raises:
        MatchError: for a pattern, or a key of ``rename``, that matches nothing.
    """
    renamed, choose = selection.renamer(), selection.chooser()
    if tree.unskipped is not None and any(node.skip for node in tree.nodes):
        # Names tell the order alone: what is left alone has its place in it.
        tree = tree.unskipped()
    stored: dict[str, str] = {}
    for name in checkpoint:
        stored[name] = name
        stored.setdefault(name.replace(".", "/"), name)
    plan = Plan(rule="flat names", source=str(getattr(checkpoint, "name", "")))
    plan.part = selection.part
    found = _Reading(checkpoint, tree, stored, renamed).names(plan, selection.by_name)
    _enter(plan, checkpoint, tree, found, choose)
    if choose is not None:
        choose.check(stored)
    if renamed is not None:
        renamed.check("a variable of the model, or what is above it")
    return plan


def _enter(plan: Plan, checkpoint: Any, tree: Tree, found: Mapping[Leaf, str], choose: Chooser | None) -> None:
    """Turn the names that were found into pairs, and say what is left."""
    used: set[str] = set()
    filled: set[int] = set()
    left_out: dict[int, Leaf] = {}
    for leaf in tree.leaves:
        key = found[leaf]
        name = key if key in checkpoint else None
        if leaf.node.index in tree.apart:
            used.add(key)
            continue
        if choose is not None and not choose(leaf.path, key):
            used.update([key])
            left_out.setdefault(id(leaf.handle), leaf)
            continue
        if id(leaf.handle) in filled:
            continue
        plan.keys[leaf] = key
        if name is None:
            plan.missing.append(leaf)
            continue
        used.add(name)
        tensor = checkpoint[name]
        why = refusal(tensor, leaf)
        if why:
            plan.mismatched.append(Mismatch(leaf.path, name, why, leaf))
        else:
            filled.add(id(leaf.handle))
            plan.pairs.append((tensor, leaf))
    plan.leave_out(left_out.values())
    plan.unexpected = [name for name in checkpoint if name not in used]


class _Reading:
    """Which name of the file each variable has, and how certain that is."""

    def __init__(self, checkpoint: Any, tree: Tree, stored: Mapping[str, str], renamed: Renamer | None) -> None:
        self.checkpoint, self.tree, self.stored = checkpoint, tree, stored
        self.positions = False
        spelled = self.spelling()
        self.wanted: Names = {leaf: spelled(leaf) for leaf in tree.leaves}
        self.fixed: Names = {}
        if renamed is not None:
            for leaf, name in self.wanted.items():
                new = renamed(name)
                if new != name:
                    self.fixed[leaf] = new
            self.wanted |= self.fixed

    def spelling(self) -> Callable[[Leaf], str]:
        """How the file spells variables: the way under which most of them are found."""
        own, keys = names(self.tree), keras_paths.names(self.tree)
        ways: list[Callable[[Leaf], str]] = [
            lambda leaf: own[leaf],
            lambda leaf: keys.get(leaf, leaf.path),
            lambda leaf: _without_model(leaf.path),
        ]
        leaves = list(self.tree.leaves)
        counts = [sum(way(leaf) in self.stored for leaf in leaves) for way in ways]
        if max(counts) == len(leaves):
            self.positions = counts.index(len(leaves)) == 1
            return ways[counts.index(len(leaves))]
        order = Order(self.tree, self.checkpoint, {})
        # Numbers aside, for files of another session.
        alike = [order.alike(way) if i != 1 else 0 for i, way in enumerate(ways)]
        best = max(range(len(ways)), key=lambda i: (max(counts[i], alike[i]), counts[i]))
        self.positions = best == 1
        return ways[best]

    def names(self, plan: Plan, by_name: bool) -> Names:
        """The name of each variable in the file; what is not there stands as it was looked for."""
        exact = {leaf: self.stored.get(name, name) for leaf, name in self.wanted.items()}
        if by_name:
            return exact
        if self.positions:
            # Keys of a Keras 3 file: places, not names.
            self.refuse_unused(plan, exact, exact)
            return exact
        order = Order(self.tree, self.checkpoint, self.fixed)
        whole = self.complete(exact) and not self.unused(exact)
        if whole and (not order.told or order.follows(exact)):
            return exact
        ordered, sure = order.names(self.wanted, self.stored)
        if whole and (not self.complete(ordered) or ordered == exact):
            return exact
        if whole and self.complete(ordered):
            plan.ambiguous = self.both(plan, exact, ordered, "their names and their order say the same")
            return ordered
        self.refuse_unused(plan, exact, ordered)
        if plan.ambiguous is None and not sure and ordered != exact:
            plan.doubts.append(self.both(plan, exact, ordered, "one way to pair them", doubt=True))
        return ordered

    def complete(self, found: Names) -> bool:
        """Whether every variable of the model's layers has a tensor of its shape."""
        get = self.checkpoint.get
        return all(
            (tensor := get(name)) is not None and tensor.shape == leaf.shape
            for leaf, name in found.items()
            if leaf.node.kind != "Optimizer" and leaf.node.index not in self.tree.apart
        )

    def unused(self, found: Names) -> list[str]:
        """Objects of the file of which nothing is used, but for state."""
        used = {owner(name) for name in found.values() if name in self.checkpoint}
        left = {owner(name): None for name in self.checkpoint if owner(name) and not is_state(name.replace(".", "/"))}
        return [each for each in left if each not in used]

    def refuse_unused(self, plan: Plan, exact: Names, ordered: Names) -> None:
        """Refuse what fits and leaves layers of the file unused; what does not fit is refused as such."""
        if not plan.part and self.unused(ordered) and (self.complete(ordered) or self.complete(exact)):
            plan.ambiguous = self.both(plan, exact, ordered, "a place in the model for every layer of the file")

    def both(self, plan: Plan, exact: Names, ordered: Names, expected: str, doubt: bool = False) -> str:
        """The message that shows both readings."""
        where = f" ({shown(plan.source)})" if plan.source else ""
        lines = [f"match of file and model: expected {expected}, found another{where}"]
        if not doubt and self.unused(ordered):
            lines = [f"match of file and model: expected {expected}, found layers that stay unused{where}"]
        lines.append(f"  by their order: {self.told(ordered)}")
        if not self.positions:
            lines.append(f"  by their names: {self.told(exact)}")
            lines.append("  Numbers that Keras gives by itself (dense_1) tell nothing about which layer it is.")
        if doubt:
            lines.append("  They were paired in their order. by_name=True takes the names, rename= says what is meant.")
        else:
            ways = ["partial=True takes the order and leaves the rest of the file unused"] * self.complete(ordered)
            ways += ["by_name=True takes the names"] * (self.complete(exact) and not self.positions)
            lines.append(f"  Nothing was loaded. {', '.join(ways)}; include= and rename= say what should go where.")
        return "\n".join(lines)

    def told(self, found: Names) -> str:
        mine: dict[str, str | None] = {}
        for leaf, name in found.items():
            if leaf.node.kind != "Optimizer":
                mine.setdefault(owner(leaf.path), owner(name) if name in self.checkpoint else None)
        theirs = list({owner(n): None for n in self.checkpoint if not is_state(n.replace(".", "/"))})
        place = {name: j for j, name in enumerate(theirs)}
        return told(
            list(mine), theirs, {i: place[name] for i, name in enumerate(mine.values()) if name in place and name}
        )
