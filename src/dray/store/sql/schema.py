"""Which of the tables there are: new code works with the schema before its own too, where it must not migrate."""

from __future__ import annotations

from dray.store.plan import Plan, Query, Row
from dray.store.sql.sentences import Sentences

INSIGHT = 2  # the schema from which on there are figures, an audit, and questions to workers


class SchemaPlans:
    """What the plans of later migrations stand on."""

    say: Sentences
    reached = 0  # the schema that the database had when it was last asked

    def has(self, number: int) -> Plan[bool]:
        """Whether the database has this schema, or a later one. Asked once, and again only as long as it has not."""
        if self.reached < number:
            rows: list[Row] = yield Query(self.say.schema_of)
            self.reached = int(rows[0][0])
        return self.reached >= number
