"""Configurations of older Keras, rewritten so that today's builds the model with its old meaning.

    upgrade(config, era) -> Upgraded

What comes out is in Keras 3's own grammar, so everything behind it (the walk that makes it
safe, the deserialisers) knows one grammar only.  What changes is said by tables, one module
an era: ``keras1``, ``keras2``; ``objects`` for what hangs on layers, ``graph`` for calls,
``tf_ops`` for TensorFlow functions in the place of layers, ``training`` for what was compiled.

Spec: notes/keras.md 2.1 and 3.3; the sources named by each table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kio.models.upgrade import keras3
from kio.models.upgrade.layers import Layers
from kio.models.upgrade.rule import Config, Context, Era, UpgradeError

__all__ = ["Era", "UpgradeError", "Upgraded", "upgrade"]


@dataclass(slots=True)
class Upgraded:
    """A configuration in today's grammar.

    Attributes:
        config: The configuration.
        applied: How often each rule changed something, by the rule's name.
        kio_objects: Layers and functions of ``kio.layers`` that the model needs.
    """

    config: Config
    applied: dict[str, int] = field(default_factory=dict)
    kio_objects: tuple[str, ...] = ()


def upgrade(config: Config, era: Era | None = None, is_custom: Callable[[str], bool] | None = None) -> Upgraded:
    """Rewrite a configuration; one of Keras 3 comes out as it went in.

    Args:
        config: The parsed JSON of a model; changed in place.
        era: Who wrote it; None takes what the configuration itself says.
        is_custom: Whether a name is the user's own: nothing is known about such objects.

    Raises:
        UpgradeError: for what has no equal in Keras 3.
        CorruptError: for a configuration that no Keras can have written.
    """
    known = era or Era()
    if known.version is None:
        known = Era.of(config)
    context = Context(known, is_custom or (lambda name: False))
    if "class_name" not in config or "config" not in config:
        changed = config  # no model: whoever builds it says so
    elif keras3.is_todays(config, known):
        changed = keras3.older(config, context)
    else:
        changed = Layers(context).model(config)
    return Upgraded(changed, dict(context.applied), tuple(sorted(context.kio_objects)))
