"""A transactional task of every driver and colour, and a place for what they write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from dray import Backoff, Dray

SOON = Backoff.fixed(0)
ASYNC = ["async psycopg", "asyncpg", "async connection", "async session"]
KINDS = ["psycopg", "connection", "session", *ASYNC]
INSERT = "insert into effect (word) values ('{}')"


class Bench:
    """An app, and a table of effects beside its jobs: a second one of the same word would be seen."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.app = Dray(url)
        self.execute("create table effect (word text)")

    def execute(self, text: str, *params: Any) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True, application_name="bench") as connection:
            cursor = connection.execute(text, params)
            return cursor.fetchall() if cursor.description else []

    def effects(self) -> list[str]:
        return [word for (word,) in self.execute("select word from effect order by word")]


def declare(app: Dray, kind: str, during: Callable[[], object], *, name: str = "effect", **options: Any) -> Any:
    """A transactional task of a kind that writes an effect, enqueues a child, does `during`, and then raises if that does."""
    child: Any = app.tasks.get("child")
    if child is None:

        @app.task(name="child")
        def child(word: str) -> str:
            return word

    func = (coroutine if kind in ASYNC else plain)(kind, child, during)
    return app.task(transactional=True, name=name, **{"backoff": SOON, "max_attempts": 2, **options})(func)


def plain(kind: str, child: Any, during: Callable[[], object]) -> Any:
    """The function for `declare`."""

    def over_driver(word: str, db: psycopg.Connection[Any]) -> str:
        db.execute(INSERT.format(word))
        child.enqueue(word)
        during()
        return word

    def over_connection(word: str, *, db: sa.Connection) -> str:
        db.execute(sa.text(INSERT.format(word)))
        child.enqueue(word)
        during()
        return word

    def over_session(word: str, db: Session | None = None) -> str:
        assert db is not None
        db.execute(sa.text(INSERT.format(word)))
        child.enqueue(word)
        during()
        return word

    return {"psycopg": over_driver, "connection": over_connection, "session": over_session}[kind]


def coroutine(kind: str, child: Any, during: Callable[[], object]) -> Any:
    """The same for coroutines."""

    async def after(word: str) -> str:
        await child.aenqueue(word)
        await asyncio.to_thread(during)
        return word

    async def over_psycopg(word: str, db: psycopg.AsyncConnection[Any]) -> str:
        await db.execute(INSERT.format(word))
        return await after(word)

    async def over_asyncpg(word: str, db: asyncpg.Connection) -> str:
        await db.execute(INSERT.format(word))
        return await after(word)

    async def over_connection(word: str, db: AsyncConnection) -> str:
        await db.execute(sa.text(INSERT.format(word)))
        return await after(word)

    async def over_session(word: str, db: AsyncSession) -> str:
        await db.execute(sa.text(INSERT.format(word)))
        return await after(word)

    return dict(zip(ASYNC, (over_psycopg, over_asyncpg, over_connection, over_session), strict=True))[kind]
