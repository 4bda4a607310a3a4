from collections.abc import Iterable, Mapping

from kio.limits import Limits
from kio.raw.source import Source
from kio.raw.tensor import Index

def draft(
    tensors: Iterable[tuple[str, str, tuple[int, ...], int]], metadata: Mapping[str, str] | None = None
) -> tuple[bytes, list[int]]: ...
def open(source: Source, limits: Limits = ...) -> tuple[Index, dict[str, str]]: ...
