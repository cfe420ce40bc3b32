"""Settle: what becomes of jobs, and that a stale claim changes nothing (I3)."""

from __future__ import annotations

import pytest

from dray.model.clock import SECOND
from dray.model.ids import to_text
from dray.model.job import DAY, Executor, State
from dray.model.lifecycle import Rules
from dray.model.outcome import Cancelled, Interrupted, Lost, Outcome, Returned, Snoozed, Suspended
from dray.model.retry import Backoff
from dray.store.values import Filter, Want
from dray.testing.suite.scene import DONE, TASK, Scene, Themed, raised

FIXED = Rules(backoff=Backoff.fixed(7.0))
EVERY: list[Outcome] = [
    DONE, raised(), raised(final=True), Snoozed(5.0), Cancelled("enough"), Suspended(3.0), Interrupted(), Lost("signal 9"),
]  # fmt: skip


class Settle(Themed):
    """Each kind of move."""

    def test_a_success_keeps_its_result_and_needs_no_history(self, s: Scene) -> None:
        id_ = s.add_one()
        job = s.claim_one(s.enter())
        s.clock.advance(2)
        assert s.end(job, Returned(b'"yes"'), Rules(keep_succeeded=60.0)) == []
        info = s.info(id_)
        assert (info.state, info.result, info.attempt) == (State.SUCCEEDED, b'"yes"', 1)
        assert info.finished == s.clock.wall()
        assert info.prune_after == s.clock.wall() + 60 * SECOND
        assert info.started == s.clock.wall() - 2 * SECOND
        assert s.history(id_) == []
        ending = s.do(s.plans.ending, id_)
        assert ending is not None
        assert (ending.state, ending.result, ending.task, ending.attempt) == (State.SUCCEEDED, b'"yes"', TASK, 1)

    def test_a_failure_is_scheduled_again_with_its_error_and_history(self, s: Scene) -> None:
        id_ = s.add_one(max_attempts=2)
        node = s.enter()
        s.end(s.claim_one(node), raised("first"), FIXED)
        info = s.info(id_)
        assert (info.state, info.due, info.attempt) == (State.SCHEDULED, s.clock.wall() + 7 * SECOND, 1)
        assert (info.node, info.started, info.finished, info.prune_after) == (None, None, None, None)
        assert info.error["message"] == "first"
        s.clock.advance(7)
        job = s.claim_one(node)
        assert (job.attempt, job.claim) == (2, 2)
        s.end(job, raised("second"), FIXED)
        info = s.info(id_)
        assert (info.state, info.attempt, info.finished) == (State.FAILED, 2, s.clock.wall())
        assert info.prune_after == s.clock.wall() + int(30 * DAY) * SECOND
        history = s.history(id_)
        assert [(r.claim, r.attempt, r.word, r.error["message"]) for r in history] == [
            (1, 1, "raised", "first"), (2, 2, "raised", "second"),
        ]  # fmt: skip
        assert history[0].node == node

    def test_user_errors_never_exceed_max_attempts(self, s: Scene) -> None:
        id_ = s.add_one(max_attempts=3)
        node = s.enter()
        runs = 0
        while s.state(id_) is not State.FAILED:
            s.end(s.claim_one(node), raised(), Rules(backoff=Backoff.fixed(0)))
            runs += 1
        assert runs == 3

    def test_a_retry_at_once_is_ready(self, s: Scene) -> None:
        id_ = s.add_one()
        s.end(s.claim_one(s.enter()), raised(delay=0.0))
        assert s.state(id_) is State.READY

    def test_a_snooze_does_not_count(self, s: Scene) -> None:
        id_ = s.add_one(max_attempts=1)
        node = s.enter()
        for _ in range(3):
            s.end(s.claim_one(node), Snoozed(5.0, "not yet"))
            assert (s.state(id_), s.info(id_).attempt) == (State.SCHEDULED, 0)
            s.clock.advance(5)
        assert [(r.word, r.reason) for r in s.history(id_)] == [("snoozed", "not yet")] * 3
        s.end(s.claim_one(node), DONE)
        assert (s.state(id_), s.info(id_).claim) == (State.SUCCEEDED, 4)

    def test_an_interruption_does_not_count(self, s: Scene) -> None:
        id_ = s.add_one(max_attempts=1)
        s.end(s.claim_one(s.enter()), Interrupted())
        info = s.info(id_)
        assert (info.state, info.attempt, info.node, info.claim) == (State.READY, 0, None, 1)

    def test_a_run_that_cancels_its_job(self, s: Scene) -> None:
        id_ = s.add_one()
        s.end(s.claim_one(s.enter()), Cancelled("enough"))
        info = s.info(id_)
        assert (info.state, info.reason, info.finished) == (State.CANCELLED, "enough", s.clock.wall())
        assert info.prune_after == s.clock.wall() + int(7 * DAY) * SECOND

    def test_a_suspended_job_sleeps_and_holds_no_slot(self, s: Scene) -> None:
        id_ = s.add_one()
        s.end(s.claim_one(s.enter()), Suspended(3.0))
        info = s.info(id_)
        assert (info.state, info.attempt, info.node) == (State.SLEEPING, 0, None)

    def test_losses_are_counted_apart_and_end_at_the_budget(self, s: Scene) -> None:
        id_ = s.add_one(max_attempts=1)
        node = s.enter()
        for losses in (1, 2):
            s.end(s.claim_one(node), Lost("signal 9"))
            info = s.info(id_)
            assert (info.losses, info.attempt) == (losses, 0)
            assert info.state is (State.READY if losses == 1 else State.SCHEDULED)
            s.clock.advance(14)
            s.do(s.plans.extend, {node: 0.0})
        s.end(s.claim_one(node), Lost("signal 9"))
        info = s.info(id_)
        assert (info.state, info.losses) == (State.FAILED, 3)
        assert info.error["cause"] == "signal 9"
        assert "crash budget" in info.error["message"]


class Fencing(Themed):
    """I2 and I3."""

    @pytest.mark.parametrize("outcome", EVERY, ids=lambda o: type(o).__name__)
    def test_a_stale_claim_changes_nothing_and_is_reported(self, s: Scene, outcome: Outcome) -> None:
        id_ = s.add_one()
        node = s.enter()
        stale = s.claim_one(node)
        s.do(s.plans.release, [stale])
        s.claim_one(node)
        before, past = s.info(id_), s.history(id_)
        assert s.end(stale, outcome) == [stale.seq]
        assert (s.info(id_), s.history(id_)) == (before, past)

    @pytest.mark.parametrize("outcome", EVERY, ids=lambda o: type(o).__name__)
    def test_the_same_settle_twice_counts_once(self, s: Scene, outcome: Outcome) -> None:
        id_ = s.add_one()
        job = s.claim_one(s.enter())
        move = s.decided(job, outcome)
        assert s.do(s.plans.settle, [move]) == []
        before, past = s.info(id_), s.history(id_)
        assert s.do(s.plans.settle, [move]) == [job.seq], "also if no time has passed at all"
        assert (s.info(id_), s.history(id_)) == (before, past)

    def test_one_success_twice_in_a_batch_counts_once(self, s: Scene) -> None:
        s.add(2)
        one, other = (s.decided(job, DONE) for job in s.claim(s.enter()))
        assert s.do(s.plans.settle, [one, other, one]) == [one.seq]
        assert s.do(s.plans.counts) == {"default": {"succeeded": 2}}

    def test_in_a_mixed_batch_only_the_stale_are_refused(self, s: Scene) -> None:
        ids = s.add(8)
        node = s.enter()
        jobs = s.claim(node)
        s.do(s.plans.release, jobs[::2])
        again = {job.seq: job for job in s.claim(node)}
        outcomes: list[Outcome] = [DONE, DONE, raised(), raised(final=True), DONE, Snoozed(5), Interrupted(), DONE]
        moves = [s.decided(job, outcome, FIXED) for job, outcome in zip(jobs, outcomes, strict=True)]
        s.clock.advance(1)
        assert sorted(s.do(s.plans.settle, moves)) == [job.seq for job in jobs[::2]]
        assert s.states(ids[1::2]) == [State.SUCCEEDED, State.FAILED, State.SCHEDULED, State.SUCCEEDED]
        assert set(s.states(ids[::2])) == {State.RUNNING}
        assert s.do(s.plans.settle, [s.decided(job, DONE) for job in again.values()]) == []

    def test_a_settle_of_a_job_that_is_gone_is_stale(self, s: Scene) -> None:
        id_ = s.add_one()
        job = s.claim_one(s.enter())
        s.end(job, DONE)
        s.do(s.plans.delete, [id_])
        assert s.end(job, DONE) == [job.seq]

    def test_own_says_whether_a_claim_is_valid(self, s: Scene) -> None:
        s.add(1)
        node = s.enter()
        job = s.claim_one(node)
        assert s.do(s.plans.own, job.seq, job.claim)
        assert not s.do(s.plans.own, job.seq, job.claim + 1)
        s.do(s.plans.release, [job])
        assert not s.do(s.plans.own, job.seq, job.claim)

    def test_a_batch_over_several_queues_counts_each(self, s: Scene) -> None:
        for queue in ("a", "b"):
            s.add(3, queue=queue)
        jobs = s.claim(s.enter())
        s.do(s.plans.settle, [s.decided(job, DONE if n % 2 else raised(final=True)) for n, job in enumerate(jobs)])
        assert s.do(s.plans.counts) == {"a": {"succeeded": 1, "failed": 2}, "b": {"succeeded": 2, "failed": 1}}

    def test_a_place_is_never_taken_twice(self, s: Scene) -> None:
        """Or a late settle could mean another job than its own."""
        first = s.add_one()
        stale = s.claim_one(s.enter())
        s.do(s.plans.settle, [s.decided(stale, DONE)])
        s.do(s.plans.delete, [first])
        second = s.add_one()
        other = s.claim_one(s.enter())
        assert other.seq > stale.seq
        assert s.do(s.plans.settle, [s.decided(stale, DONE)]) == [stale.seq]
        assert s.state(second) is State.RUNNING
        s.do(s.plans.settle, [s.decided(other, DONE)])
        s.clock.advance(2 * 86_400)
        assert s.do(s.plans.prune) == 1
        third = s.add_one()
        assert s.claim_one(s.enter()).seq > other.seq
        assert [job.id for job in s.do(s.plans.find, Filter()).jobs] == [to_text(third)]
        assert s.do(s.plans.by_prefix, bytes(16), b"\xff" * 16) == [to_text(third)]


class Exchange(Themed):
    """Settle and claim in one, giving back, and what a run says of itself."""

    def test_exchange_settles_then_claims(self, s: Scene) -> None:
        ids = s.add(2)
        node = s.enter()
        job = s.claim(node, 1)[0]
        want = Want({Executor.ASYNC: 5}, None, frozenset({TASK}))
        stale, catch = s.do(s.plans.exchange, [s.decided(job, raised(delay=0.0))], want, node)
        assert stale == []
        assert catch is not None
        assert sorted(job.id for job in catch.jobs) == sorted(ids), "the job just settled was ready again"

    def test_exchange_may_only_settle_or_only_claim(self, s: Scene) -> None:
        (id_,) = s.add(1)
        node = s.enter()
        _, catch = s.do(s.plans.exchange, [], Want({Executor.ASYNC: 5}, None, frozenset({TASK})), node)
        assert catch is not None
        assert s.do(s.plans.exchange, [s.decided(catch.jobs[0], DONE)], None, node) == ([], None)
        assert s.state(id_) is State.SUCCEEDED

    def test_an_expelled_nodes_exchange_still_reports_stale_claims(self, s: Scene) -> None:
        s.add(1)
        node = s.enter()
        job = s.claim_one(node)
        s.clock.advance(16)
        s.do(s.plans.rescue)
        stale, catch = s.do(s.plans.exchange, [s.decided(job, DONE)], Want({Executor.ASYNC: 1}, None, frozenset({TASK})), node)
        assert stale == [job.seq]
        assert catch is not None
        assert catch.expelled

    def test_release_gives_back_uncounted_and_in_place(self, s: Scene) -> None:
        ids = s.add(3)
        node = s.enter()
        s.clock.advance(1)
        jobs = s.claim(node)
        s.do(s.plans.release, jobs)
        for id_ in ids:
            info = s.info(id_)
            assert (info.state, info.attempt, info.node, info.started, info.claim) == (State.READY, 0, None, None, 1)
        assert [job.id for job in s.claim(node)] == ids

    def test_a_stale_release_changes_nothing(self, s: Scene) -> None:
        (id_,) = s.add(1)
        node = s.enter()
        job = s.claim_one(node)
        s.do(s.plans.release, [job])
        s.claim_one(node)
        s.do(s.plans.release, [job])
        assert (s.state(id_), s.info(id_).attempt) == (State.RUNNING, 1)

    def test_progress_is_kept_while_the_claim_is_valid(self, s: Scene) -> None:
        (id_,) = s.add(1)
        node = s.enter()
        job = s.claim_one(node)
        s.do(s.plans.note, [(b'{"done":1}', job.seq, job.claim)], [], 100)
        assert s.info(id_).progress == {"done": 1}
        s.do(s.plans.note, [(b'{"done":9}', job.seq, job.claim + 1)], [], 100)
        assert s.info(id_).progress == {"done": 1}
        s.end(job, DONE)
        s.do(s.plans.note, [(b'{"done":9}', job.seq, job.claim)], [], 100)
        assert s.info(id_).progress == {"done": 1}

    def test_log_lines_are_numbered_fenced_and_trimmed_to_the_newest(self, s: Scene) -> None:
        (id_,) = s.add(1)
        node = s.enter()
        job = s.claim_one(node)
        lines = [(s.clock.wall() + n, "info", f"line {n}", job.seq, job.claim) for n in range(5)]
        s.do(s.plans.note, [], lines, 100)
        s.do(s.plans.note, [], [(0, "info", "stale", job.seq, job.claim + 1)], 100)
        found = s.do(s.plans.logs, id_)
        assert [(line.line, line.text, line.level, line.claim) for line in found] == [
            (n + 1, f"line {n}", "info", 1) for n in range(5)
        ]
        assert [line.text for line in s.do(s.plans.logs, id_, 3)] == ["line 3", "line 4"]
        assert [line.text for line in s.do(s.plans.logs, id_, 1, 2)] == ["line 1", "line 2"]
        s.do(s.plans.note, [], [(0, "warning", "last", job.seq, job.claim)], 3)
        assert [line.text for line in s.do(s.plans.logs, id_)] == ["line 3", "line 4", "last"]
        s.do(s.plans.note, [], [(0, "info", "one more", job.seq, job.claim)], 3)
        assert [line.line for line in s.do(s.plans.logs, id_)] == [5, 6, 7], "numbers are not used again"


class CancelRunning(Themed):
    """A job is asked to stop while it runs."""

    @pytest.mark.parametrize(
        ("outcome", "becomes"),
        [
            (DONE, State.SUCCEEDED), (raised(), State.CANCELLED), (raised(final=True), State.FAILED),
            (Snoozed(5.0), State.CANCELLED), (Interrupted(), State.CANCELLED), (Lost("signal 9"), State.CANCELLED),
            (Cancelled("told"), State.CANCELLED), (Suspended(5.0), State.CANCELLED),
        ],
        ids=lambda v: v.value if isinstance(v, State) else type(v).__name__,
    )  # fmt: skip
    def test_a_cancel_asked_for_wins_over_running_again(self, s: Scene, outcome: Outcome, becomes: State) -> None:
        id_ = s.add_one()
        node = s.enter()
        job = s.claim_one(node)
        assert s.do(s.plans.cancel, [id_], "stop it") == {id_: "asked"}
        assert s.state(id_) is State.RUNNING
        orders = s.do(s.plans.orders, node)
        assert [(o.seq, o.claim, o.reason) for o in orders] == [(job.seq, job.claim, "stop it")]
        assert s.end(job, outcome) == []
        info = s.info(id_)
        assert (info.state, info.finished) == (becomes, s.clock.wall())
        assert info.prune_after is not None
        assert info.prune_after > s.clock.wall()
        assert s.do(s.plans.orders, node) == []
        s.clock.advance(100)
        assert s.claim(s.enter()) == []

    def test_a_release_of_a_job_that_is_to_be_cancelled_cancels_it(self, s: Scene) -> None:
        id_ = s.add_one()
        job = s.claim_one(s.enter())
        s.do(s.plans.cancel, [id_], "stop it")
        s.do(s.plans.release, [job])
        assert (s.state(id_), s.info(id_).attempt, s.info(id_).reason) == (State.CANCELLED, 0, "stop it")

    def test_a_retried_life_does_not_inherit_the_cancel(self, s: Scene) -> None:
        id_ = s.add_one()
        node = s.enter()
        job = s.claim_one(node)
        s.do(s.plans.cancel, [id_])
        s.end(job, DONE)
        s.do(s.plans.retry, [id_])
        job = s.claim_one(node)
        assert s.do(s.plans.orders, node) == []
        s.end(job, raised(), FIXED)
        assert s.state(id_) is State.SCHEDULED
