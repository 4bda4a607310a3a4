"""Every cap that kio enforces on input it does not trust.

A genuine file never comes near one of these.  A user with an unusual file
increases the field that the ``LimitError`` names: ``limits=kio.Limits(chunks=1 << 25)``.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on untrusted input; sizes in bytes, counts in items.

    Attributes:
        tensor_bytes: Decoded size of one tensor.  1 TiB.
        tensors: Number of tensors in one checkpoint.
        rank: Dimensions of a tensor.  HDF5 and NumPy stop at 32.
        expansion: Decoded over stored size of a compressed tensor or member.
            Deflate cannot exceed 1032:1.
        unbacked_bytes: Decoded size up to which ``expansion`` is not applied, so
            that a small tensor of zeros may compress as well as it likes.
        config_bytes: Size of a JSON document (config, metadata, shard map).
        config_depth: Nesting depth of a JSON document.
        config_nodes: Values in a JSON document.  Python takes up to 64 bytes for one.
        model_bytes: Variables of a model built from a configuration, optimizer included, as
            far as they are not backed by the file: 16 times its tensors are always allowed.
            Without a file, as in ``model_from_json``, the memory of the machine is the default.
        name_bytes: Length of one tensor name in UTF-8.
        attribute_bytes: Decoded size of all attributes of one object.
        members: Members of one archive.
        spool_bytes: Size of a deflated archive member that is decoded into memory.
        spool_expansion: Decoded over stored size of such a member beyond
            ``unbacked_bytes``.  Less than ``expansion``, because a member is decoded
            before its tensors are known.
        work_factor: Bytes of structure parsed, as a multiple of the file's size.
            Genuine files stay below one.
        work_bytes: Bytes of structure that may be parsed whatever the file's size.
        chunks: Stored chunks of one tensor.
        filters: Codecs applied to one chunk.
    """

    tensor_bytes: int = 1 << 40
    tensors: int = 10_000_000
    rank: int = 32
    expansion: int = 1100
    unbacked_bytes: int = 1 << 20
    config_bytes: int = 64 << 20
    config_depth: int = 128
    config_nodes: int = 1_000_000
    model_bytes: int = 1 << 30
    name_bytes: int = 1 << 16
    attribute_bytes: int = 64 << 20
    members: int = 10_000
    spool_bytes: int = 16 << 30
    spool_expansion: int = 100
    work_factor: int = 3
    work_bytes: int = 64 << 10
    chunks: int = 1 << 24
    filters: int = 8


DEFAULT = Limits()

# For what has passed the caps of its file already, and comes from another process of the same
# program: bounds and shapes are checked again, amounts are not.
SEALED = Limits(tensor_bytes=1 << 62, rank=64, expansion=1 << 62, chunks=1 << 62, filters=1 << 16)


def machine_bytes() -> int:
    """Memory that this process may hope for: the machine's, or its control group's; 1 TiB if nothing says."""
    found = 1 << 40
    with contextlib.suppress(AttributeError, OSError, ValueError):
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found = min(found, int(Path(path).read_text()))
    return found


# Items of a table that a layer of kio makes out of sizes in its configuration: connections of
# a kernel, weights of a resized axis.  No file backs them, so a line of JSON may ask for any
# number.  This many take about a second and 500 MB; a picture of 5,000 pixels a side needs less.
TABLE_ITEMS = 1 << 25

# Layers and weights that a file of Keras 0.x counts instead of naming them: each is looked for
# by its number.  No genuine model has a thousandth of it.
COUNTED_ITEMS = 1_000_000

# How often older Keras 3 may ask for one call of a layer that has all its inputs: once, but for
# configurations that hold one object in several places.  Where calls form a loop it asks for ever.
REPEATED_CALLS = 100
