"""Reading: how a user wants bytes read.  Made at the front door, passed on whole."""

from __future__ import annotations

from dataclasses import dataclass

from kio.limits import Limits


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read.

    Attributes:
        verify: True checks the checksums of all that is read, or of the archive members that it is in; False those
            that are part of a chunk's codecs only; None all but those over archive members of which less than half
            is read.
        threads: Threads that read; None for a good number.
        limits: Caps on what is not trusted; None for those that a checkpoint was opened under, else the defaults.
        budget: Bytes of arrays that wait for their variables while the values that they replace are still there.
    """

    verify: bool | None = None
    threads: int | None = None
    limits: Limits | None = None
    budget: int = 48 << 20


AS_IT_IS = Reading()
