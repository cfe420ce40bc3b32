"""Overview: how things are, in a sentence, in figures, in charts."""

from __future__ import annotations

from msgspec import Struct
from starlette.responses import Response

from dray.dashboard.page import Ask, get
from dray.dashboard.pages import drawn
from dray.insight.figures import Series
from dray.insight.place import Overview
from dray.store.values import QueueInfo

MOST = 6  # rows of each small table
LEAST = 20  # jobs with which a comparison begins to say something
MOST_CHANGE = 3.0  # parts of one: what is so much more has only begun


@get("/")
def overview(ask: Ask) -> Response:
    """Everything at a glance."""
    insight, hours = ask.insight, ask.hours()
    now = insight.overview()
    series = insight.series(hours)
    failing = [task for task in insight.tasks(hours) if task.failing]
    failing.sort(key=lambda task: -task.work.failed - task.work.retried)
    coming = sorted((row for row in now.schedules if row.paused is None and row.next), key=lambda row: row.next)
    return ask.page(
        "overview.html", at=now, hours=hours, series=series, drawn=drawn, change=change(series), busiest=busiest(now),
        failing=failing[:MOST], coming=coming[:MOST], workers=[node for node in now.workers if node.alive][:MOST],
        alive=sum(node.alive for node in now.workers), use=insight.use(0.25), trends=trends(series),
    )  # fmt: skip


def busiest(now: Overview) -> list[QueueInfo]:
    """The queues with the most to do."""
    def load(queue: QueueInfo) -> int:
        return queue.counts.get("ready", 0) + queue.counts.get("running", 0)

    return sorted(now.queues, key=lambda queue: (-load(queue), -queue.counts.get("scheduled", 0), queue.name))[:MOST]


class Change(Struct, frozen=True):
    """How the second half of a series compares with its first: parts of one, None where there is nothing to compare."""

    done: float | None
    failed: float | None


def change(series: Series) -> Change:
    """How things go, compared with before. The last step is not over yet and does not count."""
    points = series.points[:-1]
    half = len(points) // 2
    before, after = points[len(points) - 2 * half : len(points) - half], points[len(points) - half :]

    def part(one: int, two: int) -> float | None:
        change = (two - one) / one if one >= LEAST else None
        return change if change is not None and abs(change) <= MOST_CHANGE else None

    return Change(
        part(sum(point.work.succeeded for point in before), sum(point.work.succeeded for point in after)),
        part(sum(point.work.failed for point in before), sum(point.work.failed for point in after)),
    )


TREND = 40  # points of the small line in a tile


def trends(series: Series) -> dict[str, list[float]]:
    """The small lines of the tiles, by their name."""
    points = series.points[:-1][-TREND:]
    return {
        "done": [point.work.succeeded for point in points],
        "failed": [point.work.failed for point in points],
        "waiting": [0 if point.depth is None else point.depth.ready for point in points],
        "running": [0 if point.depth is None else point.depth.running for point in points],
        "wait": [point.wait.p95 or 0 for point in points],
        "run": [point.run.p95 or 0 for point in points],
    }


DOORS = (overview,)
