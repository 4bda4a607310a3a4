"""Source: positioned reads from a file, part of a file, or memory.

A source is a window: something that can be read, the offset of the window's first
byte in it, and its size.  ``window`` narrows it without copying, so a file inside
a file is still one descriptor and one absolute offset by the time bytes move.
"""

import io
import os
import stat
import tempfile
import threading

from kio.errors import ChangedError, CorruptError, TruncatedError, UnsupportedError

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport errno
from libc.stdint cimport int32_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from kio.raw.memory cimport HUGE, grow, populate, prepare
from kio.raw.platform cimport kio_discard, kio_pread, kio_release, kio_reserve


cdef class Descriptor:
    def __cinit__(self, int fd):
        self.fd, self.open = fd, fd >= 0

    def __dealloc__(self):
        # Of one that was never made, fd is 0, which is somebody's.
        if self.open:
            os.close(self.fd)

    cdef int pin(self) except -1:
        if not self.open or self.closing:
            raise ValueError("read of a closed source")
        self.pins += 1
        return 0

    cdef void unpin(self) noexcept:
        self.pins -= 1
        if self.closing and self.pins == 0:
            self.close()

    cdef bint usable(self) noexcept:
        return self.open and not self.closing

    cpdef void close(self) noexcept:
        # A number that is closed while another thread reads from it may be handed
        # to a different file at once: the reader would get that file's bytes.
        if self.pins:
            self.closing = True
        elif self.open:
            fd, self.fd, self.open = self.fd, -1, False
            os.close(fd)


class Place:
    """Where a file is, and which one it was when it was opened.

    This is what travels to another process in place of an open file.  All windows of a file
    share one, so that they share the descriptor there, too.

    Attributes:
        path: Absolute.
        nbytes, modified_ns, inode: Size, time of the last change, and number of the file.
        mapped: Whether it is mapped.
    """

    __slots__ = ("path", "nbytes", "modified_ns", "inode", "mapped", "_again")

    def __init__(self, path, nbytes, modified_ns, inode, mapped=False):
        self.path, self.nbytes, self.modified_ns, self.inode, self.mapped = path, nbytes, modified_ns, inode, mapped
        self._again = None

    @property
    def identity(self):
        """What tells the file from one that took its place."""
        return self.nbytes, self.modified_ns, self.inode

    def check(self, identity):
        """Compare with the identity of what is there now.

        Raises:
            ChangedError: if it is another file by now.
        """
        if identity != self.identity:
            raise ChangedError(
                f"file: expected the one that was opened, of {self.nbytes} bytes, found one of "
                f"{identity[0]} bytes that was written later", source=self.path, hint="open it again with kio.open")

    def open(self):
        """The file as a source; the same descriptor each time while it is open.

        Raises:
            ChangedError: if it is another file by now.  OSError: as the system reports it.
        """
        cdef Source again = self._again
        if again is not None and (again.descriptor is None or again.descriptor.usable()):
            return again
        again = Source.open(self.path, mmap=self.mapped)
        try:
            self.check(again.place.identity)
        except BaseException:
            again.close()
            raise
        again.place = None               # or the two would hold each other
        self._again = again
        return again

    def __reduce__(self):
        return Place, (self.path, *self.identity, self.mapped)


cdef tuple _identity(status):
    return status.st_size, status.st_mtime_ns, status.st_ino


cdef object _place(str name, status):
    return Place(os.path.abspath(name), *_identity(status))


def _reopened(place, str name, uint64_t base, uint64_t nbytes, crc32, Source checked):
    """A source that travelled as its place."""
    cdef Source whole = place.open()
    cdef Source self = whole.window(base, nbytes, "")
    self.name, self.place, self.crc32 = name, place, crc32
    self.checked = self if crc32 is not None else checked
    return self


cdef class Source:
    """A run of bytes that can be read at any offset, from any thread.

    One of a local file can be pickled and copied: the other end opens the file again, and
    refuses another one in its place.  One of bytes takes them along.

    Attributes:
        name: For messages: the path, with ``!member`` for a file in a file.
        nbytes: Size of the window.
        base: Offset of the window's first byte in the file or buffer below it.
        crc32: CRC-32 of the whole window as its container states it, or None.
        checked: The nearest window around this one (or itself) that has a crc32.
    """

    def __init__(self):
        raise TypeError("use Source.open, Source.of_bytes or source.window")

    @staticmethod
    def open(path, *, bint mmap=False):
        """Open the regular file at ``path``.

        Args:
            path: ``str``, ``bytes`` or ``os.PathLike``.
            mmap: Map the file, so that tensors become views without a copy.  Only for
                files that nobody truncates: the system would end the process.

        Raises:
            OSError: as the system reports it.
            UnsupportedError: for a FIFO, a device, a socket: anything whose read could
                block for ever or has no end.
        """
        cdef Source self
        name = os.fsdecode(path)
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        # Without O_NONBLOCK the open itself would wait for a FIFO's writer.
        fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
        descriptor = Descriptor(fd)
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(21, "Is a directory", name)
        if not stat.S_ISREG(status.st_mode):
            raise UnsupportedError(
                f"file kind: expected a regular file, found mode {status.st_mode:#o}", source=name)
        self = _source(name, status.st_size, descriptor, None)
        place = _place(name, status)
        if mmap and self.nbytes:
            self = Source.of_bytes(self.mapping(), name)
            self.mapped = place.mapped = True
        self.place = place
        return self

    @staticmethod
    def of_bytes(data, name="<bytes>"):
        """Wrap a bytes-like object, which must not change while the source lives."""
        cdef Py_buffer view
        cdef Source self
        data = memoryview(data).cast("B")
        self = _source(name, data.nbytes, None, data)
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        self.memory = <const uint8_t *>view.buf
        # ``owner`` is a memoryview, which itself keeps the buffer exported.
        PyBuffer_Release(&view)
        return self

    @staticmethod
    def of_file(file):
        """Wrap an open binary file object; the whole file counts, not its position.

        Raises:
            TypeError: for a text file or an object without ``read`` and ``seek``.
        """
        cdef Source self
        name = getattr(file, "name", None)
        name = os.fsdecode(name) if isinstance(name, (str, bytes)) else f"<{type(file).__name__}>"
        if isinstance(file, tempfile._TemporaryFileWrapper):
            file = file.file
        if isinstance(file, io.TextIOBase):
            raise TypeError(f"expected a binary file, found a text file ({name})")
        if isinstance(file, io.BytesIO):
            return Source.of_bytes(file.getbuffer(), name)
        # Exact types only: a gzip file also has a fileno(), that of other bytes.
        if type(file) is io.FileIO or type(getattr(file, "raw", None)) is io.FileIO:
            if file.writable():
                file.flush()
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                self = _source(name, status.st_size, Descriptor(os.dup(file.fileno())), None)
                self.place = _place(name, status)
                return self
        if not hasattr(file, "read") or not hasattr(file, "seek"):
            raise TypeError(f"expected a file with read and seek, found {type(file).__name__}")
        self = _source(name, file.seek(0, io.SEEK_END), None, file)
        self.pid = os.getpid()
        return self

    cpdef Source window(self, uint64_t offset, uint64_t nbytes, str name, object crc32=None):
        """The bytes ``[offset, offset + nbytes)`` as a source named ``<self>!<name>``.

        Raises:
            TruncatedError: if they are not all inside this source.
        """
        cdef Source inner
        if offset > self.nbytes or nbytes > self.nbytes - offset:
            raise TruncatedError(
                f"{name}: expected {nbytes} bytes, found {self.nbytes - min(self.nbytes, offset)}",
                source=self.name, offset=offset)
        inner = _source(f"{self.name}!{name}", nbytes, self.descriptor, self.owner)
        inner.base = self.base + offset
        inner.lock, inner.pid = self.lock, self.pid
        inner.mapped, inner.place = self.mapped, self.place
        if self.memory != NULL:
            inner.memory = self.memory + offset
        inner.crc32 = crc32
        inner.checked = inner if crc32 is not None else self.checked
        return inner

    cpdef bytes read(self, uint64_t offset, uint64_t nbytes):
        """The bytes ``[offset, offset + nbytes)``.

        Raises:
            TruncatedError: if the source ends before; OSError: as the system reports it.
        """
        if offset > self.nbytes or nbytes > self.nbytes - offset:
            raise TruncatedError(
                f"read: expected {nbytes} bytes, found {self.nbytes - min(self.nbytes, offset)}",
                source=self.name, offset=offset)
        data = bytearray(nbytes)
        cdef unsigned char[::1] view = data
        if nbytes:
            self.fill(&view[0], offset, nbytes)
        return bytes(data)

    def read_ranges(self, ranges):
        """The bytes of many ranges.

        Args:
            ranges: ``(offset, nbytes)`` of each, in any order.

        Returns:
            A list of bytes, in the order of ``ranges``.

        Raises:
            As ``read``.

        Reads: of a local file each range.  Elsewhere a request is dear: ranges that are at most
        ``FAR_GAP`` bytes apart are read at a time, with what is between, up to ``FAR_SPAN`` bytes.
        """
        ranges = list(ranges)
        if self.near():
            return [self.read(offset, nbytes) for offset, nbytes in ranges]
        out = [b""] * len(ranges)
        group, begin, end = [], 0, 0
        for number in sorted(range(len(ranges)), key=ranges.__getitem__) + [None]:
            offset, nbytes = (0, 0) if number is None else ranges[number]
            if number is not None and not nbytes:
                self.read(offset, 0)             # raises for a place outside
                continue
            if number is not None and group and offset <= end + FAR_GAP and \
                    max(end, offset + nbytes) - begin <= FAR_SPAN:
                group.append(number)
                end = max(end, offset + nbytes)
                continue
            if group:
                data = memoryview(self.read(begin, end - begin))
                for each in group:
                    at = ranges[each][0] - begin
                    out[each] = bytes(data[at:at + ranges[each][1]])
            group, begin, end = [number], offset, offset + nbytes
        return out

    cdef bint near(self) noexcept:
        """Whether it is memory or a local file, of which any part is had at once."""
        return self.memory != NULL or self.descriptor is not None

    cdef int fill(self, uint8_t *dst, uint64_t offset, size_t nbytes) except -1:
        """Read exactly nbytes at offset, which the caller has checked against nbytes."""
        cdef Py_ssize_t got = 0
        cdef size_t have = 0
        cdef int fd
        if self.memory != NULL:
            memcpy(dst, self.memory + offset, nbytes)
            return 0
        if self.descriptor is None:
            if os.getpid() != self.pid:
                # Both processes would move one and the same position, each under the other's reads.
                raise UnsupportedError(
                    "file object: expected to be read in the process that opened it, found a forked one",
                    source=self.name, hint="open the file there, or pass kio its path")
            with self.lock:
                self.owner.seek(self.base + offset)
                while have < nbytes:
                    data = self.owner.read(nbytes - have)
                    if not data:
                        break
                    if len(data) > nbytes - have:
                        raise CorruptError(
                            f"file object: expected at most {nbytes - have} bytes from read(), "
                            f"found {len(data)}", source=self.name)
                    memcpy(dst + have, <const uint8_t *><const char *>data, len(data))
                    have += len(data)
        else:
            self.descriptor.pin()
            try:
                fd = self.descriptor.fd
                while have < nbytes:
                    with nogil:
                        got = kio_pread(fd, dst + have, nbytes - have, self.base + offset + have)
                    if got < 0:
                        raise OSError(errno, os.strerror(errno), self.name)
                    if got == 0:
                        break
                    have += got
            finally:
                self.descriptor.unpin()
        if have < nbytes:
            # The size was taken when the source was opened.
            raise TruncatedError(
                f"read: expected {nbytes} bytes, found {have}; the file shrank while open",
                source=self.name, offset=offset)
        return 0

    def __reduce_ex__(self, protocol):
        if self.descriptor is not None and not self.descriptor.usable():
            raise ValueError("copy of a closed source")
        if self.place is not None:
            # Found here rather than where it arrives.
            self.place.check(_identity(os.stat(self.place.path)))
            checked = None if self.checked is self else self.checked
            return _reopened, (self.place, self.name, self.base, self.nbytes, self.crc32, checked)
        if self.memory != NULL:
            return Source.of_bytes, (self.read(0, self.nbytes), self.name)
        raise TypeError(f"cannot pickle or copy a source of a file object ({self.name}): "
                        "pass kio the path of a local file, or read the tensors first")

    def __copy__(self):
        return self

    def close(self):
        """Give the descriptor back; windows of this source go with it."""
        if self.descriptor is not None:
            self.descriptor.close()

    def mapping(self):
        """The whole window as a read-only memoryview without a copy, where that can be.

        A mapped file must not shrink while the view lives: the system would end the process.
        """
        import mmap
        if self.memory != NULL:
            return memoryview(self.owner)[self.base:self.base + self.nbytes].toreadonly()
        if self.descriptor is None or not self.nbytes:
            return memoryview(self.read(0, self.nbytes))
        page = mmap.ALLOCATIONGRANULARITY
        start = self.base // page * page
        self.descriptor.pin()
        try:
            if os.fstat(self.descriptor.fd).st_size < self.base + self.nbytes:
                raise TruncatedError(
                    f"file size: expected {self.base + self.nbytes} bytes; the file shrank while open",
                    source=self.name)
            mapped = mmap.mmap(self.descriptor.fd, self.base - start + self.nbytes,
                               access=mmap.ACCESS_READ, offset=start)
        finally:
            self.descriptor.unpin()
        return memoryview(mapped)[self.base - start:]

    def __repr__(self):
        return f"Source({self.name!r}, {self.nbytes} bytes)"


cdef Source _source(str name, uint64_t nbytes, Descriptor descriptor, object owner):
    cdef Source self = Source.__new__(Source)
    self.name, self.nbytes, self.descriptor, self.owner = name, nbytes, descriptor, owner
    if descriptor is None:
        self.lock = threading.Lock()
    return self


# One block is four pages: small enough for sparse structure in a large file.  Reads that
# turn out to be sequential grow from one block to 64 (1 MiB).  A window of 2 MiB, a huge
# page, of which a quarter was asked for is read whole; and for each such window three that
# nobody looked at yet, since names are seldom walked in the order of the file.
cdef enum:
    BLOCK = 16384
    AHEAD = 64              # blocks read at once where structure is dense
    POPULATED = 64 << 10    # pages for a read of this size are had at once
    WINDOW = HUGE
    BLOCKS = WINDOW // BLOCK
    PRESUMED = 3
    HELD = 8 << 20          # much, for an image: see spare()


cdef class Origins:
    def __cinit__(self):
        self.sources, self.origin_of = [], {}

    def __dealloc__(self):
        free(self.origins)

    cdef int32_t origin(self, Source source) except -1:
        key = id(source.descriptor) if source.descriptor is not None else id(source.owner)
        number = self.origin_of.get(key)
        if number is None:
            grow(<void **>&self.origins, &self.cap_origins, self.norigins + 1, sizeof(Origin))
            number = self.norigins
            self.origins[number].fd = -1 if source.descriptor is None else source.descriptor.fd
            # A window's memory pointer and base move together.
            self.origins[number].memory = NULL if source.memory == NULL else source.memory - source.base
            self.origin_of[key] = number
            self.sources.append(source)
            self.norigins += 1
        return number


cdef class Image:
    """What a parser reads structure through: a lazily filled private copy of a source.

    A copy, so that a file that changes or shrinks under us can neither end the process
    nor change a value between its check and its use.  Memory: the blocks touched since
    the last ``spare``.
    """

    def __cinit__(self, Source source):
        self.source = source
        self.nbytes = source.nbytes
        if source.memory != NULL:
            self.base = source.memory
            self.loaded = self.nbytes
            return
        self.filled = <uint8_t *>calloc(self.nbytes // BLOCK + 2, 1)
        self.share = <uint8_t *>calloc(self.nbytes // WINDOW + 2, 1)
        self.used = <uint64_t *>calloc(self.nbytes // WINDOW + 2, sizeof(uint64_t))
        self.nmapped = self.nbytes + (WINDOW if self.nbytes >= WINDOW else 1)
        self.mapped = kio_reserve(self.nmapped)
        if self.filled == NULL or self.share == NULL or self.used == NULL or self.mapped == NULL:
            raise MemoryError(f"{self.nbytes} bytes of address space for {source.name}")
        self.reserved = <uint8_t *>self.mapped
        if self.nbytes >= WINDOW:
            self.reserved += -<uintptr_t>self.mapped & (WINDOW - 1)
        self.base = self.reserved
        self.ahead = 1

    def __dealloc__(self):
        free(self.filled)
        free(self.share)
        free(self.used)
        if self.mapped != NULL:
            kio_release(self.mapped, self.nmapped)

    cdef int need(self, uint64_t offset, uint64_t nbytes) except -1:
        """Make base[offset : offset + nbytes] valid, or raise TruncatedError."""
        cdef uint64_t block, last
        if offset > self.nbytes or nbytes > self.nbytes - offset:
            raise TruncatedError(
                f"structure: expected {nbytes} bytes, found {self.nbytes - min(self.nbytes, offset)}",
                source=self.source.name, offset=offset)
        if self.filled == NULL or nbytes == 0:
            return 0
        block = offset // BLOCK
        last = (offset + nbytes - 1) // BLOCK
        self.used[block // BLOCKS] = self.reads
        while block <= last:
            if not self.filled[block]:
                self.load(block, last)
                return 0
            block += 1
        return 0

    cdef void hold(self) noexcept:
        """A reader begins: nothing goes before its ``spare``.

        Reading lets other threads run, which may be readers, too, and end first.
        """
        self.readers += 1

    cdef int spare(self) except -1:
        """A reader ends, with no cursor alive: let go of what was not asked for lately, if much is held.

        A file with thousands of small tensors is mostly structure.  What is needed of it
        again comes from the page cache, and is checked again; where reading again is dear,
        nothing is dropped.
        """
        cdef uint64_t window, oldest, nwindows = self.nbytes // WINDOW + 1
        self.readers -= 1
        if self.readers or self.held <= HELD or self.source.descriptor is None:
            return 0
        while self.held > HELD // 2:
            oldest = nwindows
            for window in range(nwindows):
                if self.share[window] and (oldest == nwindows or self.used[window] < self.used[oldest]):
                    oldest = window
            if not self.drop(oldest):
                break
        return 0

    cdef bint drop(self, uint64_t window) noexcept:
        """Let go of one window; whether that was possible."""
        cdef uint64_t first = window * BLOCKS, last = min(first + BLOCKS, self.nbytes // BLOCK + 1), block
        if not kio_discard(self.reserved + window * WINDOW, min(<uint64_t>WINDOW, self.nbytes - window * WINDOW)):
            return False
        for block in range(first, last):
            if self.filled[block]:
                self.held -= min(<uint64_t>BLOCK, self.nbytes - block * BLOCK)
                self.filled[block] = 0
        self.share[window] = 0
        return True

    cdef int load(self, uint64_t first, uint64_t last) except -1:
        """Read the missing blocks of [first, last], and some more where structure is dense."""
        cdef uint64_t end, reach, window, total = (self.nbytes + BLOCK - 1) // BLOCK
        while first <= last:
            if self.filled[first]:
                first += 1
                continue
            self.ahead = min(self.ahead * 2, <uint64_t>AHEAD) if first <= self.last + 2 else 1
            window = first // BLOCKS
            reach = first + self.ahead
            if self.share[window] >= BLOCKS // 4:
                reach = (window + 1) * BLOCKS
            elif self.share[window] == 0 and self.presumed < PRESUMED * self.proven:
                self.presumed += 1
                first, reach = window * BLOCKS, (window + 1) * BLOCKS
            end = first + 1
            while end < total and not self.filled[end] and (end <= last or end < reach):
                end += 1
            self.take(first, end)
            first = self.last = end
        return 0

    cdef int take(self, uint64_t first, uint64_t end) except -1:
        """Read the blocks [first, end)."""
        cdef uint64_t size = min(end * BLOCK, self.nbytes) - first * BLOCK
        cdef uint8_t *dst = self.reserved + first * BLOCK
        if first % BLOCKS == 0 and size >= WINDOW:
            prepare(<char *>dst, size)
        if size >= POPULATED:
            populate(dst, size)
        self.source.fill(dst, first * BLOCK, size)
        self.loaded += size
        self.reads += 1
        while first < end:
            # Another thread may have read it meanwhile.
            if not self.filled[first]:
                self.filled[first] = 1
                self.held += min(<uint64_t>BLOCK, self.nbytes - first * BLOCK)
                self.share[first // BLOCKS] += 1
                # A window that is read whole passes this, too, but at once.
                if self.share[first // BLOCKS] == BLOCKS // 4 and size < WINDOW:
                    self.proven += 1
            first += 1
        return 0
