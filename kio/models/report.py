"""LoadReport: what a load did, with the status methods of TensorFlow checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field

from kio.errors import shown
from kio.mapping.plan import Plan

_LISTED = 10


@dataclass(slots=True)
class LoadReport:
    """What was loaded and what was not; true if anything was loaded.

    Attributes:
        loaded: Paths of the variables that now hold what is in the file.
        missing: Paths of variables for which the file has nothing.
        unexpected: Names of tensors that the model has no variable for.
        mismatched: ``variable: reason`` for those that did not fit.
        skipped: ``object: reason`` for those that were left alone on purpose: variables that
            ``include`` or ``exclude`` left out, ``objects_to_skip``, an optimizer of another kind.
        nbytes: Decoded bytes read.
        seconds: How long it took, reading of the file's structure not included.
        plan: The plan that was carried out, as plain data.
    """

    plan: Plan
    nbytes: int
    seconds: float
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Plan, seconds: float) -> LoadReport:
        """The report of a plan that has been carried out, which is left as plain data."""
        gone = {s.what for s in plan.skipped}
        own = [c.node.name or c.node.cls for c in plan.customs if c.tensors]
        return cls(
            plan.release(),
            plan.nbytes,
            seconds,
            loaded=[leaf.path for _, leaf in plan.pairs]
            + [each.leaf.path for each in plan.converted]
            + [name for name in own if name not in gone],
            missing=[leaf.path for leaf in plan.missing],
            unexpected=list(plan.unexpected),
            mismatched=[f"{m.what}: {m.why}" for m in plan.mismatched],
            skipped=[f"{s.what}: {s.why}" for s in plan.skipped],
        )

    def __bool__(self) -> bool:
        """Whether anything was loaded."""
        return bool(self.loaded)

    def left(self) -> list[str]:
        """Everything in the model that was not filled."""
        return self.missing + self.mismatched + self.skipped

    def assert_consumed(self) -> LoadReport:
        """Raise unless every tensor of the file went somewhere and every variable was filled.

        Raises:
            AssertionError: naming the first ten exceptions.
        """
        return self._refuse(self.left() + [shown(name) for name in self.unexpected])

    def assert_existing_objects_matched(self) -> LoadReport:
        """Raise unless every variable of the model was filled; the file may hold more.

        Raises:
            AssertionError: naming the first ten that were not.
        """
        return self._refuse(self.left())

    def expect_partial(self) -> LoadReport:
        """Accept that not everything was loaded; returns the report."""
        return self

    def _refuse(self, names: list[str]) -> LoadReport:
        if names:
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            raise AssertionError(f"not matched: {', '.join(names[:_LISTED])}{more}")
        return self

    def __str__(self) -> str:
        rate = self.nbytes / self.seconds / 1e9 if self.seconds else 0.0
        lines = [
            f"{len(self.loaded)} loaded ({self.nbytes} bytes in {self.seconds:.3f} s, {rate:.2f} GB/s), "
            f"{len(self.missing)} missing, {len(self.mismatched)} mismatched, "
            f"{len(self.unexpected)} unexpected, {len(self.skipped)} skipped"
        ]
        for what, names in (("missing", self.missing), ("mismatched", self.mismatched),
                            ("unexpected", self.unexpected), ("skipped", self.skipped)):  # fmt: skip
            lines += [f"  {what} {shown(name)}" for name in names[:_LISTED]]
            if len(names) > _LISTED:
                lines.append(f"  … and {len(names) - _LISTED} more {what}")
        return "\n".join(lines + [f"  {note}" for note in self.plan.notes + self.plan.doubts])
