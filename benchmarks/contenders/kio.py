"""kio through its front door only (kio.load_model, kio.load_weights, kio.open)."""

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.contenders import Unavailable

label = "kio"


def _door(name: str) -> Any:
    try:
        return getattr(importlib.import_module("kio"), name)
    except (ImportError, AttributeError) as error:
        raise Unavailable(f"kio.{name} cannot be used here: {error}") from error


def load_model(path: str, **options: int) -> Any:
    return _door("load_model")(path, **options)


def load_weights(model: Any, path: str, **options: int) -> None:
    _door("load_weights")(model, path, **options)


def read(path: str, **options: int) -> Mapping[str, Any]:
    with _door("open")(path) as checkpoint:
        return checkpoint.read(**options)  # type: ignore[no-any-return]


def index(path: str) -> Any:
    checkpoint = _door("open")(path)
    # The names are asked for, so that a reader which puts off its work does it here.
    list(checkpoint)
    return checkpoint


def rows(handle: Any) -> Iterable[tuple[str, tuple[int, ...], str]]:
    return [(name, tensor.shape, tensor.dtype.name) for name, tensor in handle.items()]


def arrays(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return result


def save_model(model: Any, path: str, **options: int) -> None:
    _door("save_model")(model, path, **options)


def save_weights(model: Any, path: str, **options: int) -> None:
    _door("save_weights")(model, path, **options)


def save_in_background(model: Any, path: str) -> Any:
    return _door("save_weights")(model, path, background=True)
