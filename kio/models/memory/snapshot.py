"""A snapshot: the contents of a save as they are now, whatever training does next.

+------------+-------------------------------------------------------------------------+
| backend    | values of variables                                                     |
+============+=========================================================================+
| jax, CPU   | the arrays' own buffers: jax never writes to them, and does not reuse   |
|            | one that is donated while it is referred to; nothing is copied          |
| jax, else  | fetched, all transfers at a time                                        |
| others     | copied once, into an arena that is kept for the next snapshot           |
+------------+-------------------------------------------------------------------------+

Configuration, names, assets, and what objects with code of their own stored, are the
save's own already (``save.contents``).
"""

from __future__ import annotations

import numpy as np

from kio import dtypes
from kio.contents import Contents, Value, little_endian
from kio.models.memory import backends
from kio.raw.arena import Arena, copy
from kio.raw.transfer_out import Lazy


def prepare() -> None:
    """Do now what the first snapshot would have to do first."""
    backends.current().lasting()


def take(contents: Contents, arena: Arena) -> None:
    """Let the contents refer to nothing that changes.

    Args:
        contents: Of a live model; their values are replaced.
        arena: What is copied goes there, and must stay until the save is done.

    Memory: what is copied or fetched; of jax on the CPU nothing.
    """
    trusted = backends.current().lasting()
    moving = [value for value in contents.tensors.values() if not (value.lasting and trusted)]
    fetched = [value for value in moving if isinstance(value.data, Lazy)]
    for value in fetched:
        begin = getattr(_maker(value), "begin", None)
        if begin is not None:
            begin()
    here = [(value, value.data) for value in moving if isinstance(value.data, np.ndarray)]
    fresh = [value for value in fetched if getattr(_maker(value), "fresh", False)]
    others = [value for value in fetched if not getattr(_maker(value), "fresh", False)]
    copied = [*(value for value, _ in here), *others]
    places = arena.places([value.nbytes for value in copied])
    copy(places[: len(here)], [array for _, array in here])
    for value, place in zip(others, places[len(here) :], strict=True):
        copy([place], [little_endian(value.array())])
    for value, place in zip(copied, places, strict=True):
        value.data = place.view(dtypes.numpy_dtype(value.dtype_name)).reshape(value.shape)
        value.lasting = True
    for value in fresh:
        value.data = little_endian(value.array())
        value.lasting = True


def _maker(value: Value) -> object:
    return value.data.make if isinstance(value.data, Lazy) else None
