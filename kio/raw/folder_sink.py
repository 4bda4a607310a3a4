"""folder_sink: saves of several files that become visible together.

``GroupSink``   files beside others in a folder, and a head (a JSON) that names them
``FolderSink``  a folder that is replaced as a whole

Both rest on ``Sink``: temporaries in the same folder, locked while their saver lives.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from kio.raw.sink import Sink, clean, discard, drop, exchange, sync_folder, temporary

if TYPE_CHECKING:
    from typing_extensions import Self


class _Transaction:
    """Commits at the end of a ``with`` block, aborts if the block raised."""

    _open = True

    def commit(self) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.abort()
        elif self._open:
            self.commit()


class GroupSink(_Transaction):
    """Members of a folder that become visible when the head that names them is renamed.

    The names of members must be new: a reader then finds the old head with the old members
    until the very rename that makes it the new head with the new ones.

    Args:
        head: Path of the head.
        stale: Whether a file of the folder is a member of some save under this head, this
            one or an earlier or killed one.  Such files are removed after the commit,
            unless they are members of this save or of one that is under way.
        overwrite: False refuses a head that exists.
        durable: False skips the fsyncs, and nothing else.

    Attributes:
        head: Sink of the head.
    """

    def __init__(
        self,
        head: str | bytes | os.PathLike[Any],
        *,
        stale: Callable[[str], bool],
        overwrite: bool = True,
        durable: bool = True,
    ) -> None:
        self.head = Sink.open(head, overwrite=overwrite, durable=durable)
        if self.head.target is None:
            self.head.abort()
            raise OSError(errno.EINVAL, "several files need a folder, not a stream", os.fsdecode(head))
        self._folder, self._name = os.path.split(self.head.target)
        self._stale, self._durable = stale, durable
        self._members: list[Sink] = []

    def open(self, name: str) -> Sink:
        """Begin a member called ``name``.  Close nothing: ``commit`` and ``abort`` do.

        Raises:
            FileExistsError: if the name is taken.
        """
        if os.path.basename(name) != name or name in ("", ".", ".."):
            raise ValueError(f"name of a member: expected a plain file name, found {name!r}")
        path = os.path.join(self._folder, name)
        sink = Sink.open(path, overwrite=False, durable=self._durable, save=self._name)
        self._members.append(sink)
        return sink

    def commit(self) -> None:
        """Bring all files to the disk, then give them their names, the head's last.

        Raises:
            OSError: as the system reports it.  The head is still the old one then, unless
                only the last fsync of the folder failed.
        """
        self._open = False
        try:
            for sink in (*self._members, self.head):
                if sink.state == "open":
                    sink.settle()
            for sink in self._members:
                sink.publish()
            if self._durable and self._members:
                sync_folder(self._folder)
            mine = os.stat(self.head.temporary or "")
            self.head.publish()
        except BaseException:
            self.abort()
            raise
        try:
            if self._durable:
                sync_folder(self._folder)
            self._remove_stale(mine)
        finally:
            # Only now may another save take the members for stale ones.
            for sink in (*self._members, self.head):
                sink.close()

    def _remove_stale(self, mine: os.stat_result) -> None:
        kept = {os.path.basename(sink.target or "") for sink in self._members} | {self._name}

        def still_ours() -> bool:
            # Asked with the file locked: whoever committed after us has let go of its
            # members only after it renamed its head.
            return os.path.samestat(os.stat(self._folder + os.sep + self._name), mine)

        try:
            names = os.listdir(self._folder)
        except OSError:
            return
        for name in names:
            if name not in kept and self._stale(name):
                discard(os.path.join(self._folder, name), unlockable=True, only_if=still_ours)

    def abort(self) -> None:
        """Remove what was written; the old head and its members stay."""
        self._open = False
        for sink in self._members:
            sink.withdraw()
        self.head.abort()


class FolderSink(_Transaction):
    """A folder that is replaced as a whole.

    A new folder is filled beside the old one and then exchanged with it in one step; where
    the system has no such step (Windows), two renames follow each other, and a save that is
    killed between them is put right by the next one.

    Args:
        path: The folder to create or replace; symbolic links are followed.
        owns: Whether a name in the folder (with ``/`` for what lies deeper) belongs to
            what is saved.  What does not is kept, by hard links.
        overwrite: False refuses a folder that exists.
        durable: False skips the fsyncs, and nothing else.

    Attributes:
        target: Path of the folder.
        folder: Path of the one that is being filled.
    """

    def __init__(
        self,
        path: str | bytes | os.PathLike[Any],
        *,
        owns: Callable[[str], bool],
        overwrite: bool = True,
        durable: bool = True,
    ) -> None:
        name = os.fsdecode(path)
        self.target = os.path.realpath(name)
        self._owns, self._durable = owns, durable
        self._parent, last = os.path.split(self.target)
        clean(self._parent, last)  # which may put the old folder back
        self._old: os.stat_result | None = None
        with suppress(FileNotFoundError):
            self._old = os.stat(name)
        if self._old is not None:
            if not overwrite:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
            if not stat.S_ISDIR(self._old.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
        self._pid = os.getpid()
        self._lock_fd, self._lock = temporary(self._parent, last)
        self.folder = self._lock + ".d"
        self._sinks: list[Sink] = []
        try:
            os.mkdir(self.folder)
        except BaseException:
            self.abort()
            raise

    def open(self, name: str) -> Sink:
        """Begin the file ``name``, which may lie deeper.  ``commit`` closes it."""
        parts = name.split("/")
        if os.path.isabs(name) or os.path.splitdrive(name)[0] or {"", ".", ".."} & set(parts):
            raise ValueError(f"name in a folder: expected a relative one, found {name!r}")
        path = os.path.join(self.folder, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        sink = Sink.open(path, durable=self._durable)
        self._sinks.append(sink)
        return sink

    def commit(self) -> None:
        """Bring all files to the disk and put the new folder in the old one's place.

        Raises:
            OSError: as the system reports it.  The path still holds the old folder then,
                unless only the last fsync failed.
        """
        self._open = False
        try:
            for sink in self._sinks:
                if sink.state == "open":
                    sink.settle()
                if sink.state == "settled":
                    sink.publish()
                sink.close()
            if self._old is not None:
                self._keep(self.target, self.folder, "")
                shutil.copymode(self.target, self.folder)
                if hasattr(os, "chown"):
                    with suppress(PermissionError):
                        os.chown(self.folder, self._old.st_uid, self._old.st_gid)
            if self._durable:
                for folder, _, _ in os.walk(self.folder):
                    sync_folder(folder)
            self._swap()
        except BaseException:
            self.abort()
            raise
        try:
            if self._durable:
                sync_folder(self._parent)
        finally:
            self._release()

    def _keep(self, old: str, new: str, prefix: str) -> None:
        """Link what is in the old folder, and not ours, into the new one."""
        with os.scandir(old) as entries:
            for entry in entries:
                path = os.path.join(new, entry.name)
                if self._owns(prefix + entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    os.makedirs(path, exist_ok=True)
                    shutil.copymode(entry.path, path)
                    self._keep(entry.path, path, f"{prefix}{entry.name}/")
                elif not os.path.lexists(path):
                    if entry.is_symlink():
                        os.symlink(os.readlink(entry.path), path)
                    else:
                        os.link(entry.path, path)

    def _swap(self) -> None:
        if self._old is None:
            os.rename(self.folder, self.target)
        elif not exchange(self.folder, self.target):
            aside = self._lock + ".old"
            os.rename(self.target, aside)
            try:
                os.rename(self.folder, self.target)
            except BaseException:
                os.rename(aside, self.target)
                raise

    def _release(self) -> None:
        """Remove what is left beside the target, the locked file last."""
        if self._pid == os.getpid():
            drop(self._lock, self.target)
            if os.name == "nt":
                os.close(self._lock_fd)
                self._lock_fd = -1
            with suppress(OSError):
                os.unlink(self._lock)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def abort(self) -> None:
        """Remove what was written; the old folder stays."""
        self._open = False
        for sink in self._sinks:
            sink.close()
        if self._lock_fd >= 0:
            self._release()
