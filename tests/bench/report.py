"""What was measured: as a table, as JSON, and as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

COLOURS = {
    "loaders": "#9aa5b1",
    "PostGraphile 5": "#d98e04",
    "compiled": "#1f6feb",
    "all off": "#79b8ff",
    "limit": "#d0d7de",
}

Results = dict[str, dict[str, dict[str, float]]]
"""By case and server: rate, latency, CPU of server and database per request in ms, statements, kilobytes."""


def table(results: Results) -> Iterator[str]:
    """Lines of medians, a case at a time."""
    names = ("req/s", 10), ("median ms", 11), ("of limit", 10), ("of off", 8), ("x peer", 8), ("x before", 10)
    names += ("server ms", 11), ("database ms", 13), ("stmts", 7)
    head = "".join(f"{name:>{width}}" for name, width in names)
    yield f"{'':22}{head}"
    for case, servers in results.items():
        yield case
        limit = servers.get("limit", {}).get("rate", math.nan)
        off = servers.get("all off", {}).get("rate", math.nan)
        peer = servers.get("PostGraphile 5", {}).get("rate", math.nan)
        before = servers.get("before", {}).get("rate", math.nan)
        for name, one in servers.items():
            ratios = f"{one['rate'] / limit:10.2f}{one['rate'] / off:8.2f}{one['rate'] / peer:8.2f}"
            ratios += f"{one['rate'] / before:10.2f}"
            costs = f"{one['server_ms']:11.2f}{one['database_ms']:13.2f}{one['statements']:7.0f}"
            yield f"  {name:20}{one['rate']:10.1f}{one['latency']:11.2f}{ratios}{costs}"


def write(folder: Path, results: dict[str, Results], about: dict[str, Any]) -> None:
    """Writes ``bench.json`` and ``bench.svg``: what was measured by the database's indexes."""
    folder.joinpath("bench.json").write_bytes(
        orjson.dumps({"about": about, "results": results}, option=orjson.OPT_INDENT_2) + b"\n"
    )
    folder.joinpath("bench.svg").write_text(picture(results))


def picture(found: dict[str, Results]) -> str:
    """Bars of requests per second for each case and database, on a logarithmic scale."""
    results = {(title, case): servers for title, cases in found.items() for case, servers in cases.items()}
    width, left, bar, gap = 900, 150, 14, 18
    names = [name for name in COLOURS if any(name in servers for servers in results.values())]
    rates = [one["rate"] for servers in results.values() for one in servers.values() if one["rate"]]
    least = 10 ** math.floor(math.log10(min(rates)))
    most = 10 ** math.ceil(math.log10(max(rates)))

    def along(rate: float) -> float:
        return (width - left - 90) * math.log10(max(rate, least) / least) / math.log10(most / least)

    parts: list[str] = []
    top = 70
    before = ""
    for (title, case), servers in results.items():
        if title != before:
            parts.append(_text(left, top + 4, f"With {title}", "start", "600"))
            before, top = title, top + 20
        shown = [name for name in names if name in servers]
        parts.append(_text(left - 12, top + len(shown) * bar / 2 + 4, case, "end", "600"))
        for name in shown:
            length = max(along(servers[name]["rate"]), 1)
            parts.append(f'<rect x="{left}" y="{top}" width="{length:.1f}" height="{bar - 2}" fill="{COLOURS[name]}"/>')
            parts.append(_text(left + length + 6, top + bar - 4, _rate(servers[name]["rate"])))
            top += bar
        top += gap
    legend = "".join(
        f'<rect x="{left + place * 150}" y="34" width="12" height="12" fill="{COLOURS[name]}"/>'
        + _text(left + place * 150 + 18, 44, name)
        for place, name in enumerate(names)
    )
    heading = _text(left, 20, "Requests per second, 16 connections, one worker each; logarithmic", "start", "600")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="{top}" fill="#ffffff"/>{heading}{legend}{"".join(parts)}</svg>\n'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "400") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="#24292f">{text}</text>'


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """By how much the second value grows for each unit of the first: least squares."""
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread
