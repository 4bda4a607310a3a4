from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from kio.raw.tensor import Tensor

class Slab:
    def __new__(cls, nbytes: int) -> Slab: ...

def allocate(tensors: Sequence[Tensor]) -> list[npt.NDArray[Any]]: ...
def trim() -> None: ...
