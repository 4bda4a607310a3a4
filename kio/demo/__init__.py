"""``kio demo``: what kio is for, in twenty seconds: real Keras models by stock Keras and by kio, side by side."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kio import __version__, api, optional, writing
from kio.demo import models
from kio.demo.measure import Side, variables
from kio.errors import KioError

_WIDTH = 150  # characters of an error that are shown

REPEATS = 3
LABEL = 40


def _keras() -> Any:
    optional.choose_backend("kio demo", optional.COMPUTES)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with optional.needed("kio demo"):
        import keras
    return keras


def say(text: str = "") -> None:
    print(text, flush=True)


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Show on a terminal what is under way; it makes room for the result."""
    live = sys.stdout.isatty()
    if live:
        print(f"  {what} …", end="", flush=True)
    try:
        yield
    finally:
        if live:
            print("\r\x1b[K", end="", flush=True)


def equal(a: Any, b: Any, x: Any = None) -> bool:
    """Whether two models hold the same bits, their optimizers too, and compute the same of ``x``."""
    mine, other = variables(a), variables(b)
    same = len(mine) == len(other) and all(_bits(p) == _bits(q) for p, q in zip(mine, other, strict=True))
    return same and (x is None or np.array_equal(_outputs(a, x), _outputs(b, x)))


def _bits(variable: Any) -> bytes:
    return bytes(_numpy(variable.value).tobytes())


def _numpy(value: Any) -> Any:
    return np.asarray(value.detach() if hasattr(value, "detach") else value)


def _outputs(model: Any, x: Any) -> Any:
    return _numpy(model(x))


def row(what: str, stock: Side, mine: Side, same: bool) -> str:
    """One line of the table."""

    def side(each: Side) -> str:
        memory = "" if each.peak is None else f"{each.peak / 1e6:+6.0f} MB"
        return f"{each.second * 1e3:6.0f} ms {memory:>9}"

    return (
        f"  {what:{LABEL}} {side(stock)}  {side(mine)}  {stock.second / mine.second:5.1f}x  {'yes' if same else 'NO'}"
    )


def _rows(keras: Any, model: Any, folder: Path) -> Iterator[tuple[str, Side, Side, bool]]:
    """Save and load both ways; each row is verified bit for bit outside of the timing."""
    archive, weights, mine = folder / "model.keras", folder / "model.weights.h5", folder / "kio.keras"
    x = np.random.default_rng(0).normal(size=(4, *model.input_shape[1:])).astype("float32")
    sides = Side(), Side()
    for _ in range(REPEATS):
        sides[0].run(lambda: model.save(archive))
        sides[1].run(lambda: writing.save_model(model, mine))
    # Stock Keras reads what kio wrote.
    yield "save", *sides, equal(keras.saving.load_model(mine), model)

    sides, same = (Side(), Side()), True
    for turn in range(REPEATS):
        stock = sides[0].run(lambda: keras.saving.load_model(archive))
        ours = sides[1].run(lambda: api.load_model(archive))
        last = turn == REPEATS - 1
        same &= equal(stock, model) and equal(ours, model, x if last else None)
        del stock, ours
    yield "load_model", *sides, same

    model.save_weights(weights)
    kept = [np.array(_numpy(variable.value)) for variable in variables(model)]
    sides, same = (Side(), Side()), True

    def filled(load: Callable[[], Any]) -> Any:
        load()
        return model

    for _ in range(REPEATS):
        for side, load in zip(sides, (model.load_weights, lambda path: api.load_weights(model, path)), strict=True):
            for variable in variables(model):
                # Ones: pages of zeros would not be in real memory yet.
                variable.assign(np.ones(variable.shape, variable.dtype))
            side.run(lambda load=load: filled(lambda: load(weights)))  # type: ignore[misc]
            same &= all(_bits(v) == value.tobytes() for v, value in zip(variables(model), kept, strict=True))
    yield "load_weights", *sides, same


def _side_by_side(keras: Any, folder: Path) -> bool:
    """The table of both models; whether all was equal."""
    good = True
    for build, of in ((models.small, "small"), (models.large, "large")):
        with doing(f"building a model of {of} layers"):
            model = models.compiled(build(keras))
        values = variables(model)
        nbytes = sum(_numpy(variable.value).nbytes for variable in values)
        say(f"  {len(model.layers)} {of} layers, with Adam: {len(values)} variables, {nbytes / 1e6:.1f} MB")
        rows = _rows(keras, model, folder)
        for what in ("save", "load_model", "load_weights"):
            with doing(f"{what}: {REPEATS} times each"):
                found = next(rows)
            good &= found[-1]
            say(row(f"  {found[0]}", *found[1:]))
    return good


def _attempt(call: Callable[[], Any]) -> tuple[Any, str]:
    """The result, or the first line of the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call(), ""
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return None, f"{type(error).__name__}: {lines[0]}"


def cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _old(keras: Any, folder: Path) -> bool:
    """A file that stock Keras refuses; whether kio computes what its writer did."""
    path = folder / "of-2016.h5"
    x, y = models.write_old(path)
    _, refusal = _attempt(lambda: keras.saving.load_model(path, compile=False))
    say("\nAn old model: the .h5 that Keras 1.2.2 wrote in 2016 for a Highway layer")
    say(f"  Keras {keras.__version__:8} {cut(refusal) or 'loads it'}")
    model, problem = _attempt(lambda: api.load_model(path))
    off = float(np.abs(_outputs(model, x) - y).max()) if model is not None else np.inf
    good = off < 1e-5
    verdict = problem or f"loads it; its outputs are those of Keras 1.2.2 (largest difference {off:.0e})"
    say(f"  kio            {cut(verdict)}")
    return good


def _damage(keras: Any, folder: Path) -> bool:
    """One bit of a file is flipped; whether kio finds it and leaves the model as it was."""
    path = folder / "model.keras"
    model = models.small(keras)
    model.save(path)
    kernel = max(model.variables, key=lambda v: int(np.prod(v.shape)))
    offset = models.flip(path, _bits(kernel))
    say(f"\nA damaged file: one bit of model.keras flipped, byte {offset:#x}")
    other, problem = _attempt(lambda: keras.saving.load_model(path))
    if other is not None:
        problem = "loads it without a word" + (", with other weights" if not equal(other, model) else "")
    say(f"  Keras {keras.__version__:8} {cut(problem)}")
    target = models.small(keras)
    before = [_bits(variable) for variable in target.variables]
    found: KioError | None = None
    try:
        api.load_weights(target, path)
    except KioError as error:
        found = error
    unchanged = before == [_bits(variable) for variable in target.variables]
    text = f"{type(found).__name__}: {found}".replace(f"{folder}{os.sep}", "") if found else "loads it without a word"
    say("  kio            " + textwrap.fill(text, 100, subsequent_indent=" " * 17))
    say(f"                 and the model that was to be filled is {'as it was' if unchanged else 'CHANGED'}")
    report = api.verify(path)
    say(f"                 kio verify: {'DAMAGED' if not report else 'ok'}")
    return found is not None and unchanged and not report


def _warm(keras: Any, folder: Path) -> None:
    """Import what both import at their first save and load, so that no one's first row pays for it."""
    model = models.compiled(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]))
    path = folder / "warm.keras"
    model.save(path)
    keras.saving.load_model(path)
    writing.save_model(model, path)
    api.load_model(path)


NEXT = """
Try next, with a file of yours:
  kio info model.keras
  python -c "import kio; model = kio.load_model('model.keras'); model.summary()\""""


def main() -> int:
    """Run the demo; 0 if all that kio loaded was equal to stock and the damage was found.

    Raises:
        MissingDependencyError: without Keras or a backend.
    """
    began = time.perf_counter()
    with doing("importing Keras and its backend"):
        keras = _keras()
    backend = keras.backend.backend()
    say(f"kio {__version__}, Keras {keras.__version__} on {backend}, Python {sys.version.split()[0]}")
    say(
        f"Both run in this process, files in the page cache; median of {REPEATS}; memory is the peak above the start.\n"
    )
    with tempfile.TemporaryDirectory(prefix="kio-demo-") as name:
        folder = Path(name)
        with doing("a first save and load"):
            _warm(keras, folder)
        head = f"  {'':{LABEL}} {'Keras':>9} {'memory':>9}  {'kio':>9} {'memory':>9}  {'faster':>6}  equal"
        say(f"{head}\n  {'-' * (len(head) - 2)}")
        good = _side_by_side(keras, folder)
        good &= _old(keras, folder)
        good &= _damage(keras, folder)
    verdict = "Every weight and every output is equal" if good else "Something is wrong: please report it"
    say(f"\n{verdict}. All of this took {time.perf_counter() - began:.0f} s.")
    say(NEXT)
    return 0 if good else 1
