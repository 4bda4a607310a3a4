from collections.abc import Callable, Mapping
from typing import Any

from kio.containers.hdf5.draft import Draft
from kio.raw.sink import Sink

def nbytes_of(draft: Draft, *, table: bool = True) -> int: ...
def write(
    sink: Sink,
    draft: Draft,
    values: Mapping[str, Any],
    *,
    base: int = 0,
    table: bool = True,
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> tuple[int, int]: ...
