"""An open Redis store: plans, sessions and the bell, put together."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, TypeVar

from dray.errors import NotSupported
from dray.model.clock import Clock
from dray.store.plan import Plan
from dray.store.protocol import Bound
from dray.store.redis.bell import RedisBell, RedisListener
from dray.store.redis.greeting import greet
from dray.store.redis.place import Place
from dray.store.redis.plans import RedisPlans
from dray.store.redis.session import RedisSession
from dray.store.redis.transaction import NoTransactions
from dray.store.values import Capabilities

T = TypeVar("T")


class RedisStore:
    """A store on a Redis or Valkey server. `clock` is for tests; None is the server's, which rules otherwise."""

    can = Capabilities(transactions=False)
    round = 3.0
    shared = True

    def __init__(self, place: Place, *, clock: Clock | None = None) -> None:
        self.place = place
        self.url = place.url
        self.plans = RedisPlans(place.namespace, place.shards, clock)
        self.session = RedisSession(place, self.plans)
        self.bell = RedisBell(self.session.lines, self.plans.bell)
        self.session.bell = self.bell
        self.transactions = NoTransactions(place.where)
        self._pulses = itertools.count()
        try:
            greet(self.session)
        except BaseException:
            self.session.close()
            raise

    @property
    def where(self) -> str:
        """The place, for people."""
        return self.place.where

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out a verb of `plans`. Raises StoreError."""
        return self.session.run(verb, *args)

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """`run` for coroutines."""
        return await self.session.arun(verb, *args)

    def pulse(self) -> int:
        """Another number each time: whether somebody has written is not to be had for less than a look."""
        return next(self._pulses)

    def listen(self, *kinds: str) -> RedisListener:
        """Be woken when there is "work", when a job is "done", or when there are "orders"."""
        return self.bell.listen(*kinds)

    def bound(self, connection: Any) -> Bound:
        """There is no transaction of the caller's that Redis could take part in. Raises NotSupported."""
        raise NotSupported(
            f"The store {self.where} cannot take part in the transaction of {type(connection).__name__}; enqueue after its commit, "
            "or "
            "keep the jobs in that database (sqlite:// or postgresql://)."
        )

    def close(self) -> None:
        """Close it."""
        self.bell.stop()
        self.session.close()
