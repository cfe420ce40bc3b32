"""A state machine for Hypothesis: a store and the reference are given the same random life, and must agree after every step.

Subclass `StoreMachine` and set `make_store` (and `colour`, "sync" or "async"); needs the package hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dray.model import ids
from dray.model.clock import ManualClock
from dray.model.job import CRASH_BUDGET, Claimed, Executor, NewJob
from dray.model.lifecycle import Move, Rules, decide
from dray.model.outcome import (
    Cancelled,
    ErrorRecord,
    Interrupted,
    Lost,
    Outcome,
    Raised,
    Returned,
    Snoozed,
    Suspended,
)
from dray.model.retry import Backoff
from dray.store.protocol import Store
from dray.store.values import NodeEntry, Want
from dray.testing.reference import Reference
from dray.testing.suite.scene import Driver

MOST_JOBS = 24
RULES = Rules(backoff=Backoff.fixed(3.0))
ERROR = ErrorRecord("ValueError", "no luck")
OUTCOMES: list[Outcome] = [
    Returned(b"1"), Raised(ERROR), Raised(ERROR, delay=0.0), Raised(ERROR, final=True), Snoozed(2.0), Cancelled("by itself"),
    Suspended(1.0), Interrupted(), Lost("signal 9"),
]  # fmt: skip
queues = st.sampled_from(["a", "b"])
tasks = st.sampled_from(["t", "t", "u"])
known = st.sampled_from([("t",), ("t", "u"), ("u",)])
picks = st.integers(0, 10_000)


class StoreMachine(RuleBasedStateMachine):
    """The random life. `make_store` makes an empty store on the clock that it is given."""

    make_store: ClassVar[Callable[[ManualClock], Store]]
    colour: ClassVar[str] = "sync"

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.store = type(self).make_store(self.clock)
        self.model = Reference()
        self.plans = self.store.plans
        self.driver = Driver(self.store, type(self).colour)
        self.do = self.driver.do
        self.renewing: set[int] = set()
        self.entered: list[int] = []
        self.runs: list[Claimed] = []  # every claim that was ever made
        self.sent: list[Move] = []  # every move that was ever settled
        self.added: list[NewJob] = []

    def teardown(self) -> None:
        self.driver.close()
        self.store.close()

    def now(self) -> int:
        """The next microsecond: no two transactions of one machine are in the same."""
        self.clock.advance(0.000_001)
        return self.clock.wall()

    # -- jobs come

    @initialize(n=st.integers(1, 4))
    def some_jobs(self, n: int) -> None:
        self._add([NewJob(id=id_, task="t", args=b"{}", queue="a") for id_ in ids.new_ids(n)])
        self.enter()

    @precondition(lambda self: len(self.added) < MOST_JOBS)
    @rule(
        n=st.integers(1, 3), queue=queues, task=tasks, priority=st.integers(-1, 1), delay=st.sampled_from([0.0, 0.0, 1.0, 30.0]),
        most=st.integers(1, 3), expires=st.sampled_from([None, None, None, 0.5, 20.0]),
    )  # fmt: skip
    def add(self, n: int, queue: str, task: str, priority: int, delay: float, most: int, expires: float | None) -> None:
        self._add([
            NewJob(
                id=id_, task=task, args=b"{}", queue=queue, priority=priority, delay=delay, max_attempts=most, expires_in=expires
            )
            for id_ in ids.new_ids(n)
        ])  # fmt: skip

    def _add(self, jobs: list[NewJob]) -> None:
        self.model.add(jobs, self.now())
        self.do(self.plans.add, jobs)
        self.added += jobs

    @rule(pick=picks, n=st.integers(1, 4))
    def add_again(self, pick: int, n: int) -> None:
        start = pick % len(self.added)
        again = self.added[start : start + n]
        # What was deleted in the meantime is new again.
        self.runs = [run for run in self.runs if run.id in self.model.jobs or run.id not in {job.id for job in again}]
        self._add(again)

    # -- nodes come and go

    @precondition(lambda self: len(self.renewing) < 3)
    @rule()
    def enter(self) -> None:
        self.now()
        node = self.do(self.plans.enter, NodeEntry("node", "host", 1))
        self.model.nodes[node] = self.clock.steady() + 15_000_000
        self.renewing.add(node)
        self.entered.append(node)

    @precondition(lambda self: self.renewing)
    @rule(pick=picks)
    def stop_renewing(self, pick: int) -> None:
        self.renewing.discard(sorted(self.renewing)[pick % len(self.renewing)])

    @rule(seconds=st.sampled_from([0.5, 1.0, 7.0, 14.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.now()
        expelled = self.model.extend(self.renewing, self.clock.steady())
        assert self.do(self.plans.extend, dict.fromkeys(self.renewing, 0.0)).expelled == expelled
        self.renewing -= expelled

    @rule(seconds=st.sampled_from([-3600.0, -5.0, 5.0, 3600.0, 2 * 86_400.0]))
    def the_clock_is_set(self, seconds: float) -> None:
        self.clock.step(seconds)

    @rule(pick=picks, how=st.sampled_from(["leave", "all", "some", "none"]))
    def a_node_ends(self, pick: int, how: str) -> None:
        node = self.entered[pick % len(self.entered)]
        now = self.now()
        self.renewing.discard(node)
        if how == "leave":
            self.do(self.plans.leave, node)
            self.model.bury(node, [], now)
            return
        mine = {(run.seq, run.claim) for run in self.runs}
        started = {"all": None, "some": {key for key in mine if key[0] % 2}, "none": frozenset[tuple[int, int]]()}[how]
        moves = self.do(self.plans.bury, node, "signal 9", started)
        assert {move.seq for move in moves} == self._seqs(self.model.bury(node, started, now))

    @rule()
    def rescue(self) -> None:
        now = self.now()
        moves = self.do(self.plans.rescue)
        assert {move.seq for move in moves} == self._seqs(self.model.rescue(now, self.clock.steady()))

    def _seqs(self, jobs: set[bytes]) -> set[int]:
        return {self.model.jobs[id_].seq for id_ in jobs}

    # -- jobs run

    @rule(pick=picks, slots=st.integers(0, 4), where=st.sampled_from([None, ("a",), ("b", "a")]), what=known)
    def claim(self, pick: int, slots: int, where: tuple[str, ...] | None, what: tuple[str, ...]) -> None:
        node = self.entered[pick % len(self.entered)]
        now = self.now()
        catch = self.do(self.plans.claim, Want({Executor.ASYNC: slots}, where, frozenset(what)), node)
        expected = self.model.claim(node, slots, where, what, now, self.clock.steady())
        assert catch.expelled is (expected is None)
        assert [job.id for job in catch.jobs] == (expected or [])
        for job in catch.jobs:
            mine = self.model.jobs[job.id]
            mine.seq = job.seq
            assert (job.claim, job.attempt, job.losses) == (mine.claim, mine.attempt, mine.losses), "I11"
            assert 1 <= job.attempt <= job.max_attempts, "I4"
        self.runs += catch.jobs

    @precondition(lambda self: self.runs)
    @rule(chosen=st.lists(st.tuples(picks, st.sampled_from(OUTCOMES)), min_size=1, max_size=4), newest=st.booleans())
    def settle(self, chosen: list[tuple[int, Outcome]], newest: bool) -> None:
        runs = self.runs[-4:] if newest else self.runs  # of any age: many of them are stale
        now = self.now()
        # A run comes to one outcome: no batch has two of the same.
        outcomes = {pick % len(runs): outcome for pick, outcome in chosen}
        ended = {(runs[n].seq, runs[n].claim): decide(runs[n], outcome, now, RULES) for n, outcome in outcomes.items()}
        self._settle(list(ended.values()), now)

    @precondition(lambda self: self.sent)
    @rule(pick=picks, n=st.integers(1, 4))
    def settle_again(self, pick: int, n: int) -> None:
        start = pick % len(self.sent)
        self._settle(self.sent[start : start + n], self.now())

    def _settle(self, moves: list[Move], now: int) -> None:
        assert sorted(self.do(self.plans.settle, moves)) == sorted(self.model.settle(moves, now)), "I3"
        self.sent = (self.sent + moves)[-50:]

    @precondition(lambda self: self.runs)
    @rule(pick=picks, n=st.integers(1, 3))
    def release(self, pick: int, n: int) -> None:
        start = pick % len(self.runs)
        runs = self.runs[start : start + n]
        now = self.now()
        self.do(self.plans.release, runs)
        for run in runs:
            job = self.model.by_seq(run.seq)
            if job is not None:
                self.model.release(job, run.claim, now)

    # -- maintenance

    @rule()
    def promote(self) -> None:
        now = self.now()
        assert self.do(self.plans.promote) == self.model.promote(now)

    @rule()
    def expire(self) -> None:
        now = self.now()
        assert self.do(self.plans.expire) == self.model.expire(now)

    @rule()
    def prune(self) -> None:
        now = self.now()
        assert self.do(self.plans.prune) == self.model.prune(now)

    # -- operators

    @rule(queue=queues)
    def pause(self, queue: str) -> None:
        self.do(self.plans.pause, queue)
        self.model.paused.add(queue)

    @rule(queue=queues)
    def resume(self, queue: str) -> None:
        assert self.do(self.plans.resume, queue) is (queue in self.model.paused)
        self.model.paused.discard(queue)

    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        id_, now = self._any(pick), self.now()
        assert self.do(self.plans.cancel, [id_]) == {id_: self.model.cancel(id_, now)}

    @rule(pick=picks)
    def retry(self, pick: int) -> None:
        id_, now = self._any(pick), self.now()
        assert self.do(self.plans.retry, [id_]) == {id_: self.model.retry(id_, now)}

    @rule(pick=picks)
    def delete(self, pick: int) -> None:
        id_ = self._any(pick)
        assert self.do(self.plans.delete, [id_]) == {id_: self.model.delete(id_)}

    def _any(self, pick: int) -> bytes:
        return self.added[pick % len(self.added)].id

    # -- what must always hold

    @invariant()
    def every_job_is_where_it_should_be(self) -> None:
        for new in self.added:
            mine, found = self.model.jobs.get(new.id), self.do(self.plans.get, new.id)
            if mine is None:
                assert found is None
                continue
            assert found is not None, "I1: an acknowledged job is lost"
            assert (found.state, found.claim, found.attempt, found.losses, found.due, found.prune_after, found.hold) == (
                mine.state, mine.claim, mine.attempt, mine.losses, mine.due, mine.prune_after,
                f"task:{mine.task}" if mine.parked else None,
            )  # fmt: skip
            assert mine.raised <= mine.max_attempts, "I4: errors"
            assert mine.losses <= CRASH_BUDGET, "I4: losses"
            assert {run.claim: run.word for run in self.do(self.plans.history, new.id)} == mine.history

    @invariant()
    def a_job_has_one_valid_claim_at_most(self) -> None:
        valid = [run.id for run in self.runs if self.do(self.plans.own, run.seq, run.claim)]
        running = [job.id for job in self.model.jobs.values() if job.node is not None]
        assert sorted(valid) == sorted(running), "I2"

    @invariant()
    def the_counters_are_right(self) -> None:
        counts = self.do(self.plans.counts)
        assert counts == self.do(self.plans.recount) == self.model.counts(), "I10"
