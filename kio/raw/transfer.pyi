from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy.typing as npt

from kio.raw.jobs import Jobs
from kio.raw.tensor import Tensor

_Box = tuple[tuple[int, int], ...]  # (start, stop) of every dimension, in elements

def default_threads(nbytes: int, scratch: int = 0) -> int: ...
def read(
    tensors: Iterable[Tensor],
    *,
    into: Sequence[Any] | None = None,
    threads: int | None = None,
    verify: bool | None = None,
    fresh: bool = False,
    boxes: Sequence[_Box | None] | None = None,
) -> list[Any]: ...
def check(
    tensors: Iterable[Tensor],
    *,
    threads: int | None = None,
    verify: bool | None = True,
    members: bool | None = None,
) -> None: ...
def fragile(tensors: Iterable[Tensor], *, verify: bool | None = None) -> bool: ...
def read_box(
    tensor: Tensor,
    start: Sequence[int],
    box: Sequence[int],
    *,
    into: npt.NDArray[Any] | None = None,
    threads: int | None = None,
    verify: bool | None = None,
) -> npt.NDArray[Any]: ...
def box_of_key(tensor: Tensor, key: Any) -> tuple[_Box, tuple[Any, ...]] | None: ...
def read_slice(tensor: Tensor, key: Any, *, verify: bool | None = None) -> npt.NDArray[Any]: ...
def stream(
    tensors: Iterable[Tensor],
    *,
    budget: int = ...,
    threads: int | None = None,
    verify: bool = False,
) -> Iterator[tuple[Tensor, npt.NDArray[Any]]]: ...

class Run(Jobs):
    def __new__(cls) -> Run: ...
    def helper(self) -> None: ...
    def scout(self) -> None: ...
