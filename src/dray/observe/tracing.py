"""Traces for OpenTelemetry: a span where a job is enqueued, one for each of its runs, and the way from one to the other.

Needs the extra `otel`, and a tracer provider of the application's (or of `opentelemetry-instrument`). Names and attributes are
those of the semantic conventions for messaging. Switched on by `instrument(app)`, or by DRAY_TRACING=1 without touching the code.
"""

from __future__ import annotations

import contextlib
import functools
import re
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from dray.config import settings
from dray.context import JobContext
from dray.errors import ConfigurationError
from dray.model.ids import to_text
from dray.model.job import NewJob
from dray.model.outcome import Cancelled, Interrupted, Outcome, Raised, Returned, Snoozed, Suspended
from dray.observe import log as logs
from dray.observe.sending import Observer, kept, with_trace
from dray.store.protocol import Store
from dray.version import __version__

log = logs.get_logger("tracing")

SYSTEM = "dray"
HOUR = 3600.0  # seconds after which a run is no longer shown as a part of what enqueued it: nobody looks at such a trace
MODES = ("parent", "link")
#: Beside the W3C headers: the job was one of many that were enqueued together.
BATCH = "batch"
PARENT = "traceparent"
USUAL = re.compile("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
TRACE_CONTEXT = {"traceparent", "tracestate", "baggage"}  # what the propagator writes that is the default
WORDS: dict[type[Any], str] = {
    Returned: "returned", Raised: "raised", Snoozed: "snoozed", Cancelled: "cancelled", Suspended: "suspended",
    Interrupted: "interrupted",
}  # fmt: skip


class Host(Protocol):
    """What is needed of an app."""

    observers: list[Observer]
    middleware: tuple[Callable[[JobContext], Generator[None, Outcome, None]], ...]

    @property
    def store(self) -> Store: ...


def instrument(app: Host, *, tracer_provider: Any = None, trace_mode: str | None = None) -> Tracing:
    """Trace what is enqueued by `app` and what is run of it in this process; done twice it is done once.

    `tracer_provider`: default is the global one, asked for when the first span begins. `trace_mode`: "parent" (default, setting
    `trace_mode`) makes the span of a run a child of the one that enqueued the job, and links the two; "link" only links them, as
    is done in any case for jobs of a batch and those that waited for more than an hour. What was enqueued in a trace that is not
    sampled is run without a span if the sampler goes by the parent, as the default one does. Raises ConfigurationError.
    """
    api = opentelemetry()
    mode = trace_mode or str(settings()["trace_mode"].value)
    if mode not in MODES:
        raise ConfigurationError(f"trace_mode is {mode!r}: use {' or '.join(MODES)}.")
    for observer in app.observers:
        if isinstance(observer, Tracing):
            return observer
    found = Tracing(app, api, tracer_provider, mode)
    app.observers.append(found)
    app.middleware = (found, *app.middleware)
    logs.enrichers["tracing"] = found.ids
    return found


def opentelemetry() -> ModuleType:
    """The library's API for traces. Raises ConfigurationError if it is not installed."""
    try:
        from opentelemetry import trace
    except ImportError:
        raise ConfigurationError("Traces need the package opentelemetry-api: pip install 'dray[otel]'.") from None
    return trace


class Carried(Struct, frozen=True):
    """What a job brings along. `around`: the context in which its runs are; `links`: to the span that enqueued it, if there is one;
    `apart`: its runs are no part of that trace; `unseen`: nobody looks at that trace, nor at what belongs to it."""

    around: Any
    links: tuple[Any, ...]
    schedule: str | None
    apart: bool
    unseen: bool


class Tracing:
    """An observer of an app, and a middleware of its runs. What the SDK raises costs a span, never a job."""

    def __init__(self, app: Host, api: ModuleType, provider: Any, mode: str) -> None:
        from opentelemetry import context, propagate

        self.mode = mode
        self._app = app
        self._api = api
        self._context = context
        self._propagate = propagate
        self._provider = provider
        self._tracer: Any = None
        self._server: dict[str, Any] | None = None
        #: jobs that were enqueued together carry the same
        self._carried = functools.lru_cache(maxsize=1024)(self._read)
        self._newest: tuple[bytes | None, Any] = None, None
        self._tongue = set(propagate.get_global_textmap().fields)

    # -- where jobs are enqueued

    @contextlib.contextmanager
    def sending(self, jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
        """Of the protocol `Observer`: one span, however many jobs there are."""
        span = self._begin_sending(jobs)
        if span is None:
            yield jobs
            return
        try:
            with self._api.use_span(span, record_exception=True, set_status_on_exception=True):
                yield self._sent_along(jobs)
        finally:
            self._end(span)

    def _begin_sending(self, jobs: Sequence[NewJob]) -> Any:
        queues = {job.queue for job in jobs}
        tasks = {job.task for job in jobs}
        attributes: dict[str, Any] = {
            "messaging.system": SYSTEM, "messaging.operation.name": "enqueue", "messaging.operation.type": "send",
            **self._place(),
        }  # fmt: skip
        name = "enqueue"
        if len(queues) == 1:
            (queue,) = queues
            name = f"enqueue {queue}"
            attributes["messaging.destination.name"] = queue
        if len(tasks) == 1:
            (attributes["dray.task"],) = tasks
        if len(jobs) == 1:
            attributes["messaging.message.id"] = to_text(jobs[0].id)
            attributes["dray.priority"] = jobs[0].priority
        else:
            attributes["messaging.batch.message_count"] = len(jobs)
        return self._span(name, self._api.SpanKind.PRODUCER, attributes)

    def _sent_along(self, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        carrier: dict[str, str] = {}
        try:
            self._propagate.inject(carrier)
        except Exception:
            log.exception("the trace could not be sent along with %d jobs", len(jobs))
        if not carrier:
            return jobs
        if len(jobs) > 1:
            carrier[BATCH] = "1"
        return with_trace(jobs, carrier)

    # -- where they run

    def __call__(self, job: JobContext) -> Generator[None, Outcome, None]:
        """A middleware: the span of one run."""
        begun = self._begin_running(job)
        if begun is None:
            yield
            return
        span, token = begun
        try:
            outcome = yield
            # What the function raised is being handled while the middleware is told of the outcome.
            self._end_running(span, outcome, sys.exception())
        finally:
            self._context.detach(token)
            self._end(span)

    def quiet(self, job: JobContext) -> Any:
        """Whether nobody will see this run: not None if it was enqueued in a trace that is not sampled, and the sampler abides by
        that, as samplers usually do. Then there is no span to be made, and the trace goes on as it is."""
        options = job.claimed.options
        if options is None:
            return None
        try:
            known, carried = self._newest
            if known != options:
                carried = self._carried(options)
                self._newest = options, carried
            return self._context.attach(carried.around) if carried.unseen else None
        except Exception:
            log.exception("the trace of job %s cannot be read", job.id)
            return None

    def leave(self, token: Any) -> None:
        """The quiet run is over."""
        self._context.detach(token)

    def _begin_running(self, job: JobContext) -> tuple[Any, Any] | None:
        claimed = job.claimed
        attributes: dict[str, Any] = {
            "messaging.system": SYSTEM, "messaging.operation.name": "process", "messaging.operation.type": "process",
            "messaging.destination.name": claimed.queue, "messaging.message.id": job.id, "dray.task": claimed.task,
            "dray.attempt": claimed.attempt, **self._place(),
        }  # fmt: skip
        if job.node is not None:
            attributes["messaging.client.id"] = str(job.node)
        try:
            carried = self._carried(claimed.options) if claimed.options is not None else self._read(None)
            if carried.schedule is not None:
                attributes["dray.schedule"] = carried.schedule
            around = carried.around
            if carried.links and (carried.apart or time.time() - claimed.enqueued / 1e6 > HOUR):
                around = self._api.set_span_in_context(self._api.INVALID_SPAN, around)  # baggage stays
            span = self._span(f"process {claimed.queue}", self._api.SpanKind.CONSUMER, attributes, around, carried.links)
            if span is None:
                return None
            return span, self._context.attach(self._api.set_span_in_context(span, around))
        except Exception:
            log.exception("the span of job %s could not be begun", job.id)
            return None

    def _end_running(self, span: Any, outcome: Outcome, error: BaseException | None) -> None:
        try:
            span.set_attribute("dray.outcome", WORDS.get(type(outcome), "other"))
            if not isinstance(outcome, Raised):
                return
            span.set_attribute("error.type", outcome.error.type)
            span.set_status(self._api.StatusCode.ERROR, outcome.error.message)
            if error is not None:
                span.record_exception(error)
        except Exception:
            log.exception("the end of a span could not be told")

    def _read(self, options: bytes | None) -> Carried:
        found = kept(options)
        carrier = found.trace or {}
        creator = self._quickly(carrier)
        if creator is not None:
            around = self._api.set_span_in_context(self._api.NonRecordingSpan(creator), self._context.Context())
        else:
            around = self._propagate.extract(carrier, self._context.Context())
            creator = self._api.get_current_span(around).get_span_context()
        known = creator.is_valid
        return Carried(
            around=around, links=(self._api.Link(creator),) if known else (), schedule=found.schedule,
            apart=self.mode == "link" or BATCH in carrier or found.schedule is not None,
            unseen=known and not creator.trace_flags.sampled and self._abides(),
        )

    def _quickly(self, carrier: Mapping[str, str]) -> Any:
        """What is usual, and nothing else, in a quarter of the time. None if it is not that."""
        parent = carrier.get(PARENT, "")
        if len(carrier) - (BATCH in carrier) != 1 or not USUAL.fullmatch(parent) or self._tongue != TRACE_CONTEXT:
            return None
        _, trace, span, flags = parent.split("-")
        return self._api.SpanContext(int(trace, 16), int(span, 16), True, self._api.TraceFlags(int(flags, 16)))

    def _abides(self) -> bool:
        """Whether the sampler leaves out what was left out before."""
        provider = self._provider or self._api.get_tracer_provider()
        sampler = getattr(provider, "sampler", None)
        try:
            told = str(sampler.get_description()) if sampler is not None else ""
        except Exception:
            return False
        return told.startswith("ParentBased{") and "remoteParentNotSampled:AlwaysOffSampler" in told

    # -- for both

    @staticmethod
    def _end(span: Any) -> None:
        try:
            span.end()
        except Exception:
            log.exception("a span could not be ended")

    def flush(self, within: float = 5.0) -> None:
        """Send the spans that wait, before the process ends."""
        provider = self._provider or self._api.get_tracer_provider()
        flush = getattr(provider, "force_flush", None)
        if flush is not None:
            try:
                flush(int(within * 1000))
            except Exception as error:
                log.warning("the last spans could not be sent: %s", error)

    def ids(self) -> dict[str, str]:
        """The ids of the trace and the span that are going on here, for logs."""
        seen = self._api.get_current_span().get_span_context()
        if not seen.is_valid:
            return {}
        return {"trace_id": f"{seen.trace_id:032x}", "span_id": f"{seen.span_id:016x}"}

    def _span(self, name: str, kind: Any, attributes: dict[str, Any], around: Any = None, links: Sequence[Any] = ()) -> Any:
        try:
            if self._tracer is None:
                self._tracer = self._api.get_tracer("dray", __version__, tracer_provider=self._provider)
            return self._tracer.start_span(name, context=around, kind=kind, attributes=attributes, links=links)
        except Exception:
            log.exception("a span could not be begun")
            return None

    def _place(self) -> dict[str, Any]:
        """Where the server of the store is, if it is on one."""
        if self._server is None:
            self._server = {}
            with contextlib.suppress(ValueError):
                parts = urlsplit(self._app.store.url)
                if parts.hostname and not parts.scheme.startswith("sqlite"):
                    self._server = {"server.address": parts.hostname}
                    if parts.port:
                        self._server["server.port"] = parts.port
        return self._server
