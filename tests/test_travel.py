"""What travels: pickled, copied, in a forked or a spawned process, in a DataLoader's workers."""

from __future__ import annotations

import copy
import inspect
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kio
from kio import errors
from kio.errors import ChangedError, KioError, MissingDependencyError, UnsupportedError
from kio.raw.sink import Sink
from kio.raw.source import Source
from kio.raw.tensor import Tensor, TensorSpec, specs
from kio.reports import DiffReport, SaveResult, TensorDiff, VerifyReport

A = np.arange(12.0, dtype="float32").reshape(3, 4)
B = np.arange(200_000, dtype=">i4").reshape(400, 500)
FILES = ("x.npz", "x.safetensors", "x.weights.h5", "gzip.weights.h5", "spooled.npz")


def written(folder: Path, name: str, a: Any = A) -> str:
    path = str(folder / name)
    if name == "spooled.npz":
        np.savez_compressed(path, a=a, b=B)
    else:
        kio.write(path, {"a": a, "b": B}, compression="gzip" if "gzip" in name else None)
    return path


def test_no_object_ends_the_process(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "tests.walk", str(tmp_path)],
        cwd=root,
        env=os.environ | {"KERAS_BACKEND": "numpy"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert "walked " in done.stdout


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_travel(tmp_path: Path, name: str, protocol: int) -> None:
    with kio.open(written(tmp_path, name)) as checkpoint:
        data = pickle.dumps({key: checkpoint[key] for key in checkpoint}, protocol)
        assert name == "spooled.npz" or len(data) < 3000  # where the bytes are, not the bytes
    made = pickle.loads(data)
    assert np.array_equal(np.asarray(made["a"]), A) and np.array_equal(made["b"][10:20], B[10:20])
    assert made["b"].shape == (400, 500) and made["b"].dtype_name == "int32" and made["a"].name == "a"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda what: pickle.loads(pickle.dumps(what))])
def test_checkpoints_travel(tmp_path: Path, name: str, make: Callable[[Any], Any]) -> None:
    checkpoint = kio.open(written(tmp_path, name))
    other = make(checkpoint)
    checkpoint.close()
    with other:
        assert other.format == checkpoint.format and list(other) == list(checkpoint)
        assert np.array_equal(other.read()["b"], B)


def test_tensors_of_one_file_share_its_descriptor(tmp_path: Path) -> None:
    with kio.open(written(tmp_path, "x.npz")) as checkpoint:
        data = pickle.dumps([checkpoint["a"], checkpoint["b"]])
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    made = pickle.loads(data)
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before + 1
    made[0].source.close()
    with pytest.raises(ValueError, match="closed"):
        np.asarray(made[1])
    del made
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_checksums_travel(tmp_path: Path) -> None:
    """A damaged byte is found at the other end, too."""
    path = written(tmp_path, "x.npz")
    with kio.open(path) as checkpoint:
        tensor = checkpoint["b"]
        source, status = tensor.source.checked, os.stat(path)
        data = pickle.dumps(tensor)
    with open(path, "r+b") as file:
        file.seek(source.base + source.nbytes - 5)
        file.write(b"\xee")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    from kio.raw import transfer

    with pytest.raises(errors.ChecksumError):
        transfer.read([pickle.loads(data)], verify=True)


def test_what_is_in_memory_travels_along() -> None:
    import io

    file = io.BytesIO()
    np.savez(file, a=A)
    with kio.open(file.getvalue()) as checkpoint:
        again, tensor = pickle.loads(pickle.dumps(checkpoint)), pickle.loads(pickle.dumps(checkpoint["a"]))
        source = copy.deepcopy(checkpoint.source)
    assert np.array_equal(np.asarray(again["a"]), A) and np.array_equal(np.asarray(tensor), A)
    assert source is not None and source.read(0, 4) == b"PK\x03\x04"


def test_mapped_files_are_mapped_again(tmp_path: Path) -> None:
    with kio.open(written(tmp_path, "x.safetensors"), mmap=True) as checkpoint:
        tensor, again = pickle.loads(pickle.dumps(checkpoint["a"])), pickle.loads(pickle.dumps(checkpoint))
    assert np.array_equal(tensor.view(), A) and np.array_equal(again["a"].view(), A)


def test_folders_travel(tmp_path: Path) -> None:
    path = tmp_path / "x.weights.json"
    kio.write(path, {"a/vars/0": A, "b/vars/0": B}, max_shard_size=800_000 / 2**30)
    assert len(list(tmp_path.iterdir())) > 1
    with kio.open(path) as checkpoint:
        data = pickle.dumps(checkpoint)
    with pickle.loads(data) as again:
        assert sum(tensor.nbytes for tensor in again.values()) == A.nbytes + B.nbytes
    shard = next(each for each in tmp_path.iterdir() if each.suffix == ".h5")
    os.utime(shard, ns=(1, 1))
    with pytest.raises(ChangedError):
        pickle.loads(data)


@pytest.mark.parametrize("what", ["tensor", "source", "checkpoint", "extent"])
@pytest.mark.parametrize("late", [False, True])
def test_another_file_in_its_place_is_an_error(tmp_path: Path, what: str, late: bool) -> None:
    """One of the same size: its bytes would pass for the others."""
    path = written(tmp_path, "x.safetensors")
    status = os.stat(path)
    checkpoint = kio.open(path)
    thing: Any = {
        "tensor": checkpoint["a"],
        "source": checkpoint.source,
        "checkpoint": checkpoint,
        "extent": checkpoint["a"].extents[0],
    }[what]
    data = pickle.dumps(thing)
    written(tmp_path, "x.safetensors", A + 1)
    assert os.stat(path).st_size == status.st_size
    with pytest.raises(ChangedError, match=r"open it again with kio\.open"):
        pickle.loads(data) if late else pickle.loads(pickle.dumps(thing))
    with kio.open(path) as again:  # the hint works
        assert np.array_equal(pickle.loads(pickle.dumps(again["a"])), A + 1)
    checkpoint.close()


def test_a_relative_path_is_that_of_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "x.npz")
    monkeypatch.chdir(tmp_path)
    checkpoint = kio.open("x.npz")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert np.array_equal(copy.deepcopy(checkpoint)["a"], A)
    assert np.array_equal(copy.deepcopy(checkpoint["a"]), A)
    checkpoint.close()


class Remote:
    """A file object as a library for remote files has it."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115
        self.read, self.seek, self.close = self._file.read, self._file.seek, self._file.close


def test_file_objects(tmp_path: Path) -> None:
    path = written(tmp_path, "x.npz")
    with open(path, "rb") as file, kio.open(file) as checkpoint:
        assert np.array_equal(pickle.loads(pickle.dumps(checkpoint["a"])), A)
        assert np.array_equal(pickle.loads(pickle.dumps(checkpoint))["a"], A)
    remote = Remote(path)
    with kio.open(remote) as checkpoint:
        for thing in (checkpoint, checkpoint["a"], checkpoint.source):
            with pytest.raises(TypeError, match="path of a local file"):
                pickle.dumps(thing)
            with pytest.raises(TypeError, match="path of a local file"):
                copy.deepcopy(thing)
    remote.close()


def test_what_stays_at_home_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, "x.weights.h5")
    with kio.open(path) as checkpoint, pytest.raises(TypeError, match="pickle the Checkpoint"):
        pickle.dumps(checkpoint.assets)
    from kio.containers import hdf5

    source = Source.open(path)
    with pytest.raises(TypeError, match="pickle the Checkpoint"):
        pickle.dumps(hdf5.open(source).tensors)
    with pytest.raises(TypeError, match="pickle the Checkpoint"):
        copy.deepcopy(hdf5.open(source))
    source.close()
    with Sink.open(str(tmp_path / "y")) as sink, pytest.raises(TypeError, match="one writer"):
        copy.copy(sink)
    for thing in (checkpoint, source):
        with pytest.raises(ValueError, match="closed"):
            pickle.dumps(thing)


# ---- reports and errors

ERRORS = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, KioError)]


@pytest.mark.parametrize("cls", ERRORS)
@pytest.mark.parametrize("protocol", [2, 5])
def test_errors_travel(cls: type[KioError], protocol: int) -> None:
    if issubclass(cls, MissingDependencyError):
        error: KioError = cls("jax", "jax", "kio demo")
    elif issubclass(cls, errors.FormatError):
        error = cls("w" * 1490, source="x.zip!member", tensor="t", offset=5, field="f", hint="do this")
    else:
        error = cls("what")
    for made in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(made) is cls and str(made) == str(error) and vars(made) == vars(error)


REPORTS = [
    VerifyReport("x", "npz", 3, 40, ("CRC-32",), ["damaged"]),
    DiffReport(["a"], ["b"], [TensorDiff("c", "values", nelems=2, max_abs=1.5)], 4),
    SaveResult("x", "npz", 10, 0.5, ("Dot",)),
]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_reports_travel(report: Any) -> None:
    for made in (pickle.loads(pickle.dumps(report)), copy.deepcopy(report)):
        assert made == report and str(made) == str(report) and bool(made) == bool(report)


def test_a_background_save_travels_as_its_outcome(tmp_path: Path) -> None:
    from kio import background

    go_on = threading.Event()

    def write(opened: Callable[[], None]) -> int:
        opened()
        return 7 if go_on.wait(30) else 0

    saving = background.save(str(tmp_path / "x"), "npz", lambda arena: None, write, lambda: None, 0.0)
    threading.Timer(0.05, go_on.set).start()
    made = pickle.loads(pickle.dumps(saving))
    assert type(made) is SaveResult and made.nbytes == 7 and made.done()


# ---- processes


def _read(tensor: Any) -> float:
    return float(np.asarray(tensor).sum())


def _verified(path: str) -> VerifyReport:
    return kio.verify(path)


def _refused(path: str) -> None:
    kio.open(path)


def _loaded(path: str) -> Any:
    """A LoadReport, and the MatchError of a model that does not fit, of another process."""
    import keras

    models = [keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(n)]) for n in (4, 5)]
    models[0].save_weights(path)
    report = kio.load_weights(models[0], path)
    try:
        kio.load_weights(models[1], path)
    except kio.MatchError as error:
        return report, error, kio.plan(models[0], path)
    return None


@pytest.fixture(params=["spawn", "forkserver"])
def pool(request: pytest.FixtureRequest) -> Any:
    if request.param not in multiprocessing.get_all_start_methods():
        pytest.skip("no such method here")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(request.param)) as made:
        yield made


def test_pools(tmp_path: Path, pool: Any) -> None:
    path = written(tmp_path, "x.weights.h5")
    with kio.open(path) as checkpoint:
        assert list(pool.map(_read, [checkpoint["a"], checkpoint["b"]])) == [66.0, float(B.sum(dtype="f8"))]
        assert pool.submit(_read, checkpoint["a"]).result() == 66.0
    report = pool.submit(_verified, path).result()
    assert report == kio.verify(path) and report.ok
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04broken")
    with pytest.raises(errors.FormatError, match=r"broken\.npz"):
        pool.submit(_refused, str(tmp_path / "broken.npz")).result()


@pytest.mark.keras
def test_reports_of_loads_come_home(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        report, error, plan = pool.submit(_loaded, str(tmp_path / "x.weights.h5")).result()
    assert len(report.loaded) == 2 and "2 loaded" in str(report) and report.plan.nbytes == 64
    assert isinstance(error, kio.MatchError) and len(error.plan.mismatched) == 2 and "mismatched" in str(error.plan)
    assert plan.fits and [tensor.shape for tensor, _ in plan.pairs] == [(3, 4), (4,)]
    assert plan.as_dict()["pairs"] == report.plan.as_dict()["pairs"] and not plan.casts()


@pytest.mark.keras
def test_reports_hold_neither_file_nor_model(tmp_path: Path) -> None:
    import gc
    import weakref

    import keras

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4)])
    model.save_weights(tmp_path / "x.weights.h5")
    report = kio.load_weights(model, tmp_path / "x.weights.h5")
    gone = weakref.ref(model.layers[0])
    del model
    keras.utils.clear_session()
    gc.collect()
    assert gone() is None and report.plan.fits
    assert str(copy.deepcopy(report)) == str(report)


def reached(thing: Any) -> set[type]:
    """Types of all that an object keeps alive, but for classes, modules and functions of modules."""
    import gc
    import types

    home = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)
    todo, seen, found = [thing], {id(thing)}, set()
    while todo:
        one = todo.pop()
        found.add(type(one))
        for other in gc.get_referents(one):
            if id(other) not in seen and not (isinstance(other, home) and getattr(other, "__closure__", None) is None):
                seen.add(id(other))
                todo.append(other)
    return found


PLAIN = (
    "builtins",
    "kio.mapping.plan",
    "kio.mapping.nodes",
    "kio.mapping.tree",
    "kio.models.report",
    "kio.raw.tensor",
    "kio.errors",
)


def is_plain(thing: Any) -> None:
    found = reached(thing)
    assert not [t for t in found if t.__module__ not in PLAIN] and Tensor not in found, found
    assert not {t.__name__ for t in found} & {"function", "method", "partial", "generator"}, found


@pytest.mark.keras
@pytest.mark.parametrize("name", ["x.weights.h5", "x.h5", "x.safetensors"])
def test_reports_plans_and_errors_reach_plain_data_only(tmp_path: Path, name: str) -> None:
    import keras

    class Own(keras.layers.Layer):
        """Reads its variable by itself, and has something to do afterwards."""

        def build(self, shape: Any) -> None:
            self.v = self.add_weight(shape=(2,), name="v")
            self.built = True

        def call(self, x: Any) -> Any:
            return x

        def save_own_variables(self, store: Any) -> None:
            store["v"] = np.asarray(self.v)

        def load_own_variables(self, store: Any) -> None:
            self.v.assign(store["v"])

    def model(units: int = 4) -> Any:
        layers = [keras.layers.Input((3,)), keras.layers.Normalization(name="norm")]
        layers += [Own(name="own")] if name == "x.weights.h5" else []
        made = keras.Sequential([*layers, keras.layers.Dense(units, name="chosen"), keras.layers.Dense(2, name="last")])
        made.compile("adam", "mse")
        return made

    if name == "x.h5":
        model().save(tmp_path / name)
    else:
        kio.save_weights(model(), tmp_path / name)
    with kio.open(tmp_path / name) as checkpoint:
        report = kio.load_weights(model(), checkpoint)
        plan = kio.plan(model(), checkpoint, exclude="*last*")
        assert report.plan.pairs and len(plan.skipped) >= 2
        is_plain(report)
        is_plain(plan)
        with pytest.warns(UserWarning, match="do not fit"):
            is_plain(kio.load_weights(model(5), checkpoint, skip_mismatch=True))
        with pytest.raises(kio.MatchError) as caught:
            kio.load_weights(model(5), checkpoint)
        is_plain(caught.value.plan)
        assert caught.value.plan.mismatched and caught.value.plan.pairs


@pytest.mark.keras
def test_so_do_errors_raised_on_the_way_to_a_plan(tmp_path: Path) -> None:
    import keras

    class Two(keras.Model):
        def __init__(self, first: str, second: str) -> None:
            super().__init__()
            self.one, self.two = keras.layers.Dense(3, name=first), keras.layers.Dense(3, name=second)
            self.one.build((None, 3))
            self.two.build((None, 3))
            self.built = True

    kio.save_weights(Two("a", "b"), tmp_path / "x.weights.h5")
    with pytest.raises(kio.MatchError, match="expected every name once in the model") as caught:
        kio.load_weights(Two("a", "a"), tmp_path / "x.weights.h5", by_name=True)
    assert len(caught.value.plan.pairs) == 2
    is_plain(caught.value.plan)


def test_specs() -> None:
    """Every field of a tensor but the way to its bytes; equal by value; unchanged by travelling."""
    tensor = Tensor("t", "float32", (2, 0, 3), problem="odd")
    (spec,) = specs([tensor])
    assert (spec.name, spec.dtype_name, spec.shape, spec.nbytes, spec.problem) == ("t", "float32", (2, 0, 3), 0, "odd")
    assert specs([spec])[0] is spec and repr(spec) == "TensorSpec('t', float32, (2, 0, 3))"
    same = TensorSpec("t", "float32", (2, 0, 3), 0, "odd")
    assert same == spec and hash(same) == hash(spec) and spec != TensorSpec("t", "float32", (2, 0, 3), 0)
    assert spec != 1 and copy.copy(spec) is spec
    for protocol in (2, 3, 4, 5):
        assert pickle.loads(pickle.dumps(spec, protocol)) == spec
    with pytest.raises((TypeError, ValueError)):
        TensorSpec("t", "float32", ([],), 0)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        spec.name = "u"  # type: ignore[misc]


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
ignores_threads = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")


def in_child(what: Callable[[], object]) -> str:
    """Run in a forked child; what it gave or raised, as text."""
    heard, told = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(heard)
            try:
                text = repr(what())
            except BaseException as error:
                text = f"{type(error).__name__}: {error}"
            os.write(told, text.encode()[:4000])
        finally:
            os._exit(0)
    os.close(told)
    with os.fdopen(heard, "rb") as file:
        text = file.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    return text


@needs_fork
@ignores_threads
def test_forked_children_read_what_is_open(tmp_path: Path) -> None:
    with kio.open(written(tmp_path, "gzip.weights.h5")) as checkpoint:
        tensor = checkpoint["b"]
        assert in_child(lambda: _read(tensor)) == repr(float(B.sum(dtype="f8")))
        assert in_child(lambda: _read(pickle.loads(pickle.dumps(tensor)))) == repr(float(B.sum(dtype="f8")))
        assert _read(tensor) == float(B.sum(dtype="f8"))


@needs_fork
@ignores_threads
def test_forked_children_leave_file_objects_alone(tmp_path: Path) -> None:
    """Parent and child would move one position, each under the other's reads."""
    remote = Remote(written(tmp_path, "x.npz"))
    with kio.open(remote) as checkpoint:
        tensor = checkpoint["a"]
        assert in_child(lambda: _read(tensor)).startswith(UnsupportedError.__name__)
        assert _read(tensor) == 66.0
    remote.close()


def test_threads_and_a_source_that_is_closed(tmp_path: Path) -> None:
    """Each read gives the right bytes or says that the source is closed; the number is not another file's."""
    path = written(tmp_path, "x.safetensors")
    for _ in range(20):
        checkpoint = kio.open(path)
        tensor, found = checkpoint["b"], []
        begun = threading.Barrier(5)

        def read(tensor: Any = tensor, found: list[Any] = found, begun: Any = begun) -> None:
            begun.wait(30)
            for _ in range(20):
                try:
                    found.append(np.array_equal(np.asarray(tensor), B))
                except ValueError as error:
                    found.append("closed" in str(error))

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        begun.wait(30)
        checkpoint.close()
        other = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]
        for thread in threads:
            thread.join(30)
        for fd in other:
            os.close(fd)
        assert len(found) == 80 and all(found)


# ---- torch


class Rows:
    """A data set as PyTorch takes it: a tensor in a file, row by row."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, number: int) -> Any:
        return self.tensor[number].astype("int64")


@pytest.mark.torch
@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore")
def test_data_loader(tmp_path: Path, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("no such method here")
    from torch.utils.data import DataLoader

    with kio.open(written(tmp_path, "gzip.weights.h5")) as checkpoint:
        rows: Any = Rows(checkpoint["b"])
        loader = DataLoader(rows, batch_size=50, num_workers=2, multiprocessing_context=method)
        batches = [batch.numpy() for batch in loader]
    assert np.array_equal(np.concatenate(batches), B)
