"""The short way to some jobs: it takes what the usual way would take, and leaves alone whatever needs more than a claim."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from on_postgres import with_schema

from dray.model.clock import ManualClock
from dray.model.job import Executor, State
from dray.store.open import open_store
from dray.store.postgres.grab import grab
from dray.store.values import Catch, Want
from dray.testing.suite.scene import DONE, TASK, Scene

if TYPE_CHECKING:
    from servers.postgres import Cluster


@pytest.fixture
def url(postgres: Cluster, database: Callable[..., str]) -> str:
    return database(postgres, with_schema(postgres))


@pytest.fixture
def s(url: str) -> Iterator[Scene]:
    clock = ManualClock()
    store = open_store(url, clock=clock)
    try:
        yield Scene(store, clock, "sync")
    finally:
        store.close()


def wanted(n: int = 10, queues: tuple[str, ...] | None = None, **slots: int) -> Want:
    kinds = {Executor[name.upper()]: room for name, room in slots.items()} or {Executor.ASYNC: n}
    return Want(kinds, queues, frozenset({TASK}))


def grabbed(s: Scene, node: int, want: Want | None = None) -> Catch | None:
    catch: Catch | None = s.do(functools.partial(grab, s.plans), want or wanted(), node)  # type: ignore[arg-type]
    s.check_counts()
    return catch


def test_it_takes_what_the_usual_way_would_take(s: Scene) -> None:
    node = s.enter()
    late, early, top = s.add_one(), s.add_one(at=s.clock.wall() - 5), s.add_one(priority=3, args=b'{"n":2}', tags='["x"]')
    catch = grabbed(s, node)
    assert catch is not None
    assert [job.id for job in catch.jobs] == [top, early, late]
    first = catch.jobs[0]
    assert (first.attempt, first.claim, first.losses, first.args, first.tags) == (1, 1, 0, b'{"n":2}', '["x"]')
    assert (first.queue, first.executor, first.rank, first.started) == ("default", Executor.ASYNC, -3, s.clock.wall())
    assert (catch.next_due, catch.now, catch.expelled) == (None, s.clock.wall(), False)
    assert s.states([late, early, top]) == [State.RUNNING] * 3
    assert s.info(top).node == node
    assert grabbed(s, s.enter("other")) is None
    assert s.end(first, DONE) == []
    s.check_counts()


def test_no_more_than_there_is_room_for(s: Scene) -> None:
    node = s.enter()
    ids = s.add(5)
    catch = grabbed(s, node, wanted(3))
    assert catch is not None
    assert [job.id for job in catch.jobs] == ids[:3]
    assert catch.next_due == 0.0, "there may be more"
    s.add(5, executor=Executor.THREAD)
    catch = grabbed(s, node, wanted(ASYNC=9, THREAD=2))
    assert catch is not None
    kinds = [job.executor for job in catch.jobs]
    assert kinds.count(Executor.THREAD) <= 2
    assert catch.next_due == 0.0


def test_only_from_the_queues_that_are_wanted(s: Scene) -> None:
    node = s.enter()
    a, b, _ = s.add_one(queue="a"), s.add_one(queue="b"), s.add_one(queue="c")
    catch = grabbed(s, node, wanted(10, ("b", "a")))
    assert catch is not None
    assert [job.id for job in catch.jobs] == [b, a]
    assert grabbed(s, node, wanted(10, ("b", "a", "d"))) is None


LEFT: dict[str, Callable[[Scene], Any]] = {
    "nothing": lambda s: None,
    "scheduled": lambda s: s.add_one(delay=5.0),
    "due by now": lambda s: (s.add_one(delay=1.0), s.clock.advance(2)),
    "expired": lambda s: (s.add_one(expires_in=1.0), s.clock.advance(1)),
    "unknown": lambda s: s.add_one(task="other"),
    "paused": lambda s: (s.add_one(), s.do(s.plans.pause, "default")),
    "of another kind": lambda s: s.add_one(executor=Executor.PROCESS),
    "parked": lambda s: (s.add_one(task="other"), s.catch(s.enter("x"))),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_needs_more_is_left_alone(s: Scene, what: str) -> None:
    node = s.enter()
    LEFT[what](s)
    before = s.do(s.plans.counts)
    assert grabbed(s, node) is None
    assert s.do(s.plans.counts) == before


def test_what_is_left_alone_does_not_hide_the_rest(s: Scene) -> None:
    node = s.enter()
    s.add(3, task="other")
    s.add(3, expires_in=1.0)
    s.clock.advance(1)
    s.add_one(queue="closed")
    s.do(s.plans.pause, "closed")
    mine = s.add_one()
    catch = grabbed(s, node)
    assert catch is not None
    assert [job.id for job in catch.jobs] == [mine]


def test_who_has_lost_his_lease_gets_nothing(s: Scene) -> None:
    node = s.enter()
    s.add(2)
    s.clock.advance(3600)
    assert grabbed(s, node) is None, "the lease has run out: the usual way renews it"
    assert len(s.claim(node, 1)) == 1
    assert grabbed(s, node) is not None, "… and it has been renewed"
    assert grabbed(s, node + 1000) is None
    assert s.do(s.plans.exchange, [], wanted(), node + 1000)[1] == Catch([], None, s.clock.wall(), expelled=True)


def test_nobody_waits_for_a_job_that_another_takes(s: Scene, url: str) -> None:
    node = s.enter()
    first, second = s.add(2)
    with psycopg.connect(url) as other:
        other.execute("select from dray.dray_job where id = %s for update", (first,))
        catch = grabbed(s, node)
        assert catch is not None
        assert [job.id for job in catch.jobs] == [second]


def test_the_usual_way_is_gone_at_every_other_claim(s: Scene) -> None:
    """However many jobs come: what has become due, or is parked for a task that is known, does not wait for them to end."""
    node = s.enter()
    waits = [s.add_one(delay=1.0), s.add_one(task="new")]
    s.claim(s.enter("x"))
    s.clock.advance(2)
    want = Want({Executor.ASYNC: 3}, None, frozenset({TASK, "new"}))
    got: list[bytes] = []
    for _ in range(4):
        s.add(3)
        _, catch = s.do(s.plans.exchange, [], want, node)
        assert catch is not None
        got += [job.id for job in catch.jobs]
        s.check_counts()
    assert set(waits) <= set(got)
    assert len(got) == len(set(got))


def test_an_exchange_takes_the_short_way(s: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """… when the one before has found nothing that needs more; and goes the usual one when that gave nothing."""
    node = s.enter()
    s.add_one()
    plans: Any = s.plans
    asked: list[str] = []
    monkeypatch.setattr(plans, "say", Noting(plans.say, asked))
    for expected in (["survey"], ["grab", "survey"], ["grab"], ["survey"]):
        asked.clear()
        if expected == ["grab"]:
            s.add_one()
        s.do(s.plans.exchange, [], wanted(), node)
        assert [name for name in asked if name in ("grab", "survey")] == expected


class Noting:
    """Sentences that note which of them are said."""

    def __init__(self, say: Any, asked: list[str]) -> None:
        self._say = say
        self._asked = asked

    def __getattr__(self, name: str) -> str:
        self._asked.append(name)
        return str(getattr(self._say, name))
