"""How each Keras writer turned the attribute graph into paths.  Data first, one walk after.

| writer           | attributes                 | layers of a model     | containers                |
|------------------|----------------------------|-----------------------|---------------------------|
| 2.12, 2.13       | ASCII                      | under DEPENDENCIES,   | visited members advance   |
|                  |                            | those with weights 2x | the counter               |
| 2.14             | ASCII                      | under DEPENDENCIES    | they do not               |
| 2.15, tf_keras   | ASCII, backwards           | under ``layers``      | they do not               |
| 3.0.0, 3.0.1     | ASCII: ``_x`` before ``a`` | from here on, too     | they do, from here on     |
| 3.0.2            | private last               |                       |                           |
| 3.0.3 to 3.14    | layers first, private last |                       | lists in lists are left   |
| 3.15             | the same                   |                       | nested; sets are left     |

Members of a container are named by class in snake case with ``_1``, ``_2`` …, never by the
layer's name.  An object is written under the first path that leads to it.

Spec: ``saving_lib.py`` of Keras 3.0.0 to 3.15.1 and of TF 2.12 to 2.15.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kio.mapping.keys import children
from kio.mapping.tree import Child, Container, Node, Tree

DEPENDENCIES = "_layer_checkpoint_dependencies"
_MODELS = ("Functional", "Sequential")


def _ascii(name: str) -> str:
    return name


def _private_last(name: str) -> str:
    return "~" + name if name.startswith("_") else name


@dataclass(frozen=True, slots=True)
class Rule:
    """One era of writers.

    Attributes:
        name: For people: the versions.
        since, until: First and last ``keras_version`` (major, minor, patch), inclusive.
        key: Sort key of attribute names.
        backwards: Attributes in descending order.
        layers_first: ``layers`` of a Functional or Sequential model before anything else.
        dependencies: The layers of such a model hang under ``_layer_checkpoint_dependencies``:
            ``"twice"`` where layers with weights advance the counter twice, else ``"once"``.
        count_visited: Members met before advance the counter of their class.
        nested: Containers in containers are walked.
        sets: Sets are walked, in whatever order they had.
        keys: ``"index"`` or ``"name"``: what a variable's key is.
        named: Whether the writer stores the objects' names.
        inner: What it called the optimizer inside a LossScaleOptimizer.
    """

    name: str
    since: tuple[int, ...]
    until: tuple[int, ...]
    key: Callable[[str], str] = _private_last
    backwards: bool = False
    layers_first: bool = True
    dependencies: str = ""
    count_visited: bool = True
    nested: bool = False
    sets: bool = True
    keys: str = "index"
    named: bool = False
    inner: str = "inner_optimizer"

    def entries(self, node: Node) -> list[tuple[str, Child]]:
        """The children of a node in this writer's order."""
        entries = node.entries
        if len(entries) > 1 and (self.backwards or self.key is not _private_last):
            entries = sorted(entries, key=lambda e: self.key(e[0]), reverse=self.backwards)
        if node.kind not in _MODELS or not entries:
            return entries
        layers = next((e for e in entries if e[0] == "layers"), None)
        if layers is None:
            return entries
        if self.dependencies and isinstance(layers[1], Container):
            members = layers[1].items
            if self.dependencies == "twice":
                members = [m for item in members for m in ([item, item] if has_weights(item) else [item])]
            entries = [(DEPENDENCIES, Container("dict", members)), *entries]
            return sorted(entries, key=lambda e: self.key(e[0]))
        if self.layers_first and entries[0] is not layers:
            return [layers, *entries]
        return entries


_NEVER = (99,)

RULES = (
    Rule("Keras 3.15", (3, 15), _NEVER, nested=True, sets=False, named=True),
    Rule("Keras 3.6 to 3.14", (3, 6), (3, 14, 99), named=True),
    Rule("Keras nightly of September 2025", (3, 12), (3, 12, 0), keys="name", named=True),
    Rule("Keras 3.0.3 to 3.5", (3, 0, 3), (3, 5, 99)),
    Rule("Keras 3.0.2", (3, 0, 2), (3, 0, 2), layers_first=False),
    Rule("Keras 3.0.0", (3, 0, 0), (3, 0, 1), key=_ascii, layers_first=False),
    Rule(
        "tf.keras 2.15 and tf_keras", (2, 15), (2, 99),
        key=_ascii, backwards=True, layers_first=False, count_visited=False,
    ),
    Rule(
        "tf.keras 2.14", (2, 14), (2, 14, 99),
        key=_ascii, layers_first=False, dependencies="once", count_visited=False, inner="_optimizer",
    ),
    Rule(
        "tf.keras 2.12", (2, 12), (2, 13, 99),
        key=_ascii, layers_first=False, dependencies="twice", inner="_optimizer",
    ),
)  # fmt: skip


def has_weights(child: Child) -> bool:
    """Whether an object or anything below it had what tf.keras called weights."""
    todo: list[Child] = [child]
    seen = {id(child)}
    while todo:
        item = todo.pop()
        if isinstance(item, Node):
            if item.leaves or item.table or (item.custom and item.expects):
                return True
            below = [c for _, c in item.entries]
        else:
            below = item.items
        for c in below:
            if id(c) not in seen:
                seen.add(id(c))
                todo.append(c)
    return False


def walk(tree: Tree, rule: Rule) -> Iterator[tuple[Node, str]]:
    """Every node that a writer reaches, with its path, in the order in which it writes them."""
    visited = [node.skip for node in tree.nodes]
    stack: list[Iterator[tuple[Node, str]]] = [iter([(tree.root, "")])]
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
            continue
        node, path = step
        if visited[node.index]:
            continue
        visited[node.index] = True
        yield node, path
        if node.entries:
            stack.append(children(node, path, rule, visited))


def paths(tree: Tree, rule: Rule) -> list[str | None]:
    """The path of every node as this writer wrote it, by ``Node.index``; None if never reached."""
    found: list[str | None] = [None] * len(tree.nodes)
    for node, path in walk(tree, rule):
        found[node.index] = path
    return found


def rule_of(version: tuple[int, ...]) -> Rule:
    """The rule by which this version of Keras 3 writes; released versions only.

    Args:
        version: Major, minor and patch, or more.

    Raises:
        ValueError: for a version before 3.
    """
    for rule in RULES:
        if rule.keys == "index" and (3,) <= rule.since <= version <= rule.until:
            return rule
    raise ValueError(f"Keras version: expected 3.0 or later, found {'.'.join(map(str, version))}")
