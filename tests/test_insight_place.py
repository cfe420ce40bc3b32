"""Insight's questions about the whole, and what it does to what is not a job; each thing done is in the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dray import Dray
from dray.errors import ConfigurationError, UnknownJob, UnknownSchedule, UnknownWorker
from dray.insight import Insight
from dray.insight.place import BAD, GOOD, NOTE, health
from dray.store.values import NodeInfo, QueueInfo, ScheduleRow

NOW = 1_800_000_000_000_000
S = 1_000_000


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Dray]:
    app = Dray(f"sqlite:///{tmp_path / 'jobs.db'}")

    @app.schedule("0 7 * * mon", name="nightly")
    @app.task(name="send", queue="mail")
    async def send(n: int = 0) -> int:
        return n

    app.schedules.put_declared()
    with closing(app):
        yield app


@pytest.fixture
def insight(app: Dray) -> Insight:
    return Insight(app.store, by="ada", via="test")


def done(insight: Insight) -> list[tuple[str, str, str]]:
    return [(entry.by, entry.action, entry.target) for entry in insight.audits()]


def test_schedules(insight: Insight) -> None:
    assert [row.name for row in insight.schedules()] == ["nightly"]
    insight.pause_schedule("nightly")
    assert insight.schedule("nightly").paused
    insight.resume_schedule("nightly")
    assert not insight.schedule("nightly").paused
    id_ = insight.run_schedule("nightly")
    assert insight.job(id_).schedule == "nightly"
    insight.remove_schedule("nightly")
    for verb in (insight.schedule, insight.pause_schedule, insight.resume_schedule, insight.run_schedule, insight.remove_schedule):
        with pytest.raises(UnknownSchedule, match="nightly"):
            verb("nightly")
    actions = ("remove schedule", "run schedule", "resume schedule", "pause schedule")
    assert done(insight) == [("ada", action, "nightly") for action in actions]


def test_both_colours_do_the_same(insight: Insight) -> None:
    async def all_of_it() -> None:
        assert [row.name for row in await insight.aschedules()] == ["nightly"]
        await insight.apause_schedule("nightly")
        assert (await insight.aschedule("nightly")).paused
        await insight.aresume_schedule("nightly")
        id_ = await insight.arun_schedule("nightly")
        again = await insight.aagain(id_, {"n": 3})
        assert (await insight.ajob(again)).args == {"n": 3}
        assert await insight.aedit(again, priority=4)
        assert (await insight.ajob(again)).priority == 4
        await insight.aremove_schedule("nightly")
        with pytest.raises(UnknownWorker, match="77"):
            await insight.aask_worker(77, "dump")
        assert await insight.aworker_said(77) is None
        assert (await insight.aoverview()).total("ready") == 2
        assert (await insight.aspace())[0].name
        assert len(await insight.aaudits()) == 6

    asyncio.run(all_of_it())


def test_a_job_is_run_again_or_changed(app: Dray, insight: Insight) -> None:
    old = app.tasks["send"].using(priority=7, tags=("vip",)).enqueue(1)
    new = insight.job(insight.again(old.id))
    assert (new.task, new.queue, new.args, new.priority, new.tags) == ("send", "mail", {"n": 1}, 7, ("vip",))
    assert insight.edit(new.id, args={"n": 2}, priority=-3, max_attempts=5)
    changed = insight.job(new.id)
    assert (changed.args, changed.priority, changed.max_attempts) == ({"n": 2}, -3, 5)
    assert done(insight) == [("ada", "edit", new.id), ("ada", "run again", old.id)]
    insight.cancel([new.id])
    assert not insight.edit(new.id, priority=1), "it waits no more"
    for wrong in ({"priority": 101}, {"max_attempts": 0}):
        with pytest.raises(ConfigurationError):
            insight.edit(old.id, **wrong)  # type: ignore[arg-type]
    for unknown in ("nonsense", "0193a5f2-0000-7000-8000-000000000000"):
        with pytest.raises(UnknownJob):
            insight.edit(unknown, priority=1)
        with pytest.raises(UnknownJob):
            insight.again(unknown)


def test_a_worker_answers(app: Dray, insight: Insight) -> None:
    with pytest.raises(ConfigurationError, match="dance"):
        insight.ask_worker(1, "dance")
    with app.worker():
        (node,) = insight.workers()
        insight.ask_worker(node.id, "dump")
        for _ in range(1000):
            if said := insight.worker_said(node.id):
                break
            app.tasks["send"].enqueue().result(timeout=10)
        else:
            pytest.fail("it has not answered")
        assert "Thread dray-pump" in said[1]
        overview = insight.overview()
        assert (overview.health.level, overview.slots) == (GOOD, sum(node.info["slots"].values()))


def test_without_a_name_nothing_is_written_down(app: Dray) -> None:
    app.insight.pause("mail")
    assert app.insight.audits() == []


def node(name: str = "w1", *, alive: bool = True, **info: Any) -> NodeInfo:
    return NodeInfo(1, name, "host", 1, alive, NOW, NOW, NOW, False, 0, info)


def queue(name: str, ready: int, waited: float = 0.0, paused: int | None = None) -> QueueInfo:
    return QueueInfo(name, {"ready": ready}, paused, None, NOW - int(waited * S) if ready else None)


def schedule(next_in: float, task: str = "send") -> ScheduleRow:
    return ScheduleRow("nightly", task, "q", 0, 0, 1, "every 1h", "UTC", b"{}", None, None, "one", 0, "skip", "api",
                       next=NOW + int(next_in * S))  # fmt: skip


@pytest.mark.parametrize(
    ("queues", "nodes", "schedules", "level", "words"),
    [
        ([], [], [], NOTE, "No worker is alive; nothing waits"),
        ([], [node()], [], GOOD, "All is well: 1 worker at work, nothing waits"),
        ([queue("q", 3)], [node()], [], GOOD, "3 jobs waiting"),
        ([queue("q", 1)], [], [], BAD, "No worker is alive, and 1 job waits"),
        ([queue("q", 2)], [node(queues=["other"])], [], BAD, "No worker looks into queue q, where 2 jobs wait"),
        ([queue("q", 2, 300)], [node()], [], NOTE, "Queue q is behind: its oldest job has waited 5m"),
        ([queue("q", 2, 300, paused=NOW)], [node()], [], NOTE, "Queue q is paused, and 2 jobs wait in it"),
        ([], [node()], [schedule(-600)], BAD, "nightly should have fired by now"),
        ([], [node(tasks=["other"])], [schedule(60)], NOTE, "known to no worker: send"),
    ],
)  # fmt: skip
def test_health_names_the_worst_first(
    queues: list[QueueInfo], nodes: list[NodeInfo], schedules: list[ScheduleRow], level: str, words: str
) -> None:
    told = health(NOW, queues, nodes, schedules)
    assert told.level == level
    assert words in told.text


def test_what_is_bad_comes_before_what_is_worth_a_note() -> None:
    told = health(NOW, [queue("a", 1, paused=NOW), queue("b", 1)], [node(queues=["a"])], [])
    assert told.level == BAD
    assert "queue b" in told.text
    assert "a is paused" in told.also[0]
