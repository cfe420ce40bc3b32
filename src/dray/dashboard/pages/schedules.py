"""Schedules: when they fire, what they fired; run now, pause, resume, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from starlette.responses import Response

from dray.dashboard.page import Ask, get, post
from dray.dashboard.pages import calendar
from dray.dashboard.pages.narrow import narrow
from dray.dashboard.settings import Role
from dray.errors import ConfigurationError
from dray.facts import knows
from dray.model.clock import SECOND
from dray.model.filter import Filter
from dray.model.schedule import parse_trigger
from dray.search import to_text
from dray.wording import readable

if TYPE_CHECKING:
    from dray.store.values import NodeInfo, ScheduleRow

NEXT = 10
NEWEST = 20
LATE = 60.0  # seconds past its time until a schedule is called late

CATCH_UP = {
    "skip": "times that were missed are not made up for", "one": "of the times that were missed, the newest is made up for",
    "all": "every time that was missed is made up for",
}  # fmt: skip
OVERLAP = {
    "skip": "not fired while an earlier job of it is unfinished", "allow": "fired whatever else runs",
    "queue": "one job waits for the earlier one to end", "cancel": "an earlier job is cancelled first",
}  # fmt: skip


class Line(Struct, frozen=True):
    """One schedule, for the table."""

    row: ScheduleRow
    described: str
    next: tuple[calendar.Tick, ...]
    late: float | None  # seconds past its time, if it should have fired by now
    orphan: bool  # no live worker has the task's code

    @property
    def marked(self) -> calendar.Tick | None:
        """The first of the next times at which the clocks do something."""
        return next((tick for tick in self.next if tick.mark), None)


def line(row: ScheduleRow, now: int, nodes: list[NodeInfo]) -> Line:
    """What the table says of one."""
    try:
        described, ahead = parse_trigger(row.spec, row.tz).describe(), calendar.upcoming(row, NEXT, now)
    except ConfigurationError as error:  # written by another version, or the zone is not installed here
        described, ahead = str(error), ()
    behind = (now - row.next) / SECOND if row.next and row.paused is None else 0.0
    alive = [node for node in nodes if node.alive]
    orphan = bool(alive) and not any(knows(node, row.task) for node in alive)
    return Line(row, described, ahead, behind if behind > LATE else None, orphan)


@get("/schedules")
def schedules(ask: Ask) -> Response:
    """All of them, and a week ahead."""
    rows, nodes = ask.insight.schedules(), ask.insight.workers()
    zones = sorted({"UTC", *(row.tz for row in rows)}, key=lambda zone: (zone != "UTC", zone))
    tz = ask.query("tz") if ask.query("tz") in zones else "UTC"
    cut = narrow(rows, ask.query("q"), lambda row: f"{row.name} {row.task}")
    lines = [line(row, ask.now, nodes) for row in cut.rows]
    known = [row for row in rows if calendar.readable(row)]
    week = calendar.week(known, tz, ask.now) if known else None
    return ask.page("schedules.html", cut=cut, lines=lines, zones=zones, tz=tz, week=week)


@get("/schedules/one")
def schedule(ask: Ask) -> Response:
    """One of them."""
    row = ask.insight.schedule(ask.query("name"))
    search = Filter(schedule=row.name)
    return ask.page(
        "schedule.html", line=line(row, ask.now, ask.insight.workers()), row=row, args=ask.house.redactor.value(readable(row.args)),
        options=_options(row), search=to_text(search), newest=ask.insight.jobs(search, limit=NEWEST).jobs,
        catch_up=CATCH_UP.get(row.catch_up, row.catch_up), overlap=OVERLAP.get(row.overlap, row.overlap),
    )  # fmt: skip


def _options(row: ScheduleRow) -> dict[str, Any]:
    kept = readable(row.options)
    tags = readable(row.tags.encode()) if row.tags else None
    own = {key: one for key, one in kept.items() if one is not None and key != "schedule"} if isinstance(kept, dict) else {}
    return {**own, "tags": ", ".join(map(str, tags))} if tags else own


@post("/schedules/run")
def run(ask: Ask) -> Response:
    """Enqueue its job now."""
    name = ask.field("name")
    if page := ask.unsure(f"Run {name} now?", "Run it now", detail="Its job is enqueued at once, beside its times."):
        return page
    return ask.go(f"jobs/{ask.insight.run_schedule(name)}", f"A job of the schedule {name} is enqueued.")


@post("/schedules/pause")
def pause(ask: Ask) -> Response:
    """It does not fire."""
    name = ask.field("name")
    if page := ask.unsure(f"Pause the schedule {name}?", "Pause it", detail="It does not fire until somebody resumes it."):
        return page
    ask.insight.pause_schedule(name)
    return ask.back(f"The schedule {name} is paused.", otherwise="schedules")


@post("/schedules/resume")
def resume(ask: Ask) -> Response:
    """It fires again."""
    name = ask.field("name")
    ask.insight.resume_schedule(name)
    return ask.back(f"The schedule {name} goes on; what fell into the pause is not made up for.", otherwise="schedules")


@post("/schedules/remove", role=Role.ALL)
def remove(ask: Ask) -> Response:
    """Forget it."""
    row = ask.insight.schedule(ask.field("name"))
    comes_back = "It is declared in the code, and comes back with the next start of a worker; to stop it, pause it."
    detail = comes_back if row.origin == "code" else "Jobs that it fired stay."
    if page := ask.unsure(f"Remove the schedule {row.name}?", "Remove it", detail=detail):
        return page
    ask.insight.remove_schedule(row.name)
    return ask.go("schedules", f"The schedule {row.name} is removed.{' ' + comes_back if row.origin == 'code' else ''}")


DOORS = (schedules, schedule, run, pause, resume, remove)
