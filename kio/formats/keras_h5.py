"""Legacy Keras HDF5: whole models and weights of Keras 0.x, 1, 2, tf.keras and ``.h5`` of 3.

    /                          model_config, training_config, keras_version, backend
    model_weights/             layer_names (or layer_names0, layer_names1, …)
    model_weights/dense/       weight_names
    model_weights/dense/dense/kernel:0
    optimizer_weights/ …

A file of weights has what is in ``model_weights`` at its root.  Recognised by these
attributes, never by the name: TensorFlow up to 2.12 wrote such files as ``x.keras``.
"""

from __future__ import annotations

from typing import Any

from kio.checkpoint import Checkpoint
from kio.errors import LimitError
from kio.formats.format import Format
from kio.formats.keras_weights import read_weights, text_of
from kio.formats.probe import Probe


def claims(probe: Probe) -> bool:
    return probe.is_legacy


def open(probe: Probe) -> Checkpoint:
    """Tensors by their path in the file; the configuration as stored.

    Raises:
        FormatError: for links to elsewhere, or a configuration beyond ``config_bytes``.
    """
    file = probe.known(probe.hdf5)
    weights = read_weights(file, probe.group, probe.name)
    metadata: dict[str, Any] = dict(weights.metadata)
    config = metadata.pop("model_config", None)
    if config is not None and len(config) > probe.limits.config_bytes:
        raise LimitError(
            f"model_config: expected at most limits.config_bytes={probe.limits.config_bytes}, found {len(config)}",
            source=probe.name,
            field="config_bytes",
        )
    if "model_weights" in file.groups and not probe.group:
        inner = file.attributes("model_weights")
        for key in ("keras_version", "backend"):
            if key in inner:
                metadata.setdefault(key, text_of(inner[key]))
    return weights.checkpoint(probe, "keras_h5", layout="h5_layers", config=config, metadata=metadata)


FORMAT = Format("keras_h5", claims, open)
