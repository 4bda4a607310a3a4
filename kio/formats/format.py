"""Format: one kind of checkpoint that a user can name, and what it can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from kio.checkpoint import Checkpoint
from kio.contents import Contents
from kio.formats.probe import Probe
from kio.formats.target import Options, Target

Held = Literal["weights", "model", "metadata"]
Written = Literal["file", "folder", "group"]


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of checkpoint.  What is said of it here is said nowhere else.

    Attributes:
        name: Of the module, of the entry in ORDER, and in ``Checkpoint.format``.
        claims: Whether an input that the probe has looked at is of this kind.  Never raises.
        open: Reads the metadata of an input that was claimed.
        create: Writes contents and returns how many bytes; None where kio only reads.  What
            is wrong with the contents it finds before it opens the target.
        suffixes: What a path ends in that is written in this format, the usual one first.
        layout: Layout of the names that are written into it.
        holds: What one can be: ``"weights"`` alone; a ``"model"``, with configuration, metadata and assets.  Beside
            weights it may have a place for ``"metadata"``: text by any key.
        writes: What a save makes: one ``"file"``; a ``"folder"``, where the user asks for it; a ``"group"`` of files,
            of which the path is the head.
        widens: It has no type for bfloat16 and float8, which are written as float32.
    """

    name: str
    claims: Callable[[Probe], bool]
    open: Callable[[Probe], Checkpoint]
    create: Callable[[Target, Contents, Options], int] | None = None
    suffixes: tuple[str, ...] = ()
    layout: str = "flat"
    holds: tuple[Held, ...] = ()
    writes: tuple[Written, ...] = ()
    widens: bool = False
