"""The public verbs that read.  Each is a few lines: open, match, move.  ``writing`` has the others."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kio import dtypes
from kio.checkpoint import Checkpoint
from kio.errors import CorruptError, FormatError
from kio.formats import open_checkpoint, opened
from kio.limits import DEFAULT, Limits
from kio.optional import needed
from kio.raw import codecs, pending, transfer
from kio.raw.tensor import Tensor
from kio.reports import DiffReport, TensorDiff, VerifyReport

# What models alone need is imported where they are: files can be opened, verified and compared without.
if TYPE_CHECKING:
    from kio.mapping.plan import Plan
    from kio.models.load import LoadReport

Source = Any  # path, os.PathLike, bytes, open binary file, h5py.File or Group, Checkpoint


def open(source: Source, *, mmap: bool = False, limits: Limits | None = None) -> Checkpoint:
    """Open a checkpoint or model file by its content, whatever its name.

    Args:
        source: A path, ``os.PathLike``, bytes, an open binary file, or an ``h5py.File``
            or ``Group``.
        mmap: Map the file, so that ``np.asarray(tensor)`` is a read-only view without a
            copy.  Only for local files that nobody truncates meanwhile.
        limits: Caps on what an untrusted file may ask for; None for the defaults.  What is made of the checkpoint
            later keeps to them, too.

    Returns:
        A ``Checkpoint``: ``Mapping[str, Tensor]`` with ``config``, ``metadata``, ``assets``.

    Raises:
        UnknownFormatError: if no format claims the content.
        FormatError: if it is damaged, or asks for more than ``limits``.
        OSError: as the system reports it.

    Reads: structure only, no payload.  Cost: about a microsecond a tensor.
    """
    return open_checkpoint(source, limits or DEFAULT, mmap=mmap)


def load_weights(
    model: Any,
    filepath: Source,
    skip_mismatch: bool = False,
    *,
    by_name: bool = False,
    objects_to_skip: Iterable[Any] | None = None,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    rename: Callable[[str], str] | Mapping[str, str] | None = None,
    partial: bool = False,
    original_backend: str | None = None,
    verify: bool = True,
    threads: int | None = None,
    limits: Limits | None = None,
) -> LoadReport:
    """Fill a built Keras model from a file, as ``model.load_weights`` does.

    Every misfit is found before the first variable changes; a failed load leaves the model as it was.

    Args:
        model: A built ``keras.Model``.
        filepath: As for ``kio.open``.
        skip_mismatch: Leave out objects whose variables do not fit, and report them.
        by_name: Match layers by name instead of by path or order (legacy ``.h5``, ``.weights.h5`` of Keras 3.6 and
            later), and take all names at their word.  Without it, names that Keras numbers by itself (``dense_1``)
            are no evidence: another session numbers otherwise.
        objects_to_skip: Layers (or other saveables) to leave alone; each must be part of the model.
        include, exclude: Globs over variable paths (``"encoder/*"``): load only these, or all but these.  Each must
            match a variable; what is left out counts as skipped.
        rename: Maps a key of the model to the key in the file: names of layers for legacy ``.h5``, else paths.  Each
            key of a mapping must match something.  A function may leave every key as it is.
        partial: The model takes only a part of the file: layers of a legacy or flat file may stay unused, and nothing
            warns of what does.  Every variable of the model must be filled nevertheless.
        original_backend: What a legacy file was written on (``"theano"``, ``"tensorflow"``, ``"cntk"``), whatever
            it says itself: Theano's kernels of convolutions are turned.  None: its own word or its names count.
        verify: Check the checksums of all that is read, or of the archive members that it is in;
            False checks those that are part of a chunk's codecs only.
        threads: Threads that read; None for a good number.
        limits: As for ``kio.open``.

    Returns:
        A ``LoadReport``.

    Raises:
        MatchError: if file and model do not agree, if two readings fit, or if something that is named here matches
            nothing; says what is nearest.
        FormatError: if the file is damaged.  OSError: as the system reports it.

    Memory: 64 MiB beyond the model's own; more where a variable is computed from a stored form of an older Keras
    (two to three times the largest of these).
    """
    with needed("kio.load_weights"):
        from kio.mapping.plan import KERAS, SKIP_MISMATCH
        from kio.mapping.selection import Selection
        from kio.models import load
        from kio.raw.reading import Reading

    selection = Selection(
        include,
        exclude,
        rename,
        by_name=by_name,
        skip=objects_to_skip or (),
        partial=partial or skip_mismatch,
        original_backend=original_backend,
    )
    reading = Reading(verify, threads, limits)
    with opened(filepath, limits) as checkpoint:
        return load.load_weights(model, checkpoint, selection, reading, SKIP_MISMATCH if skip_mismatch else KERAS)


def load_model(
    filepath: Source,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    *,
    original_backend: str | None = None,
    verify: bool = True,
    threads: int | None = None,
    limits: Limits | None = None,
) -> Any:
    """Build the model a file describes and fill it, as ``keras.saving.load_model`` does.

    No initialiser runs for a variable that the file fills.

    Args:
        filepath: As for ``kio.open``.
        custom_objects: Classes and functions by the names the file uses for them.
        compile: Compile the model if it was compiled when saved.
        safe_mode: Refuse files that need code of their own (Lambda layers).
        original_backend, verify, threads, limits: As for ``load_weights``.

    Returns:
        A ``keras.Model``.

    Raises:
        UnsafeError: if the file needs code, under ``safe_mode``.
        MatchError, FormatError, OSError: as ``load_weights``.
    """
    from kio.mapping.selection import Selection
    from kio.models import load
    from kio.raw.reading import Reading

    selection, reading = Selection(original_backend=original_backend), Reading(verify, threads, limits)
    with needed("kio.load_model"), opened(filepath, limits) as checkpoint:
        return load.load_model(
            checkpoint, selection, reading, custom_objects=custom_objects, compile=compile, safe_mode=safe_mode
        )


def plan(
    model: Any,
    filepath: Source,
    skip_mismatch: bool = False,
    *,
    by_name: bool = False,
    objects_to_skip: Iterable[Any] | None = None,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    rename: Callable[[str], str] | Mapping[str, str] | None = None,
    partial: bool = False,
    original_backend: str | None = None,
    limits: Limits | None = None,
) -> Plan:
    """What ``load_weights`` with these arguments would load, and from where.

    Returns:
        A ``Plan`` as plain data; ``print`` shows it as a table.

    Reads: structure only, no payload.  The model is not touched.
    """
    with needed("kio.plan"):
        from kio.mapping.selection import Selection
        from kio.models import load

    selection = Selection(
        include,
        exclude,
        rename,
        by_name=by_name,
        skip=objects_to_skip or (),
        partial=partial or skip_mismatch,
        original_backend=original_backend,
    )
    with opened(filepath, limits) as checkpoint:
        return load.plan(model, checkpoint, selection).release()


def model_from_json(text: str, custom_objects: Mapping[str, Any] | None = None, *, limits: Limits | None = None) -> Any:
    """Build a model, with fresh weights, from the JSON that ``model.to_json`` wrote.

    Args:
        text: The JSON.
        custom_objects: Classes and functions by name.
        limits: Caps on the text, and on the model: None allows what this machine has memory for.

    Raises:
        UnsafeError: if it needs code from the text.
        LimitError: if the model is larger than that; nothing has been allocated.
        FormatError: if it is no such JSON.
    """
    with needed("kio.model_from_json"):
        from kio.models.builder import deferred

    return deferred.build(text, custom_objects, limits=limits)


def model_from_config(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None, *, limits: Limits | None = None
) -> Any:
    """As ``model_from_json``, from the parsed JSON."""
    with needed("kio.model_from_config"):
        from kio.models.builder import deferred

    return deferred.build(config, custom_objects, limits=limits)


def stream(
    source: Source,
    names: Iterable[str] | None = None,
    *,
    budget: int | str = "256MB",
    threads: int | None = None,
    verify: bool = False,
    limits: Limits | None = None,
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield ``(name, array)`` in the order of the file, with bounded memory.

    Args:
        source: As for ``open``.
        names: Which tensors; None for all.
        budget: Bytes of arrays held inside the stream at any time.
        threads, verify, limits: As for ``load_weights``.
    """
    with opened(source, limits) as checkpoint:
        yield from checkpoint.stream(names, budget=budget, threads=threads, verify=verify)


def verify(source: Source, *, threads: int | None = None, limits: Limits | None = None) -> VerifyReport:
    """Check structure, bounds and every checksum that the file has.

    Args:
        source: As for ``open``.

    Returns:
        A ``VerifyReport``, true if nothing is damaged.  Damage is reported, not raised; so is what
        is valid, but of a kind that kio does not read.

    Raises:
        OSError: as the system reports it.

    Reads: everything.  Memory: a few MiB a thread.
    """
    if isinstance(source, (str, bytes, os.PathLike)):
        pending.settle(os.fsdecode(source))  # what that raises is no damage of the file's
    report = VerifyReport(str(getattr(source, "name", source if isinstance(source, str) else "input")))
    try:
        with opened(source, limits) as checkpoint:
            report.source, report.format = checkpoint.name, checkpoint.format
            report.tensors = len(checkpoint)
            report.nbytes = checkpoint.nbytes
            report.checksums = _checksums(checkpoint.values())
            report.unread = checkpoint.unread
            try:
                checkpoint.verify(threads=threads)
            except FormatError as e:
                _sort_in(report, _each_problem(checkpoint, threads) or [e])
    except FormatError as e:
        _sort_in(report, [e])
    return report


def _sort_in(report: VerifyReport, found: Iterable[FormatError]) -> None:
    """What breaks the format is damage; what kio does not read, or not without other limits, is not."""
    for error in found:
        (report.problems if isinstance(error, CorruptError) else report.refused).append(str(error))


def _checksums(tensors: Iterable[Tensor]) -> tuple[str, ...]:
    kinds = set()
    for tensor in tensors:
        if tensor.source is not None and tensor.source.checked is not None:
            kinds.add("CRC-32 of the archive member")
        if tensor.problem is None and tensor.summed:
            kinds.add("CRC-32 of each tensor")
        if tensor.plain:
            continue
        for extent in tensor.extents[:1]:
            rows = [codecs.named(name) for name, _ in extent.codecs]
            kinds.update(row.checksum for row in rows if row is not None and row.checksum)
    return tuple(sorted(kinds))


def _each_problem(checkpoint: Checkpoint, threads: int | None) -> list[FormatError]:
    """All that is damaged, each once, without repeating a member's checksum per tensor."""
    found: dict[str, FormatError] = {}
    for tensor in checkpoint.values():
        if tensor.problem is not None:
            continue
        try:
            transfer.check([tensor], threads=threads, members=False)
        except FormatError as e:
            found[str(e)] = e
    regions = {
        id(t.source.checked): t
        for t in checkpoint.values()
        if t.problem is None and t.source is not None and t.source.checked is not None
    }
    for tensor in regions.values():
        try:
            transfer.check([tensor], threads=threads, members=True)
        except FormatError as e:
            found[str(e)] = e
    return list(found.values())


def diff(a: Source, b: Source, *, limits: Limits | None = None) -> DiffReport:
    """Compare two checkpoints: names, shapes, dtypes, values.

    Args:
        a, b: As for ``open``; the formats may differ.

    Returns:
        A ``DiffReport``, true if both hold the same tensors byte for byte.

    Memory: two tensors at a time.
    """
    with opened(a, limits) as first, opened(b, limits) as second:
        report = DiffReport(
            only_a=[name for name in first if name not in second],
            only_b=[name for name in second if name not in first],
        )
        for name, x in first.items():
            if name not in second:
                continue
            problem = x.problem or second[name].problem
            if problem is not None:
                report.unread[name] = problem
                continue
            found = _compare(name, x, second[name])
            if found is None:
                report.equal += 1
            else:
                report.different.append(found)
        return report


def _compare(name: str, a: Tensor, b: Tensor) -> TensorDiff | None:
    if a.dtype_name != b.dtype_name:
        return TensorDiff(name, "dtype", a.dtype_name, b.dtype_name)
    if a.shape != b.shape:
        return TensorDiff(name, "shape", str(a.shape), str(b.shape))
    x, y = transfer.read([a, b])
    if dtypes.is_text(a.dtype_name):
        count = int(np.sum(x != y))
        return TensorDiff(name, "values", nelems=count) if count else None
    # Bytes, not values: NaN equals itself here, and -0.0 is not 0.0.
    bits = f"u{a.dtype.itemsize}" if a.dtype.itemsize in (1, 2, 4, 8) else "V"
    p, q = x.reshape(-1), y.reshape(-1)
    if p.tobytes() == q.tobytes():
        return None
    if bits == "V":
        p, q = p.view("u8"), q.view("u8")
        return TensorDiff(name, "values", nelems=int((p != q).sum()), max_abs=float(np.abs(x - y).max()))
    m, n = p.view(bits), q.view(bits)
    changed = m != n
    kind = dtypes.BY_NAME[a.dtype_name].kind
    if kind == "V" or x.dtype.type is np.void:  # bfloat16 without ml_dtypes: bytes, no numbers
        return TensorDiff(name, "values", nelems=int(changed.sum()))
    with np.errstate(all="ignore"):
        gap = np.abs(p[changed].astype("f8") - q[changed].astype("f8"))
    ulp = None
    if kind == "f":
        ulp = builtins.max(
            abs(int(i) - int(j)) for i, j in zip(_ordered(m[changed]), _ordered(n[changed]), strict=True)
        )
    return TensorDiff(
        name, "values", nelems=int(changed.sum()), max_abs=float(np.nanmax(gap, initial=0.0)), max_ulp=ulp
    )


def _ordered(bits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Float bit patterns as integers in the order of the floats, so that neighbours differ by one."""
    top = np.array(1 << (8 * bits.itemsize - 1), bits.dtype)
    return np.where(bits & top, ~bits, bits | top)
