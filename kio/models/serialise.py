"""A model's configuration and metadata as texts, by Keras's own serialisation.

Spec: ``saving_lib._serialize_model_as_json``.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from typing import Any

from kio.models import eras


def config(model: Any, version: tuple[int, ...], objects: Iterable[Any]) -> str:
    """The text of ``config.json``.

    Args:
        model: The live model.
        version: Of the Keras that shall read it.
        objects: All objects of the model: what the user's classes come from.

    Raises:
        UnsupportedError: if a reader of ``version`` could not understand it.
        Exception: whatever a ``get_config`` raises.
    """
    from keras.src.saving.serialization_lib import ObjectSharingScope, serialize_keras_object

    with ObjectSharingScope():
        tree = serialize_keras_object(model)
    return json.dumps(eras.downgraded(tree, version, eras.kin_of(objects)))


def metadata(version: tuple[int, ...]) -> dict[str, str]:
    """What ``metadata.json`` says."""
    return {
        "keras_version": eras.release(version),
        "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
    }
