"""Vocabularies and other files of layers, asked for before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from kio.errors import MatchError, shown
from kio.keras_private import is_own
from kio.mapping.tree import Node


def save(wanted: Sequence[tuple[Node, str]], folder: str) -> dict[str, str]:
    """Let every object write its files.

    Args:
        wanted: Objects with ``save_assets``, and their paths.
        folder: An empty folder of our own.

    Returns:
        Path of each file, by name without ``assets/``, sorted.

    Raises:
        MatchError: for a vocabulary that Keras would read back as another one.
        Exception: whatever an object's ``save_assets`` raises.
    """
    for node, path in wanted:
        place = os.path.join(folder, *path.split("/")) if path else folder
        os.makedirs(place, exist_ok=True)
        node.handle.save_assets(place)
        _check_vocabulary(node, os.path.join(place, "vocabulary.txt"))
    found = {}
    for at, folders, names in os.walk(folder):
        folders.sort()
        for name in names:
            full = os.path.join(at, name)
            found[os.path.relpath(full, folder).replace(os.sep, "/")] = full
    return dict(sorted(found.items()))


def _check_vocabulary(node: Node, path: str) -> None:
    """Keras joins tokens by line ends and splits them at everything that looks like one.

    Spec: ``IndexLookup.save_assets`` and ``load_assets``.
    """
    layer: Any = getattr(node.handle, "_lookup_layer", node.handle)
    save = getattr(type(layer), "save_assets", None)
    if not is_own(save) or not os.path.exists(path):
        return
    tokens = [str(token) for token in layer.get_vocabulary(include_special_tokens=True)]
    with open(path) as file:
        lines = file.read().splitlines()
    while tokens and tokens[-1] == "":
        tokens.pop()
    while lines and lines[-1] == "":
        lines.pop()
    if tokens != lines:
        token = next((a for a, b in zip(tokens, lines, strict=False) if a != b), tokens[-1] if tokens else "")
        raise MatchError(
            f"vocabulary of {node.name or node.cls}: expected tokens without line ends, found {shown(token)!r}; "
            "Keras would read other tokens back; give the vocabulary to the layer's constructor"
        )
