"""A job's story as a timeline, and the job as something to paste."""

from __future__ import annotations

import shlex

from dray.dashboard import copies, story
from dray.model.job import JobInfo, State
from dray.store.values import RunRecord

S = 1_000_000
ERROR = {"type": "ValueError", "message": "no"}


def a_job(state: State, **more: object) -> JobInfo:
    known = {
        "id": "01a2", "task": "shop.add", "queue": "default", "state": state, "priority": 0, "executor": "async", "attempt": 2,
        "max_attempts": 5, "losses": 0, "claim": 2, "args": {"a": 1}, "enqueued": 10 * S, "due": 10 * S,
    }  # fmt: skip
    return JobInfo(**{**known, **more})  # type: ignore[arg-type]


FIRST = RunRecord(1, 1, "raised", 7, 12 * S, 13 * S, None, ERROR)


def test_a_run_that_goes_on_is_the_last() -> None:
    job = a_job(State.RUNNING, started=20 * S, node=8)
    told = story.runs(job, [FIRST], {7: "web-1"})
    assert [(run.word, run.where, run.kind) for run in told] == [("raised", "web-1", "bad"), ("running", "worker 8", "running")]
    line = story.parts(job, told, 25 * S)
    assert [(part.kind, part.since // S, part.until // S) for part in line] == [
        ("wait", 10, 12), ("bad", 12, 13), ("wait", 13, 20), ("running", 20, 25),
    ]  # fmt: skip
    spent = story.spent(told, line, 25 * S)
    assert (spent.waited, spent.ran, spent.runs) == (9.0, 6.0, 2)


def test_the_last_success_is_told_by_the_job_itself() -> None:
    job = a_job(State.SUCCEEDED, started=20 * S, finished=21 * S)
    assert [run.word for run in story.runs(job, [FIRST], {})] == ["raised", "succeeded"]
    known = RunRecord(2, 2, "returned", 7, 20 * S, 21 * S, None, None)
    assert [run.word for run in story.runs(job, [FIRST, known], {})] == ["raised", "returned"], "and not twice"


def test_what_is_still_to_come_is_told_apart() -> None:
    job = a_job(State.SCHEDULED, due=100 * S, claim=1)
    line = story.parts(job, story.runs(job, [FIRST], {}), 20 * S)
    assert [part.kind for part in line] == ["wait", "bad", "wait", "ahead"]
    assert line[-1].until == 100 * S


def test_the_shortest_run_can_be_seen_and_nothing_sticks_out() -> None:
    job = a_job(State.SUCCEEDED, enqueued=0, started=86_400 * S, finished=86_400 * S + 1)
    line = story.parts(job, story.runs(job, [], {}), 90_000 * S)
    assert line[-1].width > 5
    assert line[-1].left + line[-1].width <= 1000.1


def test_a_job_that_was_never_claimed_has_no_runs() -> None:
    job = a_job(State.CANCELLED, finished=15 * S, claim=0)
    told = story.runs(job, [], {})
    assert told == []
    assert [(part.kind, part.until // S) for part in story.parts(job, told, 99 * S)] == [("wait", 15)]


def test_to_paste() -> None:
    job = a_job(State.FAILED, queue="mail; rm -rf /", priority=5)
    assert copies.as_python(job, {"a": "it's", "b": None}) == (
        "app.task_named('shop.add').using(queue='mail; rm -rf /', priority=5).enqueue(a=\"it's\", b=None)"
    )
    assert shlex.split(copies.as_command(job, {"a": "it's"})) == [
        "dray", "enqueue", "shop.add", "--args", '{"a": "it\'s"}', "--queue", "mail; rm -rf /", "--priority", "5",
    ]  # fmt: skip
