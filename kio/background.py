"""Saves that go on while their caller does.

    caller   contents of the save → its turn → snapshot → start → until the sink is open → returns
    worker                                                create → fsync → rename → done

One snapshot exists at a time, whatever its path: the next save waits for its turn, so that
memory is bounded and two saves of one path cannot overtake each other.  Whatever kio opens
or puts at a path waits for the save that is under way there (``settle``): a save that does
not go on in the background, and every load.

An error that comes after the caller has its ``SaveResult`` is raised by ``wait``; by the
next save or load of that path if nobody asked; and is a warning at the end of the process if
there was none.  The path then holds what it held before.

The worker is no daemon: the interpreter does not end before the file has its name.  A
forked child has neither the worker nor the file: its ``wait`` raises, and its loads of the
path wait for the process that saves.
"""

from __future__ import annotations

import atexit
import os
import socket
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kio.errors import KioError
from kio.formats.keras_shards import is_shard_of
from kio.raw import pending
from kio.raw.arena import Arena
from kio.reports import SaveResult

# How long memory is kept for the next snapshot.
KEPT_S = 60.0

# All that is below changes with this held.  Its owner may take it twice: a signal handler
# may save, too.
_changed = threading.Condition()
_current: Saving | None = None
_failed: dict[str, Saving] = {}
_parents: list[Saving] = []  # in a forked child: saves of the process that it comes from
_idle: Arena | None = None
_timer: threading.Timer | None = None


class Saving(SaveResult):
    """A save that may be under way; ``nbytes`` and ``seconds`` are 0 until it is done."""

    __slots__ = ("_arena", "_began", "_ends", "_error", "_key", "_opened", "_owner", "_state", "_worker")

    def __init__(self, path: str, format: str, began: float) -> None:
        super().__init__(path, format, 0, 0.0)
        self._began = began
        self._key = os.path.realpath(path)  # whatever its saves call it
        self._owner = threading.get_ident()
        self._worker: int | None = None  # the thread that writes
        # What forked children hear of the end, and where it is said.
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._state = "staging"  # then "writing", then "done"
        self._opened = False
        self._error: BaseException | None = None
        self._arena: Arena | None = None

    def done(self) -> bool:
        """Whether the save has ended, with or without an error."""
        return self._state == "done"

    def wait(self, timeout: float | None = None) -> Saving:
        """Wait until the file has its name.

        Args:
            timeout: In seconds; None for as long as it takes.

        Returns:
            This result.

        Raises:
            TimeoutError: if it is not done by then; it goes on.
            Exception: what the save ended with, each time.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error
        return self

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait as ``wait`` does; return what that would raise, or None."""
        with _changed:
            if not _changed.wait_for(self.done, timeout):
                raise TimeoutError(f"save of {self.path}: expected its end within {timeout} s, found it under way")
            _seen(self)
            return self._error

    def _changes(self, real: str) -> bool:
        """Whether what is at a path is another thing once the save has ended.

        Args:
            real: The path, links followed.
        """
        key = self._key
        if real == key or real.startswith(key + os.sep) or key.startswith(os.path.join(real, "")):
            return True  # the file itself, one in the folder that is saved, or the folder that it is in
        (folder, name), (other, saved) = os.path.split(real), os.path.split(key)
        # Other names of the same: hard links, mounted folders, file systems that ignore case.
        if _samefile(real, key):
            return True
        if name.casefold() != saved.casefold() and not is_shard_of(name, saved):
            return False
        return folder == other or _samefile(folder, other)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # What goes to another process, which cannot wait for a thread of this one, is the outcome.
        self.wait()
        return SaveResult, (self.path, self.format, self.nbytes, self.seconds, self.needs)

    def __str__(self) -> str:
        if not self.done():
            return f"{self.path}: {self.format}, being saved"
        return super().__str__() if self._error is None else f"{self.path}: not saved: {self._error}"


def save(
    path: str,
    format: str,
    stage: Callable[[Arena], object],
    write: Callable[[Callable[[], None]], int],
    close: Callable[[], object],
    began: float,
    needs: tuple[str, ...] = (),
) -> Saving:
    """Stage now, write in the background.

    Args:
        path: Where to.
        format: Its name.
        stage: Copies what changes into the arena.
        write: Writes; calls its argument once the sink is open; returns the bytes written.
        close: Called when all is written or given up.
        began: ``time.perf_counter()`` of the call.
        needs: For the result.

    Returns:
        The result, as soon as the sink is open.

    Raises:
        Exception: what the save of this path before ended with, if nobody asked; nothing
            was done now.  What ``stage`` raises, or ``write`` before the sink is open.
    """
    saving = Saving(path, format, began)
    saving.needs = needs
    # A thread holds its arguments as long as it lives; what is in the list can be let go of.
    work: list[Callable[..., Any]] = [write, close]
    try:
        _take_turn(saving)
        stage(_lend(saving))
        threading.Thread(target=_work, args=(saving, work), name="kio-save").start()
    except BaseException:
        if _abandon(saving):
            close()
        raise
    with _changed:
        _changed.wait_for(lambda: saving._opened or saving.done())
        if not saving._opened and saving._error is not None:
            _seen(saving)
            raise saving._error
    return saving


def settle(path: str) -> None:
    """Wait for the save that is under way at this path, whatever its save called it.

    In the thread that saves, and in one that a save of the same thread has interrupted,
    there is nothing to wait for.

    Raises:
        Exception: what the last one ended with, if nobody asked.

    Cost: nothing while no save is under way.
    """
    if _current is None and not _failed and not _parents:
        return
    real = os.path.realpath(path)
    for saving in list(_parents):
        if saving._changes(real):
            _settle_parent(saving)
    with _changed:
        _changed.wait_for(lambda: _current is None or not _busy() or not _current._changes(real))
        for key in [key for key, saving in _failed.items() if saving._changes(real)]:
            _raise_failed(key)


def wait(timeout: float | None = None) -> None:
    """Wait until no save is under way.

    Raises:
        TimeoutError: if one is after ``timeout`` seconds.
        Exception: what the first of those ended with that nobody asked.
    """
    with _changed:
        if not _changed.wait_for(lambda: not _busy(), timeout):
            raise TimeoutError(f"background saves: expected their end within {timeout} s, found one under way")
        for key in list(_failed):
            _raise_failed(key)


def free() -> None:
    """Give back the memory that is kept for the next snapshot."""
    global _idle, _timer
    with _changed:
        _idle = None
        if _timer is not None:
            _timer.cancel()
            _timer = None


# ---- turns


def _busy() -> bool:
    """Whether somebody else's snapshot exists.

    One of this very thread that is being staged is that of a save which a signal handler,
    now saving itself, has interrupted: who waited for it would wait forever.  So would the
    thread that writes it, which runs code of the caller's, too.
    """
    if _current is None or _current.done():
        return False
    me = threading.get_ident()
    return me != _current._worker and not (_current._state == "staging" and _current._owner == me)


def _take_turn(saving: Saving) -> None:
    global _current
    settle(saving._key)
    with _changed:
        _changed.wait_for(lambda: not _busy())
        _raise_failed(saving._key)
        _current = saving
        if hasattr(os, "register_at_fork"):
            with suppress(OSError):  # without free descriptors there are no children that wait
                saving._ends = socket.socketpair()


def _abandon(saving: Saving) -> bool:
    """End a save that was not written; False if its worker was faster."""
    with _changed:
        if saving._state != "staging":
            return False
        _end(saving, None)
        return True


def _seen(saving: Saving) -> None:
    if _failed.get(saving._key) is saving:
        del _failed[saving._key]


def _raise_failed(key: str) -> None:
    failed = _failed.pop(key, None)
    if failed is None or failed._error is None:
        return
    error = failed._error
    if hasattr(error, "add_note"):
        error.add_note(f"(of the save of {failed.path} in the background, before this call)")
    raise error


# ---- the worker


def _work(saving: Saving, work: list[Callable[..., Any]]) -> None:
    with _changed:
        if saving._state != "staging":
            return  # the caller was interrupted and has given up
        saving._state, saving._worker = "writing", threading.get_ident()
    error: BaseException | None = None
    nbytes = 0
    try:
        nbytes = work[0](lambda: _set_opened(saving))
    except BaseException as e:  # raised where somebody asks for it
        error = e
    try:
        work[1]()
    except BaseException as e:
        error = error or e
    work.clear()
    # Frames of the error would keep the snapshot alive as long as the error.
    _forget(error)
    with _changed:
        saving.nbytes, saving.seconds = nbytes, time.perf_counter() - saving._began
        _end(saving, error)


def _set_opened(saving: Saving) -> None:
    with _changed:
        saving._opened = True
        _changed.notify_all()


def _forget(error: BaseException | None) -> None:
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _end(saving: Saving, error: BaseException | None) -> None:
    global _current
    saving._state, saving._error, saving._worker = "done", error, None
    _tell_children(saving, error)
    if error is not None:
        _failed[saving._key] = saving
    if _current is saving:
        _current = None
    _take_back(saving)
    _changed.notify_all()


# ---- forked children

_HEARD_MAX = 2000  # bytes of an error's text


def _tell_children(saving: Saving, error: BaseException | None) -> None:
    if saving._ends is None:
        return
    told, heard = saving._ends
    saving._ends = None
    with suppress(OSError):
        told.send(b"+" if error is None else b"-" + repr(error).encode("utf-8", "replace")[:_HEARD_MAX])
    told.close()
    heard.close()


def _settle_parent(saving: Saving) -> None:
    """Wait, in a forked child, for a save of the process that it comes from."""
    ends = saving._ends
    # Looked at and left there: other children hear it from the same place.
    said = ends[1].recv(_HEARD_MAX + 1, socket.MSG_PEEK) if ends is not None else b""
    with suppress(ValueError):  # another thread was faster
        _parents.remove(saving)
    if said[:1] != b"+":
        why = said[1:].decode("utf-8", "replace") or "that process ended before it"
        raise KioError(f"save of {saving.path} in the process that this one was forked from: not saved: {why}")


def _samefile(a: str, b: str) -> bool:
    try:
        return os.path.samefile(a, b)
    except (OSError, ValueError):
        return False


# ---- the arena


def _lend(saving: Saving) -> Arena:
    global _idle
    with _changed:
        arena = _idle or Arena()
        free()
        saving._arena = arena
    return arena


def _take_back(saving: Saving) -> None:
    global _idle, _timer
    arena, saving._arena = saving._arena, None
    if arena is not None and arena.nbytes:
        free()
        _idle = arena
        _timer = threading.Timer(KEPT_S, free)
        _timer.daemon = True
        with suppress(RuntimeError):  # at the end of the process there are no new threads
            _timer.start()


# ---- the end of the process, and its children


def _finish() -> None:
    with _changed:
        _changed.wait_for(lambda: not _busy())
        failed = list(_failed.values())
        _failed.clear()
    for saving in failed:
        warnings.warn(f"background save of {saving.path} failed: {saving._error!r}", RuntimeWarning, stacklevel=1)


def _in_child() -> None:
    global _changed, _current, _idle, _timer
    _changed = threading.Condition()
    if _current is not None and not _current.done():
        if _current._ends is not None:
            _current._ends[0].close()  # or the end of the process that saves would not be heard
        _parents.append(_current)
        _current._error = KioError(
            f"save of {_current.path}: expected to be asked in the process that began it, found a forked child"
        )
        _current._state = "done"
    _current = _idle = _timer = None
    _failed.clear()


pending.on_settle(settle)
atexit.register(_finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _changed.acquire(),
        after_in_parent=lambda: _changed.release(),
        after_in_child=_in_child,
    )
