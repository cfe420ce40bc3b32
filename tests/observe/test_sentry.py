"""What Sentry is told, with a transport that keeps it here."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from harness import eventually
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from dray import Backoff, ConfigurationError, Dray, GiveUp
from dray.integrations.sentry import config, instrument, slug


class Kept(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[tuple[str, dict[str, Any]]] = []
        self.flushed = 0

    def capture_envelope(self, envelope: Envelope) -> None:
        self.items += [(str(item.type), item.payload.json) for item in envelope.items if item.payload.json is not None]

    def flush(self, *_: object, **__: object) -> None:
        self.flushed += 1

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [payload for type_, payload in self.items if type_ == kind]


@pytest.fixture
def sentry() -> Iterator[Kept]:
    transport = Kept()
    sentry_sdk.init("http://key@127.0.0.1:1/1", transport=transport, traces_sample_rate=1.0, default_integrations=False)
    yield transport
    sentry_sdk.get_client().close(timeout=0)
    sentry_sdk.init()


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
def test_publish_and_process_are_one_trace(app: Dray, sentry: Kept, kind: str) -> None:
    instrument(app)
    if kind == "coroutine":

        @app.task(name="add", queue="sums")
        async def add(a: int) -> int:
            return a
    else:

        @app.task(name="add", queue="sums")  # type: ignore[no-redef]
        def add(a: int) -> int:
            return a

    with sentry_sdk.start_transaction(name="request", op="http.server"):
        job = add.enqueue(1) if kind == "thread" else asyncio.run(add.aenqueue(1))
    with app.worker():
        assert job.result(timeout=20) == 1
    request, run = eventually(lambda: len(found := sentry.of("transaction")) == 2 and found, what="two transactions") or []
    (publish,) = [span for span in request["spans"] if span["op"] == "queue.publish"]
    assert publish["description"] == "add"
    assert publish["data"].items() >= {
        "messaging.system": "dray", "messaging.destination.name": "sums", "messaging.message.id": job.id,
    }.items()  # fmt: skip
    trace = run["contexts"]["trace"]
    assert (run["transaction"], trace["op"], trace["status"]) == ("add", "queue.process", "ok")
    assert trace["trace_id"] == request["contexts"]["trace"]["trace_id"]
    assert trace["parent_span_id"] == publish["span_id"]
    assert trace["data"]["messaging.message.retry.count"] == 0
    assert trace["data"]["messaging.message.receive.latency"] >= 0
    assert run["contexts"]["dray"]["job"] == job.id
    assert sentry.of("event") == []


@pytest.mark.parametrize("every", [False, True])
def test_errors_are_told_on_the_last_attempt(app: Dray, sentry: Kept, every: bool) -> None:
    instrument(app, every_attempt=every)

    @app.task(name="broken", max_attempts=3, backoff=Backoff.fixed(0))
    def broken(n: int) -> None:
        raise KeyError("no such user")

    @app.task(name="given.up")
    async def given_up() -> None:
        raise GiveUp("never again")

    @app.task(name="slow", timeout="50ms", max_attempts=1)
    async def slow() -> None:
        await asyncio.sleep(20)

    with app.worker():
        jobs = [broken.enqueue(1), given_up.enqueue(), slow.enqueue()]
        eventually(lambda: all(job.refresh().state == "failed" for job in jobs), what="they fail")
    told = [event["exception"]["values"][-1] for event in sentry.of("event")]
    assert sorted(one["type"] for one in told) == sorted([*["KeyError"] * (3 if every else 1), "GiveUp", "TimeoutError"])
    (error, *_) = [event for event in sentry.of("event") if event["tags"]["dray.task"] == "broken"]
    value = error["exception"]["values"][-1]
    assert value["mechanism"]["handled"] is every, "the first of three is handled: it will be tried again"
    assert value["stacktrace"]["frames"][-1]["function"] == "broken"
    assert error["transaction"] == "broken"
    assert error["contexts"]["dray"]["job"] == jobs[0].id
    statuses = {one["transaction"]: one["contexts"]["trace"]["status"] for one in sentry.of("transaction")}
    assert set(statuses.values()) == {"internal_error"}


def test_one_job_knows_nothing_of_another(app: Dray, sentry: Kept) -> None:
    instrument(app)

    @app.task(name="tagged", max_attempts=1)
    async def tagged(n: int) -> None:
        sentry_sdk.set_tag(f"n{n}", str(n))
        await asyncio.sleep(0.01)
        raise ValueError(n)

    with app.worker():
        jobs = [tagged.enqueue(n) for n in range(5)]
        eventually(lambda: all(job.refresh().state == "failed" for job in jobs), what="they fail")
    tags = [{name for name in event["tags"] if name.startswith("n")} for event in sentry.of("event")]
    assert sorted(map(sorted, tags)) == [[f"n{n}"] for n in range(5)]


def test_check_ins_of_schedules(app: Dray, sentry: Kept) -> None:
    instrument(app)
    fail = {"now": False}

    @app.schedule("0 7 * * mon", tz="Europe/Berlin", name="Weekly Report!")
    @app.task(name="report", max_attempts=2, backoff=Backoff.fixed(0))
    def report() -> None:
        if fail["now"]:
            raise ValueError("no paper")

    @app.task(name="other")
    def other() -> None: ...

    with app.worker():
        app.schedules.run_now("Weekly Report!").result(timeout=20)
        other.enqueue().result(timeout=20)
        fail["now"] = True
        job = app.schedules.run_now("Weekly Report!")
        eventually(lambda: job.refresh().state == "failed", what="it fails")
    found = sentry.of("check_in")
    assert [one["status"] for one in found] == ["in_progress", "ok", "in_progress", "error"], "not one for each attempt"
    assert {one["monitor_slug"] for one in found} == {"weekly-report"}
    assert found[0]["check_in_id"] == found[1]["check_in_id"] != found[2]["check_in_id"]
    assert found[1]["duration"] >= 0
    assert found[0]["monitor_config"] == {
        "schedule": {"type": "crontab", "value": "0 7 * * mon"}, "timezone": "Europe/Berlin", "checkin_margin": 5,
    }  # fmt: skip


def test_monitors_may_be_left_out(app: Dray, sentry: Kept) -> None:
    instrument(app, monitors=False)

    @app.schedule("@daily", name="daily")
    @app.task(name="report")
    def report() -> None: ...

    with app.worker():
        app.schedules.run_now("daily").result(timeout=20)
    assert sentry.of("check_in") == []


def test_which_schedules_sentry_can_watch(app: Dray) -> None:
    @app.task(name="report")
    def report() -> None: ...

    def watched(when: str) -> Any:
        name = f"s{len(app.schedules.declared)}"
        app.schedule(when, name=name)(report)
        found = config(app.schedules.declared[name])
        return None if found is None else (found["schedule"]["type"], found["schedule"]["value"], found["schedule"].get("unit"))

    assert watched("every 15m") == ("interval", 15, "minute")
    assert watched("every 2h") == ("interval", 2, "hour")
    assert watched("every 90m") == ("interval", 90, "minute")
    assert watched("every 1d") == ("interval", 1, "day")
    assert watched("every 10s") is None
    assert watched("@hourly") == ("crontab", "0 * * * *", None)
    assert watched("*/5 * * * * *") is None, "it knows no seconds"
    assert slug("Ünïcode / and.dots") == "n-code-and-dots"
    assert slug("…") == "schedule"
    assert len(slug("x" * 80)) == 50


def test_it_is_done_once_and_flushed(app: Dray, sentry: Kept) -> None:
    first = instrument(app)
    assert instrument(app) is first
    assert len(app.middleware) == 1
    first.flush(0.1)
    assert sentry.flushed == 1


def test_without_the_library_it_is_one_sentence(app: Dray, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("sentry_sdk"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"pip install 'dray\[sentry\]'"):
        instrument(app)
