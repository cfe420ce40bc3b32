"""Schedules that do not fire, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dray.doctor.finding import Finding, note, ok, wrong
from dray.errors import ConfigurationError
from dray.facts import knows
from dray.model.clock import SECOND
from dray.model.schedule import parse_trigger
from dray.store.values import NodeInfo, ScheduleRow
from dray.wording import count, span, when

OVERDUE = 60 * SECOND
AHEAD = 60 * SECOND


def examine_schedules(
    rows: Sequence[ScheduleRow], now: int, live: Sequence[NodeInfo], app_tasks: Collection[str] | None
) -> list[Finding]:
    """The findings about all schedules of a store."""
    found = [finding for row in rows for finding in _examine(row, now, live, app_tasks)]
    if rows and not any(finding.level == "wrong" for finding in found):
        found.append(ok("schedules", f"{count(len(rows), 'schedule')}, all as they should be."))
    return found


def _examine(row: ScheduleRow, now: int, live: Sequence[NodeInfo], app_tasks: Collection[str] | None) -> list[Finding]:
    found = []
    try:
        parse_trigger(row.spec, row.tz)
    except ConfigurationError as error:
        fix = "Put it anew with a line that this version reads, or install the zone (pip install tzdata)."
        return [wrong("schedule-unreadable", f"Schedule {row.name} cannot be read here: {error}", fix)]
    if row.paused:
        message = f"Schedule {row.name} is paused since {when(row.paused, now)}."
        found.append(note("schedule-paused", message, "Resume it when it should fire again.", f"dray schedules resume {row.name}"))
    elif row.last > now + AHEAD:
        message = f"Schedule {row.name} is decided up to {when(row.last, now)}, which lies in the future: the clock was set back."
        again = "restart a worker, which puts it anew" if row.origin == "code" else "put it anew (app.schedules.put)"
        fix = f"It fires again in {span(now, row.last)}, so that no time fires twice; to have it at once, remove it and {again}."
        found.append(wrong("schedule-clock", message, fix, f"dray schedules remove {row.name}"))
    elif row.next < now - OVERDUE:
        never = "has never fired and " if row.fired is None else ""
        message = f"Schedule {row.name} {never}was to fire at {when(row.next, now)}."
        fix = "The live workers should have fired it: look at their logs, restart them." if live else "Start a worker."
        found.append(wrong("schedule-overdue", message, fix, None if live else "dray worker TARGET"))
    lost = bool(live) and not any(knows(node, row.task) for node in live)
    if lost or (app_tasks is not None and row.task not in app_tasks):
        message = f"Schedule {row.name} fires the task {row.task}, which {'no live worker' if lost else 'the app'} knows."
        found.append(wrong("schedule-task", message, "Remove it or bring the task back.", f"dray schedules remove {row.name}"))
    if row.missed and not row.paused:
        ticks = count(row.missed, "tick")
        found.append(note("schedule-missed", f"Schedule {row.name} has been late for {ticks} so far (no worker was alive then)."))
    return found
