"""Callbacks that save in the background: Keras's behaviour, and a resume that is exact."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
if keras.backend.backend() == "numpy":
    pytest.skip("Keras does not train on NumPy", allow_module_level=True)

import kio  # noqa: E402
from kio import background  # noqa: E402
from kio.callbacks import BackupAndRestore, ModelCheckpoint  # noqa: E402
from kio.errors import CorruptError, MatchError  # noqa: E402
from kio.raw import transfer_out  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("default")]

RNG = np.random.default_rng(0)
X, Y = RNG.random((48, 8), "float32"), RNG.random((48, 2), "float32")
BATCHES = 6


def made(seed: int = 1, steps_per_execution: int = 1) -> Any:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Input((8,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.GaussianNoise(0.1),
            keras.layers.Dense(2),
        ]
    )
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9)),
        "mse",
        metrics=["mae"],
        steps_per_execution=steps_per_execution,
    )
    return model


def fit(model: Any, *callbacks: Any, epochs: int = 4, shuffle: bool = False) -> Any:
    return model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=shuffle, verbose=0, callbacks=list(callbacks))


def values(model: Any) -> list[Any]:
    kept = [*model.weights, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(v)) for v in kept]


def same(a: list[Any], b: list[Any]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(autouse=True)
def settled() -> Iterator[None]:
    yield
    background.wait()
    background.free()


class Killed(Exception):
    """Ends a run from within."""


class Kill(keras.callbacks.Callback):
    """Ends training after some batch of some epoch, counted from 0; None: after the epoch."""

    def __init__(self, epoch: int, batch: int | None) -> None:
        super().__init__()
        self.at, self.now = (epoch, batch), 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.now = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self.now, batch) == self.at:
            raise Killed

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if (epoch, None) == self.at:
            raise Killed


class Failing:
    """Lets every write of payload fail, or wait, when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: BaseException | None = None
        self.go_on = threading.Event()
        self.go_on.set()
        real = transfer_out.write

        def write(*given: Any, **more: Any) -> Any:
            assert self.go_on.wait(30)
            if self.error is not None:
                raise self.error
            return real(*given, **more)

        monkeypatch.setattr(transfer_out, "write", write)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    failing = Failing(monkeypatch)
    yield failing
    failing.go_on.set()


# ---- ModelCheckpoint


@pytest.mark.parametrize(
    ("filepath", "given"),
    [
        ("m{epoch:02d}-{loss:.3f}.keras", {}),
        ("m{epoch:02d}.weights.h5", {"save_weights_only": True}),
        ("best.keras", {"save_best_only": True, "monitor": "mae", "mode": "min"}),
        ("best{epoch}.keras", {"save_best_only": True, "monitor": "loss", "initial_value_threshold": 0.0}),
        pytest.param(
            "best{epoch}.keras", {"save_best_only": True, "monitor": "loss", "mode": "max"}, marks=pytest.mark.slow
        ),
        ("m{epoch}-{batch}.weights.h5", {"save_weights_only": True, "save_freq": 4}),
        ("sub/dir/m.keras", {"save_freq": 10}),
    ],
)
def test_model_checkpoint_does_what_keras_does(tmp_path: Path, filepath: str, given: dict[str, Any]) -> None:
    for name, cls in (("stock", keras.callbacks.ModelCheckpoint), ("ours", ModelCheckpoint)):
        (tmp_path / name).mkdir()
        fit(made(), cls(str(tmp_path / name / filepath), **given), epochs=3)
    assert not background._busy()

    def files(name: str) -> list[str]:
        return sorted(str(path.relative_to(tmp_path / name)) for path in (tmp_path / name).rglob("*.*"))

    assert files("stock") == files("ours")
    for name in files("ours"):
        assert kio.diff(tmp_path / "stock" / name, tmp_path / "ours" / name)


def test_model_checkpoint_has_keras_arguments(tmp_path: Path) -> None:
    made_by = ModelCheckpoint(tmp_path / "x.keras", "loss", 0, True, False, "min", "epoch", 0.5)
    assert isinstance(made_by, keras.callbacks.ModelCheckpoint)
    assert made_by.filepath == str(tmp_path / "x.keras") and made_by.best == 0.5
    for bad in ({"save_freq": "never"}, {"save_weights_only": True}):
        with pytest.raises(ValueError):
            ModelCheckpoint(tmp_path / "x.keras", **bad)
    with pytest.raises(ValueError):
        ModelCheckpoint(tmp_path / "x.bin")


def test_training_goes_on_during_a_save(tmp_path: Path, disk: Failing) -> None:
    disk.go_on.clear()
    seen: list[tuple[int, bool]] = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if checkpoint._saves._saving is not None:
                seen.append((batch, checkpoint._saves._saving.done()))
                if len(seen) == 3:
                    disk.go_on.set()

    checkpoint = ModelCheckpoint(tmp_path / "x.weights.h5", save_weights_only=True, save_freq=3)
    fit(made(), checkpoint, Watch(), epochs=1)
    assert [done for _, done in seen[:3]] == [False] * 3
    assert kio.verify(tmp_path / "x.weights.h5")


@pytest.mark.parametrize("freq", ["epoch", 2])
def test_error_ends_training_and_the_file_before_stays(tmp_path: Path, disk: Failing, freq: Any) -> None:
    path = tmp_path / "x.keras"
    fit(made(), ModelCheckpoint(path), epochs=1)
    before = path.read_bytes()
    disk.error = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        fit(made(), ModelCheckpoint(path, save_freq=freq), epochs=3)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x.keras"]
    disk.error = None
    fit(made(), ModelCheckpoint(path, save_freq=freq), epochs=1)
    assert kio.verify(path)


def test_error_of_the_last_save_is_raised_at_the_end(tmp_path: Path, disk: Failing) -> None:
    disk.error = OSError(5, "Input/output error")
    with pytest.raises(OSError, match="Input/output"):
        fit(made(), ModelCheckpoint(tmp_path / "x.keras"), epochs=1)
    background.wait()
    assert os.listdir(tmp_path) == []


def test_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "x.keras").mkdir()
    with pytest.raises(OSError, match="non-directory"):
        fit(made(), ModelCheckpoint(tmp_path / "x.keras"), epochs=1)


def test_message_when_it_is_true(tmp_path: Path, capsys: pytest.CaptureFixture[str], disk: Failing) -> None:
    disk.go_on.clear()
    threading.Timer(0.5, disk.go_on.set).start()

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            print("here")

    fit(made(), ModelCheckpoint(tmp_path / "x.keras", verbose=1), Watch(), epochs=1)
    out = capsys.readouterr().out
    assert out.index("saving model to") < out.index("here") < out.index("finished saving model to")
    assert out.count("finished saving") == 1


def test_what_kio_does_not_write_is_left_to_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kio import writing
    from kio.errors import UnsupportedError

    def declined(*_: Any, **__: Any) -> Any:
        raise UnsupportedError("format to write: expected another")

    monkeypatch.setattr(writing, "save_model", declined)
    fit(made(), ModelCheckpoint(tmp_path / "x.keras"), epochs=1)
    assert kio.verify(tmp_path / "x.keras")


def test_keras_checkpoint_runs_on_kio_when_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kio import writing

    seen = []
    for name in ("save_model", "save_weights"):
        real = getattr(writing, name)
        monkeypatch.setattr(writing, name, lambda *a, real=real, name=name, **k: seen.append(name) or real(*a, **k))
    with kio.saving.installed():
        fit(made(), keras.callbacks.ModelCheckpoint(tmp_path / "x.keras"), epochs=1)
        checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "x.weights.h5", save_weights_only=True)
        fit(made(), checkpoint, epochs=1)
    assert seen == ["save_model", "save_weights"]


# ---- BackupAndRestore


@pytest.mark.parametrize(
    ("freq", "kill"),
    [
        pytest.param("epoch", (2, None), marks=pytest.mark.slow),  # in the callback after the epoch's backup
        ("epoch", (2, 3)),
        pytest.param(2, (1, 3), marks=pytest.mark.slow),  # right after a backup
        (2, (2, 4)),  # one batch later
        (3, (1, 5)),  # at the last batch of an epoch
        pytest.param(4, (0, 1), marks=pytest.mark.slow),  # before the first backup
    ],
)
def test_resumed_run_is_exact(tmp_path: Path, freq: Any, kill: tuple[int, int | None]) -> None:
    whole = made()
    history = fit(whole).history
    first = made()
    with pytest.raises(Killed):
        fit(first, BackupAndRestore(tmp_path / "b", save_freq=freq), Kill(*kill))
    background.wait()
    # Another process would not know the first one's seeds.
    second = made() if freq == 4 else made(seed=99)
    again = fit(second, BackupAndRestore(tmp_path / "b", save_freq=freq)).history
    assert same(values(whole), values(second))
    assert not (tmp_path / "b").exists()
    # Metrics of the epoch that was resumed in the middle are those of all its batches.
    for key in history:
        assert again[key] == history[key][-len(again[key]) :]
    # Nothing of it is left for another run.
    for model in (whole, second):
        keras.utils.set_random_seed(3)
        assert fit(model, epochs=2).epoch == [0, 1]
    assert same(values(whole), values(second))


@pytest.mark.parametrize("kill", [pytest.param((2, None), marks=pytest.mark.slow), (2, 4)])
def test_shuffled_data_are_shuffled_alike(tmp_path: Path, kill: tuple[int, int | None]) -> None:
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow's own generator cannot be asked for its state")
    freq: Any = "epoch" if kill[1] is None else 2
    whole = made()
    fit(whole, shuffle=True)
    with pytest.raises(Killed):
        fit(made(), BackupAndRestore(tmp_path / "b", save_freq=freq), Kill(*kill), shuffle=True)
    background.wait()
    second = made(seed=99)
    fit(second, BackupAndRestore(tmp_path / "b", save_freq=freq), shuffle=True)
    assert same(values(whole), values(second))


def test_damaged_random_numbers_are_refused() -> None:
    from kio.models.store import rng

    good = rng.encode(rng.capture())
    rng.apply(rng.decode(good))
    for text in (b"", b"[]", b'{"python": [3, [1], null], "numpy": null}', b'{"python": 1}'):
        with pytest.raises(CorruptError, match="random numbers"):
            rng.apply(rng.decode(good | {"host": np.frombuffer(text, np.uint8)}))


def test_several_steps_an_execution(tmp_path: Path) -> None:
    if keras.backend.backend() == "torch":
        pytest.skip("torch has one step an execution")
    whole = made(steps_per_execution=2)
    fit(whole)
    with pytest.raises(Killed):
        fit(made(steps_per_execution=2), BackupAndRestore(tmp_path / "b", save_freq=4), Kill(1, 3))
    background.wait()
    with pytest.raises(MatchError, match="steps_per_execution"):
        fit(made(seed=99, steps_per_execution=4), BackupAndRestore(tmp_path / "b", save_freq=4))
    second = made(seed=99, steps_per_execution=2)
    fit(second, BackupAndRestore(tmp_path / "b", save_freq=4))
    assert same(values(whole), values(second))


def test_generator_without_a_length(tmp_path: Path) -> None:
    def batches() -> Iterator[Any]:
        while True:
            for i in range(BATCHES):
                yield X[8 * i : 8 * i + 8], Y[8 * i : 8 * i + 8]

    def run(model: Any, *callbacks: Any) -> None:
        model.fit(batches(), steps_per_epoch=BATCHES, epochs=3, verbose=0, callbacks=list(callbacks))

    whole = made()
    run(whole)
    with pytest.raises(Killed):
        run(made(), BackupAndRestore(tmp_path / "b", save_freq=2), Kill(1, 4))
    background.wait()
    second = made(seed=99)
    run(second, BackupAndRestore(tmp_path / "b", save_freq=2))
    assert same(values(whole), values(second))


def test_backup_is_one_that_keras_restores(tmp_path: Path) -> None:
    first = made()
    with pytest.raises(Killed):
        fit(first, BackupAndRestore(tmp_path, save_freq="epoch"), Kill(1, None))
    background.wait()
    assert json.loads((tmp_path / "training_metadata.json").read_text()) == {"epoch": 2, "batch": 0}
    assert sorted(os.listdir(tmp_path)) == ["latest.weights.h5", "training_metadata.json"]
    expected = made(seed=5)
    expected.optimizer.build(expected.trainable_variables)
    kio.load_weights(expected, tmp_path / "latest.weights.h5")
    second = made(seed=99)
    seen: list[Any] = []
    second_fit = fit(
        second,
        keras.callbacks.BackupAndRestore(str(tmp_path), delete_checkpoint=False),
        keras.callbacks.LambdaCallback(on_train_begin=lambda logs: seen.extend(values(second))),
    )
    assert same(seen, values(expected)) and second_fit.epoch == [2, 3]


def test_backup_that_keras_made(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        fit(made(), keras.callbacks.BackupAndRestore(str(tmp_path)), Kill(2, 1))
    second = made(seed=99)
    assert fit(second, BackupAndRestore(tmp_path)).epoch == [2, 3]


def test_damaged_backup_and_the_one_before(tmp_path: Path) -> None:
    whole = made()
    fit(whole)
    folder = tmp_path / "b"

    def callback() -> Any:
        return BackupAndRestore(folder, save_freq=2, double_checkpoint=True)

    with pytest.raises(Killed):
        fit(made(), callback(), Kill(2, 4))
    background.wait()
    names = ["latest.weights.h5", "training_metadata.json"]
    assert sorted(os.listdir(folder)) == sorted([*names, *(f"{name}.bkp" for name in names)])
    damaged = bytearray((folder / "latest.weights.h5").read_bytes())
    damaged[len(damaged) // 2 :] = b"\0" * (len(damaged) - len(damaged) // 2)
    (folder / "latest.weights.h5").write_bytes(damaged)
    second = made(seed=99)
    fit(second, callback())
    assert same(values(whole), values(second))


def test_damaged_backup_alone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "latest.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n no more")
    with pytest.raises(kio.FormatError):
        fit(made(), BackupAndRestore(tmp_path))


def test_failed_backup_keeps_the_one_before(tmp_path: Path, disk: Failing) -> None:
    with pytest.raises(Killed):
        fit(made(), BackupAndRestore(tmp_path), Kill(0, None))
    background.wait()
    before = (tmp_path / "latest.weights.h5").read_bytes()
    disk.error = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        fit(made(seed=99), BackupAndRestore(tmp_path))
    assert (tmp_path / "latest.weights.h5").read_bytes() == before


def test_no_backup_when_told_so(tmp_path: Path) -> None:
    fit(made(), BackupAndRestore(tmp_path / "b", save_freq=False, delete_checkpoint=False))
    assert not (tmp_path / "b").exists()
    with pytest.raises(ValueError):
        BackupAndRestore("")
    with pytest.raises(ValueError):
        BackupAndRestore(tmp_path, save_freq="never")
    with pytest.raises(MatchError, match="built model"):
        blank = keras.Sequential([keras.layers.Dense(2)])
        blank.compile("sgd", "mse")
        callback = BackupAndRestore(tmp_path)
        callback.set_model(blank)
        callback.on_train_begin()


def test_other_seeds_are_left_with_a_warning(tmp_path: Path) -> None:
    from kio.models.store import training_state

    model = made()
    state = [np.zeros(3, "float32")]
    before = [np.array(v) for v in training_state.seeds_of(model)]
    assert len(before) == 2
    with pytest.warns(UserWarning, match="seed generators: expected the 1"):
        training_state.restore("seed generators", training_state.seeds_of(model), state)
    assert same(before, [np.array(v) for v in training_state.seeds_of(model)])
