"""One run over one store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.report import Figure, Report


@dataclass
class Run:
    """What a benchmark is given. `ground`: the store to measure, with the bare engine under it. `quick`: a tenth will do."""

    report: Report
    ground: Any
    quick: bool

    def add(
        self, name: str, value: float, unit: str, *, floor: float | None = None, bar: str = "", ok: bool | None = None,
        note: str = "", rival: float | None = None,
    ) -> None:  # fmt: skip
        """Report a figure of this store."""
        self.report.add(Figure(name, value, unit, floor, bar, ok, note, rival, self.ground.name))

    def common(self, name: str, value: float, unit: str, *, bar: str = "", ok: bool | None = None, note: str = "") -> None:
        """Report a figure that has nothing to do with the store."""
        self.report.add(Figure(name, value, unit, bar=bar, ok=ok, note=note))

    def of(self, many: int, least: int = 0) -> int:
        """How many to do: `many`, or a tenth of it."""
        return max(least, many // 10) if self.quick else many
