"""From a live model to what is to be written: Contents.

tree → the writer's paths → what each object stores → audit → configuration → assets

Nothing is opened in here.  Whatever cannot be saved is known when ``contents`` returns.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kio.contents import Contents, Value
from kio.errors import MatchError, UnsupportedError
from kio.mapping import LAYOUTS, flat
from kio.mapping.keras3 import rules
from kio.mapping.tree import Node, Tree
from kio.models.eras import keras3_older, versions
from kio.models.live import audit, int4, saving
from kio.models.memory.values import values
from kio.models.store import assets_write, h5, serialise, serialise_h5

# Before this version an object without a name had an empty group, too.
_LAZY_GROUPS = (3, 10)


@dataclass(slots=True)
class Stored:
    """What one object writes.

    Attributes:
        node: The object.
        path: Of its group, without ``vars``.
        kept: Variables and values, by key.
        covered: Ids of the variables that are safe, or None if all of its own are.
        others: Keys of what is none of its variables, where its code is not Keras's own.
    """

    node: Node
    path: str
    kept: dict[str, Any] = field(default_factory=dict)
    covered: set[int] | None = None
    others: list[str] = field(default_factory=list)


def contents(
    model: Any,
    *,
    layout: str = "keras_paths",
    whole: bool = False,
    include_optimizer: bool = True,
    objects_to_skip: Iterable[Any] | None = None,
    compat: str | None = None,
) -> Contents:
    """Everything that a save of a live model writes.

    Args:
        model: A Keras model.
        layout: ``"keras_paths"``; ``"h5_layers"`` for legacy HDF5; or ``"flat"`` for formats
            without structure.
        whole: With configuration, metadata and assets.
        include_optimizer: Whether to write the optimizer's state.
        objects_to_skip: Layers (or other saveables) to leave out.
        compat: Keras version that shall read the file, e.g. ``"3.4"``, of legacy HDF5 also
            ``"2.15"``; None for the one that is installed.

    Returns:
        The contents; close them when they are written.

    Raises:
        MatchError: if a variable would not be in the file, with the list of those.
        UnsupportedError: for what the format, or that version of Keras, has no way to say; for a layout that kio
            does not know.
        Exception: whatever the model's own ``get_config``, ``save_own_variables`` or
            ``save_assets`` raise.

    Memory: O(variables); what objects with code of their own compute for the save.
    """
    from kio.models.live import walk

    if layout not in LAYOUTS:
        raise UnsupportedError(f"layout to write: expected one of {', '.join(LAYOUTS)}, found {layout}")
    _check_built(model, whole)
    version = versions.version_of(compat, legacy=layout == "h5_layers")
    skipped = list(objects_to_skip or ())
    if not include_optimizer and getattr(model, "optimizer", None) is not None:
        skipped.append(model.optimizer)
    tree = walk.tree(model, skipped)
    stored = _stored(tree, versions.installed() if layout == "h5_layers" else version)
    made = Contents(version=version)
    if layout == "h5_layers":
        found = h5.fill(made, model, tree, stored, version, whole=whole)
        audit.check(model, found, skipped if whole else [*skipped, getattr(model, "optimizer", None)], "legacy HDF5")
    else:
        audit.check(model, audit.safe(stored), skipped, rules.rule_of(version).name)
        if layout == "flat":
            _fill_flat(made, tree, stored)
        else:
            _fill(made, stored, version)
    if whole:
        _describe(made, model, [node.handle for node in tree.nodes], layout, version, include_optimizer)
        _add_assets(made, stored)
    keras3_older.check_layers(stored, version)
    return made


def _describe(
    made: Contents, model: Any, objects: list[Any], layout: str, version: tuple[int, ...], include_optimizer: bool
) -> None:
    """What the model is, and what it was compiled with, as the layout has them."""
    if layout == "h5_layers":
        made.config = serialise_h5.config(model, version, objects)
        made.metadata = serialise_h5.metadata(model, version, compiled=include_optimizer)
    else:
        made.config = serialise.config(model, version, objects)
        made.metadata = serialise.metadata(version)


def _check_built(model: Any, whole: bool) -> None:
    if getattr(model, "built", True):
        return
    if whole:
        warnings.warn(
            "You are saving a model that has not yet been built. It might not contain any weights yet. "
            "Consider building the model first by calling it on some data.",
            stacklevel=4,
        )
        return
    raise MatchError(
        f"{getattr(model, 'name', 'model')}: expected a built model, found one without variables; "
        "call it on data, or build() it, first"
    )


def _stored(tree: Tree, version: tuple[int, ...]) -> list[Stored]:
    """What every object writes, in the order in which Keras asks them."""
    found = []
    for node, path in rules.walk(tree, rules.rule_of(version)):
        one = Stored(node, path)
        if hasattr(node.handle, "save_own_variables"):
            one.kept, one.covered, one.others = saving.own(node.handle, node, version)
            if node.forms and version < int4.SINCE <= versions.installed():
                int4.store_before(one.kept, node)
            found.append(one)
        elif hasattr(node.handle, "save_assets"):
            found.append(one)
    return found


def _fill(made: Contents, stored: list[Stored], version: tuple[int, ...]) -> None:
    """Names and groups as a Keras 3 file has them."""
    named = rules.rule_of(version).named
    names: list[str] = []
    kept: list[Any] = []
    for one in stored:
        group = f"{one.path}/vars" if one.path else "vars"
        name = getattr(one.node.handle, "name", None) if named else None
        name = name if isinstance(name, str) else None
        if one.kept or name is not None or version < _LAZY_GROUPS:
            made.groups[group] = name
        names += [f"{group}/{key}" for key in one.kept]
        kept += one.kept.values()
    made.tensors = dict(zip(names, _values(kept), strict=True))
    if len(made.tensors) != len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise UnsupportedError(f"name: expected one variable for each, found two for {twice}")


def _fill_flat(made: Contents, tree: Tree, stored: list[Stored]) -> None:
    """Variable paths as names, for formats without structure."""
    names = flat.names(tree)
    targets: dict[str, Any] = {}
    for one in stored:
        leaves = {leaf.key: leaf for leaf in one.node.leaves}
        if one.kept.keys() - leaves.keys():
            raise UnsupportedError(
                f"{one.node.name or one.node.cls}: expected variables alone, found a save_own_variables of its own, "
                "whose values have no names in a flat file",
                hint="save as .weights.h5 or .keras",
            )
        targets.update((names[leaves[key]], kept) for key, kept in one.kept.items())
    made.tensors = dict(zip(targets, _values(list(targets.values())), strict=True))


def _values(kept: list[Any]) -> list[Value]:
    wanted = [each for each in kept if not isinstance(each, Value)]
    found = iter(values(wanted))
    return [each if isinstance(each, Value) else next(found) for each in kept]


def _add_assets(made: Contents, stored: list[Stored]) -> None:
    wanted = [(one.node, one.path) for one in stored if hasattr(one.node.handle, "save_assets")]
    if not wanted:
        return
    folder = tempfile.mkdtemp(prefix="kio-assets-")
    made.closing = lambda: shutil.rmtree(folder, ignore_errors=True)
    try:
        made.assets = assets_write.save(wanted, folder)
    except BaseException:
        made.close()
        raise
