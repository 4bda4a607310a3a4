"""From an opened checkpoint into a live model: match, check, move, hand over.

tree → LAYOUTS[layout].match → check            nothing has been touched so far
payload of objects with code of their own → their code, undone if anything raises
all other payload → into live memory, or arrays → backends.put
what remains (``after``), assets
"""

from __future__ import annotations

import importlib
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kio import dtypes
from kio.checkpoint import Checkpoint
from kio.errors import FormatError, MatchError, UnsupportedError, shown
from kio.limits import Limits
from kio.mapping import LAYOUTS
from kio.mapping.plan import KERAS, SKIP_MISMATCH, Converted, Plan, Skipped
from kio.mapping.selection import nearest
from kio.mapping.tree import Leaf
from kio.models.live import custom_layers, unbuilt
from kio.models.report import LoadReport as LoadReport
from kio.models.store import assets_read
from kio.raw import memory, transfer
from kio.raw.tensor import Tensor

Array = npt.NDArray[Any]
Pair = tuple[Tensor, Leaf]
Rename = Callable[[str], str] | Mapping[str, str] | None

# What multi-backend Keras ran on; only Theano convolves, all others correlate.
_BACKENDS = ("theano", "tensorflow", "cntk")

# Arrays that wait to be handed over while the values that they replace are still alive: bytes,
# and how many, as each small one takes a kilobyte of objects of its backend.
_BATCH = 48 << 20
_BATCH_ARRAYS = 2_000
# Names that a warning lists.
_LISTED = 5
# Bytes read at a time of what is computed from: the variables take as much again, and steps
# on the way may.
_COMPUTED = 12 << 20


def plan(
    model: Any,
    checkpoint: Checkpoint,
    *,
    skip_mismatch: bool = False,
    by_name: bool = False,
    objects_to_skip: Iterable[Any] | None = None,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    rename: Rename = None,
    partial: bool = False,
    original_backend: str | None = None,
    whole: bool = False,
) -> Plan:
    """What ``load_weights`` would load, and from where; nothing is read, nothing refused.

    Args:
        model: A live Keras model.
        checkpoint: An opened checkpoint.
        skip_mismatch: The plan lists misfits either way; layers of the file may stay unused.
        by_name, objects_to_skip, include, exclude, rename, partial, original_backend: As in ``kio.load_weights``.
        whole: The model was made for this file: what ``load_weights`` leaves alone counts, too.

    Raises:
        MatchError: for a pattern, a key of ``rename`` or an object to skip that matches nothing.
    """
    from kio.models.live import optimizer_order, walk

    if checkpoint.layout not in LAYOUTS:
        raise UnsupportedError(
            f"layout: expected one of {', '.join(LAYOUTS)}, found {checkpoint.layout}", source=checkpoint.name
        )
    legacy = checkpoint.layout == "h5_layers"
    if original_backend is not None:
        _check_backend(original_backend, legacy)
    layout = importlib.import_module(f"kio.mapping.{checkpoint.layout}")
    skipped = list(objects_to_skip or ())
    tree = walk.tree(model, skipped)
    left = [node.name or node.cls for node in tree.nodes if node.skip]
    if left and checkpoint.layout == "flat":
        # Where names tell the order alone, what is left alone has its place in it.
        kept = {id(node.handle) for node in tree.nodes if not node.skip}
        tree = walk.tree(model)
        tree.apart = frozenset(node.index for node in tree.nodes if id(node.handle) not in kept)
    if legacy:
        optimizer_order.rename(tree)
    unknown = checkpoint.layout == "keras_paths" and optimizer_order.rekey(tree, _version(checkpoint.metadata))
    made: Plan = layout.match(
        checkpoint,
        tree,
        include=_patterns(include),
        exclude=_patterns(exclude),
        rename=rename,
        by_name=by_name,
        part=skip_mismatch or partial,
        whole=whole,
        **({"original_backend": original_backend} if legacy else {}),
    )
    made.skipped += [Skipped(name, "one of objects_to_skip", asked=True) for name in left]
    if by_name and made.ambiguous is None and not (made.pairs or made.converted or made.customs or made.mismatched):
        wanted = [skip.what for skip in made.skipped if not skip.asked]
        if wanted and not made.missing:
            made.ambiguous = (
                f"by_name: expected at least one layer of the model in the file, found none of {shown(wanted[0])} … "
                f"({shown(checkpoint.name)}); {nearest(wanted[0], checkpoint)}"
            )
    if unknown:
        made.notes.append(
            "  The optimizer keeps averages and sums of gradients, whose order changed in Keras 3.10; the file does "
            "not say who wrote it, and is read as one of this Keras."
        )
    return made


def _check_backend(name: str, legacy: bool) -> None:
    if not legacy:
        raise MatchError("original_backend: expected a legacy HDF5 file, found one whose kernels no backend turns")
    if name not in _BACKENDS:
        raise MatchError(f"original_backend: expected one of {', '.join(_BACKENDS)}, found {shown(str(name))}")


def _version(metadata: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The writer's version as numbers, where the file says it and it was a Keras 3."""
    numbers = re.match(r"3\.(\d{1,4})", str(metadata.get("keras_version") or ""))
    return (3, int(numbers[1])) if numbers else None


def _patterns(given: str | Iterable[str] | None) -> str | Sequence[str] | None:
    return given if given is None or isinstance(given, str) else list(given)


def load_weights(
    model: Any,
    checkpoint: Checkpoint,
    *,
    skip_mismatch: bool = False,
    by_name: bool = False,
    objects_to_skip: Iterable[Any] | None = None,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    rename: Rename = None,
    partial: bool = False,
    original_backend: str | None = None,
    verify: bool | None = None,
    threads: int | None = None,
    fresh: bool = False,
    limits: Limits | None = None,
) -> LoadReport:
    """Fill a live model from an opened checkpoint.

    Args:
        limits: On what is loaded beside the weights; None for those that the checkpoint was opened under.
        fresh: The model was made for this load and is thrown away if it fails: its values
            need not be kept, and its assets are loaded, too.
        others: As in ``kio.load_weights``.

    Returns:
        The report.

    Raises:
        MatchError, FormatError, OSError: as ``kio.load_weights``.

    Memory: 64 MiB; or two to three times the largest variable that is computed (see ``h5_convert``), and
    the tensors of objects with code of their own.
    """
    began = time.perf_counter()
    if not fresh:
        unbuilt.refuse_live(model)
    made = plan(
        model,
        checkpoint,
        skip_mismatch=skip_mismatch,
        by_name=by_name,
        objects_to_skip=objects_to_skip,
        include=include,
        exclude=exclude,
        rename=rename,
        partial=partial,
        original_backend=original_backend,
        whole=fresh,
    )
    if fresh:
        unbuilt.check(model, checkpoint, made)
    made.check(SKIP_MISMATCH if skip_mismatch else KERAS)
    # Before anything changes: warnings may be errors.
    _announce(made)
    Mover(made, verify, threads, fresh=fresh, lenient=skip_mismatch).run()
    if fresh:
        assets_read.load(checkpoint.assets, made.assets, limits or checkpoint.limits)
    report = LoadReport.of(made, time.perf_counter() - began)
    _warn(report, skip_mismatch)
    return report


def load_model(
    checkpoint: Checkpoint,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    original_backend: str | None = None,
    verify: bool | None = None,
    threads: int | None = None,
    limits: Limits | None = None,
) -> Any:
    """Build the model of a checkpoint and fill it.

    Args:
        checkpoint: An opened checkpoint with a configuration.
        limits: On the configuration, the model and its assets; None for those that the checkpoint was opened under.
        others: As in ``kio.load_model``.

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

    limits = limits or checkpoint.limits

    def fill(model: Any) -> None:
        load_weights(
            model,
            checkpoint,
            objects_to_skip=_untold(model, checkpoint, limits),
            original_backend=original_backend,
            verify=verify,
            threads=threads,
            fresh=True,
            limits=limits,
        )

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
        verify, threads: As for ``transfer.read``.
        fresh: As for ``load_weights``.
        lenient: Objects whose own code raises are left as they were.
    """

    def __init__(self, plan: Plan, verify: bool | None, threads: int | None, *, fresh: bool, lenient: bool) -> None:
        self.plan, self.verify, self.threads = plan, verify, threads
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
        self.batches = [staged] if self.fresh else list(_batches(staged))

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
            much = len(batch) == _BATCH_ARRAYS or sum(t.nbytes for t, _ in batch) >= _BATCH // 2
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


def _batches(pairs: list[Pair]) -> Iterable[list[Pair]]:
    """Pairs in order, about ``_BATCH`` bytes and at most ``_BATCH_ARRAYS`` at a time."""
    batch: list[Pair] = []
    held = 0
    for pair in pairs:
        if batch and (held + pair[0].nbytes > _BATCH or len(batch) == _BATCH_ARRAYS):
            yield batch
            batch, held = [], 0
        batch.append(pair)
        held += pair[0].nbytes
    if batch:
        yield batch


def _typed(array: Array, stored: str, wanted: str = "") -> Array:
    """Raw bytes as the type that they must be: HDF5 had no names for the small floats."""
    if stored == "opaque2":
        return array.view(dtypes.numpy_dtype("bfloat16"))
    if stored == "opaque1" and wanted.startswith("float8"):
        return array.view(dtypes.numpy_dtype(wanted))
    return array


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


def _warn(report: LoadReport, skip_mismatch: bool) -> None:
    """Warn of what was left as it was."""
    if skip_mismatch and (report.missing or report.mismatched or _own_code(report.plan.skipped)):
        warnings.warn(f"Objects that do not fit were left as they were: {', '.join(report.left()[:10])}", stacklevel=4)


def _own_code(skipped: list[Skipped]) -> list[Skipped]:
    return [s for s in skipped if not s.asked and not s.what.startswith("optimizer ")]
