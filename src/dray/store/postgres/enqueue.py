"""Enqueue: new jobs, in one round trip each, in one statement for some, by COPY for many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dray.model.clock import SECOND
from dray.model.job import NewJob
from dray.store.plan import Again, Bulk, Now, Plan, Query, Ring, Row, repeatable
from dray.store.postgres.lanes import Key, LanePlans, key_of
from dray.store.postgres.locks import queue_lock
from dray.store.sql.rows import READY, SCHEDULED, Tally

COPY_FROM = 200  # jobs from which on COPY is quicker than one statement with arrays
NO_RARE = (None,) * 5
COLUMNS = {
    "id": "bytea", "task": "text", "lane": "int4", "due": "int8", "later": "int8", "state": "int2", "max_attempts": "int4",
    "enqueued": "int8", "args": "bytea", "expires": "int8", "options": "bytea", "tags": "text", "schedule": "text",
    "parent": "bytea",
}  # fmt: skip


class EnqueuePlans(LanePlans):
    """The Enqueue protocol over PostgreSQL."""

    area: int
    channels: Mapping[str, str]
    quick_add: Any  # add_new.sql, the short way

    @repeatable
    def add(self, jobs: Sequence[NewJob]) -> Plan[None]:
        """Write `jobs`. A job whose id is kept already is left as it is, so that an add may safely be sent again."""
        if len(jobs) == 1:  # by far the most frequent case, and one that a request waits for
            (job,) = jobs
            lane = yield from self.lane(*key_of(job))
            yield Query(self.say.add_one, self._one(job, lane), alone=True)
            yield Ring("work")
            return
        if not jobs:
            return
        lanes = yield from self.lanes_of({key_of(job) for job in jobs})
        if len(jobs) < COPY_FROM or (yield Again()):
            yield Query(self.say.add_many, self._columns(jobs, lanes), alone=True)
            yield Ring("work")
            return
        now: int = yield Now()
        tally = Tally()
        yield Bulk("dray_job", COLUMNS, rows_of(jobs, lanes, now, tally))
        yield from self.write(tally)
        yield Ring("work")

    def new(self, job: NewJob, ring: bool) -> dict[str, Any] | None:
        """The parameters of add_new.sql; None if it is not for such a job. `ring`: wake who sleeps."""
        lane = self.known.get(key_of(job))
        rare = (job.at, job.expires_in, job.expires_at, job.schedule, job.parent)
        if lane is None or job.delay > 0 or rare != NO_RARE:
            return None
        return {
            "now": self.now(), "id": job.id, "task": job.task, "lane": lane, "max_attempts": job.max_attempts, "args": job.args,
            "options": job.options, "tags": job.tags, "queue": job.queue, "queue_lock": queue_lock(job.queue), "ring": ring,
        }  # fmt: skip

    def _one(self, job: NewJob, lane: int) -> dict[str, Any]:
        return {
            "now": self.now(), "at": job.at, "delay": micros(job.delay), "expires_at": job.expires_at,
            "expires_in": micros(job.expires_in), "id": job.id, "task": job.task, "lane": lane,
            "max_attempts": job.max_attempts, "args": job.args, "options": job.options, "tags": job.tags,
            "schedule": job.schedule, "parent": job.parent, "queue": job.queue, "area": self.area,
            "channel": self.channels["work"], "ring": True, "queue_lock": queue_lock(job.queue),
        }  # fmt: skip

    def _columns(self, jobs: Sequence[NewJob], lanes: Mapping[Key, int]) -> dict[str, object]:
        return {
            "now": self.now(), "id": [job.id for job in jobs], "task": [job.task for job in jobs],
            "lane": [lanes[key_of(job)] for job in jobs], "at": [job.at for job in jobs],
            "delay": [micros(job.delay) for job in jobs], "max_attempts": [job.max_attempts for job in jobs],
            "args": [job.args for job in jobs], "expires_at": [job.expires_at for job in jobs],
            "expires_in": [micros(job.expires_in) for job in jobs], "options": [job.options for job in jobs],
            "tags": [job.tags for job in jobs], "schedule": [job.schedule for job in jobs],
            "parent": [job.parent for job in jobs], "area": self.area, "channel": self.channels["work"],
            "ring": True,
        }  # fmt: skip

    @repeatable
    def add_child(self, jobs: Sequence[NewJob], seq: int, claim: int) -> Plan[bool]:
        """`add` for a run that enqueues: only if its claim is still valid; whether it was."""
        yield from self.lanes_of({key_of(job) for job in jobs})
        mine: list[Row] = yield Query(self.say.still_mine, {"seq": seq, "claim": claim})
        if mine:
            yield from self.add(jobs)
        return bool(mine)


def rows_of(jobs: Sequence[NewJob], lanes: Mapping[Key, int], now: int, tally: Tally) -> Iterator[Row]:
    """The rows for COPY, counted as they pass."""
    counts: dict[tuple[str, int], int] = {}
    for job in jobs:
        due = job.at if job.at is not None else now + int(job.delay * SECOND) if job.delay > 0 else now
        expires = job.expires_at
        if expires is None and job.expires_in is not None:
            expires = now + int(job.expires_in * SECOND)
        state, later = (READY, None) if due <= now else (SCHEDULED, due)
        counts[job.queue, state] = counts.get((job.queue, state), 0) + 1
        lane = lanes[key_of(job)]
        yield (
            job.id, job.task, lane if later is None else -lane, due, later, state, job.max_attempts, now, job.args, expires,
            job.options, job.tags, job.schedule, job.parent,
        )  # fmt: skip
    for (queue, state), n in counts.items():
        tally.move(queue, None, state, n)


def micros(seconds: float | None) -> int | None:
    """Seconds as microseconds."""
    return None if seconds is None else max(0, int(seconds * SECOND))
