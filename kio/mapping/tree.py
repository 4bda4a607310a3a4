"""Tree: a model as the mapping wing sees it.  Knows no framework.

    Tree ── Node ── Leaf            one saveable object and its own variables
             └── entries ── Node | Container ── Node | Container …

A Tree keeps the *attribute graph*, not paths: the same object may hang in several
places, and which of them a file uses is a matter of the writer's version.  Rules turn
the graph into keys (``keras_paths``).  Nodes, leaves and containers are compiled (``nodes``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kio.mapping.nodes import Container as Container
from kio.mapping.nodes import Leaf as Leaf
from kio.mapping.nodes import Node as Node


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
