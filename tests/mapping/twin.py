"""Plain Python twins of ``kio.mapping.keys`` and ``nodes``, as they were before they were compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kio.mapping.keras3.reading import _RETRIES, Reading
from kio.mapping.keras3.rules import Rule
from kio.mapping.tree import Container, Leaf, Node
from kio.raw.tensor import Tensor

Arrange = Callable[[Container, str], list[tuple[Node, str]]]


def grouped(names: Any, backslashes: bool = False) -> tuple[dict[str, dict[str, str]], list[str]]:
    groups: dict[str, dict[str, str]] = {}
    loose = []
    for name in names:
        text = name.replace("\\", "/") if backslashes else name
        cut = text.rfind("/vars/")
        if cut > 0:
            path, key = text[:cut], text[cut + 6 :]
        elif text.startswith("vars/"):
            path, key = "", text[5:]
        else:
            loose.append(name)
            continue
        groups.setdefault(path, {})[key] = name
    return groups, loose


def members(
    container: Container,
    path: str,
    rule: Rule,
    visited: list[bool],
    arrange: Arrange | None = None,
    seen: set[int] | None = None,
) -> Iterator[tuple[Node, str]]:
    if container.kind == "set" and (arrange is not None or not rule.sets):
        if rule.sets and arrange is not None:
            yield from arrange(container, path)
        return
    used: dict[str, int] = {}
    for item in container.items:
        if isinstance(item, Node):
            if visited[item.index] and not item.skip and not rule.count_visited:
                continue
            cls = item.cls
        elif rule.nested:
            cls = "container"
        else:
            continue
        n = used.get(cls, -1) + 1
        used[cls] = n
        name = f"{path}/{cls}_{n}" if n else f"{path}/{cls}"
        if isinstance(item, Node):
            yield item, name
        else:
            seen = {id(container)} if seen is None else seen
            if id(item) not in seen:
                seen.add(id(item))
                yield from members(item, name, rule, visited, arrange, seen)


def children(
    node: Node, path: str, rule: Rule, visited: list[bool], arrange: Arrange | None = None
) -> Iterator[tuple[Node, str]]:
    prefix = path + "/" if path else ""
    for name, child in rule.entries(node):
        if isinstance(child, Node):
            yield child, prefix + (rule.inner if name == "inner_optimizer" else name)
        else:
            yield from members(child, prefix + name, rule, visited, arrange)


class PlainReading(Reading):
    """A Reading whose every node is placed by ``attempt``."""

    def walk(self) -> None:
        tree, rule, paths = self.tree, self.rule, self.paths
        done = [node.skip for node in tree.nodes]
        active = [False] * len(done)
        left = _RETRIES * (len(done) + 50)
        stack: list[tuple[Node | None, Iterator[tuple[Node, str]]]] = [(None, iter([(tree.root, "")]))]
        whole = [True]
        while stack:
            owner, steps = stack[-1]
            step = next(steps, None)
            if step is None:
                stack.pop()
                fine = whole.pop()
                if owner is not None:
                    active[owner.index] = False
                    fine = done[owner.index] = fine and paths[owner.index] is not None
                    whole[-1] &= fine
                continue
            node, path = step
            i = node.index
            if done[i] or active[i]:
                if node.skip:
                    self.left_out.add(path)
                continue
            fits = paths[i] is not None or self.attempt(node, path)
            if not node.entries or left < 0:
                done[i] = fits
                whole[-1] &= fits
                continue
            left -= 1
            active[i] = True
            stack.append((node, children(node, path, rule, done, self.arrange)))
            whole.append(True)


def paired(rows: list[tuple[list[Tensor], list[Leaf]]]) -> tuple[list[tuple[Tensor, Leaf]], int]:
    pairs: list[tuple[Tensor, Leaf] | None] = []
    last: dict[int, int] = {}
    twice = 0
    for tensors, leaves in rows:
        for tensor, leaf in zip(tensors, leaves, strict=True):
            n = last.get(id(leaf.handle))
            if n is not None:
                pairs[n] = None
                twice += 1
            last[id(leaf.handle)] = len(pairs)
            pairs.append((tensor, leaf))
    return [pair for pair in pairs if pair is not None], twice


def leading(
    table: dict[Any, Any], kind_of: Callable[[Any], int], barred: frozenset[str], numbered: bool = True
) -> list[tuple[str, Any]]:
    return [
        (name, value)
        for name, value in table.items()
        if isinstance(name, str) and name not in barred and not name.startswith("__")
        and (numbered or not name[:1].isdigit()) and kind_of(value)
    ]  # fmt: skip
