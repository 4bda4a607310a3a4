"""Matching Keras 3 files by the names stored in them (3.6 and later), wherever the objects hang.

An object is called by its name and the names of those above it: ``encoder/dense_1`` is
``dense_1`` in ``encoder``.  What has no namesake in the file is left alone, as Keras does
with ``by_name=True`` for its older files; what has one must fit.
"""

from __future__ import annotations

from collections.abc import Mapping

from kio.errors import MatchError
from kio.mapping.keras3.rules import RULES, paths
from kio.mapping.plan import Mismatch, Plan, Skipped, refusal
from kio.mapping.selection import Chooser, Renamer
from kio.mapping.stored import Stored
from kio.mapping.tree import Node, Tree


def _chain(path: str, name_at: Mapping[str, str | None]) -> str:
    """Names from the outermost object to the one at ``path``; the root has none."""
    names = []
    while path:
        name = name_at.get(path)
        if name is not None:
            names.append(name)
        path = path.rpartition("/")[0]
    return "/".join(reversed(names))


def match_names(stored: Stored, tree: Tree, choose: Chooser | None = None, renamed: Renamer | None = None) -> Plan:
    """Pair objects of one name, or of the one that ``rename`` gives it.

    Raises:
        MatchError: if the file stores no names, or one name twice.
    """
    plan = Plan(rule="names of objects")
    if not stored.names:
        raise MatchError("by_name: expected a file that stores names (Keras 3.6 or later), found none", plan=plan)
    at: dict[str, str] = {}
    for path in stored.groups:
        chain = _chain(path, stored.names)
        if chain in at:
            raise MatchError(f"by_name: expected every name once, found {chain!r} at {at[chain]} and {path}", plan=plan)
        at[chain] = path
    where = paths(tree, RULES[0])
    name_at: dict[str, str | None] = {
        path: node.name for node, path in zip(tree.nodes, where, strict=True) if path is not None
    }
    taken: dict[str, Node] = {}
    for node, place in zip(tree.nodes, where, strict=True):
        if place is None or not node.leaves:
            continue
        chain = _chain(place, name_at)
        if choose is not None and not choose(place, node.leaves[0].path):
            plan.leave_out(node.leaves)
            continue
        wanted = renamed(chain) if renamed is not None else chain
        found = at.get(wanted)
        if found is None and wanted != chain:
            plan.keys |= dict.fromkeys(node.leaves, wanted)
            plan.missing += node.leaves
        elif found is None:
            plan.skipped.append(Skipped(chain or node.cls, "no object of this name in the file", node.leaves))
        elif found in taken:
            raise MatchError(f"by_name: expected every name once in the model, found {chain!r} twice", plan=plan)
        else:
            taken[found] = node
            _pair(plan, stored, node, found)
    plan.unexpected = [name for path, group in stored.groups.items() if path not in taken for name in group.values()]
    plan.unexpected += stored.loose
    return plan


def _pair(plan: Plan, stored: Stored, node: Node, path: str) -> None:
    group = stored.groups[path]
    tensors = [stored.tensors[group[leaf.key]] if leaf.key in group else None for leaf in node.leaves]
    reasons = [
        f"nothing stored as {path}/vars/{leaf.key}" if tensor is None else refusal(tensor, leaf)
        for tensor, leaf in zip(tensors, node.leaves, strict=True)
    ]
    if node.expects is not None and len(group) != node.expects:
        reasons = [f"expected {node.expects} stored variables, found {len(group)}"] * len(reasons)
    if any(reasons):
        for leaf, why in zip(node.leaves, reasons, strict=True):
            why = why or "another variable of its object does not fit"
            plan.mismatched.append(Mismatch(leaf.path, path, why, leaf))
        return
    plan.pairs += [(tensor, leaf) for tensor, leaf in zip(tensors, node.leaves, strict=True) if tensor is not None]
    if node.after is not None:
        plan.finished.append(node)
