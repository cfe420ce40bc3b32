"""The conformance suite over Redis and Valkey, on every version that we stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from on_redis import KINDS

from dray.model.clock import Clock
from dray.store.redis.place import place_of
from dray.store.redis.store import RedisStore
from dray.testing.store_suite import *  # noqa: F403


@pytest.fixture(params=KINDS)
def make_store(request: pytest.FixtureRequest, redis_of) -> Iterator[Callable[[Clock], RedisStore]]:  # type: ignore[no-untyped-def]
    with redis_of(request.param).fresh() as url:
        yield lambda clock: RedisStore(place_of(f"{url}&risk=persistence"), clock=clock)
