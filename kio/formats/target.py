"""Target: where a save goes, and Options: how.  The counterpart of Probe.

A format opens its sink from the target only when everything that can be wrong with the
contents has been found: nothing exists before.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from kio.errors import UnsupportedError
from kio.raw import pending
from kio.raw.folder_sink import FolderSink, GroupSink
from kio.raw.sink import Sink

Progress = Callable[[int, int], object]
AnySink = TypeVar("AnySink")
Compression = str | tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Options:
    """How to write.

    Attributes:
        compression: ``"gzip"``, ``"zstd"``, either with a level, or None to store as it is.
        engine: ``"native"`` or ``"h5py"``, which leaves HDF5 files to libhdf5.
        max_shard_nbytes: Most bytes of variables in one shard; None for one shard.
        zipped: Whether a model goes into one archive, or into a folder.
        progress: Called with the bytes of payload done and their total.
        date: Of the members of an archive: year, month, day, hour, minute, second.
    """

    compression: Compression = None
    engine: str = "native"
    max_shard_nbytes: float | None = None
    zipped: bool = True
    progress: Progress | None = None
    date: tuple[int, int, int, int, int, int] = (1980, 1, 1, 0, 0, 0)


class Target:
    """A path, or an open binary file.

    Args:
        what: Either.
        overwrite: False refuses a path that exists.
        durable: False skips the fsyncs, and nothing else.
        opened: Called when the first sink is open, and with it all that can be wrong with
            the contents is known.

    Attributes:
        path: The path, or None.
        name: For messages.
    """

    def __init__(
        self, what: Any, *, overwrite: bool = True, durable: bool = True, opened: Callable[[], object] | None = None
    ) -> None:
        self.path = os.fsdecode(what) if isinstance(what, (str, bytes, os.PathLike)) else None
        self.name = self.path if self.path is not None else str(getattr(what, "name", f"<{type(what).__name__}>"))
        self._what, self._overwrite, self._durable = what, overwrite, durable
        self._opened = opened
        if self.path is not None:
            pending.settle(self.path)

    def file(self) -> Sink:
        """Begin a single file."""
        if self.path is None:
            return self._announced(Sink.of_file(self._what))
        return self._announced(Sink.open(self.path, overwrite=self._overwrite, durable=self._durable))

    def folder(self, owns: Callable[[str], bool]) -> FolderSink:
        """Begin a folder that is replaced as a whole; see ``FolderSink``."""
        path = self._path("a folder")
        return self._announced(FolderSink(path, owns=owns, overwrite=self._overwrite, durable=self._durable))

    def group(self, stale: Callable[[str], bool]) -> GroupSink:
        """Begin several files of which this is the head; see ``GroupSink``."""
        path = self._path("several files")
        return self._announced(GroupSink(path, stale=stale, overwrite=self._overwrite, durable=self._durable))

    def beside(self, name: str) -> Sink:
        """Begin a file of another name in the same folder, whether or not one exists."""
        path = self._path("several files")
        return self._announced(
            Sink.open(
                os.path.join(os.path.dirname(os.path.realpath(path)), name),
                durable=self._durable,
                save=os.path.basename(os.path.realpath(path)),
            )
        )

    def _announced(self, sink: AnySink) -> AnySink:
        if self._opened is not None:
            self._opened()
            self._opened = None
        return sink

    def _path(self, what: str) -> str:
        if self.path is None:
            raise UnsupportedError(f"target: expected a path for {what}, found an open file", source=self.name)
        return self.path


def joined(progress: Progress | None, total: int) -> Callable[[int], None]:
    """Progress of a save of many parts: the bytes of each are reported when it is done."""
    done = 0

    def report(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if progress is not None:
            progress(done, total)

    return report
