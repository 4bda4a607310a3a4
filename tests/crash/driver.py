"""Crash matrix: run one save again and again, each time with a fault at its n-th call.

    LD_PRELOAD=shim.so python driver.py SAVE.py FOLDER [--kinds kill-before,…] [--lacking …]

``SAVE.py`` defines

    TARGET           name in the folder that is saved to
    save(path, version)
                     saves there; version is "old" or "new"; same version, same bytes
    state(path)      what a reader of the path gets, or None for nothing; by default the
                     bytes of the file, or of all files of the folder, at the path
    prepare(folder)  puts other people's files into the folder
    normalise(name)  replaces what is random in the name of a file
    listing(folder)  names of what lies in the folder, where ``normalise`` is not enough
    OVER = (None,)   for a save that does not replace; by default ("old", None)
    FORK = False     run every case in a new process (needed where the save's libraries
                     have threads of their own)

For every kind of fault and every n, over an old file and over none:

* a killed or failing save leaves the complete old or the complete new state;
* one that returns has left the new state; one that returns or raises has left nothing
  beside it, unless the call that failed was about to remove that;
* interrupted and short calls are tried again: the save returns;
* whatever happened, the next save succeeds and nothing else is left after it.

Prints one JSON object: cases by kind, and violations.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

# As in shim.c.
KILL_BEFORE, KILL_AFTER, FAIL, SHORT_WRITE = range(4)
ANY, SPACE, INTERRUPT, SHORTEN = 1, 2, 4, 8
KINDS = {
    "kill-before": (KILL_BEFORE, 0, 0),
    "kill-after": (KILL_AFTER, 0, 0),
    "eio": (FAIL, errno.EIO, ANY),
    "enospc": (FAIL, errno.ENOSPC, SPACE),
    "edquot": (FAIL, errno.EDQUOT, SPACE),
    "eintr": (FAIL, errno.EINTR, INTERRUPT),
    "short": (SHORT_WRITE, 0, SHORTEN),
}
RETRIED = {"eintr", "short"}
LACKING = {"direct-write": 1, "direct-open": 2, "lock": 4, "fallocate": 8, "exchange": 16, "link": 32}

# What was being removed when one of these failed is removed by the next save.
REMOVING = ("open", "unlink", "rmdir", "link")

RETURNED, RAISED = 0, 3


def load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("save", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def contents(path: Path) -> dict[str, bytes | None] | None:
    """Every file at or below path; a folder is None."""
    if path.is_file():
        return {"": path.read_bytes()}
    if not path.is_dir():
        return None
    return {str(p.relative_to(path)): p.read_bytes() if p.is_file() else None for p in path.rglob("*")}


class Driver:
    def __init__(self, script: str, folder: Path, lacking: int) -> None:
        self.script, self.lacking, self.gap = script, lacking, False
        self.module = load(script)
        self.folder, self.pristine = folder / "save", folder / "pristine"
        self.target = self.folder / self.module.TARGET
        self.shim = ctypes.CDLL(None)
        self.shim.crash_fired.restype = ctypes.c_char_p
        self.shim.crash_disarm.restype = ctypes.c_long
        self.cases: Counter[str] = Counter()
        self.violations: list[str] = []

    def state(self) -> Any:
        return getattr(self.module, "state", contents)(self.target)

    # ---- one save in a process of its own

    def child(self, version: str, n: int, kind: str, report: int) -> int:
        """The save, with a fault at call n (0: none); what happened goes to a pipe."""
        fault, number, mask = KINDS[kind]
        outcome, text = RETURNED, ""
        root = os.fsencode(self.folder)
        self.shim.crash_arm(root, ctypes.c_long(n), fault, number, mask, self.lacking)
        try:
            self.module.save(str(self.target), version)
        except OSError as e:
            outcome, text = RAISED, repr(e)
        except BaseException as e:
            outcome, text = 1, repr(e)
        calls = self.shim.crash_disarm()
        done = {"calls": calls, "fired": self.shim.crash_fired().decode(), "error": text}
        os.write(report, json.dumps(done).encode())
        return outcome

    def run(self, version: str, n: int = 0, kind: str = "kill-before") -> tuple[int, dict[str, Any]]:
        """Returns the exit status (negative for a signal) and what the child reported."""
        read, write = os.pipe()
        if getattr(self.module, "FORK", True):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    status = self.child(version, n, kind, write)
                finally:
                    os._exit(status)
            os.close(write)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        else:
            command = [sys.executable, __file__, self.script, str(self.folder.parent), "--child"]
            command += [version, str(n), kind, str(self.lacking), str(write)]
            status = subprocess.run(command, pass_fds=[write], check=False).returncode
            os.close(write)
        with open(read, "rb") as pipe:
            text = pipe.read()
        return status, json.loads(text) if text else {}

    # ---- the matrix

    def prepare(self, version: str | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if version is None:
            self.folder.mkdir()
            if hasattr(self.module, "prepare"):
                self.module.prepare(str(self.folder))
        else:
            shutil.copytree(self.pristine / version, self.folder, symlinks=True)

    def reference(self, version: str) -> tuple[Any, list[str]]:
        """What a save without faults leaves."""
        self.prepare(None)
        status, done = self.run(version)
        if status != RETURNED:
            raise SystemExit(f"the save fails without a fault: {status} {done}")
        shutil.copytree(self.folder, self.pristine / version, symlinks=True)
        return self.state(), self.names()

    def names(self) -> list[str]:
        if hasattr(self.module, "listing"):
            return sorted(self.module.listing(self.folder))
        pattern = getattr(self.module, "normalise", str)
        return sorted(pattern(str(p.relative_to(self.folder))) for p in self.folder.rglob("*"))

    def case(self, before: str | None, n: int, kind: str) -> bool:
        """One fault; False when the save has fewer calls than n."""
        self.prepare(before)
        status, done = self.run("new", n, kind)
        fired = status == -signal.SIGKILL or bool(done.get("fired"))
        where = f"{kind} at call {n} {done.get('fired', '')} over {before}: "

        def check(fine: bool, what: str) -> None:
            if not fine:
                self.violations.append(f"{where}{what} (status {status}, {done.get('error', '')})")

        check(status in (RETURNED, RAISED, -signal.SIGKILL), "an unexpected end")
        state = self.state()
        states = [self.old if before else self.none, self.new]
        if self.gap and status == -signal.SIGKILL:
            states.append(None)
        check(state in states, f"neither the old nor the new state: {state!r:.200}")
        if status == RETURNED:
            check(state == self.new, "it returned, and the state is not the new one")
            check(self.names() == self.new_names or done["fired"] in REMOVING, f"left {self.names()}")
        elif status == RAISED:
            left = set(self.names()) - set(self.new_names)
            if before:
                # Files of the old state may stay: with a failed fsync it may come back.
                left -= {str(p.relative_to(self.pristine / "old")) for p in (self.pristine / "old").rglob("*")}
                left -= set(self.old_names)
            check(not left or done["fired"] in REMOVING, f"left {left}")
            check(kind not in RETRIED, "it was not tried again")
        status, done = self.run("new")
        check(status == RETURNED, f"the next save fails: {done}")
        check(self.state() == self.new, "the next save is not the new state")
        check(self.names() == self.new_names, f"left after the next save: {self.names()}")
        self.cases[kind] += fired
        return fired

    def matrix(self, kinds: list[str]) -> None:
        shutil.rmtree(self.pristine, ignore_errors=True)
        self.prepare(None)
        self.none = self.state()
        self.old, self.old_names = self.reference("old")
        self.new, self.new_names = self.reference("new")
        if self.new in (self.old, self.none) or self.old == self.none:
            raise SystemExit("old, new and none must differ")
        for kind in kinds:
            for before in getattr(self.module, "OVER", ("old", None)):
                n = 1
                while self.case(before, n, kind):
                    n += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("script")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--lacking", default="")
    parser.add_argument("--gap", action="store_true", help="nothing at all is a state that a kill may leave")
    parser.add_argument("--child", nargs=5)
    args = parser.parse_args()
    if args.child:
        version, n, kind, lacking, report = args.child
        driver = Driver(args.script, args.folder.resolve(), int(lacking))
        os._exit(driver.child(version, int(n), kind, int(report)))
    lacking = sum(LACKING[name] for name in args.lacking.split(",") if name)
    driver = Driver(args.script, args.folder.resolve(), lacking)
    driver.gap = args.gap
    driver.matrix(args.kinds.split(","))
    print(json.dumps({"cases": driver.cases, "violations": driver.violations}))


if __name__ == "__main__":
    main()
