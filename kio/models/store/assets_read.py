"""Vocabularies and other files of layers: extracted one layer at a time, then forgotten.

``layer.load_assets(folder)`` wants files.  Only files under ``assets/`` are ever written,
only into a folder of our own that nobody else can read, and only for as long as one call.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from kio.errors import ChecksumError, KioError, LimitError, MatchError, UnsafeError, shown
from kio.keras_private import is_own
from kio.limits import DEFAULT, Limits
from kio.mapping.tree import Node

_PIECE = 1 << 20
_RESERVED = frozenset('<>:"|?*\\') | {chr(c) for c in range(32)}


def load(assets: Any, wanted: Sequence[tuple[Node, str]], limits: Limits = DEFAULT) -> None:
    """Give each object the files stored for it.

    Args:
        assets: ``Checkpoint.assets``: sources by name, names without ``assets/``.
        wanted: Objects and their paths, in the order in which Keras loads them.
        limits: ``spool_bytes`` caps what is written for one object.

    Raises:
        UnsafeError: for a name that could lead out of the folder.
        ChecksumError: for a damaged file.
        MatchError: if an object refuses its files.
    """
    if not len(assets):
        return
    for node, path in wanted:
        prefix = path + "/" if path else ""
        names = [name for name in assets if name.startswith(prefix)]
        with tempfile.TemporaryDirectory(prefix="kio-assets-") as folder:
            _extract(assets, names, prefix, folder, limits)
            try:
                if not _set_words(node.handle, folder):
                    # Keras gives None where it has no folder for the object.
                    node.handle.load_assets(folder if names else None)
            except KioError:
                raise
            except Exception as error:
                raise MatchError(
                    f"{node.name or node.cls}: expected its load_assets to accept "
                    f"{', '.join(map(shown, names[:4])) or 'no files'}, found {type(error).__name__}: {error}"
                ) from error


def _set_words(layer: Any, folder: str) -> bool:
    """Give one of Keras's own lookups its vocabulary; False if this is none.

    What ``load_assets`` does, but for two things: it also splits tokens at what only looks like the end of
    a line, and refuses TF-IDF weights that were padded up to ``max_tokens``.
    """
    load = getattr(type(layer), "load_assets", None)
    inner = getattr(layer, "_lookup_layer", layer)
    path = os.path.join(folder, "vocabulary.txt")
    if not is_own(load):
        return False
    if not hasattr(inner, "set_vocabulary") or not os.path.exists(path):
        return False
    if inner.input_vocabulary is not None:
        return True  # the configuration has it
    with open(path, newline="") as file:  # in the encoding in which Keras would open it
        words: list[Any] = _lines(file.read())
    if inner.vocabulary_dtype != "string":
        words = [int(word) for word in words]
    if inner.output_mode == "tf_idf":
        inner.set_vocabulary(words, idf_weights=inner.idf_weights_const.numpy()[: len(words)])
    else:
        inner.set_vocabulary(words)
    return True


def _lines(text: str) -> list[str]:
    """Tokens as they were joined, on Windows, too, where each end of a line became two characters."""
    if text.count("\n") == text.count("\r\n"):
        text = text.replace("\r\n", "\n")
    return text.rstrip("\n").split("\n")


def _extract(assets: Mapping[str, Any], names: list[str], prefix: str, folder: str, limits: Limits) -> None:
    left = limits.spool_bytes
    for name in names:
        source = assets[name]
        left -= source.nbytes
        if left < 0:
            raise LimitError(
                f"assets of {shown(prefix)}: expected at most limits.spool_bytes={limits.spool_bytes}, found more",
                source=source.name,
                field="spool_bytes",
            )
        target = os.path.join(folder, *_parts(name[len(prefix) :], source.name))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "xb") as file:
            _copy(source, file)


def _parts(name: str, where: str) -> list[str]:
    """The components of a name, none of which can lead anywhere else on any system."""
    parts = name.split("/")
    for part in parts:
        if part in ("", ".", "..") or _RESERVED.intersection(part) or part[-1] in ". ":
            raise UnsafeError(f"asset name: expected plain folders and a file, found {shown(name)} ({shown(where)})")
    return parts


def _copy(source: Any, file: Any) -> None:
    crc, offset = 0, 0
    while offset < source.nbytes:
        piece = source.read(offset, min(_PIECE, source.nbytes - offset))
        crc = zlib.crc32(piece, crc)
        file.write(piece)
        offset += len(piece)
    if source.crc32 is not None and source.crc32 != crc:
        raise ChecksumError(
            f"CRC-32: expected {source.crc32:#010x}, found {crc:#010x}", source=source.name, field="crc32"
        )
