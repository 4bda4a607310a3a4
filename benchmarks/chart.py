"""The chart of a run: how many times faster than the contender that the table names, and
how much memory a load takes beyond what the process had."""

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no display is needed

import matplotlib.pyplot as plt

from benchmarks.cases import GOALS, MIB
from benchmarks.report import Figure, Results, figure

KIO, STOCK, BOUND = "#1f6f8b", "#c9c9c9", "#333333"


def draw(results: Results, path: Path) -> None:
    """Write a PNG; nothing is drawn for goals that were not measured."""
    speed, memory = _speedups(results), _memory(results)
    if not speed and not memory:
        return
    rows = max(len(speed), 2 * len(memory), 3)
    plot, (left, right) = plt.subplots(1, 2, figsize=(13, 1.4 + 0.45 * rows), width_ratios=(3, 2), layout="constrained")
    _draw_speedups(left, speed)
    _draw_memory(right, memory)
    if any(run["quick"] for run in results.runs.values()):
        plot.suptitle("--quick: small sizes, these figures only show that everything works", color="firebrick")
    plot.savefig(path, dpi=150)
    plt.close(plot)


def _speedups(results: Results) -> list[tuple[Any, Figure]]:
    found = [(goal, figure(results, goal)) for goal in GOALS if goal.metric == "speedup"]
    return [(goal, value) for goal, value in found if isinstance(value, Figure)]


def _memory(results: Results) -> list[tuple[str, float, dict[str, float]]]:
    """(name, MiB of the variables, MiB of extra peak by contender) of each load."""
    out = []
    for goal in GOALS:
        if goal.metric != "extra":
            continue
        peaks = {}
        for entry in ("keras", "kio"):
            taken = [sample for sample in results.of(goal.case, entry) if sample["peak_extra"] is not None]
            if taken:
                peaks[entry] = median(sample["peak_extra"] for sample in taken) / MIB
                nbytes = taken[0]["nbytes"] / MIB
        if "kio" in peaks:
            out.append((f"{goal.case.op}, {goal.case.backend}", nbytes, peaks))
    return out


def _draw_speedups(axes: Any, speed: list[tuple[Any, Figure]]) -> None:
    for place, (goal, value) in enumerate(speed):
        spread = [[max(0, value.value - value.low)], [max(0, value.high - value.value)]]
        axes.barh(place, value.value, color=KIO, height=0.6)
        axes.errorbar(value.value, place, xerr=spread, color=BOUND, capsize=2, linewidth=1)
        axes.plot([goal.must] * 2, [place - 0.4, place + 0.4], color=BOUND, linewidth=1.5)
        axes.plot([goal.aim] * 2, [place - 0.4, place + 0.4], color=BOUND, linewidth=1.5, linestyle=":")
        beyond = max(value.value, value.high, goal.aim) * 1.1  # clear of the marks
        axes.text(beyond, place, f"{value.value:.1f}x", va="center", fontsize=9)
    axes.set_yticks(range(len(speed)), [goal.what.replace("`", "") for goal, _ in speed], fontsize=9)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}x")
    axes.set_xlim(left=0.5)
    axes.axvline(1, color=STOCK, zorder=0)
    axes.margins(x=0.2)
    axes.set_xlabel("times faster (log scale; whiskers: single rounds; | must, dotted: aim)")
    axes.set_title("kio against stock Keras, or the contender named", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_memory(axes: Any, memory: list[tuple[str, float, dict[str, float]]]) -> None:
    for place, (_, nbytes, peaks) in enumerate(memory):
        for shift, entry, color in ((-0.2, "keras", STOCK), (0.2, "kio", KIO)):
            if entry in peaks:
                axes.barh(place + shift, peaks[entry], height=0.38, color=color)
                axes.text(peaks[entry], place + shift, f" {peaks[entry]:,.0f}", va="center", fontsize=9)
        axes.plot([nbytes] * 2, [place - 0.45, place + 0.45], color=BOUND, linestyle=":")
    axes.set_yticks(range(len(memory)), [name for name, _, _ in memory], fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("MiB (dotted: the variables)")
    axes.set_title("Peak extra: stock grey, kio blue", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
