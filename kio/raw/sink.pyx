"""Sink: placed writes, committed by rename.

A save writes a temporary file beside its target and renames it over the target once
every byte is on the disk, so that the path always holds one complete file:

    .<name>.<12 hex digits>.kio-tmp    created O_EXCL, locked while its saver lives
    reserve     room for all of it, so that a full disk is known before anything is written
    write_at, transfer_out.write       in any order, from any thread
    settle      cut to size, fsync: an error here fails the save, and is never tried again,
                because the system drops the pages that it could not write
    publish     rename
    and then fsync of the folder, without which the rename itself may be lost

The lock tells the temporary of a saver that was killed, which the next save of the same
name removes, from that of one that is still writing.  Readers never lock.
"""

import errno as errors
import io
import os
import re
import shutil
import stat
import tempfile
import threading
import time
from bisect import bisect_left, bisect_right
from contextlib import contextmanager, suppress
from hashlib import sha256

from kio.errors import UnsupportedError

from cpython.bytearray cimport PyByteArray_AS_STRING
from libc.errno cimport errno
from libc.string cimport memcpy

from kio.raw.platform cimport kio_allocate, kio_exchange, kio_lock, kio_pwrite

try:
    import fcntl
except ImportError:                      # Windows
    fcntl = None

cdef str SUFFIX = ".kio-tmp"
cdef bint WINDOWS = os.name == "nt"
cdef int CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
# Where files cannot be locked, a temporary this old has lost its saver.
cdef double ABANDONED_S = 24 * 3600.0
# What a file system says that has no owners, modes, folders to sync or links of its own.
cdef tuple CANNOT = (errors.EPERM, errors.EACCES, errors.EINVAL, errors.ENOTSUP, errors.EOPNOTSUPP,
                     errors.ENOSYS)


# ---- temporaries

def _stem(name):
    """What a temporary's name begins with; a name may have 255 bytes in all."""
    encoded = os.fsencode(name)
    return f".{name if len(encoded) <= 200 else sha256(encoded).hexdigest()[:32]}."


def temporary(folder, name, mode=0o666):
    """Create and lock a temporary file for a save of ``name`` in ``folder``.

    Returns:
        ``(descriptor, path)``.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | CLOSE_ON_EXEC
    for _ in range(100):
        path = os.path.join(folder, f"{_stem(name)}{os.urandom(6).hex()}{SUFFIX}")
        try:
            fd = os.open(path, flags, mode)
        except FileExistsError:
            continue
        # Before it was locked, another save may have taken it for an abandoned one.
        if kio_lock(fd) != 1 and os.fstat(fd).st_nlink:
            return fd, path
        os.close(fd)
    raise FileExistsError(errors.EEXIST, "no free name for a temporary file", os.path.join(folder, name))


def discard(path, *, unlockable=False, only_if=None):
    """Remove the file at ``path`` unless a live saver holds it.

    Args:
        unlockable: Where files cannot be locked, remove it whatever its age.
        only_if: Called with the file locked; a false answer leaves the file alone.
    Returns:
        Whether it was removed.
    """
    flags = os.O_RDWR | CLOSE_ON_EXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        fd = os.open(path, flags)
    except OSError:
        return False
    try:
        locked = kio_lock(fd)
        # On Windows a file that is open cannot be removed: the lock is the unlink.
        if locked < 0 and not WINDOWS and not unlockable:
            locked = time.time() - os.fstat(fd).st_mtime < ABANDONED_S
        if locked > 0 or (only_if is not None and not only_if()):
            return False
        if WINDOWS:
            closing, fd = fd, -1
            os.close(closing)
        os.unlink(path)
        return True
    except OSError:
        return False
    finally:
        if fd >= 0:
            os.close(fd)


def clean(folder, name):
    """Remove what killed saves of ``name`` left in ``folder``.

    A save of a whole directory (folder_sink) has, beside its locked file, ``….d`` that it
    fills, and where two directories cannot be exchanged, ``….old`` for a moment.
    """
    stem = _stem(name)
    left = re.compile("(" + re.escape(stem) + "[0-9a-f]{12}" + re.escape(SUFFIX) + r")(\.d|\.old)?")
    try:
        entries = [entry for entry in os.listdir(folder) if entry.startswith(stem)]
    except OSError:
        return                   # a folder may be writable and not readable
    for entry in entries:
        match = left.fullmatch(entry)
        if match is None:
            continue
        lock = os.path.join(folder, match[1])
        if match[2] is None:
            discard(lock, only_if=lambda: drop(lock, os.path.join(folder, name)))
        elif not os.path.lexists(lock):
            drop(lock, os.path.join(folder, name))


def drop(lock, target):
    """Remove the directories that belong to a temporary file; whether they are gone.

    If ``target`` was moved aside and nothing has taken its place, it is put back.
    """
    with suppress(OSError):
        if os.path.lexists(lock + ".old") and not os.path.lexists(target):
            os.rename(lock + ".old", target)
    for folder in (lock + ".d", lock + ".old"):
        if os.path.lexists(folder):
            shutil.rmtree(folder, ignore_errors=True)
            if os.path.lexists(folder):
                return False
    return True


def sync_folder(folder):
    """Make the names in a folder durable."""
    if WINDOWS:
        return
    try:
        fd = os.open(folder, os.O_RDONLY | CLOSE_ON_EXEC | getattr(os, "O_DIRECTORY", 0))
    except PermissionError:
        return                   # writable and not readable: nothing more can be done
    try:
        sync(fd)
    except OSError as e:
        if e.errno not in CANNOT:
            e.filename = folder
            raise
    finally:
        os.close(fd)


def sync(fd):
    """fsync, as far down as the system lets one ask."""
    if fcntl is not None and hasattr(fcntl, "F_FULLFSYNC"):
        # macOS: its fsync leaves the bytes in the drive's cache.
        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
        except OSError as e:
            if e.errno not in (*CANNOT, errors.ENOTTY):
                raise
    os.fsync(fd)


def exchange(a, b):
    """Exchange two paths in one step; False where the system cannot."""
    cdef bytes one = os.fsencode(a)
    cdef bytes other = os.fsencode(b)
    if not kio_exchange(one, other):
        return True
    if errno in (errors.ENOSYS, errors.EINVAL, errors.ENOTSUP, errors.EOPNOTSUPP):
        return False
    raise OSError(errno, os.strerror(errno), a, None, b)


@contextmanager
def _named(name):
    """An OSError shall name what the user asked for, not the temporary."""
    try:
        yield
    except OSError as e:
        e.filename = name
        del e.filename2          # None would be shown
        raise


def _inherit(int fd, str target, status):
    """Give a temporary the owner, mode and access list of the file that it will replace."""
    mode, now = stat.S_IMODE(status.st_mode), os.fstat(fd)
    same_group = True
    if hasattr(os, "fchown") and (now.st_uid, now.st_gid) != (status.st_uid, status.st_gid):
        try:
            os.fchown(fd, status.st_uid, status.st_gid)
        except OSError as e:
            if e.errno not in CANNOT:
                raise
            mode &= 0o1777       # another's file: its set-id bits are not ours to give
            try:
                os.fchown(fd, -1, status.st_gid)
            except OSError as e2:
                if e2.errno not in CANNOT:
                    raise
                same_group = now.st_gid == status.st_gid
    access = None
    if hasattr(os, "getxattr"):
        with suppress(OSError):
            access = os.getxattr(target, "system.posix_acl_access")
    if access is not None:
        try:
            os.setxattr(fd, "system.posix_acl_access", access)
        except OSError:
            # The group bits of the mode are then the list's mask, not the group's rights.
            same_group = False
    if not same_group:
        mode = mode & ~0o070 | (mode & 0o007) << 3
    if hasattr(os, "fchmod"):
        try:
            os.fchmod(fd, mode)
        except OSError as e:
            if e.errno not in CANNOT:
                raise


cdef class Sink:
    """Where a file is written: placed bytes, visible all at once or not at all.

    As a context manager it commits at the end of the block, and aborts if the block raised.

    Attributes:
        name: For messages: the path as given.
        target: The path that ``commit`` replaces, symbolic links followed, or None.
        temporary: The path that is written until then, or None.
        nbytes: Size of the result so far.
        seekable: False for a pipe, a socket, an upload: offsets may only grow.
        durable: ``commit`` returns when the bytes are on the disk.
        state: ``"open"``, ``"settled"``, ``"committed"`` or ``"aborted"``.
    """

    def __init__(self):
        raise TypeError("use Sink.open, Sink.of_file or Sink.of_memory")

    def __reduce_ex__(self, protocol):
        raise TypeError(f"cannot pickle or copy a sink ({self.name}): a file has one writer; open another path there")

    @staticmethod
    def open(path, *, overwrite=True, durable=True, save=None):
        """Begin to replace or create the file at ``path``.

        A symbolic link is followed.  A file that exists keeps its mode, owner and access
        list as far as the system allows; a new one gets what the umask says.  FIFOs and
        character devices are written as they are, in order.

        Args:
            overwrite: False refuses a path that exists, now or at the time of ``commit``.
            durable: False skips the fsyncs, and nothing else.
            save: Name under which the next save looks for abandoned temporaries; that of
                the file itself, unless it is one of several files of a save.
        Raises:
            OSError: as the system reports it; nothing has changed then.
            UnsupportedError: for a block device or a socket.
        """
        cdef Sink self
        name = os.fsdecode(path)
        if name.endswith((os.sep, os.altsep or os.sep)):
            raise IsADirectoryError(errors.EISDIR, os.strerror(errors.EISDIR), name)
        if not name:
            raise FileNotFoundError(errors.ENOENT, os.strerror(errors.ENOENT), name)
        target = os.path.realpath(name)
        try:
            status = os.stat(name)
        except FileNotFoundError:
            status = None
        if status is not None:
            if not overwrite:
                raise FileExistsError(errors.EEXIST, os.strerror(errors.EEXIST), name)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errors.EISDIR, os.strerror(errors.EISDIR), name)
            if stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode):
                self = _sink(name, open(target, "wb", buffering=0), False)
                self.owned = True
                return self
            if not stat.S_ISREG(status.st_mode):
                raise UnsupportedError(
                    f"file kind: expected a regular file, found mode {status.st_mode:#o}", source=name)
            if not os.access(target, os.W_OK):
                raise PermissionError(errors.EACCES, os.strerror(errors.EACCES), name)
        folder, last = os.path.split(target)
        save = last if save is None else save
        clean(folder, save)
        self = _sink(name, None, True)
        self.overwrite, self.durable, self.pid = overwrite, durable, os.getpid()
        with _named(name):
            # Nobody may open it under rights that the old file does not give.
            fd, self.temporary = temporary(folder, save, 0o666 if status is None else 0o600)
            self.target, self.descriptor = target, Descriptor(fd)
            try:
                if status is not None:
                    _inherit(fd, target, status)
            except BaseException:
                self.abort()
                raise
        return self

    @staticmethod
    def of_file(file):
        """Write to an open binary file object, from its position on.

        What the file holds after that position is replaced; the position ends up after the
        last byte.  Nothing is renamed or synced: that is up to whoever opened the file.

        Raises:
            TypeError: for a text file or an object without ``write``.
        """
        cdef Sink self
        name = getattr(file, "name", None)
        name = os.fsdecode(name) if isinstance(name, (str, bytes)) else f"<{type(file).__name__}>"
        if isinstance(file, tempfile._TemporaryFileWrapper):
            file = file.file
        if isinstance(file, io.TextIOBase):
            raise TypeError(f"expected a binary file, found a text file ({name})")
        if not hasattr(file, "write"):
            raise TypeError(f"expected a file with write, found {type(file).__name__}")
        self = _sink(name, file, _can_seek(file))
        self.lock = threading.Lock()
        if not self.seekable:
            return self
        self.base = file.tell()
        if file.seek(0, io.SEEK_END) > self.base:
            file.truncate(self.base)
        file.seek(self.base)
        # Exact types only, as for reading: others may encode what is written to them.
        if type(file) in (io.BufferedRandom, io.BufferedWriter, io.FileIO):
            file.flush()
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                self.descriptor = Descriptor(os.dup(file.fileno()))
        return self

    @staticmethod
    def of_memory(name="<memory>"):
        """Write to memory; ``getvalue`` gives it."""
        return _sink(name, bytearray(), True)

    def reserve(self, uint64_t nbytes):
        """Make the result at least ``nbytes`` long; bytes that nobody writes are zero.

        Raises:
            OSError: if there is no room, before anything is written.
        """
        self.check_open()
        if nbytes <= self.nbytes:
            return
        if nbytes > (<uint64_t>1 << 62):
            raise OverflowError(f"{nbytes} bytes for {self.name}")
        if type(self.owner) is bytearray:
            self.owner += bytes(nbytes - self.nbytes)
        elif self.descriptor is not None and kio_allocate(self.descriptor.fd, self.base + nbytes):
            raise OSError(errno, os.strerror(errno), self.name)
        self.nbytes = nbytes

    def truncate(self, uint64_t nbytes):
        """Make the result end at ``nbytes``, where less was needed than was reserved."""
        self.check_open()
        if nbytes > self.nbytes or nbytes < self.end or (self.ends and nbytes < max(self.ends)):
            raise ValueError(f"truncate: expected at least what was written and at most {self.nbytes} "
                             f"bytes, found {nbytes}")
        if type(self.owner) is bytearray:
            del self.owner[nbytes:]
        self.nbytes = nbytes

    def write_at(self, uint64_t offset, data):
        """Write the bytes-like ``data`` at ``offset``: structure; payload goes through transfer.

        Raises:
            OSError: as the system reports it.
            io.UnsupportedOperation: if this sink is not seekable and is past ``offset``.
        """
        cdef const unsigned char[::1] view = memoryview(data).cast("B")
        self.check_open()
        if len(view):
            self.put(&view[0], offset, len(view))
            self.mark(offset, offset + len(view))

    cdef int check_open(self) except -1:
        if self.state != "open":
            raise ValueError(f"write to a sink that is {self.state} ({self.name})")
        return 0

    cdef int put(self, const uint8_t *src, uint64_t offset, size_t nbytes) except -1:
        """Write all of src at offset."""
        cdef size_t done = 0
        cdef Py_ssize_t written = 0
        cdef int fd
        if type(self.owner) is bytearray:
            self.reserve(offset + nbytes)
            memcpy(PyByteArray_AS_STRING(self.owner) + offset, src, nbytes)
            return 0
        if self.descriptor is None:
            return self.put_object(src, offset, nbytes)
        self.descriptor.pin()
        try:
            fd = self.descriptor.fd
            while done < nbytes:
                with nogil:
                    written = kio_pwrite(fd, src + done, nbytes - done, self.base + offset + done)
                if written < 0:
                    raise OSError(errno, os.strerror(errno), self.name)
                if written == 0:
                    raise OSError(errors.EIO, "nothing was written", self.name)
                done += written
        finally:
            self.descriptor.unpin()
        self.nbytes = max(self.nbytes, offset + nbytes)
        return 0

    cdef int put_object(self, const uint8_t *src, uint64_t offset, size_t nbytes) except -1:
        with self.lock:
            if self.seekable:
                self.owner.seek(self.base + offset)
            elif offset < self.end:
                raise io.UnsupportedOperation(
                    f"write at byte {offset} of {self.name}, which cannot seek and is at byte {self.end}")
            else:
                while self.end < offset:
                    gap = min(offset - self.end, <uint64_t>1 << 20)
                    _write_all(self.owner, bytes(gap), self.name)
                    self.end += gap
            if nbytes:
                # A copy: the object may keep what it is given.
                _write_all(self.owner, (<const char *>src)[:nbytes], self.name)
            self.end = max(self.end, offset + nbytes)
            self.nbytes = max(self.nbytes, self.end)
        return 0

    cdef int mark(self, uint64_t first, uint64_t last) except -1:
        """Remember that [first, last) was written."""
        cdef Py_ssize_t low = bisect_left(self.ends, first)
        cdef Py_ssize_t high = bisect_right(self.starts, last)
        if low < high:
            first, last = min(first, self.starts[low]), max(last, self.ends[high - 1])
        self.starts[low:high] = [first]
        self.ends[low:high] = [last]
        return 0

    cdef bint touched(self, uint64_t first, uint64_t last) except -1:
        """Whether any byte of [first, last) was written; the others are zero."""
        cdef Py_ssize_t i = bisect_left(self.starts, last)
        return first < last and i > 0 and self.ends[i - 1] > first

    cdef int direct_fd(self) except -2:
        """A descriptor of the temporary that bypasses the page cache, or -1."""
        if self.direct is None and not self.indirect:
            self.indirect = True
            if self.temporary is not None and hasattr(os, "O_DIRECT"):
                with suppress(OSError):
                    self.direct = Descriptor(os.open(self.temporary, os.O_WRONLY | os.O_DIRECT | CLOSE_ON_EXEC))
        return -1 if self.direct is None else self.direct.fd

    # ---- the end of a save

    def settle(self):
        """Cut to size and bring every byte to the disk; nothing can be written afterwards.

        Raises:
            OSError: as the system reports it.  Call ``abort`` then, nothing else.
        """
        self.check_open()
        with _named(self.name):
            if type(self.owner) is bytearray:
                pass
            elif self.descriptor is None:
                if self.end < self.nbytes:
                    self.put_object(<const uint8_t *><const char *>b"\0", self.nbytes - 1, 1)
                if hasattr(self.owner, "flush"):
                    self.owner.flush()
            else:
                if os.fstat(self.descriptor.fd).st_size != self.base + self.nbytes:
                    os.ftruncate(self.descriptor.fd, self.base + self.nbytes)
                if self.durable:
                    sync(self.descriptor.fd)
        self.state = "settled"

    def publish(self):
        """Give the file its name.  The descriptor, and with it the lock, is kept.

        Raises:
            FileExistsError: if ``overwrite=False`` and the path exists by now.
        """
        if self.state != "settled":
            raise ValueError(f"publish: expected a sink that is settled, found one {self.state}")
        if self.temporary is None:
            if self.seekable and type(self.owner) is not bytearray:
                self.owner.seek(self.base + self.nbytes)
            self.state = "committed"
            return
        with _named(self.name):
            if WINDOWS:
                self.release()
            if self.overwrite:
                os.replace(self.temporary, self.target)
            elif WINDOWS:
                os.rename(self.temporary, self.target)
            else:
                self.publish_new()
        self.state = "committed"

    def publish_new(self):
        """A rename that does not replace is a new link, and the old one taken away."""
        try:
            os.link(self.temporary, self.target)
        except OSError as e:
            if e.errno not in (*CANNOT, errors.EMLINK):
                raise
            if os.path.lexists(self.target):
                raise FileExistsError(errors.EEXIST, os.strerror(errors.EEXIST), self.name) from None
            os.replace(self.temporary, self.target)
        else:
            with suppress(OSError):
                os.unlink(self.temporary)

    def commit(self):
        """Make the file complete, durable and visible, in this order.

        Raises:
            OSError: as the system reports it.  The path still holds what it held before,
                unless only the fsync of the folder failed: then it holds the new file,
                and whether that survives a power failure is not known.
        """
        try:
            if self.state == "open":
                self.settle()
            self.publish()
        except BaseException:
            self.abort()
            raise
        self.release()
        if self.target is not None and self.durable:
            sync_folder(os.path.dirname(self.target))

    def abort(self):
        """Remove what was written.  After ``commit``, or a second time, does nothing.

        Of a file object that can seek, the file is cut where writing began.
        """
        if self.state in ("committed", "aborted"):
            return
        self.state = "aborted"
        # In a forked child the temporary is the parent's.
        if self.temporary is not None and self.pid == os.getpid():
            if WINDOWS:
                self.release()
            with suppress(OSError):
                os.unlink(self.temporary)
        elif self.seekable and self.temporary is None and type(self.owner) is not bytearray:
            with suppress(OSError, ValueError):
                self.owner.seek(self.base)
                self.owner.truncate(self.base)
        self.release()

    def withdraw(self):
        """Take the name away again that ``publish`` gave to a new file."""
        if self.state == "committed" and self.temporary is not None and self.pid == os.getpid():
            with suppress(OSError):
                os.unlink(self.target)
        self.abort()
        self.release()

    cdef int release(self) except -1:
        if self.owned:
            self.owner.close()
        if self.direct is not None:
            self.direct.close()
        if self.descriptor is not None:
            self.descriptor.close()
        return 0

    def close(self):
        """Give the descriptor back; a sink that was not committed is aborted."""
        self.abort()
        self.release()

    def getvalue(self):
        """What was written, as a memoryview, of a sink made by ``of_memory``."""
        if type(self.owner) is not bytearray:
            raise TypeError(f"{self.name} is not in memory")
        return memoryview(self.owner)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            self.abort()
        elif self.state in ("open", "settled"):
            self.commit()

    def __del__(self):
        if self.state is not None and self.target is not None:
            self.close()

    def __repr__(self):
        return f"Sink({self.name!r}, {self.nbytes} bytes, {self.state})"


def _can_seek(file):
    """Whether writes may go anywhere in a file object."""
    import gzip
    if isinstance(file, gzip.GzipFile) or not hasattr(file, "truncate"):
        return False             # gzip says that it can seek, and raises when it has to
    try:
        if not file.seekable():
            return False
        file.tell()
    except (AttributeError, OSError):
        return False
    # In append mode every write goes to the end, wherever it was placed.
    if type(file) in (io.BufferedRandom, io.BufferedWriter, io.FileIO):
        raw = getattr(file, "raw", file)
        if "a" in str(getattr(raw, "mode", "")):
            return False
        if fcntl is not None:
            return not fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND
    return "a" not in str(getattr(file, "mode", ""))


def _write_all(file, data, name):
    """Write all of data, whatever part of it one call takes."""
    view = memoryview(data)
    while view.nbytes:
        written = file.write(view)
        if written is None:
            if isinstance(file, io.RawIOBase):
                raise BlockingIOError(errors.EAGAIN, "the file does not take more now", name)
            return               # an object that does not count takes all of it
        if written <= 0:
            raise OSError(errors.EIO, "nothing was written", name)
        view = view[written:]


cdef Sink _sink(str name, object owner, bint seekable):
    cdef Sink self = Sink.__new__(Sink)
    self.name, self.owner, self.seekable = name, owner, seekable
    self.state, self.overwrite = "open", True
    self.starts, self.ends = [], []
    self.lock = threading.Lock()
    return self
