"""Schedules: where they differ from those of other SQL stores, which is in the lanes."""

from __future__ import annotations

from dray.model.job import NewJob
from dray.store.plan import Plan, Query, Row
from dray.store.postgres.lanes import key_of
from dray.store.postgres.maintenance import MaintenancePlans
from dray.store.sql import schedules


class SchedulePlans(MaintenancePlans, schedules.SchedulePlans):
    """Keeping and firing schedules over PostgreSQL."""

    def _block(self, job: NewJob, hold: str) -> Plan[bool]:
        queue, executor, rank, _ = key_of(job)
        siding = yield from self.lane(queue, executor, rank, hold)
        return bool((yield Query(self.say.block, {"id": job.id, "lane": siding})))

    def _blocked(self) -> Plan[list[tuple[int, str, str]]]:
        rows: list[Row] = yield Query(self.say.blocked_schedules)
        return [(seq, name, queue) for seq, name, queue, _, _ in rows]

    def _free(self, seq: int, now: int) -> Plan[bool]:
        rows: list[Row] = yield Query(self.say.blocked_schedules)
        for other, _, queue, executor, rank in rows:
            if other == seq:
                lane = yield from self.lane(queue, executor, rank)
                return bool((yield Query(self.say.unblock, {"seq": seq, "lane": lane, "now": now})))
        return False
