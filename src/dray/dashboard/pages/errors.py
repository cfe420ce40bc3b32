"""Errors: told together by task, type and place; one of them with its newest traceback and its jobs, which `bulk` can act on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from starlette.responses import Response

from dray.dashboard.page import Ask, get
from dray.errors import UnknownJob
from dray.insight.figures import TREND, ErrorGroup
from dray.model.clock import SECOND
from dray.model.figures import HOUR
from dray.model.filter import Filter, Term
from dray.model.job import FINAL, State
from dray.search import to_text

if TYPE_CHECKING:
    from dray.insight import Insight

HOURS = 24.0
NEWEST = 20
COUNTED = 2_000  # jobs that are looked at to say how many there are, so that the page stays quick
WAITING = frozenset(State) - FINAL


class Trace(Struct, frozen=True):
    """Where an error was raised, and by which job."""

    job: str
    error: dict[str, Any]


@get("/errors")
def errors(ask: Ask) -> Response:
    """All groups."""
    hours, task = ask.hours(HOURS), ask.query("task")
    groups = ask.insight.errors(hours, task=task or None)
    return ask.page("errors.html", groups=groups, hours=hours, task=task, tasks=sorted({group.task for group in groups}))


@get("/errors/one")
def error(ask: Ask) -> Response:
    """One of them."""
    insight, hours = ask.insight, ask.hours(HOURS)
    fingerprint, task = ask.query("fingerprint"), ask.query("task")
    group = next((one for one in insight.errors(hours, task=task or None) if one.fingerprint == fingerprint), None)
    failed = failed_of(fingerprint, task)
    newest = insight.jobs(failed, limit=NEWEST).jobs
    if group is None and not newest:
        text = f"Nothing raised the error {fingerprint!r} in this time, and no job that failed of it is kept."
        return ask.problem(text, 404)
    task = task or (group.task if group is not None else newest[0].task)
    waiting = waiting_of(fingerprint, task)
    trace = newest_trace(insight, group, [job.id for job in newest])
    return ask.page(
        "error.html", group=group, trace=trace, fingerprint=fingerprint, task=task, hours=hours, newest=newest,
        failed=to_text(failed), failed_count=insight.count(failed, COUNTED), waiting=to_text(waiting),
        waiting_count=insight.count(waiting, COUNTED), times=times(ask.now, hours),
    )  # fmt: skip


def failed_of(fingerprint: str, task: str = "") -> Filter:
    """The jobs that failed of an error."""
    return Filter(states=frozenset({State.FAILED}), task=task or None, terms=(Term("fingerprint", (fingerprint,)),))


def waiting_of(fingerprint: str, task: str = "") -> Filter:
    """The jobs whose last run raised it, and that are to run again."""
    return Filter(states=WAITING, task=task or None, terms=(Term("fingerprint", (fingerprint,)),))


def newest_trace(insight: Insight, group: ErrorGroup | None, others: Sequence[str]) -> Trace | None:
    """The newest kept traceback: a job may have been retried, or be gone, since it raised."""
    for id_ in dict.fromkeys([*([group.job] if group is not None and group.job else []), *others[:3]]):
        wanted = group.fingerprint if group is not None else None
        try:
            kept = [insight.job(id_).error, *(run.error for run in reversed(insight.history(id_)))]
        except UnknownJob:
            continue
        for one in kept:
            if isinstance(one, dict) and (wanted is None or one.get("fingerprint") == wanted):
                return Trace(id_, one)
    return None


def times(now: int, hours: float) -> list[float]:
    """When the steps of a trend began, in seconds since 1970."""
    width = hours * HOUR / TREND
    return [now / SECOND - width * (TREND - n) for n in range(TREND)]


DOORS = (errors, error)
