"""The machine's own limit: the file's bytes into memory and nothing else."""

from pathlib import Path

from benchmarks import roofline
from benchmarks.contenders import Unavailable

label = "machine limit"


def memory(nbytes: int, fresh: int) -> roofline.Bytes | None:
    """Room for a file, touched before the clock starts; None where getting it is part of the work."""
    if fresh:
        return None
    into = roofline.arena(roofline.padded(nbytes))
    into[:] = 1
    return into


def move(path: str, into: roofline.Bytes | None, *, threads: int = 1, direct: int = 0) -> roofline.Bytes:
    nbytes = Path(path).stat().st_size
    if into is None:
        into = roofline.arena(roofline.padded(nbytes))
    try:
        roofline.read(Path(path), into, threads=threads, direct=bool(direct))
    except OSError as error:
        if direct:
            raise Unavailable(f"no O_DIRECT on this file system: {error}") from error
        raise
    return into[:nbytes]


def store(path: Path, memory: roofline.Bytes, *, threads: int = 1, direct: int = 0) -> None:
    try:
        roofline.write(path, memory, threads=threads, direct=bool(direct))
    except OSError as error:
        if direct:
            raise Unavailable(f"no O_DIRECT on this file system: {error}") from error
        raise
