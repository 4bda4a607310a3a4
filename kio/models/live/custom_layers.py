"""Objects that read their own variables: their code, on a view of the file.

What ``load_own_variables(store)`` gets in Keras is an HDF5 group in disguise.  Here it is
a read-only mapping of arrays that have already been read, so that nothing the code does
can fail for the file's sake, and what it changed can be undone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from kio.errors import KioError, MatchError
from kio.mapping.plan import Custom, Skipped

Array = npt.NDArray[Any]


class View(Mapping[str, Array]):
    """What is stored for one object, by key, as ``load_own_variables`` sees it.

    Args:
        arrays: By key.
    """

    def __init__(self, arrays: dict[str, Array]) -> None:
        self._arrays = arrays

    def __getitem__(self, key: str) -> Array:
        return self._arrays[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __bool__(self) -> bool:
        # As Keras's own stores: there is a file, even if nothing is in it.
        return True


class Undo:
    """The state of objects before their own code ran."""

    def __init__(self, objects: Sequence[Any]) -> None:
        from kio.models.memory import backends

        self._targets: dict[int, Any] = {}
        self._modules: list[tuple[Any, dict[str, Any]]] = []
        for obj in objects:
            for variable in getattr(obj, "variables", None) or ():
                self._targets.setdefault(id(variable), variable)
            module: Any = getattr(obj, "module", None)
            if hasattr(module, "state_dict") and hasattr(module, "load_state_dict"):
                # A torch module's buffers are no Keras variables.
                self._modules.append((module, {k: v.clone() for k, v in module.state_dict().items()}))
        self._kept = backends.snapshot(list(self._targets.values()))

    def __call__(self) -> None:
        from kio.models.memory import backends

        backends.restore(list(self._targets.values()), self._kept)
        for module, state in self._modules:
            module.load_state_dict(state)


def run(customs: Sequence[Custom], arrays: Sequence[Array], lenient: bool, undoable: bool) -> list[Skipped]:
    """Let each object load itself, in the order given.

    Args:
        customs: The objects, and the names of what is stored for them.
        arrays: The values of all their tensors, in order.
        lenient: Leave an object as it was if its code raises, instead of raising.
        undoable: Whether to undo all of it before raising.

    Returns:
        What was left as it was.

    Raises:
        MatchError: if the code of an object raises; the cause is attached.
    """
    values = iter(arrays)
    views = [View({key: next(values) for key in custom.tensors}) for custom in customs]
    undo = Undo([custom.node.handle for custom in customs]) if undoable and not lenient else None
    skipped: list[Skipped] = []
    for custom, view in zip(customs, views, strict=True):
        one = Undo([custom.node.handle]) if lenient else None
        try:
            custom.node.handle.load_own_variables(view)
        except Exception as error:
            what = custom.node.name or custom.node.cls
            if one is not None:
                one()
                skipped.append(Skipped(what, f"{type(error).__name__}: {error}"))
                continue
            if undo is not None:
                undo()
            if isinstance(error, KioError):
                raise
            raise MatchError(
                f"{what}: expected its load_own_variables to accept what is stored at "
                f"{custom.path or 'the root'!r} (keys {', '.join(map(repr, list(view)[:8])) or 'none'}), "
                f"found {type(error).__name__}: {error}"
            ) from error
    return skipped
