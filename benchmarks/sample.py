"""One sample: one case, one contender, this fresh process.

Imports, the building of the model and one rehearsal on a tiny file come first; then the
page cache is put into its state, and one operation is timed.  Hashing comes last.
The result is written as JSON to the file that the caller names; a time is written only
if the SHA-256 of everything that was loaded is the one recorded when the file was made.
"""

import contextlib
import gc
import importlib
import json
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import digest, measure, saving, shapes
from benchmarks.contenders import Unavailable, find

Spec = dict[str, Any]


class Operation:
    """What a case does, in the parts that are timed (run) and not (everything else)."""

    expects: str = ""  # the digest in the manifest

    def __init__(self, contender: ModuleType, spec: Spec, path: str, shape: shapes.Shape) -> None:
        if not hasattr(contender, spec["op"]):
            raise Unavailable(f"{contender.label} has no {spec['op']}")
        self.path, self.options = path, dict(spec["options"])
        self.contender = contender
        self.work = getattr(contender, spec["op"])

    def run(self) -> None:
        raise NotImplementedError

    def arrays(self) -> Iterable[digest.Array]:
        return ()

    def digest(self) -> str:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is left behind by what only reads."""


class LoadModel(Operation):
    model: Any = None

    @property
    def expects(self) -> str:  # type: ignore[override]
        return "model" if self.options.get("compile", True) else "weights"

    def run(self) -> None:
        self.model = self.work(self.path, **self.options)
        _finish(self.model)

    def arrays(self) -> Iterable[digest.Array]:
        return shapes.values(self.model)

    def digest(self) -> str:
        return digest.of_sequence(self.arrays())


class LoadWeights(LoadModel):
    def __init__(self, contender: ModuleType, spec: Spec, path: str, shape: shapes.Shape) -> None:
        super().__init__(contender, spec, path, shape)
        self.model = shapes.build(shape)
        _overwrite(self.model)
        _finish(self.model)

    def run(self) -> None:
        self.work(self.model, self.path, **self.options)
        _finish(self.model)


class Read(Operation):
    expects = "tensors"
    result: Any = None

    def run(self) -> None:
        self.result = self.work(self.path, **self.options)

    def arrays(self) -> Iterable[digest.Array]:
        return self.contender.arrays(self.result).values()  # type: ignore[no-any-return]

    def digest(self) -> str:
        return digest.of_tensors(self.contender.arrays(self.result))


class Index(Operation):
    expects = "index"
    handle: Any = None

    def run(self) -> None:
        self.handle = self.work(self.path, **self.options)

    def digest(self) -> str:
        return digest.of_index(self.contender.rows(self.handle))


class ReadLimit(Operation):
    """The machine's limit; right if the file's own SHA-256 comes out."""

    expects = "file"

    def __init__(self, contender: ModuleType, spec: Spec, path: str, shape: shapes.Shape) -> None:
        self.path, self.options, self.contender = path, dict(spec["options"]), contender
        self.memory = contender.memory(Path(path).stat().st_size, self.options.pop("fresh", 0))

    def run(self) -> None:
        self.memory = self.contender.move(self.path, self.memory, **self.options)

    def arrays(self) -> Iterable[digest.Array]:
        return [self.memory]

    def digest(self) -> str:
        import hashlib

        return hashlib.sha256(self.memory.data).hexdigest()


OPERATIONS: dict[str, Any] = {
    "load_model": LoadModel,
    "load_weights": LoadWeights,
    "read": Read,
    "index": Index,
    **saving.OPERATIONS,
}


def _finish(model: Any) -> None:
    """Wait for work that was only started: jax hands out arrays before they are filled."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        jax.block_until_ready([variable.value for variable in shapes.variables(model)])


def _overwrite(model: Any) -> None:
    """Give every variable another value than the file's, in memory that is really there.

    Adam's slots start as zeros, which the system may not have backed with memory yet: a
    load would be charged for it.
    """
    import keras

    for variable in shapes.variables(model):
        if keras.backend.backend() == "torch":
            variable.value.data.fill_(0.5)
        else:
            variable.assign(keras.ops.full(variable.shape, 0.5, variable.dtype))


def take(spec: Spec) -> dict[str, Any]:
    """Take the sample.

    Args:
        spec: See run.py, which makes it.
    Returns:
        A record with ``status``: ok | unavailable | wrong | lazy | cache; figures only if ok.
    """
    if spec["ncpus"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: spec["ncpus"]])
    # All contenders of a case import the same, so none finds another process than the others.
    for name in spec["imports"]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    try:
        contender = find(spec["label"])
    except ImportError as error:
        raise Unavailable(f"{spec['label']} is not installed: {error}") from error
    kind = OPERATIONS[spec["op"]]
    if spec["label"] == "roofline":
        kind = saving.Limit if spec["op"] in saving.OPERATIONS else ReadLimit
    _rehearse(kind, contender, spec)
    operation = kind(contender, spec, spec["path"], shapes.Shape.of(spec["shape"]))

    path = Path(spec["path"])
    if not (measure.cold(path) if spec["cold"] else measure.warm(path)):
        return {
            "status": "cache",
            "reason": "the file could not be dropped from the page cache or kept in it",
        }
    measure.settle()
    with measure.measured() as figures:
        operation.run()

    arrays = list(operation.arrays())  # making them allocates, and so faults
    before = measure.faults()
    npages = digest.touch(arrays)
    late = measure.faults() - before
    # Far above what touching resident memory causes, below one fault per 64 pages.
    if late > max(256, npages // 64):
        return {"status": "lazy", "reason": f"{late} page faults when the values were first looked at"}
    found, expected = operation.digest(), spec["expected"][operation.expects]
    operation.close()
    if found != expected:
        return {"status": "wrong", "reason": f"SHA-256 of the values: expected {expected}, found {found}"}
    return {"status": "ok", **figures, "library": _origin(spec["label"])}


def _rehearse(kind: Any, contender: ModuleType, spec: Spec) -> None:
    """Do the same once on a file of some kilobytes.

    Lazily imported modules, thread pools and first-use tables are the process's costs, not
    the load's.  Nothing of the size of the real file is allocated, so no memory is recycled.
    """
    operation = kind(contender, spec, spec["tiny_path"], shapes.Shape.of(spec["tiny_shape"]))
    operation.run()
    operation.digest()
    operation.close()
    del operation
    if spec["backend"]:
        import keras

        # Layers made next get the names that they would have in a new process.
        keras.backend.clear_session()
    gc.collect()


def _origin(name: str) -> str:
    """Which copy of a library was measured, for the record."""
    module = sys.modules.get(name)
    version, path = getattr(module, "__version__", ""), getattr(module, "__file__", "")
    return f"{name} {version} {path}"


def main() -> int:
    spec, result = json.loads(Path(sys.argv[-2]).read_text()), Path(sys.argv[-1])
    try:
        record = take(spec)
    except Unavailable as error:
        record = {"status": "unavailable", "reason": str(error)}
    except Exception as error:
        traceback.print_exc()
        record = {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    result.write_text(json.dumps(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
