"""Formats and codecs of other distributions, found by their entry points.

A distribution names what it has in its metadata, in the group ``kio.formats`` or ``kio.codecs``:

    [project.entry-points."kio.codecs"]
    mine = "my_package:CODEC"

Nothing is looked up before somebody asks for what kio itself has not; what has been found is kept.
One that cannot be used is left out, with one warning that names the distribution.  None can take
the name of something that kio has itself.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

_lock = threading.RLock()
# (group, what sys.path was) -> the entry points by name, each once.
_listed: dict[tuple[str, tuple[str, ...]], dict[str, EntryPoint]] = {}
# (group, name, what it refers to) -> what was made of it, None where that failed.
_made: dict[tuple[str, str, str], Any] = {}


def every(group: str, own: Collection[str], accept: Callable[[str, Any], T]) -> dict[str, T]:
    """What other distributions have, by name.

    Args:
        group: Of the entry points.
        own: Names that are kio's.
        accept: Makes of a name and what was loaded what is wanted, once; raises for what will not do.

    Returns:
        Those that can be used.

    Warns:
        UserWarning: once for each of the others.
    """
    with _lock:
        found = {}
        for name, entry in _entries(group).items():
            key = (group, name, entry.value)
            if key not in _made:
                _made[key] = None  # whatever happens, it is tried once
                _made[key] = _usable(group, entry, own, accept)
            if _made[key] is not None:
                found[name] = _made[key]
        return found


def _entries(group: str) -> dict[str, EntryPoint]:
    from importlib import metadata  # 20 ms, which nobody pays who has what kio has

    path = (group, tuple(sys.path))
    if path not in _listed:
        found: dict[str, EntryPoint] = {}
        for entry in metadata.entry_points(group=group):
            first = found.setdefault(entry.name, entry)
            if first.value != entry.value:
                _warn(group, entry, f"{_owner(first)} has one of that name, too, which is used")
        _listed[path] = found
    return _listed[path]


def _usable(group: str, entry: EntryPoint, own: Collection[str], accept: Callable[[str, Any], T]) -> T | None:
    if entry.name in own:
        _warn(group, entry, "it has the name of one of kio's own, which stays")
        return None
    try:
        return accept(entry.name, entry.load())
    except Exception as error:  # whatever the code of others raises
        _warn(group, entry, f"{type(error).__name__}: {error}")
        return None


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value


def _warn(group: str, entry: EntryPoint, why: str) -> None:
    warnings.warn(f"entry point {entry.name!r} of {group}, from {_owner(entry)}, is not used: {why}", stacklevel=2)
