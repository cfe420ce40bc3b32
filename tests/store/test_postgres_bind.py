"""Jobs on the caller's own connection to PostgreSQL: they exist if and only if the caller commits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa
from on_bind import ASYNC, BLOCKING, BULK, Bench, blocking, coroutines
from on_postgres import with_schema
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from dray.errors import NotSupported, StoreBusy
from dray.store.postgres.locks import ANY, lock_of
from dray.store.postgres.plans import quoted


@pytest.fixture
def url(postgres: Any, database: Any) -> str:
    return str(database(postgres, with_schema(postgres)))


@pytest.fixture
def bench(url: str) -> Iterator[Bench]:
    found = Bench(url)
    yield found
    found.app.close()


# -- commit and rollback


@pytest.mark.parametrize("kind", BLOCKING)
def test_blocking(bench: Bench, kind: str) -> None:
    app, work = bench.app, bench.work
    with blocking(kind, bench.url) as mine, app.worker():
        mine.execute("insert into effect values ('a')")
        with app.bind(mine.target):
            work.enqueue(1)
            app.enqueue_many(bench.calls(50))
            app.enqueue_many(bench.calls(BULK))
        mine.target.rollback()
        assert (bench.jobs(), bench.effects()) == (0, [])
        with app.bind(mine.target):  # the job is the first statement of the transaction
            job = work.enqueue(2)
            app.enqueue_many(bench.calls(50))
        mine.execute("insert into effect values ('b')")
        assert bench.jobs() == 0, "not committed yet"
        mine.target.commit()
        assert job.result(timeout=10) == 2
        with app.bind(mine.target):
            asyncio.run(work.aenqueue(3))
            app.enqueue_many(bench.calls(BULK))
            mine.target.commit()
            again = work.enqueue(4)  # a transaction of its own
            mine.target.commit()
        assert again.result(timeout=30) == 4
        assert bench.jobs() == 51 + 1 + BULK + 1
    assert bench.effects() == ["b"]


@pytest.mark.parametrize("kind", ASYNC)
def test_coroutines(bench: Bench, kind: str) -> None:
    app, work = bench.app, bench.work

    async def main() -> None:
        async with coroutines(kind, bench.url) as mine:
            await mine.begin()
            await mine.execute("insert into effect values ('a')")
            with app.bind(mine.target):
                await work.aenqueue(1)
                await app.aenqueue_many(bench.calls(50))
                await app.aenqueue_many(bench.calls(BULK))
                with pytest.raises(NotSupported, match=r"await task\.aenqueue"):
                    work.enqueue(1)
            await mine.rollback()
            assert (bench.jobs(), bench.effects()) == (0, [])
            await mine.begin()
            with app.bind(mine.target):
                job = await work.aenqueue(2)
                await app.aenqueue_many(bench.calls(50))
            await mine.execute("insert into effect values ('b')")
            assert bench.jobs() == 0, "not committed yet"
            await mine.commit()
            assert await job.aresult(timeout=10) == 2
            await mine.begin()
            with app.bind(mine.target):
                await app.aenqueue_many(bench.calls(BULK))
                await mine.commit()
                await mine.begin()
                again = await work.aenqueue(4)
                await mine.commit()
            assert await again.aresult(timeout=30) == 4
            assert bench.jobs() == 51 + BULK + 1

    with app.worker():
        asyncio.run(main())
    assert bench.effects() == ["b"]


@pytest.mark.parametrize("kind", BLOCKING)
def test_a_savepoint_and_a_failed_enqueue(bench: Bench, kind: str) -> None:
    app, work = bench.app, bench.work
    with blocking(kind, bench.url) as mine:
        mine.execute("insert into effect values ('a')")
        with app.bind(mine.target):
            work.enqueue(1)
            with contextlib.suppress(ZeroDivisionError), mine.savepoint():
                work.enqueue(2)
                app.enqueue_many(bench.calls(300))
                mine.execute("insert into effect values ('inner')")
                _ = 1 / 0
            for calls in (1, 50, BULK):
                mine.execute("set local test.way = 'fails'")
                with pytest.raises(StoreBusy, match="on purpose"):
                    app.enqueue_many(bench.calls(calls))
                mine.execute("set local test.way = ''")
            work.enqueue(3)
        mine.target.commit()
    assert (bench.jobs(), bench.effects()) == (2, ["a"])


@pytest.mark.parametrize("kind", ASYNC)
def test_a_savepoint_and_a_failed_enqueue_of_coroutines(bench: Bench, kind: str) -> None:
    app, work = bench.app, bench.work

    async def main() -> None:
        async with coroutines(kind, bench.url) as mine:
            await mine.begin()
            await mine.execute("insert into effect values ('a')")
            with app.bind(mine.target):
                await work.aenqueue(1)
                with contextlib.suppress(ZeroDivisionError):
                    async with mine.savepoint():
                        await work.aenqueue(2)
                        await app.aenqueue_many(bench.calls(300))
                        _ = 1 / 0
                for calls in (1, 50, BULK):
                    await mine.execute("set local test.way = 'fails'")
                    with pytest.raises(StoreBusy, match="on purpose"):
                        await app.aenqueue_many(bench.calls(calls))
                    await mine.execute("set local test.way = ''")
                await work.aenqueue(3)
            await mine.commit()

    asyncio.run(main())
    assert (bench.jobs(), bench.effects()) == (2, ["a"])


def test_a_cancelled_enqueue_leaves_the_transaction_usable(bench: Bench) -> None:
    async def main(kind: str) -> None:
        async with coroutines(kind, bench.url) as mine:
            await mine.begin()
            await mine.execute("select 1")
            with bench.app.bind(mine.target):
                await bench.work.aenqueue(1)
                for calls in (1, 50, BULK):
                    await mine.execute("set local test.way = 'hangs'")
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(bench.app.aenqueue_many(bench.calls(calls)), 0.5)
                    await mine.execute("set local test.way = ''")
                await bench.work.aenqueue(3)
            await mine.commit()

    for n, kind in enumerate(("psycopg", "asyncpg"), 1):
        asyncio.run(main(kind))
        assert bench.jobs() == 2 * n


# -- autocommit, and what the caller has made of his connection


def test_autocommit(bench: Bench) -> None:
    with contextlib.closing(psycopg.connect(bench.url, autocommit=True)) as mine, bench.app.bind(mine):
        bench.work.enqueue(1)
        bench.app.enqueue_many(bench.calls(300))
        assert bench.jobs() == 301, "each verb is a transaction of its own"
        with contextlib.suppress(ZeroDivisionError), mine.transaction():
            bench.work.enqueue(1)
            _ = 1 / 0
        with mine.transaction():
            bench.app.enqueue_many(bench.calls(300))
        mine.execute("begin")
        bench.work.enqueue(1)
        mine.execute("rollback")
        assert mine.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert bench.jobs() == 601

    async def main() -> None:
        mine = await psycopg.AsyncConnection.connect(bench.url, autocommit=True)
        other = await asyncpg.connect(bench.url)
        engine = create_async_engine(bench.url.replace("postgresql:", "postgresql+asyncpg:"), isolation_level="AUTOCOMMIT")
        async with engine.connect() as third:
            for target in (mine, other, third):
                with bench.app.bind(target):
                    await bench.work.aenqueue(1)
                    await bench.app.aenqueue_many(bench.calls(300))
        await mine.close()
        await other.execute("begin")  # by hand
        with bench.app.bind(other):
            await bench.work.aenqueue(1)
        await other.execute("rollback")
        await other.close()
        await engine.dispose()

    asyncio.run(main())
    assert bench.jobs() == 601 + 3 * 301


def test_bind_begins_no_transaction(bench: Bench) -> None:
    with contextlib.closing(psycopg.connect(bench.url)) as mine, bench.app.bind(mine):
        assert mine.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with mine.transaction():
            bench.work.enqueue(1)
        assert bench.jobs() == 1, "the block was the transaction, and has committed it"
    engine = sa.create_engine(bench.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection, bench.app.bind(connection), connection.begin():
        bench.work.enqueue(1)
    with Session(engine) as session, bench.app.bind(session), session.begin():
        bench.work.enqueue(1)
    engine.dispose()
    assert bench.jobs() == 3


# -- who is woken


def test_listeners_are_notified_by_the_commit_and_never_by_a_rollback(bench: Bench) -> None:
    plans = bench.app.store.plans
    with psycopg.connect(bench.url, autocommit=True) as ear, contextlib.closing(psycopg.connect(bench.url)) as mine:
        for channel in plans.channels.values():
            ear.execute(f"listen {quoted(channel)}")
        for word in ("work", ANY):  # as a sleeping worker of all queues
            ear.execute("select pg_advisory_lock_shared(%s, %s)", (plans.area, lock_of(word)))

        def heard() -> list[str]:
            ear.execute("select 1")
            return [note.channel for note in ear.notifies(timeout=0.3)]

        with bench.app.bind(mine):
            for enqueue in (lambda: bench.work.enqueue(1), lambda: bench.app.enqueue_many(bench.calls(BULK))):
                enqueue()
                mine.rollback()
                assert heard() == []
                mine.execute("select 1")
                with contextlib.suppress(ZeroDivisionError), mine.transaction():
                    enqueue()
                    _ = 1 / 0
                mine.commit()
                assert heard() == []
                enqueue()
                enqueue()
                assert heard() == []
                mine.commit()
                assert heard() == [plans.channels["work"]]


def test_the_caller_is_woken_for_after_the_transaction_and_not_before(bench: Bench) -> None:
    store = bench.app.store
    with contextlib.closing(psycopg.connect(bench.url)) as mine:
        listener = store.listen("work")
        session = store.bound(mine)
        session.run(store.plans.add, [bench.work.new_job(b"a" * 16, b"{}", bench.work.options)])
        listener._asleep = True  # seen by this process, not by the database
        session.left()
        assert listener.wait(0) is False
        mine.commit()
        session.left()
        assert listener.wait(0) is True
        listener._asleep = False
        listener.close()
