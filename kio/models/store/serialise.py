"""A model's configuration and metadata as texts, by Keras's own serialisation.

Spec: ``saving_lib._serialize_model_as_json``.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from typing import Any

from kio.models.eras import keras3_older, versions


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
    import keras
    from keras.saving import serialize_keras_object

    from kio.keras_private import ObjectSharingScope
    from kio.models.eras.upgrade import training

    with ObjectSharingScope():
        tree = serialize_keras_object(model)
        stock = getattr(type(model), "get_compile_config", None) is keras.Model.get_compile_config
        compiled = tree.get("compile_config") if isinstance(tree, dict) else None
        if isinstance(compiled, dict) and training.forgotten(compiled) and stock:
            # Keras took it away from the live model when that was saved as .h5; the model has it still.
            tree["compile_config"] = {"optimizer": serialize_keras_object(model.optimizer), **compiled}
    return json.dumps(keras3_older.downgraded(tree, version, keras3_older.kin_of(objects)))


def metadata(version: tuple[int, ...]) -> dict[str, str]:
    """What ``metadata.json`` says."""
    return {
        "keras_version": versions.release(version),
        "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
    }
