from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Container as Container_
from typing import Any, final

from kio.mapping.nodes import Container, Leaf, Node
from kio.raw.tensor import Tensor

_Step = tuple[Node, str]
_Arrange = Callable[[Container, str], list[_Step]]

def grouped(names: Iterable[str], backslashes: bool = False) -> tuple[dict[str, dict[str, str]], list[str]]: ...
def members(
    container: Container,
    path: str,
    rule: Any,
    visited: list[bool],
    arrange: _Arrange | None = None,
    seen: set[int] | None = None,
) -> Iterator[_Step]: ...
def children(
    node: Node, path: str, rule: Any, visited: list[bool], arrange: _Arrange | None = None
) -> Iterator[_Step]: ...

@final
class Fit:
    def __init__(
        self,
        groups: dict[str, dict[str, str]],
        tensors: Mapping[str, Tensor],
        special: Container_[str],
        optimizers: bool,
        refusal: Callable[[Tensor, Leaf], str],
        paths: list[str | None],
        fits: list[list[Tensor]],
        order: list[Node],
    ) -> None: ...
    @property
    def used(self) -> int: ...
    def place(self, node: Node, path: str) -> bool: ...

def visit(
    root: Node,
    done: list[bool],
    paths: list[str | None],
    steps: Callable[[Node, str], Iterator[_Step]],
    attempt: Callable[[Node, str], bool],
    left_out: set[str],
    left: int,
    fit: Fit | None = None,
) -> None: ...

@final
class Pairs:
    @property
    def twice(self) -> int: ...
    def add(self, tensors: list[Tensor], leaves: list[Leaf]) -> None: ...
    def listed(self) -> list[tuple[Tensor, Leaf]]: ...

def release(pairs: list[tuple[Tensor, Leaf]]) -> list[Any]: ...
