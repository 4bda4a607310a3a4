"""The public verbs that write.  Each is a few lines: what, where to, go."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kio import background, formats
from kio.checkpoint import Checkpoint
from kio.contents import Contents, value_of
from kio.conversion import Rename, check_dtype, contents_of
from kio.errors import UnsupportedError
from kio.formats.format import Format
from kio.formats.target import Compression, Options, Progress, Target
from kio.limits import Limits
from kio.mapping.selection import Selection
from kio.raw.arena import Arena
from kio.raw.reading import Reading
from kio.reports import SaveResult

_GIB = 1024**3
# Layouts of Keras's own formats: a model of one version is another in them.
_KERAS = ("keras_paths", "h5_layers")


def save_weights(
    model: Any,
    filepath: Any,
    overwrite: bool = True,
    max_shard_size: float | None = None,
    *,
    save_format: str | None = None,
    objects_to_skip: Iterable[Any] | None = None,
    compression: Compression = None,
    compat: str | None = None,
    durable: bool = True,
    background: bool = False,
    progress: Progress | None = None,
    engine: str | None = None,
) -> SaveResult:
    """Write the weights of a Keras model, as ``model.save_weights`` does.

    The path holds the complete old file or the complete new one at any time.  Every variable
    of the model is in the file, or nothing is written.

    Args:
        model: A built ``keras.Model``.
        filepath: A path (``.weights.h5``, ``.weights.json``, ``.safetensors``, ``.npz``; ``.h5``
            or ``.hdf5`` for legacy HDF5) or an open binary file.
        overwrite: False refuses a path that exists.
        max_shard_size: Write several files of at most so many GiB, and ``.weights.json``.
        save_format: A format's name or suffix, whatever the path's own suffix.
        objects_to_skip: Layers (or other saveables) to leave out.
        compression: ``"gzip"``, ``"zstd"``, or ``("gzip", level)``; None stores as it is.
        compat: Keras version that shall read the file, e.g. ``"3.4"``; of legacy HDF5 also
            ``"2.15"``, which stands for tf.keras 2.12 to 2.15 and for tf_keras.
        durable: False skips the fsyncs: a power failure may then lose the file, old and new.
        background: Return when the values are safe from further training and the file is
            begun; the ``SaveResult`` says when it is done.  Only one save at a time is under
            way, the next one waits for it.
        progress: Called with bytes done and their total.
        engine: ``"h5py"`` leaves HDF5 to libhdf5; None writes natively.

    Returns:
        A ``SaveResult``.

    Raises:
        MatchError: if the model has no variables yet, or one that the file has no place for.
        UnknownFormatError: for another suffix.
        FileExistsError: as ``overwrite`` says.  OSError: as the system reports it.
        Exception: what an earlier save of this path in the background ended with, if nobody
            has asked for it yet; nothing is saved then.

    Memory: one tensor, for models whose values lie in the CPU's memory; in the background
    one copy of all values, except on jax, where it is a copy of those that training
    replaces meanwhile.
    """
    from kio.models import save

    began = time.perf_counter()
    format = format_of_weights(filepath, max_shard_size, save_format)
    if max_shard_size is not None:
        filepath = _json_of(filepath)
    options = Options(
        compression=compression,
        engine=engine or "native",
        progress=progress,
        max_shard_nbytes=_nbytes_of_gib(max_shard_size),
    )
    contents = save.contents(model, layout=format.layout, objects_to_skip=objects_to_skip, compat=compat)
    return _create(filepath, contents, format, options, overwrite, durable, began, background)


def save_model(
    model: Any,
    filepath: Any,
    overwrite: bool = True,
    zipped: bool | None = None,
    *,
    include_optimizer: bool = True,
    save_format: str | None = None,
    compression: Compression = None,
    compat: str | None = None,
    durable: bool = True,
    background: bool = False,
    progress: Progress | None = None,
    engine: str | None = None,
) -> SaveResult:
    """Write a Keras model, as ``model.save`` does: configuration, weights, optimizer, assets.

    The configuration is made, and every variable accounted for, before anything is opened.

    Args:
        model: A ``keras.Model``.
        filepath: A path that ends in ``.keras``, or in ``.h5`` or ``.hdf5`` for legacy HDF5; one
            of a folder with ``zipped=False``; or an open binary file.
        overwrite: False refuses a path that exists.
        zipped: False writes a folder.
        include_optimizer: Whether to write the optimizer's state.
        save_format, compression, compat, durable, background, progress, engine: As for ``save_weights``.

    Returns:
        A ``SaveResult``.

    Raises:
        As ``save_weights``, and whatever the model's own ``get_config`` raises.
    """
    from kio.models import save

    began = time.perf_counter()
    format = format_of_model(filepath, zipped, save_format)
    options = Options(
        compression=compression,
        engine=engine or "native",
        progress=progress,
        zipped=zipped is not False,
        date=_now(),
    )
    contents = save.contents(
        model, layout=format.layout, whole=True, include_optimizer=include_optimizer, compat=compat
    )
    return _create(filepath, contents, format, options, overwrite, durable, began, background)


def write(
    path: Any,
    tensors: Mapping[str, Any],
    *,
    format: str | None = None,
    config: str | None = None,
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = True,
    compression: Compression = None,
    max_shard_size: float | None = None,
    durable: bool = True,
    progress: Progress | None = None,
    engine: str | None = None,
) -> SaveResult:
    """Write named tensors, without any framework.

    Args:
        path: A path, whose suffix says the format, or an open binary file.
        tensors: Arrays, or tensors of another checkpoint, by name.
        format: A format's name or suffix, whatever the path's own suffix.
        config: JSON text of a model's configuration, for ``.keras``.
        metadata: Text by key, for formats that have a place for it.
        overwrite, compression, max_shard_size, durable, progress, engine: As for ``save_weights``.

    Returns:
        A ``SaveResult``.

    Raises:
        UnsupportedError: for what the format cannot hold.  OSError: as the system reports it.
    """
    began = time.perf_counter()
    chosen = _format(path, format)
    contents = Contents(
        tensors={name: value_of(name, what) for name, what in tensors.items()},
        config=config,
        metadata=dict(metadata or {}),
    )
    options = Options(
        compression=compression,
        engine=engine or "native",
        progress=progress,
        max_shard_nbytes=_nbytes_of_gib(max_shard_size),
    )
    return _create(path, contents, chosen, options, overwrite, durable, began)


def convert(
    src: Any,
    dst: Any,
    *,
    format: str | None = None,
    dtype: str | None = None,
    compression: Compression = None,
    rename: Rename = None,
    overwrite: bool = True,
    zipped: bool = True,
    max_shard_size: float | None = None,
    verify: bool = True,
    durable: bool = True,
    progress: Progress | None = None,
    engine: str | None = None,
    limits: Limits | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    compat: str | None = None,
    original_backend: str | None = None,
    unsupported: str = "refuse",
) -> SaveResult:
    """Write what one file holds into another format.

    Bytes are copied as they are stored wherever they can be, and no framework is needed.  A
    format of weights alone leaves configuration and assets behind.

    A model of an older Keras that becomes one of today's, or any that goes into legacy HDF5 or
    out of it, is built, filled and saved: this takes Keras and the model's memory.  The
    ``SaveResult`` says what of ``kio.layers`` stock Keras then needs.  From one legacy HDF5 file
    into another everything is copied as it is.

    Args:
        src: As for ``kio.open``, or a ``Checkpoint``.
        dst: A path, whose suffix says the format, or an open binary file.
        format: A format's name or suffix, whatever the path's own suffix.
        dtype: ``"float16"``, ``"bfloat16"``, …: what floats become; None leaves them.  Legacy
            HDF5 has no type for bfloat16 and float8.
        rename: From names in ``src`` to names in ``dst``: a function, or a mapping of names,
            leading parts of paths or globs.
        zipped: False writes a model as a folder.
        verify: Check every checksum of ``src`` before anything is written.
        limits: As for ``kio.open``.
        custom_objects, safe_mode, original_backend: As for ``load_model``, where the model has to be built.
        compat: As for ``save_model``: the model is built, and saved for that version.
        unsupported: What becomes of tensors that kio cannot write, text among them: ``"refuse"`` raises,
            ``"skip"`` leaves them out and warns.
        compression, overwrite, max_shard_size, durable, progress, engine: As for ``save_weights``.

    Returns:
        A ``SaveResult``.

    Raises:
        UnsupportedError: for what the format cannot hold.
        UnsafeError, MatchError: as ``load_model``, where the model has to be built.
        FormatError: if ``src`` is damaged.  OSError: as the system reports it.

    Memory: one tensor where bytes must be converted, 512 KiB a thread else.
    """
    began = time.perf_counter()
    chosen = _format(dst, format) if zipped else _format_of_folders()
    options = Options(
        compression=compression,
        engine=engine or "native",
        progress=progress,
        max_shard_nbytes=_nbytes_of_gib(max_shard_size),
        zipped=zipped,
    )
    check_dtype(chosen, dtype)
    with formats.opened(src, limits) as checkpoint:
        if _takes_the_model(checkpoint, chosen, compat):
            if rename is not None:
                raise UnsupportedError("rename: expected None, as names are the model's, found one")
            from kio.models import convert

            contents = convert.contents(
                checkpoint,
                Selection(original_backend=original_backend),
                Reading(verify, limits=limits),
                layout=chosen.layout,
                whole="model" in chosen.holds,
                dtype=dtype,
                custom_objects=custom_objects,
                safe_mode=safe_mode,
                compat=compat,
            )
        else:
            if original_backend is not None:
                raise UnsupportedError(
                    f"original_backend: expected None, as bytes are copied as they are, found {original_backend!r}"
                )
            contents = contents_of(checkpoint, chosen, dtype, rename, verify, unsupported)
        return _create(dst, contents, chosen, options, overwrite, durable, began)


def _takes_the_model(checkpoint: Checkpoint, format: Format, compat: str | None) -> bool:
    """Whether names or configuration of a model mean something else in the other format."""
    from kio.models import convert

    if compat is not None:
        if format.layout not in _KERAS:
            raise UnsupportedError(f"compat: expected None, as {format.name} is no format of Keras's, found {compat!r}")
        if checkpoint.config is None:
            raise UnsupportedError(
                f"compat: expected a model's configuration to save for Keras {compat}, found weights alone",
                source=checkpoint.name,
                hint="build the model in code, load the weights, and save it with compat",
            )
        return True
    if format.layout not in _KERAS:
        return False
    if format.layout == "h5_layers":
        # Copied where it has lists of layers already, or where there is no model to make them of.
        return checkpoint.config is not None and checkpoint.layout != "h5_layers"
    return convert.is_old(checkpoint) and ("model" in format.holds or checkpoint.layout == "h5_layers")


def format_of_weights(path: Any, max_shard_size: float | None = None, save_format: str | None = None) -> Format:
    """What ``save_weights`` with these arguments would write.

    Raises:
        UnknownFormatError, UnsupportedError: for what kio does not write.
    """
    if max_shard_size is None:
        return _format(path, save_format, lambda each: "weights" in each.holds, "keras_weights")
    if not _is_path(path):
        raise UnsupportedError("target: expected a path for shards, found an open file")
    return _format(_json_of(path), save_format, lambda each: "weights" in each.holds and "group" in each.writes)


def format_of_model(path: Any, zipped: bool | None = None, save_format: str | None = None) -> Format:
    """What ``save_model`` with these arguments would write.

    Raises:
        UnknownFormatError, UnsupportedError: for what kio does not write.
        ValueError: for a folder called ``.keras``.
    """
    if zipped is not False:
        return _format(path, save_format, lambda each: "model" in each.holds, "keras_archive")
    if not _is_path(path) or os.fsdecode(path).endswith(".keras"):
        raise ValueError(f"filepath for zipped=False: expected a path without .keras, found {path}")
    _refuse_remote(os.fsdecode(path))
    return _format_of_folders()


def _format_of_folders() -> Format:
    """The format of a model that is a folder: its path says nothing."""
    return next(each for each in formats.written("model") if "folder" in each.writes)


def _is_path(what: Any) -> bool:
    return isinstance(what, (str, bytes, os.PathLike))


def _now() -> tuple[int, int, int, int, int, int]:
    """The date of an archive's members; the first that it can express for a clock that is not set."""
    now = time.localtime()
    return now[:6] if 1980 <= now.tm_year <= 2107 else (1980, 1, 1, 0, 0, 0)


def _json_of(path: Any) -> str:
    """The map of a sharded save; Keras, too, takes the name of a file without shards."""
    text = os.fsdecode(path)
    return text.removesuffix(".h5") + ".json" if text.endswith(".weights.h5") else text


def _nbytes_of_gib(gib: float | None) -> float | None:
    return None if gib is None else float(gib) * _GIB


def _refuse_remote(path: str) -> None:
    if "://" in path:
        raise UnsupportedError(f"target: expected a local path, found {path}")


def _format(
    path: Any, named: str | None, fits: Callable[[Format], bool] = lambda each: True, of_a_file: str | None = None
) -> Format:
    """The format to write.

    Args:
        path: A path, whose suffix tells, or an open file.
        named: What the user calls it, whatever the suffix.
        fits: Whether one will do.
        of_a_file: Name of the one for an open file; None: the user must name it.
    """
    found = _asked_for(path, named, fits, of_a_file)
    if not fits(found):
        known = ", ".join(each.name for each in formats.written() if fits(each))
        raise UnsupportedError(f"format to write: expected one of {known}, found {found.name}")
    return found


def _asked_for(path: Any, named: str | None, fits: Callable[[Format], bool], of_a_file: str | None) -> Format:
    if named is not None:
        return formats.format_named(named)
    if _is_path(path):
        text = os.fsdecode(path)
        _refuse_remote(text)
        return formats.format_of_path(text, fits)
    if of_a_file is None:
        raise UnsupportedError("format: expected its name for an open file, found None", hint="pass format=")
    return formats.format_named(of_a_file)


def write_contents(
    path: str,
    contents: Contents,
    *,
    durable: bool = True,
    background: bool = False,
    after: Callable[[], object] | None = None,
) -> SaveResult:
    """Write contents that are made already as Keras 3's file of weights, and close them.

    Args:
        path: Where to.
        contents: Of a live model, if ``background`` is asked for.
        durable, background: As for ``save_weights``.
        after: Called when the file has its name; what it raises is an error of the save.

    Returns:
        A ``SaveResult``.

    Raises:
        As ``save_weights``.
    """
    format = formats.format_named("keras_weights")
    return _create(path, contents, format, Options(), True, durable, time.perf_counter(), background, after)


def _create(
    path: Any,
    contents: Contents,
    format: Format,
    options: Options,
    overwrite: bool,
    durable: bool,
    began: float,
    in_background: bool = False,
    after: Callable[[], object] | None = None,
) -> SaveResult:
    """Write the contents and close them."""
    with contextlib.ExitStack() as stack:
        stack.callback(contents.close)
        if options.engine not in ("native", "h5py"):
            raise ValueError(f"engine: expected 'native' or 'h5py', found {options.engine!r}")
        create = format.create
        if create is None:
            raise UnsupportedError(f"format to write: expected one that kio writes, found {format.name}")
        name = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else None
        if not in_background:
            target = Target(path, overwrite=overwrite, durable=durable)
            nbytes = create(target, contents, options)
            if after is not None:
                after()
            return SaveResult(target.name, format.name, nbytes, time.perf_counter() - began, contents.needs)
        if name is None:
            raise UnsupportedError("target: expected a path for a save in the background, found an open file")
        stack.pop_all()  # from here on it is closed by the save

    def write(opened: Callable[[], None]) -> int:
        nbytes = create(Target(name, overwrite=overwrite, durable=durable, opened=opened), contents, options)
        if after is not None:
            after()
        return nbytes

    from kio.models.memory import snapshot

    def stage(arena: Arena) -> None:
        snapshot.take(contents, arena)

    return background.save(name, format.name, stage, write, contents.close, began, contents.needs)
