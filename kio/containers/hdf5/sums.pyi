from collections.abc import Sequence

MAGIC: bytes
BLOCK: int
HEAD_NBYTES: int
FOOT_NBYTES: int

def table_of(
    end: int,
    structure_nbytes: int,
    structure_crc: int,
    runs: Sequence[tuple[int, int]],
    sums: Sequence[Sequence[int]],
) -> bytes: ...
