"""Plan: which stored tensor goes to which variable, decided before a byte moves.

An object is filled whole or not at all: its leaves are in ``pairs`` only if every one of
them fits.  What does not fit is listed with the reason, and a policy says what follows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from itertools import starmap
from typing import Any

from kio import dtypes
from kio.errors import MatchError, shown
from kio.mapping import keys, nodes
from kio.mapping.automatic import is_state
from kio.mapping.tree import Leaf, Node
from kio.raw.tensor import Tensor, specs

# (start, stop) of every dimension, in elements
Box = tuple[tuple[int, int], ...]

_LISTED = 10  # names a message lists
_SEARCHED = 2000  # names that are compared for a suggestion


@dataclass(frozen=True, slots=True)
class Policy:
    """What may remain unmatched.

    Attributes:
        name: As messages call it.
        unexpected: Stored objects that the model does not have are left alone.
        skipped: An optimizer state of another kind or length is left alone.
        misfits: Objects that do not fit are left as they are.
    """

    name: str
    unexpected: bool
    skipped: bool
    misfits: bool


STRICT = Policy("strict", unexpected=False, skipped=False, misfits=False)
KERAS = Policy("keras", unexpected=True, skipped=True, misfits=False)
SKIP_MISMATCH = Policy("skip_mismatch", unexpected=True, skipped=True, misfits=True)


@dataclass(slots=True)
class Mismatch:
    """A variable, or an object, and the tensor that it was refused, with the reason."""

    what: str
    tensor: str
    why: str
    leaf: Leaf | None


@dataclass(slots=True)
class Custom:
    """An object that reads its own variables: what is stored for it, by key."""

    node: Node
    path: str
    tensors: dict[str, Tensor]


@dataclass(slots=True)
class Converted:
    """A variable whose value is computed from what is stored.

    Attributes:
        tensors: What is stored.
        leaf: The variable.
        make: Their arrays, in order, to an array of the variable's shape.
        what: What the stored form is, for people.
    """

    tensors: list[Tensor]
    leaf: Leaf
    make: Callable[[Sequence[Any]], Any]
    what: str


@dataclass(slots=True)
class Skipped:
    """An object that is left as it is, with the reason.

    Attributes:
        what: The object, or the variable.
        why: The reason.
        leaves: Its variables.
        asked: The user said so.
    """

    what: str
    why: str
    leaves: list[Leaf] = field(default_factory=list)
    asked: bool = False


@dataclass(slots=True)
class Plan:
    """The outcome of a match.

    Attributes:
        pairs: What will be read and where it goes; a variable once.
        converted: Variables computed from what is stored in another form.
        customs: Objects with code of their own, in the order in which Keras loads them.
        missing: Variables for which nothing is stored.
        unexpected: Names of tensors that go nowhere.
        mismatched: Variables whose tensor does not fit.
        skipped: Objects left alone on purpose.
        rule: The naming scheme that fitted.
        source: Name of the file, for messages.
        keys: Name under which each unmatched leaf was looked for.
        assets: ``(object, its path)`` of objects that load assets, in Keras's order.
        finished: Objects of which all that is stored was matched; their ``after`` is due.
        finishing: What else is to be done once all variables are set.
        notes: What else should be said: casts, shared variables, readings that were close.
        doubts: Notes on what may be read wrongly: a load warns of these.
        ambiguous: Why nothing may be loaded, whatever the policy: two readings, both shown.
        part: The user asked for a part: what the file holds beyond it is no surprise.
        boxes: Which part of a leaf of ``pairs`` this process wants: ``(start, stop)`` in elements for each
            dimension.  A leaf that is not here is wanted whole; who fills a part makes the variable of it.
    """

    pairs: list[tuple[Tensor, Leaf]] = field(default_factory=list)
    converted: list[Converted] = field(default_factory=list)
    customs: list[Custom] = field(default_factory=list)
    missing: list[Leaf] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[Mismatch] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    rule: str = ""
    source: str = ""
    keys: dict[Leaf, str] = field(default_factory=dict)
    assets: list[tuple[Node, str]] = field(default_factory=list)
    finished: list[Node] = field(default_factory=list)
    finishing: list[Callable[[], None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    ambiguous: str | None = None
    part: bool = False
    boxes: dict[Leaf, Box] = field(default_factory=dict)

    def wanted(self) -> tuple[list[Tensor], list[Box | None] | None]:
        """The tensors of ``pairs`` and their boxes, as ``transfer.read`` takes them.

        Raises:
            ValueError: for a box that is not inside its variable.
        """
        tensors = [tensor for tensor, _ in self.pairs]
        if not self.boxes:
            return tensors, None
        for leaf, box in self.boxes.items():
            if len(box) != len(leaf.shape) or not all(
                0 <= start <= stop <= extent for (start, stop), extent in zip(box, leaf.shape, strict=True)
            ):
                raise ValueError(f"box of {leaf.path}: expected it inside {list(leaf.shape)}, found {box}")
        return tensors, [self.boxes.get(leaf) for _, leaf in self.pairs]

    def _nbytes_of(self, tensor: Tensor, leaf: Leaf) -> int:
        box = self.boxes.get(leaf)
        if box is None:
            return tensor.nbytes
        return math.prod(stop - start for start, stop in box) * dtypes.BY_NAME[tensor.dtype_name].itemsize

    def leave_out(self, leaves: Iterable[Leaf]) -> None:
        """Note variables that ``include`` or ``exclude`` left out."""
        self.skipped += [Skipped(leaf.path, "left out by include or exclude", [leaf], asked=True) for leaf in leaves]

    def unused(self) -> list[str]:
        """Tensors that go nowhere and are more than the state of an optimizer or of metrics."""
        return [name for name in self.unexpected if not is_state(name)]

    def described(self) -> Plan:
        """The same plan as plain data: without the file, the model, and functions of either.

        It prints and counts as this one does, and can travel to another process; it cannot
        be carried out.
        """
        plain = _Plain()
        return replace(
            self,
            pairs=[
                (spec, plain.leaf(leaf))
                for spec, (_, leaf) in zip(_specs([t for t, _ in self.pairs]), self.pairs, strict=True)
            ],
            converted=[
                Converted(_specs(c.tensors), plain.leaf(c.leaf), _described_only, c.what) for c in self.converted
            ],
            customs=[Custom(plain.node(c.node), c.path, _spec_of_each(c.tensors)) for c in self.customs],
            missing=[plain.leaf(leaf) for leaf in self.missing],
            unexpected=list(self.unexpected),
            mismatched=[replace(m, leaf=m.leaf and plain.leaf(m.leaf)) for m in self.mismatched],
            skipped=[replace(s, leaves=[plain.leaf(leaf) for leaf in s.leaves]) for s in self.skipped],
            keys={plain.leaf(leaf): key for leaf, key in self.keys.items()},
            assets=[(plain.node(node), path) for node, path in self.assets],
            finished=[],
            finishing=[],
            notes=list(self.notes),
            doubts=list(self.doubts),
            boxes={plain.leaf(leaf): box for leaf, box in self.boxes.items()},
        )

    def release(self) -> Plan:
        """Become what ``described`` gives, in place: for a plan of which nobody else has the variables.

        Returns:
            The plan itself.

        Cost: a fifth of a microsecond a variable.
        """
        self.pairs = keys.release(self.pairs)
        leaves = [*self.missing, *self.keys, *self.boxes]
        for each in self.converted:
            each.tensors, each.make = _specs(each.tensors), _described_only
            leaves.append(each.leaf)
        for skipped in self.skipped:
            leaves += skipped.leaves
        leaves += [each.leaf for each in self.mismatched if each.leaf is not None]
        nodes.release(leaves)
        for custom in self.customs:
            custom.tensors = _spec_of_each(custom.tensors)
            custom.node.release()
        for node, _ in self.assets:
            node.release()
        self.finished, self.finishing = [], []
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        plain = self.described()
        return Plan, tuple(getattr(plain, each.name) for each in fields(Plan))

    @property
    def nbytes(self) -> int:
        """Bytes to be read, decoded."""
        return (
            (sum(starmap(self._nbytes_of, self.pairs)) if self.boxes else sum(t.nbytes for t, _ in self.pairs))
            + sum(t.nbytes for c in self.converted for t in c.tensors)
            + sum(t.nbytes for c in self.customs for t in c.tensors.values())
        )

    @property
    def fits(self) -> bool:
        """Whether ``load_weights`` would load it."""
        return not (self.missing or self.mismatched or self.ambiguous)

    def as_dict(self) -> dict[str, Any]:
        """The plan in JSON's types: names only."""
        pairs: list[dict[str, Any]]
        pairs = [{"variable": leaf.path, "tensor": t.name, "nbytes": t.nbytes} for t, leaf in self.pairs]
        for pair, (t, leaf) in zip(pairs, self.pairs if self.boxes else (), strict=False):
            if leaf in self.boxes:
                pair |= {"nbytes": self._nbytes_of(t, leaf), "box": [list(ends) for ends in self.boxes[leaf]]}
        pairs += [
            {"variable": each.leaf.path, "tensor": t.name, "nbytes": t.nbytes, "converted": each.what}
            for each in self.converted
            for t in each.tensors
        ]
        pairs += [
            {"variable": custom.path, "tensor": t.name, "nbytes": t.nbytes}
            for custom in self.customs
            for t in custom.tensors.values()
        ]
        return {
            "fits": self.fits,
            "rule": self.rule,
            "pairs": pairs,
            "missing": [leaf.path for leaf in self.missing],
            "mismatched": [{"variable": m.what, "tensor": m.tensor, "why": m.why} for m in self.mismatched],
            "unexpected": self.unexpected,
            "skipped": [{"object": s.what, "why": s.why} for s in self.skipped],
            "notes": self.notes + self.doubts + ([self.ambiguous] if self.ambiguous else []),
        }

    def check(self, policy: Policy = KERAS) -> Plan:
        """Refuse the plan where the policy does not allow what is unmatched.

        Raises:
            MatchError: saying for each unmatched name the nearest candidate and why it was refused.
        """
        if self.ambiguous:
            raise MatchError(self.ambiguous, plan=self)
        if (
            ((self.missing or self.mismatched) and not policy.misfits)
            or (self.unexpected and not policy.unexpected)
            or (any(s.leaves and not s.asked for s in self.skipped) and not policy.skipped)
        ):
            raise MatchError(self.problem(policy), plan=self)
        return self

    def problem(self, policy: Policy = KERAS) -> str:
        """The message of the MatchError: counts, then each unmatched name with its nearest candidate."""
        counts = [
            f"{len(self.missing)} missing" if self.missing else "",
            f"{len(self.mismatched)} mismatched" if self.mismatched else "",
            f"{len(self.unexpected)} unexpected" if self.unexpected else "",
        ]
        where = f" ({shown(self.source)})" if self.source else ""
        found = ", ".join(filter(None, counts)) or "objects that were skipped"
        lines = [f"match of file and model: expected every variable to be stored once, found {found}{where}"]
        lines += self._missing_lines()
        for m in self.mismatched[:_LISTED]:
            lines.append(f"  mismatched {m.what}: {m.why}")
        lines += _more(len(self.mismatched))
        if self.unexpected and not policy.unexpected:
            lines += [f"  unexpected {shown(name)}" for name in self.unexpected[:_LISTED]]
            lines += _more(len(self.unexpected))
        if not policy.skipped:
            left = [s for s in self.skipped if s.leaves and not s.asked]
            lines += [f"  skipped {s.what}: {s.why}" for s in left[:_LISTED]]
        if self.rule:
            lines.append(f"  best reading: {self.rule}")
        if any("/container" in self.keys.get(leaf, "") for leaf in self.missing):
            lines.append("  Keras before 3.15 did not write layers in lists in lists: they are not in its files.")
        lines.append(
            "  Nothing was loaded. skip_mismatch=True leaves objects that do not fit as they are; "
            "include=, exclude= and rename= say what should go where."
        )
        return "\n".join(lines)

    def _missing_lines(self) -> list[str]:
        lines = []
        for leaf in self.missing[:_LISTED]:
            key = self.keys.get(leaf, leaf.path)
            line = f"  missing {leaf.path} {list(leaf.shape)}: expected {shown(key)}"
            near = get_close_matches(key, self.unexpected[:_SEARCHED], n=1, cutoff=0.4)
            if near:
                line += f"; nearest is {shown(near[0])}, which no variable of the model has as its key"
            lines.append(line)
        return lines + _more(len(self.missing))

    def casts(self) -> Counter[tuple[str, str]]:
        """How many tensors change their dtype, by (stored, variable)."""
        return Counter((t.dtype_name, leaf.dtype) for t, leaf in self.pairs if t.dtype_name != leaf.dtype)

    def __str__(self) -> str:
        rows = [(leaf.path, leaf.dtype, list(leaf.shape), t.name) for t, leaf in self.pairs]
        for each in self.converted:
            label = f"{each.leaf.path} [{each.what}]"
            rows += [(label, t.dtype_name, list(t.shape), t.name) for t in each.tensors]
        for custom in self.customs:
            what = custom.node.name or custom.node.cls
            tensors = custom.tensors.values()
            rows += [(f"{what} [own code]", t.dtype_name, list(t.shape), t.name) for t in tensors]
        width = min(max((len(r[0]) for r in rows), default=0), 60)
        lines = [f"{p:<{width}}  {d:<9} {s!s:<16} <- {shown(n)}" for p, d, s, n in rows]
        lines += [f"{leaf.path:<{width}}  missing" for leaf in self.missing]
        lines += [f"{m.what:<{width}}  mismatched: {m.why}" for m in self.mismatched]
        lines += [f"{s.what:<{width}}  skipped: {s.why}" for s in self.skipped]
        lines += [f"{shown(n)}  unexpected" for n in self.unexpected]
        lines.append(
            f"{len(self.pairs) + len(self.converted)} to load ({self.nbytes} bytes), {len(self.missing)} missing, "
            f"{len(self.mismatched)} mismatched, {len(self.unexpected)} unexpected, "
            f"{len(self.skipped)} skipped; read as {self.rule}"
        )
        return "\n".join(lines + self.notes + self.doubts + ([self.ambiguous] if self.ambiguous else []))


class _Plain:
    """Live leaves and nodes, and what is plain of each: one for one."""

    def __init__(self) -> None:
        self._leaves: dict[Leaf, Leaf] = {}
        self._nodes: dict[Node, Node] = {}

    def node(self, node: Node) -> Node:
        found = self._nodes.get(node)
        if found is None:
            found = self._nodes[node] = Node(node.index, node.cls, node.kind, node.name)
        return found

    def leaf(self, leaf: Leaf) -> Leaf:
        found = self._leaves.get(leaf)
        if found is None:
            node = self.node(leaf.node)
            found = Leaf(leaf.key, leaf.path, leaf.name, leaf.shape, leaf.dtype, None, node)
            self._leaves[leaf] = found
        return found


def _specs(tensors: Iterable[Tensor]) -> list[Any]:
    # Whoever prints or counts a plan need not know which of the two it has.
    return specs(tensors)


def _spec_of_each(tensors: dict[str, Tensor]) -> dict[str, Any]:
    return dict(zip(tensors, specs(tensors.values()), strict=True))


def _described_only(arrays: Sequence[Any]) -> Any:
    raise RuntimeError("a plan that was described only, in a report or for another process, cannot be carried out")


def _more(n: int) -> list[str]:
    return [f"  … and {n - _LISTED} more"] if n > _LISTED else []


def unreadable(tensor: Any) -> str:
    """Why a tensor cannot be a variable's value, whatever the variable; an empty string if it can."""
    if tensor.problem is not None:
        return f"{shown(tensor.name)} cannot be read: {tensor.problem}"
    return f"expected numbers, found text in {shown(tensor.name)}" if dtypes.is_text(tensor.dtype_name) else ""


def refusal(tensor: Any, leaf: Leaf) -> str:
    """Why a tensor cannot fill a variable, or an empty string."""
    if tensor.shape != leaf.shape:
        return f"expected shape {list(leaf.shape)}, found {list(tensor.shape)} in {shown(tensor.name)}"
    why = unreadable(tensor)
    if why:
        return why
    stored, wanted = tensor.dtype_name, leaf.dtype
    if stored.startswith("opaque") and stored != wanted:
        if dtypes.of_raw(stored, wanted) is not None:
            return ""
        return f"expected {wanted}, found raw bytes without a type in {shown(tensor.name)}"
    if stored.startswith("complex") and not wanted.startswith("complex"):
        return f"expected {wanted}, found {stored} in {shown(tensor.name)}"
    return ""
