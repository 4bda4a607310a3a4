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

from collections.abc import Mapping
from typing import Any

from kio import dtypes
from kio.checkpoint import Checkpoint
from kio.containers import hdf5
from kio.contents import Contents, Value, cast
from kio.errors import LimitError, UnsupportedError, shown
from kio.formats.format import Format
from kio.formats.keras_weights import drafted_with, read_weights, text_of
from kio.formats.probe import Probe
from kio.formats.target import Options, Target


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


# What a whole model says at the root as text; Keras stores JSON as bytes.
_JSON = frozenset({"model_config", "training_config"})


def create(target: Target, contents: Contents, options: Options) -> int:
    """One HDF5 file.

    Raises:
        UnsupportedError: without the names of layers, in order: nothing of Keras's reads such a
            file.  For assets, which have no place in it.
    """
    attributes = {path: dict(found) for path, found in contents.attributes.items()}
    root = attributes.setdefault("", {})
    weights = attributes.get("model_weights", root)
    listed = any(name in weights for name in ("layer_names", "layer_names0", "nb_layers"))
    if not listed and "nb_params" not in attributes.get("graph", {}):
        raise UnsupportedError(
            "keras_h5: expected names of layers in order, found tensors alone",
            hint="save a model, or write a .weights.h5 file: any HDF5 reader opens it",
        )
    if contents.assets:
        raise UnsupportedError(
            f"keras_h5: expected no assets, found {', '.join(map(shown, contents.assets))}",
            hint="save as .keras, which has a place for them",
        )
    if contents.config is not None:
        root["model_config"] = contents.config.encode()
    root.update((key, text.encode() if key in _JSON else text) for key, text in contents.metadata.items())
    _check_attributes(attributes)
    file = drafted_with(_widened(contents.tensors), attributes, options)
    with target.file() as sink:
        nbytes, _ = file.write(sink)
    return nbytes


def _check_attributes(attributes: Mapping[str, Mapping[str, Any]]) -> None:
    """Find what the format has no type for, whichever engine writes it: attributes of another file.

    Raises:
        UnsupportedError: naming the group.
    """
    for path, found in attributes.items():
        try:
            hdf5.Draft(None).group("", found)
        except (TypeError, ValueError) as error:
            raise UnsupportedError(f"keras_h5: attributes of {shown(path or '/')}: {error}") from error


def _widened(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """Small floats as float32, which holds each of them exactly.

    HDF5 has no type for them, and no reader of legacy files knows what raw bytes mean: stock
    Keras cannot load the bfloat16 that it writes itself.
    """
    small = {row.name for row in dtypes.TABLE if row.kind == "f" and row.raw is not None}
    return {name: cast(value, "float32") if value.dtype_name in small else value for name, value in tensors.items()}


FORMAT = Format(
    "keras_h5",
    claims,
    open,
    create,
    suffixes=(".h5", ".hdf5"),
    layout="h5_layers",
    holds=("weights", "model"),
    writes=("file",),
    widens=True,
)
