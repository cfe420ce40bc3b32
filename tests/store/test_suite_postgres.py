"""The conformance suite over PostgreSQL, on every version that we stand for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from on_postgres import VERSIONS, with_schema

from dray.model.clock import Clock
from dray.store.postgres.place import place_of
from dray.store.postgres.store import PostgresStore
from dray.testing.store_suite import *  # noqa: F403


@pytest.fixture(params=VERSIONS)
def make_store(request: pytest.FixtureRequest, cluster_of, database) -> Callable[[Clock], PostgresStore]:  # type: ignore[no-untyped-def]
    cluster = cluster_of(request.param)
    template = with_schema(cluster)
    return lambda clock: PostgresStore(place_of(database(cluster, template)), clock=clock, migrate=False)
