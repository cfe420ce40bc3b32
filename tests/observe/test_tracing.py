"""Spans where jobs are enqueued and run, and the way from one to the other."""

from __future__ import annotations

import asyncio
import builtins
import itertools
import json
import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Place, eventually
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from dray import Backoff, Cancel, ConfigurationError, Dray, GiveUp, Snooze, State, current_job
from dray.errors import StoreUnavailable
from dray.model.ids import to_text
from dray.observe import log as logs
from dray.observe import tracing
from dray.observe.log import JobFields
from dray.observe.sending import kept
from dray.observe.tracing import instrument

Spans = Callable[[str], list[ReadableSpan]]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test added to logs is of no interest to the next."""
    yield
    logs.enrichers.clear()


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Spans:
    """Finished spans whose name begins so, in the order in which they began."""

    def found(name: str) -> list[ReadableSpan]:
        return sorted((one for one in exporter.get_finished_spans() if one.name.startswith(name)), key=lambda one: one.start_time)

    return found


def context_of(span: ReadableSpan) -> trace.SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    return span.parent is not None and span.parent.span_id == context_of(parent).span_id


def is_linked(span: ReadableSpan, other: ReadableSpan) -> bool:
    return context_of(other).span_id in [link.context.span_id for link in span.links]


@pytest.mark.parametrize("kind", ["coroutine", "thread", "transactional"])
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_parent_and_link(app: Dray, provider: TracerProvider, spans: Spans, kind: str, colour: str) -> None:
    instrument(app, tracer_provider=provider)
    if kind == "coroutine":

        @app.task(name="add", queue="sums", priority=7)
        async def add(a: int) -> Any:
            return format(trace.get_current_span().get_span_context().span_id, "x")
    elif kind == "thread":

        @app.task(name="add", queue="sums", priority=7)  # type: ignore[no-redef]
        def add(a: int) -> Any:
            return format(trace.get_current_span().get_span_context().span_id, "x")
    else:

        @app.task(name="add", queue="sums", priority=7, transactional=True)  # type: ignore[no-redef]
        def add(a: int, connection: sqlite3.Connection) -> Any:
            return format(trace.get_current_span().get_span_context().span_id, "x")

    with provider.get_tracer("test").start_as_current_span("request"):
        job = add.enqueue(1) if colour == "sync" else asyncio.run(add.aenqueue(1))
    with app.worker():
        seen = job.result(timeout=20)
    (request,), (sent,), (run,) = spans("request"), spans("enqueue sums"), spans("process sums")
    assert is_child(sent, request)
    assert is_child(run, sent)
    assert is_linked(run, sent)
    assert seen == format(context_of(run).span_id, "x"), "the function is inside the span"
    assert (sent.kind, run.kind) == (trace.SpanKind.PRODUCER, trace.SpanKind.CONSUMER)
    assert sent.attributes == {
        "messaging.system": "dray", "messaging.operation.name": "enqueue", "messaging.operation.type": "send",
        "messaging.destination.name": "sums", "messaging.message.id": job.id, "dray.task": "add", "dray.priority": 7,
    }  # fmt: skip
    assert dict(run.attributes or {}) | {"messaging.client.id": "1"} == {
        "messaging.system": "dray", "messaging.operation.name": "process", "messaging.operation.type": "process",
        "messaging.destination.name": "sums", "messaging.message.id": job.id, "messaging.client.id": "1", "dray.task": "add",
        "dray.attempt": 1, "dray.outcome": "returned",
    }  # fmt: skip
    assert run.status.is_ok
    assert not trace.get_current_span().get_span_context().is_valid, "nothing is left behind here"


def test_the_same_on_the_callers_loop(app: Dray, provider: TracerProvider, spans: Spans) -> None:
    instrument(app, tracer_provider=provider)

    @app.task(name="add")
    async def add(a: int) -> int:
        return a

    async def main() -> None:
        async with app.worker():
            with provider.get_tracer("test").start_as_current_span("request"):
                jobs = [await add.aenqueue(n) for n in range(20)]
            assert [await job.aresult(timeout=20) for job in jobs] == list(range(20))

    asyncio.run(main())
    sent = {one.attributes["messaging.message.id"]: one for one in spans("enqueue") if one.attributes}
    runs = spans("process")
    assert len(sent) == len(runs) == 20
    assert all(one.attributes and is_child(one, sent[one.attributes["messaging.message.id"]]) for one in runs)


def test_many_are_one_span_and_linked(each_app: Dray, provider: TracerProvider, spans: Spans) -> None:
    app = each_app
    instrument(app, tracer_provider=provider)

    @app.task(name="add")
    async def add(a: int) -> int:
        return a

    jobs = app.enqueue_many([*(add.call(n) for n in range(5))])
    with app.worker():
        assert [job.result(timeout=20) for job in jobs] == list(range(5))
    (sent,) = spans("enqueue")
    assert sent.attributes is not None
    assert (sent.name, sent.attributes["messaging.batch.message_count"]) == ("enqueue default", 5)
    runs = spans("process")
    assert len(runs) == 5
    assert all(one.parent is None and is_linked(one, sent) for one in runs)
    assert len({context_of(one).trace_id for one in [sent, *runs]}) == 6
    places = {one.attributes.get("server.address") for one in [sent, *runs] if one.attributes}
    assert places == {None} if app.store.url.startswith("sqlite") else {"127.0.0.1"}


def test_several_queues_at_once(app: Dray, provider: TracerProvider, spans: Spans) -> None:
    instrument(app, tracer_provider=provider)

    @app.task(name="add")
    async def add(a: int) -> int:
        return a

    app.enqueue_many([add.call(1), add.using(queue="other").call(2)])
    (sent,) = spans("enqueue")
    assert sent.name == "enqueue"
    assert "messaging.destination.name" not in (sent.attributes or {})


@pytest.mark.parametrize("why", ["link mode", "waited for long"])
def test_linked_only(app: Dray, provider: TracerProvider, spans: Spans, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    instrument(app, tracer_provider=provider, trace_mode="link" if why == "link mode" else None)
    if why == "waited for long":
        monkeypatch.setattr(tracing, "HOUR", -1.0)

    @app.task(name="add")
    async def add(a: int) -> Any:
        return baggage.get_baggage("tenant")

    token = context.attach(baggage.set_baggage("tenant", "acme"))
    job = add.enqueue(1)
    context.detach(token)
    with app.worker():
        assert job.result(timeout=20) == "acme", "baggage comes along in any case"
    (sent,), (run,) = spans("enqueue"), spans("process")
    assert run.parent is None
    assert is_linked(run, sent)


def test_schedules_begin_traces_of_their_own(app: Dray, provider: TracerProvider, spans: Spans) -> None:
    instrument(app, tracer_provider=provider)

    @app.schedule("every 1s", name="each second")
    @app.task(name="tick")
    async def tick() -> None: ...

    with app.worker():
        eventually(lambda: spans("process"), what="a tick")
    run = spans("process")[0]
    assert run.parent is None
    assert run.links == ()
    assert (run.attributes or {})["dray.schedule"] == "each second"


def test_errors_and_other_ends(app: Dray, provider: TracerProvider, spans: Spans) -> None:
    instrument(app, tracer_provider=provider)
    words: dict[str, BaseException] = {
        "raised": KeyError("no such user"), "snoozed": Snooze(3600), "cancelled": Cancel("enough"), "gave up": GiveUp("never"),
    }  # fmt: skip

    @app.task(name="end", max_attempts=2, backoff=Backoff.fixed(0))
    def end(how: str) -> None:
        raise words[how]

    @app.task(name="slow", timeout="50ms", max_attempts=1)
    async def slow() -> None:
        await asyncio.sleep(20)

    with app.worker():
        jobs = [end.enqueue(how) for how in words]
        late = slow.enqueue()
        eventually(lambda: len(spans("process")) == 6, what="six runs")
        eventually(lambda: late.refresh().state is State.FAILED, what="it failed")
    runs = {str((one.attributes or {})["messaging.message.id"]): one for one in spans("process")}
    both = [one for one in spans("process") if (one.attributes or {})["messaging.message.id"] == jobs[0].id]
    assert [(one.attributes or {})["dray.attempt"] for one in both] == [1, 2]
    (sent,) = [one for one in spans("enqueue") if (one.attributes or {})["messaging.message.id"] == jobs[0].id]
    for one in both:
        assert is_child(one, sent), "each attempt"
        assert (one.attributes or {})["error.type"] == "KeyError"
        assert not one.status.is_ok
        assert one.status.description == "'no such user'"
        (event,) = one.events
        assert (event.attributes or {})["exception.type"] == "KeyError"
        assert "in end" in str((event.attributes or {})["exception.stacktrace"])
    for job, word, well in ((jobs[1], "snoozed", True), (jobs[2], "cancelled", True), (jobs[3], "raised", False)):
        run = runs[job.id]
        assert ((run.attributes or {})["dray.outcome"], run.status.is_ok or run.status.is_unset) == (word, well)
    assert (runs[late.id].attributes or {})["error.type"] == "TimeoutError"


def test_what_could_not_be_enqueued_is_an_error(app: Dray, provider: TracerProvider, spans: Spans, monkeypatch: Any) -> None:
    instrument(app, tracer_provider=provider)

    @app.task(name="add")
    async def add(a: int) -> int:
        return a

    def fails(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(app, "_write", fails)
    with pytest.raises(StoreUnavailable):
        add.enqueue(1)
    (sent,) = spans("enqueue")
    assert not sent.status.is_ok
    assert sent.events[0].name == "exception"


@pytest.mark.parametrize("when", ["start", "end"])
def test_what_a_span_costs_is_never_a_job(app: Dray, when: str, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SpanProcessor):
        def on_start(self, *_: object, **__: object) -> None:
            if when == "start":
                raise RuntimeError("a defect")

        def on_end(self, *_: object, **__: object) -> None:
            raise RuntimeError("a defect")

    broken = TracerProvider()
    broken.add_span_processor(Broken())
    instrument(app, tracer_provider=broken)

    @app.task(name="add")
    async def add(a: int) -> int:
        return a

    with app.worker(), caplog.at_level(logging.CRITICAL, "dray.tracing"):
        assert add.enqueue(1).result(timeout=20) == 1


def test_what_is_not_sampled_is_not_sampled_anywhere(app: Dray, exporter: InMemorySpanExporter) -> None:
    never = TracerProvider(sampler=ALWAYS_OFF)
    never.add_span_processor(SimpleSpanProcessor(exporter))
    instrument(app, tracer_provider=never)

    @app.task(name="add")
    async def add(a: int) -> str:
        return str((kept(current_job().claimed.options).trace or {})["traceparent"])

    with app.worker():
        flags = add.enqueue(1).result(timeout=20).rpartition("-")[2]
    assert int(flags, 16) & 1 == 0
    assert exporter.get_finished_spans() == ()


def test_without_it_nothing_is_kept_with_a_job(app: Dray, provider: TracerProvider) -> None:
    @app.task(name="add")
    async def add(a: int) -> int:
        return a

    assert app.observers == []
    with provider.get_tracer("test").start_as_current_span("request"):
        plain = add.enqueue(1)
    assert app.insight.job(plain.id).options is None
    first = instrument(app, tracer_provider=provider)
    assert instrument(app) is first
    assert (len(app.observers), len(app.middleware)) == (1, 1)
    limited = add.using(timeout="5s").enqueue(1)
    found = app.insight.job(limited.id).options
    assert found["timeout"] == 5
    assert set(found["trace"]) == {"traceparent"}


def test_what_is_enqueued_by_a_run_goes_on_with_its_trace(app: Dray, provider: TracerProvider, spans: Spans) -> None:
    instrument(app, tracer_provider=provider)

    @app.task(name="inner", queue="inner")
    async def inner() -> None: ...

    @app.task(name="outer", queue="outer")
    def outer() -> str:
        return inner.enqueue().id

    with app.worker():
        app.job(outer.enqueue().result(timeout=20)).result(timeout=20)
    names = ["enqueue outer", "process outer", "enqueue inner", "process inner"]
    chain = [spans(name)[0] for name in names]
    assert [is_child(one, before) for before, one in itertools.pairwise(chain)] == [True] * 3


def test_logs_tell_the_trace(app: Dray, provider: TracerProvider, spans: Spans) -> None:
    instrument(app, tracer_provider=provider)

    @app.task(name="add")
    async def add() -> Any:
        record = logging.makeLogRecord({"msg": "hello"})
        JobFields().filter(record)
        return [record.__dict__[name] for name in ("job", "trace_id", "span_id")]

    with app.worker():
        job = add.enqueue()
        said = job.result(timeout=20)
    (run,) = spans("process")
    assert said == [job.id, f"{context_of(run).trace_id:032x}", f"{context_of(run).span_id:016x}"]
    record = logging.makeLogRecord({"msg": "outside"})
    JobFields().filter(record)
    assert not hasattr(record, "trace_id")


def test_wrong_modes_and_missing_libraries_are_one_sentence(app: Dray, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="trace_mode is 'both'"):
        instrument(app, trace_mode="both")
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setenv("DRAY_TRACING", "yes")
    with pytest.raises(ConfigurationError, match=r"pip install 'dray\[otel\]'"):
        _ = app.store
    monkeypatch.setenv("DRAY_TRACING", "perhaps")
    with pytest.raises(ConfigurationError, match="tracing is 'perhaps'"):
        _ = Dray("sqlite://").store


def test_all_processes_of_a_worker(place: Place) -> None:
    """Switched on by the environment: supervisor's child, its threads, its child processes; spans are flushed before they end."""
    shutil.copy(Path(__file__).parent / "traced_tasks.py", place.folder / "traced_tasks.py")
    file = place.folder / "spans"
    known = {"DRAY_TRACING": "1", "SPANS": str(file)}
    worker = place.start("--process-slots", "1", target="traced_tasks", **known)

    @place.app.task(name="traced_tasks.outer")
    def outer(n: int) -> int:
        return n

    @place.app.task(name="traced_tasks.apart", executor="process")
    def apart(n: int) -> int:
        return n

    provider = TracerProvider()
    instrument(place.app, tracer_provider=provider)
    with provider.get_tracer("test").start_as_current_span("request") as request:
        jobs = [outer.enqueue(1), apart.enqueue(2)]
    assert place.wait_final(jobs) == ["succeeded"] * 2
    eventually(lambda: place.app.insight.counts()["default"] == {"succeeded": 4}, what="four jobs")
    assert worker.stop() == 0
    spans = [json.loads(line) for line in file.read_text().splitlines()]
    runs = {one["attributes"]["dray.task"]: one for one in spans if one["name"] == "process default"}
    assert set(runs) == {f"traced_tasks.{name}" for name in ("outer", "apart", "inner")}
    assert {one["context"]["trace_id"] for one in spans} == {f"0x{request.get_span_context().trace_id:032x}"}
    assert len(spans) == 2 + 2 + 2, "two runs, two jobs enqueued by them, and their runs"
    assert runs["traced_tasks.outer"]["process"] != runs["traced_tasks.apart"]["process"]
    nodes = {one["attributes"]["messaging.client.id"] for one in spans if one["name"] == "process default"}
    assert nodes == {"1"}
    ids = {one["attributes"]["messaging.message.id"] for one in runs.values()}
    assert {job.id for job in jobs} < ids
    assert to_text(bytes(16)) not in ids
