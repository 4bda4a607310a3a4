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

import json
from dataclasses import replace

from kio.checkpoint import Assets, Checkpoint, Members
from kio.containers import json_text
from kio.containers.zip_writer import ZipWriter
from kio.contents import Asset, Contents
from kio.errors import CorruptError, UnsupportedError
from kio.formats import keras_shards, keras_weights, npz
from kio.formats.format import Format
from kio.formats.keras_weights import Weights
from kio.formats.probe import Probe
from kio.formats.target import Options, Target
from kio.raw import transfer_out
from kio.raw.source import Source

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


# What a save replaces in a folder; other files there are somebody else's.
_OWN = frozenset({"config.json", "metadata.json", "assets", *WEIGHTS})


def owns(name: str) -> bool:
    """Whether a name in a model's folder belongs to the model."""
    return name in _OWN or name.startswith("assets/")


def create(target: Target, contents: Contents, options: Options) -> int:
    """A zip archive, or the same files in a folder.

    Raises:
        UnsupportedError: without a configuration.
    """
    if contents.config is None:
        raise UnsupportedError(
            "keras_archive: expected a model's configuration, found weights alone", hint="write a .weights.h5 file"
        )
    heads = {
        "metadata.json": json.dumps(dict(contents.metadata)).encode(),
        "config.json": contents.config.encode(),
    }
    return (_create_zip if options.zipped else _create_folder)(target, contents, options, heads)


def _create_zip(target: Target, contents: Contents, options: Options, heads: dict[str, bytes]) -> int:
    weights = keras_weights.drafted(contents.tensors, contents.groups, options)
    with target.file() as sink:
        archive = ZipWriter(sink, date=options.date)
        for name, text in heads.items():
            archive.add(name, text)
        # Pages of the weights are pages of the archive: they can be mapped, and written directly.
        base = archive.begin(WEIGHTS[0], weights.nbytes_max, boundary=4096)
        archive.end(*weights.write(sink, base))
        for name, asset in contents.assets.items():
            archive.add(f"assets/{name}", _source(asset))
        return archive.finish()


def _create_folder(target: Target, contents: Contents, options: Options, heads: dict[str, bytes]) -> int:
    weights = keras_weights.drafted(contents.tensors, contents.groups, options)
    with target.folder(owns) as folder:
        for name, text in heads.items():
            folder.open(name).write_at(0, text)
        nbytes, _ = weights.write(folder.open(WEIGHTS[0]))
        for name, asset in contents.assets.items():
            source = _source(asset)
            transfer_out.write(folder.open(f"assets/{name}"), [(0, source)])
            nbytes += source.nbytes
    return nbytes + sum(map(len, heads.values()))


def _source(asset: Asset) -> Source:
    """An asset's bytes, wherever they are."""
    if isinstance(asset, Source):
        return asset
    return Source.of_bytes(asset) if isinstance(asset, bytes) else Source.open(asset)


FORMAT = Format(
    "keras_archive",
    claims,
    open,
    create,
    suffixes=(".keras",),
    layout="keras_paths",
    holds=("model",),
    writes=("file", "folder"),
)
