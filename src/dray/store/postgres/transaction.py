"""Transactions of tasks that share theirs with the store: the function's writes and its job's success are one commit.

No lock of the queue is held while the function runs: the job's row is written when it has returned, fenced by its claim.

A commit whose answer was lost (the connection broke at that moment) may have been carried out or not. The job's row tells: it is
locked by the transaction until that is over, so whoever locks it next knows. If the store cannot be asked for a minute, the run
counts as one that raised, which writes nothing if it was committed after all: that is fenced as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from dray.errors import StaleClaim
from dray.model.job import Claimed
from dray.model.lifecycle import Move
from dray.store.postgres import bound as common
from dray.store.postgres.bound_psycopg import PsycopgBound
from dray.store.postgres.held import CLEAN, TOWARDS_THE_END, Common, committed
from dray.store.postgres.shelf import Kept, Shelf, adial, adial_asyncpg, dial
from dray.store.postgres.transaction_async import AsyncHeld, over
from dray.store.postgres.trouble import as_ours, is_gone

if TYPE_CHECKING:
    from dray.store.postgres.store import PostgresStore

BLOCKING = ("psycopg.Connection", "sqlalchemy.Connection", "sqlalchemy.Session")
ASYNC = ("psycopg.AsyncConnection", "asyncpg.Connection", "sqlalchemy.AsyncConnection", "sqlalchemy.AsyncSession")


class PostgresTransactions:
    """Makes such transactions, each on a connection of its own, at most as many as run at once."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._shelf = Shelf()

    def kinds(self, is_async: bool) -> tuple[str, ...]:
        """What a function of that colour may ask for."""
        return ASYNC if is_async else BLOCKING

    @contextlib.contextmanager
    def held(self, task: str, job: Claimed, driver: str) -> Iterator[BlockingHeld]:
        """A transaction for a run; committed at the end, or rolled back by an error. Raises StaleClaim, StoreError."""
        pid = os.getpid()
        held = self._begun(task, job)
        try:
            yield held
        except BaseException:
            if os.getpid() != pid:
                os._exit(0)  # the function forked, and this is the copy: the transaction is not its own
            held.roll_back()
            self._back(held.kept, held.sound)
            raise
        if os.getpid() != pid:
            os._exit(0)
        try:
            held.commit()
        finally:
            self._back(held.kept, held.sound)
        self._store.bell.ring({"done", "work"})

    def _begun(self, task: str, job: Claimed) -> BlockingHeld:
        while True:
            kept = self._shelf.take("psycopg") or Kept(dial(self._store.place, self._pooled), None, "psycopg")
            common.take_for_proven(self._store, kept.connection)
            held = BlockingHeld(self._store, kept, task, job)
            try:
                held.begin()
                return held
            except psycopg.Error as error:
                kept.drop()
                if kept.fresh or not is_gone(error):
                    raise as_ours(error, self._store.where) from error
            except BaseException:
                kept.drop()
                raise

    @contextlib.asynccontextmanager
    async def aheld(self, task: str, job: Claimed, driver: str) -> AsyncIterator[AsyncHeld]:
        """The same for coroutines."""
        held = await self._abegun(task, job, driver or "psycopg")
        try:
            yield held
        except BaseException:
            try:
                await held.roll_back()
            finally:
                self._back(held.kept, held.sound)
            raise
        # Once it has been asked for, a commit is waited for, whoever cancels the run: it cannot be taken back.
        committing = asyncio.ensure_future(held.commit())
        try:
            while not committing.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([committing])
            committing.result()
        finally:
            self._back(held.kept, held.sound)
        self._store.bell.ring({"done", "work"})

    async def _abegun(self, task: str, job: Claimed, driver: str) -> AsyncHeld:
        loop = asyncio.get_running_loop()
        while True:
            kept = self._shelf.take(driver, loop)
            if kept is None:
                make = adial_asyncpg if driver == "asyncpg" else adial
                kept = Kept(await make(self._store.place, self._pooled), loop, driver)
            common.take_for_proven(self._store, kept.connection)
            held = over(self._store, kept, task, job)
            try:
                await held.begin()
                return held
            except held.errors as error:
                kept.drop()
                if kept.fresh or not held.is_gone(error):
                    raise held.translated(error) from error
            except BaseException:
                kept.drop()
                raise

    @property
    def _pooled(self) -> bool:
        return self._store.session.lines.pooled

    def _back(self, kept: Kept, sound: bool) -> None:
        if sound:
            self._shelf.give(kept)
        else:
            kept.drop()

    async def aclose(self) -> None:
        """Close the connections that are kept on this event loop."""
        loop = asyncio.get_running_loop()
        self._shelf.close(lambda kept: kept.loop is loop)
        await asyncio.sleep(0)  # they are dropped on the loop

    def close(self) -> None:
        """Close all that are not in use; the others when they are done."""
        self._shelf.close(for_good=True)


class BlockingHeld(Common):
    """A transaction on a `psycopg.Connection`."""

    def begin(self) -> None:
        """Begin it. Raises psycopg.Error, StaleClaim."""
        self.connection.autocommit = False
        with psycopg.Cursor(self.connection, row_factory=tuple_row) as cursor:
            row = cursor.execute(self.first.sentence, self.first.params).fetchone()
        try:
            self.begun(row or (0, False))
        except StaleClaim:
            self.connection.rollback()
            raise

    def record(self, move: Move) -> bool:
        """Write what became of the job; whether its claim was still valid. Raises ConfigurationError, StoreError."""
        if self.connection.closed or self.connection.info.transaction_status == TransactionStatus.IDLE:
            raise self.ended()
        if self.connection.info.transaction_status == TransactionStatus.INERROR:
            raise self.spoilt()
        try:
            with psycopg.Cursor(self.connection, row_factory=tuple_row) as cursor:
                cursor.execute(TOWARDS_THE_END)
                while cursor.nextset():
                    pass
                self.same(int((cursor.fetchone() or (0,))[0]))
        except psycopg.Error as error:
            raise as_ours(error, self.store.where) from error
        return not PsycopgBound(self.store, self.connection).run(self.store.plans.settle, [move])

    async def arecord(self, move: Move) -> bool:
        """The same for coroutines."""
        return self.record(move)

    def roll_back(self) -> None:
        """Take it back."""
        with contextlib.suppress(psycopg.Error):
            self.connection.rollback()
            self._clean()

    def commit(self) -> None:
        """Commit, and know whether it was. Raises what the database says, or StoreUnavailable."""
        try:
            self.connection.commit()
        except psycopg.Error as error:
            if not is_gone(error):  # a constraint that is checked at the end, say
                self.roll_back()
                raise
            if not committed(self.store, self.job):
                raise self.lost(error) from error
        else:
            with contextlib.suppress(psycopg.Error):
                self._clean()

    def _clean(self) -> None:
        self.connection.autocommit = True
        self.restore()
        if not self.pooled:
            psycopg.Cursor(self.connection).execute(CLEAN)
        self.sound = True
