"""Kill or fail a save at every file system call: the old file or the new one, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD and Linux's calls"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
    pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="one preload at a time"),
]

KILLS = "kill-before,kill-after"
ERRORS = "eio,enospc,edquot,eintr,short"


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    out = tmp_path_factory.mktemp("shim") / "shim.so"
    command = [
        "cc",
        "-shared",
        "-fPIC",
        "-O1",
        "-Wall",
        "-Wextra",
        str(HERE / "shim.c"),
        "-o",
        str(out),
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return out


@pytest.fixture
def memory(tmp_path):
    """A folder whose fsync costs nothing, where there is one: calls count here, not disks."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="kio-crash-") as folder:
        yield Path(folder)


def matrix(shim, folder, save, *options, kinds=f"{KILLS},{ERRORS}", lacking="", **env):
    """Cases by kind; fails with the first violations."""
    command = [sys.executable, str(HERE / "driver.py"), str(HERE / "saves" / save), str(folder)]
    command += ["--kinds", kinds, "--lacking", lacking, *options]
    done = subprocess.run(command, env=environment(shim, **env), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout)
    assert not result["violations"], "\n".join(result["violations"][:20])
    assert set(result["cases"]) == set(kinds.split(","))
    print(save, lacking, result["cases"])
    return result["cases"]


def environment(shim, **env):
    env = {**os.environ, **env, "LD_PRELOAD": str(shim), "OPENBLAS_NUM_THREADS": "1"}
    env.setdefault("PYTHONPATH", str(HERE.parent.parent))
    return env


def test_one_file(shim, tmp_path):
    cases = matrix(shim, tmp_path, "one_file.py")
    # open, fallocate, writes, fsync, rename and the folder's fsync at the very least
    assert cases["kill-before"] >= 20
    assert cases["eio"] >= 15
    assert cases["short"] >= 6


@pytest.mark.slow
def test_one_file_through_the_page_cache(shim, memory):
    matrix(shim, memory, "one_file.py", KIO_CRASH_BUFFERED="1")


def test_weights(shim, memory):
    """A real save, with what kio's own formats add to a sink's calls."""
    cases = matrix(shim, memory, "weights.py")
    assert cases["kill-before"] >= 10 and cases["enospc"] >= 4


@pytest.mark.parametrize("save", ["archive.py", "shards.py"])
def test_several_parts(shim, memory, save):
    matrix(shim, memory, save, kinds="kill-before,eio,enospc,short")


@pytest.mark.slow
@pytest.mark.parametrize("save", ["archive.py", "legacy.py", "shards.py", "model_folder.py", "weights_compressed.py"])
def test_formats(shim, memory, save):
    matrix(shim, memory, save)


def test_new_file(shim, memory):
    matrix(shim, memory, "new_file.py", kinds=ERRORS)


@pytest.mark.slow
def test_group(shim, memory):
    assert matrix(shim, memory, "group.py")["kill-before"] >= 40


@pytest.mark.slow
def test_folder(shim, memory):
    assert matrix(shim, memory, "folder.py")["kill-before"] >= 40


@pytest.mark.slow
def test_folder_that_cannot_be_exchanged(shim, memory):
    """Between its two renames there is none; the next save puts the old one back first."""
    matrix(shim, memory, "folder.py", "--gap", kinds="kill-before,kill-after,eio", lacking="exchange")


@pytest.mark.slow
@pytest.mark.parametrize("lacking", ["direct-write", "direct-open", "fallocate", "link"])
def test_on_a_system_that_lacks_it(shim, memory, lacking):
    matrix(shim, memory, "one_file.py", kinds="kill-before,eio,short", lacking=lacking)
    matrix(shim, memory, "group.py", kinds="kill-before,eio", lacking=lacking)


def test_where_nothing_can_be_locked_only_age_counts(shim, tmp_path):
    code = (
        "import ctypes, os, sys, time\n"
        "from kio.raw.sink import Sink\n"
        "folder = sys.argv[1]\n"
        "left = [os.path.join(folder, f'.a.{i:012x}.kio-tmp') for i in range(2)]\n"
        "for path in left: open(path, 'w').close()\n"
        "os.utime(left[0], (0, time.time() - 30 * 3600))\n"
        "ctypes.CDLL(None).crash_arm(folder.encode(), ctypes.c_long(-1), 0, 0, 0, 4)\n"
        "with Sink.open(os.path.join(folder, 'a')) as sink: sink.write_at(0, b'x')\n"
        "print(*sorted(os.listdir(folder)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=environment(shim),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [".a.000000000001.kio-tmp", "a"], done.stderr
