"""h5py: every dataset of the file, visited and read in the library's order."""

from collections.abc import Iterable, Mapping
from typing import Any

import h5py

from benchmarks import saving, shapes

label = "h5py"


def read(path: Any) -> Mapping[str, Any]:
    out: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            out[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return out


def index(path: str) -> Any:
    out: list[tuple[str, tuple[int, ...], str]] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            out.append((name, item.shape, item.dtype.name))

    with h5py.File(path) as file:
        file.visititems(visit)
    return out


def rows(handle: Any) -> Iterable[tuple[str, tuple[int, ...], str]]:
    return handle  # type: ignore[no-any-return]


def arrays(result: Mapping[str, Any]) -> Mapping[str, Any]:
    import numpy as np

    # A scalar dataset comes as a numpy scalar, which has no buffer to hash.
    return {name: np.asarray(value) for name, value in result.items()}


def save_weights(model: Any, path: str, *, fsync: int = 0) -> None:
    with h5py.File(path, "w") as file:
        for index, array in enumerate(shapes.values(model)):
            file.create_dataset(f"{index:05}", data=array)
    if fsync:
        saving.durable(path)
