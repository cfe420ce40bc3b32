"""Transactions of coroutines that share theirs with the store, on psycopg and on asyncpg."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from dray.errors import DrayError, StaleClaim, StoreUnavailable
from dray.model.lifecycle import Move
from dray.store.plan import Row
from dray.store.postgres.bound_psycopg import AsyncPsycopgBound
from dray.store.postgres.held import CLEAN, TOWARDS_THE_END, Common, committed
from dray.store.postgres.trouble import as_ours, is_gone

if TYPE_CHECKING:
    from dray.model.job import Claimed
    from dray.store.postgres.shelf import Kept
    from dray.store.postgres.store import PostgresStore


def over(store: PostgresStore, kept: Kept, task: str, job: Claimed) -> AsyncHeld:
    """The transaction for the driver of a connection."""
    if kept.driver == "asyncpg":
        from dray.store.postgres.transaction_asyncpg import AsyncpgHeld

        return AsyncpgHeld(store, kept, task, job)
    return PsycopgHeld(store, kept, task, job)


class AsyncHeld(Common, ABC):
    """A transaction on an asynchronous connection."""

    errors: tuple[type[Exception], ...]  # of the driver

    def record(self, move: Move) -> bool:
        """Not of this colour."""
        raise TypeError("a transaction of coroutines is recorded with arecord")

    async def begin(self) -> None:
        """Begin it. Raises errors of the driver, StaleClaim."""
        row = await self._joined()
        try:
            self.begun(row)
        except StaleClaim:
            await self._roll_back()
            raise

    async def roll_back(self) -> None:
        """Take it back."""
        with contextlib.suppress(*self.errors):
            await self._roll_back()
            await self._clean()
            self.sound = True

    async def commit(self) -> None:
        """Commit, and know whether it was. Raises what the database says, or StoreUnavailable."""
        try:
            await self._commit()
        except self.errors as error:
            if not self.is_gone(error):  # a constraint that is checked at the end, say
                await self.roll_back()
                raise
            if not await asyncio.to_thread(committed, self.store, self.job):
                raise self.lost(error) from error
        else:
            with contextlib.suppress(*self.errors):
                await self._clean()
                self.sound = True

    @abstractmethod
    async def arecord(self, move: Move) -> bool:
        """Write what became of the job; whether its claim was still valid. Raises ConfigurationError, StoreError."""

    @abstractmethod
    def is_gone(self, error: BaseException) -> bool:
        """Whether the connection on which this happened is of no use any more."""

    @abstractmethod
    def translated(self, error: BaseException) -> DrayError:
        """The error of ours for one of the driver."""

    @abstractmethod
    async def _joined(self) -> Row: ...
    @abstractmethod
    async def _commit(self) -> None: ...
    @abstractmethod
    async def _roll_back(self) -> None: ...
    @abstractmethod
    async def _clean(self) -> None: ...


class PsycopgHeld(AsyncHeld):
    """A transaction on a `psycopg.AsyncConnection`."""

    errors = (psycopg.Error,)

    async def _joined(self) -> Row:
        await self.connection.set_autocommit(False)
        async with psycopg.AsyncCursor(self.connection, row_factory=tuple_row) as cursor:
            await cursor.execute(self.first.sentence, self.first.params)
            return await cursor.fetchone() or (0, False)

    async def arecord(self, move: Move) -> bool:
        """Write what became of the job; whether its claim was still valid. Raises ConfigurationError, StoreError."""
        if self.connection.closed or self.connection.info.transaction_status == TransactionStatus.IDLE:
            raise self.ended()
        if self.connection.info.transaction_status == TransactionStatus.INERROR:
            raise self.spoilt()
        try:
            async with psycopg.AsyncCursor(self.connection, row_factory=tuple_row) as cursor:
                await cursor.execute(TOWARDS_THE_END)
                while cursor.nextset():
                    pass
                self.same(int((await cursor.fetchone() or (0,))[0]))
        except psycopg.Error as error:
            raise as_ours(error, self.store.where) from error
        return not await AsyncPsycopgBound(self.store, self.connection).arun(self.store.plans.settle, [move])

    def is_gone(self, error: BaseException) -> bool:
        """Whether the connection on which this happened is of no use any more."""
        return is_gone(error)

    def translated(self, error: BaseException) -> DrayError:
        """The error of ours for one of the driver."""
        if isinstance(error, psycopg.Error):
            return as_ours(error, self.store.where)
        return StoreUnavailable(f"The store {self.store.where} cannot be reached: {error}.")

    async def _commit(self) -> None:
        await self.connection.commit()

    async def _roll_back(self) -> None:
        await self.connection.rollback()

    async def _clean(self) -> None:
        await self.connection.set_autocommit(True)
        self.restore()
        if not self.pooled:
            await psycopg.AsyncCursor(self.connection).execute(CLEAN)
