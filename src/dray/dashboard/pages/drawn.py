"""Charts from a series, as the macro `chart` of the templates takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dray.insight.figures import Point, Series
from dray.model.clock import SECOND

Line = dict[str, Any]
LEAST = 15.0  # seconds of a step before there is a rate to tell: workers write what they did every few seconds


def seconds(series: Series) -> list[float]:
    """The times of the points, in seconds since 1970."""
    return [point.at / SECOND for point in series.points]


def outcomes(series: Series) -> list[Line]:
    """Jobs that came to their end and runs that raised, per minute."""
    def per_minute(n: int, point: Point) -> float | None:
        over = min(series.step, (series.until - point.at) / SECOND)  # the last step is not over
        return round(n * 60 / over, 2) if over >= LEAST else None

    return [
        line("succeeded", "good", series, lambda point: per_minute(point.work.succeeded, point), fill=True),
        line("failed", "bad", series, lambda point: per_minute(point.work.failed, point)),
        line("retried", "note", series, lambda point: per_minute(point.work.retried + point.work.lost, point)),
    ]


def ran(series: Series) -> list[Line]:
    """How long functions ran, in seconds."""
    return [
        line("p50", "p50", series, lambda point: point.run.p50), line("p95", "p95", series, lambda point: point.run.p95),
    ]  # fmt: skip


def waited(series: Series) -> list[Line]:
    """How long jobs waited, in seconds."""
    return [
        line("p50", "p50", series, lambda point: point.wait.p50), line("p95", "p95", series, lambda point: point.wait.p95),
    ]  # fmt: skip


def depths(series: Series) -> list[Line]:
    """How many jobs were there."""
    return [
        line("ready", "depth", series, lambda point: None if point.depth is None else point.depth.ready, fill=True),
        line("running", "running", series, lambda point: None if point.depth is None else point.depth.running),
    ]


def line(label: str, kind: str, series: Series, value: Callable[[Point], float | None], *, fill: bool = False) -> Line:
    """One line. `kind` gives it its colour."""
    drawn: Line = {"label": label, "kind": kind, "values": [value(point) for point in series.points]}
    return {**drawn, "fill": True} if fill else drawn
