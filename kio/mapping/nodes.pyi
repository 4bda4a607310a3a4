from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

@final
class Leaf:
    key: str
    path: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    handle: Any
    node: Node
    def __init__(
        self, key: str, path: str, name: str, shape: tuple[int, ...], dtype: str, handle: Any, node: Node
    ) -> None: ...
    def __setstate__(self, state: tuple[Any, ...]) -> None: ...

@final
class Node:
    index: int
    cls: str
    kind: str
    name: str | None
    entries: list[tuple[str, Node | Container]]
    leaves: list[Leaf]
    expects: int | None
    loads: bool
    custom: bool
    built: bool
    assets: bool
    skip: bool
    table: bool
    rivals: frozenset[str]
    forms: Mapping[str, Any]  # of tree.Form
    spare: Sequence[tuple[int, ...]]
    others: Mapping[Leaf, str]
    handle: Any
    after: Callable[[], None] | None
    def __init__(self, index: int, cls: str, kind: str, name: str | None, handle: Any = None) -> None: ...
    def release(self) -> None: ...
    def __setstate__(self, state: tuple[Any, ...]) -> None: ...

@final
class Container:
    kind: str
    items: list[Node | Container]
    def __init__(self, kind: str, items: list[Node | Container] | None = None) -> None: ...
    def __setstate__(self, state: list[Node | Container]) -> None: ...

@final
class Kinds:
    def __init__(self, kind_of: Callable[[Any], int]) -> None: ...
    def of(self, value: Any) -> int: ...
    def plain(self, values: Iterable[Any]) -> bool: ...
    def leading(self, table: dict[str, Any], barred: Barred, numbered: bool = True) -> list[tuple[str, Any]]: ...

@final
class Barred:
    def __new__(cls, names: Iterable[str] = ()) -> Barred: ...
    def __contains__(self, name: object, /) -> bool: ...

def describe(node: Node, variables: Iterable[Any], keys: tuple[str, ...], attributes: tuple[str, ...]) -> None: ...
def release(leaves: list[Leaf]) -> None: ...
