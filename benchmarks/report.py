"""Turn results into the table of ``benchmarks/README.md`` and the chart of the main README.

``python -m benchmarks.report [results.jsonl …]`` writes table.md beside the (first) results, and from a full run
the table of ``benchmarks/README.md`` and ``benchmarks/chart.svg``.  Only samples whose SHA-256 was right have
figures, so nothing else can be reported; what was refused is listed with its reason.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import OUT, ROOT, chart
from benchmarks.cases import ALL, GOALS, MIB, Case, Goal

Record = dict[str, Any]
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"


class Results:
    """The samples of each case, all of them from the newest run that has the case.

    Runs of other sizes than the newest one's (--quick, --no-adam) are left out.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        records = list(records)
        runs = {record["run"]: record for record in records if record["kind"] == "run"}
        sizes = {run: (record["quick"], record["adam"]) for run, record in runs.items()}
        newest_run = max(runs, default="")
        self.runs = {run: record for run, record in runs.items() if sizes[run] == sizes[newest_run]}
        records = [record for record in records if record["run"] in self.runs]
        newest: dict[str, str] = {}
        for record in records:
            if record["kind"] == "sample":
                newest[record["case"]] = max(record["run"], newest.get(record["case"], ""))
        self.limits = {record["label"]: record["gb_per_s"] for record in records if record["kind"] == "roofline"}
        self.samples: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
        self.refused: dict[str, dict[str, str]] = defaultdict(dict)
        for record in records:
            if record["kind"] != "sample" or record["run"] != newest[record["case"]]:
                continue
            if record["status"] == "ok":
                self.samples[record["case"]][record["entry"]].append(record)
            else:
                self.refused[record["case"]][record["entry"]] = f"{record['status']}: {record['reason']}"
        # One bad sample spoils its contender: the good ones were luck.
        for case, reasons in self.refused.items():
            for entry in reasons:
                self.samples[case].pop(entry, None)

    def of(self, case: Case, entry: str) -> list[Record]:
        return self.samples[case.name].get(entry, [])

    def limit(self, case: Case) -> list[Record]:
        """The samples of whichever way of moving the bytes was fastest."""
        ways = [taken for entry, taken in self.samples[case.name].items() if entry.startswith("roofline") and taken]
        return min(ways, key=walls, default=[])

    def why_not(self, case: Case, entry: str) -> str:
        return self.refused[case.name].get(entry, "not run")

    def _all(self) -> list[Record]:
        return [sample for entries in self.samples.values() for taken in entries.values() for sample in taken]

    def load(self) -> float:
        """The system's load while the samples were taken."""
        return float(median([sample["load"] or 0 for sample in self._all()] or [0]))

    def foreign(self) -> str:
        """Which installed kio was measured in place of the checkout, if any."""
        found = {sample["library"] for sample in self._all() if sample["library"].startswith("kio ")}
        return ", ".join(sorted(item.rsplit(" ", 1)[0] for item in found if str(ROOT) not in item))


def walls(samples: list[Record]) -> float:
    return float(median(sample["wall_s"] for sample in samples))


def rate(samples: list[Record]) -> float:
    """Bytes of the file per second."""
    return float(samples[0]["file_nbytes"]) / walls(samples)


@dataclass(frozen=True)
class Figure:
    """A goal's figure: its value, how far single rounds were from it, what it came from."""

    value: float
    low: float
    high: float
    against_s: float | None = None
    entry_s: float | None = None
    nrounds: int = 0
    cpu: float | None = None  # the same ratio of CPU seconds, which other work on the machine moves less


def figure(results: Results, goal: Goal) -> Figure | str:
    """A goal's figure, or why there is none."""
    taken = results.of(goal.case, goal.entry)
    if not taken:
        return results.why_not(goal.case, goal.entry)
    if goal.metric == "per_variable":
        return _spread(taken, lambda sample: sample["wall_s"] / sample["nvariables"] * 1e6, walls(taken))
    if goal.metric == "extra":
        if any(sample["peak_extra"] is None for sample in taken):
            return "peak RSS is not known on this system"
        peaks = [(sample["peak_extra"] - goal.allowance * sample["nbytes"]) / MIB for sample in taken]
        # A bound on memory has to hold every time, so the worst sample counts.
        return Figure(max(peaks), min(peaks), max(peaks), None, walls(taken), len(taken))
    if goal.metric == "share":
        other = results.limit(goal.case)
    else:
        other = results.of(goal.case, goal.against)
    if not other:
        return results.why_not(goal.case, goal.against)
    compare = COMPARE[goal.metric]
    # Samples of one round were taken one after the other: their ratios show the noise.
    single = [compare(a["wall_s"], b["wall_s"]) for a, b in zip(other, taken, strict=False)]
    value = compare(walls(other), walls(taken))
    cpu = None
    if goal.metric == "speedup" and "cpu_s" in taken[0]:
        cpu = compare(*(median(sample["cpu_s"] for sample in samples) for samples in (other, taken)))
    return Figure(value, min(single), max(single), walls(other), walls(taken), len(single), cpu)


COMPARE: dict[str, Callable[[float, float], float]] = {
    "speedup": lambda against, entry: against / entry,
    "share": lambda limit, entry: limit / entry,
    "overhead": lambda against, entry: entry / against - 1,
}


def _spread(taken: list[Record], value: Callable[[Record], float], entry_s: float) -> Figure:
    single = [value(sample) for sample in taken]
    return Figure(median(single), min(single), max(single), None, entry_s, len(single))


UNIT: dict[str, Callable[[float], str]] = {
    "speedup": lambda value: f"{value:.1f}x",
    "share": lambda value: f"{value:.0%}",
    "overhead": lambda value: f"{value:+.1%}",
    "per_variable": lambda value: f"{value:.2f}",
    "extra": lambda value: f"{value:.0f}",
}


def verdict(goal: Goal, value: float) -> str:
    sign = 1 if goal.higher_is_better else -1
    if sign * value >= sign * goal.aim:
        return "aim"
    return "must" if sign * value >= sign * goal.must else "**no**"


def milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1e3:,.0f} ms" if seconds >= 0.1 else f"{seconds * 1e3:.1f} ms"


def goals_table(results: Results) -> list[str]:
    out = [
        "| what | against | kio | result (single rounds) | in CPU time | must | aim | reached |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for goal in GOALS:
        unit = UNIT[goal.metric]
        found = figure(results, goal)
        bounds = f"{unit(goal.must)} | {unit(goal.aim)}"
        if isinstance(found, str):
            out.append(f"| {goal.what} | | | not measured | | {bounds} | {found[:90]} |")
            continue
        shown = f"**{unit(found.value)}** ({unit(found.low)} – {unit(found.high)}, n={found.nrounds})"
        times = f"{milliseconds(found.against_s)} | {milliseconds(found.entry_s)}"
        cpu = unit(found.cpu) if found.cpu is not None else ""
        out.append(f"| {goal.what} | {times} | {shown} | {cpu} | {bounds} | {verdict(goal, found.value)} |")
    return out


def cases_table(results: Results) -> list[str]:
    out = [
        "| case | contender | median | min – max | vs first | of limit | CPU | peak extra RSS | faults | n |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for case in ALL:
        limit = results.limit(case)
        best_limit = limit[0]["entry"] if limit else None
        first = results.of(case, case.contenders[0])
        for entry, taken in results.samples[case.name].items():
            if entry.startswith("roofline") and entry != best_limit:
                continue
            out.append(_row(case.name, entry, taken, first, limit))
    return out


def _row(case: str, entry: str, taken: list[Record], first: list[Record], limit: list[Record]) -> str:
    def middle(key: str) -> float | None:
        known = [sample[key] for sample in taken if sample.get(key) is not None]
        return median(known) if known else None

    times = [sample["wall_s"] for sample in taken]
    peak, cpu, faults = middle("peak_extra"), middle("cpu_s"), middle("minor_faults")
    cells = [
        case,
        entry,
        milliseconds(median(times)),
        f"{milliseconds(min(times))} – {milliseconds(max(times))}",
        f"{walls(first) / median(times):.1f}x" if first else "",
        f"{rate(taken) / rate(limit):.0%}" if limit else "",
        milliseconds(cpu),
        f"{peak / MIB:,.0f} MiB" if peak is not None else "",
        f"{faults:,.0f}" if faults is not None else "",
        str(len(times)),
    ]
    return f"| {' | '.join(cells)} |"


def heading(results: Results) -> list[str]:
    if not results.runs:
        return []
    run = results.runs[max(results.runs)]
    machine = run["machine"]
    date = f"{run['run'][:4]}-{run['run'][4:6]}-{run['run'][6:8]}"
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items() if version)
    out = [
        f"Measured {date}, commit {run['commit'] or 'unknown'}, "
        f"on {machine['ncpus']} CPUs ({machine['cpu']}), {machine['memory'] / 2**30:.0f} GiB, "
        f"{machine['system']}, Python {machine['python']}; {versions}.",
        "",
    ]
    load = results.load()
    if load > machine["ncpus"] + 1:
        # A sample keeps one or two CPUs busy by itself.
        out = [f"**Other work was running on the machine (load {load:.0f}): times are rough.**", "", *out]
    if results.foreign():
        out = [f"kio was not this checkout's but {results.foreign()}.", "", *out]
    if run["quick"]:
        out = ["**Small sizes (`--quick`): these figures only show that everything works.**", "", *out]
    if not run["adam"]:
        out = ["Files without Adam's state (`--no-adam`).", "", *out]
    return out


def limits_table(results: Results) -> list[str]:
    out = ["| this machine | GB/s | min – max |", "|---|---:|---:|"]
    for label, rates in results.limits.items():
        out.append(f"| {label} | {median(rates):.2f} | {min(rates):.2f} – {max(rates):.2f} |")
    return out


def refused_list(results: Results) -> list[str]:
    lines = [
        f"- {case}, {entry}: {reason[:300]}"
        for case, reasons in results.refused.items()
        for entry, reason in reasons.items()
    ]
    return ["", "Not reported:", "", *lines] if lines else []


def read(paths: Iterable[Path]) -> Results:
    return Results(json.loads(line) for path in paths for line in path.read_text().splitlines() if line)


def summary(results: Results) -> list[str]:
    return [*heading(results), *goals_table(results)]


def details(results: Results) -> list[str]:
    return ["", *cases_table(results), "", *limits_table(results), *refused_list(results)]


def write(results_file: Path, more: Iterable[Path] = ()) -> Path:
    """Write table.md beside the results and publish what is fit for it; returns the path of table.md."""
    results = read((results_file, *more))
    table = results_file.parent / "table.md"
    table.write_text("\n".join([*summary(results), *details(results)]) + "\n")
    text = "\n".join(summary(results))
    print(text)
    unfit = unpublishable(results)
    if unfit:
        print(f"{chart.README} is left as it is: {unfit}", file=sys.stderr)
    else:
        _update(chart.README, text)
        chart.draw(text)
    return table


def unpublishable(results: Results) -> str:
    """Why these results are no table for readers; empty if they are one."""
    if any(run["quick"] for run in results.runs.values()):
        return "the files were small (--quick)"
    if not all(run["adam"] for run in results.runs.values()):
        return "the files were without Adam's state (--no-adam)"
    if results.foreign():
        return f"kio was {results.foreign()}"
    missing = [goal.what for goal in GOALS if isinstance(figure(results, goal), str)]
    return f"not measured: {', '.join(missing)}" if missing else ""


def _update(readme: Path, table: str) -> None:
    """Replace what stands between the two markers."""
    text = readme.read_text()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{readme}: expected the markers {BEGIN} and {END}")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("results", nargs="*", type=Path, default=[OUT / "results.jsonl"])
    parser.add_argument("--text", action="store_true", help="print everything and write nothing")
    options = parser.parse_args(arguments)
    if options.text:
        results = read(options.results)
        print("\n".join([*summary(results), *details(results)]))
    else:
        write(options.results[0], options.results[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
