"""From an old file to today's by way of the model: its configuration is upgraded, its tensors named anew.

Bytes alone cannot be converted where names and configuration mean something else today.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kio.checkpoint import Checkpoint
from kio.contents import Contents, cast
from kio.mapping.selection import Selection
from kio.models.eras.era import Era
from kio.optional import needed
from kio.raw.reading import Reading


def is_old(checkpoint: Checkpoint) -> bool:
    """Whether a model file is of a Keras before 3, or of the legacy HDF5 format of any.  Needs no Keras."""
    if checkpoint.config is None:
        return False
    era = Era.of(checkpoint.metadata)
    return checkpoint.layout == "h5_layers" or (era.version is not None and not era.modern)


def contents(
    checkpoint: Checkpoint,
    selection: Selection,
    reading: Reading,
    *,
    layout: str,
    whole: bool,
    dtype: str | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    compat: str | None = None,
) -> Contents:
    """What a save of the model in a checkpoint writes today.

    Args:
        checkpoint: Open, with a configuration.
        selection, reading, custom_objects, safe_mode: As for ``load.load_model``.
        layout, whole, compat: As for ``save.contents``.
        dtype: Floats become this; None leaves them.

    Raises:
        MissingDependencyError: without Keras or its backend.
        UnsafeError, MatchError, FormatError, OSError: as ``load.load_model``.

    Memory: O(model).
    """
    with needed(f"conversion of a model of {Era.of(checkpoint.metadata).name}"):
        from kio.models import load, save

    model = load.load_model(checkpoint, selection, reading, custom_objects=custom_objects, safe_mode=safe_mode)
    made = save.contents(model, layout=layout, whole=whole, compat=compat)
    if dtype is not None:
        try:
            made.tensors = {name: cast(value, dtype) for name, value in made.tensors.items()}
        except BaseException:
            made.close()
            raise
    return made
