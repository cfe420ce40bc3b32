"""SQLAlchemy over a driver's connection whose transaction the worker begins and ends: for tasks with `transactional=True`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from dray.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

URLS = {"sqlite3": "sqlite://", "psycopg": "postgresql+psycopg://"}


class Refusal:
    """Stands in the dialect for commit and rollback. The dialect is its engine's own: nobody else is affected."""

    def __init__(self, engine: Engine) -> None:
        self.inside = False  # while the function runs; the engine itself rolls back what it asks at its first connection
        engine.dialect.do_commit = self.refuse  # type: ignore[method-assign, assignment]
        engine.dialect.do_rollback = self.refuse  # type: ignore[method-assign, assignment]

    def refuse(self, *_: object) -> None:
        """Raises ConfigurationError inside."""
        if self.inside:
            raise ConfigurationError(
                "A transactional task must neither commit nor roll back its connection: the worker does, together with the job's "
                "success. Raise an error to roll back."
            )


class Over:
    """A Connection and a Session for each run, over one connection of psycopg or sqlite3. A commit or rollback of the Session is
    one of a savepoint; one of the Connection is refused."""

    def __init__(self, driver: Any) -> None:
        url = URLS[next(name for base in type(driver).__mro__ if (name := base.__module__.partition(".")[0]) in URLS)]
        self._engine = create_engine(url, creator=lambda: driver, poolclass=StaticPool, pool_reset_on_return=None)
        self._refusal = Refusal(self._engine)

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[Connection, Session]]:
        """For one run."""
        connection = self._engine.connect()
        connection.begin()
        self._refusal.inside = True
        session = Session(bind=connection, join_transaction_mode="create_savepoint")
        try:
            yield connection, session
            session.commit()
        finally:
            self._refusal.inside = False
            session.close()
            connection.close()


class AsyncOver:
    """The same over a `psycopg.AsyncConnection`."""

    def __init__(self, driver: Any) -> None:
        from sqlalchemy.ext.asyncio import create_async_engine

        async def give(*_: object, **__: object) -> Any:
            return driver

        self._engine = create_async_engine(
            "postgresql+psycopg_async://", async_creator=give, poolclass=StaticPool, pool_reset_on_return=None
        )
        self._refusal = Refusal(self._engine.sync_engine)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[AsyncConnection, AsyncSession]]:
        """For one run."""
        from sqlalchemy.ext.asyncio import AsyncSession

        connection = await self._engine.connect()
        await connection.begin()
        self._refusal.inside = True
        session = AsyncSession(bind=connection, join_transaction_mode="create_savepoint")
        try:
            yield connection, session
            await session.commit()
        finally:
            self._refusal.inside = False
            await session.close()
            await connection.close()
