"""Keras's callbacks that save, saving in the background: same arguments, same behaviour.

Training goes on as soon as the values are safe from it.  An error of a save is raised in
the next batch after it is known, or at the end of training; the file that was there before
is then still there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import keras

from kio import api, writing
from kio.errors import FormatError, MatchError, UnknownFormatError, UnsupportedError
from kio.keras_private import print_msg
from kio.models import load, save
from kio.models.memory import snapshot
from kio.models.store import rng, training_state
from kio.models.store.training_state import TrainingState
from kio.raw import pending
from kio.raw.reading import Reading
from kio.raw.sink import Sink
from kio.reports import SaveResult

__all__ = ["BackupAndRestore", "ModelCheckpoint"]


class _Saves:
    """The save of a callback that is under way."""

    def __init__(self) -> None:
        self._saving: SaveResult | None = None
        self._then: Callable[[], object] | None = None

    def begin(self, saving: SaveResult, then: Callable[[], object] | None = None) -> None:
        """Watch a save; the one before has ended, for there is only one at a time.

        Args:
            saving: The save.
            then: Called when it is seen to have succeeded.

        Raises:
            Exception: what the one before ended with.
        """
        before, self._saving = self._saving, saving
        done, self._then = self._then, then
        self._end(before, done)

    def poll(self) -> None:
        """Raise what the save ended with, if it has ended."""
        if self._saving is not None and self._saving.done():
            self.finish()

    def finish(self) -> None:
        """Wait for the save; raise what it ended with."""
        saving, self._saving = self._saving, None
        then, self._then = self._then, None
        self._end(saving, then)

    def _end(self, saving: SaveResult | None, then: Callable[[], object] | None) -> None:
        if saving is not None:
            saving.wait()
            if then is not None:
                then()


class _Saver:
    """A model as ``ModelCheckpoint._save_model`` sees it: its saves run in the background."""

    def __init__(self, model: Any, callback: ModelCheckpoint) -> None:
        self._model, self._callback = model, callback

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def save(self, filepath: str, overwrite: bool = True) -> None:
        self._run(writing.save_model, self._model.save, filepath)

    def save_weights(self, filepath: str, overwrite: bool = True) -> None:
        self._run(writing.save_weights, self._model.save_weights, filepath)

    def _run(self, ours: Callable[..., SaveResult], stock: Callable[..., Any], filepath: str) -> None:
        try:
            saving = ours(self._model, filepath, background=True, durable=self._callback.durable)
        except (UnknownFormatError, UnsupportedError) as declined:
            pending.settle(os.fsdecode(filepath))
            try:
                stock(filepath, overwrite=True)
            except Exception as e:
                raise e from declined
            return
        self._callback._begun(saving)


class ModelCheckpoint(keras.callbacks.ModelCheckpoint):  # type: ignore[misc]
    """``keras.callbacks.ModelCheckpoint`` that does not stop training for a save.

    What Keras decides (when, whether it is the best, under which name) is Keras's own code.

    Args:
        filepath, monitor, verbose, save_best_only, save_weights_only, mode, save_freq,
            initial_value_threshold: As Keras has them.
        durable: False skips the fsyncs, as in ``kio.save_model``.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        *,
        durable: bool = True,
    ) -> None:
        super().__init__(
            filepath,
            monitor=monitor,
            verbose=verbose,
            save_best_only=save_best_only,
            save_weights_only=save_weights_only,
            mode=mode,
            save_freq=save_freq,
            initial_value_threshold=initial_value_threshold,
        )
        self.verbose: int = verbose
        self.durable = durable
        self._saves = _Saves()
        self._diverted = False
        self._epoch_saved = 0

    @property
    def model(self) -> Any:
        """The model; while Keras's code saves, one whose saves run in the background."""
        found = super().model
        return _Saver(found, self) if self._diverted else found

    def _save_model(self, epoch: int, batch: int | None = None, logs: Any = None) -> None:
        verbose = self.verbose
        self._diverted, self._epoch_saved = True, epoch
        try:
            super()._save_model(epoch=epoch, batch=batch, logs=logs)
        finally:
            self._diverted, self.verbose = False, verbose

    def _begun(self, saving: SaveResult) -> None:
        then = None
        if self.verbose > 0:
            text = f"\nEpoch {self._epoch_saved + 1}: finished saving model to {saving.path}"

            def then() -> None:
                print_msg(text)

            self.verbose = 0  # Keras would say so now
        self._saves.begin(saving, then)

    def on_train_begin(self, logs: Any = None) -> None:
        snapshot.prepare()
        super().on_train_begin(logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._saves.poll()
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._saves.poll()
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        self._saves.finish()
        super().on_train_end(logs)


class _Skip:
    """Stands in for a model's train function until batches that were trained on have gone by.

    Args:
        model: The model, whose function it takes the place of.
        executions: Calls of the function that are to have no effect.
        begin: Called in the first of them with the data of a batch, or None where Keras
            hands them over otherwise; gives what all of them return as logs.
        end: Called at the end of the last.
    """

    def __init__(
        self, model: Any, executions: int, begin: Callable[[Any], dict[str, Any]], end: Callable[[], object]
    ) -> None:
        self._model, self._function = model, model.train_function
        self._left, self._begin, self._end = executions, begin, end
        self._logs: dict[str, Any] | None = None
        self._iterator: Any = None
        self._jax = keras.backend.backend() == "jax"
        model.train_function = self

    def remove(self) -> None:
        """Give the model its own function back."""
        if self._model.train_function is self:
            self._model.train_function = self._function

    def __call__(self, *given: Any) -> Any:
        data = given[-1]
        pulls = hasattr(data, "__next__")  # else Keras has taken the batches itself
        if pulls and self._iterator is None:
            self._iterator = data
        if self._left == 0 or (pulls and self._iterator is not data):
            self.remove()  # another epoch, or another call of fit
            return self._function(*given)
        batch = None
        if pulls:
            batch = next(data)
            with contextlib.suppress(StopIteration):
                for _ in range(_steps_per_execution(self._model) - 1):
                    next(data)
        if self._logs is None:
            self._logs = self._begin(batch)
        self._left -= 1
        if self._left == 0:
            self.remove()
            self._end()
        return (self._logs, given[0]) if self._jax else self._logs


def _steps_per_execution(model: Any) -> int:
    return int(getattr(model, "steps_per_execution", 1) or 1)


class BackupAndRestore(keras.callbacks.BackupAndRestore):  # type: ignore[misc]
    """``keras.callbacks.BackupAndRestore`` that goes on exactly where training stood.

    Backups are made in the background.  Weights, optimizer, epoch, batch, the states of seed
    generators (of Python, NumPy and torch, too) and those of metrics are in one file that is
    replaced as a whole.  A run that was stopped and resumed ends with the same weights, bit
    for bit, as one that was not, if the data come in the same order and the backend computes
    the same twice, as it does on CPUs.  Arrays that Keras shuffles do, except on TensorFlow:
    there, use ``shuffle=False``.  Of the epoch that is resumed, the batches that were trained
    on are taken from the data and not used; other callbacks see them go by.

    Backups that Keras made are restored as Keras restores them.

    Args:
        backup_dir, save_freq, double_checkpoint, delete_checkpoint: As Keras has them, also
            where its own version does not.
        durable: False skips the fsyncs, as in ``kio.save_model``.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int | bool = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        *,
        durable: bool = True,
    ) -> None:
        super().__init__(
            os.fsdecode(backup_dir) if backup_dir else backup_dir,
            save_freq=save_freq,
            delete_checkpoint=delete_checkpoint,
        )
        self.double_checkpoint = double_checkpoint
        self.durable = durable
        self._metadata_path = os.path.join(self.backup_dir, "training_metadata.json")
        self._saves = _Saves()
        self._executions = self._to_skip = 0  # calls of the train function in this epoch
        self._state: TrainingState | None = None
        self._epoch_rng: rng.Rng | None = None
        self._skip: _Skip | None = None

    # ---- restore

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.model
        if not model.built:
            raise MatchError(
                f"BackupAndRestore: expected a built model, found {model.name} without variables; "
                "call it on data, or build() it, before fit()"
            )
        snapshot.prepare()
        # The last backup of a run that was interrupted may be under way.
        pending.settle(self._weights_path)
        self._state, self._executions, self._batches_seen_since_last_saving = None, 0, 0
        try:
            self._restore(self._weights_path, self._metadata_path)
        except (OSError, FormatError):
            before = self._weights_path + ".bkp"
            if not os.path.exists(before):
                raise
            self._restore(before, self._metadata_path + ".bkp")

    def _restore(self, path: str, metadata_path: str) -> None:
        if not os.path.exists(path):
            return
        model = self.model
        optimizer = model.optimizer
        with api.open(path) as checkpoint:
            state = training_state.read(checkpoint)
            if state is not None and state.batch % _steps_per_execution(model):
                raise MatchError(
                    f"steps_per_execution: expected one that divides the {state.batch} batches done, "
                    f"found {model.steps_per_execution}"
                )
            epoch = _epoch_of(metadata_path) if state is None else state.epoch
            if optimizer is not None and not optimizer.built:
                optimizer.build(model.trainable_variables)
            load.load_weights(model, checkpoint, reading=Reading(verify=True))
        if state is not None:
            training_state.restore("seed generators", training_state.seeds_of(model), state.seeds)
            self._state = state
        if hasattr(model, "_initial_epoch"):
            model._initial_epoch = epoch
        elif epoch:
            warnings.warn(
                f"this version of Keras begins with the epoch that fit is told: pass initial_epoch={epoch}",
                stacklevel=2,
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._current_epoch, self._last_batch_seen = epoch, 0
        self._executions = self._to_skip = 0
        self._forget_skip()
        state, self._state = self._state, None
        if state is not None and state.epoch == epoch:
            self._resume(state)
        self._epoch_rng = rng.capture()

    def _resume(self, state: TrainingState) -> None:
        now = state.epoch_rng if state.batch else state.rng
        if now is not None:
            rng.apply(now)
        if not state.batch:
            return
        # Keras has just reset the metrics for the epoch, which is half done.
        model = self.model
        logs: dict[str, Any] | None = None
        if training_state.fits(model.metrics_variables, state.metrics) or keras.backend.backend() == "jax":
            logs = self._restore_metrics(state, None)

        def begin(batch: Any) -> dict[str, Any]:
            return logs if logs is not None else self._restore_metrics(state, batch)

        def end() -> None:
            if state.rng is not None:
                rng.apply(state.rng)

        self._to_skip = state.batch // _steps_per_execution(model)
        self._skip = _Skip(model, self._to_skip, begin, end)

    def _restore_metrics(self, state: TrainingState, batch: Any) -> dict[str, Any]:
        """Restore them, and give what they say.

        Args:
            batch: Data for metrics that have no variables before they have seen some, as on
                TensorFlow.
        """
        model = self._model
        if batch is not None and not training_state.fits(model.metrics_variables, state.metrics):
            with contextlib.suppress(Exception):  # then there is a warning
                model._symbolic_build(data_batch=batch)
        training_state.restore("metrics", training_state.metrics_of(model), state.metrics)
        try:
            return dict(model.get_metrics_result())
        except ValueError:  # of metrics that were not built
            return {}

    def _forget_skip(self) -> None:
        if self._skip is not None:
            self._skip.remove()
            self._skip = None

    # ---- back up

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._saves.poll()
        self._executions += 1
        if self._executions <= self._to_skip:
            self._last_batch_seen = batch  # it was counted before the run was stopped
            return
        super().on_train_batch_end(batch, logs)

    def _should_save_on_batch(self, batch: int) -> bool:
        return self.save_freq is not False and bool(super()._should_save_on_batch(batch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._saves.poll()
        self._forget_skip()
        self._current_epoch, self._last_batch_seen = epoch + 1, 0
        self._executions = self._to_skip = 0
        if self.save_freq == "epoch":
            self._save_model()

    def on_train_end(self, logs: Any = None) -> None:
        self._forget_skip()
        self._saves.finish()
        if hasattr(self.model, "_initial_epoch"):
            self.model._initial_epoch = None  # or the next fit would begin there, too
        super().on_train_end(logs)

    def _save_model(self) -> None:
        model = self.model
        batch = self._executions * _steps_per_execution(model)
        made = save.contents(model)
        training_state.add(made, model, self._current_epoch, batch, self._epoch_rng if batch else None)
        os.makedirs(self.backup_dir, exist_ok=True)
        self._saves.finish()
        if self.double_checkpoint:
            for path in (self._weights_path, self._metadata_path):
                _keep(path)
        # What Keras's own callback would read.
        text = json.dumps({"epoch": self._current_epoch, "batch": self._last_batch_seen})

        def after() -> None:
            with Sink.open(self._metadata_path, durable=self.durable) as sink:
                sink.write_at(0, text.encode())

        saving = writing.write_contents(self._weights_path, made, durable=self.durable, background=True, after=after)
        self._saves.begin(saving)


def _epoch_of(metadata_path: str) -> int:
    """Where Keras's own callback stood, which knows of epochs alone."""
    try:
        with open(metadata_path, encoding="utf-8") as file:
            return int(json.load(file)["epoch"])
    except FileNotFoundError:
        return 0


def _keep(path: str) -> None:
    """Keep a file as ``….bkp``, too: a second name for it, for saves replace and never write into files."""
    aside = path + ".bkp"
    if not os.path.exists(path):
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(aside + "~")
    try:
        os.link(path, aside + "~")
    except OSError:  # a file system without links
        shutil.copyfile(path, aside + "~")
    os.replace(aside + "~", aside)
