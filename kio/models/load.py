"""From an opened checkpoint into a live model: match, check, move, hand over.

live.walk → mapping.match → check, warnings     nothing has been touched so far
mover                                           values to variables, undone if anything raises
store.assets_read → report
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kio import mapping
from kio.checkpoint import Checkpoint
from kio.errors import FormatError, shown
from kio.limits import Limits
from kio.mapping.plan import KERAS, Plan, Policy, Skipped
from kio.mapping.selection import EVERYTHING, Selection
from kio.models.live import unbuilt
from kio.models.mover import Mover
from kio.models.report import LoadReport as LoadReport
from kio.models.store import assets_read
from kio.raw.reading import AS_IT_IS, Reading

# Names that a warning lists.
_LISTED = 5


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
    from kio.models.eras.era import Era

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

    return deferred.build_and_fill(
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
