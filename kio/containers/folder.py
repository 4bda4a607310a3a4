"""folder: the files of a directory as members, opened without leaving it.

A name is resolved from the directory's own descriptor, one part at a time, and no link
is followed.  One exception: the Hugging Face cache keeps each file of a snapshot as a
link to ``../../blobs/<hash>``.  A link of exactly that form is opened as that blob.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from functools import cached_property

from kio.errors import CorruptError, LimitError, UnsupportedError
from kio.limits import DEFAULT, Limits
from kio.raw.source import Source

# Without these (Windows) the check and the open are two steps.
_ANCHORED = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_BLOB = re.compile(r"((?:\.\./){2,8})blobs/([0-9a-f]{40,64})")


class Folder:
    """A directory that looks like an archive.

    Attributes:
        name: Its path.
    """

    def __init__(self, path: str | os.PathLike[str], limits: Limits = DEFAULT) -> None:
        """Args: path: the directory; limits: ``members`` bounds what is listed."""
        self.name = os.fsdecode(path)
        self.limits = limits

    @cached_property
    def names(self) -> list[str]:
        """Names of all that is directly in the folder, sorted.

        Raises:
            LimitError: for more than ``limits.members``.
        """
        return self._list("")

    def __contains__(self, name: object) -> bool:
        """Whether a file of that plain name lies directly in the folder."""
        try:
            return stat.S_ISREG(os.stat(os.path.join(self.name, str(name))).st_mode)
        except OSError:
            # A link to nowhere is there, and opening it says what is wrong.
            return os.path.islink(os.path.join(self.name, str(name)))

    def nbytes_of(self, name: str) -> int:
        """Size of a file."""
        source = self.source(name)
        source.close()
        return source.nbytes

    def under(self, prefix: str) -> list[str]:
        """Names of all files below the folder ``prefix`` (ending in ``/``), sorted."""
        first = prefix.removesuffix("/")
        if os.path.islink(os.path.join(self.name, first)) or not os.path.isdir(os.path.join(self.name, first)):
            return []
        found, todo = [], [prefix]
        while todo:
            below = todo.pop()
            for entry in self._list(below):
                path = os.path.join(self.name, below, entry)
                if os.path.isdir(path) and not os.path.islink(path):
                    todo.append(f"{below}{entry}/")
                else:
                    found.append(below + entry)
                if len(found) + len(todo) > self.limits.members:
                    raise LimitError(
                        f"files: expected at most limits.members={self.limits.members}, found more",
                        source=f"{self.name}!{prefix}",
                        field="members",
                    )
        return sorted(found)

    def source(self, name: str) -> Source:
        """A file of the folder.

        Args:
            name: Plain names with ``/`` between them.

        Raises:
            OSError: as the system reports it.
            CorruptError: for a name that could lead out of the folder.
            UnsupportedError: for a link, a device, a FIFO.
        """
        where = os.path.join(self.name, name)
        parts = name.split("/")
        if any(part in ("", ".", "..") or "\0" in part or "\\" in part for part in parts) or name[1:2] == ":":
            raise CorruptError(f"file name: expected a plain relative path, found {name[:80]!r}", source=self.name)
        fd = self._open_anchored(parts, where) if _ANCHORED else self._open_checked(parts, where)
        # Closes fd on every path out; Source keeps a duplicate.
        with io.FileIO(where, opener=lambda *_: fd) as file:
            mode = os.fstat(fd).st_mode
            if not stat.S_ISREG(mode):
                raise UnsupportedError(f"file kind: expected a regular file, found mode {mode:#o}", source=where)
            return Source.of_file(file)

    def read(self, name: str, nbytes_max: int) -> bytes:
        """The content of a file of at most ``nbytes_max`` bytes.

        Raises:
            LimitError: if it is larger; and as ``source``.
        """
        source = self.source(name)
        try:
            if source.nbytes > nbytes_max:
                raise LimitError(
                    f"file size: expected at most {nbytes_max} bytes (limits.config_bytes), found {source.nbytes}",
                    source=source.name,
                    field="config_bytes",
                )
            return source.read(0, source.nbytes)
        finally:
            source.close()

    def close(self) -> None:
        """Nothing to give back: every source has a descriptor of its own."""

    def _list(self, below: str) -> list[str]:
        with os.scandir(os.path.join(self.name, below)) as entries:
            names = [entry.name for entry, _ in zip(entries, range(self.limits.members + 1), strict=False)]
        if len(names) > self.limits.members:
            raise LimitError(
                f"files: expected at most limits.members={self.limits.members}, found more",
                source=os.path.join(self.name, below),
                field="members",
            )
        return sorted(names)

    def _open_anchored(self, parts: list[str], where: str) -> int:
        """Open one part after the other, each from the descriptor of the one before."""
        folders = [os.open(self.name, _FLAGS | os.O_DIRECTORY)]
        try:
            for part in parts[:-1]:
                folders.append(os.open(part, _FLAGS | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folders[-1]))
            try:
                return os.open(parts[-1], _FLAGS | os.O_NOFOLLOW, dir_fd=folders[-1])
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
            blob = _blob_of(os.readlink(parts[-1], dir_fd=folders[-1]), len(parts), where)
            return os.open(blob, _FLAGS | os.O_NOFOLLOW, dir_fd=folders[-1])
        except NotADirectoryError:
            raise UnsupportedError("file kind: expected a folder, found a link or a file", source=where) from None
        finally:
            for folder in folders:
                os.close(folder)

    def _open_checked(self, parts: list[str], where: str) -> int:
        path = self.name
        for part in parts[:-1]:
            path = os.path.join(path, part)
            if os.path.islink(path):
                raise UnsupportedError("file kind: expected a folder, found a link", source=path)
        path = os.path.join(path, parts[-1])
        if os.path.islink(path):
            path = os.path.join(os.path.dirname(path), _blob_of(os.readlink(path), len(parts), where))
        return os.open(path, _FLAGS)


def _blob_of(target: str, depth: int, where: str) -> str:
    """The target of a Hugging Face cache link, from a file ``depth`` parts into a snapshot."""
    match = _BLOB.fullmatch(target.replace(os.sep, "/"))
    if match is None or len(match[1]) != 3 * (depth + 1):
        raise UnsupportedError(
            f"file kind: expected a regular file, found a link to {target[:120]!r}",
            source=where,
            hint="kio follows no links inside a folder; open the file it points to, or copy it here",
        )
    return target
