"""Claim: taking jobs, and writing what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from dray.model.clock import SECOND
from dray.model.job import KEEP_CANCELLED, Claimed, State
from dray.model.lifecycle import Move, decide_for
from dray.model.outcome import Cancelled
from dray.store.plan import Many, Now, Plan, Query, Ring, Row, Steady, reads
from dray.store.sql.notes import NotePlans
from dray.store.sql.renewal import extend_params
from dray.store.sql.rows import (
    CANCELLED,
    CODES,
    EXPIRED,
    FAILED,
    PARKED,
    READY,
    RUNNING,
    SCHEDULED,
    SUCCEEDED,
    Tally,
    claimed_from,
)
from dray.store.sql.sentences import Sentences
from dray.store.values import Catch, Want

PROMOTE_AT_ONCE = 1000
PARK_AT_ONCE = 10_000  # jobs of unknown tasks in one lane: a transaction must not go on for as long as a backlog is


class ClaimPlans(NotePlans):
    """The Claim protocol over SQL."""

    say: Sentences

    def claim(self, want: Want, node: int) -> Plan[Catch]:
        """Take up to `want.slots` jobs for `node`; counts the attempt before anything of the job is decoded."""
        say = self.say
        now: int = yield Now()
        boot, steady = yield Steady()
        lease: list[Row] = yield Query(say.node_alive, {"node": node, "boot": boot})
        if not lease:
            return Catch([], None, now, expelled=True)
        if lease[0][0] < steady:
            # It has run out, and nobody has acted on it yet (the store could not be written, say): who claims lives.
            yield Query(say.extend, extend_params(node, 0.0, now, boot, steady))
        tally = Tally()
        due = yield from self._promote(now, tally)
        paused = {name for (name,) in (yield Query(say.paused))}
        parked = yield from self._parked(want.tasks)
        queues = want.queues
        if queues is None:
            names = sorted({name for (name,) in (yield Query(say.lanes))} | {queue for queue, _ in parked})
            turn = want.order % len(names) if names else 0
            queues = tuple(names[turn:] + names[:turn])
        got: list[Claimed] = []
        for executor, slots in want.slots.items():
            left = slots
            for queue in queues:
                if queue in paused:
                    continue
                # Parked jobs first: they have waited longer, and a queue that is never empty must not keep them waiting for ever.
                for hold in (*parked.get((queue, executor), ()), None):
                    if left <= 0:
                        break
                    taken, more = yield from self._take(queue, executor, left, node, now, want.tasks, tally, hold)
                    left -= len(taken)
                    got += taken
                    due = now if more else due
        if any(want.slots.values()):
            yield Query(say.node_claimed, {"now": now, "node": node})
        yield from tally.write(say.tally)
        return Catch(got, None if due is None else max(0.0, (due - now) / SECOND), now)

    def _parked(self, tasks: frozenset[str]) -> Plan[dict[tuple[str, int], list[str]]]:
        """Where jobs of `tasks` are parked that others did not know: the reasons by queue and executor."""
        found: dict[tuple[str, int], list[str]] = {}
        for hold, queue, executor in (yield Query(self.say.holds)):
            if hold.startswith("task:") and hold[5:] in tasks:
                found.setdefault((queue, executor), []).append(hold)
        return found

    def _promote(self, now: int, tally: Tally) -> Plan[int | None]:
        """Make ready what has become due; the time of the next one."""
        rows: list[Row] = yield Query(self.say.due_first)
        due: int | None = rows[0][0]
        if due is None or due > now:
            return due
        moved: list[Row] = yield Query(self.say.promote, {"now": now, "n": PROMOTE_AT_ONCE})
        for (queue,) in moved:
            tally.move(queue, SCHEDULED, READY)
        rows = yield Query(self.say.due_first)
        return rows[0][0]  # type: ignore[no-any-return]

    def _take(
        self, queue: str, executor: int, n: int, node: int, now: int, tasks: frozenset[str], tally: Tally, hold: str | None
    ) -> Plan[tuple[list[Claimed], bool]]:
        """Up to `n` jobs of a lane; of those that are parked under `hold`, if one is given. And whether it is worth to look again
        at once, because there were too many in the way."""
        kept: list[Claimed] = []
        refused = 0
        sentence = self.say.claim if hold is None else self.say.claim_parked
        while n > len(kept):
            rows: list[Row] = yield Query(
                sentence, {"node": node, "now": now, "queue": queue, "executor": executor, "n": n - len(kept), "hold": hold}
            )
            if not rows:
                break
            jobs = [claimed_from(row) for row in rows]
            jobs.sort(key=_turn)
            good = yield from self._sort_out(jobs, tasks, now, tally, READY if hold is None else PARKED)
            kept += good
            refused += len(jobs) - len(good)
            if len(good) == len(jobs):
                break
            if refused >= PARK_AT_ONCE:
                return kept, True
        return kept, False

    def _sort_out(
        self, jobs: list[Claimed], tasks: frozenset[str], now: int, tally: Tally, came_from: int
    ) -> Plan[list[Claimed]]:
        """Keep what can be run now. What has expired ends; a job of an unknown task is parked under the task's name, where
        a node that knows it looks: it is not burnt, and it is not walked over again and again."""
        good = [job for job in jobs if job.task in tasks and (job.expires is None or job.expires > now)]
        if good:
            for queue in {job.queue for job in good}:
                tally.move(queue, came_from, RUNNING, sum(job.queue == queue for job in good))
        if len(good) == len(jobs):
            return good
        unknown = []
        for job in jobs:
            if job.expires is not None and job.expires <= now:
                move = replace(decide_for(job, Cancelled(EXPIRED)), word="expired", counts=False)
                yield Query(self.say.settle, settle_params(move, now))
                tally.move(job.queue, came_from, CANCELLED)
                yield Ring("done")
            elif job.task not in tasks:
                unknown.append((f"task:{job.task}", job.seq, job.claim))
                tally.move(job.queue, came_from, PARKED)
        if unknown:
            yield Many(self.say.park, unknown)
        return good

    @reads
    def waiting(self, want: Want) -> Plan[tuple[bool, float | None]]:
        """Whether there is something that `want` would get, without taking a lock; and the seconds until something is due."""
        now: int = yield Now()
        rows: list[Row] = yield Query(self.say.due_first)
        due: int | None = rows[0][0]
        if due is not None and due <= now:
            return True, 0.0
        left = None if due is None else (due - now) / SECOND
        paused = {name for (name,) in (yield Query(self.say.paused))}
        queues = want.queues
        if queues is None:
            queues = tuple([name for (name,) in (yield Query(self.say.lanes))])
        for queue in queues:
            for executor in want.slots if queue not in paused else ():
                if (yield Query(self.say.ready_any, {"queue": queue, "executor": executor})):
                    return True, left
        parked = yield from self._parked(want.tasks)
        for queue, kind in parked:
            if queue not in paused and kind in want.slots and (want.queues is None or queue in want.queues):
                return True, left
        return False, left

    def settle(self, moves: Sequence[Move]) -> Plan[list[int]]:
        """Write what became of jobs. The answer: the `seq` of those whose claim was stale; nothing of them was changed."""
        say = self.say
        now: int = yield Now()
        tally = Tally()
        stale: list[int] = []
        plain = [m for m in moves if m.state is State.SUCCEEDED]
        woken, ended = False, bool(plain)
        if plain:
            rows = [(now, now + int(m.keep * SECOND), m.result, m.seq, m.claim) for m in plain]
            written: int = yield Many(say.succeed, rows)
            if written == len(plain):
                for queue in {m.queue for m in plain}:
                    tally.move(queue, RUNNING, SUCCEEDED, sum(m.queue == queue for m in plain))
            else:
                stale += yield from self._find_stale(plain, written, tally, now)
        for move in moves:
            if move.state is State.SUCCEEDED:
                continue
            yield Query(
                say.settle_history,
                {
                    "word": move.word, "now": now, "reason": move.reason, "error": _encoded(move), "seq": move.seq,
                    "claim": move.claim,
                },
            )  # fmt: skip
            changed: list[Row] = yield Query(say.settle, settle_params(move, now))
            if changed:
                tally.move(move.queue, RUNNING, changed[0][0])
                woken = woken or changed[0][0] in (SCHEDULED, READY)
                ended = ended or changed[0][0] in (SUCCEEDED, FAILED, CANCELLED)
            else:
                stale.append(move.seq)
        yield from tally.write(say.tally)
        if ended:
            yield Ring("done")
        if woken:
            yield Ring("work")
        return stale

    def _find_stale(self, moves: Sequence[Move], written: int, tally: Tally, now: int) -> Plan[list[int]]:
        """Fewer rows changed than there were moves: those that did have now succeeded with this very claim and time."""
        stale: list[int] = []
        seen: set[tuple[int, int]] = set()
        for move in moves:
            key = (move.seq, move.claim)
            rows: list[Row] = []
            if written and key not in seen:
                rows = yield Query(self.say.settled_by, {"seq": move.seq, "claim": move.claim, "now": now})
            seen.add(key)
            if rows:
                tally.move(move.queue, RUNNING, SUCCEEDED)
            else:
                stale.append(move.seq)
        return stale

    def exchange(self, moves: Sequence[Move], want: Want | None, node: int) -> Plan[tuple[list[int], Catch | None]]:
        """Settle and claim in one transaction: what a busy node does all day."""
        stale: list[int] = []
        if moves:
            stale = yield from self.settle(moves)
        catch = None
        if want is not None:
            catch = yield from self.claim(want, node)
        return stale, catch

    def release(self, jobs: Sequence[Claimed]) -> Plan[None]:
        """Give back jobs that were claimed and not started; their attempt does not count."""
        tally = Tally()
        for job in jobs:
            written: int = yield Many(self.say.release, [(job.seq, job.claim)])
            if written:
                tally.move(job.queue, RUNNING, READY)
            else:  # somebody asked to cancel it, or the claim is stale: settling knows both
                yield from self.settle([Move(job.seq, job.claim, job.queue, State.READY, "interrupted", counts=False)])
        yield from tally.write(self.say.tally)
        yield Ring("work")

    def own(self, seq: int, claim: int) -> Plan[bool]:
        """Whether a claim is still valid; inside a transaction it stays so until the end of it."""
        rows: list[Row] = yield Query(self.say.still_mine, {"seq": seq, "claim": claim})
        return bool(rows)


def settle_params(move: Move, now: int) -> dict[str, Any]:
    """The parameters of settle.sql."""
    final = move.state.final
    due = None if final else now + int(move.delay * SECOND)
    state = CODES[move.state]
    if state == SCHEDULED and move.delay <= 0:
        state = READY
    return {
        "state": state, "due": due, "finished": now if final else None,
        "prune_after": now + int(move.keep * SECOND) if final else None, "result": move.result, "error": _encoded(move),
        "keep": KEEP_CANCELLED, "now": now, "reason": move.reason,
        "back": 0 if move.counts else 1, "lost": 1 if move.lost else 0, "seq": move.seq, "claim": move.claim,
    }  # fmt: skip


def _encoded(move: Move) -> bytes | None:
    return None if move.error is None else msgspec.json.encode(move.error)


def _turn(job: Claimed) -> tuple[int, int, int]:
    return job.rank, job.due, job.seq
