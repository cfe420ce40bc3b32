"""Audit: who did what. All of it is kept on the first shard."""

from __future__ import annotations

import struct

import msgspec

from dray.model.clock import SECOND
from dray.store.plan import Call, Plan, reads, repeatable
from dray.store.redis.shards import ShardPlans, lots
from dray.store.sql.audit import PRUNE_AT_ONCE
from dray.store.text import keepable
from dray.store.values import AuditEntry

HEAD = struct.Struct(">dd")  # number, at
READ_AT_ONCE = 500


class AuditPlans(ShardPlans):
    """The Audit protocol over Redis."""

    def write_audit(self, entry: AuditEntry) -> Plan[None]:
        """Keep an entry, with the next number and the store's time."""
        said = [keepable(text) for text in (entry.by, entry.via, entry.action, entry.target, entry.detail)]
        yield Call(self.say.audit_add, (self.now(), msgspec.msgpack.encode(said)))

    @reads
    def audits(self, before: int | None = None, limit: int = 100) -> Plan[list[AuditEntry]]:
        """Entries, newest first, at most `limit`; only those with a number below `before`."""
        found: list[AuditEntry] = []
        for lot in lots(range(limit), READ_AT_ONCE):
            members: list[bytes] = yield Call(self.say.audits, ("" if before is None else before, len(lot)))
            for member in members:
                number, at = HEAD.unpack_from(member)
                by, via, action, target, detail = msgspec.msgpack.decode(member[HEAD.size :])
                found.append(AuditEntry(by, via, action, target, detail, int(number), int(at)))
            if len(members) < len(lot):
                break
            before = found[-1].number
        return found

    @repeatable
    def prune_audit(self, keep: int, age: float) -> Plan[int]:
        """Forget all but the newest `keep` entries, and those older than `age` seconds; how many, at most 1000 at once."""
        return (yield Call(self.say.audit_prune, (self.now(), keep, int(age * SECOND), PRUNE_AT_ONCE)))  # type: ignore[no-any-return]
