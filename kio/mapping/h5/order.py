"""In which order a legacy file has the weights of one layer.

Writers listed trainable weights first, then the others, *as the flags stood when it was
saved*.  For a layer without sub-layers that is one order; for a nested model it depends on
what was frozen.  So the order is found, not assumed:

1. by the names stored with the weights, where each belongs to one part of the layer;
2. else by every order that a writer can have used, as far as shapes and kinds allow.

Orders that disagree about where a tensor goes are no answer: the match is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from kio.errors import shown
from kio.mapping.automatic import is_automatic
from kio.mapping.h5.convert import Era, Recipe, consumed, recipes
from kio.mapping.h5.stored import StoredLayer
from kio.mapping.plan import Converted, refusal, unreadable
from kio.mapping.tree import Leaf, Part
from kio.raw.tensor import Tensor

# What a weight is, by the last part of its name; Keras 1 said it shorter.
_KINDS = {
    "kernel": "kernel",
    "bias": "bias",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "moving_mean",
    "moving_variance": "moving_variance",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
    "recurrent_kernel": "recurrent_kernel",
    "embeddings": "embeddings",
    "depthwise_kernel": "depthwise_kernel",
    "pointwise_kernel": "pointwise_kernel",
}
_SHORT = ("_running_mean", "_running_std", "_gamma", "_beta", "_W", "_b", "_U")


@dataclass(slots=True)
class Laid:
    """Where the tensors of one layer go.

    Attributes:
        pairs: Tensors as they are.
        converted: Tensors in another form.
        why: Why they go nowhere; empty if they do.
        ambiguous: Two orders fit and differ.
    """

    pairs: list[tuple[Tensor, Leaf]] = field(default_factory=list)
    converted: list[Converted] = field(default_factory=list)
    why: str = ""
    ambiguous: bool = False

    @property
    def places(self) -> frozenset[tuple[int, int]]:
        """What decides whether two outcomes are the same."""
        places = [(id(t), id(leaf.handle)) for t, leaf in self.pairs]
        places += [(id(t), id(c.leaf.handle)) for c in self.converted for t in c.tensors]
        return frozenset(places)


Group = tuple[Part, list[Leaf]]


def lay(stored: StoredLayer, parts: Sequence[Part], era: Era, trusted: bool = False) -> Laid:
    """Find where each tensor of a stored layer goes.

    Args:
        stored: Tensors and names, in order.
        parts: What the layer of the model is made of.
        era: Marks of the file.
        trusted: Names are the file's own, or the user says so: automatic ones count.
    """
    if len(parts) > 1:
        found = _by_names(stored, parts, era)
        if found is not None:
            return found if trusted or not _doubted(found, stored, parts, era) else _undecided(stored)
    elif parts:
        stored = _as_named(stored, parts[0].leaves)
    outcomes: list[Laid] = []
    tried: dict[tuple[int, ...], Laid] = {}
    for flags in _flags(parts, era):
        groups = _merged(_groups(parts, flags))
        order = tuple(id(leaf) for _, leaves in groups for leaf in leaves)
        if order in tried:
            continue  # mostly all flags come to the same
        one = tried[order] = _in_order(stored, groups, era)
        if not one.why and not any(one.places == other.places for other in outcomes):
            outcomes.append(one)
    if not outcomes:
        return next(iter(tried.values()))
    sound = [one for one in outcomes if not _contradicts(one, stored)] or outcomes
    if len(sound) > 1 or (len(parts) > 1 and _renumbered(stored, parts, sound[0])):
        return _undecided(stored)
    return sound[0]


def _undecided(stored: StoredLayer) -> Laid:
    return Laid(
        why=f"the weights of {shown(stored.name)} fit in more than one order, and their names do not tell: "
        "what was frozen when it was saved decides",
        ambiguous=True,
    )


def _doubted(found: Laid, stored: StoredLayer, parts: Sequence[Part], era: Era) -> bool:
    """Whether the order that a writer had without anything frozen says otherwise than automatic names.

    Either something was frozen then, or the parts were made in another order: the file is the same.
    """
    groups = _merged(_groups(parts, [tuple(i < p.trainable for i in range(len(p.leaves))) for p in parts]))
    ordered = _in_order(stored, groups, era)
    if ordered.why or ordered.places == found.places or _contradicts(ordered, stored):
        return False
    moved = {leaf for _, leaf in found.places ^ ordered.places}
    return all(
        is_automatic(part.names[-1], part.node.cls) and not part.names[-1].startswith(("forward_", "backward_"))
        for part in parts
        if any(id(leaf.handle) in moved for leaf in part.leaves)
    )


def _flags(parts: Sequence[Part], era: Era) -> Iterator[list[tuple[bool, ...]]]:
    """What may have been trainable: what is now, all that can be, nothing."""
    if era.counted:
        # Layer by layer: nobody asked what is trainable.
        yield [(False,) * len(part.leaves) for part in parts]
        return
    yield [part.flags for part in parts]
    yield [tuple(i < part.trainable for i in range(len(part.leaves))) for part in parts]
    yield [(False,) * len(part.leaves) for part in parts]


def _groups(parts: Sequence[Part], flags: Sequence[tuple[bool, ...]]) -> list[Group]:
    """Runs of variables of one part, in the order of a writer that saw these flags."""
    found = []
    for wanted in (True, False):
        for part, each in zip(parts, flags, strict=True):
            leaves = [leaf for leaf, flag in zip(part.leaves, each, strict=True) if flag is wanted]
            if leaves:
                found.append((part, leaves))
    return found


def _in_order(stored: StoredLayer, groups: Sequence[Group], era: Era) -> Laid:
    """Deal the tensors out to the groups, one after the other."""
    laid, at = Laid(), 0
    for part, leaves in groups:
        left = stored.tensors[at:]
        rows = recipes(part, leaves, [t.shape for t in left], era)
        if rows is None:
            return Laid(why=_why(left, leaves))
        taken = left[: consumed(rows)]
        rows = _by_kind(rows, leaves, taken, stored.names[at:])
        _enter(laid, rows, leaves, taken)
        at += len(taken)
    if at != len(stored.tensors):
        n = sum(len(leaves) for _, leaves in groups)
        laid.why = f"expected {n} stored weights, found {len(stored.tensors)} in {shown(stored.name)}"
    return laid


def _merged(groups: Sequence[Group]) -> list[Group]:
    """Groups of one part that follow each other, as one."""
    merged: list[Group] = []
    for part, leaves in groups:
        if merged and merged[-1][0] is part:
            merged[-1] = (part, merged[-1][1] + leaves)
        else:
            merged.append((part, list(leaves)))
    return merged


def _enter(laid: Laid, rows: Sequence[Recipe], leaves: Sequence[Leaf], tensors: Sequence[Tensor]) -> None:
    for row, leaf in zip(rows, leaves, strict=True):
        given = [tensors[i] for i in row.which]
        if row.make is None:
            laid.why = laid.why or refusal(given[0], leaf)
            laid.pairs.append((given[0], leaf))
        else:
            laid.why = laid.why or next((why for t in given if (why := unreadable(t))), "")
            laid.converted.append(Converted(given, leaf, row.make, row.what))


def _why(tensors: Sequence[Tensor], leaves: Sequence[Leaf]) -> str:
    if len(tensors) < len(leaves):
        return f"expected {len(leaves)} more stored weights, found {len(tensors)}"
    for tensor, leaf in zip(tensors, leaves, strict=False):
        if why := refusal(tensor, leaf):
            return why
    return "expected kernels that a conversion applies to, found other shapes"


# ------------------------------------------------------------------------------- by name


def _by_names(stored: StoredLayer, parts: Sequence[Part], era: Era) -> Laid | None:
    """Deal the tensors out by the names of their owners; None where those do not tell."""
    owner_of = [split_name(name)[0] for name in stored.names]
    owners = list(dict.fromkeys(owner_of))
    if len(owners) != len(parts) or None in owners:
        return None
    chosen = _owners_of(parts, [owner for owner in owners if owner is not None])
    if chosen is None:
        return None
    laid = Laid()
    for part, owner in chosen:
        mine = [i for i, each in enumerate(owner_of) if each == owner]
        given = StoredLayer(stored.name, [stored.tensors[i] for i in mine], [stored.names[i] for i in mine])
        given = _as_named(given, part.leaves)
        tensors = given.tensors
        rows = recipes(part, part.leaves, [t.shape for t in tensors], era)
        if rows is None or consumed(rows) != len(tensors):
            # By its name this layer should fit, and does not.
            return None
        rows = _by_kind(rows, part.leaves, tensors, given.names)
        _enter(laid, rows, part.leaves, tensors)
    return laid


def _owners_of(parts: Sequence[Part], owners: Sequence[str]) -> list[tuple[Part, str]] | None:
    """Each part with the one owner that has its name; None unless it is one for one."""
    spellings: list[Callable[[Part], str]] = [
        lambda part: "/".join(part.names),
        lambda part: "/".join(part.names[1:]) or part.names[0],
        lambda part: part.names[-1],
        # The cell of a recurrent layer has no name in older files.
        lambda part: part.names[-2] if part.node.cls.endswith("_cell") and len(part.names) > 1 else part.names[-1],
    ]
    for tail in (False, True):
        keys = [owner.rpartition("/")[2] for owner in owners] if tail else list(owners)
        index = dict(zip(keys, owners, strict=True))
        if len(index) != len(owners):
            continue
        for spell in spellings:
            names = [spell(part) for part in parts]
            if len(set(names)) == len(names) and set(names) == set(index):
                return [(part, index[name]) for part, name in zip(parts, names, strict=True)]
    return None


def split_name(name: str) -> tuple[str | None, str]:
    """Owner and kind of a stored weight: ``"a/dense/kernel:0"`` → ``("a/dense", "kernel")``.

    Kind is ``""`` where the name does not tell, the owner None.
    """
    text = name.partition(":")[0]
    owner, _, last = text.rpartition("/")
    # TensorFlow makes a second variable of one name kernel_1.
    stem = last.rstrip("0123456789").removesuffix("_")
    if last in _KINDS or stem in _KINDS:
        return owner or None, _KINDS.get(last) or _KINDS[stem]
    for end in _SHORT:
        if last.endswith(end) and not owner:
            return last.removesuffix(end), _KINDS.get(end[1:], "")
    return owner or None, ""


def _as_named(stored: StoredLayer, leaves: Sequence[Leaf]) -> StoredLayer:
    """The tensors of one part in the order of its variables, if each has the name and shape of one.

    Kinds of weights that only newer Keras has (scales, statistics) are told by this alone: what
    was trainable when the file was written may be another order.
    """
    place = {name.partition(":")[0].rpartition("/")[2]: i for i, name in enumerate(stored.names)}
    wanted = [leaf.name for leaf in leaves]
    if len(place) != len(stored.names) or len(set(wanted)) != len(wanted) or place.keys() != set(wanted):
        return stored
    order = [place[name] for name in wanted]
    if any(stored.tensors[i].shape != leaf.shape for i, leaf in zip(order, leaves, strict=True)):
        return stored
    return StoredLayer(stored.name, [stored.tensors[i] for i in order], [stored.names[i] for i in order])


def _by_kind(
    rows: list[Recipe], leaves: Sequence[Leaf], tensors: Sequence[Tensor], names: Sequence[str]
) -> list[Recipe]:
    """Sort tensors of one part by what their names say they are, where that contradicts their order."""
    kinds = [split_name(name)[1] for name in names[: len(tensors)]]
    wanted = [leaf.name for leaf in leaves]
    if (
        any(row.make is not None for row in rows)
        or len(set(wanted)) != len(wanted)
        or sorted(kinds) != sorted(wanted)
        or kinds == wanted
    ):
        return rows
    order = [kinds.index(kind) for kind in wanted]
    if all(tensors[i].shape == leaf.shape for i, leaf in zip(order, leaves, strict=True)):
        return [Recipe((i,)) for i in order]
    return rows


def _contradicts(laid: Laid, stored: StoredLayer) -> bool:
    """Whether some tensor's name says that it is another kind of weight than its place."""
    name_of = {id(t): name for t, name in zip(stored.tensors, stored.names, strict=True)}
    for tensor, leaf in laid.pairs:
        kind = split_name(name_of[id(tensor)])[1]
        if kind and leaf.name in _KINDS and kind != leaf.name:
            return True
    return False


def _renumbered(stored: StoredLayer, parts: Sequence[Part], laid: Laid) -> bool:
    """Whether numbers of automatic names say that parts were saved in another order.

    A nested model of ``dense_7`` and ``dense_8`` that lists ``dense_8`` first had ``dense_7``
    frozen.  Only parts of equal shapes matter: others would not have fitted.
    """
    owner_of = {id(t): split_name(name)[0] for t, name in zip(stored.tensors, stored.names, strict=True)}
    met: dict[tuple[str, tuple[tuple[int, ...], ...]], list[tuple[int, int]]] = {}
    for part in parts:
        mine = {id(leaf.handle) for leaf in part.leaves}
        owners = {owner_of[id(t)] for t, leaf in laid.pairs if id(leaf.handle) in mine}
        if len(owners) != 1:
            continue
        theirs, ours = numbered((owners.pop() or "").rpartition("/")[2]), numbered(part.names[-1])
        if theirs is None or ours is None or theirs[0] != ours[0]:
            continue
        key = (ours[0], tuple(leaf.shape for leaf in part.leaves))
        met.setdefault(key, []).append((ours[1], theirs[1]))
    for each in met.values():
        theirs_in_order = [there for _, there in sorted(each)]
        if theirs_in_order != sorted(theirs_in_order):
            return True
    return False


def numbered(name: str) -> tuple[str, int] | None:
    """Stem and number of an automatic name: ``"dense_7"`` → ``("dense", 7)``; None for others."""
    stem, _, number = name.rpartition("_")
    if stem and number.isdigit() and len(number) < 9:
        return stem, int(number)
    return (name, 0) if name and not name[-1].isdigit() else None
