"""Workers on Redis that have nothing to do, how they are woken, and how many connections they have when there is a lot."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness import Place, eventually, new_url, sockets
from redis_keys import client_of

from dray import Dray, JobHandle
from dray.model.job import Executor
from dray.store import remote
from dray.store.redis.place import place_of
from dray.store.values import NodeEntry, Want

if TYPE_CHECKING:
    from servers.redis import Server

ASKED = ("evalsha", "eval", "ping", "subscribe", "unsubscribe", "script|load")  # what clients ask for, not what scripts do
CODE = """
@app.task
async def note(n):
    mark("note", n, time.time())

@app.task
def enqueues(n, more):
    for m in range(more):
        note.enqueue(n)
    mark("end", n)

@app.task
async def aenqueues(n, more):
    await asyncio.gather(*(note.aenqueue(n) for _ in range(more)))
    mark("end", n)
"""


@pytest.fixture
def server(new_redis: Any) -> Server:
    """One whose clients and commands are ours alone."""
    found: Server = new_redis(durable=False)
    return found


@pytest.fixture
def place(tmp_path: Path, server: Server) -> Iterator[Place]:
    with new_url("redis", tmp_path, lambda: server) as url:
        found = Place(tmp_path, url)
        yield found
        found.close()


def asked(server: Server) -> int:
    """How many commands clients have asked for."""
    stats = server.client.info("commandstats")
    return sum(stats[f"cmdstat_{name}"]["calls"] for name in ASKED if f"cmdstat_{name}" in stats)


def test_an_idle_node_is_at_rest(place: Place, server: Server) -> None:
    """At most a command a second of supervisor and worker process each, maintenance included."""
    place.code(CODE)
    worker = place.start()
    place.enqueue("note", 1).result(timeout=10)
    place.app.close()
    quiet = time.monotonic()
    eventually(lambda: time.monotonic() - quiet > 4.5, what="some rest")
    before, began, most = asked(server), time.monotonic(), 0
    while time.monotonic() - began < 8:
        time.sleep(0.1)
        most = max(most, *(sockets(pid, server.port) for pid in (worker.pid, worker.child())))
    there = asked(server) - before
    print(f"{there / 8:.1f} commands a second at rest, {most} connections")
    assert 3 <= there <= 16 + 12, "the latter for the figures, which are seen to once a minute"
    assert most <= 3


@pytest.fixture
def others(place: Place) -> Iterator[Dray]:
    """The same app as another process would have it: with connections of its own."""
    app = Dray(place.url)

    @app.task(name="note")
    async def note(n: int) -> None: ...

    @app.task(name="fails", max_attempts=1)
    async def fails() -> None: ...

    yield app
    app.close()


class Sleeper:
    """A worker that looks for jobs by itself only after a minute."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("FIRST_GLANCE", "RARELY", "OFTEN"):
            monkeypatch.setattr(remote, name, 60.0)
        self.app, self.ran = Dray(url), threading.Semaphore(0)

        @self.app.task(name="note")
        async def note(n: int) -> None:
            self.ran.release()

        @self.app.task(name="fails", max_attempts=1)
        async def fails() -> None:
            self.ran.release()
            raise ValueError("no luck")

    @property
    def ear(self) -> remote.Ear:
        return self.app.store.bell.ear  # type: ignore[attr-defined,no-any-return]

    def asleep(self) -> None:
        """Wait until it sleeps, and the server knows."""
        channel = f"{place_of(self.app.url).namespace}:work"
        eventually(lambda: self.ear._asleep["work"] > 0 and "work" in self.ear.held, what="it sleeps")
        with client_of(self.app.url) as client:
            eventually(lambda: client.pubsub_numsub(channel)[0][1] == 1, what="the server knows")

    def woken(self, name: str, way: Callable[[], object], n: int = 1) -> None:
        """It sleeps, and `way` makes it run n jobs at once."""
        self.asleep()
        began = time.monotonic()
        way()
        for _ in range(n):
            assert self.ran.acquire(timeout=10), f"{name} has not woken it"
        print(f"{name}: {time.monotonic() - began:.3f} s")


@pytest.fixture
def sleeper(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sleeper]:
    found = Sleeper(place.url, monkeypatch)
    yield found
    found.app.close()


def test_whatever_makes_work_wakes_a_sleeping_worker(sleeper: Sleeper, others: Dray) -> None:
    there = others.task_named("note")
    store = others.store
    hands = store.run(store.plans.enter, NodeEntry("hands", "here", 1, {}))
    there.enqueue(-1)
    (held,) = store.run(store.plans.claim, Want(dict.fromkeys(Executor, 1), None, frozenset({"note"})), hands).jobs
    failed: JobHandle[Any] = others.task_named("fails").enqueue()

    def paused_and_resumed() -> None:
        others.insight.pause("default")
        there.enqueue(1)
        assert not sleeper.ran.acquire(timeout=0.1)
        others.insight.resume("default")

    def schedule(run: bool) -> None:
        others.schedules.put("soon", there.call(1), "every 1h" if run else "every 1s")
        if run:
            others.schedules.run_now("soon")

    ways: dict[str, tuple[Callable[[], object], int]] = {
        "enqueue": (lambda: there.enqueue(1), 1),
        "aenqueue": (lambda: asyncio.run(there.aenqueue(1)), 1),
        "a few": (lambda: others.enqueue_many(there.call(n) for n in range(7)), 7),
        "many": (lambda: others.enqueue_many(there.call(n) for n in range(1200)), 1200),
        "aenqueue many": (lambda: asyncio.run(others.aenqueue_many(there.call(n) for n in range(300))), 300),
        "delayed": (lambda: there.using(delay=0.3).enqueue(1), 1),
        "release": (lambda: store.run(store.plans.release, [held]), 1),
        "retry": (lambda: others.insight.retry([failed.id]), 1),
        "resume": (paused_and_resumed, 1),
        "a schedule, by hand": (lambda: schedule(True), 1),
        "a schedule": (lambda: schedule(False), 1),
    }
    with sleeper.app.worker(concurrency=2):
        assert sleeper.ran.acquire(timeout=5)
        eventually(lambda: failed.refresh().info.state == "failed")
        for name, (way, n) in ways.items():
            sleeper.woken(name, way, n)
        others.schedules.remove("soon")


def ears(server: Server) -> list[str]:
    """The connections on which somebody listens, by id."""
    return [client["id"] for client in server.client.client_list(_type="pubsub")]


def test_it_is_woken_also_after_its_connections_were_killed(sleeper: Sleeper, others: Dray, server: Server) -> None:
    there = others.task_named("note")
    with sleeper.app.worker(concurrency=2):
        sleeper.woken("before", lambda: there.enqueue(1))
        for n in range(3):
            sleeper.asleep()
            old = ears(server)
            assert server.kill_clients() > 0
            eventually(lambda old=old: ears(server) not in ([], old), what="it hears again")
            sleeper.woken(f"kill {n}", lambda: there.enqueue(1))


def test_what_comes_while_nobody_can_hear_is_found_soon(sleeper: Sleeper, others: Dray, server: Server) -> None:
    """Who lost the connection looks when it is there again."""
    there = others.task_named("note")
    with sleeper.app.worker(concurrency=2):
        for _ in range(20):
            sleeper.asleep()
            server.command("CLIENT", "KILL", "TYPE", "pubsub")
            there.enqueue(1)
            assert sleeper.ran.acquire(timeout=5)


def test_picking_up(place: Place) -> None:
    place.code(CODE)
    place.start()
    place.enqueue("note", 0).result(timeout=10)
    took = []
    for n in range(1, 16):
        time.sleep(0.15)
        began = time.time()
        place.enqueue("note", n)
        took.append(float(place.wait_mark("note", n + 1)[n][4]) - began)
    took.sort()
    print(f"from before the enqueue to the start of the function: median {took[7] * 1000:.1f} ms, most {took[-1] * 1000:.1f} ms")
    assert took[7] < 0.1


def test_at_most_three_connections_for_each_process(place: Place, server: Server) -> None:
    place.code(CODE)
    worker = place.start("--concurrency", "10", "--process-slots", "1")
    child = worker.child()
    seen = {child: 0, worker.pid: 0}
    jobs = [place.enqueue(task, n, 25) for n in range(30) for task in ("enqueues", "aenqueues")]

    def look() -> None:
        for pid in seen:
            seen[pid] = max(seen[pid], sockets(pid, server.port))

    while len(place.marks("end")) < len(jobs):
        look()
        time.sleep(0.005)
    eventually(lambda: len(place.marks("note")) == len(jobs) * 25)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        look()
        time.sleep(0.01)
    assert 2 <= seen[child] <= 3
    assert 1 <= seen[worker.pid] <= 2, "nobody sleeps in a supervisor, so that it need not listen"
