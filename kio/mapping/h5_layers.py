"""Layout of legacy HDF5: layers by order or by name, weights of a layer by order.

    model_weights/dense/dense/kernel:0      first weight of the layer "dense"

Which layer of the model a stored one belongs to, ``h5_rows`` finds: the one at its place,
unless names that a person chose say more.  Within a layer ``h5_order`` finds the order,
``h5_convert`` other forms of a value.

Spec: ``keras/src/legacy/saving/legacy_h5_format.py``; ``hdf5_format.py`` of tf.keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kio.errors import MatchError, shown
from kio.mapping.automatic import is_automatic
from kio.mapping.h5.convert import VARIANCE, turns
from kio.mapping.h5.names import groups
from kio.mapping.h5.optimizer import Origin, match_optimizer
from kio.mapping.h5.order import Laid, lay
from kio.mapping.h5.rows import Row, Rows, leaves_of
from kio.mapping.h5.stored import StoredLayer, StoredLayers
from kio.mapping.old_optimizers import plain_sgd
from kio.mapping.plan import Custom, Mismatch, Plan, Skipped
from kio.mapping.selection import EVERYTHING, Selection
from kio.mapping.tree import Leaf, Node, Part, Stack, Tree
from kio.raw.tensor import Tensor

# What multi-backend Keras ran on; only Theano convolves, all others correlate.
BACKENDS = ("theano", "tensorflow", "cntk")


def names(tree: Tree) -> dict[Leaf, str]:
    """The path of every leaf below the group of the model's weights, as Keras 3 writes it."""
    found: dict[Leaf, str] = {}
    for group in groups(_stack(tree)):
        for leaf, name in zip(group.leaves, group.names, strict=True):
            found.setdefault(leaf, f"{group.path}/{name}")
    return found


def match(checkpoint: Any, tree: Tree, selection: Selection = EVERYTHING) -> Plan:
    """Decide which stored weight goes to which variable.

    Args:
        checkpoint: Of a legacy HDF5 file.
        tree: The model.
        selection: ``include`` and ``exclude`` are globs over Keras variable paths, stored names and names of layers;
            ``rename`` leads from the name of a layer of the model to its name in the file; ``by_name`` fills layers
            that the file has under their name, and leaves the others alone; without ``whole`` the optimizer is left
            alone, as Keras leaves it.

    Returns:
        The plan; nothing is refused before ``plan.check``.

    Raises:
        CorruptError: if the file lists what it does not hold.
        MatchError: for a pattern, or a key of ``rename``, that matches nothing.

    Cost: a few µs a variable; no I/O but attributes.
    """
    if tree.name_sums is not None:
        tree.name_sums()
    stored = StoredLayers(checkpoint, selection.original_backend)
    found = _Match(stored, _stack(tree), selection)
    made = found.plan(checkpoint, _optimizers(tree) if selection.whole else [])
    if found.choose is not None:
        found.choose.check(checkpoint)
    if found.renamed is not None:
        found.renamed.meet(str(node.name) for node, _ in found.stack.layers)
        found.renamed.check("a layer of the model")
    return made


def _optimizers(tree: Tree) -> list[Node]:
    """The optimizer of a model, and the one inside it."""
    found: list[Node] = []
    node: Node | None = tree.root
    while node is not None:
        inner = [child for _, child in node.entries if isinstance(child, Node) and child.kind == "Optimizer"]
        node = inner[0] if inner and inner[0] not in found else None
        found += [node] if node is not None else []
    return found


def _stack(tree: Tree) -> Stack:
    if tree.stack is None:
        raise MatchError("model: expected one with a list of layers, found an object without")
    return tree.stack()


class _Match:
    def __init__(self, stored: StoredLayers, stack: Stack, selection: Selection) -> None:
        self.stored, self.stack = stored, stack
        self.choose, self.renamed = selection.chooser(), selection.renamer()
        self.by_name, self.whole = selection.by_name, selection.whole
        self.left_out: dict[int, Leaf] = {}
        self.made = Plan(rule=self.rule(), part=selection.part)
        self.taken: set[str] = set()
        self.origins: list[Origin] = []
        self.seen = 0
        self.left: set[int] = set()

    def rule(self) -> str:
        era = self.stored.era
        writer = f"Keras {era.version}" if era.version else "Keras 0.x" if self.stored.counted else "Keras 1 or before"
        return f"legacy HDF5 of {writer}" + (f" on {era.backend}" if era.backend else "")

    def plan(self, checkpoint: Any, optimizers: Sequence[Node]) -> Plan:
        made, stored = self.made, self.stored
        made.source = str(getattr(checkpoint, "name", ""))
        skipped = {id(self.stack.layers[i][0]) for i in self.stack.skipped}
        rows = self.rows()
        for node, parts, layer in rows:
            if layer is not None:
                self.taken.update(t.name for t in layer.tensors)
            if id(node) in skipped:
                continue
            if layer is None:
                self.missing(node, parts)
            else:
                self.enter(node, parts, self.lay(layer, parts), layer)
        self.own()
        self.summaries()
        self.marks(rows)
        self.last_wins()
        filled = {id(leaf.handle) for _, leaf in made.pairs} | {id(each.leaf.handle) for each in made.converted}
        made.leave_out(leaf for i, leaf in self.left_out.items() if i not in filled)
        done = self.taken | set(stored.states)
        optimizer = {t.name for t in stored.optimizer.tensors} if stored.optimizer else set()
        # Tensors of a group that was handed over are called by their whole path.
        above = next((tensor.name.removesuffix(name) for name, tensor in checkpoint.items()), "")
        done |= optimizer
        made.unexpected = [name for name in checkpoint if name not in done and above + name not in done]
        if stored.optimizer is not None and optimizers:
            plain = plain_sgd(checkpoint)
            match_optimizer(stored.optimizer, optimizers, self.origins, stored.era.sorts, made, plain)
        elif optimizer:
            made.notes.append(f"{len(optimizer)} tensors of an optimizer are left alone.")
        if stored.states:
            made.notes.append(f"{len(stored.states)} states of random layers are left alone.")
        return made

    # ------------------------------------------------------------------ layers to layers

    def rows(self) -> list[Row]:
        """Every layer of the model that has weights, with the stored layer that is meant for it."""
        layers = [(node, parts) for node, parts in self.stack.layers if parts]
        if self.stored.counted == "graph" or (self.stored.counted and not self.by_name and self.renamed is None):
            return self.counted(layers)
        finder = Rows(layers, self.stored, self.made, self.renamed, by_name=self.by_name, whole=self.whole)
        finder.chosen = [any(map(self.chosen, leaves_of(parts))) for _, parts in layers]
        return finder.find()

    def counted(self, layers: list[tuple[Node, list[Part]]]) -> list[Row]:
        """The same for Keras 0.x, which counted layers, or all weights of a graph."""
        stored, order = self.stored.layers, self.stack.order
        place = {name: i for i, name in enumerate(order)}
        told = bool(order) and all(node.name in place for node, _ in layers)
        if told:
            layers = sorted(layers, key=lambda row: place[str(row[0].name)])
        if self.stored.counted == "layers" and len(stored) == len(layers):
            return [(node, parts, layer) for (node, parts), layer in zip(layers, stored, strict=True)]
        if not layers or not stored:
            return [(node, parts, None) for node, parts in layers]
        shapes = [tuple(leaf.shape for leaf in leaves_of(parts)) for _, parts in layers]
        if not told and not self.stack.chained and len(set(shapes)) < len(shapes):
            self.made.ambiguous = (
                "match of file and model: expected layers in the order of the file, which has no names, found "
                "several of the same shapes side by side; a model that kio.model_from_json made of the graph's own "
                "configuration knows the order"
            )
        left = [layer for i, layer in enumerate(self.stack.layers) if i in self.stack.skipped]
        self.left = {id(part.node) for _, parts in left for part in parts}
        whole = [part for _, parts in layers for part in parts]
        joined = StoredLayer(
            stored[0].name, [t for each in stored for t in each.tensors], [n for each in stored for n in each.names]
        )
        # A row of its own: what is left alone in it is known by its parts.
        return [(self.stack.own.node, whole, joined)]

    # ------------------------------------------------------------------ one layer

    def lay(self, layer: StoredLayer, parts: Sequence[Part]) -> Laid:
        return lay(layer, parts, self.stored.era, trusted=self.whole or self.by_name)

    def enter(self, node: Node, parts: list[Part], laid: Laid, layer: StoredLayer) -> None:
        made, choose = self.made, self.choose
        what = shown(node.name or node.cls)
        if laid.ambiguous and (choose is None or any(map(self.chosen, leaves_of(parts)))):
            made.ambiguous = (
                made.ambiguous
                or f"match of file and model: expected one reading of {what}, found two: "
                + (f"{laid.why}; freeze the same layers as then, or use by_name=True on a model with the same names")
            )
        if laid.why:
            first = layer.tensors[0].name
            for leaf in filter(self.chosen, leaves_of(parts)):
                why = laid.why if leaf.path in laid.why else f"layer {what}: {laid.why}"
                made.mismatched.append(Mismatch(leaf.path, first, why, leaf))
            return
        self.trace(laid, layer)
        left = self.left | {id(part.node) for part in parts if part.node.skip}
        for tensor, leaf in laid.pairs:
            if id(leaf.node) not in left and self.chosen(leaf, tensor):
                made.pairs.append((tensor, leaf))
        made.converted += [
            c for c in laid.converted if id(c.leaf.node) not in left and self.chosen(c.leaf, c.tensors[0])
        ]
        made.finishing += [part.finish for part in parts if part.finish is not None and id(part.node) not in left]

    def trace(self, laid: Laid, layer: StoredLayer) -> None:
        """Note where each variable comes from: an optimizer's state is named after it."""
        place = {id(t): (name, i) for i, (t, name) in enumerate(zip(layer.tensors, layer.names, strict=True))}
        start = self.seen
        self.seen += len(layer.tensors)
        rows = [([t], leaf, None, "") for t, leaf in laid.pairs]
        rows += [(c.tensors, c.leaf, c.make, c.what) for c in laid.converted]  # type: ignore[misc]
        for tensors, leaf, make, what in rows:
            stored = tuple(place[id(t)][0].partition(":")[0] for t in tensors)
            shapes = tuple(t.shape for t in tensors)
            self.origins.append(Origin(leaf, stored, shapes, make, what, start + place[id(tensors[0])][1]))

    def chosen(self, leaf: Leaf, tensor: Tensor | None = None) -> bool:
        if self.choose is None:
            return True
        if self.choose(leaf.path, leaf.path if tensor is None else tensor.name):
            return True
        self.left_out[id(leaf.handle)] = leaf
        return False

    def missing(self, node: Node, parts: list[Part]) -> None:
        leaves = [leaf for leaf in leaves_of(parts) if self.chosen(leaf)]
        renamed = self.renamed(str(node.name)) if self.renamed is not None else node.name
        if self.by_name and renamed == node.name:
            self.made.skipped.append(Skipped(node.name or node.cls, "no layer of this name in the file", leaves))
            return
        for leaf in leaves:
            self.made.keys[leaf] = f"{renamed}/{leaf.name}"
            self.made.missing.append(leaf)

    def own(self) -> None:
        """Variables of the model itself."""
        own, stored = self.stack.own, self.stored.own
        if stored is not None:
            self.taken.update(t.name for t in stored.tensors)
        leaves = [leaf for leaf in own.leaves if self.chosen(leaf)]
        if stored is not None and (stored.tensors or own.leaves):
            self.enter(own.node, [own], self.lay(stored, [own]), stored)
            if not own.leaves:
                self.unowned(stored)
        elif leaves:
            # Before 2.7 nobody stored them.
            why = "the file has no weights of the model itself"
            self.made.skipped.append(Skipped(own.node.name or own.node.cls, why, leaves))

    def unowned(self, stored: StoredLayer) -> None:
        """Variables of the file's model itself, where today's model has none."""
        made = self.made
        self.taken.difference_update(t.name for t in stored.tensors)
        if not (made.part or made.ambiguous or self.whole):
            made.ambiguous = (
                f"match of file and model: expected no weights beside those of layers, found {len(stored.tensors)} of "
                "the file's model itself; partial=True leaves them unused"
            )

    def summaries(self) -> None:
        """What Discretization layers have seen: to those of the same names, else in order."""
        mine = [node for node, _ in self.stack.layers if node.cls == "discretization" and node.custom and node.table]
        stored = self.stored.summaries
        chosen = not any(is_automatic(str(node.name), node.cls) for node in mine)
        same = (self.whole or chosen) and {node.name for node in mine} == set(stored)
        named = self.by_name or self.renamed is not None or same
        if named:
            known = {self.renamed(str(node.name)) if self.renamed else str(node.name): node for node in mine}
            pairs = [(known[name], tensor) for name, tensor in stored.items() if name in known]
        elif len(mine) == len(stored):
            pairs = list(zip(mine, stored.values(), strict=True))
        else:
            pairs = []
            if self.made.part and len(mine) < len(stored):
                return
            why = f"the model has {len(mine)} layers with bins that come from data, the file {len(stored)}"
            # Keras 3 has the bins in the configuration, and stores none.
            self.made.mismatched += [Mismatch("Discretization", t.name, why, None) for t in stored.values()]
        for node, tensor in pairs:
            if node.skip or (self.choose is not None and not self.choose(str(node.name), tensor.name)):
                continue
            self.taken.add(tensor.name)
            self.made.customs.append(Custom(node, tensor.name.rpartition("/")[0], {"0": tensor}))
            self.made.finished.append(node)

    # ------------------------------------------------------------------ the whole

    def marks(self, rows: Sequence[Row]) -> None:
        """Say what the file leaves open."""
        era, made = self.stored.era, self.made
        if not era.keras1:
            return
        parts = [part for _, parts, layer in rows if layer for part in parts if not part.node.skip]
        self.deviations(parts)
        if era.backend is not None and not self.stored.told:
            return
        if not any(turns(part, [leaf for leaf in part.leaves if self.chosen(leaf)]) for part in parts):
            return
        if self.stored.told == "theano":
            made.notes.append(
                "The names of its weights say that the file was written on Theano, whose kernels of convolutions are "
                "turned; original_backend='tensorflow' leaves them as they are."
            )
        elif self.stored.told:
            return
        elif not self.stored.counted:
            made.doubts.append(
                "The file does not say on which backend it was written, and is read as one of TensorFlow; "
                "original_backend='theano' turns the kernels of convolutions."
            )
        elif made.ambiguous is None:
            # Keras 0.x ran on Theano before it ran on TensorFlow, and stored the same for both.
            made.ambiguous = (
                "backend of the file: expected one that it tells, found none, and Theano's kernels of convolutions "
                "are TensorFlow's turned; original_backend='theano' or 'tensorflow' says which it was"
            )

    def deviations(self, parts: Sequence[Part]) -> None:
        """Say where a variance may be a deviation, or the other way round: Keras 1 changed it without a mark."""
        era = self.stored.era
        kept = [leaf for part in parts if part.node.cls == "batch_normalization" for leaf in part.leaves]
        if era.version or not era.running_std or not any(self.chosen(leaf) for leaf in kept if leaf.name == VARIANCE):
            return
        if not era.whole:
            self.made.doubts.append(
                "The file does not say which Keras 1 wrote it, and its BatchNormalization is read as one of 1.0.7 or "
                "later, which kept variances; up to 1.0.5, and 1.0.6 on Theano, it was a deviation d, and the variance "
                "is (d + epsilon)² - epsilon."
            )
        elif era.backend != "theano":
            self.made.doubts.append(
                "The file has no keras_version, as those of Keras 1.0.0 to 1.0.6 have none, and the running_std of its "
                "BatchNormalization is read as a deviation; 1.0.6 on TensorFlow kept a variance under that name."
            )

    def last_wins(self) -> None:
        """A variable that layers share is stored for each; the last one counts, as in Keras."""
        made = self.made
        seen: set[int] = set()
        pairs = []
        for tensor, leaf in reversed(made.pairs):
            if id(leaf.handle) not in seen:
                seen.add(id(leaf.handle))
                pairs.append((tensor, leaf))
        made.pairs = pairs[::-1]
        last = {id(c.leaf.handle): c for c in made.converted}
        made.converted = [c for c in last.values() if id(c.leaf.handle) not in seen]
