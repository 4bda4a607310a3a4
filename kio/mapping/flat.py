"""Layout without structure: a tensor is called as its variable (npz, safetensors).

A leaf is found by its variable path (``"sequential/dense/kernel"``), by the key that a
Keras 3 file would use (``"layers/dense/vars/0"``), or by its path without the model's own
name, whichever spelling fits most of the file.  With dots for slashes it is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kio.mapping import keras_paths
from kio.mapping.plan import Mismatch, Plan, refusal
from kio.mapping.stored import Patterns, Rename, chooser, renamer
from kio.mapping.tree import Leaf, Tree


def names(tree: Tree) -> dict[Leaf, str]:
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


def match(
    checkpoint: Any,
    tree: Tree,
    *,
    include: Patterns = None,
    exclude: Patterns = None,
    rename: Rename = None,
    by_name: bool = True,
) -> Plan:
    """Decide which stored tensor goes to which variable, by name alone."""
    renamed, choose = renamer(rename), chooser(include, exclude)
    stored: dict[str, str] = {}
    for name in checkpoint:
        stored[name] = name
        stored.setdefault(name.replace(".", "/"), name)
    spelling = _spelling(tree, stored)
    plan = Plan(rule="flat names", source=str(getattr(checkpoint, "name", "")))
    used: set[str | None] = set()
    filled: set[int] = set()
    for leaf in tree.leaves:
        key = renamed(spelling(leaf)) if renamed else spelling(leaf)
        if choose is not None and not choose(leaf.path, key):
            used.add(stored.get(key))
            continue
        if id(leaf.handle) in filled:
            continue
        name = stored.get(key)
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
    plan.unexpected = [name for name in checkpoint if name not in used]
    return plan


def _spelling(tree: Tree, stored: dict[str, str]) -> Callable[[Leaf], str]:
    """How the file spells variables: the way under which most of them are found."""
    own, keys = names(tree), keras_paths.names(tree)
    ways: list[Callable[[Leaf], str]] = [
        lambda leaf: own[leaf],
        lambda leaf: keys.get(leaf, leaf.path),
        lambda leaf: _without_model(leaf.path),
    ]
    return max(ways, key=lambda way: sum(way(leaf) in stored for leaf in tree.leaves))
