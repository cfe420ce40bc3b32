"""A Redis server whose memory is full: nothing new comes in, and what has begun can be brought to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from on_redis import KINDS

from dray.errors import StoreUnavailable
from dray.model.clock import ManualClock
from dray.model.job import State
from dray.model.outcome import Cancelled, Snoozed
from dray.store.redis.place import place_of
from dray.store.redis.store import RedisStore
from dray.testing.suite.scene import DONE, Scene, new_jobs, raised

if TYPE_CHECKING:
    from servers.redis import Server

REFUSED = "is out of memory, and takes nothing new; raise its maxmemory, or let finished jobs be kept for less long"


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, new_redis: Callable[..., Server]) -> Server:
    return new_redis(request.param, durable=False)


@pytest.fixture
def s(server: Server) -> Iterator[Scene]:
    clock = ManualClock()
    store = RedisStore(place_of(f"{server.url}?risk=persistence"), clock=clock)
    scene = Scene(store, clock, "sync")
    yield scene
    scene.check_counts()
    scene.driver.close()
    store.close()


def fill(server: Server) -> None:
    """All of its memory is used."""
    server.command("CONFIG", "SET", "maxmemory", 1)


def test_nothing_new_comes_in(s: Scene, server: Server) -> None:
    s.add(3)
    fill(server)
    for n in (1, 600):
        with pytest.raises(StoreUnavailable, match=REFUSED):
            s.do(s.plans.add, new_jobs(n))
    with pytest.raises(StoreUnavailable, match=REFUSED):
        asyncio.run(s.store.arun(s.store.plans.add, new_jobs(1)))
    assert s.do(s.plans.counts) == {"default": {"ready": 3}}
    server.command("CONFIG", "SET", "maxmemory", 0)
    s.add(2)
    assert s.do(s.plans.counts) == {"default": {"ready": 5}}


def test_workers_go_on(s: Scene, server: Server) -> None:
    """Jobs are claimed, ended well or badly and given back; leases and the lead are renewed, and who begins can begin."""
    s.add(5)
    node = s.enter()
    fill(server)
    other = s.enter()
    assert s.do(s.plans.elect, "maintenance", "a")
    ends, fails, again, sleeps, back = s.claim(node, 5)
    assert s.end(ends, DONE) == s.end(fails, raised(final=True)) == s.end(again, raised()) == s.end(sleeps, Snoozed(60.0)) == []
    s.do(s.plans.release, [back])
    assert s.states([job.id for job in (ends, fails, again, sleeps, back)]) == [
        State.SUCCEEDED, State.FAILED, State.SCHEDULED, State.SCHEDULED, State.READY,
    ]  # fmt: skip
    for _ in range(3):
        s.clock.advance(14.0)
        assert s.do(s.plans.extend, {node: 0.0, other: 0.0}).expelled == frozenset()
        assert s.do(s.plans.elect, "maintenance", "a")
        assert s.do(s.plans.rescue) == []
    (job,) = s.claim(other, 1)
    s.do(s.plans.cancel, [sleeps.id])
    assert s.end(job, DONE) == []
    s.do(s.plans.leave, node)
    s.clock.advance(30 * 86_400.0)
    while s.do(s.plans.prune):
        pass
    assert s.do(s.plans.get, ends.id) is None


def test_a_job_asked_to_stop_can_stop(s: Scene, server: Server) -> None:
    s.add(1)
    node = s.enter()
    job = s.claim_one(node)
    s.do(s.plans.cancel, [job.id])
    fill(server)
    assert [order.claim for order in s.do(s.plans.extend, {node: 0.0}).cancels[node]] == [job.claim]
    assert s.end(job, Cancelled("enough")) == []
    assert s.state(job.id) is State.CANCELLED
