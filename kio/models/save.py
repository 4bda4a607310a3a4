"""From a live model to what is to be written: Contents.

live.walk → store.<layout>: what each object stores, audit, names, values, configuration → assets

Nothing is opened in here.  Whatever cannot be saved is known when ``contents`` returns.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from kio.contents import Contents
from kio.errors import MatchError, UnsupportedError
from kio.mapping import LAYOUTS
from kio.models.eras import keras3_older, versions
from kio.models.live.saving import Stored
from kio.models.store import assets_write


def contents(
    model: Any,
    *,
    layout: str = "keras_paths",
    whole: bool = False,
    include_optimizer: bool = True,
    objects_to_skip: Iterable[Any] | None = None,
    compat: str | None = None,
) -> Contents:
    """Everything that a save of a live model writes.

    Args:
        model: A Keras model.
        layout: ``"keras_paths"``; ``"h5_layers"`` for legacy HDF5; or ``"flat"`` for formats
            without structure.
        whole: With configuration, metadata and assets.
        include_optimizer: Whether to write the optimizer's state.
        objects_to_skip: Layers (or other saveables) to leave out.
        compat: Keras version that shall read the file, e.g. ``"3.4"``, of legacy HDF5 also
            ``"2.15"``; None for the one that is installed.

    Returns:
        The contents; close them when they are written.

    Raises:
        MatchError: if a variable would not be in the file, with the list of those.
        UnsupportedError: for what the format, or that version of Keras, has no way to say; for a layout that kio
            does not know.
        Exception: whatever the model's own ``get_config``, ``save_own_variables`` or
            ``save_assets`` raise.

    Memory: O(variables); what objects with code of their own compute for the save.
    """
    from kio.models.live import walk

    if layout not in LAYOUTS:
        raise UnsupportedError(f"layout to write: expected one of {', '.join(LAYOUTS)}, found {layout}")
    _check_built(model, whole)
    writer: Any = import_module(f"kio.models.store.{layout}")
    version = versions.version_of(compat, legacy=writer.OF_TF_KERAS)
    skipped = list(objects_to_skip or ())
    if not include_optimizer and getattr(model, "optimizer", None) is not None:
        skipped.append(model.optimizer)
    tree = walk.tree(model, skipped)
    made = Contents(version=version)
    stored: list[Stored] = writer.fill(made, model, tree, version, skipped, whole=whole)
    if whole:
        writer.describe(made, model, [node.handle for node in tree.nodes], version, compiled=include_optimizer)
    keras3_older.check_layers(stored, version)
    if whole:
        _add_assets(made, stored)
    return made


def _check_built(model: Any, whole: bool) -> None:
    if getattr(model, "built", True):
        return
    if whole:
        warnings.warn(
            "You are saving a model that has not yet been built. It might not contain any weights yet. "
            "Consider building the model first by calling it on some data.",
            stacklevel=4,
        )
        return
    raise MatchError(
        f"{getattr(model, 'name', 'model')}: expected a built model, found one without variables; "
        "call it on data, or build() it, first"
    )


def _add_assets(made: Contents, stored: list[Stored]) -> None:
    wanted = [(one.node, one.path) for one in stored if hasattr(one.node.handle, "save_assets")]
    if not wanted:
        return
    folder = tempfile.mkdtemp(prefix="kio-assets-")
    made.closing = lambda: shutil.rmtree(folder, ignore_errors=True)
    try:
        made.assets = assets_write.save(wanted, folder)
    except BaseException:
        made.close()
        raise
