"""Admin: questions about jobs, and what an operator may do to them."""

from __future__ import annotations

from collections.abc import Sequence

from dray.model import ids
from dray.model.job import KEEP_CANCELLED, JobInfo
from dray.store.plan import Now, Plan, Query, Ring, Row, Steady, reads
from dray.store.sql.find import FindPlans
from dray.store.sql.rows import (
    BLOCKED,
    CANCELLED,
    PARKED,
    READY,
    RUNNING,
    SCHEDULED,
    SLEEPING,
    STATES,
    Tally,
    by_queue,
    info_from,
    lenient,
)
from dray.store.sql.sentences import Sentences
from dray.store.values import Ending, LogLine, NodeInfo, QueueInfo, RunRecord


class AdminPlans(FindPlans):
    """The Admin protocol over SQL."""

    say: Sentences

    @reads
    def get(self, id: bytes) -> Plan[JobInfo | None]:
        """One job."""
        rows: list[Row] = yield Query(self.say.get, {"id": id})
        return info_from(rows[0]) if rows else None

    @reads
    def ending(self, id: bytes) -> Plan[Ending | None]:
        """Only what a waiting handle needs."""
        rows: list[Row] = yield Query(self.say.outcome_of, {"id": id})
        if not rows:
            return None
        state, result, error, reason, task, attempt, _claim = rows[0]
        return Ending(STATES[state], result, lenient(error), reason, task, attempt)

    @reads
    def by_prefix(self, low: bytes, high: bytes, limit: int = 10) -> Plan[list[str]]:
        """Ids of kept jobs between two, for abbreviated ids."""
        rows: list[Row] = yield Query(self.say.by_prefix, {"low": low, "high": high, "n": limit})
        return [ids.to_text(raw) for (raw,) in rows]

    @reads
    def history(self, id: bytes) -> Plan[list[RunRecord]]:
        """The past runs of a job, oldest first; the run that ended it well stands in the job itself."""
        seq = yield from self._seq(id)
        rows: list[Row] = yield Query(self.say.history, {"seq": seq})
        return [
            RunRecord(claim, attempt, word, node, started, finished, reason, lenient(error))
            for claim, attempt, word, node, started, finished, reason, error in rows
        ]

    @reads
    def logs(self, id: bytes, after: int = 0, limit: int = 1000) -> Plan[list[LogLine]]:
        """What the runs of a job logged, from the line after `after`."""
        seq = yield from self._seq(id)
        rows: list[Row] = yield Query(self.say.logs, {"seq": seq, "after": after, "n": limit})
        return [LogLine(*row) for row in rows]

    def _seq(self, id: bytes) -> Plan[int]:
        rows: list[Row] = yield Query(self.say.seq_of, {"id": id})
        return rows[0][0] if rows else -1

    @reads
    def counts(self) -> Plan[dict[str, dict[str, int]]]:
        """How many jobs are in each state, by queue, from the kept counters."""
        rows: list[Row] = yield Query(self.say.counts)
        return by_queue(rows)

    @reads
    def recount(self) -> Plan[dict[str, dict[str, int]]]:
        """The same by counting every job: slow, for checks."""
        rows: list[Row] = yield Query(self.say.recount)
        return by_queue(rows)

    @reads
    def queues(self) -> Plan[list[QueueInfo]]:
        """Every queue that a job or an operator named."""
        counts = by_queue((yield Query(self.say.counts)))
        stops = {name: (paused, by) for name, paused, by in (yield Query(self.say.queues))}
        found = []
        for name in sorted({*counts, *stops}):
            oldest: list[Row] = yield Query(self.say.oldest_ready, {"queue": name})
            paused, by = stops.get(name, (None, None))
            found.append(QueueInfo(name, counts.get(name, {}), paused, by if paused else None, oldest[0][0]))
        return found

    @reads
    def nodes(self) -> Plan[list[NodeInfo]]:
        """The workers, those included whose lease has run out and who have not been ended yet."""
        boot, steady = yield Steady()
        running = dict((yield Query(self.say.running_count)))
        rows: list[Row] = yield Query(self.say.nodes)
        return [
            NodeInfo(
                id_, name, host, pid, node_boot == boot and until >= steady, entered, renewed, claimed, bool(stopping),
                running.get(id_, 0), lenient(info),
            )
            for id_, name, host, pid, node_boot, until, entered, renewed, claimed, stopping, info in rows
        ]  # fmt: skip

    def pause(self, queue: str, by: str | None = None) -> Plan[None]:
        """Nothing of `queue` is started until it is resumed; what runs goes on."""
        now: int = yield Now()
        yield Query(self.say.queue_pause, {"name": queue, "now": now, "by": by})

    def resume(self, queue: str, by: str | None = None) -> Plan[bool]:
        """Whether the queue had been paused."""
        rows: list[Row] = yield Query(self.say.queue_resume, {"name": queue, "by": by})
        yield Ring("work")
        return bool(rows)

    def write(self, tally: Tally) -> Plan[None]:
        """Write what has been counted."""
        yield from tally.write(self.say.tally)

    def _held(self, id_: bytes) -> Plan[Row | None]:
        """A job (seq, state, queue, …) that nobody else changes until the end of the transaction."""
        rows: list[Row] = yield Query(self.say.seq_of, {"id": id_})
        return rows[0] if rows else None

    def _cancel_waiting(self, row: Row, now: int, reason: str) -> Plan[None]:
        yield Query(self.say.cancel_waiting, {"seq": row[0], "state": row[1], "now": now, "reason": reason, "keep": KEEP_CANCELLED})

    def _keep_place(self, seq: int) -> Plan[None]:
        """The place of a job that is deleted is never taken again."""
        yield Query(self.say.keep_place, {"seq": seq})

    def cancel(self, jobs: Sequence[bytes], reason: str = "") -> Plan[dict[bytes, str]]:
        """Cancel in every state. By id: "cancelled", "asked" (it runs and is told), "final" (too late) or "unknown"."""
        now: int = yield Now()
        tally = Tally()
        answers: dict[bytes, str] = {}
        for id_ in jobs:
            row = yield from self._held(id_)
            if row is None:
                answers[id_] = "unknown"
                continue
            seq, state, queue = row[:3]
            if state == RUNNING:
                yield Query(self.say.cancel_running, {"seq": seq, "reason": reason or "cancelled"})
                answers[id_] = "asked"
                yield Ring("orders")
            elif state in (SCHEDULED, READY, BLOCKED, SLEEPING, PARKED):
                yield from self._cancel_waiting(row, now, reason or "cancelled")
                tally.move(queue, state, CANCELLED)
                answers[id_] = "cancelled"
                yield Ring("done")
            else:
                answers[id_] = "final"
        yield from self.write(tally)
        return answers

    def retry(self, jobs: Sequence[bytes]) -> Plan[dict[bytes, str]]:
        """A final job begins a new life, with its history kept; a scheduled one runs now. By id: "ready", "unknown", or the
        state in which the job is and cannot be retried."""
        now: int = yield Now()
        tally = Tally()
        answers: dict[bytes, str] = {}
        for id_ in jobs:
            row = yield from self._held(id_)
            if row is None:
                answers[id_] = "unknown"
                continue
            seq, state, queue = row[:3]
            if STATES[state].final:
                yield Query(self.say.retry_history, {"seq": seq, "now": now})
                yield Query(self.say.retry_final, {"seq": seq, "now": now})
            elif state == SCHEDULED:
                yield Query(self.say.retry_now, {"seq": seq, "now": now})
            else:
                answers[id_] = str(STATES[state])
                continue
            tally.move(queue, state, READY)
            answers[id_] = "ready"
        yield from self.write(tally)
        yield Ring("work")
        return answers

    def delete(self, jobs: Sequence[bytes]) -> Plan[dict[bytes, str]]:
        """Forget jobs that do not run. By id: "deleted", "running" (cancel it first) or "unknown"."""
        tally = Tally()
        answers: dict[bytes, str] = {}
        for id_ in jobs:
            row = yield from self._held(id_)
            if row is None:
                answers[id_] = "unknown"
                continue
            seq = row[0]
            gone: list[Row] = yield Query(self.say.delete_job, {"seq": seq})
            answers[id_] = "deleted" if gone else "running"
            for queue, state in gone:
                tally.move(queue, state, None)
                yield Query(self.say.delete_history, {"seq": seq})
                yield Query(self.say.delete_log, {"seq": seq})
                yield from self._keep_place(seq)
        yield from self.write(tally)
        return answers

    def edit(
        self, id: bytes, *, args: bytes | None = None, priority: int | None = None, max_attempts: int | None = None
    ) -> Plan[bool]:
        """Change a job that waits; whether it still did."""
        seq = yield from self._seq(id)
        rank = None if priority is None else -priority
        params = {
            "seq": seq, "args": args, "rank": rank, "queue": None, "due": None, "tags": None, "max_attempts": max_attempts,
        }  # fmt: skip
        rows: list[Row] = yield Query(self.say.edit, params)
        return bool(rows)
