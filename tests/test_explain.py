"""Why is this job not running? Every answer, from facts alone; and the facts from a real store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from dray import Dray
from dray.explain import Explanation, explain
from dray.facts import Facts, gather
from dray.model.clock import SECOND, ManualClock
from dray.model.job import Executor, JobInfo, State
from dray.model.lifecycle import Move
from dray.store.open import open_store
from dray.store.values import NodeEntry, NodeInfo, QueueInfo, RunRecord, Want

NOW = 1_800_000_000 * SECOND
ID = "01a20d7e-d6e0-7000-8000-6b1579b32c3f"


def job(state: State = State.READY, **more: Any) -> JobInfo:
    plain = {
        "id": ID, "task": "shop.send", "queue": "mail", "state": state, "priority": 0, "executor": "thread", "attempt": 0,
        "max_attempts": 3, "losses": 0, "claim": 0, "args": {}, "due": NOW - 60 * SECOND, "enqueued": NOW - 60 * SECOND,
    }  # fmt: skip
    return JobInfo(**{**plain, **more})


def node(**more: Any) -> NodeInfo:
    info = {
        "queues": more.pop("queues", None), "tasks": more.pop("tasks", ["shop.send"]), "target": "shop",
        "slots": more.pop("slots", {"async": 2, "thread": 2, "process": 2}),
    }  # fmt: skip
    plain = {
        "id": 1, "name": "w1", "host": "here", "pid": 9, "alive": True, "entered": NOW - 600 * SECOND, "renewed": NOW - SECOND,
        "claimed": NOW - SECOND, "stopping": False, "running": 0, "info": info,
    }  # fmt: skip
    return NodeInfo(**{**plain, **more})


def queue(ready: int = 1, **more: Any) -> QueueInfo:
    plain = {"name": "mail", "counts": {"ready": ready}, "paused": None, "paused_by": None, "oldest_ready": None}
    return QueueInfo(**{**plain, **more})


def record(word: str, **more: Any) -> RunRecord:
    plain = {
        "claim": 1, "attempt": 1, "word": word, "node": 1, "started": NOW - 5 * SECOND, "finished": NOW - 4 * SECOND,
        "reason": None, "error": None,
    }  # fmt: skip
    return RunRecord(**{**plain, **more})


def why(of: JobInfo, **facts: Any) -> Explanation:
    return explain(Facts(job=of, now=NOW, **{"nodes": [node()], "queue": queue(), **facts}))


busy = [job(State.RUNNING, node=1, started=NOW - 30 * SECOND) for _ in range(2)]
GONE = node(alive=False, renewed=NOW - 180 * SECOND)
NO_THREADS = node(slots={"async": 2, "thread": 0})
ERROR = {"type": "ValueError", "message": "no such user"}

READY = [
    ("no-worker", {"nodes": []}, "No worker is alive.", "dray worker TARGET"),
    ("no-worker", {"nodes": [GONE]}, "was last heard of 3m ago", "dray worker TARGET"),
    ("queue-paused", {"queue": queue(paused=NOW - 120 * SECOND, paused_by="ann@x")}, "paused by ann@x since", "dray resume mail"),
    ("workers-stopping", {"nodes": [node(stopping=True)]}, "are stopping", "dray worker TARGET"),
    ("queue-not-served", {"nodes": [node(queues=["a", "b"])]}, "they serve a and b", "dray worker TARGET --queues mail"),
    ("task-unknown", {"nodes": [node(tasks=["other"])]}, "knows the task shop.send (they run shop)", "dray worker TARGET"),
    ("task-unknown", {"nodes": [node(tasks=[])], "app_tasks": frozenset({"shop.send"})}, "knows the task", "dray worker TARGET"),
    ("task-unknown", {"nodes": [node(tasks=[])], "app_tasks": frozenset({"x"})}, "knows the task", f"dray cancel {ID}"),
    ("no-slots", {"nodes": [NO_THREADS]}, "a slot for thread functions", "dray worker TARGET --concurrency N"),
    ("worker-deaf", {"nodes": [node(claimed=NOW - 90 * SECOND)]}, "last looked for jobs 1m 30s ago", None),
    ("workers-busy", {"running": busy, "queue": queue(8)}, "All 2 slots for thread functions are taken", "dray jobs state:running"),
    ("queued", {"queue": queue(8)}, "7 other jobs of queue mail are ready too", "dray worker TARGET --concurrency N"),
    ("not-taken", {}, "has been ready for 1m", "dray doctor"),
]


@pytest.mark.parametrize(("code", "facts", "said", "command"), READY)
def test_ready(code: str, facts: dict[str, Any], said: str, command: str | None) -> None:
    answer = why(job(), **facts)
    assert (answer.code, answer.command) == (code, command)
    assert said in answer.why
    assert answer.do


def test_what_has_just_become_ready_is_nothing_to_explain() -> None:
    assert why(job(due=NOW - SECOND // 10)).code == "starting"


def test_a_paused_queue_does_not_hide_that_no_worker_lives() -> None:
    answer = why(job(), queue=queue(paused=NOW - SECOND), nodes=[])
    assert answer.code == "queue-paused"
    assert answer.also == ("No worker is alive.",)


def test_one_worker_that_can_is_enough() -> None:
    others = [node(alive=False), node(id=2, queues=["x"]), node(id=3, tasks=[]), node(id=4, stopping=True)]
    assert why(job(due=NOW), nodes=[*others, node(id=5)]).code == "starting"
    assert why(job(due=NOW), nodes=others).code == "task-unknown"


def test_workers_are_busy_only_if_all_that_can_are() -> None:
    assert why(job(due=NOW), running=busy, nodes=[node(), node(id=2)]).code == "starting"
    other_kind = [job(State.RUNNING, node=1, executor="async") for _ in range(2)]
    assert why(job(due=NOW), running=other_kind).code == "starting"


def test_a_full_worker_is_not_deaf() -> None:
    assert why(job(), running=busy, nodes=[node(claimed=NOW - 900 * SECOND)]).code == "workers-busy"


def test_a_worker_that_says_nothing_of_itself_is_taken_to_do_everything() -> None:
    assert why(job(due=NOW), nodes=[node(info=None)]).code == "starting"


def test_a_job_that_expires_says_so() -> None:
    assert "expires at" in why(job(expires=NOW + SECOND * 60)).also[0]


SCHEDULED = [
    ("delayed", {}, {}, "it was enqueued 1m ago to run then"),
    ("scheduled", {"schedule": "weekly"}, {}, "schedule weekly made it"),
    ("retry", {"attempt": 2}, {"history": [record("raised", error=ERROR)]}, "3 of 3, after ValueError: no such user; 1 left"),
    ("snoozed", {}, {"history": [record("snoozed", reason="too early")]}, "asked for that itself (too early)"),
    ("lost", {"losses": 2}, {"history": [record("lost", error=ERROR)]}, "2 losses so far"),
]


@pytest.mark.parametrize(("code", "fields", "facts", "said"), SCHEDULED)
def test_scheduled(code: str, fields: dict[str, Any], facts: dict[str, Any], said: str) -> None:
    answer = why(job(State.SCHEDULED, due=NOW + 300 * SECOND, **fields), **facts)
    assert (answer.code, answer.command, answer.also) == (code, f"dray retry {ID}", ())
    assert "(in 5m)" in answer.why
    assert said in answer.why


def test_scheduled_also_says_what_would_keep_it_then() -> None:
    answer = why(job(State.SCHEDULED, due=NOW + 300 * SECOND, expires=NOW + 60 * SECOND), nodes=[])
    assert "would not start then either. No worker is alive." in answer.also[0]
    assert "before it is due: it will be cancelled" in answer.also[1]


def test_a_scheduled_job_that_is_overdue_is_explained_as_a_ready_one() -> None:
    assert why(job(State.SCHEDULED), nodes=[]).code == "no-worker"


RUNNING = [
    ("running", {}, {}, "on worker w1 (process 9 on here), attempt 1 of 3."),
    ("running", {"progress": {"done": 3, "total": 9, "note": "x"}}, {}, "3 of 9 (x)"),
    ("cancelling", {}, {"cancelling": "not needed"}, "It is running since"),
    ("worker-gone", {}, {"nodes": [node(alive=False, renewed=NOW - 60 * SECOND)]}, "last heard of 1m ago; the lease has run out"),
    ("worker-gone", {}, {"nodes": []}, "a worker that the store does not know"),
]


@pytest.mark.parametrize(("code", "fields", "facts", "said"), RUNNING)
def test_running(code: str, fields: dict[str, Any], facts: dict[str, Any], said: str) -> None:
    answer = why(job(State.RUNNING, node=1, attempt=1, started=NOW - 9 * SECOND, **fields), **facts)
    assert answer.code == code
    assert said in answer.why


def test_cancelling_says_why_it_may_take_time() -> None:
    assert "(not needed)" in why(job(State.RUNNING, node=1), cancelling="not needed").do


def test_blocked_names_the_earlier_run() -> None:
    earlier = job(State.RUNNING, id="01a20000-0000-7000-8000-000000000000")
    answer = why(job(State.BLOCKED, schedule="weekly", hold="schedule:weekly"), earlier=[earlier])
    assert (answer.code, answer.command) == ("blocked-schedule", f"dray explain {earlier.id}")
    assert "which has ended" in why(job(State.BLOCKED, schedule="weekly")).why
    assert why(job(State.BLOCKED)).code == "blocked"
    assert why(job(State.SLEEPING)).code == "sleeping"


ENDED = [
    (State.SUCCEEDED, "succeeded", {"started": NOW - 9 * SECOND}, {}, "after 5s, in attempt 1 of 3", "dray show"),
    (State.CANCELLED, "cancelled", {"reason": "not needed"}, {}, "(4s ago): not needed", "dray retry"),
    (State.FAILED, "failed", {"error": ERROR, "attempt": 3}, {}, "attempts left, in attempt 3 of 3: ValueError: no", "dray retry"),
    (State.FAILED, "failed", {"error": ERROR}, {}, "gave up, in attempt 1 of 3", "dray retry"),
    (State.FAILED, "failed-lost", {"losses": 3}, {"history": [record("lost")]}, "its worker died under it 3 times", "dray retry"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "code", "fields", "facts", "said", "command"), ENDED)
def test_ended(state: State, code: str, fields: dict[str, Any], facts: dict[str, Any], said: str, command: str) -> None:
    answer = why(job(state, finished=NOW - 4 * SECOND, **{"attempt": 1, **fields}), **facts)
    assert (answer.code, answer.command) == (code, f"{command} {ID}")
    assert said in answer.why


# -- with a real store


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["sqlite", "redis"])
def app(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[Dray]:
    with contextlib.ExitStack() as stack:
        url = "sqlite://"
        if request.param == "redis":
            url = f"{stack.enter_context(request.getfixturevalue('valkey').fresh())}&risk=persistence"
        made = stack.enter_context(contextlib.closing(Dray(url)))
        made._store = open_store(url, clock=clock)

        @made.task(name="shop.send", queue="mail")
        def send(user_id: int) -> None: ...

        yield made


def test_it_gathers_what_it_reasons_over(app: Dray) -> None:
    store, insight = app.store, app.insight
    send = app.task_named("send")
    handle = send.enqueue(1)
    assert explain(gather(insight, handle.id)).code == "no-worker"
    entry = NodeEntry("w", "here", 1, {"queues": None, "tasks": ["shop.send"], "slots": {"async": 0, "thread": 1, "process": 0}})
    worker = store.run(store.plans.enter, entry)
    assert explain(gather(insight, handle.id)).code == "starting"
    insight.pause("mail", "ann")
    assert "ann" in explain(gather(insight, handle.id)).why
    insight.resume("mail")
    (claimed,) = store.run(store.plans.claim, Want({Executor.THREAD: 1}, None, frozenset({"shop.send"})), worker).jobs
    assert explain(gather(insight, handle.id)).code == "running"
    waiting = send.enqueue(2)
    assert explain(gather(insight, waiting.id)).code == "workers-busy"
    insight.cancel([handle.id], "not needed")
    assert explain(gather(insight, handle.id)).code == "cancelling"
    move = Move(claimed.seq, claimed.claim, "mail", State.SCHEDULED, "snoozed", delay=60.0, counts=False, reason="later")
    store.run(store.plans.settle, [move])
    assert explain(gather(insight, handle.id)).code == "cancelled"


def test_a_reason_left_by_a_snooze_is_no_wish_to_cancel(app: Dray) -> None:
    store = app.store
    handle = app.task_named("send").enqueue(1)
    worker = store.run(store.plans.enter, NodeEntry("w", "here", 1, {}))
    want = Want({Executor.THREAD: 1}, None, frozenset({"shop.send"}))
    (claimed,) = store.run(store.plans.claim, want, worker).jobs
    move = Move(claimed.seq, claimed.claim, "mail", State.SCHEDULED, "snoozed", delay=0, counts=False, reason="later")
    store.run(store.plans.settle, [move])
    assert len(store.run(store.plans.claim, want, worker).jobs) == 1
    assert explain(gather(app.insight, handle.id)).code == "running"


def test_a_job_whose_task_nobody_knows_is_parked_and_explained(app: Dray) -> None:
    store = app.store
    handle = app.task_named("send").enqueue(1)
    worker = store.run(store.plans.enter, NodeEntry("w", "here", 1, {"tasks": ["other"]}))
    assert store.run(store.plans.claim, Want({Executor.THREAD: 5}, None, frozenset({"other"})), worker).jobs == []
    assert explain(gather(app.insight, handle.id)).code == "task-unknown"


def test_the_later_run_of_a_schedule_waits_for_the_earlier(app: Dray, clock: ManualClock) -> None:
    store = app.store
    app.schedules.put("weekly", app.task_named("send").call(1), "every 10m", overlap="queue")
    for _ in range(2):
        clock.advance(600)
        store.run(store.plans.tick)
    later, first = app.insight.jobs("schedule:weekly").jobs
    assert (first.state, later.state) == (State.READY, State.BLOCKED)
    answer = explain(gather(app.insight, later.id))
    assert (answer.code, answer.command) == ("blocked-schedule", f"dray explain {first.id}")
