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

from dataclasses import replace

from kio.checkpoint import Assets, Checkpoint, Members
from kio.containers import json_text
from kio.errors import CorruptError
from kio.formats import keras_shards, keras_weights, npz
from kio.formats.format import Format
from kio.formats.keras_weights import Weights
from kio.formats.probe import Probe

# In the order in which Keras looks for them.
WEIGHTS = ("model.weights.h5", "model.weights.npz", "model.weights.json", "variables.h5")


def claims(probe: Probe) -> bool:
    members = probe.members
    if members is None:
        return False
    # A folder with nothing but a config.json could be anybody's.
    return any(name in members for name in WEIGHTS) or ("config.json" in members and probe.archive is not None)


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
        config = json_text.parse_text(members.read("config.json", limits.config_bytes), f"{where}!config.json", limits)
    if "metadata.json" in members:
        name = f"{where}!metadata.json"
        metadata = json_text.parse(members.read("metadata.json", limits.config_bytes), name, limits)
        if not isinstance(metadata, dict):
            raise CorruptError(f"metadata: expected an object, found {str(metadata)[:80]}", source=name)
    weights = _read_weights(probe, members)
    # What kio found out comes last: a file cannot hide it.
    metadata = {**metadata, **weights.metadata}
    return weights.checkpoint(probe, "keras_archive", config=config, metadata=metadata, assets=Assets(members))


def _read_weights(probe: Probe, members: Members) -> Weights:
    """The weights among the members, by content."""
    member = next((name for name in WEIGHTS if name in members), None)
    if member is None:
        raise CorruptError(
            f"weights: expected one of {', '.join(WEIGHTS)}, found none",
            source=members.name,
            hint="the save was interrupted, or this is not a Keras model",
        )
    source = members.source(member)
    try:
        weights = _weights_of(Probe(source, probe.limits), members)
    except BaseException:
        if probe.folder is not None:
            source.close()
        raise
    # Sources of an archive are windows of the one that the probe closes.
    return replace(weights, sources=(source, *weights.sources) if probe.folder is not None else ())


def _weights_of(inner: Probe, members: Members) -> Weights:
    inner.look()
    if inner.hdf5 is not None:
        return keras_weights.read_weights(inner.hdf5, "", inner.name)
    if keras_shards.is_map(inner.json):
        return keras_shards.read_shards(inner.json, members, inner.name, inner.limits)
    # Keras also wrote npz into a folder's model.weights.h5.
    if inner.archive is not None and npz.is_npz(inner.archive):
        return Weights(npz.read_arrays(inner.archive, inner.limits), "flat")
    raise CorruptError(f"weights: expected HDF5, npz or a map of shards, found {inner.described()}", source=inner.name)


FORMAT = Format("keras_archive", claims, open)
