"""Connections that are not as we would have made them, and those that `bind` refuses."""

from __future__ import annotations

import asyncio
import contextlib
import decimal
import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa
from on_bind import ASYNC, Bench, blocking, coroutines
from on_postgres import with_schema
from psycopg.rows import dict_row, namedtuple_row
from psycopg.types.string import StrDumper

from dray import Dray
from dray.errors import NotSupported, StoreBusy, StoreError, StoreUnavailable, WrongDatabase
from dray.store.postgres.bound_asyncpg import numbered


@pytest.fixture
def url(postgres: Any, database: Any) -> str:
    return str(database(postgres, with_schema(postgres)))


@pytest.fixture
def bench(url: str) -> Iterator[Bench]:
    found = Bench(url)
    yield found
    found.app.close()


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

    class Mine(asyncpg.Record):
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
        sentences = {name: text for name, text in vars(bench.app.store.plans.say).items() if isinstance(text, str)}
        assert len(sentences) > 50
        for name, text in sentences.items():
            try:
                await mine.prepare(numbered(text)[0])
            except asyncpg.PostgresError as error:
                pytest.fail(f"{name}: {error}")
        await mine.close()

    asyncio.run(main())


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
        rows.close()
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
    from django.conf import settings
    from django.db import connections, transaction

    parts = psycopg.conninfo.conninfo_to_dict(bench.url)
    found = {"ENGINE": "django.db.backends.postgresql", "NAME": parts["dbname"], "USER": parts["user"], "HOST": parts["host"],
             "PORT": parts["port"]}  # fmt: skip
    if not settings.configured:  # once in a process
        settings.configure()
    connections.settings = connections.configure_settings({"default": found})
    connection = connections["default"]
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
