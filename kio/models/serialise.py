"""A model's configuration and metadata as texts, by Keras's own serialisation.

Spec: ``saving_lib._serialize_model_as_json``.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from kio.models import eras


def config(model: Any, version: tuple[int, ...]) -> str:
    """The text of ``config.json``.

    Raises:
        UnsupportedError: if a reader of ``version`` could not understand it.
        Exception: whatever a ``get_config`` raises.
    """
    from keras.src.saving.serialization_lib import ObjectSharingScope, serialize_keras_object

    with ObjectSharingScope():
        tree = serialize_keras_object(model)
    return json.dumps(eras.downgraded(tree, version))


def metadata(version: tuple[int, ...]) -> dict[str, str]:
    """What ``metadata.json`` says."""
    return {
        "keras_version": eras.release(version),
        "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
    }
