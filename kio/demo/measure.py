"""Time and memory of one call, in this process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROC = Path("/proc/self")


@dataclass(slots=True)
class Side:
    """What one of the two took; seconds and bytes, one entry a run."""

    seconds: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)

    @property
    def second(self) -> float:
        return statistics.median(self.seconds)

    @property
    def peak(self) -> float | None:
        """Most memory beyond what was taken before the call; None where the system does not tell."""
        return statistics.median(self.peaks) if self.peaks else None

    def run(self, call: Callable[[], Any]) -> Any:
        """Call, and keep what it took.  What lies unused in the allocator's hands is given back before."""
        gc.collect()
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
        before = _status("VmRSS") if _reset_peak() else None
        begin = time.perf_counter()
        result = ready(call())
        self.seconds.append(time.perf_counter() - begin)
        after = _status("VmHWM")
        if before is not None and after is not None:
            self.peaks.append(max(0, after - before))
        return result


def variables(model: Any) -> list[Any]:
    """Every variable of a model and of its optimizer."""
    optimizer = getattr(model, "optimizer", None)
    return [*model.variables, *(optimizer.variables if optimizer is not None else ())]


def ready(result: Any) -> Any:
    """Wait for what a backend does behind our back, so that both sides are timed to the end."""
    for variable in variables(result) if hasattr(result, "variables") else ():
        wait = getattr(variable.value, "block_until_ready", None)
        if wait is not None:
            wait()
    return result


def _reset_peak() -> bool:
    """Set VmHWM back to the present RSS (proc(5), clear_refs); False where there is no such thing."""
    try:
        (PROC / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(key: str) -> int | None:
    try:
        lines = (PROC / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(f"{key}:")), None)
