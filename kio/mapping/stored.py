"""The file's side of a match: keys grouped by the object they were stored for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from kio.raw.tensor import Tensor

Rename = Mapping[str, str] | Callable[[str], str] | None
Patterns = str | Sequence[str] | None
Chooser = Callable[..., bool]


class Stored:
    """What a checkpoint holds, by object.

    Attributes:
        tensors: The checkpoint.
        groups: Object path → key → name of the tensor.  The root's path is ``""``.
        loose: Names that follow no ``<object>/vars/<key>`` pattern.
        names: Object path → the name its writer stored beside it (Keras 3.6 and later).
        version: ``keras_version`` of the writer as numbers, or None where the file has none.
    """

    def __init__(self, checkpoint: Any) -> None:
        self.tensors: Mapping[str, Tensor] = checkpoint
        self.groups: dict[str, dict[str, str]] = {}
        self.loose: list[str] = []
        metadata = getattr(checkpoint, "metadata", None) or {}
        # TensorFlow on Windows joined paths with backslashes.
        backslashes = metadata.get("separator") == "\\"
        groups = self.groups
        for name in checkpoint:
            shown = name.replace("\\", "/") if backslashes else name
            cut = shown.rfind("/vars/")
            if cut > 0:
                path, key = shown[:cut], shown[cut + 6 :]
            elif shown.startswith("vars/"):
                path, key = "", shown[5:]
            else:
                self.loose.append(name)
                continue
            group = groups.get(path)
            if group is None:
                groups[path] = {key: name}
            else:
                group[key] = name
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


def renamer(rename: Rename) -> Callable[[str], str] | None:
    """A function from a key of the model to the key in the file.

    A mapping's keys are whole names, leading parts of paths (``"layers/dense"`` also moves
    ``"layers/dense/vars/0"``), or globs with one ``*`` on each side.
    """
    if not rename:
        return None
    if callable(rename):
        return rename
    exact = {old: new for old, new in rename.items() if "*" not in old}
    globs = [(old.partition("*"), new.partition("*")) for old, new in rename.items() if "*" in old]

    def apply(name: str) -> str:
        if name in exact:
            return exact[name]
        cut = name.rfind("/")
        while cut > 0:
            if name[:cut] in exact:
                return exact[name[:cut]] + name[cut:]
            cut = name.rfind("/", 0, cut)
        for (head, _, tail), (new_head, _, new_tail) in globs:
            if name.startswith(head) and name.endswith(tail) and len(name) >= len(head) + len(tail):
                return new_head + name[len(head) : len(name) - len(tail)] + new_tail
        return name

    return apply


def chooser(include: Patterns, exclude: Patterns) -> Chooser | None:
    """A function that says whether a variable, given all its spellings, takes part."""
    if include is None and exclude is None:
        return None
    wanted = [include] if isinstance(include, str) else include
    unwanted = [exclude] if isinstance(exclude, str) else exclude or ()

    def hit(patterns: Any, spellings: tuple[str, ...]) -> bool:
        return any(
            fnmatchcase(s, p) or s == p or s.startswith(p.rstrip("/") + "/") for p in patterns for s in spellings
        )

    def choose(*spellings: str) -> bool:
        return (wanted is None or hit(wanted, spellings)) and not hit(unwanted, spellings)

    return choose
