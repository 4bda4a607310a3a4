"""What the fuzzers that mutate small inputs share: their command line, their loop, and where a finding goes."""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path


def main(
    about: str,
    seeds: Sequence[bytes],
    mutated: Callable[[bytes, random.Random], bytes],
    check: Callable[[bytes], bool],
    regressions: Path,
    suffix: str,
) -> int:
    """Mutate seeds for a while.

    Args:
        about: What the command does, for ``--help``.
        seeds: Inputs that are taken.
        mutated: Makes a changed copy of one.
        check: Whether an input is taken; raises if that is a bug.
        regressions: Folder that an input goes to which is one; its name is the target's.
        suffix: Of such a file.

    Returns:
        0 if there was no finding, else 1.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dice, end, runs, taken = random.Random(given.seed), time.monotonic() + given.seconds, 0, 0
    assert all(check(data) for data in seeds), "a seed is refused"
    while time.monotonic() < end:
        for _ in range(500):
            data = mutated(dice.choice(seeds), dice)
            runs += 1
            try:
                taken += check(data)
            except Exception:
                traceback.print_exc()
                regressions.mkdir(parents=True, exist_ok=True)
                name = regressions / f"{hashlib.sha256(data).hexdigest()[:16]}{suffix}"
                name.write_bytes(data)
                print(f"seed {given.seed}, execution {runs}: {name}", file=sys.stderr)
                return 1
    refused = runs - taken
    print(f"{regressions.name}: {runs} executions, {taken} taken, {refused} refused, seed {given.seed}, no finding")
    return 0
