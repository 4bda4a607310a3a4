"""What kio would do with a model file: who wrote it, what is upgraded, what cannot be.

Nothing is built and no payload is read.
"""

from __future__ import annotations

from typing import Any

from kio.checkpoint import Checkpoint
from kio.errors import KioError
from kio.limits import Limits
from kio.mapping.h5.stored import StoredLayers
from kio.models.eras.era import Era


def writer(checkpoint: Checkpoint) -> str | None:
    """The Keras that wrote a file, for people; None where the file does not say.  Needs no Keras."""
    era = Era.of(checkpoint.metadata)
    if era.version is None and checkpoint.layout == "h5_layers":
        return "Keras 1.1 or before"
    if era.version is None:
        return None
    return era.name + (f" on {era.backend}" if era.backend else "")


def backend(checkpoint: Checkpoint) -> str | None:
    """What tells the backend of a legacy file that does not say it; None where it does, or nothing hangs on it.

    Needs no Keras.

    Args:
        checkpoint: An opened checkpoint.

    Raises:
        CorruptError: if the file lists weights that it does not hold.
    """
    if checkpoint.layout != "h5_layers" or checkpoint.metadata.get("backend"):
        return None
    stored = StoredLayers(checkpoint)
    # Kernels of convolutions have four axes or five, what other layers of Keras 1 had at most three.
    if not stored.era.keras1 or not any(len(t.shape) > 3 for layer in stored.layers for t in layer.tensors):
        return None
    if stored.told:
        return f"{stored.told}, as the names of the weights tell"
    return "not told; on Theano kernels of convolutions were turned: original_backend says what it was"


def upgrades(checkpoint: Checkpoint, limits: Limits | None = None) -> dict[str, Any]:
    """Upgrades that loading the model takes, and what stands against it.

    Args:
        checkpoint: An opened checkpoint.
        limits: Caps on the configuration; None for those that the checkpoint was opened under.

    Returns:
        ``upgrades``: how often each rule applies; ``needs``: what of ``kio.layers`` the model
        takes; ``refused``: why it would not load under ``safe_mode``, without custom objects;
        ``not compiled``: why it would stay uncompiled.  Empty entries are left out.

    Raises:
        ImportError: if Keras is not installed.
    """
    if checkpoint.config is None:
        return {}
    from kio.models.allowlist import Resolver
    from kio.models.builder.config_text import parse_config
    from kio.models.builder.configs import upgraded
    from kio.models.builder.safety import check

    limits = limits or checkpoint.limits
    found: dict[str, Any] = {}
    resolver = Resolver()
    try:
        training = checkpoint.metadata.get("training_config")
        done = upgraded(
            parse_config(checkpoint.config, limits),
            resolver,
            Era.of(checkpoint.metadata),
            limits,
            training=parse_config(training, limits) if training else None,
        )
        found["upgrades"] = done.applied
        found["needs"] = [f"kio.layers.{name}" for name in done.kio_objects]
        found["not compiled"] = done.uncompiled
        check(done.config, resolver, limits)
    except KioError as error:
        found["refused"] = str(error)
    return {key: value for key, value in found.items() if value}
