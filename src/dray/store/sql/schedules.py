"""Schedules: kept by name, fired once per tick whoever asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dray.errors import ConfigurationError
from dray.model import ids
from dray.model.clock import SECOND
from dray.model.job import NewJob
from dray.model.schedule import due_ticks, overlap_action, parse_trigger
from dray.store.plan import Now, Plan, Query, Ring, Row, reads
from dray.store.sql.rows import BLOCKED, READY, SCHEDULED, Tally
from dray.store.sql.sentences import Sentences
from dray.store.values import ScheduleRow

FIRE_AT_ONCE = 100
STUCK = 60 * SECOND  # until a schedule is looked at again whose times cannot be understood
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SchedulePlans:
    """Keeping and firing schedules over SQL."""

    say: Sentences

    @reads
    def schedules(self) -> Plan[list[ScheduleRow]]:
        """All of them, by name."""
        rows: list[Row] = yield Query(self.say.schedules)
        return [ScheduleRow(*row) for row in rows]

    @reads
    def schedule(self, name: str) -> Plan[ScheduleRow | None]:
        """One of them."""
        rows: list[Row] = yield Query(self.say.schedule_get, {"name": name})
        return ScheduleRow(*rows[0]) if rows else None

    def put_schedule(self, row: ScheduleRow) -> Plan[None]:
        """Add a schedule or change it. One that only changes in other things than its times keeps its place in time."""
        now: int = yield Now()
        upcoming = micros(parse_trigger(row.spec, row.tz).next_after(moment(now)))
        params: dict[str, Any] = {field: getattr(row, field) for field in ScheduleRow.__struct_fields__}
        for name in ("paused", "fired", "missed"):
            del params[name]
        yield Query(self.say.schedule_put, {**params, "last": now, "next": upcoming})
        yield Ring("work")

    def pause_schedule(self, name: str) -> Plan[bool]:
        """It does not fire until it is resumed; whether there is such a schedule."""
        now: int = yield Now()
        rows: list[Row] = yield Query(
            self.say.schedule_pause, {"name": name, "paused": now, "next": None, "last": None}
        )
        return bool(rows)

    def resume_schedule(self, name: str) -> Plan[bool]:
        """It fires again from now on; what fell into the pause is not caught up with."""
        now: int = yield Now()
        found: list[Row] = yield Query(self.say.schedule_get, {"name": name})
        if not found:
            return False
        row = ScheduleRow(*found[0])
        if row.paused is None:  # what is due and not fired yet would be lost
            return True
        upcoming = micros(parse_trigger(row.spec, row.tz).next_after(moment(now)))
        yield Query(self.say.schedule_pause, {"name": name, "paused": None, "next": upcoming, "last": now})
        yield Ring("work")
        return True

    def remove_schedule(self, name: str) -> Plan[bool]:
        """Whether there was such a schedule; jobs that it fired stay."""
        rows: list[Row] = yield Query(self.say.schedule_remove, {"name": name})
        return bool(rows)

    def run_schedule(self, name: str) -> Plan[bytes | None]:
        """Enqueue its job now, beside its ticks; the job's id, None if there is no such schedule."""
        found: list[Row] = yield Query(self.say.schedule_get, {"name": name})
        if not found:
            return None
        job = job_of(ScheduleRow(*found[0]), None)
        yield from self.add([job])  # type: ignore[attr-defined]
        return job.id

    def tick(self) -> Plan[list[tuple[str, int]]]:
        """Fire what is due, once for each (name, time) whoever asks; what was fired."""
        now: int = yield Now()
        yield from self._unblock(now)
        due: list[Row] = yield Query(self.say.schedules_due, {"now": now, "n": FIRE_AT_ONCE})
        fired: list[tuple[str, int]] = []
        for found in due:
            row = ScheduleRow(*found)
            try:
                fired += yield from self._fire(row, now)
            except ConfigurationError:
                # Its times cannot be understood (any more): it must not keep the others from firing. `doctor` tells of it.
                yield Query(self.say.schedule_stuck, {"name": row.name, "next": now + STUCK})
        return fired

    def _fire(self, row: ScheduleRow, now: int) -> Plan[list[tuple[str, int]]]:
        trigger = parse_trigger(row.spec, row.tz)
        decided = due_ticks(
            trigger, last=moment(row.last), now=moment(now), catch_up=row.catch_up, window=row.window  # type: ignore[arg-type]
        )
        ticks = [micros(tick) for tick in decided.ticks]
        last = max(row.last, micros(decided.last))
        upcoming = micros(trigger.next_after(moment(last)))
        params = {
            "name": row.name, "seen": row.last, "last": last, "next": upcoming, "fired": max(ticks, default=None),
            "missed": decided.missed,
        }  # fmt: skip
        mine: list[Row] = yield Query(self.say.schedule_decided, params)
        if not mine:
            return []
        fired = []
        for tick in ticks:
            if (yield from self._fire_one(row, tick, now)):
                fired.append((row.name, tick))
        return fired

    def _fire_one(self, row: ScheduleRow, tick: int, now: int) -> Plan[bool]:
        job = job_of(row, tick)
        unfinished: list[Row] = []
        if row.overlap != "allow":
            unfinished = yield Query(self.say.schedule_unfinished, {"name": row.name})
        action = overlap_action(row.overlap, len(unfinished))  # type: ignore[arg-type]
        if action == "skip":
            return False
        if action == "queue" and any(state == BLOCKED for _, _, state in unfinished):
            return False  # at most one waits
        if action == "cancel_then_fire":
            yield from self.cancel([id_ for _, id_, _ in unfinished], "a newer run of its schedule began")  # type: ignore[attr-defined]
        yield from self.add([job])  # type: ignore[attr-defined]
        if action == "queue" and (yield from self._block(job, f"schedule:{row.name}")):
            tally = Tally()
            tally.move(job.queue, READY if (job.at or 0) <= now else SCHEDULED, BLOCKED)
            yield from tally.write(self.say.tally)
        return True

    def _block(self, job: NewJob, hold: str) -> Plan[bool]:
        """Let a new job wait for what `hold` names; whether it does."""
        return bool((yield Query(self.say.block, {"id": job.id, "hold": hold})))

    def _blocked(self) -> Plan[list[tuple[int, str, str]]]:
        """The jobs that wait for an earlier run of their schedule: (seq, schedule, queue)."""
        return (yield Query(self.say.blocked_schedules))  # type: ignore[no-any-return]

    def _free(self, seq: int, now: int) -> Plan[bool]:
        """Let such a job be ready; whether it waited still."""
        return bool((yield Query(self.say.unblock, {"seq": seq, "now": now})))

    def _unblock(self, now: int) -> Plan[None]:
        """Start the jobs that waited for the earlier run of their schedule to end."""
        waiting = yield from self._blocked()
        if not waiting:
            return
        tally = Tally()
        for seq, name, queue in waiting:
            unfinished: list[Row] = yield Query(self.say.schedule_unfinished, {"name": name})
            if any(other < seq and state != BLOCKED for other, _, state in unfinished):
                continue
            if (yield from self._free(seq, now)):
                tally.move(queue, BLOCKED, READY)
        yield from tally.write(self.say.tally)
        yield Ring("work")


def job_of(row: ScheduleRow, tick: int | None, id: bytes | None = None) -> NewJob:
    """The job that a schedule enqueues for a tick (None: by hand)."""
    return NewJob(
        id=id or ids.new_ids(1)[0], task=row.task, args=row.args, queue=row.queue, executor=row.executor, priority=row.priority,
        max_attempts=row.max_attempts, at=tick, tags=row.tags, options=row.options, schedule=row.name,
    )  # fmt: skip


def moment(at: int) -> datetime:
    """Microseconds since 1970 as an aware datetime."""
    return EPOCH + timedelta(microseconds=at)


def micros(at: datetime) -> int:
    """An aware datetime as microseconds since 1970, exactly."""
    return (at - EPOCH) // timedelta(microseconds=1)


