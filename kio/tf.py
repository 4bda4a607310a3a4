"""``tf.train``'s functions on checkpoints, without TensorFlow.

    reader = kio.tf.load_checkpoint("ckpt-3")
    reader.get_tensor("net/dense/kernel")

Names, arguments and results are TensorFlow's.  What differs:

* where TensorFlow gives a ``tf.DType``, kio gives the NumPy (or ``ml_dtypes``) dtype of the same name; that of
  strings, variants and resources is ``object``, that of a quantised type is the integer that ``get_tensor`` gives;
* what is not there, or is damaged, is an error of kio: a ``KioError``, or ``FileNotFoundError``;
* a state file that names a checkpoint of another folder is refused where the folder is opened by it.

Checksums of all that is read are compared.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from kio import dtypes
from kio.checkpoint import Checkpoint
from kio.containers.bundle import TYPES
from kio.containers.checkpoint_state import NAME, CheckpointState, parse_state
from kio.errors import UnsupportedError
from kio.formats import open_checkpoint
from kio.formats.probe import version_1
from kio.formats.tf_checkpoint import FORMAT, stored
from kio.limits import DEFAULT, Limits
from kio.raw import transfer
from kio.raw.source import Source

__all__ = [
    "CheckpointReader",
    "CheckpointState",
    "checkpoint_exists",
    "get_checkpoint_state",
    "latest_checkpoint",
    "list_variables",
    "load_checkpoint",
    "load_variable",
]

Path = Any  # str, bytes or os.PathLike

# Names in DebugString, where they are not DT_ and the name in capitals.
_PROTO = {"float32": "FLOAT", "float64": "DOUBLE", "float16": "HALF"}


class CheckpointReader:
    """What is in a checkpoint, as ``tf.train.CheckpointReader`` has it.  A context manager, too.

    Args:
        checkpoint: An opened TensorFlow checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._tensors, self._numbers = stored(checkpoint)

    def get_tensor(self, tensor_str: str) -> Any:
        """The value of a tensor.

        Args:
            tensor_str: Its name.

        Returns:
            An array; of a scalar NumPy's, of a string bytes, of strings an array of these.

        Raises:
            UnknownNameError: a KeyError, if there is no such tensor; says what is nearest.
            UnsupportedError: for a variant or a resource.
            FormatError: if what is stored is damaged.
        """
        name = _text(tensor_str)
        if name not in self._tensors:
            return self._checkpoint[name]  # which raises
        array = transfer.read([self._tensors[name]], verify=True)[0]
        return array[()]

    def has_tensor(self, tensor_str: str) -> bool:
        """Whether there is a tensor of this name."""
        return _text(tensor_str) in self._tensors

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """Shapes by name."""
        return {name: list(self._tensors[name].shape) for name in self._tensors}

    def get_variable_to_dtype_map(self) -> dict[str, np.dtype[Any]]:
        """Types by name, as NumPy has them."""
        return {name: _dtype(self._numbers[name]) for name in self._tensors}

    def debug_string(self) -> bytes:
        """A line for each tensor: name, type, shape.  Of tensors in slices TensorFlow lists the slices."""
        lines = []
        for name in self._tensors:
            named = TYPES.get(self._numbers[name], ("?", None))[0]
            shape = ",".join(map(str, self._tensors[name].shape))
            lines.append(f"{name} (DT_{_PROTO.get(named, named.upper())}) [{shape}]\n")
        return "".join(lines).encode()

    def close(self) -> None:
        """Give the files back."""
        self._checkpoint.close()

    def __enter__(self) -> CheckpointReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<CheckpointReader {self._checkpoint.name!r}: {len(self._tensors)} tensors>"


def load_checkpoint(ckpt_dir_or_file: Path, *, limits: Limits | None = None) -> CheckpointReader:
    """Open a checkpoint.

    Args:
        ckpt_dir_or_file: Its prefix, or a folder whose state file names it.
        limits: As for ``kio.open``.

    Raises:
        FileNotFoundError: if there is none.
        UnsupportedError: for a file of another format.
        FormatError: if it is damaged.
    """
    found = open_checkpoint(os.fspath(ckpt_dir_or_file), limits or DEFAULT)
    if found.format != FORMAT.name:
        found.close()
        raise UnsupportedError(
            f"format: expected a TensorFlow checkpoint, found {found.format}",
            source=found.name,
            hint="kio.open reads it",
        )
    return CheckpointReader(found)


def list_variables(ckpt_dir_or_file: Path) -> list[tuple[str, list[int]]]:
    """Name and shape of each tensor, sorted by name.

    Args:
        ckpt_dir_or_file: As for ``load_checkpoint``.
    """
    with load_checkpoint(ckpt_dir_or_file) as reader:
        return sorted(reader.get_variable_to_shape_map().items())


def load_variable(ckpt_dir_or_file: Path, name: str) -> Any:
    """The value of one tensor.

    Args:
        ckpt_dir_or_file: As for ``load_checkpoint``.
        name: Of the tensor, with or without ``:0`` behind it.
    """
    with load_checkpoint(ckpt_dir_or_file) as reader:
        return reader.get_tensor(name.removesuffix(":0"))


def get_checkpoint_state(checkpoint_dir: Path, latest_filename: str | None = None) -> CheckpointState | None:
    """What the state file of a folder says, paths seen from where the program runs.

    Args:
        checkpoint_dir: The folder.
        latest_filename: Name of the state file; None for ``checkpoint``.

    Returns:
        None where there is no such file.

    Raises:
        CorruptError: if it is damaged.
    """
    folder = os.fsdecode(checkpoint_dir)
    path = os.path.join(folder, NAME if latest_filename is None else latest_filename)
    try:
        source = Source.open(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        state = parse_state(source.read(0, min(source.nbytes, DEFAULT.config_bytes)), path)
    finally:
        source.close()
    return CheckpointState(
        # Not os.path.join of a path alone: nothing is no path.
        state.model_checkpoint_path and os.path.join(folder, state.model_checkpoint_path),
        [os.path.join(folder, each) for each in state.all_model_checkpoint_paths],
        state.all_model_checkpoint_timestamps,
        state.last_preserved_timestamp,
    )


def latest_checkpoint(checkpoint_dir: Path, latest_filename: str | None = None) -> str | None:
    """Prefix of the latest checkpoint of a folder.

    Args:
        checkpoint_dir, latest_filename: As for ``get_checkpoint_state``.

    Returns:
        None where no state file names one, or the one it names is gone.

    Raises:
        CorruptError: if the state file is damaged.
    """
    state = get_checkpoint_state(checkpoint_dir, latest_filename)
    if state is not None and state.model_checkpoint_path and checkpoint_exists(state.model_checkpoint_path):
        return state.model_checkpoint_path
    return None


def checkpoint_exists(checkpoint_prefix: Path) -> bool:
    """Whether there is a checkpoint of this prefix, of version 2 or 1."""
    prefix = os.fsdecode(checkpoint_prefix)
    return os.path.isfile(prefix + ".index") or bool(version_1(prefix))


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _dtype(number: int) -> np.dtype[Any]:
    row = TYPES.get(number, ("", None))[1]
    return np.dtype(object) if row is None else dtypes.numpy_dtype(row)
