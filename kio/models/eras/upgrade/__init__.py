"""Configurations of older Keras, rewritten so that today's builds the model with its old meaning.

    upgrade(config, era) -> Upgraded

What comes out is in Keras 3's own grammar, so everything behind it (the walk that makes it
safe, the deserialisers) knows one grammar only.  What changes is said by tables, one module
an era: ``keras0``, which makes Keras 1 of it, ``keras1``, ``keras2``; ``objects`` for what
hangs on layers, ``graph`` for calls, ``tf_ops`` (with ``tf_nodes`` and the
table of ``kio.ops``) for TensorFlow functions in the place of layers, ``training`` for what was
compiled.

Spec: the sources that each table names; an overview is in ``kio/formats/README.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kio.limits import DEFAULT, Limits
from kio.models.eras.era import Era
from kio.models.eras.rule import Config, Context, UpgradeError
from kio.models.eras.upgrade import graph, names

__all__ = ["Era", "UpgradeError", "Upgraded", "upgrade"]


@dataclass(slots=True)
class Upgraded:
    """A configuration in today's grammar.

    Attributes:
        config: The configuration.
        applied: How often each rule changed something, by the rule's name.
        kio_objects: Layers and functions of ``kio.layers`` that the model needs.
        uncompiled: Why the model cannot be compiled as it was; empty if it can.
        order: Names of layers in the order of a Keras 0.x file of weights; empty for newer models.
        old: Whether it was written by tf.keras or an older Keras; what that means for training see ``old_training``.
        unfused: Names of normalizations that never took the mean and variance from one kernel.
    """

    config: Config
    applied: dict[str, int] = field(default_factory=dict)
    kio_objects: tuple[str, ...] = ()
    uncompiled: str = ""
    order: tuple[str, ...] = ()
    old: bool = False
    unfused: frozenset[str] = frozenset()


def upgrade(
    config: Config,
    era: Era | None = None,
    is_custom: Callable[[str], bool] | None = None,
    training_config: Config | None = None,
    limits: Limits = DEFAULT,
) -> Upgraded:
    """Rewrite a configuration; one of Keras 3 comes out as it went in.

    Args:
        config: The parsed JSON of a model; changed in place.
        era: Who wrote it; None takes what the configuration itself says.
        is_custom: Whether a name is the user's own: nothing is known about such objects.
        training_config: What it was compiled with, where that is kept apart (legacy HDF5).
        limits: ``config_nodes`` caps what the shared nodes of Keras 0.x multiply to.

    Raises:
        UpgradeError: for what has no equal in Keras 3.
        CorruptError: for a configuration that no Keras can have written.
    """
    # The tables ask the installed Keras; the era of a file is known without one.
    from kio.models.eras import keras3_adapt, keras3_older, versions
    from kio.models.eras.upgrade import calls, keras0, training
    from kio.models.eras.upgrade.layers import Layers

    known = era or Era()
    if known.version is None:
        known = Era.of(config)
    order: tuple[str, ...] = ()
    if keras0.is_old(config):
        old = keras0.convert(config, limits)
        config, order, known = old.config, old.order, Era((0,), "0.x")
        training_config = training_config or old.training
    context = Context(known, is_custom or (lambda name: False))
    if order:
        context.applied["grammar of Keras 0.x"] += 1
    config = calls.restored(config, context)
    todays = keras3_adapt.is_todays(config, known)
    if "class_name" not in config or "config" not in config:
        changed = config  # no model: whoever builds it says so
    elif todays:
        changed = keras3_adapt.adapted(config, context)
    else:
        # The tables speak the newest grammar; an older Keras 3 takes what it would have been saved as for it.
        changed = Layers(context).model(config)
        changed = keras3_older.downgraded(changed, keras3_adapt.installed(), {}, newest=versions.NEWEST)
    done = Upgraded(changed, order=order)
    stored = training_config or changed.get("compile_config")
    if isinstance(stored, dict) and stored and (training_config is not None or not todays):
        try:
            stored = names.keyed(stored, context.renamed)
            changed["compile_config"] = training.upgrade(stored, context, _outputs(changed))
        except UpgradeError as error:
            changed["compile_config"] = None
            done.uncompiled = str(error)
    done.old, done.unfused = not todays and not known.modern, frozenset(context.unfused)
    done.applied, done.kio_objects = dict(context.applied), tuple(sorted(context.kio_objects))
    return done


def _outputs(config: Config) -> int:
    """How many outputs a model has, as its configuration says."""
    inner = config.get("config")
    stored = inner.get("output_layers") if isinstance(inner, dict) else None
    return len(stored) if isinstance(stored, (list, dict)) and not graph.is_place(stored) else 1
