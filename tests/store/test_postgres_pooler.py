"""PgBouncer in transaction mode: everything works, nothing of a session is left behind, and it is found without being told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from on_postgres import with_schema
from postgres_watch import ask, asleep, opened, until

from dray import Dray
from dray.model.job import Claimed, Executor, State
from dray.model.lifecycle import Move
from dray.store.postgres.store import PostgresStore
from dray.store.values import NodeEntry, Want
from dray.testing.suite.scene import TASK, new_jobs

if TYPE_CHECKING:
    from servers.postgres import Cluster

Pooled = Callable[..., str]


@pytest.fixture
def url(postgres: Cluster, database: Any) -> str:
    return str(database(postgres, with_schema(postgres)))


@pytest.fixture
def pooled(postgres: Cluster, url: str) -> Iterator[Pooled]:
    """The URL of the database through a PgBouncer with two server connections."""
    from servers import Unavailable
    from servers.pgbouncer import PgBouncer

    with ExitStack() as stack:

        def through(**settings: object) -> str:
            try:
                bouncer = PgBouncer(postgres, pool_size=2, settings=settings)
            except Unavailable as lack:
                pytest.skip(str(lack))
            stack.callback(bouncer.close)
            return bouncer.url(urlsplit(url).path.lstrip("/"))

        yield through


def claimed(store: PostgresStore, node: int, n: int) -> list[Claimed]:
    return store.run(store.plans.claim, Want({Executor.ASYNC: n}, None, frozenset({TASK})), node).jobs


def done(jobs: list[Claimed]) -> list[Move]:
    return [Move(job.seq, job.claim, job.queue, State.SUCCEEDED, "returned") for job in jobs]


def life(store: PostgresStore) -> None:
    """What jobs go through in a store."""
    run, plans = store.run, store.plans
    node = run(plans.enter, NodeEntry("node", "host", 1))
    single, many = new_jobs(1), new_jobs(500)
    run(plans.add, single)
    run(plans.add, many)
    asyncio.run(store.arun(plans.add, new_jobs(20)))
    for _ in range(12):  # more often than it takes to have a statement prepared
        jobs = claimed(store, node, 5)
        assert len(jobs) == 5
        assert run(plans.exchange, done(jobs[1:]), None, node)[0] == []
        assert run(plans.settle, done(jobs)) == [job.seq for job in jobs[1:]], "the same a second time is stale"
        run(plans.add, new_jobs(1))
        assert run(plans.extend, {node: 0.0}).expelled == frozenset()
    (job,) = claimed(store, node, 1)
    run(plans.cancel, [job.id], "enough")
    assert [order.seq for order in run(plans.orders, node)] == [job.seq]
    assert [order.seq for order in run(plans.extend, {node: 0.0}).cancels[node]] == [job.seq]
    run(plans.release, [job])
    ending = run(plans.ending, job.id)
    assert ending is not None
    assert ending.state is State.CANCELLED
    assert run(plans.elect, "maintenance", "me")
    run(plans.tick)
    run(plans.rescue)
    run(plans.prune)
    run(plans.pause, "q")
    run(plans.resume, "q")
    held = claimed(store, node, 3)
    run(plans.bury, node, "killed", {(held[0].seq, held[0].claim)})
    counts = run(plans.counts)
    assert counts == run(plans.recount)
    assert counts["default"]["succeeded"] == 60


def left_behind(url: str) -> list[str]:
    """What sessions of PgBouncer's server connections still have, both of them."""
    found = []
    with psycopg.connect(url) as one, psycopg.connect(url) as other:
        for connection in (one, other):
            connection.prepare_threshold = None
            for what in (
                "select 'listens to ' || pg_listening_channels()",
                "select 'prepared ' || statement from pg_prepared_statements",
                "select 'set ' || name from pg_settings where source = 'session' and name like any"
                " (array['enable_%', 'statement_timeout', 'lock_timeout', 'idle_%', 'jit'])",
                "select 'locked ' || objid from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
            ):
                found += [text for (text,) in connection.execute(what).fetchall()]
    return found


@pytest.mark.parametrize("said", ["auto", "transaction"])
def test_a_whole_life(url: str, pooled: Pooled, said: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "dray")
    through = pooled()
    with opened(through, pooler=said) as store:
        life(store)
        assert store.session.lines.pooled
        assert all(line.connection.prepare_threshold is None for line in store.session.lines._all)
        with asleep(store, "work", "done") as listener:
            with opened(url) as direct:
                direct.run(direct.plans.add, new_jobs(1))
            store.run(store.plans.add, new_jobs(1))
            assert not listener.remote
            assert listener.wait(1), "in the same process it is heard all the same"
    assert left_behind(through) == []
    told = [record.message for record in caplog.records if "behind a pooler" in record.message]
    assert len(told) == (said == "auto")


def test_one_that_swallows_our_settings_is_found_by_its_answers(pooled: Pooled) -> None:
    through = pooled(ignore_startup_parameters="extra_float_digits,options")
    with opened(through) as store:
        life(store)
        assert store.session.lines.pooled
    assert left_behind(through) == []


def test_one_that_was_denied_is_found_by_what_it_forgets(pooled: Pooled) -> None:
    """The URL says that there is none, but statements do not stay prepared."""
    from servers import ServerFailed

    ignored = "extra_float_digits,options"
    try:
        through = pooled(ignore_startup_parameters=ignored, max_prepared_statements=0)
    except ServerFailed:  # before 1.21 it knew nothing of prepared statements, so that there is nothing to turn off
        through = pooled(ignore_startup_parameters=ignored)
    with opened(through, pooler="none") as store, ExitStack() as others:
        assert not store.session.lines.pooled
        node = store.run(store.plans.enter, NodeEntry("node", "host", 1))
        for _ in range(8):
            store.run(store.plans.add, new_jobs(1))
            store.run(store.plans.extend, {node: 0.0})
        busy = others.enter_context(psycopg.connect(through))
        for _ in range(2):  # now the other one of the two server connections is ours
            busy.execute("select 1")
            for _ in range(8):
                store.run(store.plans.add, new_jobs(1))
                store.run(store.plans.extend, {node: 0.0})
                store.run(store.plans.counts)
            busy.rollback()
            second = others.enter_context(psycopg.connect(through))
            second.execute("select 1")
            busy = second
        busy.rollback()
        assert store.session.lines.pooled
        assert store.run(store.plans.counts)["default"]["ready"] == 24


def test_many_clients_on_two_connections(url: str, pooled: Pooled) -> None:
    through = pooled()
    clients, each = 12, 25
    with ExitStack() as stack:
        stores = [stack.enter_context(opened(through)) for _ in range(clients)]
        errors: list[BaseException] = []

        def work(store: PostgresStore) -> None:
            try:
                node = store.run(store.plans.enter, NodeEntry("node", "host", 1))
                for n in range(each):
                    store.run(store.plans.add, new_jobs(1 + n % 3))
                    jobs = claimed(store, node, 4)
                    assert store.run(store.plans.exchange, done(jobs), None, node)[0] == []
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == []
        counts = stores[0].run(stores[0].plans.counts)
        assert counts == stores[0].run(stores[0].plans.recount)
        assert sum(counts["default"].values()) == clients * sum(1 + n % 3 for n in range(each))
    assert left_behind(through) == []


def test_it_restarts(pooled: Pooled, postgres: Cluster, url: str) -> None:
    from servers.pgbouncer import PgBouncer

    pooled()  # skips where there is none
    bouncer = PgBouncer(postgres, pool_size=2)
    try:
        with opened(bouncer.url(urlsplit(url).path.lstrip("/"))) as store:
            for _ in range(3):
                store.run(store.plans.add, new_jobs(1))
                bouncer.stop()
                again = threading.Timer(0.3, bouncer.start)
                again.start()
                store.run(store.plans.add, new_jobs(1))
                again.join()
            assert store.run(store.plans.counts)["default"]["ready"] == 6
    finally:
        bouncer.close()


def test_an_embedded_worker(url: str, pooled: Pooled) -> None:
    """Schedules, results, retries, and the cancelling of what runs."""
    app = Dray(pooled())
    began = threading.Event()

    @app.task
    async def add(a: int, b: int) -> int:
        return a + b

    @app.task
    async def long() -> None:
        began.set()
        await asyncio.sleep(60)

    @app.schedule("every 1s")
    @app.task
    async def tick() -> None: ...

    with app.worker(concurrency=4):
        assert add.enqueue(1, 2).result(timeout=10) == 3
        jobs = app.enqueue_many(add.call(n, n) for n in range(300))
        running = long.enqueue()
        assert began.wait(10)
        running.cancel("enough")
        assert [job.result(timeout=20) for job in jobs] == [n + n for n in range(300)]
        until(lambda: running.refresh().info.state == "cancelled")
        until(lambda: ask(url, "select count(*) from dray.dray_done where task like %s", "%tick%")[0][0] >= 2)
    assert app.insight.counts() == app.insight.recount()
    app.close()
