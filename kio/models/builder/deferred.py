"""Build a model from a configuration and fill it, running no initialiser in vain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kio.limits import DEFAULT, Limits, machine_bytes
from kio.models.builder.configs import model_from_config
from kio.models.builder.initialisers import deferred_initialisation
from kio.models.eras.era import Era
from kio.models.memory.variables import is_distributed

# A model may be larger than its file: slots of an optimizer that was not saved,
# float32 variables stored as float16, variables shared by several layers.
_SLACK = 16


def build(
    config: str | bytes | Mapping[str, Any],
    custom_objects: Mapping[str, Any] | None = None,
    *,
    limits: Limits | None = None,
) -> Any:
    """Build the model of a configuration alone, with the values that Keras would have given it.

    Args:
        config: The text of ``model.to_json()``, or the same parsed.
        custom_objects: As in ``keras.saving.load_model``.
        limits: Caps on the configuration; ``model_bytes`` on the model.  None: what the machine has.

    Raises:
        LimitError: if the model is too large; nothing has been allocated.
        KioError: see ``model_from_config``.
    """
    # Several devices may hold what one machine does not.
    limit = limits.model_bytes if limits is not None else None if is_distributed() else machine_bytes()
    with deferred_initialisation(limit, "this machine"):
        return model_from_config(config, custom_objects, limits=limits or DEFAULT)


def build_and_fill(
    config: str | bytes | Mapping[str, Any],
    fill: Callable[[Any], None],
    *,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    era: Era | None = None,
    training: str | None = None,
    nbytes_stored: int | None = None,
    limits: Limits = DEFAULT,
) -> Any:
    """Build the model, let ``fill`` load its weights, initialise the rest as Keras would.

    Args:
        config: The text of a ``config.json``, or the same parsed.
        fill: Called once with the built model, inside the deferral: gives values to its
            variables through ``backends``, or raises before it has given any.
        custom_objects, compile, safe_mode: As in ``keras.saving.load_model``.
        era: Who wrote the configuration, as far as the file says it elsewhere.
        training: Text of the ``training_config`` that legacy HDF5 keeps beside the configuration.
        nbytes_stored: Decoded bytes of the file's tensors; bounds the size of the model.
        limits: Caps on the configuration.

    Returns:
        The model.

    Raises:
        LimitError: if the model is out of proportion to the file.
        KioError, and whatever ``fill`` raises: see ``model_from_config``.

    Memory: O(model), each byte once.
    """
    limit = None if nbytes_stored is None else limits.model_bytes + _SLACK * nbytes_stored
    with deferred_initialisation(limit):
        model = model_from_config(config, custom_objects, compile, safe_mode, era=era, training=training, limits=limits)
        fill(model)
    return model
