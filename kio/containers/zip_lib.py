"""zip archives written through Python's zipfile: the escape, and the oracle of the native writer."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from typing import Any

from kio.raw.sink import Sink
from kio.raw.source import Source

_PIECE = 1 << 20


class _Writer(io.RawIOBase):
    """A sink as the file object that zipfile writes to."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.at = sink, 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self.sink.seekable

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if not self.sink.seekable:
            raise io.UnsupportedOperation("seek")
        self.at = offset + (0, self.at, self.sink.nbytes)[whence]
        return self.at

    def tell(self) -> int:
        if not self.sink.seekable:
            raise io.UnsupportedOperation("tell")
        return self.at

    def write(self, data: Any) -> int:
        nbytes = memoryview(data).nbytes
        self.sink.write_at(self.at, data)
        self.at += nbytes
        return nbytes


def write(sink: Sink, members: Iterable[tuple[str, bytes | Source]], date: tuple[int, int, int, int, int, int]) -> int:
    """Write an archive of stored members.

    Args:
        sink: An open sink.
        members: Name and content, in order.
        date: Of every member.

    Returns:
        Its size in bytes.
    """
    with _Writer(sink) as file, zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            with archive.open(zipfile.ZipInfo(name, date), "w", force_zip64=not isinstance(content, bytes)) as out:
                if isinstance(content, bytes):
                    out.write(content)
                    continue
                for offset in range(0, content.nbytes, _PIECE):
                    out.write(content.read(offset, min(_PIECE, content.nbytes - offset)))
        archive.close()
    return sink.nbytes
