"""What kio recognises and does not read: each by a sentence on what it is and what to do."""

from __future__ import annotations

from kio.checkpoint import Checkpoint
from kio.errors import CorruptError, ForeignFormatError, FormatError, TruncatedError
from kio.formats.format import Format
from kio.formats.keras_shards import is_map
from kio.formats.probe import Probe

_UNPACK = "unpack it, and open what is in it"
_PICKLE = "a pickle is a program, and kio runs none; save the weights as .weights.h5, .keras or .safetensors"

# kind -> (what it is, what to do)
KINDS = {
    "pickle": ("a Python pickle", _PICKLE),
    "torch": ("a PyTorch checkpoint, which is a pickle", _PICKLE),
    "gzip": ("a gzip-compressed file", _UNPACK),
    "bzip2": ("a bzip2-compressed file", _UNPACK),
    "xz": ("an xz-compressed file", _UNPACK),
    "zstd": ("a zstd-compressed file", _UNPACK),
    "tar": ("a tar archive", _UNPACK),
    "7z": ("a 7z archive", _UNPACK),
    "rar": ("a RAR archive", _UNPACK),
    "npy": ("a single NumPy array", "kio opens archives of named arrays; save it with numpy.savez"),
    "gguf": ("a GGUF model", "kio reads Keras and TensorFlow files, npz and safetensors"),
    "lfs_pointer": ("a Git LFS pointer, not the file itself", "fetch the file with 'git lfs pull'"),
    "web_page": ("a web page", "the download failed, or the address was that of a page about the file"),
    "saved_model": (
        "a TensorFlow SavedModel, which is a program",
        "kio does not read these yet; save the model as .keras or .weights.h5 where it can be loaded",
    ),
    "orbax": (
        "an Orbax checkpoint",
        "kio does not read these yet; load it with Orbax and save .weights.h5",
    ),
    "safetensors_index": ("the index of sharded safetensors files", "open the .safetensors files one by one"),
    "model_config": (
        "the configuration of a Keras model, without weights",
        "build the model with kio.model_from_json and load its weights from their own file",
    ),
    "config_keras": (
        "a model configuration of Keras 2.10's prototype, without weights",
        "save it again with Keras 3",
    ),
}


def kind_of(probe: Probe) -> str | None:
    """The row of KINDS that an input is, or None."""
    if probe.container in KINDS:
        return probe.container
    if probe.archive is not None:
        names = probe.archive.members
        return "torch" if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names) else None
    if probe.folder is not None:
        return _kind_of_folder(probe.folder.names)
    if isinstance(probe.json, dict):
        if "weight_map" in probe.json and not is_map(probe.json):
            return "safetensors_index"
        if "class_name" in probe.json and "config" in probe.json:
            return "model_config"
    return None


def _kind_of_folder(names: list[str]) -> str | None:
    if "saved_model.pb" in names or "saved_model.pbtxt" in names:
        return "saved_model"
    if {"_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt", "pytree"} & set(names):
        return "orbax"
    return "config_keras" if names == ["config.keras"] else None


def claims(probe: Probe) -> bool:
    return probe.container == "empty" or kind_of(probe) is not None


def open(probe: Probe) -> Checkpoint:
    """Raises: FormatError, always: ForeignFormatError saying what the input is."""
    raise refusal(probe)


def refusal(probe: Probe) -> FormatError:
    """The error for an input that is claimed here."""
    if probe.container == "empty":
        return TruncatedError("file size: expected at least one byte, found none", source=probe.name)
    kind = kind_of(probe)
    if kind is None:
        return CorruptError("format: expected a kind that kio refuses, found none", source=probe.name)
    what, hint = KINDS[kind]
    return ForeignFormatError(f"format: expected one that kio reads, found {what}", source=probe.name, hint=hint)


FORMAT = Format("refused", claims, open)
