"""What kio opens, or puts something in the place of, waits for kio's own save that is under way there.

No test waits for a time to pass: a save is held back until somebody waits for it.  Whoever
does not wait finds the old values.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kio
from kio import background

OLD, NEW = np.zeros(3, "float32"), np.arange(1.0, 4, dtype="float32")
ANNOUNCED = ["x.weights.h5", "x.npz", "x.safetensors"]


def write(path: str, value: Any = NEW) -> None:
    kio.write(path, {"a/vars/0": value}, **({"max_shard_size": 1.0} if path.endswith(".json") else {}))


class Held:
    """Saves that are held back until somebody waits for them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = threading.Event()
        self.waited = 0
        self.real = background._changed.wait_for
        monkeypatch.setattr(background._changed, "wait_for", self._wait_for)
        self.armed = False

    def _wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        if self.armed and not predicate():
            self.waited += 1
            self.go_on.set()
        return self.real(predicate, timeout)

    def save(self, path: str, what: Callable[[], object] | None = None, error: BaseException | None = None) -> Any:
        """Begin one.

        Args:
            what: What the thread that saves does; None writes ``NEW``.
            error: What it ends with.
        """

        def work(opened: Callable[[], None]) -> int:
            opened()
            assert self.go_on.wait(60), "nobody waited"
            if error is not None:
                raise error
            (what or (lambda: write(path)))()
            return 1

        saving = background.save(path, "npz", lambda arena: None, work, lambda: None, 0.0)
        self.armed = True
        return saving


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    made = Held(monkeypatch)
    yield made
    made.armed = False
    made.go_on.set()
    background._failed.clear()
    background.wait()


def value(path: Any) -> list[float]:
    with kio.open(path) as checkpoint:
        (tensor,) = checkpoint.values()
        return list(map(float, np.asarray(tensor)))


@pytest.mark.parametrize("name", ANNOUNCED)
@pytest.mark.parametrize("old", [False, True])
def test_open_waits(tmp_path: Path, held: Held, name: str, old: bool) -> None:
    path = str(tmp_path / name)
    if old:
        write(path, OLD)
    saving = held.save(path)
    assert not saving.done() and value(path) == [1.0, 2.0, 3.0] and held.waited


def _convert(path: str) -> list[float]:
    kio.convert(path, path + ".npz")
    return value(path + ".npz")


def _written_after(path: str) -> list[float]:
    """A save that does not go on in the background is not overtaken by one that does."""
    write(path, OLD + 5)
    background.wait()
    return [each - 4 for each in value(path)]


VERBS: dict[str, Callable[[str], Any]] = {
    "verify": lambda path: list(kio.verify(path).problems) or [1.0, 2.0, 3.0],
    "diff": lambda path: [1.0, 2.0, 3.0] if kio.diff(path, path).same and value(path)[0] else [],
    "stream": lambda path: next(list(map(float, array)) for _, array in kio.stream(path)),
    "convert": _convert,
    "mmap": lambda path: list(map(float, kio.open(path, mmap=True).read()["a/vars/0"])),
    "ls": lambda path: __import__("kio.cli").cli.main(["ls", path]) or [1.0, 2.0, 3.0],
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_waits(tmp_path: Path, held: Held, verb: str) -> None:
    path = str(tmp_path / "x.safetensors")  # none of an earlier save: who does not wait finds no file
    held.save(path)
    assert VERBS[verb](path) == [1.0, 2.0, 3.0] and held.waited


def test_a_save_that_replaces_waits(tmp_path: Path, held: Held) -> None:
    path = str(tmp_path / "x.npz")
    held.save(path)
    write(path, OLD + 5)
    assert held.waited and value(path) == [5.0, 5.0, 5.0]


# ---- other names of the same


def _relative(path: Path, patch: pytest.MonkeyPatch) -> str:
    patch.chdir(path.parent)
    return path.name


def _dotted(path: Path, patch: pytest.MonkeyPatch) -> str:
    (path.parent / "d").mkdir()
    return os.path.join(path.parent, "d", "..", path.name)


def _linked(path: Path, patch: pytest.MonkeyPatch) -> str:
    (path.parent / "link.npz").symlink_to(path)
    return str(path.parent / "link.npz")


def _linked_folder(path: Path, patch: pytest.MonkeyPatch) -> str:
    (path.parent / "folder").symlink_to(path.parent)
    return str(path.parent / "folder" / path.name)


@pytest.mark.parametrize("name_of", [_relative, _dotted, _linked, _linked_folder])
@pytest.mark.parametrize("saved_so", [False, True])
def test_other_names(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch, name_of: Callable[..., str], saved_so: bool
) -> None:
    path = tmp_path / "x.npz"
    write(str(path), OLD)
    other = name_of(path, monkeypatch)
    held.save(other if saved_so else str(path))
    assert value(str(path) if saved_so else other) == [1.0, 2.0, 3.0] and held.waited


def test_hard_links(tmp_path: Path, held: Held) -> None:
    """The link keeps the old file; who opens it while the save is under way is told by the same error."""
    path, link = tmp_path / "x.npz", tmp_path / "link.npz"
    write(str(path), OLD)
    os.link(path, link)
    held.save(str(path))
    assert value(link) == [0.0, 0.0, 0.0] and held.waited and value(path) == [1.0, 2.0, 3.0]


def test_bytes_and_paths(tmp_path: Path, held: Held) -> None:
    held.save(str(tmp_path / "x.npz"))
    assert value(tmp_path / "x.npz") == [1.0, 2.0, 3.0] and held.waited


def test_shards(tmp_path: Path, held: Held) -> None:
    path = str(tmp_path / "x.weights.json")
    write(path, OLD)
    held.save(path)
    assert value(path) == [1.0, 2.0, 3.0] and held.waited


def test_one_shard_alone(tmp_path: Path, held: Held) -> None:
    path = str(tmp_path / "x.weights.json")
    held.save(path)
    assert value(tmp_path / "x_00000.weights.h5") == [1.0, 2.0, 3.0] and held.waited


def test_a_file_of_a_folder_and_the_folder(tmp_path: Path, held: Held) -> None:
    folder = tmp_path / "model"

    def make() -> None:
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"class_name": "Sequential", "config": {"layers": []}}))
        (folder / "metadata.json").write_text("{}")
        with kio.raw.sink.Sink.open(str(folder / "model.weights.h5")) as sink:  # type: ignore[attr-defined]
            write(str(tmp_path / "y.weights.h5"))
            sink.write_at(0, (tmp_path / "y.weights.h5").read_bytes())

    import kio.raw.sink

    held.save(str(folder), make)
    assert value(folder / "model.weights.h5") == [1.0, 2.0, 3.0] and held.waited
    assert value(folder) == [1.0, 2.0, 3.0]


def test_others_do_not_wait(tmp_path: Path, held: Held) -> None:
    for name in ("y.npz", "x.npz.bkp.npz", "x_00000.weights.h5"):
        write(str(tmp_path / name), OLD)
    (tmp_path / "d").mkdir()
    write(str(tmp_path / "d" / "x.npz"), OLD)
    held.save(str(tmp_path / "x.npz"))
    for name in ("y.npz", "x.npz.bkp.npz", "x_00000.weights.h5", "d/x.npz"):
        assert value(tmp_path / name) == [0.0, 0.0, 0.0]
    assert not held.waited
    held.go_on.set()


def test_two_saves_of_one_path(tmp_path: Path, held: Held) -> None:
    """The second waits for its turn; a load sees the last that was begun."""
    path = str(tmp_path / "x.npz")
    held.save(path, lambda: write(path, OLD))
    held.save(path)
    assert value(path) == [1.0, 2.0, 3.0]


# ---- threads


def test_the_thread_that_saves_does_not_wait_for_itself(tmp_path: Path, held: Held) -> None:
    path = str(tmp_path / "x.npz")
    write(path, OLD)
    found: list[Any] = []

    def work() -> None:
        found.append(value(path))
        write(path)
        found.append(value(path))

    held.save(path, work)
    assert value(path) == [1.0, 2.0, 3.0] and found == [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]


def test_a_load_while_values_are_staged_does_not_wait_for_itself(tmp_path: Path) -> None:
    path = str(tmp_path / "x.npz")
    write(path, OLD)
    found: list[Any] = []
    background.save(
        path, "npz", lambda arena: found.append(value(path)), lambda opened: write(path) or 1, lambda: None, 0.0
    ).wait()
    assert found == [[0.0, 0.0, 0.0]] and value(path) == [1.0, 2.0, 3.0]


def test_several_threads_load(tmp_path: Path, held: Held) -> None:
    path = str(tmp_path / "x.npz")
    held.save(path)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(value(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [[1.0, 2.0, 3.0]] * 4


# ---- errors


def test_the_load_raises_what_the_save_ended_with_once(tmp_path: Path, held: Held) -> None:
    path = str(tmp_path / "x.npz")
    write(path, OLD)
    saving = held.save(path, error=OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        kio.open(path)
    assert value(path) == [0.0, 0.0, 0.0]  # the hint of the message: the path holds what it held
    with pytest.raises(OSError, match="No space left"):
        saving.wait()  # who holds the result is told as well
    background.wait()  # and nobody else


def test_a_load_after_the_save_has_failed(tmp_path: Path, held: Held) -> None:
    path = str(tmp_path / "x.npz")
    write(path, OLD)
    saving = held.save(path, error=ValueError("a custom layer"))
    held.go_on.set()
    with background._changed:
        held.real(saving.done)
    with pytest.raises(ValueError, match="a custom layer"):
        kio.verify(path)  # raised, and not reported as damage
    assert kio.verify(path).ok


def test_verify_does_not_take_the_error_for_damage(tmp_path: Path, held: Held) -> None:
    path = str(tmp_path / "x.npz")
    write(path, OLD)
    held.save(path, error=kio.UnsupportedError("name of a variable"))
    with pytest.raises(kio.UnsupportedError, match="name of a variable"):
        kio.verify(path)
    assert kio.verify(path).ok


# ---- processes


def run(code: str, *args: str) -> str:
    text = "import os, sys, threading\nimport numpy as np\nimport kio\nfrom kio import background\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text + textwrap.dedent(code), *args],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SAVE = """
path, go_on = sys.argv[1], threading.Event()
def write(opened):
    opened()
    assert go_on.wait(60)
    if len(sys.argv) > 2:
        raise OSError(28, sys.argv[2])
    kio.write(path, {"a": np.arange(1.0, 4)})
    return 1
kio.write(path, {"a": np.zeros(3)})
saving = background.save(path, "npz", lambda arena: None, write, lambda: None, 0.0)
"""
FORK = (
    SAVE
    + """
heard, told = os.pipe()
child = os.fork()
if not child:
    # The parent goes on with its save when it hears that the child is about to wait.
    import socket
    real = background._settle_parent
    def settle(saving):
        os.write(told, b"!")
        real(saving)
    background._settle_parent = settle
    code = 1
    try:
        for _ in range(2):
            try:
                print(kio.open(path).read()["a"].tolist(), flush=True)
            except kio.KioError as error:
                print(error, flush=True)
        code = 0
    finally:
        os._exit(code)
os.close(told)
print(os.read(heard, 1), flush=True)
go_on.set()
assert os.waitpid(child, 0)[1] == 0
saving.exception()
"""
)

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@needs_fork
def test_a_forked_child_waits_for_its_parent(tmp_path: Path) -> None:
    said = run(FORK, str(tmp_path / "x.npz")).splitlines()
    assert said == ["b'!'", "[1.0, 2.0, 3.0]", "[1.0, 2.0, 3.0]"]


@needs_fork
def test_a_forked_child_hears_of_its_parents_error_once(tmp_path: Path) -> None:
    said = run(FORK, str(tmp_path / "x.npz"), "No space left").splitlines()
    assert "not saved: OSError(28, 'No space left')" in said[1] and said[2] == "[0.0, 0.0, 0.0]"


@needs_fork
def test_a_forked_child_outlives_its_parent(tmp_path: Path) -> None:
    code = (
        SAVE
        + """
heard, told = os.pipe()
child = os.fork()
if not child:
    os.close(told)
    os.read(heard, 1)  # until the parent is gone
    try:
        kio.open(path)
    except kio.KioError as error:
        print(error, flush=True)
    os._exit(0)
os._exit(0)
"""
    )
    assert "that process ended before it" in run(code, str(tmp_path / "x.npz"))


def test_a_load_at_the_end_of_the_interpreter(tmp_path: Path) -> None:
    code = (
        SAVE
        + """
import atexit
atexit.register(lambda: print(kio.open(path).read()["a"].tolist()))
threading.Timer(0.2, go_on.set).start()
"""
    )
    assert run(code, str(tmp_path / "x.npz")) == "[1.0, 2.0, 3.0]\n"


# ---- Keras


def model_of(number: float) -> Any:
    import keras

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    for variable in model.weights:
        variable.assign(np.full(variable.shape, number, "float32"))
    return model


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, held: Held) -> Held:
    """Saves of models are held back, too, once they are open; those of this thread are not."""
    from kio.raw import transfer_out

    real, main = transfer_out.write, threading.get_ident()

    def write(*given: Any, **more: Any) -> Any:
        if threading.get_ident() != main:
            assert held.go_on.wait(60), "nobody waited"
        return real(*given, **more)

    monkeypatch.setattr(transfer_out, "write", write)
    return held


@pytest.mark.keras
@pytest.mark.parametrize("how", ["load_weights", "plan", "install", "drop-in"])
def test_weights_that_are_being_saved(tmp_path: Path, gate: Held, how: str) -> None:
    from kio import saving

    path = str(tmp_path / "x.weights.h5")
    model = model_of(1)
    kio.save_weights(model, path)
    model.layers[0].kernel.assign(np.full((3, 2), 2, "float32"))
    kio.save_weights(model, path, background=True)
    gate.armed = True
    if how == "load_weights":
        kio.load_weights(model_of(0), path)
    elif how == "plan":
        assert kio.plan(model, path).fits
    elif how == "drop-in":
        saving.load_weights(model_of(0), path)
    else:
        with saving.installed():
            other = model_of(0)
            other.load_weights(path)
    assert gate.waited
    loaded = model_of(0)
    kio.load_weights(loaded, path)
    assert float(np.asarray(loaded.layers[0].kernel)[0, 0]) == 2.0


@pytest.mark.keras
def test_a_model_after_an_exception_in_fit(tmp_path: Path, gate: Held) -> None:
    """The checkpoint of the epoch before is complete, or will be."""
    import keras

    from kio.callbacks import ModelCheckpoint

    if keras.backend.backend() == "numpy":
        pytest.skip("does not train")
    path = str(tmp_path / "x.keras")
    model = model_of(1)

    class Fails(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            gate.armed = True
            raise RuntimeError("in a callback")

    x, y = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")
    with pytest.raises(RuntimeError, match="in a callback"):
        model.fit(x, y, verbose=0, callbacks=[ModelCheckpoint(path), Fails()])
    loaded = kio.load_model(path)
    assert gate.waited
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(model.weights, loaded.weights, strict=True))


@pytest.mark.keras
@pytest.mark.parametrize("same", [False, True])
def test_training_that_is_interrupted_goes_on_where_it_stood(tmp_path: Path, gate: Held, same: bool) -> None:
    import keras

    from kio.callbacks import BackupAndRestore

    if keras.backend.backend() == "numpy":
        pytest.skip("does not train")
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")
    begun: list[int] = []

    class Notes(keras.callbacks.Callback):  # type: ignore[misc]
        stop = True

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            begun.append(epoch)
            if epoch == 2 and Notes.stop:
                gate.armed = True
                raise KeyboardInterrupt

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                gate.go_on.set()
                background.wait()
                gate.go_on.clear()

    first = BackupAndRestore(str(tmp_path / "b"))
    with pytest.raises(KeyboardInterrupt):
        model_of(1).fit(x, y, epochs=4, verbose=0, callbacks=[first, Notes()])
    Notes.stop = False
    again = first if same else BackupAndRestore(str(tmp_path / "b"))
    model_of(1).fit(x, y, epochs=4, verbose=0, callbacks=[again, Notes()])
    assert begun == [0, 1, 2, 2, 3] and gate.waited


@pytest.mark.keras
def test_a_load_inside_a_callback(tmp_path: Path, gate: Held) -> None:
    import keras

    from kio.callbacks import ModelCheckpoint

    if keras.backend.backend() == "numpy":
        pytest.skip("does not train")
    path, found = str(tmp_path / "x.weights.h5"), []

    class Loads(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            gate.armed = True
            other = model_of(0)
            kio.load_weights(other, path)
            pairs = zip(other.weights, self.model.weights, strict=True)
            found.append(all(np.array_equal(a.numpy(), b.numpy()) for a, b in pairs))

    x, y = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")
    callbacks = [ModelCheckpoint(path, save_weights_only=True), Loads()]
    model_of(1).fit(x, y, epochs=2, verbose=0, callbacks=callbacks)
    assert found == [True, True] and gate.waited
