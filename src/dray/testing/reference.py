"""A store in its simplest form: plain Python over a dict, without batches, indexes, counters or transactions. The state machine
test says that the real stores do what this one does. It serves for nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from dray.model.clock import SECOND
from dray.model.job import KEEP_CANCELLED, NewJob, State
from dray.model.lifecycle import Move, decide
from dray.model.outcome import Lost
from dray.store.sql.renewal import LEASE

WAITING = (State.SCHEDULED, State.READY, State.BLOCKED, State.SLEEPING)


@dataclass
class Kept:
    """A job."""

    id: bytes
    order: int
    task: str
    queue: str
    rank: int
    due: int
    max_attempts: int
    expires: int | None
    state: State
    parked: bool = False
    claim: int = 0
    attempt: int = 0
    losses: int = 0
    node: int | None = None
    cancel: bool = False
    prune_after: int | None = None
    seq: int = 0  # the store's number for it, known from its first claim on
    raised: int = 0  # runs of this life that raised
    history: dict[int, str] = field(default_factory=dict)

    def end(self, state: State, prune_after: int) -> None:
        """It is final."""
        self.state, self.prune_after, self.parked, self.cancel = state, prune_after, False, False


class Reference:
    """All jobs, queues and nodes. Times are microseconds; `now` is the wall clock, `steady` the one for leases."""

    def __init__(self) -> None:
        self.jobs: dict[bytes, Kept] = {}
        self.paused: set[str] = set()
        self.nodes: dict[int, int] = {}  # until when the lease is good
        self._added = 0

    def by_seq(self, seq: int) -> Kept | None:
        """The job that the store has given this number."""
        return next((job for job in self.jobs.values() if job.seq == seq), None)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many jobs are in each state of each queue."""
        found: dict[str, Counter[str]] = {}
        for job in self.jobs.values():
            found.setdefault(job.queue, Counter())[str(job.state)] += 1
        return {queue: dict(states) for queue, states in found.items()}

    def add(self, new: Iterable[NewJob], now: int) -> None:
        """Enqueue."""
        for job in new:
            if job.id in self.jobs:
                continue
            self._added += 1
            due = now + int(job.delay * SECOND)
            self.jobs[job.id] = Kept(
                job.id, self._added, job.task, job.queue, -job.priority, due, job.max_attempts,
                None if job.expires_in is None else now + int(job.expires_in * SECOND),
                State.READY if due <= now else State.SCHEDULED,
            )  # fmt: skip

    # -- nodes

    def extend(self, nodes: Iterable[int], steady: int) -> set[int]:
        """Renew leases; who is expelled."""
        expelled = set()
        for node in nodes:
            if node in self.nodes:
                self.nodes[node] = steady + int(LEASE * SECOND)
            else:
                expelled.add(node)
        return expelled

    def rescue(self, now: int, steady: int) -> set[bytes]:
        """End the nodes whose lease ran out; the jobs that were lost."""
        lost: set[bytes] = set()
        for node in [node for node, until in self.nodes.items() if until < steady]:
            lost |= self.bury(node, None, now)
        return lost

    def bury(self, node: int, started: Collection[tuple[int, int]] | None, now: int) -> set[bytes]:
        """End a node; the jobs that were lost."""
        self.nodes.pop(node, None)
        lost = set()
        for job in self.jobs.values():
            if job.state is State.RUNNING and job.node == node:
                if started is None or (job.seq, job.claim) in started:
                    self.apply(job, decide(job, Lost("x"), now), now)
                    lost.add(job.id)
                else:
                    self.release(job, job.claim, now)
        return lost

    # -- runs

    def claim(
        self, node: int, slots: int, queues: Sequence[str] | None, tasks: Collection[str], now: int, steady: int
    ) -> list[bytes] | None:
        """The jobs that the node gets, in order; None if it is expelled."""
        if node not in self.nodes:
            return None
        if self.nodes[node] < steady:  # nobody has acted on it: who claims lives
            self.nodes[node] = steady + int(LEASE * SECOND)
        self.promote(now)
        ready = [job for job in self.jobs.values() if job.state is State.READY and job.queue not in self.paused]
        ready = [job for job in ready if not job.parked or job.task in tasks]
        if queues is None:
            queues = sorted({job.queue for job in self.jobs.values() if job.state is State.READY})
        got: list[bytes] = []
        for queue in queues:
            lane = [job for job in ready if job.queue == queue and job.state is State.READY]
            lane.sort(key=lambda job: (not job.parked, job.task if job.parked else "", job.rank, job.due, job.order))
            for job in lane:
                if len(got) == slots:
                    break
                job.claim += 1
                if job.expires is not None and job.expires <= now:
                    job.end(State.CANCELLED, now + int(KEEP_CANCELLED * SECOND))
                elif job.task not in tasks:
                    job.parked = True
                else:
                    job.state, job.parked, job.node = State.RUNNING, False, node
                    job.attempt += 1
                    got.append(job.id)
        return got

    def valid(self, seq: int, claim: int) -> Kept | None:
        """The job that this claim is valid for."""
        job = self.by_seq(seq)
        return job if job is not None and job.state is State.RUNNING and job.claim == claim else None

    def settle(self, moves: Sequence[Move], now: int) -> list[int]:
        """The stale ones."""
        stale = []
        for move in sorted(moves, key=lambda move: move.state is not State.SUCCEEDED):
            job = self.valid(move.seq, move.claim)
            if job is None:
                stale.append(move.seq)
            else:
                self.apply(job, move, now)
        return stale

    def apply(self, job: Kept, move: Move, now: int) -> None:
        """Write a move whose claim is valid."""
        if move.state is not State.SUCCEEDED:
            job.history.setdefault(job.claim, move.word)
        job.raised += move.word == "raised"
        job.attempt -= not move.counts
        job.losses += move.lost
        job.node = None
        if not move.state.final and not job.cancel:
            job.due = now + int(move.delay * SECOND)
        if move.state.final:
            job.end(move.state, now + int(move.keep * SECOND))
        elif job.cancel:
            job.end(State.CANCELLED, now + int(KEEP_CANCELLED * SECOND))
        else:
            job.state = State.READY if move.state is State.SCHEDULED and move.delay <= 0 else move.state

    def release(self, job: Kept, claim: int, now: int) -> None:
        """Give back, if the claim is valid."""
        if job.state is not State.RUNNING or job.claim != claim:
            return
        if job.cancel:
            self.apply(job, Move(job.seq, claim, job.queue, State.READY, "interrupted", counts=False), now)
        else:
            job.state, job.node = State.READY, None
            job.attempt -= 1

    # -- maintenance

    def promote(self, now: int) -> int:
        """How many became ready."""
        due = [job for job in self.jobs.values() if job.state is State.SCHEDULED and job.due <= now]
        for job in due:
            job.state = State.READY
        return len(due)

    def expire(self, now: int) -> int:
        """How many were cancelled."""
        old = [
            job for job in self.jobs.values()
            if job.state in (State.SCHEDULED, State.READY) and job.expires is not None and job.expires <= now
        ]  # fmt: skip
        for job in old:
            job.end(State.CANCELLED, now + int(KEEP_CANCELLED * SECOND))
        return len(old)

    def prune(self, now: int) -> int:
        """How many were forgotten."""
        old = [job.id for job in self.jobs.values() if job.prune_after is not None and job.prune_after <= now]
        for id_ in old:
            del self.jobs[id_]
        return len(old)

    # -- operators

    def cancel(self, id: bytes, now: int) -> str:
        """As the verb answers."""
        job = self.jobs.get(id)
        if job is None:
            return "unknown"
        if job.state is State.RUNNING:
            job.cancel = True
            return "asked"
        if job.state not in WAITING:
            return "final"
        job.end(State.CANCELLED, now + int(KEEP_CANCELLED * SECOND))
        return "cancelled"

    def retry(self, id: bytes, now: int) -> str:
        """As the verb answers."""
        job = self.jobs.get(id)
        if job is None:
            return "unknown"
        if job.state.final:
            words = {State.SUCCEEDED: "returned", State.FAILED: "failed", State.CANCELLED: "cancelled"}
            job.history.setdefault(job.claim, words[job.state])
            job.attempt = job.losses = job.raised = 0
            job.expires = job.prune_after = None
        elif job.state is not State.SCHEDULED:
            return str(job.state)
        job.state, job.due, job.cancel = State.READY, now, False
        return "ready"

    def delete(self, id: bytes) -> str:
        """As the verb answers."""
        job = self.jobs.get(id)
        if job is None:
            return "unknown"
        if job.state is State.RUNNING:
            return "running"
        del self.jobs[id]
        return "deleted"
