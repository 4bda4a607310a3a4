"""Sink: placed bytes, one complete file at the path at any time, nothing left behind."""

import errno
import gzip
import io
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from kio.errors import UnsupportedError
from kio.raw import sink as module
from kio.raw.sink import Sink, clean, discard, temporary

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX")
not_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do anything")
root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")


def save(path, data, **options):
    with Sink.open(path, **options) as sink:
        sink.reserve(len(data))
        sink.write_at(0, data)


# ---- the normal way


@pytest.mark.parametrize("durable", [True, False])
def test_open_writes_a_new_file(tmp_path, durable):
    path = tmp_path / "a.bin"
    with Sink.open(path, durable=durable) as sink:
        sink.reserve(10)
        sink.write_at(6, b"6789")
        sink.write_at(0, bytearray(b"01"))
        assert not path.exists()
        assert sink.nbytes == 10
        assert sink.state == "open"
    assert sink.state == "committed"
    assert path.read_bytes() == b"01\0\0\0\x006789"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_open_replaces_only_on_commit(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    sink = Sink.open(str(path))
    sink.write_at(0, b"new one")
    assert path.read_bytes() == b"old"
    sink.commit()
    assert path.read_bytes() == b"new one"


def test_an_exception_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), Sink.open(path) as sink:
        sink.write_at(0, b"new")
        raise ZeroDivisionError
    assert sink.state == "aborted"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_abort_twice_and_use_after_the_end(tmp_path):
    sink = Sink.open(tmp_path / "a")
    sink.abort()
    sink.abort()
    for use in (lambda: sink.write_at(0, b"x"), lambda: sink.reserve(1), sink.commit, sink.settle):
        with pytest.raises(ValueError, match="aborted"):
            use()
    with Sink.open(tmp_path / "a") as sink:
        pass
    sink.abort()
    with pytest.raises(ValueError, match="committed"):
        sink.commit()
    assert (tmp_path / "a").read_bytes() == b""


def test_a_dropped_sink_leaves_nothing(tmp_path):
    sink = Sink.open(tmp_path / "a")
    sink.write_at(0, b"x")
    del sink
    assert os.listdir(tmp_path) == []


def test_truncate_takes_back_what_was_reserved(tmp_path):
    with Sink.open(tmp_path / "a") as sink:
        sink.reserve(100_000)
        sink.write_at(0, b"abc")
        with pytest.raises(ValueError, match="truncate"):
            sink.truncate(2)
        with pytest.raises(ValueError, match="truncate"):
            sink.truncate(100_001)
        sink.truncate(5)
    assert (tmp_path / "a").read_bytes() == b"abc\0\0"


def test_reserve_takes_the_room(tmp_path):
    with Sink.open(tmp_path / "a") as sink:
        sink.reserve(1 << 20)
        sink.reserve(10)
        status = os.stat(sink.temporary)
        assert status.st_size == 1 << 20
        if sys.platform == "linux":
            assert status.st_blocks * 512 >= 1 << 20 or status.st_blocks == 0  # 0: no fallocate here
        with pytest.raises(OverflowError):
            sink.reserve(1 << 63)
        sink.abort()


@posix
def test_no_room_is_known_before_anything_is_written(tmp_path):
    code = (
        "import resource, sys; from kio.raw.sink import Sink\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try:\n"
        "    with Sink.open(sys.argv[1]) as sink: sink.reserve(2 << 20)\n"
        "except OSError as e: print(e.errno, e.filename)\n"
    )
    path = tmp_path / "a"
    path.write_bytes(b"old")
    out = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    assert out.split() == [str(errno.EFBIG), str(path)]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_written_spans(tmp_path):
    sink = Sink.of_memory()
    for offset in (100, 10, 110, 30, 20):
        sink.write_at(offset, b"x" * 10)
    with pytest.raises(ValueError, match="truncate"):
        sink.truncate(119)
    assert bytes(sink.getvalue()) == (b"\0" * 10 + b"x" * 30 + b"\0" * 60 + b"x" * 20)


# ---- what is at the path


def test_overwrite_false(tmp_path):
    path = tmp_path / "a"
    save(path, b"one", overwrite=False)
    with pytest.raises(FileExistsError) as e:
        Sink.open(path, overwrite=False)
    assert e.value.filename == str(path)
    assert os.listdir(tmp_path) == ["a"]


def test_overwrite_false_does_not_replace_what_came_meanwhile(tmp_path):
    path = tmp_path / "a"
    sink = Sink.open(path, overwrite=False)
    sink.write_at(0, b"mine")
    path.write_bytes(b"theirs")
    with pytest.raises(FileExistsError) as e:
        sink.commit()
    assert e.value.filename == str(path)
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["a"]


@posix
def test_overwrite_false_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    save(tmp_path / "a", b"one", overwrite=False)
    assert (tmp_path / "a").read_bytes() == b"one"
    sink = Sink.open(tmp_path / "b", overwrite=False)
    (tmp_path / "b").write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        sink.commit()
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@posix
def test_links_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a")
    save(tmp_path / "link", b"through a dangling link")
    save(tmp_path / "link", b"through a link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_bytes() == b"through a link"
    assert os.listdir(tmp_path / "real") == ["a"]
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError) as e:
        Sink.open(tmp_path / "loop")
    assert e.value.errno == errno.ELOOP


@posix
def test_a_new_file_obeys_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        save(tmp_path / "a", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == 0o640


@posix
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o755])
def test_the_mode_is_kept(tmp_path, mode):
    path = tmp_path / "a"
    path.write_bytes(b"x")
    path.chmod(mode)
    with Sink.open(path) as sink:
        assert stat.S_IMODE(os.stat(sink.temporary).st_mode) == mode
    assert stat.S_IMODE(os.stat(path).st_mode) == mode


@root
def test_the_owner_is_kept(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x")
    os.chown(path, 12345, 23456)
    path.chmod(0o640)
    save(path, b"y")
    status = os.stat(path)
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12345, 23456, 0o640)


@posix
def test_where_the_owner_cannot_be_kept_no_group_gains(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"x")
    path.chmod(0o664)

    def refuse(fd, uid, gid):
        raise PermissionError(errno.EPERM, "not yours")

    monkeypatch.setattr(os, "fchown", refuse)
    real = os.fstat

    def foreign(fd):
        status = list(real(fd))
        status[stat.ST_GID] += 1
        return os.stat_result(status)

    monkeypatch.setattr(os, "fstat", foreign)
    sink = Sink.open(path)
    monkeypatch.undo()
    assert stat.S_IMODE(os.stat(sink.temporary).st_mode) == 0o644
    sink.abort()


@not_root
def test_a_read_only_file_is_not_replaced(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x")
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        Sink.open(path)


@pytest.mark.parametrize("name", ["folder", "folder/", "missing/a", "", "a/b"])
def test_paths_that_cannot_be(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(OSError) as e:
        Sink.open(name)
    assert e.value.filename == name
    assert sorted(os.listdir(tmp_path)) == ["a", "folder"]


def test_a_relative_path_means_the_folder_it_was_opened_in(tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    with Sink.open("a") as sink:
        os.chdir(tmp_path)
        sink.write_at(0, b"x")
    assert (tmp_path / "one" / "a").read_bytes() == b"x"


@posix
def test_long_and_odd_names(tmp_path):
    for name in ("x" * 255, "ü" * 127, "a b\n[*]?.h5", os.fsdecode(b"\xff\xfe")):
        save(tmp_path / name, b"x")
        save(tmp_path / name, b"y")
        assert (tmp_path / name).read_bytes() == b"y"
    assert len(os.listdir(tmp_path)) == 4


@posix
def test_streams_at_a_path(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    with Sink.open(tmp_path / "fifo") as sink:
        assert not sink.seekable
        sink.write_at(0, b"ab")
        sink.write_at(4, b"cd")
    reader.join()
    assert got == [b"ab\0\0cd"]
    save("/dev/null", b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@posix
def test_a_socket_is_refused(tmp_path, monkeypatch):
    import socket

    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(UnsupportedError, match="regular file"):
            Sink.open("s")


# ---- savers of one path


def test_two_savers_do_not_mix(tmp_path):
    path = tmp_path / "a"
    one, two = Sink.open(path), Sink.open(path)
    assert one.temporary != two.temporary
    for i in range(100):
        one.write_at(i * 1000, b"1" * 1000)
        two.write_at(i * 1000, b"2" * 1000)
    two.commit()
    assert set(path.read_bytes()) == set(b"2")
    one.commit()
    assert set(path.read_bytes()) == set(b"1")
    assert os.listdir(tmp_path) == ["a"]


def test_readers_see_complete_files_only(tmp_path):
    path = tmp_path / "a"
    save(path, bytes(50_000))
    stop, seen, wrong = threading.Event(), set(), []

    def read():
        while not stop.is_set():
            data = path.read_bytes()
            seen.add(data[0])
            if data.count(data[0]) != 50_000:
                wrong.append(len(data))

    def write(start):
        for i in range(start, 250, 4):
            save(path, bytes([i]) * 50_000, durable=False)

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert not wrong
    assert len(seen) > 1
    assert os.listdir(tmp_path) == ["a"]


@posix
def test_hdf5_may_read_what_was_just_saved(tmp_path):
    """HDF5 takes a flock() on what it opens: ours must not be in its way."""
    h5py = pytest.importorskip("h5py")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as f:
        f["x"] = 1
    sink = Sink.open(tmp_path / "a.h5")
    sink.write_at(0, buffer.getvalue())
    sink.settle()
    sink.publish()  # the descriptor is still open, and locked
    with h5py.File(tmp_path / "a.h5", "r") as f:
        assert f["x"][()] == 1
    sink.close()


# ---- temporaries of killed savers


def kill_a_saver(path):
    code = (
        "import sys, time; from kio.raw.sink import Sink\n"
        "s = Sink.open(sys.argv[1]); s.write_at(0, b'x'); print(s.temporary, flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    name = child.stdout.readline().strip()
    return child, name


def test_the_next_save_removes_what_a_killed_one_left(tmp_path):
    path = tmp_path / "a"
    child, left = kill_a_saver(path)
    live = Sink.open(path)
    assert os.path.exists(left)  # its saver lives
    child.kill()
    child.communicate()
    assert os.path.exists(left)
    save(tmp_path / "other", b"x")
    assert os.path.exists(left)  # not a save of the same path
    save(path, b"y")
    assert not os.path.exists(left)
    assert os.path.exists(live.temporary)
    live.commit()
    assert sorted(os.listdir(tmp_path)) == ["a", "other"]


def test_only_what_is_certainly_ours_is_removed(tmp_path):
    keep = [
        ".a.0123456789ab.kio-tmp2",
        ".a.0123456789AB.kio-tmp",
        ".a.0123456789ab.tmp",
        ".a.b.0123456789ab.kio-tmp",
        ".b.0123456789ab.kio-tmp",
        "a.0123456789ab.kio-tmp",
    ]
    for name in [*keep, ".a.0123456789ab.kio-tmp"]:
        (tmp_path / name).write_bytes(b"")
    if os.name == "posix":
        (tmp_path / ".a.00000000000a.kio-tmp").symlink_to(tmp_path / keep[0])
        os.mkfifo(tmp_path / ".a.00000000000b.kio-tmp")
        keep += [".a.00000000000a.kio-tmp"]
    clean(str(tmp_path), "a")
    assert set(keep) <= set(os.listdir(tmp_path))
    assert not (tmp_path / ".a.0123456789ab.kio-tmp").exists()


@posix
def test_the_creator_gives_way_to_a_cleaner(tmp_path, monkeypatch):
    """Between its creation and its lock, a temporary looks abandoned."""
    real, paths = os.open, []

    def raced(path, flags, *args, **kwargs):
        fd = real(path, flags, *args, **kwargs)
        if flags & os.O_CREAT:
            paths.append(path)
            if len(paths) == 1:
                assert discard(path)
        return fd

    monkeypatch.setattr(os, "open", raced)
    fd, path = temporary(str(tmp_path), "a")
    assert len(paths) == 2
    assert path == paths[1]
    assert os.listdir(tmp_path) == [os.path.basename(path)]
    assert not discard(path)
    os.close(fd)
    assert discard(path)


def test_a_forked_child_leaves_the_parents_temporary(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("fork")
    code = (
        "import os, sys; from kio.raw.sink import Sink\n"
        "with Sink.open(sys.argv[1]) as s:\n"
        "    s.write_at(0, b'x')\n"
        "    child = os.fork()\n"
        "    if child == 0: raise SystemExit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    assert os.path.exists(s.temporary)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True, stderr=subprocess.DEVNULL)
    assert (tmp_path / "a").read_bytes() == b"x"


# ---- errors of the system


def test_a_failing_fsync_fails_the_save_once(tmp_path, monkeypatch):
    path, calls = tmp_path / "a", []
    path.write_bytes(b"old")

    def fail(fd):
        calls.append(fd)
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(os, "fsync", fail)
    sink = Sink.open(path)
    sink.write_at(0, b"new")
    with pytest.raises(OSError) as e:
        sink.commit()
    assert (e.value.errno, e.value.filename, len(calls)) == (errno.EIO, str(path), 1)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]
    with pytest.raises(ValueError, match="aborted"):
        sink.commit()


@posix
def test_durable_syncs_file_and_folder_in_this_order(tmp_path, monkeypatch):
    events = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: (events.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"), sync(fd)),
    )
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("rename"), replace(a, b)))
    save(tmp_path / "a", b"x")
    assert events == ["file", "rename", "folder"]
    events.clear()
    save(tmp_path / "a", b"x", durable=False)
    assert events == ["rename"]


@posix
def test_a_folder_that_cannot_be_synced_is_no_error_but_a_failing_one_is(tmp_path, monkeypatch):
    sync = os.fsync

    def failing(number):
        def fsync(fd):
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise OSError(number, "folder")
            sync(fd)

        return fsync

    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL))
    save(tmp_path / "a", b"one")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OSError):
        save(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a"]


def test_a_failing_rename_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(a, b):
        raise OSError(errno.EIO, "disk", a, None, b)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError) as e:
        save(path, b"new")
    assert str(e.value) == f"[Errno {errno.EIO}] disk: {str(path)!r}"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


# ---- file objects and memory


def test_of_memory():
    sink = Sink.of_memory()
    sink.reserve(4)
    sink.write_at(6, b"ab")
    sink.commit()
    assert bytes(sink.getvalue()) == b"\0\0\0\0\0\0ab"
    with pytest.raises(TypeError):
        Sink.of_file(io.BytesIO()).getvalue()


class Short(io.RawIOBase):
    """A pipe that takes three bytes a call."""

    def __init__(self):
        self.got = b""

    def writable(self):
        return True

    def write(self, data):
        self.got += bytes(data[:3])
        return min(len(data), 3)


class Silent:
    """An object with a write() that does not count, and nothing else."""

    def __init__(self):
        self.got = b""

    def write(self, data):
        self.got += data


class Stuck(Short):
    def write(self, data):
        return 0


class Full(Short):
    def write(self, data):
        return None


@pytest.mark.parametrize("kind", [Short, Silent])
def test_a_sink_that_cannot_seek_takes_bytes_in_order(kind):
    file = kind()
    sink = Sink.of_file(file)
    assert not sink.seekable
    sink.write_at(0, b"0123456")
    sink.write_at(10, b"ab")
    with pytest.raises(io.UnsupportedOperation, match="cannot seek"):
        sink.write_at(3, b"x")
    sink.reserve(15)
    sink.commit()
    assert file.got == b"0123456\0\0\0ab\0\0\0"


def test_write_that_takes_nothing():
    with pytest.raises(OSError, match="nothing was written"):
        Sink.of_file(Stuck()).write_at(0, b"x")
    with pytest.raises(BlockingIOError):
        Sink.of_file(Full()).write_at(0, b"x")


def test_of_file_rejects_what_cannot_be_written():
    with pytest.raises(TypeError, match="text"):
        Sink.of_file(io.StringIO())
    with pytest.raises(TypeError, match="write"):
        Sink.of_file(3)
    with pytest.raises(TypeError, match=r"Sink\.open"):
        Sink()


@pytest.mark.parametrize("kind", ["bytesio", "file", "raw", "temporary", "spooled"])
def test_of_file_begins_at_the_position_and_ends_after_the_last_byte(tmp_path, kind):
    if kind == "bytesio":
        opened = io.BytesIO()
    elif kind == "temporary":
        opened = tempfile.NamedTemporaryFile()  # noqa: SIM115
    elif kind == "spooled":
        opened = tempfile.SpooledTemporaryFile()  # noqa: SIM115
    else:
        opened = open(tmp_path / "a", "w+b", buffering=0 if kind == "raw" else -1)  # noqa: SIM115
    with opened as file:
        file.write(b"head, and what follows")
        file.seek(4)
        with Sink.of_file(file) as sink:
            if kind != "spooled" or sink.seekable:
                sink.write_at(5, b"b")
            sink.write_at(6 if not sink.seekable else 1, b"a")
            sink.reserve(8)
        if sink.seekable:
            assert file.tell() == 12
            file.seek(0)
            assert file.read() == b"head\0a\0\0\0b\0\0"
        file.seek(0)
        file.read(4)
        if sink.seekable:
            Sink.of_file(file).abort()
            file.seek(0)
            assert file.read() == b"head"


def test_append_mode_and_gzip_cannot_seek(tmp_path):
    (tmp_path / "a").write_bytes(b"head")
    with open(tmp_path / "a", "ab") as file:
        sink = Sink.of_file(file)
        assert not sink.seekable
        sink.write_at(0, b"tail")
        sink.commit()
    assert (tmp_path / "a").read_bytes() == b"headtail"
    with gzip.open(tmp_path / "b", "wb") as file, Sink.of_file(file) as sink:
        assert not sink.seekable
        sink.write_at(2, b"x")
    assert gzip.decompress((tmp_path / "b").read_bytes()) == b"\0\0x"


def test_pipe():
    read, write = os.pipe()
    with open(read, "rb") as reader:
        with open(write, "wb") as writer, Sink.of_file(writer) as sink:
            sink.write_at(3, b"x")
        assert reader.read() == b"\0\0\0x"


@posix
def test_a_broken_pipe_is_the_systems_error():
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb", buffering=0) as writer:
        sink = Sink.of_file(writer)
        with pytest.raises(BrokenPipeError):
            sink.write_at(0, b"x")


@posix
def test_signals_do_not_tear_a_write(tmp_path):
    """EINTR and short writes: a timer interrupts a slow pipe a hundred times."""
    read, write = os.pipe()
    got = []

    def drain():
        with open(read, "rb", buffering=0) as file:
            while chunk := file.read(50_000):
                got.append(chunk)
                time.sleep(0.001)

    reader = threading.Thread(target=drain)
    reader.start()
    ticks = []
    old = signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    data = os.urandom(3_000_000)
    try:
        with open(write, "wb", buffering=0) as file, Sink.of_file(file) as sink:
            sink.write_at(0, data)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        reader.join()
    assert ticks
    assert b"".join(got) == data


def test_no_descriptor_is_left(tmp_path):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("/proc")
    before = len(os.listdir("/proc/self/fd"))
    for i in range(20):
        save(tmp_path / "a", b"x")
        Sink.open(tmp_path / "a").abort()
        with open(tmp_path / "b", "wb") as file:
            Sink.of_file(file).commit()
        if i % 2:
            with pytest.raises(OSError):
                Sink.open(tmp_path / "no" / "a")
    assert len(os.listdir("/proc/self/fd")) == before


def test_exchange(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").mkdir()
    if not module.exchange(str(tmp_path / "a"), str(tmp_path / "b")):
        pytest.skip("no such call here")
    assert (tmp_path / "b").read_bytes() == b"a"
    with pytest.raises(FileNotFoundError):
        module.exchange(str(tmp_path / "a"), str(tmp_path / "c"))
