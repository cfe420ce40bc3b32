"""Figures, as a table and as JSON."""

from __future__ import annotations

import json
import platform
import sqlite3
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Figure:
    """One measurement. `floor`: what the bare engine gives in the same run. `bar`: what it must reach, as text."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    bar: str = ""
    ok: bool | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over floor."""
        return None if not self.floor else self.value / self.floor


@dataclass
class Report:
    """All figures of a run."""

    figures: list[Figure] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        """Keep it, and print it at once."""
        self.figures.append(figure)
        floor = "" if figure.floor is None else f"   bare {number(figure.floor)} {figure.unit}, ratio {figure.ratio:.2f}"
        mark = {True: "ok  ", False: "MISS", None: "    "}[figure.ok]
        bar = f"   bar {figure.bar}" if figure.bar else ""
        note = f"   ({figure.note})" if figure.note else ""
        print(f"{mark} {figure.name:<58} {number(figure.value):>10} {figure.unit:<9}{floor}{bar}{note}", flush=True)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        machine = {
            "python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version, "platform": platform.platform(),
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }  # fmt: skip
        rows = [asdict(figure) | {"ratio": figure.ratio} for figure in self.figures]
        path.write_text(json.dumps({"machine": machine, "figures": rows}, indent=1) + "\n", encoding="utf-8")


def number(value: float) -> str:
    """Three digits that matter, thousands with a comma."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
