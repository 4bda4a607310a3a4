"""Tree: a model as the mapping wing sees it.  Knows no framework.

    Tree ── Node ── Leaf            one saveable object and its own variables
             └── entries ── Node | Container ── Node | Container …

A Tree keeps the *attribute graph*, not paths: the same object may hang in several
places, and which of them a file uses is a matter of the writer's version.  Rules turn
the graph into keys (``keras_paths``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Form:
    """How another writer kept a variable.

    Attributes:
        what: The form, for people.
        shape: Of the tensor in that form; never the variable's own.
        make: The stored array, alone in a list, to an array of the variable's shape.
        unmake: The reverse.
    """

    what: str
    shape: tuple[int, ...]
    make: Callable[[Sequence[Any]], Any]
    unmake: Callable[[Sequence[Any]], Any]


class Leaf:
    """One model variable under one key of its object.

    Attributes:
        key: Key in the object's own store: ``"0"``, ``"1"``, …
        path: Path for messages, as the framework spells it, e.g. ``"dense/kernel"``.
        name: Name of the variable alone, e.g. ``"kernel"``.
        shape: In elements.
        dtype: Name of a row of ``kio.dtypes``.
        handle: The live variable; opaque here.
        node: The object that owns it.
    """

    __slots__ = ("dtype", "handle", "key", "name", "node", "path", "shape")

    def __init__(
        self, key: str, path: str, name: str, shape: tuple[int, ...], dtype: str, handle: Any, node: Node
    ) -> None:
        self.key = key
        self.path = path
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.handle = handle
        self.node = node

    def __repr__(self) -> str:
        return f"Leaf({self.path}, {self.dtype}{list(self.shape)})"


_NO_FORMS: Mapping[str, Form] = {}
_NO_KEYS: Mapping[Leaf, str] = {}


class Node:
    """One saveable object.

    Attributes:
        index: Position in ``Tree.nodes``.
        cls: Class name in snake case; containers name their members by it.
        kind: ``"Functional"``, ``"Sequential"``, ``"Layer"``, ``"Optimizer"``, …: what decides
            how the object is walked and how strictly it is loaded.
        name: The object's own name, or None.
        entries: ``(attribute, child)`` in the order of the newest writer.
        leaves: Its own variables in the order of their keys.
        expects: Number of keys the object insists on, or None where it does not count.
        loads: Whether it reads variables at all.
        custom: It runs code of its own on a dict-like view of what is stored for it.
        built: False where the object has not made its variables yet.
        rivals: Names that prove, if stored, that the state is of another kind of object.
        assets: Whether it loads assets.
        skip: Leave it and what hangs only on it alone.
        forms: By key of a leaf: the form in which another version of the framework kept it.
        spare: Shapes of variables that older writers kept for it to no use.
        others: Keys of its leaves under another order, which counts where only that one fits.
        table: It had a table of words or a summary among its weights in tf.keras, which is no variable here.
        handle: The live object; opaque here.
        after: What remains to be done once its variables are set, or None.
    """

    __slots__ = (
        "after",
        "assets",
        "built",
        "cls",
        "custom",
        "entries",
        "expects",
        "forms",
        "handle",
        "index",
        "kind",
        "leaves",
        "loads",
        "name",
        "others",
        "rivals",
        "skip",
        "spare",
        "table",
    )

    def __init__(self, index: int, cls: str, kind: str, name: str | None, handle: Any = None) -> None:
        self.index = index
        self.cls = cls
        self.kind = kind
        self.name = name
        self.handle = handle
        self.entries: list[tuple[str, Child]] = []
        self.leaves: list[Leaf] = []
        self.expects: int | None = None
        self.loads = False
        self.custom = False
        self.built = True
        self.rivals: frozenset[str] = frozenset()
        self.assets = False
        self.skip = False
        self.forms: Mapping[str, Form] = _NO_FORMS
        self.spare: Sequence[tuple[int, ...]] = ()
        self.others: Mapping[Leaf, str] = _NO_KEYS
        self.table = False
        self.after: Callable[[], None] | None = None

    def release(self) -> None:
        """Let go of the live object and of all that hangs on it; what it was called stays."""
        self.handle = self.after = None
        self.entries, self.leaves, self.forms, self.others = [], [], _NO_FORMS, _NO_KEYS

    def __repr__(self) -> str:
        return f"Node({self.cls} {self.name!r}, {len(self.leaves)} leaves, {len(self.entries)} entries)"


class Container:
    """A list, tuple, set or the values of a dict; members that save nothing are left out.

    Nested containers stay even when empty: their place counts when others are named.
    """

    __slots__ = ("items", "kind")

    def __init__(self, kind: str, items: list[Child] | None = None) -> None:
        self.kind = kind
        self.items: list[Child] = [] if items is None else items

    def __repr__(self) -> str:
        return f"Container({self.kind}, {len(self.items)} items)"


Child = Node | Container


@dataclass(slots=True)
class Part:
    """The own variables of one object, as files see them that know order instead of paths.

    Attributes:
        node: The object.
        leaves: Its variables, those that were made trainable first.
        trainable: How many were made trainable.
        flags: Which are trainable now.
        names: Names of the objects from a layer of the model down to this one.
        channels_first: Whether it is a convolution with the channels before rows and columns.
        finish: What remains to be done once its variables are set, or None.
        epsilon: What a normalization adds to a variance.
    """

    node: Node
    leaves: list[Leaf]
    trainable: int
    flags: tuple[bool, ...]
    names: tuple[str, ...]
    channels_first: bool = False
    finish: Callable[[], None] | None = None
    epsilon: float = 0.0


@dataclass(slots=True)
class Stack:
    """A model as a list of layers.

    Attributes:
        layers: Each layer of the model, in the model's order, and the parts that it is made of.
        own: Variables of the model itself, outside its layers; empty where it has none.
        skipped: Layers, by index, that the user wants left alone.
        weights: Gives the weights of each layer, and last those of the model itself, in the
            order in which a writer lists them: trainable ones first, as the flags are now.
        order: Names of the layers in the order of a file without names; empty: not known.
        chained: Whether each layer takes what the one before it gave: then there is one order.
    """

    layers: list[tuple[Node, list[Part]]]
    own: Part
    skipped: frozenset[int] = frozenset()
    weights: Callable[[], list[list[Leaf]]] | None = None
    order: tuple[str, ...] = ()
    chained: bool = False


@dataclass(slots=True)
class Tree:
    """All objects of a model, the root first.

    Attributes:
        nodes: Every saveable object once, root at 0.
        framework: For messages, e.g. ``"Keras 3.15.1 (jax)"``.
        apart: Nodes, by index, that are listed and not to be filled: their places count.

    What only some layouts need, each asks for itself; None where the tree is not one of a live model:

        stack: Gives the model as a list of layers, for layouts that go by order.
        unskipped: Gives the tree with what the user skips in it, as ``apart``.
        order_of: Gives the optimizers' leaves the keys that a writer of that version used, None standing for a file
            that does not say; returns whether the order matters for this model and nothing tells which it is.
        name_sums: Gives sums of optimizers that are all called alike the names of the variables that they are of.
    """

    nodes: list[Node] = field(default_factory=list)
    framework: str = ""
    apart: frozenset[int] = frozenset()
    stack: Callable[[], Stack] | None = None
    unskipped: Callable[[], Tree] | None = None
    order_of: Callable[[tuple[int, ...] | None], bool] | None = None
    name_sums: Callable[[], None] | None = None

    @property
    def root(self) -> Node:
        return self.nodes[0]

    @property
    def leaves(self) -> Iterator[Leaf]:
        """Every leaf; a shared variable appears once for each key it has."""
        for node in self.nodes:
            yield from node.leaves
