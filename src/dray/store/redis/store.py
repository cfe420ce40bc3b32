"""An open Redis store: plans, sessions and the bell, put together."""

from __future__ import annotations

from typing import Any

from dray.errors import NotSupported
from dray.model.clock import Clock
from dray.store.protocol import Bound
from dray.store.redis.bell import RedisEar
from dray.store.redis.greeting import greet
from dray.store.redis.place import Place
from dray.store.redis.plans import RedisPlans
from dray.store.redis.session import RedisSession
from dray.store.redis.transaction import NoTransactions
from dray.store.remote import RemoteBell
from dray.store.server import ServerStore
from dray.store.values import Capabilities


class RedisStore(ServerStore):
    """A store on a Redis or Valkey server. `clock` is for tests; None is the server's, which rules otherwise."""

    can = Capabilities(transactions=False)

    def __init__(self, place: Place, *, clock: Clock | None = None) -> None:
        self.place = place
        self.plans = RedisPlans(place.namespace, place.shards, clock)
        self.session = RedisSession(place, self.plans)
        self.bell = RemoteBell(lambda bell: RedisEar(self.session.lines, self.plans.bell, bell))
        super().__init__(place, self.session, self.bell)
        self.transactions = NoTransactions(place.where)
        try:
            greet(self.session)
        except BaseException:  # Ctrl-C too: nobody else would close what has been opened
            self.close()
            raise

    def bound(self, connection: Any) -> Bound:
        """There is no transaction of the caller's that Redis could take part in. Raises NotSupported."""
        raise NotSupported(
            f"The store {self.where} cannot take part in the transaction of {type(connection).__name__}; enqueue after its commit, "
            "or keep the jobs in that database (sqlite:// or postgresql://)."
        )
