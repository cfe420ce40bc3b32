"""A random life of the store, beside the reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from on_postgres import VERSIONS, with_schema
from on_redis import KINDS

from dray.model.clock import ManualClock
from dray.store.postgres.place import place_of
from dray.store.postgres.store import PostgresStore
from dray.store.redis.place import place_of as redis_place_of
from dray.store.redis.store import RedisStore
from dray.store.sqlite.store import SqliteStore
from dray.testing.machine import StoreMachine

if TYPE_CHECKING:
    from servers.postgres import Cluster
    from servers.redis import Server

QUIET = list(HealthCheck)


class InMemory(StoreMachine):
    @staticmethod
    def make_store(clock: ManualClock) -> SqliteStore:
        return SqliteStore(None, clock=clock)


class TestInMemory(InMemory.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=400, stateful_step_count=50, deadline=None, suppress_health_check=QUIET)


def on_postgres(cluster: Cluster, fresh: Callable[..., str], colour_: str, examples: int, steps: int) -> None:
    """The same on PostgreSQL: one database for all examples, emptied before each."""
    url = fresh(cluster, with_schema(cluster))
    tables = "job, done, history, log, tally, queue, node, leader, schedule, lane"
    with psycopg.connect(url, autocommit=True) as connection:

        class OnPostgres(StoreMachine):
            colour = colour_

            @staticmethod
            def make_store(clock: ManualClock) -> PostgresStore:
                connection.execute(f"truncate {', '.join('dray.dray_' + name for name in tables.split(', '))} restart identity")
                return PostgresStore(place_of(url), clock=clock, migrate=False)

        profile = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET)
        run_state_machine_as_test(OnPostgres, settings=profile)  # type: ignore[no-untyped-call]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("version", VERSIONS)
def test_on_postgres(version: int, colour: str, cluster_of: Callable[[int], Cluster], database: Callable[..., str]) -> None:
    on_postgres(cluster_of(version), database, colour, 25, 40)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_on_postgres_for_long(colour: str, postgres: Cluster, database: Callable[..., str]) -> None:
    on_postgres(postgres, database, colour, 400, 80)


def on_redis(server: Server, colour_: str, examples: int, steps: int) -> None:
    """The same on Redis: a namespace for each example."""
    numbers = iter(range(1_000_000))
    with server.fresh() as url:

        class OnRedis(StoreMachine):
            colour = colour_

            @staticmethod
            def make_store(clock: ManualClock) -> RedisStore:
                return RedisStore(redis_place_of(f"{url}-{next(numbers)}&risk=persistence"), clock=clock)

        profile = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET)
        run_state_machine_as_test(OnRedis, settings=profile)  # type: ignore[no-untyped-call]
        server.client.flushall()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("kind", KINDS)
def test_on_redis(kind: str, colour: str, new_redis: Callable[..., Server]) -> None:
    on_redis(new_redis(kind, durable=False), colour, 40, 40)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_on_redis_for_long(colour: str, new_redis: Callable[..., Server]) -> None:
    on_redis(new_redis(durable=False), colour, 400, 80)


@pytest.mark.torture
@pytest.mark.timeout(3600)
class TestForLong(InMemory.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=5000, stateful_step_count=120, deadline=None, suppress_health_check=QUIET)


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_on_a_file(tmp_path: Path) -> None:
    numbers = iter(range(1_000_000))

    class OnFile(StoreMachine):
        @staticmethod
        def make_store(clock: ManualClock) -> SqliteStore:
            return SqliteStore(tmp_path / f"{next(numbers)}.db", clock=clock, synchronous="normal")

    profile = settings(max_examples=200, stateful_step_count=100, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(OnFile, settings=profile)  # type: ignore[no-untyped-call]
