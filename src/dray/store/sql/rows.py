"""Between rows and values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from dray.model import ids
from dray.model.job import Claimed, Executor, JobInfo, State
from dray.store.plan import Many, Row, Step

# How a state is written. 8 is a ready job kept out of the claim's way (`hold` says why); people see it as ready.
CODES = {
    State.SCHEDULED: 0,
    State.READY: 1,
    State.RUNNING: 2,
    State.BLOCKED: 3,
    State.SLEEPING: 4,
    State.SUCCEEDED: 5,
    State.FAILED: 6,
    State.CANCELLED: 7,
}
PARKED = 8
EXPIRED = "expired before it could start"  # the reason of such a cancellation
STATES = {code: state for state, code in CODES.items()} | {PARKED: State.READY}

SCHEDULED, READY, RUNNING, BLOCKED, SLEEPING, SUCCEEDED, FAILED, CANCELLED = range(8)


def claimed_from(row: Row) -> Claimed:
    """A row of claim.sql."""
    return Claimed(*row)


def info_from(row: Row) -> JobInfo:
    """A row of get.sql."""
    (
        _seq, id_, task, queue, executor, rank, due, state, claim, attempt, losses, max_attempts, enqueued, args, node,
        started, finished, prune_after, expires, options, tags, hold, reason, _cancel, schedule, parent, progress,
        result, error,
    ) = row
    return JobInfo(
        id=ids.to_text(id_), task=task, queue=queue, state=STATES[state], priority=-rank,
        executor=Executor(executor).word, attempt=attempt, max_attempts=max_attempts, losses=losses, claim=claim,
        args=lenient(args), tags=tags_from(tags), due=due, enqueued=enqueued, started=started,
        finished=finished, expires=expires, prune_after=prune_after, node=node, options=lenient(options),
        result=result, error=lenient(error), reason=reason, hold=hold, progress=lenient(progress), schedule=schedule,
        parent=None if parent is None else ids.to_text(parent),
    )


def tags_from(data: str | None) -> tuple[str, ...]:
    """Tags as they are kept, as people see them."""
    found = lenient(data)
    return tuple(map(str, found)) if isinstance(found, list) else ()


def lenient(data: bytes | str | None) -> Any:
    """JSON as plain values; what is no JSON is shown as the text it is, because people must be able to look at it."""
    if data is None:
        return None
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return data.decode("utf-8", "replace") if isinstance(data, bytes) else data


def by_queue(rows: list[Row]) -> dict[str, dict[str, int]]:
    """Rows of counts.sql: how many jobs are in each state, by queue."""
    found: dict[str, dict[str, int]] = {}
    for queue, code, n in rows:
        counts = found.setdefault(queue, {})
        state = str(STATES[code])
        counts[state] = counts.get(state, 0) + n
    return {
        queue: {state: n for state, n in counts.items() if n} for queue, counts in found.items() if any(counts.values())
    }


class Tally:
    """Collects how many jobs went into and out of each state of each queue; written once per transaction."""

    __slots__ = ("_changes",)

    def __init__(self) -> None:
        self._changes: Counter[tuple[str, int]] = Counter()

    def move(self, queue: str, old: int | None, new: int | None, n: int = 1) -> None:
        """`n` jobs of `queue` went from state `old` to `new`; None is outside."""
        if old is not None:
            self._changes[queue, old] -= n
        if new is not None:
            self._changes[queue, new] += n

    def changes(self) -> list[tuple[tuple[str, int], int]]:
        """What has been collected."""
        return list(self._changes.items())

    def write(self, sentence: str) -> Iterator[Step]:
        """The steps that bring the counters up to date."""
        rows = [(queue, state, n) for (queue, state), n in self._changes.items() if n]
        if rows:
            yield Many(sentence, rows)
