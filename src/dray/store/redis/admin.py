"""Admin: questions about jobs, and what an operator may do to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dray.model import ids
from dray.model.clock import SECOND
from dray.model.job import KEEP_CANCELLED, JobInfo
from dray.store.plan import Call, Plan, Ring, reads
from dray.store.redis.find import FindPlans
from dray.store.redis.records import counters, info_from, text
from dray.store.redis.schedules import SchedulePlans
from dray.store.redis.shards import lots
from dray.store.sql.rows import STATES, by_queue, lenient
from dray.store.text import encodable
from dray.store.values import Ending, LogLine, NodeInfo, QueueInfo, RunRecord

COUNTED = 500


class AdminPlans(FindPlans, SchedulePlans):
    """The Admin protocol over Redis."""

    @reads
    def get(self, id: bytes) -> Plan[JobInfo | None]:
        """One job."""
        row = yield Call(self.say.get, (id,), self.shard_of(id))
        return None if row is None else info_from(row)

    @reads
    def ending(self, id: bytes) -> Plan[Ending | None]:
        """Only what a waiting handle needs."""
        row = yield Call(self.say.ending, (id,), self.shard_of(id))
        if row is None:
            return None
        state, attempt, task, result, error, reason = row
        return Ending(STATES[state], result, lenient(error), text(reason), task.decode(), attempt)

    @reads
    def by_prefix(self, low: bytes, high: bytes, limit: int = 10) -> Plan[list[str]]:
        """Ids of kept jobs between two, for abbreviated ids."""
        answers = yield from self.every(self.say.by_prefix, (low, high, limit))
        return [ids.to_text(raw) for raw in sorted(raw for answer in answers for raw in answer)[:limit]]

    @reads
    def history(self, id: bytes) -> Plan[list[RunRecord]]:
        """The past runs of a job, oldest first; the run that ended it well stands in the job itself."""
        flat = yield Call(self.say.history, (id,), self.shard_of(id))
        found = []
        for claim, record in zip(flat[::2], flat[1::2], strict=True):
            attempt, word, node, started, finished, reason, error = msgspec.msgpack.decode(record, type=list[msgspec.Raw])
            found.append(RunRecord(
                claim, _number(attempt) or 0, _text(word) or "", _number(node) or None, _number(started) or None,
                _number(finished) or 0, _text(reason), lenient(_bytes(error)),
            ))  # fmt: skip
        return found

    @reads
    def logs(self, id: bytes, after: int = 0, limit: int = 1000) -> Plan[list[LogLine]]:
        """What the runs of a job logged, from the line after `after`."""
        flat = yield Call(self.say.logs, (id, after, limit), self.shard_of(id))
        found = []
        for line, record in zip(flat[::2], flat[1::2], strict=True):
            at, claim, level, said = msgspec.msgpack.decode(record, type=list[msgspec.Raw])
            found.append(LogLine(line, _number(at) or 0, _number(claim) or 0, _text(level) or "", _text(said) or ""))
        return found

    @reads
    def counts(self) -> Plan[dict[str, dict[str, int]]]:
        """How many jobs are in each state, by queue, from the kept counters."""
        answers = yield from self.every(self.say.counts, ())
        return by_queue([row for answer in answers for row in counters(answer)])

    @reads
    def recount(self) -> Plan[dict[str, dict[str, int]]]:
        """The same by counting every job: slow, for checks."""
        rows: list[tuple[str, int, int]] = []
        for shard in range(self.count):
            last = b""
            while True:
                last, *flat = yield Call(self.say.recount, (last, COUNTED), shard)
                rows += counters(flat)
                if not last:
                    break
        return by_queue(rows)

    @reads
    def queues(self) -> Plan[list[QueueInfo]]:
        """Every queue that a job or an operator named."""
        counts = yield from self.counts()
        stops: list[bytes] = yield Call(self.say.queue_names, ())
        names = sorted({*counts, *(name.decode() for name in stops)})
        found = []
        for lot in lots(names):
            answers = yield from self.every(self.say.queues, lot)
            for n, name in enumerate(lot):
                oldest = [answer[n * 3] for answer in answers if answer[n * 3] >= 0]
                paused, by = answers[0][n * 3 + 1 : n * 3 + 3]
                who = (text(by) or None) if paused else None
                found.append(QueueInfo(name, counts.get(name, {}), paused or None, who, min(oldest, default=None)))
        return found

    @reads
    def nodes(self) -> Plan[list[NodeInfo]]:
        """The workers, those included whose lease has run out and who have not been ended yet."""
        answers = yield from self.every(self.say.nodes, (self.now(), self.steady(), self.boot()))
        running: dict[int, int] = {}
        claimed: dict[int, int] = {}
        for answer in answers:
            for node, _, _, _, looked, _, n, _ in answer:
                running[node] = running.get(node, 0) + n
                claimed[node] = max(claimed.get(node, 0), looked)
        found = []
        for node, alive, entered, renewed, _, stopping, _, said in sorted(answers[0]):
            name, host, pid, info = msgspec.msgpack.decode(said)
            found.append(NodeInfo(
                node, name, host, pid, bool(alive), entered, renewed, claimed[node] or None, bool(stopping), running[node], info,
            ))  # fmt: skip
        return found

    def pause(self, queue: str, by: str | None = None) -> Plan[None]:
        """Nothing of `queue` is started until it is resumed; what runs goes on."""
        yield from self.every(self.say.pause, (self.now(), queue, encodable(by or "")))

    def resume(self, queue: str, by: str | None = None) -> Plan[bool]:
        """Whether the queue had been paused."""
        answers = yield from self.every(self.say.resume, (self.bell, queue, encodable(by or "")))
        yield Ring("work")
        return any(answers)

    def cancel(self, jobs: Sequence[bytes], reason: str = "") -> Plan[dict[bytes, str]]:
        """Cancel in every state. By id: "cancelled", "asked" (it runs and is told), "final" (too late) or "unknown"."""
        why = (reason or "cancelled").encode("utf-8", "backslashreplace")
        found = yield from self._each(jobs, self.say.cancel, (self.now(), self.bell, int(KEEP_CANCELLED * SECOND), why))
        yield Ring("orders")
        yield Ring("done")
        return found

    def retry(self, jobs: Sequence[bytes]) -> Plan[dict[bytes, str]]:
        """A final job begins a new life, with its history kept; a scheduled one runs now. By id: "ready", "unknown", or the
        state in which the job is and cannot be retried."""
        found = yield from self._each(jobs, self.say.retry, (self.now(), self.bell))
        yield Ring("work")
        return {id_: str(STATES[int(word)]) if word.isdigit() else word for id_, word in found.items()}

    def delete(self, jobs: Sequence[bytes]) -> Plan[dict[bytes, str]]:
        """Forget jobs that do not run. By id: "deleted", "running" (cancel it first) or "unknown"."""
        return (yield from self._each(jobs, self.say.delete, ()))

    def _each(self, jobs: Sequence[bytes], script: Any, args: tuple[Any, ...]) -> Plan[dict[bytes, str]]:
        answers: dict[bytes, str] = {}
        for shard, mine in self.by_shard(jobs).items():
            for lot in lots(mine):
                words = yield Call(script, (*args, *lot), shard)
                answers.update(zip(lot, (word.decode() for word in words), strict=True))
        return {id_: answers[id_] for id_ in jobs}

    def edit(
        self, id: bytes, *, args: bytes | None = None, priority: int | None = None, max_attempts: int | None = None
    ) -> Plan[bool]:
        """Change a job that waits; whether it still did."""
        told = (id, args or "", "" if priority is None else -priority, "" if max_attempts is None else max_attempts)
        return bool((yield Call(self.say.edit, told, self.shard_of(id))))


# Lua keeps texts as bytes, which its msgpack writes as texts even if they are no UTF-8: so they are taken apart here.


def _bytes(raw: msgspec.Raw) -> bytes | None:
    """A string of msgpack (str or bin) as bytes; None for false."""
    data = bytes(raw)
    first = data[0]
    if 0xA0 <= first <= 0xBF:
        return data[1:]
    size = {0xD9: 2, 0xC4: 2, 0xDA: 3, 0xC5: 3, 0xDB: 5, 0xC6: 5}.get(first)
    return None if size is None else data[size:]


def _text(raw: msgspec.Raw) -> str | None:
    return text(_bytes(raw))


def _number(raw: msgspec.Raw) -> int | None:
    found = msgspec.msgpack.decode(raw)
    return int(found) if isinstance(found, (int, float)) else None
