"""Carries out a plan: values from a checkpoint to the variables of a live model.

payload of objects with code of their own → their code, undone if anything raises
all other payload → into live memory, or arrays → backends.put
what remains (``after``)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kio import dtypes
from kio.mapping.plan import Converted, Plan
from kio.mapping.tree import Leaf
from kio.models.live import custom_layers
from kio.raw import memory, transfer
from kio.raw.reading import Reading
from kio.raw.tensor import Tensor

Array = npt.NDArray[Any]
Pair = tuple[Tensor, Leaf]

# Arrays that wait to be handed over while the values that they replace are still alive: each small
# one takes a kilobyte of objects of its backend.
_BATCH_ARRAYS = 2_000
# Bytes read at a time of what is computed from: the variables take as much again, and steps
# on the way may.
_COMPUTED = 12 << 20


class Mover:
    """Carries out a plan.

    Args:
        plan: Checked.
        reading: How to read.
        fresh: The model has no values yet that need be kept.
        lenient: Objects whose own code raises are left as they were.
    """

    def __init__(self, plan: Plan, reading: Reading, *, fresh: bool, lenient: bool) -> None:
        self.plan, self.budget = plan, reading.budget
        self.verify, self.threads = reading.verify, reading.threads
        self.fresh, self.lenient = fresh, lenient

    def run(self) -> None:
        """Move everything, or raise and leave the model as it was."""
        own = [t for custom in self.plan.customs for t in custom.tensors.values()]
        if self.fresh:
            # Variables without a value must not get memory while foreign code may look at them.
            undo = self.run_customs(own)
            self.split()
        else:
            self.split()
            everything = [t for t, _ in self.plan.pairs] + own
            everything += [t for each in self.plan.converted for t in each.tensors]
            once = not self.direct and len(self.batches) < 2 and not self.plan.converted
            if not once and transfer.fragile(everything, verify=self.verify):
                # What a checksum or a codec may refuse must be known before anything changes.
                transfer.check(everything, threads=self.threads, verify=self.verify)
                self.verify = False
            undo = self.run_customs(own)
        try:
            if self.plan.customs and self.direct and not self.fresh:
                # Their code may have taken hold of values that nobody else had before.
                self.split()
            self.fill()
            self.convert()
        except BaseException:
            undo()
            raise
        for node in self.plan.finished:
            if node.after is not None:
                node.after()
        for finish in self.plan.finishing:
            finish()

    def split(self) -> None:
        """Which pairs go straight into live memory, and which become arrays first."""
        from kio.models.memory import backends

        pairs = self.plan.pairs
        same = [pair for pair in pairs if pair[0].dtype_name == pair[1].dtype]
        places: list[Any] = backends.destinations([leaf.handle for _, leaf in same])
        self.direct: list[tuple[Pair, Any]] = []
        staged = [pair for pair in pairs if pair[0].dtype_name != pair[1].dtype]
        for pair, place in zip(same, places, strict=True):
            if place is None:
                staged.append(pair)
            else:
                self.direct.append((pair, place))
        self.batches = [staged] if self.fresh else list(_batches(staged, self.budget))

    def run_customs(self, own: list[Tensor]) -> Callable[[], None]:
        """Objects with code of their own; gives back how to undo them."""
        if not self.plan.customs:
            return _nothing
        arrays = transfer.read(own, threads=self.threads, verify=self.verify)
        arrays = [_typed(array, t.dtype_name) for array, t in zip(arrays, own, strict=True)]
        undo: Callable[[], None] = _nothing
        if not self.fresh:
            undo = custom_layers.Undo([custom.node.handle for custom in self.plan.customs])
        self.plan.skipped += custom_layers.run(self.plan.customs, arrays, self.lenient, not self.fresh)
        return undo

    def fill(self) -> None:
        """The static pairs: into live memory where there is some, else as arrays in batches."""
        from kio.models.memory import backends

        if self.direct:
            transfer.read(
                [t for (t, _), _ in self.direct],
                into=[place for _, place in self.direct],
                threads=self.threads,
                verify=self.verify,
                fresh=self.fresh,
            )
            backends.settled([leaf.handle for (_, leaf), _ in self.direct])
        for batch in self.batches:
            arrays = transfer.read([t for t, _ in batch], threads=self.threads, verify=self.verify)
            arrays = [
                array if t.dtype_name == leaf.dtype else _typed(array, t.dtype_name, leaf.dtype)
                for array, (t, leaf) in zip(arrays, batch, strict=True)
            ]
            backends.put([leaf.handle for _, leaf in batch], arrays)
            much = len(batch) == _BATCH_ARRAYS or sum(t.nbytes for t, _ in batch) >= self.budget // 2
            if much and not self.fresh and arrays:
                del arrays
                memory.trim()

    def convert(self) -> None:
        """Variables whose value is computed: a few at a time, as they take memory twice."""
        batch: list[Converted] = []
        held = 0
        for each in self.plan.converted:
            nbytes = sum(t.nbytes for t in each.tensors)
            if batch and held + nbytes > _COMPUTED:
                self.compute(batch)
                batch, held = [], 0
            batch.append(each)
            held += nbytes
        if batch:
            self.compute(batch)

    def compute(self, batch: Sequence[Converted]) -> None:
        """Read, make and hand over; what was read goes as soon as it was used."""
        from kio.models.memory import backends

        stored = [t for one in batch for t in one.tensors]
        arrays = transfer.read(stored, threads=self.threads, verify=self.verify)[::-1]
        made = []
        for one in batch:
            value = one.make([_typed(arrays.pop(), t.dtype_name, one.leaf.dtype) for t in one.tensors])
            made.append(np.ascontiguousarray(value).reshape(one.leaf.shape))
            del value
        backends.put([one.leaf.handle for one in batch], made)


def _nothing() -> None:
    pass


def _batches(pairs: list[Pair], budget: int) -> Iterable[list[Pair]]:
    """Pairs in order, about ``budget`` bytes and at most ``_BATCH_ARRAYS`` at a time."""
    batch: list[Pair] = []
    held = 0
    for pair in pairs:
        if batch and (held + pair[0].nbytes > budget or len(batch) == _BATCH_ARRAYS):
            yield batch
            batch, held = [], 0
        batch.append(pair)
        held += pair[0].nbytes
    if batch:
        yield batch


def _typed(array: Array, stored: str, wanted: str = "") -> Array:
    """Raw bytes as the type that they must be: HDF5 had no names for the small floats."""
    name = dtypes.of_raw(stored, wanted)
    return array if name is None else array.view(dtypes.numpy_dtype(name))
