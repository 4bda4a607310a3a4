"""Probe: all that can be known about an input by looking at it once."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar

from kio.checkpoint import Members
from kio.containers import hdf5, json_text, zip
from kio.containers.folder import Folder
from kio.errors import ForeignFormatError, FormatError, UnknownFormatError, UnsupportedError, shown
from kio.limits import DEFAULT, Limits
from kio.raw import pending
from kio.raw.source import Source

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

# First bytes -> kind of container.  Kinds that kio does not read are named as well, for
# the refusal to say what the file is.
MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),  # an empty one
    (HDF5_MAGIC, "hdf5"),
    (b"\x93NUMPY", "npy"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"GGUF", "gguf"),
    (b"version https://git-lfs.github.com/spec/", "lfs_pointer"),
    (b"<!DOCTYPE html", "web_page"),
    (b"<!doctype html", "web_page"),
    (b"<html", "web_page"),
)

# Last bytes of a LevelDB table, which a TensorFlow checkpoint's .index file is.
TABLE_MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"

_HEAD_NBYTES = 512  # a tar header

# What stands for the numbers of several files of a TensorFlow checkpoint of version 1.
_SHARDS = re.compile(r"-\?{5}-of-(?:\?{5}|\d{5})$")

# Attributes of the root of a legacy Keras file, or of its group of weights.  The last
# two are those of Keras 0.x.
LEGACY = frozenset({"model_config", "layer_names", "layer_names0", "nb_layers", "nb_params"})

T = TypeVar("T")


class Probe:
    """Facts about an input, shared by every format's ``claims``.

    Args:
        what: A path, ``os.PathLike``, bytes, an open binary file, a ``Source``, or an
            ``h5py.File`` or ``Group``.
        limits: Caps on what is not trusted.
        mmap: Map a file given by its path, so that tensors are views.

    Attributes:
        name: For messages.
        path: The path that was given, or None.
        group: Path inside the HDF5 file that counts as its root, ``""`` or ``"a/b"``.
        source: The file; None for a folder, or a prefix of several files.
    """

    def __init__(self, what: Any, limits: Limits = DEFAULT, *, mmap: bool = False) -> None:
        self.limits = limits
        self.path: str | None = None
        self.group = ""
        self.source: Source | None = None
        self._owned = not isinstance(what, Source)
        if isinstance(what, Source):
            self.source = what
        elif isinstance(what, (bytes, bytearray, memoryview)):
            self.source = Source.of_bytes(what)
        elif isinstance(what, (str, os.PathLike)):
            self.path = os.fsdecode(what)
            if re.match(r"[a-z][a-z0-9+.-]+://", self.path):
                raise ForeignFormatError(
                    f"source: expected a local path, found {shown(self.path)}",
                    hint="pass an open file, e.g. of fsspec.open(url, 'rb')",
                )
            pending.settle(self.path)
            if not os.path.isdir(self.path) and not self.is_prefix:
                self.source = Source.open(self.path, mmap=mmap)
        elif _is_h5py(what):
            self.source, self.group = _of_h5py(what)
        else:
            self.source = Source.of_file(what)
        self.name = self.source.name if self.source is not None else str(self.path)

    def look(self) -> None:
        """Find out the kind of container and read its structure; afterwards no ``claims`` raises.

        Raises:
            FormatError: if the structure is damaged or asks for too much.
        """
        if self.container == "zip":
            _ = self.archive
        elif self.container == "hdf5":
            file = self.known(self.hdf5)
            if self.group and self.group not in file.groups:
                raise UnsupportedError(
                    f"HDF5 group: expected a path of hard links, found {shown(self.group)}",
                    source=self.name,
                    hint="pass the group by its first path in the file",
                )
        elif self.container == "json":
            _ = self.json
        elif self.container == "folder":
            _ = self.known(self.folder).names

    @cached_property
    def is_prefix(self) -> bool:
        """Whether the path is the prefix of a TensorFlow checkpoint, not a file itself."""
        if self.path is None or os.path.lexists(self.path):
            return False
        return os.path.isfile(self.path + ".index") or bool(version_1(self.path))

    @cached_property
    def head(self) -> bytes:
        """The first bytes of the file, at most 512."""
        return self.source.read(0, min(_HEAD_NBYTES, self.source.nbytes)) if self.source is not None else b""

    @cached_property
    def container(self) -> str:
        """The kind of container by content: ``zip``, ``hdf5``, ``folder``, … or ``unknown``."""
        if self.source is None:
            return "tf_index" if self.is_prefix else "folder"
        for magic, kind in MAGIC:
            if self.head.startswith(magic):
                return kind
        if not self.head:
            return "empty"
        # The upper half of a length is never used, and no JSON text has zero bytes.
        if self.head[4:9] == b"\0\0\0\0{":
            return "safetensors"
        if self.head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
            return "json"
        if self.head[257:262] == b"ustar":
            return "tar"
        if self.head[:1] == b"\x80" and self.head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
            return "pickle"
        if self.source.nbytes >= 48 and self.source.read(self.source.nbytes - 8, 8) == TABLE_MAGIC:
            return "tf_index"
        # An HDF5 file may start with a block of the user's own.
        at = _HEAD_NBYTES
        while at + 8 <= self.source.nbytes:
            if self.source.read(at, 8) == HDF5_MAGIC:
                return "hdf5"
            at *= 2
        return "unknown"

    @cached_property
    def archive(self) -> zip.Archive | None:
        """The zip archive that the file is."""
        return zip.open(self.source, self.limits) if self.container == "zip" and self.source else None

    @cached_property
    def folder(self) -> Folder | None:
        """The directory that the path is."""
        return Folder(str(self.path), self.limits) if self.container == "folder" else None

    @property
    def members(self) -> Members | None:
        """What holds several files: the archive or the folder."""
        return self.archive or self.folder

    @cached_property
    def siblings(self) -> Folder | None:
        """The directory that the file is in."""
        if self.path is None or self.source is None:
            return None
        return Folder(os.path.dirname(os.path.abspath(self.path)), self.limits)

    @cached_property
    def hdf5(self) -> hdf5.File | None:
        """The HDF5 file."""
        return hdf5.open(self.source, self.limits) if self.container == "hdf5" and self.source else None

    @cached_property
    def is_legacy(self) -> bool:
        """Whether the HDF5 file has the marks of a legacy Keras one, at its root or in its weights."""
        file, group = self.hdf5, self.group
        if file is None:
            return False
        children = [f"{group}/{name}".strip("/") for name in ("model_weights", "graph")]
        places = [group, *(path for path in children if file.is_group(path))]
        return any(not LEGACY.isdisjoint(file.attributes(path)) for path in places)

    @cached_property
    def json(self) -> Any:
        """The value of the JSON document, None where the file is not one."""
        if self.container != "json" or self.source is None:
            return None
        nbytes = self.source.nbytes
        # One byte beyond the limit is enough for the parser to name it.
        return json_text.parse(self.source.read(0, min(nbytes, self.limits.config_bytes + 1)), self.name, self.limits)

    def known(self, fact: T | None) -> T:
        """A fact that ``claims`` made sure of.

        Raises:
            UnknownFormatError: if it did not.
        """
        if fact is None:
            raise UnknownFormatError(f"format: expected another, found {self.described()}", source=self.name)
        return fact

    def described(self) -> str:
        """What the input looks like, for the message that nothing claims it."""
        if self.folder is not None:
            names = ", ".join(self.folder.names[:8]) or "nothing"
            return f"a folder with {names}"
        if self.archive is not None:
            names = ", ".join(list(self.archive.members)[:8]) or "nothing"
            return f"a zip archive with {names}"
        return f"a file that starts with {self.head[:16]!r}"

    @property
    def again(self) -> str | Source | None:
        """What opens the same input once more, in another process as well; None where nothing does."""
        if self.path is not None:
            return os.path.abspath(self.path)
        return None if self.group else self.source

    @property
    def closing(self) -> tuple[Source, ...]:
        """What a checkpoint made from this has to close."""
        return (self.source,) if self.source is not None and self._owned else ()

    def close(self) -> None:
        """Give the file back, unless it was the caller's."""
        for source in self.closing:
            source.close()


def version_1(prefix: str) -> list[str]:
    """Files of a TensorFlow checkpoint of version 1, of which there may be several.

    Args:
        prefix: Path of its one file, or what comes before ``-00000-of-00002`` in the names of several; numbers may
            be question marks behind it, as in state files.

    Returns:
        Their paths, in order; none where not all are there.
    """
    if os.path.isfile(prefix):
        return [prefix]
    folder, base = os.path.split(_SHARDS.sub("", prefix))
    shard = re.compile(re.escape(base) + r"-(\d{5})-of-(\d{5})")
    try:
        with os.scandir(folder or ".") as entries:
            matches = [match for entry in entries if (match := shard.fullmatch(entry.name))]
    except OSError:
        return []
    names = sorted(match[0] for match in matches)
    counts = {int(match[2]) for match in matches}
    whole = len(counts) == 1 and counts == {len(names)} and all(f"-{n:05}-of-" in name for n, name in enumerate(names))
    return [os.path.join(folder, name) for name in names] if whole else []


def _is_h5py(what: Any) -> bool:
    # An h5py object can only exist where h5py was imported already.
    h5py = sys.modules.get("h5py")
    return h5py is not None and isinstance(what, h5py.Group)


def _of_h5py(group: Any) -> tuple[Source, str]:
    """The bytes behind an h5py File or Group, and the group's path in them."""
    file = group.file
    path = str(group.name).strip("/")
    name = os.fsdecode(file.filename)
    if file.mode == "r" and file.driver == "sec2":
        # The file that h5py has open may have another name by now, or none.
        with suppress(OSError):
            if os.path.samestat(os.fstat(file.id.get_vfd_handle()), os.stat(name)):
                return Source.open(name), path
    if file.mode != "r":
        file.flush()
    try:
        return Source.of_bytes(file.id.get_file_image(), name), path
    except (OSError, ValueError) as error:
        raise FormatError(
            f"h5py file: expected one whose image HDF5 can give, found {shown(str(error))}",
            source=name,
            hint="pass the path or the bytes instead",
        ) from error
