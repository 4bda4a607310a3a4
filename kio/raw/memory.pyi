from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from kio.raw.tensor import Tensor

class Slab:
    def __init__(self, nbytes: int) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def allocate(tensors: Sequence[Tensor]) -> list[npt.NDArray[Any]]: ...
