"""folder_sink: several files, visible together.  What a killed save leaves: tests/crash."""

import errno
import json
import os
import re
import stat
import sys
import threading

import pytest

from kio.raw import folder_sink
from kio.raw.folder_sink import FolderSink, GroupSink

SHARD = re.compile(r"m_\w+_\d\.bin")


def stale(name):
    return SHARD.fullmatch(name) is not None


def begin(path, token, count=2, **options):
    group = GroupSink(path, stale=stale, **options)
    names = [f"m_{token}_{i}.bin" for i in range(count)]
    for name in names:
        group.open(name).write_at(0, token.encode())
    group.head.write_at(0, json.dumps(names).encode())
    return group


def visible(path):
    """What a reader gets: the contents of what the head names."""
    names = json.loads(path.read_text())
    return [(path.parent / name).read_text() for name in names]


# ---- groups


@pytest.mark.parametrize("durable", [True, False])
def test_group(tmp_path, durable):
    head = tmp_path / "m.json"
    (tmp_path / "other.bin").write_bytes(b"")
    with begin(head, "one", durable=durable):
        assert not head.exists()
    assert visible(head) == ["one", "one"]
    with begin(head, "two", 3, durable=durable):
        assert visible(head) == ["one", "one"]
    assert visible(head) == ["two"] * 3
    assert sorted(os.listdir(tmp_path)) == ["m.json", *(f"m_two_{i}.bin" for i in range(3)), "other.bin"]


def test_group_abort(tmp_path):
    head = tmp_path / "m.json"
    begin(head, "one").commit()
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(ZeroDivisionError), begin(head, "two"):
        raise ZeroDivisionError
    assert sorted(os.listdir(tmp_path)) == before
    assert visible(head) == ["one", "one"]


def test_group_whose_head_cannot_be_renamed(tmp_path, monkeypatch):
    head = tmp_path / "m.json"
    begin(head, "one").commit()
    before = sorted(os.listdir(tmp_path))

    def fail(a, b):
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError) as e:
        begin(head, "two").commit()
    assert e.value.filename == str(head)
    assert sorted(os.listdir(tmp_path)) == before
    assert visible(head) == ["one", "one"]


def test_group_members_are_new_and_plain(tmp_path):
    head = tmp_path / "m.json"
    (tmp_path / "m_old_0.bin").write_bytes(b"x")
    with GroupSink(head, stale=stale) as group:
        with pytest.raises(FileExistsError):
            group.open("m_old_0.bin")
        for name in ("", ".", "..", "a/b", "/a"):
            with pytest.raises(ValueError, match="plain"):
                group.open(name)
    assert os.listdir(tmp_path) == ["m.json"]
    with pytest.raises(FileExistsError):
        GroupSink(head, stale=stale, overwrite=False)


@pytest.mark.skipif(os.name != "posix", reason="POSIX")
def test_group_needs_a_folder(tmp_path):
    with pytest.raises(OSError, match="folder"):
        GroupSink("/dev/null", stale=stale)


def test_group_spares_members_of_a_live_save(tmp_path):
    """Another save has renamed its members, and not yet its head."""
    head = tmp_path / "m.json"
    live = begin(head, "live")
    for sink in (*live._members, live.head):
        sink.settle()
    for sink in live._members:
        sink.publish()
    begin(head, "quick").commit()
    assert visible(head) == ["quick", "quick"]
    assert (tmp_path / "m_live_0.bin").exists()
    live.head.publish()
    live.commit = None
    for sink in (*live._members, live.head):
        sink.close()
    assert visible(head) == ["live", "live"]
    begin(head, "last").commit()
    assert len(os.listdir(tmp_path)) == 3


def test_group_that_was_overtaken_removes_nothing(tmp_path, monkeypatch):
    """Between its rename and its tidying, another save commits."""
    head = tmp_path / "m.json"
    real = folder_sink.sync_folder
    raced = []

    def race(folder):
        real(folder)
        if head.exists() and not raced:
            raced.append(1)
            begin(head, "fast").commit()

    slow = begin(head, "slow")
    monkeypatch.setattr(folder_sink, "sync_folder", race)
    slow.commit()
    assert raced
    assert visible(head) == ["fast", "fast"]


def test_groups_in_threads(tmp_path):
    head = tmp_path / "m.json"
    begin(head, "start").commit()
    stop, wrong = threading.Event(), []

    def read():
        while not stop.is_set():
            try:
                text = head.read_text()
                got = visible(head)
            except FileNotFoundError:
                # A member may go after the head that named it: but then the head has changed.
                if head.read_text() == text:
                    wrong.append(text)
                continue
            if len(set(got)) != 1:
                wrong.append(got)

    def save(i):
        for k in range(15):
            begin(head, f"t{i}k{k}", durable=False).commit()

    reader = threading.Thread(target=read)
    savers = [threading.Thread(target=save, args=(i,)) for i in range(3)]
    for thread in (reader, *savers):
        thread.start()
    for thread in savers:
        thread.join()
    stop.set()
    reader.join()
    assert not wrong
    begin(head, "last").commit()
    assert sorted(os.listdir(tmp_path)) == ["m.json", "m_last_0.bin", "m_last_1.bin"]


# ---- folders


def owns(name):
    return name in ("config.json", "assets") or name.startswith("assets/")


def fill(folder, text):
    folder.open("config.json").write_at(0, text.encode())
    folder.open(f"assets/deep/{text}").write_at(0, b"x")


def tree(path):
    return sorted(os.path.relpath(p, path) for p in path.rglob("*") if p.is_file() or p.is_symlink())


@pytest.fixture(params=["exchange", "renames"])
def swap(request, monkeypatch):
    if request.param == "renames":
        monkeypatch.setattr(folder_sink, "exchange", lambda a, b: False)


def test_folder(tmp_path, swap):
    path = tmp_path / "model"
    with FolderSink(path, owns=owns) as folder:
        fill(folder, "one")
        assert not path.exists()
    assert tree(path) == ["assets/deep/one", "config.json"]
    (path / "notes.txt").write_text("mine")
    (path / "more").mkdir()
    (path / "more" / "link").symlink_to("nowhere")
    path.chmod(0o750)
    with FolderSink(path, owns=owns, durable=False) as folder:
        fill(folder, "two")
        assert (path / "config.json").read_text() == "one"
    assert tree(path) == ["assets/deep/two", "config.json", "more/link", "notes.txt"]
    assert (path / "config.json").read_text() == "two"
    assert (path / "notes.txt").read_text() == "mine"
    if os.name == "posix":
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o750
    assert os.listdir(tmp_path) == ["model"]


def test_folder_abort(tmp_path, swap):
    path = tmp_path / "model"
    with FolderSink(path, owns=owns) as folder:
        fill(folder, "one")
    with pytest.raises(ZeroDivisionError), FolderSink(path, owns=owns) as folder:
        fill(folder, "two")
        raise ZeroDivisionError
    assert tree(path) == ["assets/deep/one", "config.json"]
    assert os.listdir(tmp_path) == ["model"]


def test_folder_paths(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "model").mkdir()
    with pytest.raises(NotADirectoryError):
        FolderSink(tmp_path / "file", owns=owns)
    with pytest.raises(FileExistsError):
        FolderSink(tmp_path / "model", owns=owns, overwrite=False)
    with pytest.raises(FileNotFoundError):
        FolderSink(tmp_path / "no" / "model", owns=owns)
    with FolderSink(tmp_path / "model", owns=owns) as folder:
        for name in ("", ".", "..", "/a", "a/../b", "a//b", "a/"):
            with pytest.raises(ValueError, match="relative"):
                folder.open(name)
    assert sorted(os.listdir(tmp_path)) == ["file", "model"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX")
def test_folder_through_a_link(tmp_path):
    (tmp_path / "link").symlink_to("model")
    for text in ("one", "two"):
        with FolderSink(tmp_path / "link", owns=owns) as folder:
            fill(folder, text)
    assert (tmp_path / "link").is_symlink()
    assert tree(tmp_path / "model") == ["assets/deep/two", "config.json"]
    assert sorted(os.listdir(tmp_path)) == ["link", "model"]


def test_two_folder_saves(tmp_path):
    path = tmp_path / "model"
    one, two = FolderSink(path, owns=owns), FolderSink(path, owns=owns)
    fill(one, "one")
    fill(two, "two")
    two.commit()
    with pytest.raises(OSError):
        one.commit()  # there was no folder when it began, and one came meanwhile
    assert tree(path) == ["assets/deep/two", "config.json"]
    one, two = FolderSink(path, owns=owns), FolderSink(path, owns=owns)
    fill(one, "one")
    fill(two, "two")
    two.commit()
    one.commit()
    assert tree(path) == ["assets/deep/one", "config.json"]
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="/proc")
def test_no_descriptor_is_left(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for i in range(5):
        begin(tmp_path / "m.json", f"t{i}").commit()
        begin(tmp_path / "m.json", f"u{i}").abort()
        with FolderSink(tmp_path / "model", owns=owns) as folder:
            fill(folder, "x")
        FolderSink(tmp_path / "model", owns=owns).abort()
    assert len(os.listdir("/proc/self/fd")) == before
    assert sys.platform != "linux" or sorted(os.listdir(tmp_path)) == [
        "m.json",
        "m_t4_0.bin",
        "m_t4_1.bin",
        "model",
    ]
