"""The state of an optimizer in legacy HDF5: every era called and ordered it otherwise.

| writer                | names                               | order                                 |
|-----------------------|-------------------------------------|---------------------------------------|
| Keras 1, 2.0 to 2.0.5 | Variable_7:0                        | slot by slot, weights sorted by name  |
| Keras 2               | training/Adam/Variable_7:0          | iterations, then slot by slot         |
| tf.keras to 2.10      | Adam/dense/kernel/m:0               | the same                              |
| tf.keras 2.11 to 2.15 | Adam/m/dense/kernel:0               | iteration, then weight by weight      |
| Keras 3               | adam/sequential_dense_kernel_momentum | iteration, learning_rate, by weight |

A slot belongs to the weight that its name tells, by the name the weight has in this file;
without such names, to the weight at its place, if number and all shapes agree.  Where today's
names do not tell (Adafactor's rows and columns), the variables of optimizers since 2.11 are
taken one by one, as their order has not changed since.  A state that does not fit whole is
left alone, and the plan says why.

Spec: ``save_optimizer_weights_to_hdf5_group`` of each Keras's ``hdf5_format`` (3: ``legacy_h5_format``), and the
``get_weights`` or ``variables`` of its optimizers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kio.mapping.cudnn import Make
from kio.mapping.h5.stored import StoredLayer
from kio.mapping.plan import Converted, Plan, Skipped, refusal
from kio.mapping.tree import Leaf, Node
from kio.raw.tensor import Tensor

# Today's slots, by class, in the order in which older writers went through them; what those
# called them.
SLOTS: dict[str, dict[str, tuple[str, ...]]] = {
    "adam": {"momentum": ("m",), "velocity": ("v",), "velocity_hat": ("vhat",)},
    "adam_w": {"momentum": ("m",), "velocity": ("v",), "velocity_hat": ("vhat",)},
    "nadam": {"momentum": ("m",), "velocity": ("v",)},
    "adamax": {"momentum": ("m",), "norm": ("v", "u")},
    "sgd": {"momentum": ("momentum", "m")},
    "rm_sprop": {"velocity": ("rms", "velocity"), "momentum": ("momentum",), "average_gradient": ("mg",)},
    "adagrad": {"accumulator": ("accumulator",)},
    "adadelta": {"accumulated_grad": ("accum_grad",), "accumulated_delta_var": ("accum_var",)},
    "ftrl": {"accumulator": ("accumulator",), "linear": ("linear",)},
    "lion": {"momentum": ("m",)},
}
_SCALARS = {
    "iteration": ("iteration", "iter", "iterations"),
    "learning_rate": ("learning_rate",),
    "dynamic_scale": ("current_loss_scale", "dynamic_scale"),
    "step_counter": ("good_steps", "step_counter"),
    # Nadam's product of momenta, to which Keras 3 gives no name of its own.
    "variable": ("variable",),
}


@dataclass(slots=True)
class Origin:
    """A variable of the model and where it came from.

    Attributes:
        leaf: The variable.
        names: Stored names of what it was made from, without their ``:0``, in order.
        shapes: Of the same.
        make: How it was made, None if it was taken as it is.
        what: What the stored form is, for people.
        at: Place of the first in the file.
    """

    leaf: Leaf
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    make: Make | None
    what: str
    at: int

    @property
    def linear(self) -> bool:
        """Whether what was done to the weight may be done to its slots."""
        return not self.what.startswith("CuDNN")


@dataclass(slots=True)
class _Slot:
    leaf: Leaf
    kind: str
    origin: Origin


def match_optimizer(
    stored: StoredLayer,
    nodes: Sequence[Node],
    origins: Sequence[Origin],
    by_letter: bool,
    plan: Plan,
    plain: bool | None = None,
) -> None:
    """Enter the state of the optimizer into a plan, whole or not at all.

    Args:
        stored: What ``optimizer_weights`` lists.
        nodes: The optimizer, and the one inside it where it has one.
        origins: Where the model's variables come from.
        by_letter: Whether the writer sorted weights by their names.
        plan: To be added to.
        plain: Whether the file was written with an SGD without momentum, where it tells.
    """
    leaves = list({id(leaf.handle): leaf for node in nodes for leaf in node.leaves}.values())
    why = _Match(stored, nodes, leaves, origins, by_letter, plain).enter(plan)
    if why:
        plan.skipped.append(Skipped(f"optimizer {nodes[0].name}", why, leaves))


class _Match:
    def __init__(
        self,
        stored: StoredLayer,
        nodes: Sequence[Node],
        leaves: Sequence[Leaf],
        origins: Sequence[Origin],
        by_letter: bool,
        plain: bool | None,
    ) -> None:
        self.stored, self.origins, self.by_letter, self.plain = stored, origins, by_letter, plain
        self.classes = [node.cls for node in nodes]
        self.spare = [shape for node in nodes for shape in node.spare]
        self.scalars: dict[str, list[Leaf]] = {}
        self.slots: list[_Slot] = []
        self.others: list[Leaf] = []
        self.leaves = leaves
        self.sort(leaves)

    def sort(self, leaves: Sequence[Leaf]) -> None:
        """Tell scalars from slots, and which variable each slot is for."""
        by_key: dict[str, list[Origin]] = {}
        for origin in self.origins:
            by_key.setdefault(origin.leaf.path.replace("/", "_"), []).append(origin)
        turns: dict[tuple[str, str], int] = {}
        for leaf in leaves:
            stem = leaf.name.rstrip("0123456789").removesuffix("_")
            if stem in _SCALARS and not leaf.shape:
                self.scalars.setdefault(stem, []).append(leaf)
                continue
            cut = leaf.name.rfind("_")
            found: tuple[str, str] | None = None
            while cut > 0:
                if leaf.name[:cut] in by_key:
                    found = leaf.name[:cut], leaf.name[cut + 1 :]
                    break
                cut = leaf.name.rfind("_", 0, cut)
            if found is None:
                self.others.append(leaf)
                continue
            # Two variables of one path: their slots come in the variables' order.
            turn = turns.get(found, 0)
            turns[found] = turn + 1
            candidates = by_key[found[0]]
            if turn < len(candidates):
                self.slots.append(_Slot(leaf, found[1], candidates[turn]))
            else:
                self.others.append(leaf)

    def enter(self, plan: Plan) -> str:
        """Add everything to the plan; the reason if not everything fits."""
        if self.others:
            if self.in_order(plan):
                return ""
            return f"{self.others[0].name!r} belongs to no variable that was loaded"
        pairs: list[tuple[Tensor, Leaf]] = []
        converted: list[Converted] = []
        used: set[int] = set()
        if self.slots and all(not t.shape and self.kind_of(n) for t, n in self.rows()):
            plan.notes.append("The optimizer had not made its slots when it was saved: they start anew.")
            self.slots = []
        found = self.by_name()
        if found is None:
            found = self.by_place()
        if found is None:
            if self.in_order(plan):
                return ""  # Keras 3.0: names without the layers' models
            have, want = len(self.stored.tensors), len(self.slots)
            return f"the file has {have} variables of {self.named()}, none of whose readings gives {want} slots"
        for slot, tensors in zip(self.slots, found, strict=True):
            used.update(map(id, tensors))
            make = slot.origin.make
            if make is None:
                why = refusal(tensors[0], slot.leaf)
                if why:
                    return why
                pairs.append((tensors[0], slot.leaf))
            elif not slot.origin.linear:
                return f"slots of a {slot.origin.what} have another form today"
            else:
                converted.append(Converted(tensors, slot.leaf, make, slot.origin.what))
        loose: list[tuple[str, tuple[int, ...]]] = []
        free = [(tensor, name) for tensor, name in self.rows() if id(tensor) not in used]
        scalars = self.scalars_of([name for tensor, name in free if not tensor.shape])
        for tensor, name in free:
            leaf = next(scalars) if not tensor.shape else None
            if leaf is not None:
                pairs.append((tensor, leaf))
            elif tensor.shape not in ((), (1,)):
                # Keras 2 kept a one-element array for each slot that it did not use.
                loose.append((name, tensor.shape))
        if loose and not self.unused(loose):
            return f"{loose[0][0]!r} is of no slot that {self.named()} has today"
        if not any(leaf.name == "iteration" for _, leaf in pairs):
            plan.notes.append("The file has no number of steps: the optimizer starts to count at 0.")
        plan.pairs += pairs
        plan.converted += converted
        return ""

    def unused(self, loose: Sequence[tuple[str, tuple[int, ...]]]) -> bool:
        """Whether these are momenta of an SGD without momentum, by their shapes and their writer or names."""
        if [shape for _, shape in loose] != self.spare:
            return False
        if self.plain is not None:
            return self.plain
        known = {name for origin in self.origins for name in origin.names}
        flat = {name.replace("/", "_"): name for name in known}
        kinds = {"m", "momentum"}
        return all(_readings(name.partition(":")[0], known, flat, kinds) for name, _ in loose)

    def in_order(self, plan: Plan) -> bool:
        """Take the variables one by one, where shapes and names of weights allow it."""
        names = [name.partition(":")[0] for name in self.stored.names]
        if not any(name.rpartition("/")[2] == "iteration" for name in names):
            return False  # before 2.11: slot by slot
        if any(slot.origin.make is not None for slot in self.slots):
            return False
        pairs: list[tuple[Tensor, Leaf]] = []
        rest: list[tuple[Tensor, str]] = []
        rows = list(zip(self.stored.tensors, names, strict=True))
        scalars = self.scalars_of([name for tensor, name in rows if not tensor.shape])
        for tensor, name in rows:
            scalar = next(scalars) if not tensor.shape else None
            if scalar is None:
                rest.append((tensor, name))
            else:
                pairs.append((tensor, scalar))
        leaves = [leaf for leaf in self.leaves if not (leaf.name in _SCALARS and not leaf.shape)]
        if len(leaves) != len(rest):
            # Placeholders of Adafactor, which tf.keras did not store.
            leaves = [leaf for leaf in leaves if leaf.shape]
        if len(leaves) != len(rest) or not all(map(self.agree, rest, leaves)):
            return False
        plan.pairs += pairs + [(tensor, leaf) for (tensor, _), leaf in zip(rest, leaves, strict=True)]
        return True

    def agree(self, stored: tuple[Tensor, str], leaf: Leaf) -> bool:
        """Whether a variable may be this one: its shape, and the weight that its name tells."""
        tensor, name = stored
        told = {each for origin in self.origins for each in origin.names if name.endswith(f"/{each}")}
        wanted = {each for slot in self.slots if slot.leaf is leaf for each in slot.origin.names}
        return not refusal(tensor, leaf) and not (told and wanted and not told & wanted)

    def named(self) -> str:
        return " in ".join(reversed(self.classes))

    def rows(self) -> list[tuple[Tensor, str]]:
        return list(zip(self.stored.tensors, self.stored.names, strict=True))

    def kind_of(self, name: str) -> str | None:
        """Which scalar a name means, as it is called today."""
        last = name.partition(":")[0].rpartition("/")[2]
        stem = last.rstrip("0123456789").removesuffix("_")
        return next((today for today, old in _SCALARS.items() if last in old or stem in old), None)

    def scalars_of(self, names: Sequence[str]) -> Iterator[Leaf | None]:
        """The scalar that each name means; of two optimizers in one, a single name means the inner one's."""
        kinds = [self.kind_of(name) for name in names]
        turns = {kind: iter(self.scalars.get(kind, [])[-kinds.count(kind) :]) for kind in kinds if kind is not None}
        for kind in kinds:
            yield next(turns[kind], None) if kind is not None else None

    def kinds(self, slot: str) -> tuple[str, ...]:
        """What older writers called a slot."""
        for cls in self.classes:
            if slot in SLOTS.get(cls, {}):
                return (*SLOTS[cls][slot], slot)
        return (slot,)

    def by_name(self) -> list[list[Tensor]] | None:
        """Tensors of each slot, as the names tell; None unless they do for all."""
        if not self.slots:
            return []
        known = {name for origin in self.origins for name in origin.names}
        flat = {name.replace("/", "_"): name for name in known}
        kinds = {kind for slot in self.slots for kind in self.kinds(slot.kind)}
        table: dict[tuple[str, str], Tensor] = {}
        for tensor, text in zip(self.stored.tensors, self.stored.names, strict=True):
            for key in _readings(text.partition(":")[0], known, flat, kinds):
                if key in table:
                    return None
                table[key] = tensor
        found: list[list[Tensor]] = []
        for slot in self.slots:
            row = []
            for name in slot.origin.names:
                tensors = [table[kind, name] for kind in self.kinds(slot.kind) if (kind, name) in table]
                if not tensors:
                    return None
                row.append(tensors[0])
            found.append(row)
        return found

    def by_place(self) -> list[list[Tensor]] | None:
        """Tensors of each slot, slot by slot in the order of the weights; None unless all shapes agree."""
        rest = [t for t in self.stored.tensors if t.shape]
        kinds = [kind for cls in self.classes for kind in SLOTS.get(cls, {})]
        present = [kind for kind in kinds if any(slot.kind == kind for slot in self.slots)]
        origins = list({id(slot.origin): slot.origin for slot in self.slots}.values())
        weights = [(origin.at + i, name, origin, i) for origin in origins for i, name in enumerate(origin.names)]
        n = len(present) * len(weights)
        if not n or len(rest) < n or any(t.shape != (1,) for t in rest[n:]):
            return None
        orders = [sorted(weights, key=lambda w: w[0]), sorted(weights, key=lambda w: w[1])]
        for order in reversed(orders) if self.by_letter else orders:
            turn = iter(rest)
            table = {(kind, id(origin), i): next(turn) for kind in present for _, _, origin, i in order}
            found = [[table[s.kind, id(s.origin), i] for i in range(len(s.origin.names))] for s in self.slots]
            if all(map(_fits, self.slots, found)):
                return found
        return None


def _fits(slot: _Slot, tensors: Sequence[Tensor]) -> bool:
    if slot.origin.make is None:
        return tensors[0].shape == slot.leaf.shape
    return [t.shape for t in tensors] == list(slot.origin.shapes)


def _readings(text: str, known: set[str], flat: dict[str, str], kinds: set[str]) -> list[tuple[str, str]]:
    """What the name of a slot may say: (kind, stored name of its weight)."""
    parts = text.split("/")
    found: list[tuple[str, str]] = []
    if parts[-1] in kinds:
        for i in range(len(parts) - 1):
            name = "/".join(parts[i:-1])
            if name in known:
                return [(parts[-1], name)]
    for i in range(1, len(parts)):
        if parts[i - 1] in kinds and "/".join(parts[i:]) in known:
            return [(parts[i - 1], "/".join(parts[i:]))]
    last = parts[-1]
    for kind in kinds:
        if last.endswith("_" + kind) and last[: -len(kind) - 1] in flat:
            found.append((kind, flat[last[: -len(kind) - 1]]))
    return found
