"""Flat names by order: the first Dense of the file is the first Dense of the model.

An object is what its variables' names share: ``encoder/dense_3`` of ``encoder/dense_3/kernel``.
Objects are of one kind if their names agree in all but the numbers of automatic names, and
their variables in names and shapes.  Those of a kind pair in their order: the order in which
the file holds them, or, where it was sorted by name and tells none, that of their numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kio.mapping.automatic import Automatic, numbers_of
from kio.mapping.keras3.rules import RULES, walk
from kio.mapping.pairing import align
from kio.mapping.tree import Leaf, Tree


def owner(name: str) -> str:
    """What a tensor's name is of: all but its last part."""
    return name.replace(".", "/").rpartition("/")[0]


@dataclass(slots=True)
class _Stored:
    name: str
    shape: tuple[int, ...]


@dataclass(slots=True)
class _Object:
    """One object: what it is called, and its variables by their names without numbers."""

    name: str
    canon: str
    items: dict[str, list[Any]] = field(default_factory=dict)

    def kind(self) -> tuple[Any, ...]:
        shapes = [(key, tuple(each.shape for each in items)) for key, items in self.items.items()]
        return self.canon, tuple(sorted(shapes))


class Order:
    """Pairs objects of a model with those of a flat file by their order.

    Args:
        tree: The model.
        checkpoint: The file.
        fixed: Names that the user gave to variables: neither side counts these.

    Attributes:
        told: Whether the file has an order of its own.
    """

    def __init__(self, tree: Tree, checkpoint: Any, fixed: Mapping[Leaf, str]) -> None:
        self.tree, self.checkpoint, self.fixed = tree, checkpoint, fixed
        self.automatic = Automatic({node.cls for node in tree.nodes})
        listed = list(checkpoint)
        self.told = listed != sorted(listed) and not any(
            getattr(child, "kind", "") == "set" for node in tree.nodes for _, child in node.entries
        )

    def leaves(self, apart: bool) -> list[Leaf]:
        """Variables of the model's objects in the order in which a writer meets them."""
        found: dict[int, Leaf] = {}
        for node, _ in walk(self.tree, RULES[0]):
            for leaf in node.leaves if node.kind != "Optimizer" else ():
                if leaf not in self.fixed and (apart or node.index not in self.tree.apart):
                    found.setdefault(id(leaf.handle), leaf)
        return list(found.values())

    def follows(self, found: Mapping[Leaf, str]) -> bool:
        """Whether the variables follow each other in the file as they do in the model."""
        place = {name: i for i, name in enumerate(self.checkpoint)}
        places = [place.get(found[leaf], -1) for leaf in self.leaves(True)]
        return all(a < b for a, b in itertools.pairwise(places))

    def alike(self, spelled: Callable[[Leaf], str]) -> int:
        """How many variables are in the file, numbers of automatic names aside."""
        known = {self.automatic.canon(name.replace(".", "/")) for name in self.checkpoint}
        return sum(self.automatic.canon(spelled(leaf)) in known for leaf in self.tree.leaves)

    def names(self, wanted: Mapping[Leaf, str], stored: Mapping[str, str]) -> tuple[dict[Leaf, str], bool]:
        """The name of each variable in the file by order, and whether there is no other way."""
        taken = {stored.get(name, name) for name in self.fixed.values()}
        rest = [(name, tensor) for name, tensor in self.checkpoint.items() if name not in taken]
        # What is left alone may be in the file or not.
        for apart in [True, False] if self.tree.apart else [True]:
            mine = self._objects((wanted[leaf], leaf) for leaf in self.leaves(apart))
            theirs = self._objects((n.replace(".", "/"), _Stored(n, t.shape)) for n, t in rest)
            if not self.told:
                mine, theirs = (sorted(each, key=lambda o: (o.canon, numbers_of(o.name))) for each in (mine, theirs))
            pairs, sure = self._pairs(mine, theirs)
            if len(pairs) == len(mine) and sure:
                break
        found = {leaf: stored.get(name, name) for leaf, name in self.fixed.items()}
        by_handle: dict[int, str] = {}
        for i, j in pairs.items():
            for key, items in mine[i].items.items():
                for leaf, tensor in zip(items, theirs[j].items.get(key, ()), strict=False):
                    by_handle[id(leaf.handle)] = tensor.name
        for leaf in wanted:
            if leaf not in found and id(leaf.handle) in by_handle:
                found[leaf] = by_handle[id(leaf.handle)]
        self._slots(found, wanted, stored)
        for leaf, name in wanted.items():
            if leaf not in found:
                # What found no partner must not find one by its number.
                found[leaf] = f"{name}, of another layer by its place" if name in stored else name
        return found, sure

    def _objects(self, named: Iterable[tuple[str, Any]]) -> list[_Object]:
        found: dict[str, _Object] = {}
        for name, item in named:
            above = owner(name)
            one = found.get(above)
            if one is None:
                one = found[above] = _Object(above, self.automatic.canon(above))
            one.items.setdefault(self.automatic.canon(name.rpartition("/")[2]), []).append(item)
        return list(found.values())

    def _pairs(self, mine: list[_Object], theirs: list[_Object]) -> tuple[dict[int, int], bool]:
        """Objects of a kind in their order; where their numbers differ, as many as the order of all allows."""
        of_kind: dict[tuple[Any, ...], tuple[list[int], list[int]]] = {}
        for side, objects in enumerate((mine, theirs)):
            for i, each in enumerate(objects):
                of_kind.setdefault(each.kind(), ([], []))[side].append(i)
        if all(len(a) == len(b) for a, b in of_kind.values() if a):
            return {i: j for a, b in of_kind.values() if a for i, j in zip(a, b, strict=True)}, True
        kinds = [each.kind() for each in mine], [each.kind() for each in theirs]
        pairs, sure = align(len(mine), len(theirs), lambda i, j: kinds[0][i] == kinds[1][j])
        # The rest of one name each: they do not fit, and the plan says why.
        used = set(pairs.values())
        free = [j for j in range(len(theirs)) if j not in used]
        for i, each in enumerate(mine):
            if i not in pairs:
                near = next((j for j in free if theirs[j].canon == each.canon), None)
                if near is not None:
                    free.remove(near)
                    pairs[i] = near
        return pairs, sure

    def _slots(self, found: dict[Leaf, str], wanted: Mapping[Leaf, str], stored: Mapping[str, str]) -> None:
        """Optimizers' variables: each is called after the variable that it is of."""
        new = {wanted[leaf].replace("/", "_"): owner_name for leaf, owner_name in found.items()}
        heads = {self.automatic.canon(name.partition("/")[0]): name.partition("/")[0] for name in stored}
        for node in self.tree.nodes:
            for leaf in node.leaves if node.kind == "Optimizer" else ():
                if leaf in found:
                    continue
                head, _, rest = wanted[leaf].partition("/")
                cut = len(rest)
                while cut > 0 and rest[:cut] not in new:
                    cut = rest.rfind("_", 0, cut)
                if cut > 0:
                    rest = new[rest[:cut]].replace("/", "_").replace(".", "_") + rest[cut:]
                for name in (f"{heads.get(self.automatic.canon(head), head)}/{rest}", wanted[leaf]):
                    if name in stored:
                        found[leaf] = stored[name]
                        break
