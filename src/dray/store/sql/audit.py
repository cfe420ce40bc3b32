"""Audit: who did what. A database with the schema before keeps nothing of it."""

from __future__ import annotations

from dray.model.clock import SECOND
from dray.store.plan import Now, Plan, Query, Row, reads, repeatable
from dray.store.sql.schema import INSIGHT, SchemaPlans
from dray.store.text import keepable
from dray.store.values import AuditEntry

NEWEST = (1 << 63) - 1  # above all numbers
PRUNE_AT_ONCE = 1000


class AuditPlans(SchemaPlans):
    """The Audit protocol over SQL."""

    def write_audit(self, entry: AuditEntry) -> Plan[None]:
        """Keep an entry, with the next number and the store's time."""
        if not (yield from self.has(INSIGHT)):
            return
        now: int = yield Now()
        said = {name: keepable(getattr(entry, name)) for name in ("by", "via", "action", "target", "detail")}
        yield Query(self.say.audit_add, {"at": now, **said})

    @reads
    def audits(self, before: int | None = None, limit: int = 100) -> Plan[list[AuditEntry]]:
        """Entries, newest first, at most `limit`; only those with a number below `before`."""
        if not (yield from self.has(INSIGHT)):
            return []
        rows: list[Row] = yield Query(self.say.audits, {"before": NEWEST if before is None else before, "n": limit})
        return [AuditEntry(*row) for row in rows]

    @repeatable
    def prune_audit(self, keep: int, age: float) -> Plan[int]:
        """Forget all but the newest `keep` entries, and those older than `age` seconds; how many, at most 1000 at once."""
        if not (yield from self.has(INSIGHT)):
            return 0
        now: int = yield Now()
        given = {"keep": keep, "old": now - int(age * SECOND), "n": PRUNE_AT_ONCE}
        rows: list[Row] = yield Query(self.say.audit_prune, given)
        return len(rows)
