"""A function or method of Keras replaced for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Hook:
    """A member replaced while any thread needs it; counted, restored by the last one.

    Args:
        find: The class or module that has it.
        name: Of the member.
        replacement: Calls ``stock`` of this hook for threads that it does not concern.
    """

    def __init__(self, find: Callable[[], Any], name: str, replacement: Callable[..., Any]) -> None:
        self._find = find
        self._name = name
        self._replacement = replacement
        self._users = 0
        self._lock = threading.Lock()
        self.stock: Callable[..., Any] = replacement

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                owner = self._find()
                self.stock = vars(owner)[self._name]
                setattr(owner, self._name, self._replacement)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                setattr(self._find(), self._name, self.stock)
