"""An open PostgreSQL store: plans, sessions and the bell, put together."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, TypeVar

from dray.model.clock import Clock
from dray.store.plan import Plan
from dray.store.postgres import schema
from dray.store.postgres.bell import PostgresBell, PostgresListener
from dray.store.postgres.place import Place
from dray.store.postgres.plans import PostgresPlans
from dray.store.postgres.session import PostgresSession
from dray.store.postgres.transaction import PostgresTransactions
from dray.store.protocol import Bound
from dray.store.values import Capabilities

T = TypeVar("T")


class PostgresStore:
    """A store in a PostgreSQL database. `clock` is for tests; None is the server's, which rules otherwise."""

    can = Capabilities(transactions=True)
    round = 3.0
    shared = True

    def __init__(self, place: Place, *, migrate: bool = True, clock: Clock | None = None) -> None:
        self.place = place
        self.url = place.url
        self.plans = PostgresPlans(place.schema, clock)
        self.session = PostgresSession(place, self.plans, clock=clock)
        self.bell = PostgresBell(self.session.lines, self.plans)
        self.session.bell = self.bell
        self.transactions = PostgresTransactions(self)
        self._pulses = itertools.count()
        try:
            self._prepare(migrate)
        except BaseException:
            self.session.close()
            raise

    def _prepare(self, migrate: bool) -> None:
        line = self.session.lines.take(time.monotonic() + max(60.0, self.place.timeout))
        try:
            if migrate:
                schema.migrate(line.connection, self.place)
            else:
                schema.require(line.connection, self.place)
        finally:
            self.session.lines.give(line)

    @property
    def where(self) -> str:
        """The place, for people."""
        return self.place.where

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out a verb of `plans` in one transaction. Raises StoreError."""
        return self.session.run(verb, *args)

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """`run` for coroutines."""
        return await self.session.arun(verb, *args)

    def pulse(self) -> int:
        """Another number each time: whether somebody has committed is not to be had for less than a look."""
        return next(self._pulses)

    def listen(self, *kinds: str) -> PostgresListener:
        """Be woken when there is "work", when a job is "done", or when there are "orders"."""
        return self.bell.listen(*kinds)

    def bound(self, connection: Any) -> Bound:
        """A session over the caller's connection. Raises WrongDatabase or NotSupported."""
        from dray.store.postgres.bound import bound

        return bound(self, connection)

    def close(self) -> None:
        """Close it."""
        self.bell.stop()
        self.transactions.close()
        self.session.close()

