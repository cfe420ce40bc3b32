"""The conformance suite over PostgreSQL."""

from collections.abc import Callable, Iterator
import itertools, os
import psycopg
import pytest

from dray.model.clock import Clock
from dray.store.postgres.store import PostgresStore
from dray.store.postgres.place import place_of
from dray.testing.store_suite import *  # noqa: F403
N = itertools.count()
URL = "postgresql://dray@127.0.0.1:5515/suite"

@pytest.fixture
def make_store() -> Iterator[Callable[[Clock], PostgresStore]]:
    made = []
    def make(clock):
        schema = f"s{os.getpid()}_{next(N)}"
        made.append(schema)
        return PostgresStore(place_of(f"{URL}?schema={schema}"), clock=clock)
    yield make
    with psycopg.connect(URL, autocommit=True) as c:
        for s in made: c.execute(f"drop schema {s} cascade")
