"""Transactions of coroutines that share theirs with the store, on asyncpg."""

from __future__ import annotations

from typing import Any

from dray.errors import DrayError, StoreUnavailable
from dray.model.lifecycle import Move
from dray.store.plan import Row
from dray.store.postgres.bound_asyncpg import ERRORS, AsyncpgBound, numbered, translated_for
from dray.store.postgres.held import TOWARDS_THE_END
from dray.store.postgres.transaction_async import AsyncHeld

GONE = ("08", "57P")  # classes of errors after which a connection is of no use; those without a class came from the driver


class AsyncpgHeld(AsyncHeld):
    """A transaction on an `asyncpg.Connection`."""

    errors = ERRORS

    _transaction: Any = None

    async def _joined(self) -> Row:
        # asyncpg's own, so that one which the function begins is a savepoint in it.
        self._transaction = self.connection.transaction()
        await self._transaction.start()
        sentence, names = numbered(self.first.sentence)
        return tuple(await self.connection.fetchrow(sentence, *[self.first.params[name] for name in names]))

    async def arecord(self, move: Move) -> bool:
        """Write what became of the job; whether its claim was still valid. Raises ConfigurationError, StoreError."""
        if self.connection.is_closed() or not self.connection.is_in_transaction():
            raise self.ended()
        settings, question = TOWARDS_THE_END.rsplit("; ", 1)
        try:
            await self.connection.execute(settings)
            self.same(await self.connection.fetchval(question))
        except ERRORS as error:
            if getattr(error, "sqlstate", None) == "25P02":
                raise self.spoilt() from None
            raise self.translated(error) from error
        return not await AsyncpgBound(self.store, self.connection).arun(self.store.plans.settle, [move])

    def is_gone(self, error: BaseException) -> bool:
        """Whether the connection on which this happened is of no use any more."""
        return (getattr(error, "sqlstate", None) or "08").startswith(GONE)

    def translated(self, error: BaseException) -> DrayError:
        """The error of ours for one of the driver."""
        return translated_for(self.store.where, error) or StoreUnavailable(
            f"The store {self.store.where} cannot be reached by asyncpg: {str(error).rstrip('.') or type(error).__name__}."
        )

    async def _commit(self) -> None:
        await self._transaction.commit()

    async def _roll_back(self) -> None:
        if self.connection.is_in_transaction():  # a failed commit has ended it already
            await self._transaction.rollback()

    async def _clean(self) -> None:
        if not self.pooled:
            await self.connection.reset()
