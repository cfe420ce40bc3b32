"""How much room the tables take."""

from __future__ import annotations

from dray.store.plan import Plan, Query, Row, reads
from dray.store.sql.sentences import Sentences
from dray.store.values import Space


class SpacePlans:
    """The question for space over PostgreSQL."""

    say: Sentences
    schema: str

    @reads
    def space(self) -> Plan[list[Space]]:
        """The tables of Dray with their indexes, the largest first. Their rows as vacuum last saw them: None if it has not yet."""
        rows: list[Row] = yield Query(self.say.space, {"schema": self.schema})
        return [Space(*row) for row in rows]
