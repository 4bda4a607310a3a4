"""folder: files of a directory, and every way out of it that must be closed."""

import os
import socket
import sys
import threading

import pytest

from kio.containers.folder import Folder
from kio.errors import CorruptError, LimitError, UnsupportedError
from kio.limits import Limits

posix = pytest.mark.skipif(sys.platform == "win32", reason="links and FIFOs are made the POSIX way here")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "model"
    (root / "assets" / "a" / "b").mkdir(parents=True)
    (root / "config.json").write_bytes(b"{}")
    (root / "assets" / "one.txt").write_bytes(b"1")
    (root / "assets" / "a" / "b" / "größe.txt").write_bytes(b"22")
    (tmp_path / "secret").write_bytes(b"secret")
    return root


def test_files(folder):
    found = Folder(folder)
    assert found.names == ["assets", "config.json"]
    assert "config.json" in found and "assets" not in found and "nothing" not in found
    assert found.under("assets/") == ["assets/a/b/größe.txt", "assets/one.txt"]
    assert found.under("nothing/") == found.under("config.json/") == []
    assert found.read("assets/a/b/größe.txt", 2) == b"22"
    assert found.nbytes_of("assets/a/b/größe.txt") == 2
    source = found.source("config.json")
    assert source.name == str(folder / "config.json") and source.read(0, 2) == b"{}"
    source.close()
    with pytest.raises(FileNotFoundError):
        found.source("nothing")
    with pytest.raises(LimitError, match="at most 1 bytes"):
        found.read("config.json", 1)


def test_reading_goes_on_where_it_opened(folder, tmp_path):
    source = Folder(folder).source("config.json")
    os.replace(tmp_path / "secret", folder / "config.json")
    assert source.read(0, 2) == b"{}"
    source.close()


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "..",
        ".",
        "",
        "/etc/passwd",
        "a//b",
        "assets/../../secret",
        "C:secret",
        "a\\b",
        "a\0b",
        "assets/",
    ],
)
def test_names_refused(folder, name):
    with pytest.raises(CorruptError, match="plain relative path"):
        Folder(folder).source(name)


@posix
def test_links_refused(folder, tmp_path):
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to("loop")
    (folder / "out").symlink_to(tmp_path)
    (folder / "inside").symlink_to("config.json")
    found = Folder(folder)
    for name in ("link", "loop", "inside", "out/secret"):
        with pytest.raises(UnsupportedError, match="link"):
            found.source(name)
    assert found.under("out/") == []


@posix
def test_link_put_in_place_afterwards(folder, tmp_path):
    found = Folder(folder)
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsupportedError, match="link"):
        found.source("config.json")


@posix
def test_hugging_face_cache(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0123abcd"
    (snapshot / "assets").mkdir(parents=True)
    blobs.mkdir()
    digest = "0123456789abcdef" * 4
    (blobs / digest).write_bytes(b"blob")
    (snapshot / "config.json").symlink_to(f"../../blobs/{digest}")
    (snapshot / "assets" / "v.txt").symlink_to(f"../../../blobs/{digest}")
    (snapshot / "evil").symlink_to(f"../../../blobs/{digest}")
    (snapshot / "worse").symlink_to("../../blobs/../../secret")
    (snapshot / "again").symlink_to(f"../../blobs/{digest[:40]}")
    (blobs / digest[:40]).symlink_to(tmp_path / "secret")
    found = Folder(snapshot)
    assert "config.json" in found and found.under("assets/") == ["assets/v.txt"]
    assert found.read("config.json", 9) == found.read("assets/v.txt", 9) == b"blob"
    for name in ("evil", "worse"):
        with pytest.raises(UnsupportedError, match="link"):
            found.source(name)
    with pytest.raises((UnsupportedError, OSError)):
        found.source("again")


@posix
def test_special_files_do_not_hang(folder):
    os.mkfifo(folder / "fifo")
    os.mkfifo(folder / "assets" / "fifo")
    box = socket.socket(socket.AF_UNIX)
    box.bind(os.path.relpath(folder / "socket"))
    found = Folder(folder)
    assert "fifo" not in found
    result = []

    def attempt():
        for name in ("fifo", "assets/fifo", "socket"):
            try:
                found.source(name)
            except (UnsupportedError, OSError) as error:
                result.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(5)
    box.close()
    assert len(result) == 3


def test_limits(folder):
    for k in range(20):
        (folder / "assets" / f"{k}.txt").write_bytes(b"")
    with pytest.raises(LimitError, match=r"limits\.members=10"):
        Folder(folder, Limits(members=10)).under("assets/")
    with pytest.raises(LimitError, match=r"limits\.members=10"):
        _ = Folder(folder / "assets", Limits(members=10)).names


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_no_descriptor_is_left(folder, tmp_path):
    (folder / "link").symlink_to(tmp_path / "secret")
    before = len(os.listdir("/proc/self/fd"))
    found = Folder(folder)
    for name in ("config.json", "assets/one.txt", "link", "nothing", "assets", "config.json/x", "../x"):
        try:
            found.source(name).close()
        except (OSError, CorruptError, UnsupportedError):
            continue
    assert len(os.listdir("/proc/self/fd")) == before
