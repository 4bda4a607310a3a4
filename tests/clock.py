"""How long a test may work: in CPU time, which another process on the machine hardly changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def worked_less_than(seconds: float) -> Iterator[None]:
    """Fail if the block took as much CPU time, of all threads of this process.

    Where a block waits rather than works (for a signal, a lock, another process), a wall clock and a bound
    of 8 s or more are right: only a test that hangs is to fail.

    Args:
        seconds: The bound.
    """
    began = time.process_time()
    yield
    worked = time.process_time() - began
    assert worked < seconds, f"{worked:.2f} s of CPU time, expected less than {seconds} s"
