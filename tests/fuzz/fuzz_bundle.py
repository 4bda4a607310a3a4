"""Fuzz TensorFlow checkpoints: ``python -m tests.fuzz.fuzz_bundle --seconds 60``.

Indexes of tensor bundles and tables of version 1 are damaged as ``fuzz_sstable`` does it, most of them sealed again.
What kio takes is read whole: nothing but a FormatError may come of it, in bounded memory.  Run it on a build with
``KIO_BUILD=asan``.  An input that fails is written to ``regressions/bundle/`` and from then on replayed by pytest.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from kio.containers import bundle, saved_slices
from kio.errors import FormatError
from kio.limits import Limits
from kio.raw import transfer
from kio.raw.source import Source
from tests.containers.bundles import FLOAT, INT64, VARIANT, Draft, entry
from tests.fuzz import mutating
from tests.fuzz.fuzz_sstable import mutated

REGRESSIONS = Path(__file__).parent / "regressions" / "bundle"
CORPUS = Path(__file__).parents[1] / "corpus" / "tf_checkpoint"
LIMITS = Limits(name_bytes=500, tensor_bytes=1 << 22, unbacked_bytes=1 << 16)


def draft() -> Draft:
    """Every kind of entry."""
    made = Draft()
    made.add("a", FLOAT, np.arange(12.0, dtype="f4").reshape(3, 4))
    made.add("b/c", INT64, np.arange(5))
    made.add_strings("s", [b"one", b"", b"three"])
    made.add_slices("x", FLOAT, np.ones((6, 4), "f4"), [[(0, 2), (0, -1)], [(2, 4), (0, 3)], [(2, 4), (3, 1)]])
    made.entries[b"v"] = entry(VARIANT, (), made.put(b"opaque"), 7)
    return made


MADE = draft()
SHARD = bytes(MADE.shard)
SEEDS = [MADE.index(), (CORPUS / "first-2.21" / "model.ckpt-5").read_bytes()]


def check(data: bytes) -> bool:
    """Whether kio takes an input, and reads all of it.

    Raises:
        AssertionError, or anything but FormatError: a bug.
    """
    source = Source.of_bytes(data, "fuzz")
    try:
        if saved_slices.claims(source, LIMITS):
            found = saved_slices.open([source], LIMITS)
        else:
            found = bundle.open(source, lambda *_: Source.of_bytes(SHARD, "shard"), LIMITS)
        arrays = transfer.read([tensor for tensor in found.values() if tensor.problem is None])
    except FormatError as error:
        text = str(error)
        assert text.isprintable() and len(text) < 2000, "message"
        return False
    assert sum(array.nbytes for array in arrays) < 1 << 26, "memory"
    return True


if __name__ == "__main__":
    sys.exit(mutating.main(__doc__.splitlines()[0], SEEDS, mutated, check, REGRESSIONS, ".index"))
