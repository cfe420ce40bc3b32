"""Enqueue: new jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dray.model.clock import SECOND
from dray.model.job import NewJob
from dray.store.plan import Many, Now, Plan, Query, Ring, Row
from dray.store.sql.rows import READY, SCHEDULED
from dray.store.sql.sentences import Sentences


def row_of(job: NewJob, now: int) -> Row:
    """The parameters of add.sql."""
    due = job.at if job.at is not None else now + int(job.delay * SECOND) if job.delay > 0 else now
    expires = job.expires_at
    if expires is None and job.expires_in is not None:
        expires = now + int(job.expires_in * SECOND)
    return (
        job.id, job.task, job.queue, job.executor, -job.priority, due, READY if due <= now else SCHEDULED, job.max_attempts,
        now, job.args, expires, job.options, job.tags, job.schedule, job.parent,
    )  # fmt: skip


def counted(jobs: Sequence[NewJob], now: int, counts: dict[tuple[str, int], int]) -> Iterator[Row]:
    """The rows, counted by queue and state as they pass."""
    for job in jobs:
        row = row_of(job, now)
        key = (row[2], row[6])
        counts[key] = counts.get(key, 0) + 1
        yield row


class EnqueuePlans:
    """The Enqueue protocol over SQL."""

    say: Sentences

    def add(self, jobs: Sequence[NewJob]) -> Plan[None]:
        """Write `jobs`. A job whose id is kept already is left as it is, so that an add may safely be sent again."""
        now: int = yield Now()
        counts: dict[tuple[str, int], int] = {}
        if len(jobs) == 1:  # by far the most frequent case, and one that a request waits for
            row = row_of(jobs[0], now)
            counts[row[2], row[6]] = 1
            written: int = yield Many(self.say.add, (row,))
        else:
            written = yield Many(self.say.add, counted(jobs, now, counts))
        if not written:
            return  # sent again: they are all there already, and counted
        if written != len(jobs):  # some of them are: count those that are new, which are the newest there are
            counts = {}
            for key in (yield Query(self.say.newest, {"n": written})):
                counts[key] = counts.get(key, 0) + 1
        yield Many(self.say.tally, [(queue, state, n) for (queue, state), n in counts.items()])
        yield Ring("work")

    def add_child(self, jobs: Sequence[NewJob], seq: int, claim: int) -> Plan[bool]:
        """`add` for a run that enqueues: only if its claim is still valid; whether it was."""
        mine = yield from self.own(seq, claim)  # type: ignore[attr-defined]
        if mine:
            yield from self.add(jobs)
        return bool(mine)
