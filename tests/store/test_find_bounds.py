"""A search that finds little stops at its bound, says how far it came, and goes on from there without losing or repeating a job."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from dray.model import ids
from dray.model.clock import ManualClock
from dray.model.filter import Filter, Term, matches
from dray.model.job import State
from dray.store.postgres.place import place_of
from dray.store.postgres.store import PostgresStore
from dray.store.protocol import Store
from dray.store.redis.place import place_of as redis_place_of
from dray.store.redis.store import RedisStore
from dray.store.sqlite.store import SqliteStore
from dray.testing.suite.find import each_word, pages, some_jobs
from dray.testing.suite.scene import Scene

NOWHERE = Filter(text="nowhere to be found")


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def s(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A store whose searches look at a few jobs at a time."""
    clock = ManualClock()
    made: Store
    if request.param == "sqlite":
        made = SqliteStore(None, clock=clock)
    elif request.param == "postgres":
        from on_postgres import with_schema

        cluster = request.getfixturevalue("postgres")
        new: Callable[..., str] = request.getfixturevalue("database")
        made = PostgresStore(place_of(new(cluster, with_schema(cluster))), clock=clock, migrate=False)
    else:
        server = request.getfixturevalue("valkey")
        monkeypatch.setattr("dray.store.redis.find.EFFORT", 12)
        monkeypatch.setattr("dray.store.redis.find.EFFORT_IN_ALL", 30)
        monkeypatch.setattr("dray.store.redis.find.FEW", 3)
        with server.fresh() as url:
            yield from _scene(RedisStore(redis_place_of(f"{url}&risk=persistence"), clock=clock), clock)
        return
    for name, value in (("GLANCE", 2), ("MOST", 5), ("NEWEST", 4), ("FEW", 3), ("ALIKE", 3), ("AT_ONCE", 4), ("READ", 6)):
        monkeypatch.setattr(f"dray.store.sql.find.{name}", value)
    monkeypatch.setattr("dray.store.sql.find.FindPlans.looks_at", (10, 12, 15))
    monkeypatch.setattr("dray.store.postgres.find.FindPlans.looks_at", (10, 12, 15))
    yield from _scene(made, clock)


def _scene(store: Store, clock: ManualClock) -> Iterator[Scene]:
    scene = Scene(store, clock, "sync")
    yield scene
    scene.driver.close()
    store.close()


def test_it_says_how_many_jobs_were_looked_at_and_goes_on(s: Scene) -> None:
    all_ = s.add(40)
    first = s.do(s.plans.find, NOWHERE, 10)
    assert (first.jobs, first.next is not None) == ([], True)
    assert 0 < (first.searched or 0) < 40
    looked = [page.searched for page in pages(s, NOWHERE, 10)]
    assert looked[-1] is None
    assert 40 - 15 <= sum(n or 0 for n in looked) <= 40
    oldest = s.info(all_[0])
    one = Filter(terms=(Term("parent", (oldest.id,)),))
    s.add(1, parent=all_[0])
    s.add(30)
    found = [job for page in pages(s, one, 10) for job in page.jobs]
    assert [job.parent for job in found] == [oldest.id]


def test_a_page_that_is_full_was_not_stopped(s: Scene) -> None:
    s.add(40)
    page = s.do(s.plans.find, Filter(), 5)
    assert (len(page.jobs), page.searched) == (5, None)


def test_nothing_is_lost_or_repeated_where_searches_stop(s: Scene) -> None:
    chance = random.Random(11)
    added = some_jobs(s, chance)
    jobs = [s.info(id_) for id_ in reversed(added)]
    now, workers = s.clock.wall(), {node.id: node.name for node in s.do(s.plans.nodes)}
    stopped = 0
    for what in chance.sample(list(each_word()), 60):
        wanted = [job.id for job in jobs if matches(what, job, now, workers)]
        found = list(pages(s, what, 7))
        assert [job.id for page in found for job in page.jobs] == wanted, what
        stopped += any(page.searched is not None for page in found)
    assert stopped > 20


def test_sift_looks_at_so_many_and_no_more(s: Scene) -> None:
    all_ = s.add(40)
    some = s.do(s.plans.sift, Filter(), 10)
    assert 10 <= some.searched <= 25
    assert [id_ for id_, _ in some.jobs] == all_[::-1][: some.searched]
    assert {state for _, state in some.jobs} == {State.READY}
    assert some.next is not None
    rest = s.do(s.plans.sift, Filter(), 100, some.next)
    assert [id_ for id_, _ in rest.jobs] == all_[::-1][some.searched :]
    assert rest.next is None
    assert s.do(s.plans.sift, NOWHERE, 100).jobs == []
    assert ids.to_text(all_[0]) == s.info(all_[0]).id
