"""Workers on PostgreSQL that have nothing to do, how they are woken, and how many connections they have when there is a lot."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from harness import Place, eventually, new_url, sockets, straight_at

from dray import Dray, JobHandle
from dray.store import remote

if TYPE_CHECKING:
    from servers.postgres import Cluster

OPEN = "select state, query from pg_stat_activity where datname = %s and clock_timestamp() - xact_start > '0.5s'"
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
def place(tmp_path: Path, postgres: Cluster) -> Iterator[Place]:
    with new_url("postgres", tmp_path, lambda: postgres) as url:
        found = Place(tmp_path, url)
        yield found
        found.close()


def test_an_idle_node_is_at_rest(tmp_path: Path, new_cluster: Any) -> None:
    """At most a query a second, of supervisor and worker process together, maintenance included; and nobody stays in a
    transaction."""
    server: Cluster = new_cluster(durable=False, settings={"log_statement": "all"})
    with new_url("postgres", tmp_path, lambda: server) as url:
        place = Place(tmp_path, url)
        try:
            place.code(CODE)
            place.start()
            eventually(lambda: place.query("select 1 from dray_leader"), what="it leads too")
            place.enqueue("note", 1).result(timeout=10)
            place.app.close()
            name = urlsplit(url).path.lstrip("/")
            quiet = time.monotonic()
            eventually(lambda: time.monotonic() - quiet > 4.5, what="some rest")
            before, began = statements(server, name), time.monotonic()
            while time.monotonic() - began < 10:
                time.sleep(0.05)
                assert server.execute(OPEN, name) == []
            there = statements(server, name)[len(before) :]
            print(f"{len(there) / 10:.1f} queries a second at rest")
            # One more may fall into any ten seconds; and the figures, which are seen to once a minute.
            assert 3 <= len(there) <= 11 + 12, "\n".join(there)
        finally:
            place.close()


def statements(server: Cluster, database: str) -> list[str]:
    """What has been asked for in a database, from the server's log."""
    lines = server.log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if re.search(rf"\] {database} LOG:  (statement|execute [^:]*):", line)]


@pytest.fixture
def others(place: Place) -> Iterator[Dray]:
    """The same app as another process would have it: with connections of its own."""
    app = Dray(place.url)

    @app.task(name="note")
    async def note(n: int) -> None: ...

    yield app
    app.close()


def test_whatever_makes_work_wakes_a_sleeping_worker(
    place: Place, others: Dray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a hint: it would look by itself only after a minute."""
    monkeypatch.setattr(remote, "FIRST_GLANCE", 60.0)
    monkeypatch.setattr(remote, "RARELY", 60.0)
    app, ran = Dray(place.url), threading.Semaphore(0)

    @app.task(name="note")
    async def note(n: int) -> None:
        ran.release()
        if n < 0:
            raise ValueError("no luck")

    @others.task(name="fails", max_attempts=1)
    async def fails() -> None: ...

    @app.task(name="fails", max_attempts=1)
    async def fails_here() -> None:
        ran.release()
        raise ValueError("no luck")

    there = others.task_named("note")

    def commit(statement: Callable[[], object]) -> None:
        with psycopg.connect(place.url) as connection, others.bind(connection):
            statement()
            assert not ran.acquire(timeout=0.1)

    failed: JobHandle[None] = fails.enqueue()
    with app.worker(concurrency=2) as worker:
        assert ran.acquire(timeout=5)
        assert worker is not None
        eventually(lambda: failed.refresh().info.state == "failed")

        def paused_and_resumed() -> None:
            others.insight.pause("default")
            there.enqueue(1)
            time.sleep(0.1)
            others.insight.resume("default")

        ways: dict[str, tuple[Callable[[], object], int]] = {
            "enqueue": (lambda: there.enqueue(1), 1),
            "aenqueue": (lambda: asyncio.run(there.aenqueue(1)), 1),
            "a few": (lambda: others.enqueue_many(there.call(n) for n in range(7)), 7),
            "many": (lambda: others.enqueue_many(there.call(n) for n in range(500)), 500),
            "delayed": (lambda: there.using(delay=0.3).enqueue(1), 1),
            "retry": (lambda: others.insight.retry([failed.id]), 1),
            "resume": (paused_and_resumed, 1),
            "commit": (lambda: commit(lambda: there.enqueue(1)), 1),
            "commit of many": (lambda: commit(lambda: others.enqueue_many(there.call(n) for n in range(250))), 250),
        }
        for name, (way, n) in ways.items():
            asleep(app)
            began = time.monotonic()
            way()
            for _ in range(n):
                assert ran.acquire(timeout=10), f"{name} has not woken it"
            print(f"{name}: {time.monotonic() - began:.3f} s")
    app.close()


def asleep(app: Dray) -> None:
    """Wait until the worker of an app sleeps, and others see it."""
    ear: remote.Ear = app.store.bell.ear  # type: ignore[attr-defined]
    eventually(lambda: ear.hears and ear._asleep["work"] > 0, what="it sleeps")
    eventually(
        lambda: straight_at(
            app.store.url, "select 1 from pg_locks l join pg_database d on d.oid = l.database "
            "where locktype = 'advisory' and objid = 1 and granted and d.datname = current_database()",
        ), what="it is seen to sleep",
    )  # fmt: skip


def test_a_commit_that_comes_late_is_found_by_looking(place: Place, others: Dray) -> None:
    """When the job was enqueued nobody slept, so that there was no hint; it is committed while everybody sleeps."""
    app, ran = Dray(place.url), threading.Semaphore(0)

    @app.task(name="note")
    async def note(n: int) -> None:
        ran.release()

    with psycopg.connect(place.url) as connection:
        with others.bind(connection):
            others.task_named("note").enqueue(0)
        with app.worker(concurrency=1):
            asleep(app)
            assert not ran.acquire(timeout=1.0)
            connection.commit()
            began = time.monotonic()
            assert ran.acquire(timeout=10)
            print(f"found {time.monotonic() - began:.2f} s after the commit")
            assert time.monotonic() - began < 3
    app.close()


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


def test_at_most_three_connections_for_each_process(place: Place, postgres: Cluster) -> None:
    place.code(CODE)
    worker = place.start("--concurrency", "10", "--process-slots", "1")
    child = worker.child()
    seen = {child: 0, worker.pid: 0}
    jobs = [place.enqueue(task, n, 25) for n in range(30) for task in ("enqueues", "aenqueues")]
    while len(place.marks("end")) < len(jobs):
        for pid in seen:
            seen[pid] = max(seen[pid], sockets(pid, postgres.port))
        time.sleep(0.005)
    eventually(lambda: len(place.marks("note")) == len(jobs) * 25)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        for pid in seen:
            seen[pid] = max(seen[pid], sockets(pid, postgres.port))
        time.sleep(0.01)
    assert 2 <= seen[child] <= 3
    assert 1 <= seen[worker.pid] <= 2, "nobody sleeps in a supervisor, so that it need not listen"
