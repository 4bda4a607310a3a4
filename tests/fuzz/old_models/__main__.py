"""The campaign: writes batches, reads them on each backend, makes failures small.  See the package's docstring."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.fuzz.old_models.minimise import minimise

_ROOT = Path(__file__).parents[3]
_BATCH = 200
_BAD = ("WRONG", "EXCEPTION")
# How much worse than the writer's own numbers under a nudge a result may be.
_SLACK = 30.0
_NUDGE = 1e-6
# How far the writer's own reading of its file may be from what it wrote.
_UNSAID = 1e-4


class Campaign:
    """Runs writer and readers in processes of their own.

    Args:
        writer: A Python with tf.keras.
        backends: Of Keras 3.
        work: Everything is written below it.
    """

    def __init__(self, writer: str, backends: list[str], work: Path) -> None:
        self.writer, self.backends, self.work = writer, backends, work
        # Batches are written ahead: two threads ask.
        self.numbers = itertools.count(1)

    def _python(self, python: str, *arguments: str, **environment: str) -> None:
        given = {**os.environ, "PYTHONPATH": str(_ROOT), **environment}
        done = subprocess.run(
            [python, "-W", "ignore", "-m", *arguments], cwd=_ROOT, env=given, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr[-3000:]}")

    def write(self, *arguments: str) -> Path:
        """One batch; the folder of its cases."""
        folder = self.work / f"batch{next(self.numbers):04d}"
        self._python(self.writer, "tests.fuzz.old_models.generate", "--out", str(folder), *arguments)
        return folder

    def recipes(self, given: list[Any], *arguments: str) -> Path:
        """The same of these recipes."""
        path = self.work / f"recipes{next(self.numbers):04d}.json"
        path.write_text(json.dumps(given))
        return self.write("--recipes", str(path), *arguments)

    def read(
        self, folder: Path, backends: list[str] | None = None, *options: str, **environment: str
    ) -> dict[tuple[str, str], dict[str, Any]]:
        """What each case comes to, by case and backend."""
        found = {}
        asked = backends or self.backends
        with ThreadPoolExecutor(len(asked)) as readers:
            list(readers.map(lambda backend: self._reader(folder, backend, *options, **environment), asked))
        for backend in asked:
            for line in (folder / f"{backend}.jsonl").read_text().splitlines():
                each = json.loads(line)
                found[each["case"], backend] = each
        return found

    def _reader(self, folder: Path, backend: str, *options: str, **environment: str) -> None:
        environment["KERAS_BACKEND"] = backend
        self._python(sys.executable, "tests.fuzz.old_models.compare", str(folder), *options, **environment)

    def optimised(self, folder: Path, found: dict[tuple[str, str], dict[str, Any]]) -> None:
        """Read again what was bad on JAX, by programs as users have them; changed in place.

        Without its optimizations XLA makes NaN of gradients that it computes rightly with them, and an operation at
        a time: a BatchNormalization of five dimensions before GlobalMaxPooling3D, for one.
        """
        bad = [case for (case, backend), each in found.items() if backend == "jax" and each["kind"] in _BAD]
        if not bad:
            return
        with tempfile.TemporaryDirectory(dir=self.work) as again:
            for case in bad:
                shutil.copytree(folder / case, Path(again) / case)
            found |= self.read(Path(again), ["jax"], "--programs", JAX_DISABLE_MOST_OPTIMIZATIONS="0")

    def settle(self, folder: Path, found: dict[tuple[str, str], dict[str, Any]]) -> None:
        """Call unstable what the writer itself computes otherwise after a nudge; changed in place."""
        from tests.fuzz.old_models.stability import distances

        self.optimised(folder, found)
        wrong = sorted({case for (case, _), each in found.items() if each["kind"] == "WRONG"})
        if not wrong:
            return
        given = [json.loads((folder / case / "recipe.json").read_text()) for case in wrong]
        moved = self.recipes(given, "--nudge", str(_NUDGE))
        for k, case in enumerate(wrong):
            allowed = distances(folder / case / "numbers.npz", moved / f"{k:05d}" / "numbers.npz")
            for backend in self.backends:
                each = found.get((case, backend), {})
                if each.get("kind") != "WRONG":
                    continue
                if allowed.get("reload", 0.0) > _UNSAID:
                    each["kind"] = "unsaid"
                elif each["error"] < _SLACK * allowed.get(each["why"].split(":")[0], 0.0):
                    each["kind"] = "unstable"
        shutil.rmtree(moved)

    def small(self, failures: dict[str, tuple[Any, str]], backend: str) -> dict[str, Any]:
        """Failures of one backend made small."""

        def judge(recipes: list[Any]) -> list[str]:
            folder = self.recipes(recipes)
            found = self.read(folder, [backend])
            shutil.rmtree(folder)
            return [signature(found.get((f"{k:05d}", backend), {})) for k in range(len(recipes))]

        return minimise(failures, judge)


def signature(found: dict[str, Any]) -> str:
    """What makes two failures the same: numbers and names left out."""
    why = re.sub(r"\d+|'[^']*'", "", found.get("why", ""))
    return f"{found.get('kind')} {why[:60]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.old_models")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--writer", default="tf_keras", help="tf_keras, or the path of a Python with TensorFlow")
    parser.add_argument("--backends", default="jax,torch")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--keep", type=Path, help="where failures go; default: a temporary folder")
    parser.add_argument("--small", action="store_true", help="make failures small")
    parser.add_argument("--batch", type=int, default=_BATCH)
    parser.add_argument("--again", type=Path, nargs="*", default=[], help="recipes, or folders of cases, kept before")
    options = parser.parse_args()
    writer = sys.executable if options.writer == "tf_keras" else options.writer
    kept = options.keep or Path(tempfile.mkdtemp(prefix="kio-old-models-"))
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kio-fuzz-") as work:
        campaign = Campaign(writer, options.backends.split(","), Path(work))
        return _run(campaign, options, kept)


def _batches(campaign: Campaign, options: argparse.Namespace) -> Iterator[tuple[int, Path]]:
    """How many models, and the folder of them; the next batch is written while one is read."""
    if options.again:
        paths = [path / "recipe.json" if path.is_dir() else path for path in options.again]
        yield len(paths), campaign.recipes([json.loads(path.read_text()) for path in paths])
        return
    rows = [(k, min(options.batch, options.count - k)) for k in range(0, options.count, options.batch)]
    with ThreadPoolExecutor(1) as ahead:

        def begin(row: tuple[int, int]) -> Any:
            return ahead.submit(campaign.write, "--seed", str(options.seed + row[0]), "--count", str(row[1]))

        coming = begin(rows[0])
        for k, (_, n) in enumerate(rows):
            folder = coming.result()
            if k + 1 < len(rows):
                coming = begin(rows[k + 1])
            yield n, folder


def _run(campaign: Campaign, options: argparse.Namespace, kept: Path) -> int:
    started = time.monotonic()
    tally: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    failures: dict[str, dict[str, tuple[Any, str]]] = {}
    done = 0
    for n, folder in _batches(campaign, options):
        if time.monotonic() - started > options.seconds:
            break
        found = campaign.read(folder)
        campaign.settle(folder, found)
        done += n
        for (case, backend), each in sorted(found.items()):
            tally[f"{backend} {each['kind']}"] += 1
            if each["kind"] in ("refused", "warned"):
                reasons[f"{each['kind']} {re.sub('[0-9]+', '#', each['why'])[:150]}"] += 1
            if each["kind"] not in _BAD:
                continue
            print(f"{each['kind']} {backend} {case}: {each['why'][:300]} {each.get('error', '')}", flush=True)
            shutil.copytree(folder / case, kept / case, dirs_exist_ok=True)
            (kept / case / f"{backend}.json").write_text(json.dumps(each))
            recipe = json.loads((folder / case / "recipe.json").read_text())
            failures.setdefault(backend, {})[case] = (recipe, signature(each))
        shutil.rmtree(folder)
        print(f"{done} models, {time.monotonic() - started:.0f} s: {dict(sorted(tally.items()))}", flush=True)
    for reason, n in reasons.most_common():
        print(f"  {n:5d} {reason}")
    if options.small:
        for backend, given in failures.items():
            for case, recipe in campaign.small(given, backend).items():
                (kept / case / f"small-{backend}.json").write_text(json.dumps(recipe))
                print(f"{case} {backend} {given[case][1]}\n    {json.dumps(recipe)}", flush=True)
    if failures:
        print(f"failures are in {kept}")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
