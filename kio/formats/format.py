"""Format: one kind of checkpoint that a user can name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kio.checkpoint import Checkpoint
from kio.contents import Contents
from kio.formats.probe import Probe
from kio.formats.target import Options, Target


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of checkpoint.

    Attributes:
        name: Of the module, of the entry in ORDER, and in ``Checkpoint.format``.
        claims: Whether an input that the probe has looked at is of this kind.  Never raises.
        open: Reads the metadata of an input that was claimed.
        create: Writes contents and returns how many bytes; None where kio only reads.  What
            is wrong with the contents it finds before it opens the target.
    """

    name: str
    claims: Callable[[Probe], bool]
    open: Callable[[Probe], Checkpoint]
    create: Callable[[Target, Contents, Options], int] | None = None
