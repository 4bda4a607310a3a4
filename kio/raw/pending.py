"""The door that a path passes before kio opens it or puts something in its place.

A save may be under way behind it, in this very process (``kio.background``).  Whoever saves
so is above, whoever opens is below: so the one says here how to wait, and the other waits.
"""

from __future__ import annotations

from collections.abc import Callable

_waits: list[Callable[[str], object]] = []


def on_settle(wait: Callable[[str], object]) -> None:
    """Have ``wait`` called with each path before it is opened.

    Args:
        wait: Returns once nothing is under way at the path; raises what went wrong there.
    """
    _waits.append(wait)


def settle(path: str) -> None:
    """Wait for what is under way at ``path``.

    Raises:
        Exception: what it ended with, if nobody was told.
    """
    for wait in _waits:
        wait(path)
