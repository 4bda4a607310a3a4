"""The operations that write.  As in sample.py: preparing and checking are not timed.

A save counts only if an independent reader finds in it what the model held.
"""

import contextlib
import io
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import digest, measure, shapes
from benchmarks.contenders import Unavailable, find

# Contenders that number the variables, in files of their own kind.
SUFFIX = {"safetensors": ".safetensors", "torch": ".pt", "h5py": ".numbered.h5"}


class Save:
    """One save of a model to a path that does not exist yet."""

    def __init__(self, contender: ModuleType, spec: dict[str, Any], path: str, shape: shapes.Shape) -> None:
        if not hasattr(contender, spec["op"]):
            raise Unavailable(f"{contender.label} has no {spec['op']}")
        self.work = getattr(contender, spec["op"])
        self.expects = "legacy" if spec["format"] == "legacy" else "tensors"
        if spec["label"] in SUFFIX:
            self.expects = "model"
        self.options = dict(spec["options"])
        self.folder = Path(spec["folder"])
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.target = self.folder / (Path(path).stem.split(".")[0] + self.suffix(spec))
        self.subject = self.prepare(path, shape)
        # Whatever is still to be written back belongs to somebody else's save.
        if hasattr(os, "sync"):
            os.sync()

    def suffix(self, spec: dict[str, Any]) -> str:
        native = SUFFIX.get(spec["label"])
        return native or {"keras": ".keras", "h5": ".weights.h5", "legacy": ".h5"}[spec["format"]]

    def prepare(self, path: str, shape: shapes.Shape) -> Any:
        model = shapes.build(shape)
        _fill(model, path)
        return model

    def run(self) -> None:
        self.work(self.subject, str(self.target), **self.options)

    def arrays(self) -> tuple[()]:
        return ()

    def digest(self) -> str:
        tensors = _tensors(self.target)
        if self.expects == "model":
            return digest.of_sequence(tensors[name] for name in sorted(tensors))
        return digest.of_tensors(tensors)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class Background(Save):
    """How long the trainer stands still; the rest of the save is waited for afterwards.

    A trainer saves again and again: it is the second save of the model that is timed.
    """

    pending: Any = None

    def __init__(self, contender: ModuleType, spec: dict[str, Any], path: str, shape: shapes.Shape) -> None:
        super().__init__(contender, spec, path, shape)
        self.run()
        self.wait()
        os.sync()

    def wait(self) -> None:
        if self.pending is not None:
            self.pending.wait()

    def run(self) -> None:
        self.pending = self.work(self.subject, str(self.target), **self.options)

    def digest(self) -> str:
        self.wait()
        return super().digest()


class Limit:
    """The machine's own limit: the bytes of a file from memory to the disk and nothing else."""

    expects = "file"

    def __init__(self, contender: ModuleType, spec: dict[str, Any], path: str, shape: shapes.Shape) -> None:
        self.contender, self.options = contender, dict(spec["options"])
        self.folder = Path(spec["folder"])
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.target = self.folder / "limit.bin"
        nbytes = Path(path).stat().st_size
        self.memory = contender.move(path, contender.memory(nbytes, 0))
        os.sync()

    def run(self) -> None:
        self.contender.store(self.target, self.memory, **self.options)

    def arrays(self) -> tuple[()]:
        return ()

    def digest(self) -> str:
        return digest.of_file(self.target)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


OPERATIONS = {
    "save_model": Save,
    "save_weights": Save,
    "save_in_background": Background,
}


def durable(path: str) -> None:
    """What a careful user adds to a save that does not do it: fsync of the file and its folder."""
    for name in (path, os.path.dirname(path)):
        descriptor = os.open(name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _fill(model: Any, path: str) -> None:
    """The values of the reference file; what reads it here is checked by the digest of the save."""
    if Path(path).name == shapes.FILES["legacy"]:
        # load_weights leaves the optimizer of a legacy file alone.
        path = str(Path(path).with_name(shapes.FILES["h5"]))
    loaded = False
    with contextlib.suppress(ImportError):
        import kio

        if path.endswith(".weights.h5"):
            kio.load_weights(model, path)
            loaded = True
    if not loaded:
        model.load_weights(path)
    measure.settle()


def _tensors(path: Path) -> Mapping[str, Any]:
    """What an independent reader finds in the file."""
    from benchmarks.contenders import h5py as reader

    if path.suffix in (".safetensors", ".pt"):
        native = find("safetensors" if path.suffix == ".safetensors" else "torch")
        return native.arrays(native.read(str(path)))  # type: ignore[no-any-return]
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            # Reading the last byte of a member checks its CRC.
            return reader.arrays(reader.read(io.BytesIO(archive.read("model.weights.h5"))))
    return reader.arrays(reader.read(str(path)))
