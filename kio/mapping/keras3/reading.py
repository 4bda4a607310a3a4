"""Reading: one naming rule tried on one file.

The walk is Keras's own: an object that does not fit under the first path that leads to it
is tried again under the next one.  Fit means: as many keys as the object insists on, all
its keys there, all shapes equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kio.mapping import cudnn
from kio.mapping.automatic import is_automatic
from kio.mapping.keras3.rules import Rule
from kio.mapping.keys import Fit, children, visit
from kio.mapping.old_optimizers import in_old_order, plain_sgd
from kio.mapping.plan import refusal
from kio.mapping.selection import Chooser
from kio.mapping.stored import Stored
from kio.mapping.tree import Container, Form, Leaf, Node, Tree
from kio.raw.tensor import Tensor

# Retries are bounded: paths to try may be as many as ways through the graph.
_RETRIES = 20


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for: which variables, and what they are called in the file.

    Attributes:
        choose: Which variables take part; None: all.
        renamed: From a key of the model to the one in the file; None: the same.
        whole: The model was made for this file: automatic names are its own.
    """

    choose: Chooser | None = None
    renamed: Callable[[str], str] | None = None
    whole: bool = False


def form_of(tensor: Tensor, leaf: Leaf) -> Form | None:
    """The other form of a variable that a tensor has, or None."""
    form = leaf.node.forms.get(leaf.key)
    return form if form is not None and tensor.shape == form.shape and tensor.dtype_name == leaf.dtype else None


def _has_shape(tensor: Tensor, leaf: Leaf) -> bool:
    return tensor.shape == leaf.shape or form_of(tensor, leaf) is not None


class Reading:
    """One rule applied to a file and a model.

    Attributes:
        rule: The rule.
        paths: By ``Node.index``: where the node was found to fit, or None.
        fits: By ``Node.index``: the tensors of its leaves, in their order; empty for customs.
        tried: By ``Node.index``: the first path at which a node that never fitted has
            something stored, else simply its first path.
        order: Nodes that fit, in the order in which Keras loads them.
        used: How many tensors of the file have a place.
        moved: Indices of nodes that the user's ``rename`` sent elsewhere.
        kept: By ``Node.index``: the leaves that take part, where some do not.
        excluded: Paths of which nothing takes part.
        dropped: By ``Node.index``: the leaves that the user left out.
        left_out: Paths of objects that the user said to skip.
        failed: Nodes without a place.
        remade: Leaves that a layer of CuDNN's had otherwise: how, and the layer's class.
    """

    def __init__(self, tree: Tree, rule: Rule, stored: Stored, options: Options | None = None) -> None:
        n = len(tree.nodes)
        self.tree, self.rule, self.stored = tree, rule, stored
        self.paths: list[str | None] = [None] * n
        self.fits: list[list[Tensor]] = [[] for _ in range(n)]
        self.tried: list[str | None] = [None] * n
        self.order: list[Node] = []
        self.used = 0
        self.choose = options.choose if options else None
        self.renamed = options.renamed if options else None
        self.moved: set[int] = set()
        self.kept: dict[int, list[Leaf]] = {}
        self.old_keys: dict[int, Mapping[Leaf, str]] = {}
        self.unclaimed: dict[int, list[str]] = {}  # stored for an optimizer that has no use for them
        self.whole = options is not None and options.whole
        self.excluded: set[str] = set()
        self.dropped: dict[int, list[Leaf]] = {}
        self.left_out: set[str] = set()
        self.remade: dict[Leaf, tuple[cudnn.Make, str]] = {}
        self.walk()
        self.failed = [
            node for node in tree.nodes
            if self.paths[node.index] is None and not node.skip and (node.leaves or self.tried[node.index])
        ]  # fmt: skip

    @property
    def complete(self) -> bool:
        """Every object fits; optimizers do not count, they are skipped where they do not."""
        return all(node.kind == "Optimizer" for node in self.failed)

    def differs(self, other: Reading) -> bool:
        """Whether some object finds its variables elsewhere."""
        return any(
            mine != theirs and node.loads and (node.leaves or node.custom)
            for node, mine, theirs in zip(self.tree.nodes, self.paths, other.paths, strict=True)
        )

    def walk(self) -> None:
        """Visit depth first; a node is done when it and everything below it fits."""
        done = [node.skip for node in self.tree.nodes]
        fit = None
        if self.choose is None and self.renamed is None and self.rule.keys == "index":
            stored, of_keras3 = self.stored, self.rule.since >= (3,)
            fit = Fit(stored.groups, stored.tensors, cudnn.CELLS, of_keras3, refusal, self.paths, self.fits, self.order)

        def steps(node: Node, path: str) -> Iterator[tuple[Node, str]]:
            return children(node, path, self.rule, done, self.arrange)

        visit(self.tree.root, done, self.paths, steps, self.attempt, self.left_out, _RETRIES * (len(done) + 50), fit)
        self.used += fit.used if fit is not None else 0

    def arrange(self, container: Container, path: str) -> list[tuple[Node, str]]:
        """The members of a set with their paths, as far as the file proves them.

        A set has the order of its objects' addresses, which no two processes share.  A place
        goes to the member whose name is stored there, else to the only one that fits; where
        neither decides it stays empty.
        """
        by_class: dict[str, list[Node]] = {}
        for item in container.items:
            if isinstance(item, Node):
                by_class.setdefault(item.cls, []).append(item)
        proved = []
        for cls, nodes in by_class.items():
            open_places = {
                place: self.candidates(place, nodes)
                for place in (f"{path}/{cls}_{n}" if n else f"{path}/{cls}" for n in range(len(nodes)))
            }
            while True:
                found = next(((p, c[0]) for p, c in open_places.items() if len(c) == 1), None)
                if found is None:
                    break
                proved.append((found[1], found[0]))
                del open_places[found[0]]
                open_places = {p: [n for n in c if n is not found[1]] for p, c in open_places.items()}
        return proved

    def candidates(self, place: str, nodes: list[Node]) -> list[Node]:
        """Those of a set's members that may have been stored at a place."""
        group = self.stored.groups.get(place)
        if group is None:
            # Whatever was met before, or has nothing to store.
            return [n for n in nodes if self.paths[n.index] is not None or not n.leaves]
        get = self.stored.tensors.__getitem__
        fitting = [
            node
            for node in nodes
            if self.paths[node.index] is None
            and len(node.leaves) == len(group)
            and all(leaf.key in group and _has_shape(get(group[leaf.key]), leaf) for leaf in node.leaves)
        ]
        name = self.stored.names.get(place)
        named = [
            node for node in fitting if node.name == name and (self.whole or not is_automatic(name or "", node.cls))
        ]
        return named if len(named) == 1 else fitting

    def attempt(self, node: Node, path: str) -> bool:
        """Try to place a node at a path."""
        i = node.index
        if node.loads:
            if self.renamed is not None:
                path = self.rename(node, path)
            path, layout = self.of_cudnn(node, path)
            group = self.stored.groups.get(path)
            if group is not None and not node.leaves and self.has_cells_weights(node, path):
                group = None
            leaves, expects = node.leaves, node.expects
            if self.choose is not None:
                leaves, expects = self.chosen(node, path)
            if node.custom:
                # Its code will tell; without anything stored another path may do better.
                if group is None and expects:
                    return self.fail(i, path, False)
                self.used += len(group or ())
            elif group is not None:
                if self.of_tf_keras(node, group):
                    leaves, expects = self.kept[i], len(group)
                if len(group) != expects and expects is not None:
                    return self.fail(i, path, True)
                fits = self.fit(i, leaves, group) if layout is None else self.remake(i, layout, leaves, group)
                if leaves and not fits and not self.refit(node, leaves, group):
                    return self.fail(i, path, True)
                self.used += len(group)
            elif leaves:
                return self.fail(i, path, False)
        self.paths[i] = path
        self.order.append(node)
        return True

    def of_cudnn(self, node: Node, path: str) -> tuple[str, cudnn.Layout | None]:
        """Where a cell's weights are, and the layout if it was a layer of CuDNN's."""
        layout = cudnn.CELLS.get(node.cls)
        if layout is not None:
            for place in cudnn.places(layout, path):
                if self.is_cudnn(layout, place):
                    return place, layout
        return path, None

    def is_cudnn(self, layout: cudnn.Layout, path: str) -> bool:
        group = self.stored.groups.get(path, {})
        return group.keys() == {"0", "1", "2"} and layout.fits(
            [self.stored.tensors[group[key]].shape for key in sorted(group)]
        )

    def has_cells_weights(self, node: Node, path: str) -> bool:
        """Whether what is stored for a recurrent layer itself was a layer of CuDNN's: it is its cell's."""
        cells = [child for _, child in node.entries if isinstance(child, Node) and child.cls in cudnn.CELLS]
        return any(self.is_cudnn(cudnn.CELLS[cell.cls], path) for cell in cells)

    def remake(self, i: int, layout: cudnn.Layout, leaves: list[Leaf], group: dict[str, str]) -> bool:
        tensors = [self.stored.tensors[group[leaf.key]] for leaf in leaves]
        for leaf, tensor in zip(leaves, tensors, strict=True):
            if (
                layout.today(tensor.shape) != leaf.shape
                or tensor.dtype_name != leaf.dtype
                or tensor.problem is not None
            ):
                return False
        self.fits[i] = tensors
        self.remade |= {leaf: (layout.makes[int(leaf.key)], layout.what) for leaf in leaves}
        return True

    def rename(self, node: Node, path: str) -> str:
        """Where in the file the user says that this object is."""
        prefix = f"{path}/vars/" if path else "vars/"
        if self.renamed is None:
            return path
        key = self.renamed(prefix + "0")
        if key == prefix + "0":
            return path
        self.moved.add(node.index)
        cut = key.rfind("/vars/")
        return key[:cut] if cut > 0 else "" if key.startswith("vars/") else key

    def chosen(self, node: Node, path: str) -> tuple[list[Leaf], int | None]:
        """The leaves that take part in the load, and how many keys to insist on."""
        choose = self.choose
        if choose is None:
            return node.leaves, node.expects
        if node.custom or not node.leaves:
            if not choose(path, node.name or path):
                self.excluded.add(path)
                if node.custom:
                    self.dropped[node.index] = list(node.leaves)
                return [], None
            return node.leaves, node.expects
        prefix = f"{path}/vars/" if path else "vars/"
        leaves = [leaf for leaf in node.leaves if choose(leaf.path, prefix + leaf.key)]
        if len(leaves) == len(node.leaves):
            return leaves, node.expects
        self.kept[node.index] = leaves
        self.dropped[node.index] = [leaf for leaf in node.leaves if leaf not in leaves]
        if not leaves:
            self.excluded.add(path)
        return leaves, None

    def of_tf_keras(self, node: Node, group: dict[str, str]) -> bool:
        """Whether an optimizer was stored by tf.keras, under other keys than today's."""
        if node.kind != "Optimizer" or self.rule.since >= (3,) or not node.leaves:
            return False
        keys = [str(n) for n in range(len(group))]
        if not all(key in group for key in keys):
            return False
        leaves = in_old_order(node, [self.stored.tensors[group[key]].shape for key in keys], self.stored.checkpoint)
        if leaves is None:
            return False
        chosen = self.kept.get(node.index, node.leaves)
        self.kept[node.index] = [leaf for leaf in chosen if leaf in leaves]
        self.old_keys[node.index] = dict(zip(leaves, keys, strict=False))
        if len(keys) > len(leaves) and plain_sgd(self.stored.checkpoint) is None:
            self.unclaimed[node.index] = [group[key] for key in keys[len(leaves) :]]
        return True

    def fit(self, i: int, leaves: list[Leaf], group: dict[str, str]) -> bool:
        tensors = []
        named = self.rule.keys == "name"
        get = self.stored.tensors.__getitem__
        shifted = self.old_keys.get(i, {})
        for leaf in leaves:
            name = group.get(leaf.name if named else shifted.get(leaf, leaf.key))
            if name is None:
                return False
            tensor = get(name)
            if tensor.shape != leaf.shape:
                if form_of(tensor, leaf) is None:
                    return False
            elif tensor.dtype_name != leaf.dtype and refusal(tensor, leaf):
                return False
            if tensor.problem is not None:
                return False
            tensors.append(tensor)
        self.fits[i] = tensors
        return True

    def refit(self, node: Node, leaves: list[Leaf], group: dict[str, str]) -> bool:
        """Whether the node fits by the other keys that its leaves had at another time."""
        i = node.index
        if not node.others or i in self.old_keys:
            return False
        self.old_keys[i] = node.others
        if self.fit(i, leaves, group):
            return True
        del self.old_keys[i]
        return False

    def fail(self, i: int, path: str, present: bool) -> bool:
        if self.tried[i] is None or (present and self.tried[i] not in self.stored.groups):
            self.tried[i] = path
        return False
