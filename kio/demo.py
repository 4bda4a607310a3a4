"""``kio demo``: a real Keras model, saved and loaded by stock Keras and by kio, side by side."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kio import api
from kio.errors import MissingDependencyError

REPEATS = 3


@dataclass(slots=True)
class Row:
    """One operation, timed both ways; seconds."""

    what: str
    stock_s: list[float] = field(default_factory=list)
    kio_s: list[float] = field(default_factory=list)
    equal: bool = True

    @property
    def ratio(self) -> float:
        return statistics.median(self.stock_s) / statistics.median(self.kio_s)


def _keras() -> Any:
    """Keras on the backend the user chose, else on numpy, which needs nothing more."""
    if find_spec("keras") is None:
        raise MissingDependencyError("keras", "keras", "kio demo")
    os.environ.setdefault("KERAS_BACKEND", "numpy")
    import keras

    return keras


def _models(keras: Any) -> dict[str, Callable[[], Any]]:
    """Two shapes of model: a few large variables, and many small ones."""
    layers = keras.layers

    def wide() -> Any:
        return keras.Sequential(
            [
                keras.Input((1024,)),
                *[layers.Dense(1024, activation="relu") for _ in range(12)],
                layers.Dense(10),
            ]
        )

    def deep() -> Any:
        inputs = x = keras.Input((16,))
        for _ in range(300):
            y = layers.Dense(16, activation="relu")(layers.LayerNormalization()(x))
            x = layers.Add()([x, y])
        return keras.Model(inputs, layers.Dense(3)(x))

    return {"12 large layers": wide, "300 small layers": deep}


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = run()
    return time.perf_counter() - begin, result


def _same(a: Any, b: Any, x: Any) -> bool:
    weights = all(np.array_equal(p, q) for p, q in zip(a.get_weights(), b.get_weights(), strict=True))
    outputs = np.array_equal(np.asarray(a.predict(x, verbose=0)), np.asarray(b.predict(x, verbose=0)))
    return len(a.weights) == len(b.weights) and weights and outputs


def _measure(keras: Any, name: str, build: Callable[[], Any], folder: Path) -> list[Row]:
    model = build()
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    archive, weights = folder / "model.keras", folder / "model.weights.h5"
    model.save(archive)
    model.save_weights(weights)
    x = np.random.default_rng(0).normal(size=(4, *model.input_shape[1:])).astype("float32")
    whole = Row(f"load_model(.keras), {name}")
    only = Row(f"load_weights(.weights.h5), {name}")
    for _ in range(REPEATS):
        seconds, stock = _timed(lambda: keras.saving.load_model(archive))
        whole.stock_s.append(seconds)
        seconds, mine = _timed(lambda: api.load_model(archive))
        whole.kio_s.append(seconds)
        whole.equal &= _same(stock, mine, x) and _same(model, mine, x)
        blank, other = build(), build()
        seconds, _ = _timed(lambda blank=blank: blank.load_weights(weights))  # type: ignore[misc]
        only.stock_s.append(seconds)
        seconds, _ = _timed(lambda other=other: api.load_weights(other, weights))  # type: ignore[misc]
        only.kio_s.append(seconds)
        only.equal &= _same(blank, other, x)
    return [whole, only]


def table(rows: list[Row]) -> str:
    """The rows as text, times in milliseconds."""
    head = f"{'operation':44} {'Keras':>9} {'kio':>9} {'faster':>8}  equal"
    lines = [
        f"{row.what:44} {statistics.median(row.stock_s) * 1e3:6.0f} ms {statistics.median(row.kio_s) * 1e3:6.0f} ms "
        f"{row.ratio:7.1f}x  {'yes' if row.equal else 'NO'}"
        for row in rows
    ]
    return "\n".join([head, "-" * len(head), *lines])


def main() -> int:
    """Run the demo and print its table; 0 if everything kio loaded was equal to stock."""
    keras = _keras()
    print(
        f"Keras {keras.version()} on {keras.backend.backend()}, Python {sys.version.split()[0]}; "
        f"median of {REPEATS}, both in this process, files in the page cache\n"
    )
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="kio-demo-") as folder:
        for name, build in _models(keras).items():
            rows += _measure(keras, name, build, Path(folder))
        print(table(rows))
    equal = all(row.equal for row in rows)
    print("\nEvery weight and every output is equal." if equal else "\nSomething differs: please report it.")
    return 0 if equal else 1
