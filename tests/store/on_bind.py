"""Connections of callers to PostgreSQL, of every driver and colour, for the tests of `bind`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import psycopg
import psycopg_pool
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from dray import Dray

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


class Bench:
    """An app, a table of the caller's, and one task."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.app = Dray(url)
        with psycopg.connect(url) as connection:
            connection.execute("create table effect (word text unique)")
            connection.execute(STUMBLE)

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
