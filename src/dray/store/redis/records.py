"""Between the strings that Redis keeps and values. The other half of this stands in `lua/lib/job.lua`."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from dray.model import ids
from dray.model.clock import SECOND
from dray.model.job import Claimed, Executor, JobInfo, NewJob
from dray.store.sql.rows import PARKED, READY, SCHEDULED, STATES, lenient, tags_from

WISH = struct.Struct(">dddd")  # at, delay, expires_at, expires_in
KIND = struct.Struct(">BbIH")  # executor, rank, max_attempts, length of the queue's name
HEAD = struct.Struct(">dddBbIH")  # due, enqueued, expires, and the same
SHORT = struct.Struct(">H")
LONG = struct.Struct(">I")
LIVE = struct.Struct(">BBIIIddddd")  # state, flags, claim, attempt, losses, node, started, due, finished, prune_after
NONE = b""

#: state, claim, attempt, losses, node, started, due, finished, prune_after
Progress = tuple[int, int, int, int, int, int, int, int, int]


def packed(job: NewJob) -> bytes:
    """A new job as add.lua wants it."""
    queue, task = job.queue.encode(), job.task.encode()
    schedule = b"" if job.schedule is None else job.schedule.encode()
    options = job.options or NONE
    tags = NONE if job.tags is None else job.tags.encode()
    parent = job.parent or NONE
    return b"".join((
        WISH.pack(-1 if job.at is None else job.at, micros(job.delay), job.expires_at or 0, micros(job.expires_in or 0.0)),
        KIND.pack(job.executor, -job.priority, job.max_attempts, len(queue)), queue, SHORT.pack(len(task)), task, job.id,
        SHORT.pack(len(schedule)), schedule, LONG.pack(len(options)), options, LONG.pack(len(tags)), tags,
        bytes((len(parent),)), parent, job.args,
    ))  # fmt: skip


def micros(seconds: float) -> int:
    """Seconds as microseconds."""
    return max(0, int(seconds * SECOND))


class Body:
    """What was asked for."""

    __slots__ = (
        "args", "due", "enqueued", "executor", "expires", "id", "most", "options", "parent", "queue", "rank", "schedule", "tags",
        "task",
    )  # fmt: skip

    def __init__(self, raw: bytes) -> None:
        due, enqueued, expires, self.executor, self.rank, self.most, size = HEAD.unpack_from(raw)
        self.due, self.enqueued, self.expires = int(due), int(enqueued), int(expires) or None
        at = HEAD.size + size
        self.queue = raw[HEAD.size : at].decode()
        (size,) = SHORT.unpack_from(raw, at)
        at += 2
        self.task = raw[at : at + size].decode()
        at += size
        self.id = raw[at : at + 16]
        at += 16
        (size,) = SHORT.unpack_from(raw, at)
        at += 2
        self.schedule = raw[at : at + size].decode() or None
        at += size
        (size,) = LONG.unpack_from(raw, at)
        at += 4
        self.options = raw[at : at + size] or None
        at += size
        (size,) = LONG.unpack_from(raw, at)
        at += 4
        self.tags = raw[at : at + size].decode() or None
        at += size
        size = raw[at]
        at += 1
        self.parent = raw[at : at + size] or None
        self.args = raw[at + size :]


def progress_of(body: Body, raw: bytes | None) -> Progress:
    """How far the job is."""
    if raw is None:
        return (SCHEDULED if body.due > body.enqueued else READY), 0, 0, 0, 0, 0, body.due, 0, 0
    state, _flags, claim, attempt, losses, node, started, due, finished, prune_after = LIVE.unpack(raw)
    return state, claim, attempt, losses, int(node), int(started), int(due), int(finished), int(prune_after)


def claimed_from(seq: int, raw: bytes, live: bytes) -> Claimed:
    """A job of claim.lua."""
    body = Body(raw)
    _, _flags, claim, attempt, losses, _node, started, due, _, _ = LIVE.unpack(live)
    return Claimed(
        seq, body.id, body.task, body.args, body.queue, body.executor, claim, attempt, losses, body.most, int(due),
        body.enqueued, body.options, body.tags, body.rank, body.expires, int(started),
    )  # fmt: skip


def info_from(row: Sequence[Any]) -> JobInfo:
    """A job as `whole` in the scripts tells of it."""
    _seq, raw, live, result, error, reason, hold, progress = row
    body = Body(raw)
    state, claim, attempt, losses, node, started, due, finished, prune_after = progress_of(body, live)
    if state == PARKED:
        held: str | None = f"task:{body.task}"
    else:
        held = None if hold is None else hold.decode()
    return JobInfo(
        id=ids.to_text(body.id), task=body.task, queue=body.queue, state=STATES[state], priority=-body.rank,
        executor=Executor(body.executor).word, attempt=attempt, max_attempts=body.most, losses=losses, claim=claim,
        args=lenient(body.args), tags=tags_from(body.tags), due=due, enqueued=body.enqueued, started=started or None,
        finished=finished or None, expires=body.expires, prune_after=prune_after or None, node=node or None,
        options=lenient(body.options), result=result, error=lenient(error), reason=text(reason), hold=held,
        progress=lenient(progress), schedule=body.schedule, parent=None if body.parent is None else ids.to_text(body.parent),
    )  # fmt: skip


def text(raw: bytes | None) -> str | None:
    """A kept text."""
    return None if raw is None else raw.decode("utf-8", "replace")


def counters(flat: Sequence[Any]) -> list[tuple[str, int, int]]:
    """Queue, state and number of each counter."""
    found = []
    for field, n in zip(flat[::2], flat[1::2], strict=True):
        queue, _, state = field.rpartition(b"\0")
        found.append((queue.decode(), int(state), int(n)))
    return found


