"""PostgreSQL for the tests of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dray.store.open import open_store

if TYPE_CHECKING:
    from servers.postgres import Cluster

VERSIONS = (15, 16, 18)


def with_schema(cluster: Cluster) -> str:
    """The name of a template database with Dray's schema in it."""
    cluster.template("dray", lambda url: open_store(url).close())
    return "dray"
