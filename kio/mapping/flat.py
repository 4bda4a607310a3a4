"""Layout without structure: a tensor is called as its variable (npz, safetensors).

A leaf is found by its variable path (``"sequential/dense/kernel"``), by the key that a
Keras 3 file would use (``"layers/dense/vars/0"``), or by its path without the model's own
name, whichever spelling fits most of the file.  With dots for slashes it is the same.

The numbers in automatic names (``dense_7``) say only how many layers a process had made
before: where they alone differ, the first counts as the first, the second as the second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
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
    best = max(ways, key=lambda way: sum(way(leaf) in stored for leaf in tree.leaves))
    if all(best(leaf) in stored for leaf in tree.leaves):
        return best
    again = _recounted(tree, own, stored)
    return (lambda leaf: again[leaf]) if again is not None else best


def _recounted(tree: Tree, own: dict[Leaf, str], stored: dict[str, str]) -> dict[Leaf, str] | None:
    """Names in the file by leaf, if both sides agree in all but the numbers of automatic names."""
    classes = "|".join(sorted({re.escape(node.cls) for node in tree.nodes}, reverse=True))
    counter = re.compile(rf"(?<![A-Za-z0-9])({classes})(?:_(\d+))?(?=[_/]|$)")
    # With slashes alone: a name with dots is in there twice.
    files = _renumbered({name for name in stored if "." not in name}, counter)
    models = _renumbered(set(own.values()), counter)
    by_canon = {canon: name for name, canon in files.items()}
    found = {leaf: by_canon.get(models[path]) for leaf, path in own.items()}
    if len(by_canon) != len(files) or set(found.values()) != set(files):
        return None
    return {leaf: name for leaf, name in found.items() if name is not None}


def _renumbered(names: Iterable[str], counter: re.Pattern[str]) -> dict[str, str]:
    """Each name with the numbers of automatic names counted from 0, in the order of the old ones."""
    names = list(names)
    numbers: dict[str, set[int]] = {}
    for name in names:
        for base, number in counter.findall(name):
            numbers.setdefault(base, set()).add(int(number or 0))
    rank = {base: {number: i for i, number in enumerate(sorted(found))} for base, found in numbers.items()}
    return {name: counter.sub(lambda m: f"{m[1]}_{rank[m[1]][int(m[2] or 0)]}", name) for name in names}
