"""Counting jobs and acting on many of them, in both colours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dray.errors import ConfigurationError, UnknownJob
from dray.insight import BulkReport, Count, Insight
from dray.model import ids
from dray.model.clock import ManualClock
from dray.model.filter import Filter
from dray.model.job import State
from dray.store.sqlite.store import SqliteStore
from dray.testing.suite.scene import DONE, Scene, raised


class Both:
    """The methods of an Insight, or their async twins carried out."""

    def __init__(self, insight: Insight, colour: str) -> None:
        self._insight = insight
        self._colour = colour

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if self._colour == "sync":
            return getattr(self._insight, name)
        twin = getattr(self._insight, f"a{name}")
        return lambda *args, **named: asyncio.run(twin(*args, **named))


@pytest.fixture
def s(tmp_path: Path) -> Iterator[Scene]:
    clock = ManualClock()
    scene = Scene(SqliteStore(tmp_path / "jobs.db", clock=clock, synchronous="normal"), clock, "sync")
    yield scene
    scene.check_counts()
    scene.driver.close()
    scene.store.close()


@pytest.fixture(params=["sync", "async"])
def insight(request: pytest.FixtureRequest, s: Scene) -> Both:
    return Both(Insight(s.store, "ann", "test"), request.param)


def failed(s: Scene, n: int, **fields: Any) -> list[bytes]:
    """`n` jobs that failed."""
    added = s.add(n, **fields)
    node = s.enter()
    left = set(added)
    while left:
        for job in s.claim(node, 500, queues=[fields.get("queue", "default")]):
            s.end(job, raised(final=True))
            left.discard(job.id)
    return added


def audited(s: Scene) -> list[tuple[str, str, str, str]]:
    """What was written down, newest first."""
    return [(row.by, row.action, row.target, row.detail) for row in s.do(s.plans.audits)]


# -- counting


def test_counters_tell_at_once_what_is_in_a_state_or_a_queue(s: Scene, insight: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    failed(s, 4, queue="mail")
    s.add(3, queue="mail")
    s.add(2, queue="bulk", delay=60.0)
    monkeypatch.delattr("dray.store.sql.find.FindPlans.sift")
    assert insight.count() == Count(9, True, None, {"scheduled": 2, "ready": 3, "failed": 4})
    assert insight.count("state:ready,failed queue:m*").states == {"ready": 3, "failed": 4}
    assert insight.count("state:failed -queue:mail").n == 0
    assert insight.count(Filter(queue="bulk")).n == 2


def test_the_rest_is_looked_at(s: Scene, insight: Both) -> None:
    s.add(30, task="a")
    s.add(5, task="b")
    assert insight.count("task:b") == Count(5, True, None, {"ready": 5})
    assert insight.count("task:a", most=10) == Count(5, False, 10, {"ready": 5})
    assert insight.count("task:a", most=None).n == 30


def test_a_count_is_in_many_short_transactions(s: Scene, insight: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dray.insight.jobs.LOOKS", 7)
    s.add(30, task="a")
    s.add(5, task="b")
    assert insight.count("task:a") == Count(30, True, None, {"ready": 30})


# -- acting on many


def test_a_bulk_touches_every_job_that_matches_once(s: Scene, insight: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dray.insight.act.AT_ONCE", 7)
    monkeypatch.setattr("dray.insight.act.LOOKS", 10)
    jobs = failed(s, 40)
    others = s.add(5)
    told: list[tuple[int, int]] = []
    report = insight.bulk("state:failed", "retry", progress=lambda *now: told.append(now))
    assert report == BulkReport(40, {"ready": 40})
    assert s.states(jobs) == [State.READY] * 40
    assert all(len(s.history(id_)) == 1 for id_ in jobs), "each began one new life"
    assert s.states(others) == [State.READY] * 5
    assert told[-1] == (40, 40)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {total for _, total in told} == {40}
    assert audited(s) == [("ann", "retry", "state:failed", "40 ready")]


def test_what_comes_in_meanwhile_is_left_alone(s: Scene, insight: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dray.insight.act.AT_ONCE", 2)
    monkeypatch.setattr("dray.insight.act.LOOKS", 2)
    s.add(8)
    late: list[bytes] = []
    report = insight.bulk("state:ready", "cancel", progress=lambda done, _: late.extend(s.add(1)), reason="all of them")
    assert report.answers == {"cancelled": 8}
    assert late
    assert s.states(late) == [State.READY] * len(late)
    assert audited(s)[0][3] == "8 cancelled (all of them)"


def test_a_running_job_is_not_deleted(s: Scene, insight: Both) -> None:
    jobs = s.add(3)
    s.claim_one(s.enter())
    assert insight.bulk("", "delete") == BulkReport(3, {"deleted": 2, "running": 1})
    assert s.state(jobs[0]) is State.RUNNING
    assert s.do(s.plans.counts) == {"default": {"running": 1}}


def test_jobs_by_id(s: Scene, insight: Both) -> None:
    jobs = [ids.to_text(id_) for id_ in s.add(3)]
    unknown = ids.to_text(ids.new_id())
    told: list[tuple[int, int]] = []
    report = insight.bulk([*jobs, unknown, jobs[0]], "cancel", progress=lambda *now: told.append(now))
    assert report == BulkReport(4, {"cancelled": 3, "unknown": 1})
    assert told == [(4, 4)]
    (entry,) = audited(s)
    assert entry[2].startswith("4 jobs: ")
    assert jobs[0] in entry[2]
    with pytest.raises(UnknownJob):
        insight.bulk(["no id"], "cancel")


def test_at_most_so_many(s: Scene, insight: Both) -> None:
    jobs = s.add(9)
    told: list[tuple[int, int]] = []
    assert insight.bulk("", "cancel", most=4, progress=lambda *now: told.append(now)) == BulkReport(4, {"cancelled": 4})
    assert s.states(jobs) == [State.READY] * 5 + [State.CANCELLED] * 4
    assert told[-1] == (4, 4)


def test_it_can_be_stopped_and_what_was_done_is_written_down(s: Scene, insight: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dray.insight.act.AT_ONCE", 2)
    s.add(9)

    def stop(done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        insight.bulk("", "cancel", progress=stop)
    assert s.do(s.plans.counts) == {"default": {"cancelled": 4, "ready": 5}}
    assert audited(s) == [("ann", "cancel", "", "4 cancelled")]


def test_a_cancelled_coroutine_stops_between_transactions(s: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dray.insight.act.AT_ONCE", 2)
    s.add(40)

    async def main() -> None:
        bulk = asyncio.create_task(Insight(s.store).abulk("", "cancel", progress=lambda done, _: done == 4 and bulk.cancel()))
        with pytest.raises(asyncio.CancelledError):
            await bulk

    asyncio.run(main())
    counts = s.do(s.plans.counts)["default"]
    assert counts["cancelled"] in (4, 6)  # the transaction that was asked for already is carried out
    assert s.do(s.plans.audits) == []  # nobody said who it was


@pytest.mark.parametrize(("what", "action"), [("state:no", "retry"), ("", "explode")])
def test_nonsense_is_refused_before_anything_is_done(s: Scene, insight: Both, what: str, action: Any) -> None:
    s.add(1)
    with pytest.raises(ConfigurationError):
        insight.bulk(what, action)
    assert audited(s) == []


# -- writing down


def test_each_verb_is_written_down_with_what_came_of_it(s: Scene, insight: Both) -> None:
    one, other = (ids.to_text(id_) for id_ in s.add(2))
    insight.cancel([one], "not needed")
    insight.retry([one])
    insight.delete([one, other])
    insight.pause("mail")
    assert insight.resume("mail") is True
    assert audited(s)[::-1] == [
        ("ann", "cancel", one, "1 cancelled (not needed)"), ("ann", "retry", one, "1 ready"),
        ("ann", "delete", f"2 jobs: {one}, {other}", "2 deleted"), ("ann", "pause queue", "mail", ""),
        ("ann", "resume queue", "mail", ""),
    ]  # fmt: skip
    assert {row.via for row in s.do(s.plans.audits)} == {"test"}


def test_a_queue_says_who_paused_it(s: Scene, insight: Both) -> None:
    insight.pause("mail")
    assert [queue.paused_by for queue in insight.queues()] == ["ann"]
    s.end(s.claim_one(s.enter()), DONE) if s.add(1) else None
    assert insight.job(insight.jobs("state:succeeded").jobs[0].id).state is State.SUCCEEDED
    assert insight.resolve(insight.jobs().jobs[0].id[:13]) == insight.jobs().jobs[0].id
