from collections.abc import Iterable, Sequence
from typing import final

MAGIC: bytes
BLOCK: int

def nbytes_of(nbytes_of_runs: Iterable[int]) -> int: ...
def table_of(
    end: int,
    structure_nbytes: int,
    structure_crc: int,
    runs: Sequence[tuple[int, int]],
    sums: Sequence[Sequence[int]],
) -> bytes: ...

@final
class Table: ...
