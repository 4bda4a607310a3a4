from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias

import numpy.typing as npt
from typing_extensions import Buffer

from kio.raw.sink import Sink
from kio.raw.source import Source
from kio.raw.tensor import Extent

_Stored: TypeAlias = npt.NDArray[Any] | Buffer | tuple[int, int]

class Lazy:
    def __init__(self, nbytes: int, make: Callable[[], _Stored]) -> None: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def make(self) -> Callable[[], _Stored]: ...

def default_threads(nbytes: int, direct: bool, memory: bool = False) -> int: ...
def write(
    sink: Sink,
    pieces: Iterable[tuple[int, _Stored | Source | Extent | Lazy]],
    *,
    checksums: Iterable[tuple[int, int]] | Literal["pieces"] = (),
    algorithm: Literal["crc32", "crc32c"] = "crc32",
    threads: int | None = None,
    direct: bool | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[int]: ...
