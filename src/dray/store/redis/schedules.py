"""Schedules: kept by name, fired once per tick whoever asks. They are all kept on the first shard, and so are the jobs they "
"fire."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from dray.errors import ConfigurationError
from dray.model import ids
from dray.model.clock import SECOND
from dray.model.job import KEEP_CANCELLED
from dray.model.schedule import due_ticks, parse_trigger
from dray.store.plan import Call, Plan, Ring, reads, repeatable
from dray.store.redis.maintenance import MaintenancePlans
from dray.store.redis.records import WISH, packed
from dray.store.sql.schedules import FIRE_AT_ONCE, STUCK, job_of, micros, moment
from dray.store.values import ScheduleRow

HEAD = struct.Struct(">dddddH")  # last, next, paused, fired, missed, length of the times
ZONE = struct.Struct(">H")
KEPT = (
    "task", "queue", "executor", "priority", "max_attempts", "args", "options", "tags", "catch_up", "window", "overlap", "origin",
)  # fmt: skip
NEWER = "a newer run of its schedule began"


def row_from(name: bytes, raw: bytes) -> ScheduleRow:
    """A schedule as the scripts keep it."""
    last, next_, paused, fired, missed, size = HEAD.unpack_from(raw)
    at = HEAD.size + size
    spec = raw[HEAD.size : at].decode()
    (size,) = ZONE.unpack_from(raw, at)
    zone = raw[at + 2 : at + 2 + size].decode()
    kept = dict(zip(KEPT, msgspec.msgpack.decode(raw[at + 2 + size :]), strict=True))
    return ScheduleRow(
        name=name.decode(), spec=spec, tz=zone, paused=int(paused) or None, last=int(last), next=int(next_),
        fired=int(fired) or None, missed=int(missed), **kept,
    )  # fmt: skip


class SchedulePlans(MaintenancePlans):
    """Keeping and firing schedules over Redis."""

    @reads
    def schedules(self) -> Plan[list[ScheduleRow]]:
        """All of them, by name."""
        flat: list[bytes] = yield Call(self.say.schedules, ())
        return sorted((row_from(*pair) for pair in zip(flat[::2], flat[1::2], strict=True)), key=lambda row: row.name)

    @reads
    def schedule(self, name: str) -> Plan[ScheduleRow | None]:
        """One of them."""
        _, row = yield from self._schedule(name)
        return row

    def _schedule(self, name: str) -> Plan[tuple[int, ScheduleRow | None]]:
        now, raw = yield Call(self.say.schedule_get, (self.now(), name))
        return now, None if raw is None else row_from(name.encode(), raw)

    @repeatable
    def put_schedule(self, row: ScheduleRow) -> Plan[None]:
        """Add a schedule or change it. One that only changes in other things than its times keeps its place in time."""
        now, _ = yield from self._schedule(row.name)
        upcoming = micros(parse_trigger(row.spec, row.tz).next_after(moment(now)))
        said = msgspec.msgpack.encode([getattr(row, field) for field in KEPT])
        yield Call(self.say.schedule_put, (self.now(), self.bell, row.name, row.spec, row.tz, upcoming, said))
        yield Ring("work")

    @repeatable
    def pause_schedule(self, name: str) -> Plan[bool]:
        """It does not fire until it is resumed; whether there is such a schedule."""
        return bool((yield Call(self.say.schedule_pause, (self.now(), self.bell, name, ""))))

    @repeatable
    def resume_schedule(self, name: str) -> Plan[bool]:
        """It fires again from now on; what fell into the pause is not caught up with."""
        now, row = yield from self._schedule(name)
        if row is None:
            return False
        upcoming = micros(parse_trigger(row.spec, row.tz).next_after(moment(now)))
        found = yield Call(self.say.schedule_pause, (self.now(), self.bell, name, upcoming))
        yield Ring("work")
        return bool(found)

    def remove_schedule(self, name: str) -> Plan[bool]:
        """Whether there was such a schedule; jobs that it fired stay."""
        return bool((yield Call(self.say.schedule_remove, (name,))))

    def run_schedule(self, name: str) -> Plan[bytes | None]:
        """Enqueue its job now, beside its ticks; the job's id, None if there is no such schedule."""
        _, row = yield from self._schedule(name)
        if row is None:
            return None
        job = job_of(row, None, self._id())
        yield from self.add([job])
        return job.id

    def _id(self) -> bytes:
        """A new id of the first shard."""
        return ids.new_ids(1, shard=1 if self.count > 1 else 0)[0]

    def tick(self) -> Plan[list[tuple[str, int]]]:
        """Fire what is due, once for each (name, time) whoever asks; what was fired."""
        yield Call(self.say.unblock, (self.now(), self.bell))
        now, *due = yield Call(self.say.schedules_due, (self.now(), FIRE_AT_ONCE))
        fired: list[tuple[str, int]] = []
        for name, raw in zip(due[::2], due[1::2], strict=True):
            row = row_from(name, raw)
            try:
                call = self._fire(row, now)
            except ConfigurationError:
                # Its times cannot be understood (any more): it must not keep the others from firing. `doctor` tells of it.
                yield Call(self.say.schedule_stuck, (row.name, now + STUCK))
                continue
            times: Sequence[int] = yield call
            fired += [(row.name, at) for at in times]
        if fired:
            yield Ring("work")
        return fired

    def _fire(self, row: ScheduleRow, now: int) -> Call:
        trigger = parse_trigger(row.spec, row.tz)
        decided = due_ticks(
            trigger, last=moment(row.last), now=moment(now), catch_up=row.catch_up, window=row.window  # type: ignore[arg-type]
        )
        ticks = [micros(tick) for tick in decided.ticks]
        last = max(row.last, micros(decided.last))
        upcoming = micros(trigger.next_after(moment(last)))
        args: list[Any] = [
            self.now(), self.bell, int(KEEP_CANCELLED * SECOND), NEWER, row.name, row.last, last, upcoming, max(ticks, default=0),
            decided.missed, row.overlap,
        ]  # fmt: skip
        for tick in ticks:
            args += (tick, packed(job_of(row, tick, self._id()))[WISH.size :])
        return Call(self.say.fire, args)
