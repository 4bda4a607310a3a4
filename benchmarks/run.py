"""Take the samples: one case x one contender per fresh process, the contenders taking turns.

``python -m benchmarks.run`` measures the rows of the table, ``--all`` more, ``--quick``
small sizes in less than a minute.  Results are JSON lines in benchmarks/out/results.jsonl.
"""

import argparse
import dataclasses
import fnmatch
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import OUT, ROOT, cases, make, roofline, shapes
from benchmarks.cases import Case, Entry
from benchmarks.contenders import MODULES, NATIVE

TIMEOUT_S = 1800
# Statuses that end the run with an error; the others say only that nothing was measured.
BAD = ("wrong", "lazy", "failed")


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    out.add_argument("--all", action="store_true", help="also the cases that no row of the table needs")
    out.add_argument("--quick", action="store_true", help="small files, one backend: does it all work?")
    out.add_argument("--cases", action="append", default=[], metavar="GLOB", help="only these (see --list)")
    out.add_argument("--list", action="store_true", help="print the names of the cases and stop")
    out.add_argument("--rounds", type=int, help="samples of each contender (default 5; with --quick 1)")
    out.add_argument("--backend", action="append", choices=cases.BACKENDS, help="default: torch and jax")
    out.add_argument("--contender", action="append", choices=MODULES, help="only these; a ratio needs two of one run")
    out.add_argument(
        "--adam",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="files hold Adam's state too, in the same total size (default: yes)",
    )
    out.add_argument("--results", type=Path, default=OUT / "results.jsonl", metavar="FILE")
    out.add_argument("--append", action="store_true", help="keep the results that FILE has")
    out.add_argument("--out", type=Path, default=OUT, help="where model files are made and kept")
    return out


def execute(options: argparse.Namespace) -> int:
    """Run; returns 0, or 1 if any contender loaded something wrong or failed."""
    chosen = _choose(options)
    if options.list:
        print("\n".join(f"{case.name:44s} {'  '.join(map(str, case.entries))}" for case in chosen))
        return 0
    session = Session(options)
    session.start({case.shape for case in chosen})
    for case in chosen:
        session.measure(case)
    return session.code


def _choose(options: argparse.Namespace) -> list[Case]:
    chosen = cases.ALL if options.all or options.cases else cases.TABLE
    installed = [name for name in cases.FRAMEWORKS if importlib.util.find_spec(name)]
    backends = options.backend or installed or ["numpy"]
    if options.quick:
        chosen = [case for case in chosen if case.quick]
        backends = backends[-1:]  # jax where it is installed: it starts faster than torch
    chosen = [case for case in chosen if not case.backend or case.backend in backends]
    if options.cases:
        chosen = [case for case in chosen if any(fnmatch.fnmatch(case.name, glob) for glob in options.cases)]
    return chosen


class Session:
    """One run: its files, its output, its samples."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.run_id = time.strftime("%Y%m%dT%H%M%S")
        self.rounds = options.rounds or (1 if options.quick else 5)
        self.shapes = (shapes.quick if options.quick else shapes.full)(options.adam)
        self.out: Path = options.out.resolve()
        self.manifests: dict[str, dict[str, Any]] = {}
        self.code = 0

    def start(self, names: set[str]) -> None:
        """Begin the results, make the files that are not there yet, and measure the machine."""
        path: Path = self.options.results
        for folder in (path.parent, self.out):
            folder.mkdir(parents=True, exist_ok=True)
        if not self.options.append:
            path.unlink(missing_ok=True)
        self._write({"kind": "run", "quick": self.options.quick, "adam": self.options.adam, **machine()})
        self._make([self.shapes[name] for name in sorted({*names, "tiny"})])
        _say("measuring the machine's limits")
        nbytes, rounds = (32 << 20, 1) if self.options.quick else (512 << 20, 3)
        for label, rates in roofline.survey(nbytes, rounds, self.out).items():
            self._write({"kind": "roofline", "label": label, "gb_per_s": rates})

    def measure(self, case: Case) -> None:
        chosen = [entry for entry in case.entries if not self.options.quick or str(entry) in case.quick]
        if self.options.contender:
            chosen = [entry for entry in chosen if entry.label in self.options.contender]
        files = self.manifests[case.shape]["files"].values()
        # The page cache, the process before it and the process itself, each with a copy or two.
        roofline.commit(4 * max(file["nbytes"] for file in files))
        for turn in range(self.rounds):
            for entry in tuple(chosen):
                record = self._sample(case, entry)
                self._report(case, entry, turn, record)
                if record["status"] != "ok":
                    chosen.remove(entry)  # once is enough to know
                    self.code |= record["status"] in BAD

    def _make(self, wanted: list[shapes.Shape]) -> None:
        missing = [shape for shape in wanted if make.manifest_of(make.folder_of(self.out, shape)) is None]
        if missing:
            _say(f"writing model files with stock Keras: {', '.join(shape.name for shape in missing)}")
            fields = [json.dumps(dataclasses.asdict(shape)) for shape in missing]
            command = _command("make", str(self.out), *fields)
            done = subprocess.run(command, cwd=self.out, env=self._environment("numpy"), capture_output=True)
            if done.returncode:
                raise SystemExit(done.stderr.decode(errors="replace"))
        for shape in wanted:
            self.manifests[shape.name] = make.manifest_of(make.folder_of(self.out, shape)) or {}

    def _sample(self, case: Case, entry: Entry) -> dict[str, Any]:
        # What writes starts from the file of the case, whatever kind it makes.
        fmt = case.format if case.writes else entry.format or NATIVE.get(entry.label, case.format)
        manifest, tiny = self.manifests[case.shape], self.manifests["tiny"]
        if fmt not in manifest["files"] or fmt not in tiny["files"]:
            return {"status": "unavailable", "reason": f"no {shapes.FILES[fmt]} could be written here"}
        peers = {MODULES[other.label] for other in case.entries} - {""}
        spec = {
            "op": case.op,
            "backend": case.backend,
            "cold": case.cold,
            "ncpus": case.ncpus,
            "label": entry.label,
            "format": fmt,
            "folder": str(self.out / "saved"),
            "options": entry.options,
            "imports": [] if entry.label == "roofline" else sorted(peers),
            "expected": {
                **{key: manifest.get(key) for key in ("model", "weights", "tensors", "index", "legacy")},
                "file": manifest["files"][fmt]["sha256"],
            },
        }
        for prefix, name in (("", case.shape), ("tiny_", "tiny")):
            shape = self.shapes[name]
            spec[f"{prefix}shape"] = dataclasses.asdict(shape)
            spec[f"{prefix}path"] = str(make.folder_of(self.out, shape) / shapes.FILES[fmt])
        record = _run_sample(spec, self.out, self._environment(case.backend))
        record.update(nbytes=manifest["nbytes"], nvariables=manifest["nvariables"])
        record.update(file_nbytes=manifest["files"][fmt]["nbytes"], format=fmt)
        return record

    def _report(self, case: Case, entry: Entry, turn: int, record: dict[str, Any]) -> None:
        self._write({"kind": "sample", "case": case.name, "entry": str(entry), "round": turn, **record})
        if record["status"] == "ok":
            peak = record["peak_extra"]
            extra = "" if peak is None else f"  +{peak / cases.MIB:7.0f} MiB peak"
            _say(f"{case.name:40s} {entry!s:24s} {record['wall_s'] * 1e3:10.1f} ms{extra}")
        else:
            _say(f"{case.name:40s} {entry!s:24s} {record['status']}: {record['reason'][:160]}")

    def _write(self, record: dict[str, Any]) -> None:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        record = {"run": self.run_id, **record, "load": load}
        with open(self.options.results, "a") as file:
            file.write(json.dumps(record) + "\n")

    def _environment(self, backend: str) -> dict[str, str]:
        return {
            **os.environ,
            "KERAS_BACKEND": backend or "numpy",
            # The user's keras.json could ask for another float type.
            "KERAS_HOME": str(self.out / "keras"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",  # everything here is a load into main memory
            "JAX_PLATFORMS": "cpu",
        }


def _command(module: str, *arguments: str) -> list[str]:
    """Run a module of this package in a new process.

    The checkout comes last on sys.path: an installed kio is measured in its stead, and a
    checkout that was never built does not hide the installed one.
    """
    lines = ("import sys", f"sys.path.append({str(ROOT)!r})", f"from benchmarks import {module}")
    return [sys.executable, "-c", "; ".join((*lines, f"{module}.main()")), *arguments]


def _run_sample(spec: dict[str, Any], folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run one sample's process and take what it wrote."""
    with tempfile.TemporaryDirectory() as temporary:
        request, result = Path(temporary) / "spec.json", Path(temporary) / "result.json"
        request.write_text(json.dumps(spec))
        command = _command("sample", str(request), str(result))
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            return {"status": "failed", "reason": f"still running after {TIMEOUT_S} s"}
        if not result.exists():
            tail = " | ".join(done.stderr.strip().splitlines()[-3:])
            return {"status": "failed", "reason": f"the process ended with {done.returncode}: {tail}"}
        return json.loads(result.read_text())  # type: ignore[no-any-return]


def machine() -> dict[str, Any]:
    """Where and with what this was measured."""
    versions = {}
    for name in ("kio", "numpy", "h5py", "keras", "torch", "jax", "safetensors"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = ""
    return {
        "machine": {
            "cpu": _cpu(),
            "ncpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory": _memory(),
            "system": f"{platform.system()} {platform.release()}",
            "huge_pages": _first_line(Path("/sys/kernel/mm/transparent_hugepage/enabled")),
            "python": platform.python_version(),
        },
        "versions": versions,
        "commit": _commit(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _first_line(path: Path) -> str:
    try:
        return path.read_text().split("\n", 1)[0]
    except OSError:
        return ""


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    return execute(parser().parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
