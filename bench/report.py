"""Figures, as lines, as one table and as JSON."""

from __future__ import annotations

import json
import platform
import sqlite3
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Figure:
    """One measurement. `floor`: what the bare engine gives in the same run. `rival`: what PgQueuer does. `bar`: what it must reach,
    as text. `store`: where it was measured; empty for what has nothing to do with a store."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    bar: str = ""
    ok: bool | None = None
    note: str = ""
    rival: float | None = None
    store: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over floor."""
        return None if not self.floor else self.value / self.floor

    @property
    def lead(self) -> float | None:
        """Value over rival."""
        return None if not self.rival else self.value / self.rival


@dataclass
class Report:
    """All figures of a run, and where it was made."""

    figures: list[Figure] = field(default_factory=list)
    machine: dict[str, object] = field(default_factory=dict)

    def add(self, figure: Figure) -> None:
        """Keep it, and print it at once."""
        self.figures.append(figure)
        floor = "" if figure.ratio is None else f"   bare {number(figure.floor)} {figure.unit}, ratio {figure.ratio:.2f}"
        rival = "" if figure.lead is None else f"   PgQueuer {number(figure.rival)}, ratio {figure.lead:.2f}"
        mark = MARKS[figure.ok]
        bar = f"   bar {figure.bar}" if figure.bar else ""
        note = f"   ({figure.note})" if figure.note else ""
        print(f"{mark:4} {figure.name:<58} {number(figure.value):>10} {figure.unit:<9}{floor}{rival}{bar}{note}", flush=True)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        machine = {
            "python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version, "platform": platform.platform(),
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **self.machine,
        }  # fmt: skip
        rows = [asdict(figure) | {"ratio": figure.ratio, "lead": figure.lead} for figure in self.figures]
        path.write_text(json.dumps({"machine": machine, "figures": rows}, indent=1) + "\n", encoding="utf-8")

    def table(self) -> str:
        """Every figure once, the stores side by side."""
        stores = list(dict.fromkeys(figure.store for figure in self.figures if figure.store))
        rivals = any(figure.rival for figure in self.figures)
        names: dict[tuple[str, str], dict[str, Figure]] = {}
        for figure in self.figures:
            row = names.setdefault((figure.name, figure.unit), {})
            row.update(dict.fromkeys(stores, figure) if not figure.store and stores else {figure.store: figure})
        head = ["what", "unit"]
        for store in stores:
            head += [store, "bare", "ratio"]
        head += ["PgQueuer", "ratio"] if rivals else []
        rows = [line(name, unit, row, stores, rivals) for (name, unit), row in names.items()]
        return drawn([[*head, "bar"], *rows])


MARKS = {True: "ok", False: "MISS", None: ""}


def line(name: str, unit: str, row: Mapping[str, Figure], stores: list[str], rivals: bool) -> list[str]:
    """The cells of one row."""
    cells = [name, unit]
    for store in stores:
        figure = row.get(store)
        if figure is None:
            cells += ["", "", ""]
        else:
            cells += [number(figure.value), number(figure.floor), "" if figure.ratio is None else f"{figure.ratio:.2f}"]
    if rivals:
        found = next((figure for figure in row.values() if figure.rival), None)
        cells += ["", ""] if found is None else [number(found.rival), f"{found.lead:.2f}"]
    bars = {}
    for store, figure in row.items():
        if figure.bar:
            bars.setdefault(f"{figure.bar} {MARKS[figure.ok]}".strip(), []).append(store)
    several = len({figure.store for figure in row.values()}) > 1
    told = [f"{', '.join(where)}: {bar}" if several else bar for bar, where in bars.items()]
    return [*cells, "; ".join(told)]


def drawn(rows: list[list[str]]) -> str:
    """Columns side by side: texts to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    last = len(widths) - 1
    lines = []
    for row in rows:
        sized = enumerate(zip(row, widths, strict=True))
        cells = [cell.ljust(width) if i in (0, 1, last) else cell.rjust(width) for i, (cell, width) in sized]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Three digits that matter, thousands with a comma."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
