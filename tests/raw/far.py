"""A file that is no local file: each read is a request, and is counted."""

from __future__ import annotations

import io


class Far(io.RawIOBase):
    """A read-only file of these bytes.

    Attributes:
        requests: ``(offset, nbytes)`` of each read.
    """

    def __init__(self, data):
        self.data, self.at, self.requests = bytes(data), 0, []

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        self.at = offset + (0, self.at, len(self.data))[whence]
        return self.at

    def read(self, nbytes=-1):
        found = self.data[self.at : self.at + nbytes if nbytes >= 0 else None]
        self.requests.append((self.at, len(found)))
        self.at += len(found)
        return found

    @property
    def nbytes_read(self):
        return sum(nbytes for _, nbytes in self.requests)
