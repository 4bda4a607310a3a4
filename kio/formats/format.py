"""Format: one kind of checkpoint that a user can name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kio.checkpoint import Checkpoint
from kio.formats.probe import Probe


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of checkpoint.

    Attributes:
        name: Of the module, of the entry in ORDER, and in ``Checkpoint.format``.
        claims: Whether an input that the probe has looked at is of this kind.  Never raises.
        open: Reads the metadata of an input that was claimed.
    """

    name: str
    claims: Callable[[Probe], bool]
    open: Callable[[Probe], Checkpoint]
