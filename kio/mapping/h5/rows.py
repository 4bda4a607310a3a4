"""Which layer of a legacy file belongs to which layer of the model.

By place, counting layers with weights only, as Keras does.  Names that a person chose say more:
layers that swapped their places are found by them, and a place that they contradict is refused.
Names that Keras numbers by itself (``dense_1``) say nothing about which layer it is, unless the
model was made of the same file.

Another number of layers leaves a doubt: which of three equal layers are the model's two?  Both
readings are shown then, and nothing is loaded, unless the user asked for a part; in that case
layers are paired in their order, and a warning tells where that was not the only way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from kio.errors import shown
from kio.mapping.automatic import is_automatic
from kio.mapping.h5.order import lay
from kio.mapping.h5.stored import StoredLayer, StoredLayers
from kio.mapping.pairing import align, told
from kio.mapping.plan import Plan
from kio.mapping.selection import Renamer
from kio.mapping.tree import Leaf, Node, Part

Layer = tuple[Node, list[Part]]
Row = tuple[Node, list[Part], StoredLayer | None]


def leaves_of(parts: Sequence[Part]) -> list[Leaf]:
    return [leaf for part in parts for leaf in part.leaves]


class Rows:
    """Finds the stored layer of every layer of a model.

    Args:
        layers: Those of the model that have weights.
        stored: The file.
        made: The plan, for notes and doubts.
        renamed: From names of the model to names in the file.
        by_name: Take names at their word.
        whole: The model was made of this file.

    Attributes:
        chosen: Which layers take part in the load.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        stored: StoredLayers,
        made: Plan,
        renamed: Renamer | None,
        *,
        by_name: bool,
        whole: bool,
    ) -> None:
        self.layers, self.stored, self.made = layers, stored, made
        self.by_name, self.whole = by_name, whole
        own = [node.name or "" for node, _ in layers]
        self.mine = [renamed(name) for name in own] if renamed else own
        self.fixed = {i for i, (a, b) in enumerate(zip(own, self.mine, strict=True)) if a != b}
        self.theirs = [layer.name for layer in stored.layers]
        self.place = _places(self.theirs)
        self.chosen = [True] * len(layers)
        self._fits: dict[tuple[int, int], bool] = {}

    def find(self) -> list[Row]:
        """The rows; the plan says where they leave a doubt."""
        exact = self.exact()
        pairs = exact if self.by_name else self.pairs(exact)
        if len(self.mine) == len(self.theirs) and any(i != j for i, j in pairs.items()) and not self.by_name:
            self.made.notes.append("Layers are in another order than in the file and were found by their names.")
        used = set(pairs.values())
        unused = [name for j, name in enumerate(self.theirs) if j not in used]
        if unused and not self.made.part and not self.made.ambiguous:
            self.made.ambiguous = self.both(
                f"expected every layer of the file to have a place in the model, found {len(unused)} without",
                exact,
                pairs,
                self.ways(exact, pairs),
            )
        layers = self.stored.layers
        return [(node, parts, layers[pairs[i]] if i in pairs else None) for i, (node, parts) in enumerate(self.layers)]

    def pairs(self, exact: dict[int, int]) -> dict[int, int]:
        """Places in the file by those in the model."""
        in_order = {i: i for i in range(len(self.mine))}
        same = sorted(self.mine) == sorted(self.theirs) and len(exact) == len(self.layers)
        if len(self.mine) != len(self.theirs):
            return exact if self.whole else self.of_another_number(exact, self.anchors(exact))
        if same and self.whole:
            return exact
        anchors = self.anchors(exact)
        if all(i == j for i, j in anchors.items()) and self.fixed <= exact.keys():
            return self.by_shape(exact, in_order) if same else in_order
        if same or self.fixed:
            return self.around(exact, anchors)
        self.contradictions()
        return in_order

    # ------------------------------------------------------------------ readings

    def exact(self) -> dict[int, int]:
        """Pairs of one name, automatic ones, too."""
        return {i: self.place[name] for i, name in enumerate(self.mine) if name in self.place}

    def anchors(self, exact: Mapping[int, int]) -> dict[int, int]:
        """Pairs of one name that a person chose; and what was renamed, wherever that leads."""
        times = Counter(self.mine)
        return {
            i: j
            for i, j in exact.items()
            if i in self.fixed or (times[self.mine[i]] == 1 and not is_automatic(self.mine[i], self.layers[i][0].cls))
        }

    def rest(self, anchors: Mapping[int, int]) -> tuple[list[int], list[int]]:
        """The places that no chosen name decides, of the model and of the file."""
        taken = set(anchors.values())
        mine = [i for i in range(len(self.mine)) if i not in anchors and i not in self.fixed]
        return mine, [j for j in range(len(self.theirs)) if j not in taken]

    def fits(self, i: int, j: int) -> bool:
        """Whether a stored layer can be that layer of the model."""
        found = self._fits.get((i, j))
        if found is None:
            parts, layer = self.layers[i][1], self.stored.layers[j]
            laid = lay(layer, parts, self.stored.era)
            found = self._fits[i, j] = laid.ambiguous or not laid.why
        return found

    def by_shape(self, exact: Mapping[int, int], in_order: dict[int, int]) -> dict[int, int]:
        """In order, unless that fits no more and all names do, automatic ones in the order of equal layers."""
        if dict(exact) == in_order or all(self.fits(i, i) for i in in_order):
            return in_order
        if all(self.fits(i, j) for i, j in exact.items()) and self.keeps_order(exact, exact):
            return dict(exact)
        return in_order

    def keeps_order(self, pairs: Mapping[int, int], which: Iterable[int]) -> bool:
        """Whether layers of equal shapes follow each other in the file as they do in the model."""
        met: dict[str, list[int]] = {}
        for i in sorted(which):
            met.setdefault(str([leaf.shape for leaf in leaves_of(self.layers[i][1])]), []).append(pairs[i])
        return all(each == sorted(each) for each in met.values())

    def around(self, exact: Mapping[int, int], anchors: dict[int, int]) -> dict[int, int]:
        """Chosen names first, the others in their order; two readings where their names say something else."""
        mine, theirs = self.rest(anchors)
        ordered = anchors | dict(zip(mine, theirs, strict=False))
        moved = sorted(anchors) != sorted(anchors, key=lambda i: anchors[i])
        if not moved or len(exact) < len(self.mine) or ordered == exact:
            return ordered
        by_name, by_order = (all(self.fits(i, pairs[i]) for i in mine) for pairs in (exact, ordered))
        if by_name and self.keeps_order(exact, mine):
            return dict(exact)
        if by_name and by_order:
            head = "expected one reading, found two"
            self.made.ambiguous = self.both(head, exact, ordered, "by_name=True or rename= says what is meant.")
        return ordered if by_order else dict(exact)

    # ------------------------------------------------------------------ another number

    def of_another_number(self, exact: dict[int, int], anchors: dict[int, int]) -> dict[int, int]:
        """Pairs where file and model have not the same number of layers."""
        some = [i for i, chosen in enumerate(self.chosen) if chosen]
        if len(some) == len(self.theirs) and len(some) < len(self.mine):
            # What the user left out is what the file does not have.
            pairs, sure = dict(zip(some, range(len(some)), strict=True)), True
            if any(pairs.get(i, j) != j for i, j in anchors.items()):
                pairs, sure = self.aligned(anchors)
        else:
            pairs, sure = self.aligned(anchors)
        if not self.made.part and not (self.fixed and len(set(pairs.values())) == len(self.theirs)):
            n, m = len(self.mine), len(self.theirs)
            head = f"expected as many layers with weights as the model has, {n}, found {m} in the file"
            self.made.ambiguous = self.both(head, exact, pairs, self.ways(exact, pairs))
        elif not sure and {i: pairs.get(i) for i in some} != {i: exact.get(i) for i in some}:
            head = "expected one way to pair layers, found several"
            hint = "They were paired in their order; by_name=True takes the names, rename= says what is meant."
            self.made.doubts.append(self.both(head, exact, pairs, hint))
        return pairs

    def aligned(self, anchors: dict[int, int]) -> tuple[dict[int, int], bool]:
        """Chosen names first, then as many others as their order allows; and whether that is the only way."""
        mine, theirs = self.rest(anchors)
        pinned = sorted(anchors.items())
        if [j for _, j in pinned] != sorted(j for _, j in pinned):
            pinned = []

        def may(a: int, b: int) -> bool:
            i, j = mine[a], theirs[b]
            return all((i < x) == (j < y) for x, y in pinned) and self.fits(i, j)

        pairs, sure = align(len(mine), len(theirs), may)
        found = anchors | {mine[a]: theirs[b] for a, b in pairs.items()}
        return found, sure

    # ------------------------------------------------------------------ words

    def ways(self, exact: Mapping[int, int], ordered: Mapping[int, int]) -> str:
        """What the user can say, of what would load something."""
        ways = []
        if len(ordered) == len(self.mine) and all(self.fits(i, j) for i, j in ordered.items()):
            ways.append("partial=True takes the order and leaves the rest of the file unused")
        elif ordered:
            ways.append("skip_mismatch=True takes the order and leaves what does not fit as it is")
        if exact and all(self.fits(i, j) for i, j in exact.items()):
            ways.append("by_name=True takes the names")
        return (
            f"Nothing was loaded. {''.join(f'{way}; ' for way in ways)}include= and rename= say what should go where."
        )

    def both(self, head: str, exact: Mapping[int, int], ordered: Mapping[int, int], hint: str) -> str:
        """The message that shows both readings."""
        lines = [f"match of file and model: {head}"]
        names = [node.name or "" for node, _ in self.layers]
        lines.append(f"  by their order: {told(names, self.theirs, dict(sorted(ordered.items())))}")
        lines.append(f"  by their names: {told(names, self.theirs, dict(sorted(exact.items())))}")
        lines.append("  Numbers that Keras gives by itself (dense_1) tell nothing about which layer it is.")
        return "\n".join([*lines, f"  {hint}"])

    def contradictions(self) -> None:
        """Layers at one place whose names say that they belong to others of the same shapes."""
        at = dict(zip(self.mine, self.layers, strict=True))
        shapes = {name: [leaf.shape for leaf in leaves_of(parts)] for name, (_, parts) in at.items()}
        for name, layer in zip(self.mine, self.stored.layers, strict=True):
            other = at.get(layer.name)
            if layer.name == name or other is None or shapes[layer.name] != shapes[name]:
                continue
            if not is_automatic(layer.name, other[0].cls):
                self.made.ambiguous = (
                    f"match of file and model: expected layers in the order of the file, found {shown(layer.name)} at "
                    f"the place of {shown(name)}, while the model has a layer of that name elsewhere; "
                    "by_name=True or rename= says what is meant"
                )
                return


def _places(names: Sequence[str]) -> dict[str, int]:
    """Places by name; one with slashes also by the name that it has in Keras 3, where that is clear."""
    places = {name: j for j, name in enumerate(names)}
    plain = {j: name.replace("/", "_") for j, name in enumerate(names) if "/" in name}
    times = Counter(plain.values())
    return {name: j for j, name in plain.items() if times[name] == 1} | places
