"""What ``verify`` and ``diff`` return: facts with a readable ``str()``."""

from __future__ import annotations

from dataclasses import dataclass, field

from kio.errors import shown


@dataclass(slots=True)
class VerifyReport:
    """What ``kio.verify`` found.

    Attributes:
        source: Name of the file.
        format: Name of its format, or None if it could not be opened.
        tensors: Number of tensors.
        nbytes: Decoded size of all tensors.
        checksums: Kinds of checksum that covered them; empty if the format carries none.
        problems: One message for each thing that is damaged.
        unread: What is valid, but of a kind that kio does not read: name -> what it is.
        refused: One message for each thing that kio did not look at: the file itself, if it is of
            a kind that kio does not read, or what goes beyond ``kio.Limits``.
    """

    source: str
    format: str | None = None
    tensors: int = 0
    nbytes: int = 0
    checksums: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged, as far as the file allows one to tell, and kio looked at all."""
        return not (self.problems or self.refused)

    @property
    def verdict(self) -> str:
        """``"ok"``, ``"DAMAGED"``, or ``"not checked"`` where the file is valid as far as kio read it."""
        return "DAMAGED" if self.problems else "not checked" if self.refused else "ok"

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        head = f"{self.source}: {self.verdict}"
        if self.unread:
            head += f", {len(self.unread)} {'tensor' if len(self.unread) == 1 else 'tensors'} kio does not read"
        if self.format is not None:
            by = ", ".join(self.checksums) or "structure only: the file carries no checksum"
            head += f" ({self.format}, {self.tensors} tensors, {self.nbytes} bytes, checked by {by})"
        lines = [head, *(f"  {problem}" for problem in self.problems + self.refused)]
        return "\n".join(lines + [f"  not read {shown(name)}: {why}" for name, why in self.unread.items()])


@dataclass(slots=True)
class TensorDiff:
    """How one tensor differs.

    Attributes:
        name: Of the tensor.
        what: ``"dtype"``, ``"shape"`` or ``"values"``.
        a, b: The two dtypes or shapes, or "" for values.
        nelems: Elements that differ.
        max_abs: Largest absolute difference.
        max_ulp: Largest distance in units of the last place; None where that has no meaning.
    """

    name: str
    what: str
    a: str = ""
    b: str = ""
    nelems: int = 0
    max_abs: float = 0.0
    max_ulp: int | None = None

    def __str__(self) -> str:
        if self.what != "values":
            return f"{self.name}: {self.what} {self.a} != {self.b}"
        ulp = "" if self.max_ulp is None else f", {self.max_ulp} ulp"
        return f"{self.name}: {self.nelems} elements differ, by at most {self.max_abs:g}{ulp}"


@dataclass(slots=True)
class DiffReport:
    """What ``kio.diff`` found.

    Attributes:
        only_a, only_b: Names in one checkpoint only.
        different: How the others differ.
        equal: Number of tensors with equal dtype, shape and bytes.
        unread: Tensors of both that cannot be compared, as kio does not read them: name -> what they are.
    """

    only_a: list[str] = field(default_factory=list)
    only_b: list[str] = field(default_factory=list)
    different: list[TensorDiff] = field(default_factory=list)
    equal: int = 0
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether both hold the same tensors, byte for byte, and all of them could be compared."""
        return not (self.only_a or self.only_b or self.different or self.unread)

    def __bool__(self) -> bool:
        return self.same

    def __str__(self) -> str:
        lines = [f"only in a: {name}" for name in self.only_a]
        lines += [f"only in b: {name}" for name in self.only_b]
        lines += [str(each) for each in self.different]
        lines += [f"not compared {shown(name)}: {why}" for name, why in self.unread.items()]
        return "\n".join([*lines, f"{self.equal} tensors are equal"])


@dataclass(slots=True)
class SaveResult:
    """What a save wrote.

    Attributes:
        path: Of the file or folder, or the name of the open file.
        format: Name of the format.
        nbytes: Bytes written.
        seconds: From the call to the moment when the file had its name.
        needs: Names in ``kio.layers`` that the model uses: stock Keras loads the file after
            ``import kio.layers``.

    A save in the background (``kio.background.Saving``) is one that ``wait`` waits for.
    """

    path: str
    format: str
    nbytes: int
    seconds: float
    needs: tuple[str, ...] = ()

    def done(self) -> bool:
        """Whether the save has ended."""
        return True

    def wait(self, timeout: float | None = None) -> SaveResult:
        """Return this result; see ``kio.background.Saving.wait``."""
        return self

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What ``wait`` would raise, or None."""
        return None

    def __str__(self) -> str:
        rate = self.nbytes / self.seconds / 1e6 if self.seconds else 0.0
        text = f"{self.path}: {self.nbytes} bytes of {self.format} in {self.seconds:.3f} s ({rate:.0f} MB/s)"
        if self.needs:
            text += f"\n  stock Keras loads it after `import kio.layers`, which has its {', '.join(self.needs)}"
        return text

    def __fspath__(self) -> str:
        return self.path
