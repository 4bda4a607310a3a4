"""The chart of the main README, drawn from the table: stock's time beside kio's, row by row.

``python -m benchmarks.chart`` draws ``benchmarks/chart.svg`` from the table in ``benchmarks/README.md``.
Each pair of bars is scaled to stock's time, so that milliseconds and seconds fit one picture.
"""

import re
import sys
from dataclasses import dataclass
from html import escape

from benchmarks import ROOT

README = ROOT / "benchmarks" / "README.md"
CHART = ROOT / "benchmarks" / "chart.svg"

# Rows of the table, and what the chart calls them.  A row that was not measured is left out.
ROWS = {
    "`load_model(.keras)`, 1 GB, torch": "load_model, .keras, 1 GB, torch",
    "`load_model(.keras)`, 1 GB, jax": "load_model, .keras, 1 GB, jax",
    "`load_model(.h5)`, 1 GB, torch": "load_model, .h5, 1 GB, torch",
    "`load_model(.h5)`, 1 GB, jax": "load_model, .h5, 1 GB, jax",
    "`load_weights(.weights.h5)`, 1 GB, torch": "load_weights, 1 GB, torch",
    "`load_weights(.weights.h5)`, 1 GB, jax": "load_weights, 1 GB, jax",
    "`load_weights(.weights.h5)`, 12,000 small variables, torch": "load_weights, 12,000 variables, torch",
    "`load_weights(.weights.h5)`, 12,000 small variables, jax": "load_weights, 12,000 variables, jax",
    "`save_model(.keras)`, 1 GB, torch, vs stock with": "save_model, .keras, 1 GB, fsync, torch",
    "`save_model(.keras)`, 1 GB, jax, vs stock with": "save_model, .keras, 1 GB, fsync, jax",
}
_WIDTH, _LEFT, _BAR, _ROW, _TOP = 880, 300, 380, 44, 86
_STOCK, _KIO, _INK, _PALE = "#b8bec6", "#1f6f8b", "#1f2328", "#59636e"


@dataclass(frozen=True)
class Pair:
    """One row: stock's time and kio's in milliseconds, and their ratio as the table has it."""

    name: str
    stock_ms: float
    kio_ms: float
    ratio: str


def pairs(table: str) -> list[Pair]:
    """The rows of a table in Markdown that the chart shows, in the chart's order."""
    found = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] not in ROWS:
            continue
        stock, kio, ratio = _milliseconds(cells[1]), _milliseconds(cells[2]), re.match(r"\*\*([\d.]+x)\*\*", cells[3])
        if stock and kio and ratio:
            found[cells[0]] = Pair(ROWS[cells[0]], stock, kio, ratio[1])
    return [found[row] for row in ROWS if row in found]


def _milliseconds(cell: str) -> float | None:
    match = re.fullmatch(r"([\d,.]+) ms", cell)
    return float(match[1].replace(",", "")) if match else None


def measured(table: str) -> str:
    """When and where, in the words of the table's heading."""
    match = re.search(r"Measured ([\d-]+), commit (\w+), on (\d+ CPUs)", table)
    if match is None:
        return ""
    days = sorted(set(re.findall(r"[Mm]easured ([\d-]+)", table)))
    when = f"{days[0]}, commit {match[2]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"Measured {when}, on {match[3]}."


def svg(table: str) -> str:
    """The chart as SVG, without outside fonts or scripts.

    Raises:
        ValueError: if the table has none of the rows.
    """
    rows = pairs(table)
    if not rows:
        raise ValueError("chart: the table has none of the rows that the chart shows")
    height = _TOP + _ROW * len(rows) + 34
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        ' font-family="-apple-system, Segoe UI, Helvetica, Arial, sans-serif" role="img">',
        "<title>Time of stock Keras and of kio, row by row</title>",
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
        _text(24, 34, "Stock Keras and kio: the same call, the same file, the same values", 17, weight=600),
        _text(24, 58, "Shorter is faster. Each pair is scaled to the time of stock Keras.", 13, _PALE),
        *_legend(_WIDTH - 180, 53),
    ]
    for place, pair in enumerate(rows):
        out += _bars(_TOP + _ROW * place, pair)
    out += [_text(24, height - 16, measured(table), 12, _PALE), "</svg>"]
    return "\n".join(out) + "\n"


def _bars(top: float, pair: Pair) -> list[str]:
    longest = max(pair.stock_ms, pair.kio_ms)
    stock, kio = (max(2.0, _BAR * ms / longest) for ms in (pair.stock_ms, pair.kio_ms))
    return [
        _text(_LEFT - 14, top + 21, pair.name, 13, anchor="end"),
        f'<rect x="{_LEFT}" y="{top}" width="{stock:.1f}" height="14" fill="{_STOCK}"/>',
        f'<rect x="{_LEFT}" y="{top + 16}" width="{kio:.1f}" height="14" fill="{_KIO}"/>',
        _text(_LEFT + stock + 8, top + 11.5, _time(pair.stock_ms), 12, _PALE),
        _text(_LEFT + kio + 8, top + 27.5, _time(pair.kio_ms), 12),
        _text(_WIDTH - 24, top + 21, pair.ratio, 16, _KIO, anchor="end", weight=600),
    ]


def _legend(x: float, y: float) -> list[str]:
    return [
        f'<rect x="{x}" y="{y - 6}" width="12" height="12" fill="{_STOCK}"/>',
        _text(x + 18, y + 4.5, "stock Keras", 12, _PALE),
        f'<rect x="{x + 106}" y="{y - 6}" width="12" height="12" fill="{_KIO}"/>',
        _text(x + 124, y + 4.5, "kio", 12, _PALE),
    ]


def _time(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"


def _text(
    x: float, y: float, text: str, points: int, fill: str = _INK, anchor: str = "start", weight: int = 400
) -> str:
    style = f'font-size="{points}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def draw(table: str) -> None:
    """Write the chart of a table."""
    CHART.write_text(svg(table), encoding="utf-8")


if __name__ == "__main__":
    draw(README.read_text(encoding="utf-8"))
    sys.exit(0)
