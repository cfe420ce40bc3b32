"""All plans of a SQLite store."""

from __future__ import annotations

from dray.store.sql.store import SqlPlans
from dray.store.sqlite.space import SpacePlans


class SqlitePlans(SqlPlans, SpacePlans):
    """The verbs of the store. Calling one only makes a plan; a session runs it."""
