"""The file's side of a match: keys grouped by the object they were stored for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kio.mapping.keys import grouped
from kio.raw.tensor import Tensor


class Stored:
    """What a checkpoint holds, by object.

    Attributes:
        checkpoint: The file.
        tensors: What it holds.
        groups: Object path → key → name of the tensor.  The root's path is ``""``.
        loose: Names that follow no ``<object>/vars/<key>`` pattern.
        names: Object path → the name its writer stored beside it (Keras 3.6 and later).
        version: ``keras_version`` of the writer as numbers, or None where the file has none.
    """

    def __init__(self, checkpoint: Any) -> None:
        self.checkpoint = checkpoint
        # Without the checkpoint's help for names that are not there: these come from it.
        self.tensors: Mapping[str, Tensor] = getattr(checkpoint, "tensors", checkpoint)
        metadata = getattr(checkpoint, "metadata", None) or {}
        # TensorFlow on Windows joined paths with backslashes.
        self.groups, self.loose = grouped(self.tensors, metadata.get("separator") == "\\")
        names: Mapping[str, str] = getattr(checkpoint, "names_of", None) or {}
        self.names = {path[:-4].rstrip("/"): name for path, name in names.items() if path.endswith("vars")}
        self.version = version_of(metadata)

    def __len__(self) -> int:
        return len(self.tensors)

    @property
    def uses_names_as_keys(self) -> bool:
        """Whether some object's keys are words: nightlies of September 2025, or custom objects."""
        return any(not key.isdigit() for group in self.groups.values() for key in group)


def version_of(metadata: Any) -> tuple[int, ...] | None:
    """``keras_version`` of a checkpoint's metadata as numbers, None where it says nothing."""
    text = metadata.get("keras_version") if isinstance(metadata, Mapping) else None
    if not isinstance(text, str):
        return None
    numbers: list[int] = []
    for part in text.split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits or len(digits) > 6:
            break
        numbers.append(int(digits))
    return tuple(numbers) or None
