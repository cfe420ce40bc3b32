"""Jobs on the caller's own connection to PostgreSQL: they exist if and only if the caller commits."""

from __future__ import annotations

import asyncio
import contextlib
import decimal
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg_pool
import pytest
import sqlalchemy as sa
from on_postgres import with_schema
from psycopg.rows import dict_row, namedtuple_row
from psycopg.types.string import StrDumper
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from dray import Dray
from dray.errors import NotSupported, StoreBusy, StoreError, StoreUnavailable, WrongDatabase
from dray.store.postgres.bound_asyncpg import numbered
from dray.store.postgres.plans import quoted

BULK = 5_000  # jobs for COPY
ASYNC = ["psycopg", "psycopg pool", "asyncpg", "asyncpg pool", "sqlalchemy psycopg", "sqlalchemy asyncpg", "session psycopg",
         "session asyncpg"]  # fmt: skip
BLOCKING = ["psycopg", "pool", "connection", "session"]
#: A statement on the table of jobs fails, or hangs, where the session says so.
STUMBLE = """
create function stumble() returns trigger language plpgsql as $$ begin
    if current_setting('test.way', true) = 'fails' then raise exception 'on purpose' using errcode = '55P03'; end if;
    if current_setting('test.way', true) = 'hangs' then perform pg_sleep(30); end if;
    return new;
end $$;
create trigger stumble before insert on dray.dray_job for each row execute function stumble();
"""


@pytest.fixture
def url(postgres: Any, database: Any) -> str:
    return str(database(postgres, with_schema(postgres)))


class Bench:
    """An app, a table of the caller's, and one task."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.app = Dray(url)
        with psycopg.connect(url) as connection:
            connection.execute("create table effect (word text unique)")
            connection.execute(STUMBLE)  # type: ignore[arg-type]

        @self.app.task
        def work(n: int) -> int:
            return n

        self.work = work

    def calls(self, n: int) -> Iterator[Any]:
        return (self.work.call(i) for i in range(n))

    def jobs(self) -> int:
        """How many there are, and that the counters say so too."""
        counts = self.app.insight.recount()
        assert self.app.insight.counts() == counts
        return sum(sum(states.values()) for states in counts.values())

    def effects(self) -> list[str]:
        with psycopg.connect(self.url) as connection:
            return sorted(word for (word,) in connection.execute("select word from effect"))


@pytest.fixture
def bench(url: str) -> Iterator[Bench]:
    found = Bench(url)
    yield found
    found.app.close()


# -- one face for all of them


class Blocking:
    """What the test does with a connection, whichever it is."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def execute(self, text: str) -> None:
        self.target.execute(sa.text(text) if isinstance(self.target, sa.Connection | Session) else text)

    def savepoint(self) -> Any:
        return self.target.begin_nested() if isinstance(self.target, sa.Connection | Session) else self.target.transaction()


@contextlib.contextmanager
def blocking(kind: str, url: str) -> Iterator[Blocking]:
    if kind == "psycopg":
        with contextlib.closing(psycopg.connect(url)) as connection:
            yield Blocking(connection)
    elif kind == "pool":
        with psycopg_pool.ConnectionPool(url, min_size=1, max_size=1) as pool, pool.connection() as connection:
            yield Blocking(connection)
    else:
        engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() if kind == "connection" else Session(engine) as target:
            yield Blocking(target)
        engine.dispose()


class Async:
    """The same for coroutines. asyncpg alone has no implicit transaction: it is begun by `begin`."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self.explicit = not isinstance(target, AsyncConnection | AsyncSession | psycopg.AsyncConnection)
        self.outer: Any = None

    async def begin(self) -> None:
        if self.explicit:
            self.outer = self.target.transaction()
            await self.outer.start()

    async def execute(self, text: str) -> None:
        await self.target.execute(sa.text(text) if isinstance(self.target, AsyncConnection | AsyncSession) else text)

    def savepoint(self) -> Any:
        return self.target.begin_nested() if isinstance(self.target, AsyncConnection | AsyncSession) else self.target.transaction()

    async def commit(self) -> None:
        await (self.outer if self.explicit else self.target).commit()

    async def rollback(self) -> None:
        await (self.outer if self.explicit else self.target).rollback()


@contextlib.asynccontextmanager
async def coroutines(kind: str, url: str) -> AsyncIterator[Async]:
    if kind == "psycopg":
        connection = await psycopg.AsyncConnection.connect(url)
        yield Async(connection)
        await connection.close()
    elif kind == "psycopg pool":
        async with psycopg_pool.AsyncConnectionPool(url, min_size=1, max_size=1, open=False) as pool:
            async with pool.connection() as pooled:
                yield Async(pooled)
    elif kind == "asyncpg":
        plain = await asyncpg.connect(url)
        yield Async(plain)
        await plain.close()
    elif kind == "asyncpg pool":
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as made, made.acquire() as proxy:
            yield Async(proxy)
    else:
        form, _, driver = kind.partition(" ")
        engine = create_async_engine(url.replace("postgresql:", f"postgresql+{driver}:"))
        async with engine.connect() if form == "sqlalchemy" else AsyncSession(engine) as target:
            yield Async(target)
        await engine.dispose()


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
            asyncio.run(work.aenqueue(3))  # type: ignore[arg-type]
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


class Loud(StrDumper):
    """Spoils every text."""

    def dump(self, obj: str) -> bytes:
        return b"spoilt"


class Tuples(psycopg.Cursor[Any]):
    """A cursor of the caller's own kind."""

    def fetchall(self) -> list[Any]:
        raise AssertionError("not ours to use")


def test_whatever_the_caller_has_made_of_his_connection(bench: Bench) -> None:
    changes: list[Callable[[Any], None]] = [
        lambda c: setattr(c, "row_factory", dict_row),
        lambda c: setattr(c, "row_factory", namedtuple_row),
        lambda c: setattr(c, "cursor_factory", Tuples),
        lambda c: setattr(c, "cursor_factory", psycopg.ClientCursor),
        lambda c: c.adapters.register_dumper(str, Loud),
        lambda c: c.adapters.register_loader("int8", psycopg.types.string.TextLoader),
        lambda c: setattr(c, "prepare_threshold", None),
        lambda c: setattr(c, "prepare_threshold", 0),
        lambda c: setattr(c, "isolation_level", psycopg.IsolationLevel.SERIALIZABLE),
        lambda c: c.execute("set search_path = nowhere"),
        lambda c: c.execute("set standard_conforming_strings = off"),
        lambda c: c.execute("set default_transaction_isolation = 'repeatable read'"),
    ]
    for change in changes:
        with contextlib.closing(psycopg.connect(bench.url)) as mine:
            change(mine)
            mine.commit()
            before = (mine.row_factory, mine.cursor_factory, mine.isolation_level, mine.prepare_threshold, mine.autocommit)
            with bench.app.bind(mine):
                first = bench.work.enqueue(7)
                bench.work.enqueue(8)
                bench.app.enqueue_many(bench.calls(10))
                bench.app.enqueue_many(bench.calls(300))
            after = (mine.row_factory, mine.cursor_factory, mine.isolation_level, mine.prepare_threshold, mine.autocommit)
            assert after == before
            mine.commit()
            assert bench.app.insight.job(first.id).task == bench.work.name
    assert bench.jobs() == len(changes) * 312

    class Mine(asyncpg.Record):  # type: ignore[misc]
        def __iter__(self) -> Any:
            raise AssertionError("not ours to use")

    async def main() -> None:
        for options in ({"record_class": Mine}, {"statement_cache_size": 0}):
            mine = await asyncpg.connect(bench.url, **options)
            await mine.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
            await mine.set_type_codec("numeric", encoder=str, decoder=decimal.Decimal, schema="pg_catalog", format="text")
            with bench.app.bind(mine):
                await bench.work.aenqueue(1)
                await bench.app.aenqueue_many(bench.calls(10))
                await bench.app.aenqueue_many(bench.calls(300))
            await mine.close()

    asyncio.run(main())
    assert bench.jobs() == len(changes) * 312 + 2 * 311


def test_every_sentence_can_be_prepared_by_asyncpg(bench: Bench) -> None:
    """asyncpg must know each parameter's type from the sentence."""

    async def main() -> None:
        mine = await asyncpg.connect(bench.url)
        sentences = {name: text for name, text in vars(bench.app.store.plans.say).items() if isinstance(text, str)}  # type: ignore[attr-defined]
        assert len(sentences) > 50
        for name, text in sentences.items():
            try:
                await mine.prepare(numbered(text)[0])
            except asyncpg.PostgresError as error:
                pytest.fail(f"{name}: {error}")
        await mine.close()

    asyncio.run(main())


# -- who is woken


def test_listeners_are_notified_by_the_commit_and_never_by_a_rollback(bench: Bench) -> None:
    plans = bench.app.store.plans
    with psycopg.connect(bench.url, autocommit=True) as ear, contextlib.closing(psycopg.connect(bench.url)) as mine:
        for channel in plans.channels.values():  # type: ignore[attr-defined]
            ear.execute(f"listen {quoted(channel)}")  # type: ignore[arg-type]
        ear.execute("select pg_advisory_lock_shared(%s, 1)", (plans.area,))  # type: ignore[attr-defined]

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
                assert heard() == [plans.channels["work"]]  # type: ignore[attr-defined]


def test_the_caller_is_woken_for_after_the_transaction_and_not_before(bench: Bench) -> None:
    store = bench.app.store
    with contextlib.closing(psycopg.connect(bench.url)) as mine:
        listener = store.listen("work")
        session = store.bound(mine)
        session.run(store.plans.add, [bench.work.new_job(b"a" * 16, b"{}", bench.work.options)])
        listener._asleep = True  # type: ignore[attr-defined]  # seen by this process, not by the database
        session.left()
        assert listener.wait(0) is False
        mine.commit()
        session.left()
        assert listener.wait(0) is True
        listener._asleep = False  # type: ignore[attr-defined]
        listener.close()


# -- what is refused


def test_another_database(bench: Bench, postgres: Any, database: Any) -> None:
    other = database(postgres, with_schema(postgres))
    empty = database(postgres)
    for elsewhere in (other, empty):
        name = elsewhere.rpartition("/")[2]
        said = rf"the database {name} at .*, but the jobs are kept in postgresql://.*; give a"
        for autocommit in (False, True):
            with contextlib.closing(psycopg.connect(elsewhere, autocommit=autocommit)) as mine:
                with pytest.raises(WrongDatabase, match=said), bench.app.bind(mine):
                    pass
                assert mine.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
                with mine.transaction(), pytest.raises(WrongDatabase, match=said), bench.app.bind(mine):
                    bench.work.enqueue(1)
        for kind in ("connection", "session"):
            with blocking(kind, elsewhere) as found, pytest.raises(WrongDatabase, match=said), bench.app.bind(found.target):
                bench.work.enqueue(1)

        async def main(kind: str, elsewhere: str = elsewhere, said: str = said) -> None:
            async with coroutines(kind, elsewhere) as mine:
                await mine.begin()
                with pytest.raises(WrongDatabase, match=said), bench.app.bind(mine.target):
                    await bench.work.aenqueue(1)
                await mine.execute("select 1")
                await mine.commit()

        for kind in ASYNC:
            asyncio.run(main(kind))
    assert bench.jobs() == 0


def test_another_schema_of_the_same_database(bench: Bench) -> None:
    two = Dray(f"{bench.url}?schema=two")

    @two.task
    def elsewhere(n: int) -> int:
        return n

    with contextlib.closing(psycopg.connect(bench.url)) as mine, two.bind(mine), bench.app.bind(mine):
        elsewhere.enqueue(1)
        bench.work.enqueue(1)
        bench.work.enqueue(2)
        mine.commit()
    assert bench.jobs() == 2
    assert two.insight.counts() == {"default": {"ready": 1}}
    with psycopg.connect(bench.url) as connection:
        connection.execute("drop schema two cascade")
    with contextlib.closing(psycopg.connect(bench.url)) as mine, pytest.raises(StoreError), two.bind(mine):
        elsewhere.enqueue(1)
    two.close()


def test_a_server_that_was_started_again_is_still_the_same(bench: Bench, new_cluster: Any) -> None:
    cluster = new_cluster(durable=False)
    url = cluster.url(cluster.create_database())
    app = Dray(url)

    @app.task
    def work(n: int) -> int:
        return n

    for n in (1, 2):
        with contextlib.closing(psycopg.connect(url)) as mine:
            with app.bind(mine):
                work.enqueue(n)
            mine.commit()
        cluster.restart()
    assert app.insight.counts() == {"default": {"ready": 2}}
    app.close()


def test_a_connection_that_takes_no_statement(bench: Bench) -> None:
    mine = psycopg.connect(bench.url)
    with bench.app.bind(mine):
        with pytest.raises(psycopg.errors.DivisionByZero):
            mine.execute("select 1 / 0")
        with pytest.raises(StoreError, match="aborted by an earlier error in it, and takes no job; roll back first"):
            bench.work.enqueue(1)
        mine.rollback()
        with mine.pipeline(), pytest.raises(StoreBusy, match="is in pipeline mode"):
            bench.work.enqueue(1)
        rows = mine.cursor().stream("select generate_series(1, 100000)")
        next(rows)
        with pytest.raises(StoreBusy, match="in the middle of another statement"):
            bench.work.enqueue(1)
        rows.close()  # type: ignore[attr-defined]
        mine.rollback()
        bench.work.enqueue(1)
        mine.commit()
        mine.close()
        with pytest.raises(StoreUnavailable, match="is closed"):
            bench.work.enqueue(1)

    async def main() -> None:
        mine = await asyncpg.connect(bench.url)
        with bench.app.bind(mine):
            with contextlib.suppress(asyncpg.DivisionByZeroError):
                async with mine.transaction():
                    with pytest.raises(asyncpg.DivisionByZeroError):
                        await mine.execute("select 1 / 0")
                    with pytest.raises(StoreError, match="takes no job; roll back first"):
                        await bench.work.aenqueue(1)
                    raise asyncpg.DivisionByZeroError
            sleeping = asyncio.create_task(mine.execute("select pg_sleep(0.3)"))
            await asyncio.sleep(0)
            with pytest.raises(StoreBusy, match="in the middle of another statement"):
                await bench.work.aenqueue(1)
            await sleeping
            await mine.close()
            with pytest.raises(StoreUnavailable, match="is closed"):
                await bench.work.aenqueue(1)

    asyncio.run(main())
    assert bench.jobs() == 1


def test_what_is_no_connection(bench: Bench) -> None:
    import sqlite3

    with contextlib.closing(sqlite3.connect(":memory:")) as file:
        for wrong in (object(), file, bench.app):
            with pytest.raises(NotSupported, match=r"takes a connection of psycopg \(3\), asyncpg, or SQLAlchemy 2"):
                bench.app.bind(wrong).__enter__()
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(NotSupported, match="takes a connection of psycopg"):
        bench.app.bind(connection).__enter__()
    engine.dispose()


def test_django(bench: Bench) -> None:
    pytest.importorskip("django")
    from django.conf import settings  # type: ignore[import-not-found]
    from django.db import connection, transaction  # type: ignore[import-not-found]

    parts = psycopg.conninfo.conninfo_to_dict(bench.url)
    found = {"ENGINE": "django.db.backends.postgresql", "NAME": parts["dbname"], "USER": parts["user"], "HOST": parts["host"],
             "PORT": parts["port"]}  # fmt: skip
    settings.configure(DATABASES={"default": found})
    with contextlib.suppress(ZeroDivisionError), transaction.atomic(), bench.app.bind(connection):
        bench.work.enqueue(1)
        _ = 1 / 0
    assert bench.jobs() == 0
    with transaction.atomic(), bench.app.bind(connection):
        bench.work.enqueue(1)
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            bench.work.enqueue(2)
            _ = 1 / 0
        assert bench.jobs() == 0
    assert bench.jobs() == 1
    with pytest.raises(NotSupported, match=r"django\.db\.connection"):
        bench.app.bind(settings).__enter__()
    connection.close()
