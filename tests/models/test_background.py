"""A save in the background: the values of the moment, bounded, ordered, and no error lost."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio import background  # noqa: E402
from kio.contents import Contents, Value  # noqa: E402
from kio.errors import FormatError, MatchError, UnknownFormatError, UnsupportedError  # noqa: E402
from kio.raw import transfer_out  # noqa: E402
from kio.raw.arena import Arena, copy  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("default")]

X, Y = np.ones((8, 16), "float32"), np.ones((8, 4), "float32")


def made(units: int = 32) -> Any:
    model = keras.Sequential(
        [keras.layers.Input((16,)), keras.layers.Dense(units), keras.layers.Dropout(0.5), keras.layers.Dense(4)]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    if keras.backend.backend() == "numpy":  # which does not train
        model.optimizer.build(model.trainable_variables)
    else:
        model.fit(X, Y, verbose=0)
    return model


def values(model: Any) -> list[Any]:
    kept = [*model.weights, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(v)) for v in kept]


def same(a: list[Any], b: list[Any]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture
def model() -> Any:
    return made()


@pytest.fixture(autouse=True)
def settled() -> Iterator[None]:
    yield
    background.wait()
    background.free()


class Gate:
    """Holds every save back where its sink is open, until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.error: BaseException | None = None
        self.running = self.most = 0
        real = transfer_out.write

        def held(*given: Any, **more: Any) -> Any:
            self.running += 1
            self.most = max(self.most, self.running)
            self.entered.set()
            assert self.go_on.wait(30)
            self.running -= 1
            if self.error is not None:
                raise self.error
            return real(*given, **more)

        monkeypatch.setattr(transfer_out, "write", held)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    held = Gate(monkeypatch)
    yield held
    held.go_on.set()
    background.wait()


@pytest.mark.parametrize("whole", [False, True])
def test_file_has_the_values_of_the_moment(model: Any, tmp_path: Path, gate: Gate, whole: bool) -> None:
    path = tmp_path / ("x.keras" if whole else "x.weights.h5")
    before = values(model)
    config = model.to_json()
    result = (kio.save_model if whole else kio.save_weights)(model, path, background=True)
    assert gate.entered.wait(10) and not result.done() and not path.exists()
    assert "being saved" in str(result)
    # On jax these steps donate the very buffers that are to be written.
    model.fit(X, Y, epochs=3, verbose=0)
    model.layers[0].name = "renamed"
    assert not same(before, values(model))
    gate.go_on.set()
    assert result.wait() is result and result.done() and result.exception() is None
    assert result.nbytes == os.path.getsize(path) and result.seconds > 0
    if whole:
        found = kio.load_model(path)
        assert found.to_json() == config
    else:
        found = made()
        kio.load_weights(found, path)
    assert same(before, values(found))


def test_assignment_after_the_snapshot(model: Any, tmp_path: Path, gate: Gate) -> None:
    before = values(model)
    result = kio.save_weights(model, tmp_path / "x.weights.h5", background=True)
    for variable in model.weights:
        variable.assign(variable * 0 + 7)
    gate.go_on.set()
    result.wait()
    found = made()
    kio.load_weights(found, tmp_path / "x.weights.h5")
    assert same(before, values(found))


def test_values_that_kio_loaded(model: Any, tmp_path: Path, gate: Gate) -> None:
    """On jax they are in memory that kio lent."""
    gate.go_on.set()
    kio.save_weights(model, tmp_path / "a.weights.h5")
    loaded = made()
    kio.load_weights(loaded, tmp_path / "a.weights.h5")
    gate.go_on.clear()
    result = kio.save_weights(loaded, tmp_path / "b.weights.h5", background=True)
    loaded.fit(X, Y, epochs=2, verbose=0)
    gate.go_on.set()
    result.wait()
    assert kio.diff(tmp_path / "a.weights.h5", tmp_path / "b.weights.h5")


def test_same_bytes_as_a_save_that_is_waited_for(model: Any, tmp_path: Path) -> None:
    kio.save_weights(model, tmp_path / "a.weights.h5").wait()
    kio.save_weights(model, tmp_path / "b.weights.h5", background=True).wait()
    assert (tmp_path / "a.weights.h5").read_bytes() == (tmp_path / "b.weights.h5").read_bytes()
    kio.save_weights(model, tmp_path / "e.weights.json", max_shard_size=4e-6, background=True).wait()
    again = made()
    kio.load_weights(again, tmp_path / "e.weights.json")
    assert same(values(model), values(again))
    for name, extra in (("c.keras", {}), ("d", {"zipped": False})):
        kio.save_model(model, tmp_path / name, background=True, **extra).wait()
        assert same(values(model), values(kio.load_model(tmp_path / name)))


def test_nothing_is_begun_that_cannot_be(model: Any, tmp_path: Path) -> None:
    def refused(error: type[BaseException], path: Any, **given: Any) -> None:
        with pytest.raises(error):
            kio.save_weights(model, path, background=True, **given)
        background.wait()  # and nobody hears of it again

    (tmp_path / "old.weights.h5").write_bytes(b"old")
    refused(UnknownFormatError, tmp_path / "x.bin")
    refused(FileExistsError, tmp_path / "old.weights.h5", overwrite=False)
    refused(FileNotFoundError, tmp_path / "nowhere" / "x.weights.h5")
    refused(ValueError, tmp_path / "x.weights.h5", engine="other")
    with open(tmp_path / "open", "wb") as file:
        refused(UnsupportedError, file)
    assert sorted(os.listdir(tmp_path)) == ["old.weights.h5", "open"]
    with pytest.raises(MatchError):
        kio.save_weights(keras.Sequential([keras.layers.Dense(2)]), tmp_path / "x.weights.h5", background=True)


def test_one_at_a_time(tmp_path: Path, gate: Gate) -> None:
    first, second = made(), made(8)
    results = [kio.save_weights(first, tmp_path / "a.weights.h5", background=True)]
    waiting = threading.Thread(
        target=lambda: results.append(kio.save_weights(second, tmp_path / "b.weights.h5", background=True))
    )
    waiting.start()
    time.sleep(0.2)
    assert len(results) == 1
    gate.go_on.set()
    waiting.join(20)
    for result in results:
        result.wait(20)
    assert gate.most == 1 and len(results) == 2


@pytest.mark.parametrize("name", ["x.weights.h5", "link.weights.h5"])
def test_a_save_waits_for_the_one_before_it(model: Any, tmp_path: Path, gate: Gate, name: str) -> None:
    path = tmp_path / "x.weights.h5"
    path.write_bytes(b"old")
    (tmp_path / "link.weights.h5").symlink_to(path)
    kio.save_weights(model, path, background=True)
    model.fit(X, Y, verbose=0)
    opener = threading.Timer(0.2, gate.go_on.set)
    opener.start()
    result = kio.save_weights(model, tmp_path / name)  # would otherwise be replaced by the older one
    background.wait()
    assert result.done() and result.exception() is None
    found = made()
    kio.load_weights(found, path)
    assert same(values(model), values(found))


def test_error_is_raised_by_wait(model: Any, tmp_path: Path, gate: Gate) -> None:
    path = tmp_path / "x.weights.h5"
    path.write_bytes(b"old")
    gate.error = OSError(28, "No space left on device")
    result = kio.save_weights(model, path, background=True)
    with pytest.raises(TimeoutError, match="under way"):
        result.wait(0.05)
    gate.go_on.set()
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            result.wait()
    assert result.exception() is gate.error and "not saved" in str(result)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["x.weights.h5"]
    background.wait()  # who has asked has been told
    gate.error = None
    kio.save_weights(model, path, background=True).wait()
    assert kio.verify(path)


@pytest.mark.parametrize("in_background", [False, True])
def test_error_is_raised_by_the_next_save(model: Any, tmp_path: Path, gate: Gate, in_background: bool) -> None:
    path = tmp_path / "x.weights.h5"
    gate.error = OSError(5, "Input/output error")
    gate.go_on.set()
    kio.save_weights(model, path, background=True)
    # Another path is not concerned.
    with pytest.raises(OSError, match="Input/output"):
        kio.save_weights(model, tmp_path / "y.weights.h5", background=True).wait()
    gate.error = None
    kio.save_weights(model, tmp_path / "y.weights.h5", background=in_background).wait()
    with pytest.raises(OSError, match="Input/output"):
        kio.save_weights(model, path, background=in_background)
    assert not path.exists()
    kio.save_weights(model, path, background=in_background).wait()
    assert kio.verify(path)


def test_error_is_raised_by_waiting_for_all(model: Any, tmp_path: Path, gate: Gate) -> None:
    gate.error = OSError(5, "Input/output error")
    kio.save_weights(model, tmp_path / "x.weights.h5", background=True)
    with pytest.raises(TimeoutError):
        background.wait(0.05)
    gate.go_on.set()
    with pytest.raises(OSError, match="Input/output"):
        background.wait()
    background.wait()


def test_failed_save_does_not_keep_the_snapshot(tmp_path: Path, gate: Gate) -> None:
    import gc
    import weakref

    gate.error = OSError(5, "Input/output error")
    gate.go_on.set()
    held = Value("float32", (4,), np.ones(4, "<f4"))
    contents = Contents(tensors={"a": held})
    alive = weakref.ref(contents.tensors["a"].data)

    def write(opened: Any) -> int:
        opened()
        tensors = contents.tensors  # noqa: F821
        return transfer_out.write(tensors)[0]  # type: ignore[arg-type, call-arg]

    result = background.save(str(tmp_path / "x"), "any", lambda arena: None, write, contents.close, time.perf_counter())
    assert isinstance(result.exception(), OSError)
    del write, held, contents
    gc.collect()
    assert alive() is None


def test_interrupt_while_staging(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kio.models.memory import snapshot

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            kio.save_weights(model, tmp_path / "x.weights.h5", background=True)
    assert os.listdir(tmp_path) == []
    kio.save_weights(model, tmp_path / "x.weights.h5", background=True).wait(20)
    assert kio.verify(tmp_path / "x.weights.h5")


def test_a_signal_handler_may_save(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that interrupts a save of its own thread must not wait for it."""
    from kio.models.memory import snapshot

    real, inner = snapshot.take, []

    def take(*given: Any) -> None:
        if not inner:
            inner.append(None)
            inner[0] = kio.save_weights(model, tmp_path / "inner.weights.h5", background=True)
            kio.save_weights(model, tmp_path / "outer.weights.h5")
        real(*given)

    monkeypatch.setattr(snapshot, "take", take)
    kio.save_weights(model, tmp_path / "outer.weights.h5", background=True).wait(20)
    inner[0].wait(20)
    assert kio.diff(tmp_path / "inner.weights.h5", tmp_path / "outer.weights.h5")


def test_arena_is_reused_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    arena = Arena()
    big, small = np.arange(3 << 20, dtype=np.int32), np.float32(3).reshape(())
    places = arena.places([big.nbytes, small.nbytes, 0])
    copy(places, [big, small, np.empty((0, 3))])
    assert np.array_equal(places[0].view("i4"), big) and places[1].view("f4") == 3
    assert all(place.ctypes.data % 64 == 0 for place in places[:2])
    where, room = places[0].ctypes.data, arena.nbytes
    assert arena.places([big.nbytes])[0].ctypes.data == where and arena.nbytes == room
    del places
    arena.places([1 << 20])
    assert arena.nbytes == 1 << 20


def test_memory_is_given_back_after_a_while(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if keras.backend.backend() == "jax":
        from kio.models.memory import backends

        # Where jax would write to a buffer that is referred to, it is copied like all others.
        copied = dataclasses.replace(backends.current(), lasting=lambda: False)
        monkeypatch.setattr(backends, "current", lambda: copied)
    monkeypatch.setattr(background, "KEPT_S", 2.0)  # longer than the training takes
    before = values(model)
    result = kio.save_weights(model, tmp_path / "x.weights.h5", background=True)
    model.fit(X, Y, verbose=0)
    result.wait()
    assert background._idle is not None
    deadline = time.monotonic() + 60
    while background._idle is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert background._idle is None
    found = made()
    kio.load_weights(found, tmp_path / "x.weights.h5")
    assert same(before, values(found))


def test_values_fetched_from_a_device(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of accelerators, run on the CPU."""
    if keras.backend.backend() != "jax":
        pytest.skip("of jax")
    import jax

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    before = values(model)
    result = kio.save_weights(model, tmp_path / "x.weights.h5", background=True)
    model.fit(X, Y, verbose=0)
    result.wait()
    monkeypatch.undo()
    found = made()
    kio.load_weights(found, tmp_path / "x.weights.h5")
    assert same(before, values(found))


def readers_see_complete_files(folder: Path, saves: int) -> None:
    model = made(64)
    paths = [folder / "x.weights.h5", folder / "x.keras"]
    stop, seen, wrong = threading.Event(), [0, 0], []
    for variable in model.trainable_variables:
        variable.assign(variable * 0)
    kio.save_weights(model, paths[0])
    kio.save_model(model, paths[1])

    def read(which: int) -> None:
        while not stop.is_set():
            try:
                with kio.open(paths[which]) as file:
                    arrays = file.read([n for n in file if n.startswith("layers/")], verify=True)
                # Each save has one number in all its variables.
                found = {float(x) for array in arrays.values() for x in np.unique(array)}
                if len(found) != 1:
                    wrong.append(found)
                seen[which] += 1
            except (FormatError, OSError) as e:
                wrong.append(e)

    readers = [threading.Thread(target=read, args=(i,)) for i in (0, 1)]
    for reader in readers:
        reader.start()
    try:
        for i in range(saves):
            for variable in model.trainable_variables:
                variable.assign(variable * 0 + i)
            if i % 2:
                kio.save_model(model, paths[1], background=True, durable=False)
            else:
                kio.save_weights(model, paths[0], background=True, durable=False)
        background.wait()
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert not wrong and min(seen) > 0
    assert sorted(os.listdir(folder)) == ["x.keras", "x.weights.h5"]


def test_readers_see_complete_files(tmp_path: Path) -> None:
    readers_see_complete_files(tmp_path, 100)


@pytest.mark.slow
def test_readers_see_complete_files_a_thousand_times(tmp_path: Path) -> None:
    readers_see_complete_files(tmp_path, 1000)


# ---- the end of the process, its children, and signals

HEAD = """
import os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")
import keras, numpy as np, kio
from kio import background
from kio.raw import transfer_out
real = transfer_out.write
def slowly(*given, **more):
    print("begun", flush=True)
    time.sleep({hold})
    return real(*given, **more)
transfer_out.write = slowly
model = keras.Sequential([keras.layers.Input((16,)), keras.layers.Dense(8)])
path = {path!r}
"""


def run(tmp_path: Path, body: str, hold: float = 0.7, **more: Any) -> subprocess.Popen[str]:
    code = HEAD.format(hold=hold, path=str(tmp_path / "x.weights.h5")) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def complete(path: Path) -> bool:
    return bool(kio.verify(path)) and len(kio.open(path)) == 2


def test_the_interpreter_ends_after_the_save(tmp_path: Path) -> None:
    process = run(tmp_path, "kio.save_weights(model, path, background=True)")
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0 and not err and complete(tmp_path / "x.weights.h5"), err
    assert os.listdir(tmp_path) == ["x.weights.h5"]


def test_an_exception_does_not_end_the_save(tmp_path: Path) -> None:
    process = run(tmp_path, "kio.save_weights(model, path, background=True); raise SystemExit(3)")
    process.communicate(timeout=100)
    assert process.returncode == 3 and complete(tmp_path / "x.weights.h5")


def test_error_at_exit_is_a_warning(tmp_path: Path) -> None:
    body = """
    def failing(*given, **more):
        raise OSError(28, "No space left on device")
    transfer_out.write = failing
    warnings.simplefilter("default")
    kio.save_weights(model, path, background=True)
    """
    process = run(tmp_path, body)
    _, err = process.communicate(timeout=100)
    assert "RuntimeWarning" in err and "No space left" in err and "x.weights.h5" in err
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_during_a_save(tmp_path: Path) -> None:
    body = """
    result = kio.save_weights(model, path, background=True)
    child = os.fork()
    if child == 0:
        try:
            assert result.done() and "forked child" in str(result.exception())
            background.wait(5)
            assert not os.path.exists(path)
            # A save of its own works, and does not disturb the parent's.
            transfer_out.write = real
            kio.write(path[:-11] + "child.weights.h5", {"a": np.ones(3)})
            os._exit(0)
        except BaseException as e:
            print(repr(e), file=sys.stderr, flush=True)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    result.wait()
    """
    process = run(tmp_path, body, hold=3.0)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert complete(tmp_path / "x.weights.h5")
    assert sorted(os.listdir(tmp_path)) == ["x.weights.h5", "xchild.weights.h5"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signal_during_a_save(tmp_path: Path, number: int) -> None:
    path = tmp_path / "x.weights.h5"
    kio.write(path, {"old/vars/0": np.ones(3)})
    body = """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kio.save_weights(model, path, background=True).wait()
    """
    process = run(tmp_path, body, hold=1.5)
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    process.send_signal(number)
    process.communicate(timeout=100)
    if number == signal.SIGINT:
        assert complete(path)  # the interrupt ends the wait, and the save is finished
    else:
        assert list(kio.open(path)) == ["old/vars/0"]
    kio.write(path, {"new/vars/0": np.ones(3)})  # the next save clears up
    assert os.listdir(tmp_path) == ["x.weights.h5"]


# Saves one after the other, each of one number, with no framework to be imported.
LOOP = """
import os, sys, time
import numpy as np
from kio import background, formats
from kio.contents import Contents, Value
from kio.formats.target import Options, Target
path, format = sys.argv[1], formats.format_named("keras_weights")
def save(number):
    tensors = {f"l{i}/vars/0": Value("float32", (512,), np.full(512, number, "<f4")) for i in range(8)}
    contents = Contents(tensors=tensors)
    write = lambda opened: format.create(Target(path, opened=opened), contents, Options())
    return background.save(path, format.name, lambda arena: None, write, contents.close, time.perf_counter())
save(0).wait()
print("begun", flush=True)
"""


def one_number(path: Path) -> float:
    with kio.open(path) as file:
        numbers = {float(x) for array in file.read(verify=True).values() for x in np.unique(array)}
        assert len(file) == 8 and len(numbers) == 1, numbers
    return numbers.pop()


def killed_anywhere(folder: Path, points: int) -> None:
    path = folder / "x.weights.h5"
    code = LOOP + "n = 0\nwhile True:\n    n += 1\n    save(n)\n"
    rng, numbers = np.random.default_rng(7), []
    for point in range(points):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(rng.random() * 0.05)
        process.send_signal((signal.SIGKILL, signal.SIGTERM)[point % 2])
        process.communicate(timeout=60)
        numbers.append(one_number(path))
    assert max(numbers) > 0
    kio.write(path, {"new/vars/0": np.ones(3)})
    assert os.listdir(folder) == ["x.weights.h5"]


def test_killed_anywhere(tmp_path: Path) -> None:
    killed_anywhere(tmp_path, 12)


@pytest.mark.slow
def test_killed_anywhere_many_times(tmp_path: Path) -> None:
    killed_anywhere(tmp_path, 200)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_anywhere(tmp_path: Path) -> None:
    """Children that end, and children that save under another name, while saves go on."""
    path = tmp_path / "x.weights.h5"
    code = LOOP + textwrap.dedent("""
        import kio
        for n in range(1, 101):
            saving = save(n)
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    assert saving.done()
                    background.wait(5)
                    if n % 10 == 0:
                        kio.write(path + ".weights.h5", {"a": np.ones(3)})
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitpid(child, 0)[1] == 0, n
        saving.wait()
    """)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert one_number(path) == 100
    assert sorted(os.listdir(tmp_path)) == ["x.weights.h5", "x.weights.h5.weights.h5"]
