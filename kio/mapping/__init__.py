"""Names to variables.  Knows no framework and reads no bytes; never sees ``formats``.

A layout is one naming scheme: a module with ``names(tree) -> {leaf: name}`` for writing and
``match(checkpoint, tree, *, include, exclude, rename) -> Plan`` for reading.
"""

from __future__ import annotations

# One line a layout; a checkpoint says which one its names follow.
LAYOUTS = ("keras_paths", "h5_layers", "flat")
