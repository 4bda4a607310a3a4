"""Configurations of Keras 3 as tf.keras 2 reads them: the mirror of ``upgrade``.

    model_config       of Keras 3 (``serialise_h5``)   →   the grammar of tf.keras 2.12 to 2.15
    training_config                                    →   and of tf_keras

What says nothing is left out, what has another name gets it, and what tf.keras 2 has no way
to say is collected: the save is refused with the whole list.

Spec: signatures and ``get_config`` of TensorFlow 2.12.1, 2.15.1 and tf_keras 2.21.
"""

from __future__ import annotations

from typing import Any

from kio.errors import UnsupportedError
from kio.models.eras.downgrade.layers import Layers
from kio.models.eras.downgrade.training import training_of

_SHOWN = 10


def model_config(tree: dict[str, Any]) -> dict[str, Any]:
    """A model's configuration in the grammar of tf.keras 2.

    Raises:
        UnsupportedError: with everything that tf.keras 2 cannot express.
    """
    layers = Layers()
    made = layers.model(tree)
    _check(layers.problems)
    return made


def training_config(tree: dict[str, Any]) -> dict[str, Any]:
    """What a model was compiled with, in the same grammar.

    Raises:
        UnsupportedError: as ``model_config``.
    """
    problems: list[str] = []
    made = training_of(tree, problems)
    _check(problems)
    return made


def _check(problems: list[str]) -> None:
    if problems:
        listed = list(dict.fromkeys(problems))
        more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
        raise UnsupportedError(
            f"compat: expected what tf.keras 2 can express, found {'; '.join(listed[:_SHOWN])}{more}",
            hint="weights alone (kio.save_weights) load into a model that is built there",
        )
