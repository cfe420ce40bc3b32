"""Sentry: errors of jobs, traces of where they are enqueued and run, check-ins of schedules. Needs the extra `sentry`.

    sentry_sdk.init(dsn=…, traces_sample_rate=0.1)
    dray.integrations.sentry.instrument(app)
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

from dray.context import JobContext
from dray.errors import ConfigurationError
from dray.model.ids import to_text
from dray.model.job import JobOptions, NewJob
from dray.model.outcome import Interrupted, Outcome, Raised, Returned, Snoozed, Suspended
from dray.observe.log import get_logger
from dray.observe.sending import Observer, kept, with_trace
from dray.store.values import ScheduleRow

log = get_logger("sentry")

SYSTEM = "dray"
TRACE, BAGGAGE = "sentry-trace", "baggage"
OUR_BAGGAGE = "sentry-baggage"  # under this name with the job: `baggage` is OpenTelemetry's
UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))  # of intervals that Sentry can watch
MARGIN = 5  # minutes that a run of a schedule may be late


class Declared(Protocol):
    """The schedules that the code declares, by name."""

    declared: dict[str, ScheduleRow]


class Host(Protocol):
    """What is needed of an app."""

    observers: list[Observer]
    middleware: tuple[Callable[[JobContext], Generator[None, Outcome, None]], ...]

    @property
    def schedules(self) -> Declared: ...


def instrument(app: Host, *, every_attempt: bool = False, monitors: bool = True) -> Sentry:
    """Report to Sentry what goes wrong in this app's jobs; done twice it is done once. `sentry_sdk.init` is the application's.

    `every_attempt`: also errors after which the job is tried again; by default only what makes it fail for good. `monitors`: send
    a check-in for each run of a schedule, to the monitor of the schedule's name. Those of schedules that the code declares are
    made by the first one. Raises ConfigurationError without sentry-sdk.
    """
    try:
        import sentry_sdk
    except ImportError:
        raise ConfigurationError("Reports to Sentry need the package sentry-sdk: pip install 'dray[sentry]'.") from None
    for observer in app.observers:
        if isinstance(observer, Sentry):
            return observer
    found = Sentry(app, sentry_sdk, every_attempt, monitors)
    app.observers.append(found)
    app.middleware = (found.running, *app.middleware)
    return found


class Sentry:
    """An observer of an app, and a middleware of its runs. What the SDK raises costs a report, never a job."""

    def __init__(self, app: Host, sdk: ModuleType, every_attempt: bool, monitors: bool) -> None:
        self._app = app
        self._sdk = sdk
        self._every_attempt = every_attempt
        self._monitors = monitors

    # -- where jobs are enqueued

    @contextlib.contextmanager
    def sending(self, jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
        """Of the protocol `Observer`: a span `queue.publish` in the transaction that is going on, if there is one."""
        if self._sdk.get_current_span() is None:
            yield with_trace(jobs, found) if (found := self._headers()) else jobs
            return
        tasks, queues = {job.task for job in jobs}, {job.queue for job in jobs}
        with self._sdk.start_span(op="queue.publish", name=one(tasks) or f"{len(jobs)} jobs") as span:
            span.set_data("messaging.system", SYSTEM)
            if queue := one(queues):
                span.set_data("messaging.destination.name", queue)
            if len(jobs) == 1:
                span.set_data("messaging.message.id", to_text(jobs[0].id))
            span.set_data("messaging.message.body.size", sum(len(job.args) for job in jobs))
            yield with_trace(jobs, found) if (found := self._headers()) else jobs

    def _headers(self) -> dict[str, str]:
        trace, baggage = self._sdk.get_traceparent(), self._sdk.get_baggage()
        return {name: value for name, value in ((TRACE, trace), (OUR_BAGGAGE, baggage)) if value}

    def flush(self, within: float = 5.0) -> None:
        """Send what waits, before the process ends."""
        self._sdk.flush(timeout=within)

    # -- where they run

    def running(self, job: JobContext) -> Generator[None, Outcome, None]:
        """A middleware: a transaction `queue.process` in a scope of its own."""
        sdk, options = self._sdk, kept(job.claimed.options)
        began = time.monotonic()
        with sdk.isolation_scope() as scope:
            scope.clear_breadcrumbs()
            scope.set_transaction_name(job.task, source="task")
            scope.set_tag("dray.task", job.task)
            scope.set_tag("dray.queue", job.queue)
            scope.set_context("dray", {"job": job.id, "attempt": job.attempt, "max_attempts": job.max_attempts, "worker": job.node})
            carried = options.trace or {}
            headers = {TRACE: carried.get(TRACE, ""), BAGGAGE: carried.get(OUR_BAGGAGE, "")}
            transaction = sdk.continue_trace(
                {name: value for name, value in headers.items() if value}, op="queue.process", name=job.task, source="task",
                origin="auto.queue.dray",
            )  # fmt: skip
            with sdk.start_transaction(transaction) as span:
                self._describe(span, job)
                self._check_in(job, options, "in_progress", first_only=True)
                outcome = yield
                final = isinstance(outcome, Raised) and (outcome.final or job.attempt >= job.max_attempts)
                span.set_status("internal_error" if isinstance(outcome, Raised) else "ok")
                if isinstance(outcome, Raised) and (final or self._every_attempt):
                    # What the function raised is being handled while the middleware is told of the outcome.
                    self._report(outcome, sys.exception(), handled=not final)
                if isinstance(outcome, Returned) or final:
                    self._check_in(job, options, "ok" if isinstance(outcome, Returned) else "error", time.monotonic() - began)
                elif not isinstance(outcome, Raised | Snoozed | Suspended | Interrupted):  # cancelled: it will not come to more
                    self._check_in(job, options, "error", time.monotonic() - began)

    def _describe(self, span: Any, job: JobContext) -> None:
        claimed = job.claimed
        span.set_data("messaging.system", SYSTEM)
        span.set_data("messaging.destination.name", job.queue)
        span.set_data("messaging.message.id", job.id)
        span.set_data("messaging.message.body.size", len(claimed.args))
        span.set_data("messaging.message.retry.count", job.attempt - 1)
        span.set_data("messaging.message.receive.latency", max(0.0, (claimed.started - claimed.due) / 1000))  # milliseconds

    def _report(self, outcome: Raised, error: BaseException | None, *, handled: bool) -> None:
        try:
            if error is not None:
                from sentry_sdk.utils import event_from_exception

                options = self._sdk.get_client().options
                event, hint = event_from_exception(
                    error, client_options=options, mechanism={"type": "dray", "handled": handled}
                )  # fmt: skip
                self._sdk.capture_event(event, hint=hint)
                return
            # There is none where a run took too long: it was ended from outside.
            told = {"type": outcome.error.type, "value": outcome.error.message, "mechanism": {"type": "dray", "handled": handled}}
            self._sdk.capture_event({"level": "error", "exception": {"values": [told]}})
        except Exception:
            log.exception("an error could not be reported to Sentry")

    def _check_in(
        self, job: JobContext, options: JobOptions, status: str, duration: float | None = None, *, first_only: bool = False
    ) -> None:
        name = options.schedule
        if not self._monitors or name is None or (first_only and job.attempt > 1):
            return
        row = self._app.schedules.declared.get(name)
        try:
            self._sdk.crons.capture_checkin(
                monitor_slug=slug(name), check_in_id=job.claimed.id.hex(), status=status, duration=duration,
                monitor_config=None if row is None else config(row),
            )  # fmt: skip
        except Exception:
            log.exception("the check-in of schedule %s could not be sent", name)


def slug(name: str) -> str:
    """The name of the monitor of a schedule: small letters, digits, hyphens and underscores, at most 50.

    >>> slug("shop.jobs.Weekly_Report")
    'shop-jobs-weekly_report'
    """
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")[:50] or "schedule"


def config(row: ScheduleRow) -> Mapping[str, Any] | None:
    """When Sentry should expect the schedule's runs; None for what it cannot watch: seconds, and uneven intervals."""
    from dray.model.duration import seconds

    if row.spec.startswith("every "):
        length = seconds(row.spec.removeprefix("every "), "the interval")
        for unit, size in UNITS:
            if length >= size and length % size == 0:
                schedule: dict[str, Any] = {"type": "interval", "value": int(length // size), "unit": unit}
                break
        else:
            return None
    elif len(row.spec.split()) == 5:
        schedule = {"type": "crontab", "value": row.spec}
    else:
        return None
    return {"schedule": schedule, "timezone": row.tz, "checkin_margin": MARGIN}


def one(names: set[str]) -> str | None:
    """The only one."""
    return next(iter(names)) if len(names) == 1 else None
