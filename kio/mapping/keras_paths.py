"""Layout of Keras 3 files: attribute path of the object, ``vars``, index of the variable.

    layers/dense_1/vars/0        second Dense layer of the model, its kernel
    optimizer/vars/3

The keys depend on the writer's version (``rules``), which ``.weights.h5`` does not tell.
``match`` therefore builds the keys from the *model*, under each rule that may apply, and
takes the rule under which every object finds its variables, by key, number and shape.

Spec: ``_save_state`` and ``_load_state`` of Keras's ``saving_lib``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kio.mapping.cudnn import CELLS
from kio.mapping.keras3.by_name import match_names
from kio.mapping.keras3.evidence import Contradiction, contradictions, touched
from kio.mapping.keras3.reading import Options, Reading, form_of
from kio.mapping.keras3.rules import RULES, Rule, paths
from kio.mapping.keys import Pairs
from kio.mapping.plan import Converted, Custom, Mismatch, Plan, Skipped, refusal
from kio.mapping.selection import EVERYTHING, Selection
from kio.mapping.stored import Stored
from kio.mapping.tree import Leaf, Node, Tree
from kio.raw.tensor import Tensor

# No backend turned what is in such files.
BACKENDS: tuple[str, ...] = ()

_SHOWN = 3


def names(tree: Tree, rule: Rule = RULES[0]) -> dict[Leaf, str]:
    """The key of every leaf as a writer of this era writes it; leaves it cannot reach are absent."""
    found = {}
    for node, path in zip(tree.nodes, paths(tree, rule), strict=True):
        if path is not None and node.leaves:
            prefix = f"{path}/vars/" if path else "vars/"
            for leaf in node.leaves:
                found[leaf] = prefix + (leaf.key if rule.keys == "index" else leaf.name)
    return found


def match(checkpoint: Any, tree: Tree, selection: Selection = EVERYTHING) -> Plan:
    """Decide which stored tensor goes to which variable.

    Args:
        checkpoint: ``Mapping[str, Tensor]`` with ``metadata`` and ``names_of`` where it has them.
        tree: The model.
        selection: ``include`` and ``exclude`` are globs over Keras variable paths, stored names and object paths;
            ``rename`` leads from keys of the model to keys in the file; ``by_name`` pairs objects by the names stored
            in the file instead, wherever they hang.

    Returns:
        The plan; nothing is refused before ``plan.check``.

    Raises:
        MatchError: for a pattern, or a key of ``rename``, that matches nothing.

    Cost: about 1 µs a variable; no I/O.
    """
    stored = Stored(checkpoint)
    unknown = tree.order_of is not None and tree.order_of(_keras3(stored.version))
    choose, renamed = selection.chooser(), selection.renamer()
    rivals: list[Reading] = []
    if selection.by_name:
        plan = match_names(stored, tree, choose, renamed)
    else:
        reading, rivals = _best(tree, stored, Options(choose, renamed, selection.whole))
        plan = _Assembly(reading, touched(reading, contradictions(reading))).plan
    if choose is not None:
        choose.check([*stored.tensors, *stored.groups])
    if renamed is not None:
        what = "an object of the model" + ("" if selection.by_name else ", as its file would call it")
        renamed.check(what)
    plan.source = str(getattr(checkpoint, "name", ""))
    plan.part = selection.part
    if rivals:
        plan.ambiguous = _both(reading, rivals[0], plan.source)
    if unknown:
        plan.notes.append(
            "  The optimizer keeps averages and sums of gradients, whose order changed in Keras 3.10; the file does "
            "not say who wrote it, and is read as one of this Keras."
        )
    return plan


def _keras3(version: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The writer's version, where the file says it and it was a Keras 3."""
    return version if version is not None and len(version) > 1 and version[0] == 3 else None


def _best(tree: Tree, stored: Stored, options: Options) -> tuple[Reading, list[Reading]]:
    """The reading to go by, and others as good that say something else."""
    version = stored.version
    rules = [rule for rule in RULES if rule.named or not stored.names]
    if version is not None:
        rules.sort(key=lambda rule: not rule.since <= version <= rule.until)
        if version >= (3,):
            rules = [rule for rule in rules if rule.since >= (3,)]
    readings: list[Reading] = []
    for rule in rules:
        if rule.keys == "name" and not stored.uses_names_as_keys:
            continue
        reading = Reading(tree, rule, stored, options)
        if reading.complete and not readings and (stored.names or version is not None):
            return reading, []
        readings.append(reading)
        if reading.complete and reading.used == len(stored):
            break
    # Of equals the first: by the file's own version, else the newest.
    best = max(readings, key=lambda r: (r.used, -sum(len(node.leaves) for node in r.failed)))
    decided = stored.names or version is not None or not best.complete
    return best, [] if decided else _rivals(best, rules, options)


def _rivals(best: Reading, rules: list[Rule], options: Options) -> list[Reading]:
    """Readings by other rules that are as good and differ.

    Under every rule of Keras 3 a path leads to the same object, so those cannot contradict
    each other; the counters of tf.keras count differently.
    """
    tree, stored = best.tree, best.stored
    found = []
    for rule in rules:
        if rule is best.rule or (rule.since >= (3,) and best.rule.since >= (3,)):
            continue
        written = paths(tree, rule)
        # A cell of a layer of CuDNN's is elsewhere: the reading will tell.
        needed = [n for n in tree.nodes if n.leaves and n.kind != "Optimizer" and not n.skip and n.cls not in CELLS]
        if all(written[n.index] in stored.groups for n in needed) and any(
            written[n.index] != best.paths[n.index] for n in needed
        ):
            reading = Reading(tree, rule, stored, options)
            if reading.complete and reading.used == best.used and reading.differs(best):
                found.append(reading)
    return found


def _both(one: Reading, two: Reading, source: str) -> str:
    """The message for two rules that fit equally well."""
    lines = [
        f"match of file and model: expected one reading, found two that fit every shape ({source})"
        if source
        else "match of file and model: expected one reading, found two that fit every shape"
    ]
    differing = [n for n in one.tree.nodes if one.paths[n.index] != two.paths[n.index] and n.loads]
    for node in differing[:_SHOWN]:
        lines.append(
            f"  {node.name or node.cls}: {one.paths[node.index]} as {one.rule.name} wrote it, "
            f"{two.paths[node.index]} as {two.rule.name} did"
        )
    lines.append("  rename= can say which is meant.")
    return "\n".join(lines)


class _Assembly:
    """Turns a reading into a plan."""

    def __init__(self, reading: Reading, refused: dict[int, Contradiction]) -> None:
        self.reading, self.stored, self.refused = reading, reading.stored, refused
        self.plan = Plan(rule=reading.rule.name)
        self.spoken: set[str] = set()  # paths whose tensors have been accounted for
        self.place(reading.order)
        for node in reading.failed:
            self.misfit(node)
        for i, leaves in reading.dropped.items():
            self.plan.leave_out(leaves)
            if not leaves:
                node = reading.tree.nodes[i]
                self.plan.skipped.append(Skipped(node.name or node.cls, "left out by include or exclude", asked=True))
        self.leftovers()

    def place(self, order: Iterable[Node]) -> None:
        """Fill ``pairs``: a variable once, where it is stored twice from the later place, as Keras does."""
        plan, reading = self.plan, self.reading
        pairs = Pairs()
        for node in order:
            i = node.index
            path = reading.paths[i] or ""
            if i in self.refused:
                self.contradict(node, path, self.refused[i])
                continue
            if node.rivals and self.rival(node, path):
                continue
            if node.assets:
                plan.assets.append((node, path))
            if node.after is not None:
                plan.finished.append(node)
            if node.custom and path not in reading.excluded:
                group = self.stored.groups.get(path, {})
                plan.customs.append(Custom(node, path, {k: self.stored.tensors[n] for k, n in group.items()}))
                continue
            pairs.add(reading.fits[i], reading.kept.get(i, node.leaves))
        if pairs.twice:
            plan.notes.append(f"{pairs.twice} tensors belong to variables that are stored again later, which counts.")
        self.divide(pairs.listed())

    def divide(self, pairs: list[tuple[Tensor, Leaf]]) -> None:
        """Into what is stored as it is, and what was kept in another form."""
        remade = self.reading.remade
        if not remade and not any(node.forms for node in self.reading.order):
            self.plan.pairs = pairs
            return
        for tensor, leaf in pairs:
            form = form_of(tensor, leaf)
            if leaf in remade:
                self.plan.converted.append(Converted([tensor], leaf, *remade[leaf]))
            elif form is None:
                self.plan.pairs.append((tensor, leaf))
            else:
                self.plan.converted.append(Converted([tensor], leaf, form.make, form.what))

    def contradict(self, node: Node, path: str, c: Contradiction) -> None:
        self.spoken.add(path)
        other = self.reading.paths[c.other.index] or self.reading.tried[c.other.index]
        why = (
            f"{c.path} holds {c.stored!r}, which by its place is {c.node.name!r} "
            f"and by its name {c.other.name!r} (at {other})"
        )
        for tensor, leaf in zip(
            self.reading.fits[node.index], self.reading.kept.get(node.index, node.leaves), strict=True
        ):
            self.plan.mismatched.append(Mismatch(leaf.path, tensor.name, why, leaf))
        if node.custom:
            self.plan.mismatched.append(Mismatch(node.name or node.cls, path, why, None))

    def rival(self, node: Node, path: str) -> bool:
        """Whether the state of another kind of optimizer was stored here."""
        name = self.stored.names.get(path)
        if name is None or not node.leaves:
            return False
        base, _, number = name.lower().rpartition("_")
        if name.lower() not in node.rivals and not (number.isdigit() and base in node.rivals):
            return False
        self.spoken.add(path)
        why = f"the file has the state of {name!r}, the model is compiled with {node.name!r}"
        self.plan.skipped.append(Skipped(f"optimizer {node.name}", why, list(node.leaves)))
        return True

    def misfit(self, node: Node) -> None:
        """Say what is wrong with a node that found no place."""
        plan, reading = self.plan, self.reading
        path = reading.tried[node.index]
        group = None if path is None else self.stored.groups.get(path)
        if node.custom:
            plan.customs.append(Custom(node, path or "", {}))
            return
        if group is not None and path is not None:
            self.spoken.add(path)
        if node.kind == "Optimizer":
            plan.skipped.append(Skipped(f"optimizer {node.name}", self.count(node, group), list(node.leaves)))
            return
        prefix = f"{path}/vars/" if path else "vars/"
        for leaf in node.leaves:
            plan.keys[leaf] = prefix + leaf.key if path is not None else leaf.path
            name = None if group is None else group.get(leaf.key)
            if name is None:
                plan.missing.append(leaf)
            else:
                why = refusal(self.stored.tensors[name], leaf) or self.count(node, group)
                plan.mismatched.append(Mismatch(leaf.path, name, why, leaf))
        if not node.leaves and group:
            plan.mismatched.append(Mismatch(node.name or node.cls, prefix, self.count(node, group), None))

    def count(self, node: Node, group: dict[str, str] | None) -> str:
        n = len(group or ())
        what = node.name or node.cls
        if n == len(node.leaves) and n == node.expects:
            return f"{what}: another variable of it does not fit"
        if not node.built:
            return f"{what} was never built and has no variables, the file has {n} for it"
        expects = len(node.leaves) if node.expects is None else node.expects
        return f"{what}: expected {expects} stored variables, found {n}"

    def leftovers(self) -> None:
        """List what goes nowhere."""
        reading, stored = self.reading, self.stored
        if reading.used == len(stored) and not reading.unclaimed:
            return
        taken = {reading.paths[node.index] for node in reading.order if node.loads} | self.spoken
        left = [name for path, group in stored.groups.items() if path not in taken for name in group.values()]
        left += stored.loose
        for i, unused in reading.unclaimed.items():
            what = reading.tree.nodes[i].name
            self.plan.notes.append(
                f"{what}: {len(unused)} stored variables are left alone, taken for momenta that SGD did not use; "
                "the file does not tell which optimizer wrote them."
            )
            left += unused
        if reading.left_out:
            below = tuple(path + "/" for path in reading.left_out)
            left = [name for name in left if not name.startswith(below)]
        metrics = [name for name in left if name.startswith("metrics/")]
        if metrics and not stored.names:
            # tf.keras stored them; no Keras 3 file has any.
            self.plan.notes.append(f"{len(metrics)} tensors of metrics are left alone.")
            left = [name for name in left if not name.startswith("metrics/")]
        self.plan.unexpected = left
