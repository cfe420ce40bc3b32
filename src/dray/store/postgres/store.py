"""An open PostgreSQL store: plans, sessions and the bell, put together."""

from __future__ import annotations

import time
from typing import Any

from dray.model.clock import Clock
from dray.store.postgres import schema
from dray.store.postgres.bell import PostgresBell
from dray.store.postgres.place import Place
from dray.store.postgres.plans import PostgresPlans
from dray.store.postgres.session import PostgresSession
from dray.store.postgres.transaction import PostgresTransactions
from dray.store.protocol import Bound
from dray.store.server import ServerStore
from dray.store.values import Capabilities


class PostgresStore(ServerStore):
    """A store in a PostgreSQL database. `clock` is for tests; None is the server's, which rules otherwise."""

    can = Capabilities(transactions=True)

    def __init__(self, place: Place, *, migrate: bool = True, clock: Clock | None = None) -> None:
        self.place = place
        self.plans = PostgresPlans(place.schema, clock)
        self.session = PostgresSession(place, self.plans, clock=clock)
        self.bell = PostgresBell(self.session.lines, self.plans)
        super().__init__(place, self.session, self.bell)
        self.transactions = PostgresTransactions(self)
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

    def bound(self, connection: Any) -> Bound:
        """A session over the caller's connection. Raises WrongDatabase or NotSupported."""
        from dray.store.postgres.bound import bound

        return bound(self, connection)

    def close(self) -> None:
        """Close it."""
        self.transactions.close()
        super().close()
