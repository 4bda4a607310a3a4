"""What is measured: operation x format x shape of the model x state of the page cache.

A case is run with every one of its entries, each sample in a fresh process, the entries
taking turns.  An entry is a contender with options, ``label[:option,...][@format]``.
Goals are the rows of the table in README: they only name cases, so every goal is
computed from samples that took turns within one run.
"""

from dataclasses import dataclass, field

from benchmarks.shapes import FILES

MIB = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One contender of a case.

    ``format`` is empty for "the file of the case".
    """

    label: str
    options: tuple[tuple[str, int], ...] = ()  # a flag without a value is True
    format: str = ""

    @staticmethod
    def parse(text: str) -> "Entry":
        rest, _, fmt = text.partition("@")
        label, _, options = rest.partition(":")
        pairs = [item.partition("=") for item in options.split(",") if item]
        return Entry(label, tuple((key, int(value) if equals else True) for key, equals, value in pairs), fmt)

    def __str__(self) -> str:
        options = ",".join(key if value is True else f"{key}={value}" for key, value in self.options)
        return self.label + (f":{options}" if options else "") + (f"@{self.format}" if self.format else "")


@dataclass(frozen=True)
class Case:
    op: str  # load_model | load_weights | read | index | save_model | save_weights | save_in_background
    shape: str  # a name in shapes.FULL
    format: str  # a key of shapes.FILES
    contenders: tuple[str, ...]
    backend: str = ""  # "" where no framework takes part
    cold: bool = False
    ncpus: int = 0  # 0: whatever the process may use
    limit: bool = True  # measure the machine's own limit beside it
    quick: tuple[str, ...] = ()  # the entries that --quick takes of it

    @property
    def name(self) -> str:
        parts = [self.op, f"{self.shape}.{self.format}", self.backend, "cold" if self.cold else "warm"]
        return "/".join(part for part in parts if part)

    @property
    def writes(self) -> bool:
        return self.op.startswith("save_")

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(Entry.parse(text) for text in (*self.contenders, *self.roofline))

    @property
    def roofline(self) -> tuple[str, ...]:
        """Entries that move the same file's bytes and do nothing else.

        Several, because which is fastest depends on the machine: the best one is the limit.
        A load into a built model has its memory already; every other load has to get it.
        """
        if not self.limit:
            return ()
        if self.writes:
            return ("roofline:threads=1", "roofline:direct,threads=2", "roofline:direct,threads=4")
        if self.cold:
            # Into memory that is already there: the storage alone is measured.
            return ("roofline:threads=2", "roofline:direct,threads=2", "roofline:direct,threads=4")
        fresh = "" if self.op == "load_weights" else ",fresh"
        return (f"roofline:threads=1{fresh}", f"roofline:threads=2{fresh}")


STOCK = ("keras", "kio")
OPEN = ("h5py", "kio")
# Stock Keras drops the optimizer's slots of a legacy file of its own, so it takes part without.
MODEL_ONLY = ("keras:compile=0", "kio:compile=0", "kio")
FRAMEWORKS = ("torch", "jax")  # those that rows of the table name, and the default
BACKENDS = (*FRAMEWORKS, "tensorflow", "numpy")


def _cases() -> list[Case]:
    out: list[Case] = []
    readers = ("h5py", "safetensors", "torch", "kio")
    for backend in BACKENDS:
        out += [
            Case("load_model", "large", "keras", STOCK, backend, quick=STOCK),
            Case("load_weights", "large", "keras", (*STOCK, "kio:verify"), backend, quick=("kio:verify",)),
            Case("load_weights", "large", "h5", STOCK, backend, quick=("kio",)),
            Case("load_weights", "small", "h5", STOCK, backend, quick=STOCK),
            Case("load_model", "plain", "legacy", STOCK, backend, quick=("kio",)),
            Case("load_model", "large", "legacy", MODEL_ONLY, backend, quick=MODEL_ONLY),
            Case("load_weights", "plain", "legacy", STOCK, backend, quick=STOCK),
            Case("load_weights", "layers", "legacy", STOCK, backend, quick=STOCK),
        ]
    for backend in BACKENDS:
        others = ("safetensors:fsync", "torch:fsync", "h5py:fsync") if backend == "torch" else ()
        durable = ("keras:fsync", *others, "kio")
        out += [
            Case("save_model", "large", "keras", ("keras", "keras:fsync", "kio"), backend, limit=False, quick=("kio",)),
            Case("save_model", "large", "legacy", ("keras", "keras:fsync", "kio"), backend, limit=False, quick=STOCK),
            Case("save_weights", "large", "h5", durable, backend, quick=("keras:fsync", "kio", "roofline:threads=1")),
            Case("save_weights", "small", "h5", ("keras:fsync", "kio"), backend, limit=False, quick=("kio",)),
            Case("save_in_background", "large", "h5", STOCK, backend, limit=False, quick=STOCK),
        ]
    out += [
        Case("index", "index", "h5", OPEN, limit=False, quick=OPEN),
        Case("read", "large", "h5", readers, quick=("h5py", "safetensors", "kio", "roofline:threads=1,fresh")),
        Case("read", "large", "h5", readers, cold=True, quick=("kio", "roofline:threads=2")),
        Case("read", "gzip", "gzip", OPEN, ncpus=2, limit=False, quick=OPEN),
        Case("read", "large", "keras", ("kio", "kio:verify"), quick=("kio", "kio:verify")),
    ]
    return out


def _extra() -> list[Case]:
    """Run with --all only: no row of the table asks for these, but readers do."""
    out: list[Case] = []
    for backend in BACKENDS:
        out += [
            Case("load_model", "large", "keras", STOCK, backend, cold=True),
            Case("load_model", "small", "keras", STOCK, backend),
            Case("load_weights", "large", "h5", STOCK, backend, cold=True),
        ]
    out += [
        Case("read", "large", "keras", ("kio", "kio:verify"), cold=True),
        Case("read", "large", "safetensors", ("safetensors", "kio")),
        Case("read", "small", "h5", OPEN, limit=False),
    ]
    return out


TABLE = _cases()
ALL = TABLE + _extra()


@dataclass(frozen=True)
class Goal:
    """One row of the table: a figure computed from one case, and what it has to be.

    Metrics: ``speedup`` of entry over against · ``per_variable`` µs · ``share`` of the
    machine's limit · ``overhead`` of entry over against · ``extra`` MiB of peak RSS beyond
    ``allowance`` times the bytes of the variables.
    """

    what: str
    case: Case
    metric: str
    must: float
    aim: float
    against: str = "keras"  # a label, or an entry with its options
    entry: str = "kio"
    allowance: int = 0
    higher_is_better: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "higher_is_better", self.metric in ("speedup", "share"))


def _find(op: str, shape: str, fmt: str, backend: str = "", cold: bool = False) -> Case:
    name = Case(op, shape, fmt, (), backend, cold).name
    return next(case for case in TABLE if case.name == name)


def _goals() -> list[Goal]:
    out: list[Goal] = []
    for backend in FRAMEWORKS:
        case = _find("load_model", "large", "keras", backend)
        out.append(Goal(f"`load_model(.keras)`, 1 GB, {backend}", case, "speedup", 6, 12))
    for backend in FRAMEWORKS:
        case = _find("load_weights", "large", "keras", backend)
        out.append(Goal(f"`load_weights(.keras)`, 1 GB, {backend}", case, "speedup", 20, 60))
    for backend, must, aim in (("torch", 3, 5), ("jax", 2, 3)):
        case = _find("load_weights", "large", "h5", backend)
        out.append(Goal(f"`load_weights(.weights.h5)`, 1 GB, {backend}", case, "speedup", must, aim))
    for backend, must, aim in (("torch", 10, 40), ("jax", 8, 20)):
        case = _find("load_weights", "small", "h5", backend)
        what = f"`load_weights(.weights.h5)`, 12,000 small variables, {backend}"
        out.append(Goal(what, case, "speedup", must, aim))
    out += _legacy_goals()
    read = _find("read", "large", "h5")
    cold = _find("read", "large", "h5", cold=True)
    packed = _find("read", "gzip", "gzip")
    crc = _find("read", "large", "keras")
    index = _find("index", "index", "h5")
    out += [
        Goal("index of 20,000 variables, `.weights.h5`, µs per variable", index, "per_variable", 3, 1.5),
        Goal("`kio.open(...).read()`, 1 GB, vs safetensors.numpy", read, "speedup", 2.5, 4, "safetensors"),
        Goal("`kio.open(...).read()`, 1 GB, vs h5py", read, "speedup", 2, 3.5, "h5py"),
        Goal("cold read, share of the machine's own limit", cold, "share", 0.85, 0.97, "roofline"),
        Goal("gzip+shuffle HDF5, 2 cores, vs h5py", packed, "speedup", 3.5, 6, "h5py"),
        Goal("checksums verified vs not", crc, "overhead", 0.05, 0.0, "kio", "kio:verify"),
    ]
    for op, allowance in (("load_model", 1), ("load_weights", 0)):
        for backend in FRAMEWORKS:
            case = _find(op, "large", "keras", backend)
            beyond = " beyond the weights" if allowance else ""
            what = f"peak extra RSS of `{op}(.keras)`{beyond}, {backend}, MiB"
            out.append(Goal(what, case, "extra", 64, 64, allowance=allowance))
    return out + _saving_goals()


def _legacy_goals() -> list[Goal]:
    out: list[Goal] = []
    rows = (
        ("load_model", "plain", "1 GB", ""),
        ("load_model", "large", "1 GB with Adam's state, `compile=False`", ":compile=0"),
        ("load_weights", "plain", "1 GB", ""),
        ("load_weights", "layers", "12,000 small variables", ""),
    )
    for op, shape, size, options in rows:
        for backend in FRAMEWORKS:
            what, case = f"`{op}(.h5)`, {size}, {backend}", _find(op, shape, "legacy", backend)
            out.append(Goal(what, case, "speedup", 3, 5, f"keras{options}", f"kio{options}"))
    for op, shape, beyond in (("load_model", "large", " beyond the weights"), ("load_weights", "plain", "")):
        for backend in FRAMEWORKS:
            what, case = f"peak extra RSS of `{op}(.h5)`{beyond}, {backend}, MiB", _find(op, shape, "legacy", backend)
            out.append(Goal(what, case, "extra", 64, 64, allowance=1 if beyond else 0))
    return out


def _saving_goals() -> list[Goal]:
    """Every save of kio's is durable: on the disk when it returns."""
    out: list[Goal] = []
    for fmt, suffix, backend in ((f, s, b) for f, s in (("keras", ".keras"), ("legacy", ".h5")) for b in FRAMEWORKS):
        model = _find("save_model", "large", fmt, backend)
        what = f"`save_model({suffix})`, 1 GB, {backend}, vs stock"
        out += [
            Goal(f"{what} without fsync", model, "speedup", 2, 4, "keras"),
            Goal(f"{what} with", model, "speedup", 3, 6, "keras:fsync"),
        ]
    for backend in FRAMEWORKS:
        weights = _find("save_weights", "large", "h5", backend)
        rivals = [("stock", "keras:fsync", 3, 6)]
        if backend == "torch":
            rivals += [("safetensors.torch", "safetensors:fsync", 3, 5), ("torch.save", "torch:fsync", 4, 8)]
            rivals += [("h5py", "h5py:fsync", 3, 6)]
        for name, against, must, aim in rivals:
            what = f"`save_weights(.weights.h5)`, 1 GB, {backend}, vs {name}, both with fsync"
            out.append(Goal(what, weights, "speedup", must, aim, against))
        what = f"`save_weights(.weights.h5)`, 1 GB, {backend}, share of the machine's own limit"
        out.append(Goal(what, weights, "share", 0.75, 0.95, "roofline"))
    for backend in FRAMEWORKS:
        small = _find("save_weights", "small", "h5", backend)
        what = f"`save_weights(.weights.h5)`, 12,000 small variables, {backend}, vs stock, both with fsync"
        out.append(Goal(what, small, "speedup", 8, 30, "keras:fsync"))
    for backend, must, aim in (("torch", 15, 30), ("jax", 100, 500)):
        stop = _find("save_in_background", "large", "h5", backend)
        what = f"trainer stopped by `save_weights(background=True)`, 1 GB, {backend}, vs a stock save"
        out.append(Goal(what, stop, "speedup", must, aim))
    for op, fmt in (("save_model", "keras"), ("save_weights", "h5")):
        for backend in FRAMEWORKS:
            case = _find(op, "large", fmt, backend)
            out.append(Goal(f"peak extra RSS of `{op}`, {backend}, MiB", case, "extra", 64, 32))
    return out


GOALS = _goals()
assert len({case.name for case in ALL}) == len(ALL)
assert all(entry.format in ("", *FILES) for case in ALL for entry in case.entries)
