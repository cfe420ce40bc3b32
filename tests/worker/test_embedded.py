"""What a run can come to, in each executor, in one embedded worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import embedded_tasks as tasks
import pytest
from harness import FIXTURES, STORES, eventually, garble, new_url

from dray import JobCancelled, JobFailed, JobHandle, State
from dray.worker.embedded import EmbeddedWorker

TASKS = {"async": tasks.on_loop, "thread": tasks.in_thread, "process": tasks.in_process}
EACH = pytest.mark.parametrize("where", ["async", "thread", "process"])


@pytest.fixture(scope="module", autouse=True, params=STORES)
def worker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedWorker]:
    folder = tmp_path_factory.mktemp("embedded")
    with new_url(request.param, folder, lambda: request.getfixturevalue(FIXTURES[request.param])) as url:
        tasks.app.close()
        tasks.app.configure(url=url)
        with tasks.app.worker(concurrency=4, process_slots=2) as running:
            yield running
        tasks.app.close()


def failed(job: JobHandle[Any]) -> JobFailed:
    with pytest.raises(JobFailed) as caught:
        job.result(timeout=15)
    return caught.value


@EACH
def test_values(where: str) -> None:
    task = TASKS[where]
    assert task.enqueue("typed").result(timeout=15) == {"x": 1, "when": "2026-01-02T00:00:00Z"}
    assert task.enqueue("once").result(timeout=15) == 2
    assert task.enqueue("retry").result(timeout=15) == 2
    assert task.enqueue("retry at").result(timeout=15) == 2
    assert task.using(tags=("a", "b"), queue="special").enqueue("context").result(timeout=15)[1:] == [
        task.name, "special", 1, 2, ["a", "b"], False, False,
    ]  # fmt: skip


def test_results_are_typed() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert tasks.typed_on_loop.enqueue().result(timeout=15) == tasks.Point(1, moment)
    assert tasks.typed_in_thread.enqueue(tasks.Point(1, moment)).result(timeout=15) == tasks.Point(2, moment)
    assert tasks.typed_in_process.enqueue(tasks.Point(1, moment)).result(timeout=15) == [tasks.Point(1, moment)]
    assert tasks.coroutine_in_process.enqueue(3).result(timeout=15) == 3


@EACH
def test_a_snooze_is_no_attempt(where: str) -> None:
    job = TASKS[where].enqueue("snooze")
    assert job.result(timeout=15) == 1
    assert job.refresh().info.claim == 3
    assert [run.word for run in tasks.app.insight.history(job.id)][:2] == ["snoozed", "snoozed"]


@EACH
def test_give_up_and_cancel(where: str) -> None:
    job = TASKS[where].enqueue("give up")
    assert failed(job).error_type == "GiveUp"
    assert job.refresh().info.attempt == 1
    with pytest.raises(JobCancelled, match="not wanted") as caught:
        TASKS[where].enqueue("cancel").result(timeout=15)
    assert caught.value.reason == "not wanted"


@EACH
@pytest.mark.parametrize(
    ("how", "kind", "text", "attempts"),
    [
        ("raise", "ValueError", "broken", 2),
        ("unprintable", "embedded_tasks.Unprintable", "<its text cannot be made: RuntimeError>", 2),
        ("hostile", "embedded_tasks.Hostile", "<its text cannot be made: SystemExit>", 2),
        ("bad error", "embedded_tasks.Bad\\ud800", "half a pair: \\ud800", 2),
        ("deep", "RecursionError", "maximum recursion depth exceeded", 2),
        ("group", "ExceptionGroup", "two (2 sub-exceptions)", 2),
        ("bad snooze", "ConfigurationError", "the delay of Snooze", 2),
        ("system exit", "SystemExit", "3", 1),
        ("interrupt", "KeyboardInterrupt", "", 1),
        ("generator exit", "GeneratorExit", "", 1),
        ("cancelled", "asyncio.exceptions.CancelledError", "", 1),
        ("too large", "NotEncodable", "300,002 bytes, the limit is 262,144", 1),
        ("not encodable", "NotEncodable", "the result", 1),
        ("long text", "ValueError", "xxxx", 2),
    ],
)
def test_whatever_is_raised_is_kept(where: str, how: str, kind: str, text: str, attempts: int) -> None:
    job = TASKS[where].enqueue(how)
    error = failed(job)
    assert error.error_type == kind
    assert text in (error.error_message or "")
    assert len(error.error_message or "") < 5_000
    assert job.refresh().info.attempt == attempts
    if how == "raise":
        assert "embedded_tasks.py" in (error.traceback or "")
        assert "dray/worker" not in (error.traceback or "").replace("tests/worker", "")


@EACH
def test_a_reason_that_is_no_text_holds_up_nobody(where: str) -> None:
    with pytest.raises(JobCancelled, match="half a pair"):
        TASKS[where].enqueue("bad cancel").result(timeout=15)


def test_stop_iteration_is_an_error_like_others() -> None:
    assert failed(tasks.in_thread.enqueue("stop iteration")).error_type == "StopIteration"
    assert failed(tasks.in_process.enqueue("stop iteration")).error_type == "StopIteration"
    assert failed(tasks.on_loop.enqueue("stop iteration")).error_type == "RuntimeError"  # so says PEP 479


def test_policy() -> None:
    job = tasks.gives_up.enqueue()
    failed(job)
    assert job.refresh().info.attempt == 1
    assert [failed(job) and job.refresh().info.attempt for job in map(tasks.retries_only.enqueue, ["os", "key"])] == [3, 1]


def test_timeouts() -> None:
    jobs = [tasks.slow_on_loop.enqueue(30), tasks.slow_in_process.enqueue(30), tasks.slow_in_thread.enqueue(True)]
    for job in jobs:
        error = failed(job)
        assert error.error_type == "TimeoutError"
        assert "did not end within its timeout of" in (error.error_message or "")
    assert tasks.slow_on_loop.using(timeout=5).enqueue(0.3).result(timeout=15) is None
    # In a thread nothing can be ended from outside: one that never looks, and does its work, has done it.
    assert tasks.slow_in_thread.enqueue(False).result(timeout=15) == "late"


@pytest.mark.parametrize("task", [tasks.hangs_on_loop, tasks.hangs_in_thread, tasks.hangs_in_process], ids=lambda t: t.name)
def test_cancel_while_running(task: Any) -> None:
    job = task.enqueue()
    eventually(lambda: job.state == State.RUNNING)
    began = time.monotonic()
    assert job.cancel("enough")
    with pytest.raises(JobCancelled, match="enough"):
        job.result(timeout=15)
    assert time.monotonic() - began < 2
    assert job.cancel() is False
    assert job.refresh().info.claim == 1


def test_cancel_while_waiting() -> None:
    for options in ({"delay": "1h"}, {"queue": "paused"}):
        tasks.app.insight.pause("paused")
        job = tasks.typed_on_loop.using(**options).enqueue()
        assert job.cancel()
        assert job.state == State.CANCELLED
        assert job.refresh().info.claim == 0


def test_a_coroutine_that_will_not_be_cancelled_ends_as_it_likes() -> None:
    tasks.shielded.clear()
    job = tasks.shields.enqueue()
    assert tasks.shielded.wait(15), "it has begun"
    job.cancel()
    assert job.result(timeout=15) == "finished all the same"


def test_a_job_that_is_cancelled_before_its_first_step(worker: EmbeddedWorker) -> None:
    blocking = tasks.blocks.enqueue(1.0)
    eventually(lambda: blocking.state == State.RUNNING)
    job = tasks.hangs_on_loop.enqueue()
    eventually(lambda: job.state == State.RUNNING)  # claimed, while the loop is blocked
    job.cancel("early")
    with pytest.raises(JobCancelled, match="early"):
        job.result(timeout=15)
    blocking.result(timeout=15)
    assert worker.node is not None
    eventually(lambda: worker.node is not None and worker.node.running() == 0, what="its slot is free again")


def test_a_blocked_loop_is_noticed_and_named(worker: EmbeddedWorker) -> None:
    watch = worker._watch
    assert watch is not None
    before = len(watch.seen)
    job = tasks.blocks.enqueue(2.0)
    others = [tasks.in_thread.enqueue("identity") for _ in range(5)]
    for other in others:
        other.result(timeout=15)  # what is not on the loop goes on meanwhile
    job.result(timeout=15)
    place = watch.seen[before:][0]
    lines = Path(tasks.__file__).read_text(encoding="utf-8").splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "the line that is to be named" in text)
    assert job.id in place
    assert f"embedded_tasks.py:{line} in blocks" in place


@EACH
def test_progress_and_logs_are_kept(where: str) -> None:
    job = TASKS[where].enqueue("notes")
    job.result(timeout=15)
    assert job.refresh().info.progress == {"done": 3, "total": 7, "note": "half \u00bd"}
    lines = tasks.app.insight.logs(job.id, limit=5_000)
    assert len(lines) == 1000
    assert (lines[-1].text, lines[-1].level) == ("ended", "warning")
    assert [line.text for line in lines[:-1]] == [f"line {n}" for n in range(4_001, 5_000)]


@EACH
def test_middleware_sees_the_outcome(where: str) -> None:
    if where == "process":
        return  # in another process, whose events we do not see
    task = TASKS[where].using(tags=("watched",))
    tasks.events.clear()
    task.enqueue("identity").result(timeout=15)
    failed(task.enqueue("raise"))
    failed(task.enqueue("give up"))
    failed(tasks.gives_up.using(tags=("watched",)).enqueue())
    failed(tasks.slow_on_loop.using(tags=("watched",)).enqueue(30))
    name = task.task.func.__name__
    assert tasks.events == [
        f"{name} Returned", f"{name} Raised False", f"{name} Raised False", f"{name} Raised True", "gives_up Raised True",
        "slow_on_loop Raised False",
    ]  # fmt: skip


def test_children_know_their_parent() -> None:
    for job in (tasks.parent.enqueue(2), tasks.aparent.enqueue(2)):
        for child in job.result(timeout=15):
            assert tasks.app.insight.job(child).parent == job.id
    job = tasks.parent_in_process.enqueue()
    assert tasks.app.insight.job(job.result(timeout=15)).parent == job.id
    assert tasks.typed_on_loop.enqueue().refresh().info.parent is None


@pytest.mark.parametrize(
    ("column", "garbage"),
    [
        ("args", b"\xff\x00"), ("args", b"[1,2]"), ("args", b'{"how":7}'), ("args", b""), ("options", b"{"),
        ("options", b'{"timeout":"x"}'),
    ],
)
@EACH
def test_what_cannot_be_decoded_is_counted_and_ends(where: str, column: str, garbage: bytes, worker: EmbeddedWorker) -> None:
    queue = f"garbage-{where}"
    tasks.app.insight.pause(queue)
    job = TASKS[where].using(queue=queue, timeout=5).enqueue("identity")
    garble(worker.app.url, job.raw, column, garbage)
    tasks.app.insight.resume(queue)
    error = failed(job)
    assert error.error_type is not None
    assert "Undecodable" in error.error_type
    assert job.refresh().info.attempt == 2
    assert TASKS[where].using(queue=queue).enqueue("once").result(timeout=15) == 2


def test_counters_agree_in_the_end() -> None:
    assert tasks.app.insight.counts() == tasks.app.insight.recount()
