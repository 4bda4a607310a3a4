"""From an opened checkpoint into a live model: match, check, move, hand over.

tree → mapping.match → check                    nothing has been touched so far
payload of objects with code of their own → their code, undone if anything raises
all other payload → into live memory, or arrays → backends.put
what remains (``after``), assets
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kio import dtypes, mapping
from kio.checkpoint import Checkpoint
from kio.errors import FormatError, shown
from kio.limits import Limits
from kio.mapping.plan import KERAS, Converted, Plan, Policy, Skipped
from kio.mapping.selection import EVERYTHING, Selection
from kio.mapping.tree import Leaf
from kio.models.live import custom_layers, unbuilt
from kio.models.report import LoadReport as LoadReport
from kio.models.store import assets_read
from kio.raw import memory, transfer
from kio.raw.reading import AS_IT_IS, Reading
from kio.raw.tensor import Tensor

Array = npt.NDArray[Any]
Pair = tuple[Tensor, Leaf]

# Arrays that wait to be handed over while the values that they replace are still alive: each small
# one takes a kilobyte of objects of its backend.
_BATCH_ARRAYS = 2_000
# Names that a warning lists.
_LISTED = 5
# Bytes read at a time of what is computed from: the variables take as much again, and steps
# on the way may.
_COMPUTED = 12 << 20


def plan(model: Any, checkpoint: Checkpoint, selection: Selection = EVERYTHING) -> Plan:
    """What ``load_weights`` would load, and from where; nothing is read, nothing refused.

    Args:
        model: A live Keras model.
        checkpoint: An opened checkpoint.
        selection: What of the model is wanted.

    Raises:
        MatchError: for a pattern, a key of ``rename`` or an object to skip that matches nothing.
    """
    from kio.models.live import walk

    return mapping.match(checkpoint, walk.tree(model, selection.skip), selection)


def load_weights(
    model: Any,
    checkpoint: Checkpoint,
    selection: Selection = EVERYTHING,
    reading: Reading = AS_IT_IS,
    policy: Policy = KERAS,
) -> LoadReport:
    """Fill a live model from an opened checkpoint.

    Args:
        model: Built, or made of the checkpoint's own configuration (``selection.whole``).
        checkpoint: An opened checkpoint.
        selection: What of the model is wanted.
        reading: How to read; its limits are those on what is loaded beside the weights.
        policy: What may remain unmatched.

    Returns:
        The report.

    Raises:
        MatchError, FormatError, OSError: as ``kio.load_weights``.

    Memory: 64 MiB; or two to three times the largest variable that is computed (see ``h5_convert``), and
    the tensors of objects with code of their own.
    """
    began = time.perf_counter()
    if not selection.whole:
        unbuilt.refuse_live(model)
    made = plan(model, checkpoint, selection)
    if selection.whole:
        unbuilt.check(model, checkpoint, made)
    made.check(policy)
    # Before anything changes: warnings may be errors.
    _announce(made)
    Mover(made, reading, fresh=selection.whole, lenient=policy.misfits).run()
    if selection.whole:
        assets_read.load(checkpoint.assets, made.assets, reading.limits or checkpoint.limits)
    report = LoadReport.of(made, time.perf_counter() - began)
    if policy.misfits:
        _warn(report)
    return report


def load_model(
    checkpoint: Checkpoint,
    selection: Selection = EVERYTHING,
    reading: Reading = AS_IT_IS,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Build the model of a checkpoint and fill it.

    Args:
        checkpoint: An opened checkpoint with a configuration.
        selection: What of the model is wanted.
        reading: How to read; its limits are those on the configuration, the model and its assets, too.
        custom_objects, compile, safe_mode: As in ``kio.load_model``.

    Returns:
        The model.

    Raises:
        FormatError: if the checkpoint has weights only.
        UnsafeError, MatchError, FormatError, OSError: as ``kio.load_model``.
    """
    from kio.models.builder import deferred
    from kio.models.eras.upgrade import Era

    if checkpoint.config is None:
        raise FormatError(
            "model: expected a configuration, found weights only",
            source=checkpoint.name,
            hint="build the model in code and use kio.load_weights",
        )

    limits = reading.limits or checkpoint.limits

    def fill(model: Any) -> None:
        skip = (*selection.skip, *_untold(model, checkpoint, limits))
        load_weights(model, checkpoint, replace(selection, whole=True, skip=skip), reading)

    return deferred.load_model(
        checkpoint.config,
        fill,
        training=checkpoint.metadata.get("training_config"),
        custom_objects=custom_objects,
        compile=compile,
        safe_mode=safe_mode,
        era=Era.of(checkpoint.metadata),
        nbytes_stored=sum(t.nbytes for t in checkpoint.values()),
        limits=limits,
    )


def _untold(model: Any, checkpoint: Checkpoint, limits: Limits) -> list[Any]:
    """The optimizer, if it is only the default of ``compile`` and the file does not tell whose state it holds.

    The state of any optimizer with one slot a weight would fit RMSprop, and mean something else.
    """
    import keras

    from kio.models.builder.config_text import parse_config
    from kio.models.eras.upgrade import training

    optimizer = getattr(model, "optimizer", None)
    inner = getattr(optimizer, "inner_optimizer", None)  # of a mixed policy's loss scaling
    default = inner or optimizer
    own = getattr(type(model), "compile_from_config", None) is not keras.Model.compile_from_config
    if checkpoint.layout != "keras_paths" or own or type(default) is not keras.optimizers.RMSprop:
        return []
    if checkpoint.config is None:
        return []
    if not training.forgotten(parse_config(checkpoint.config, limits).get("compile_config")):
        return []
    name = checkpoint.names_of.get("optimizer/inner_optimizer/vars" if inner else "optimizer/vars")
    same = name is not None and re.fullmatch(r"rm_?sprop(_\d+)?", name) is not None
    state = "its state" if same else f"the state of {shown(name)}" if name else "the state of an unknown optimizer"
    warnings.warn(
        "The file does not say which optimizer the model was compiled with: Keras forgets it when it saves a model "
        f"as .h5 before. As in Keras, the model is compiled with RMSprop and its defaults; {state} is "
        f"{'loaded' if same else 'left alone'}.",
        stacklevel=6,
    )
    return [] if same else [optimizer]


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


def _announce(plan: Plan) -> None:
    """Warn of what will be left out, may be read wrongly, or cannot be kept by the backend."""
    from kio.models.memory import backends

    for doubt in plan.doubts:
        warnings.warn(doubt, stacklevel=4)
    unused = [] if plan.part else plan.unused()
    if unused:
        more = f" and {len(unused) - _LISTED} more" if len(unused) > _LISTED else ""
        warnings.warn(
            f"The model has no variables for {len(unused)} tensors of the file, which were left unused: "
            f"{', '.join(map(shown, unused[:_LISTED]))}{more}; partial=True says that this is meant.",
            stacklevel=4,
        )
    for skipped in plan.skipped:
        if skipped.what.startswith("optimizer "):
            warnings.warn(f"Skipping variable loading for {skipped.what}: {skipped.why}", stacklevel=4)
    targets = [leaf.handle for _, leaf in plan.pairs] + [each.leaf.handle for each in plan.converted]
    lost = backends.narrowed(targets)
    if lost:
        warnings.warn(lost, stacklevel=4)


def _warn(report: LoadReport) -> None:
    """Warn of what was left as it was."""
    if report.missing or report.mismatched or _own_code(report.plan.skipped):
        warnings.warn(f"Objects that do not fit were left as they were: {', '.join(report.left()[:10])}", stacklevel=4)


def _own_code(skipped: list[Skipped]) -> list[Skipped]:
    return [s for s in skipped if not s.asked and not s.what.startswith("optimizer ")]
