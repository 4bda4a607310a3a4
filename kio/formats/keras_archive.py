"""The Keras 3 model: a ``.keras`` zip, or the same files in a folder.

    metadata.json              {"keras_version": …, "date_saved": …}
    config.json                the model
    model.weights.h5           or model.weights.json and its shards, model.weights.npz,
                               variables.h5 (TensorFlow 2.11)
    assets/…                   vocabularies and the like

Folders are what ``zipped=False`` (3.4 and later), keras-hub presets and the Hugging Face
hub have.  A third party may have deflated the members of a zip.
"""

from __future__ import annotations

from typing import Any

from kio.checkpoint import Assets, Checkpoint, Members
from kio.containers import json_text
from kio.errors import CorruptError
from kio.formats import keras_shards, keras_weights, npz
from kio.formats.format import Format
from kio.formats.probe import Probe

# In the order in which Keras looks for them.
WEIGHTS = ("model.weights.h5", "model.weights.npz", "model.weights.json", "variables.h5")


def claims(probe: Probe) -> bool:
    members = probe.members
    if members is None:
        return False
    # A folder with nothing but a config.json could be anybody's.
    return any(name in members for name in WEIGHTS) or (
        "config.json" in members and probe.archive is not None
    )


def open(probe: Probe) -> Checkpoint:
    """Configuration, metadata, assets, and the weights by content.

    Raises:
        CorruptError: if the weights are missing, or not what weights can be.
        UnsupportedError: for pickled weights.
        FormatError: as opening the weights does.

    Reads: the JSON files and the structure of the weights; all of deflated weights.
    """
    members = probe.known(probe.members)
    limits, where = probe.limits, members.name
    config, metadata = None, {}
    if "config.json" in members:
        config = json_text.parse_text(
            members.read("config.json", limits.config_bytes), f"{where}!config.json", limits
        )
    if "metadata.json" in members:
        name = f"{where}!metadata.json"
        metadata = json_text.parse(members.read("metadata.json", limits.config_bytes), name, limits)
        if not isinstance(metadata, dict):
            raise CorruptError(f"metadata: expected an object, found {str(metadata)[:80]}", source=name)
    found = _read_weights(probe, members)
    return Checkpoint(
        found.pop("tensors"),
        format="keras_archive",
        name=probe.name,
        source=probe.source,
        config=config,
        metadata={**found.pop("metadata"), **metadata},
        assets=Assets(members),
        closing=(*found.pop("closing"), *probe.closing),
        **found,
    )


def _read_weights(probe: Probe, members: Members) -> dict[str, Any]:
    """Arguments of Checkpoint that the weights decide."""
    member = next((name for name in WEIGHTS if name in members), None)
    if member is None:
        raise CorruptError(
            f"weights: expected one of {', '.join(WEIGHTS)}, found none",
            source=members.name,
            hint="the save was interrupted, or this is not a Keras model",
        )
    source = members.source(member)
    inner = Probe(source, probe.limits)
    closing = [source] if probe.folder is not None else []
    try:
        inner.look()
        if inner.hdf5 is not None:
            weights = keras_weights.read_weights(inner.hdf5, "", inner.name)
            return {
                "tensors": weights.tensors,
                "layout": weights.layout,
                "metadata": weights.metadata,
                "names_of": weights.names_of,
                "attributes": weights.attributes,
                "closing": closing,
            }
        if keras_shards.is_map(inner.json):
            shards = keras_shards.read_shards(inner.json, members, inner.name, probe.limits)
            return {
                "tensors": shards.tensors,
                "layout": shards.layout,
                "metadata": shards.metadata,
                "names_of": shards.names_of,
                "attributes": shards.attributes,
                "closing": [*closing, *(shards.sources if probe.folder is not None else ())],
            }
        # Keras also wrote npz into a folder's model.weights.h5.
        if inner.archive is not None and npz.is_npz(inner.archive):
            tensors = npz.read_arrays(inner.archive, probe.limits)
            return {"tensors": tensors, "layout": "flat", "metadata": {}, "closing": closing}
        raise CorruptError(
            f"weights: expected HDF5, npz or a map of shards, found {inner.described()}", source=inner.name
        )
    except BaseException:
        for source in closing:
            source.close()
        raise


FORMAT = Format("keras_archive", claims, open)
