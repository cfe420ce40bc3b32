"""Leases: nodes live while they renew; the jobs of the dead go on."""

from __future__ import annotations

import pytest

from dray.model.clock import ManualClock
from dray.model.job import State
from dray.store.values import NodeEntry
from dray.testing.suite.scene import DONE, Scene, Themed, raised


class Leases(Themed):
    """Entering, renewing, leaving, and what the clocks do to it."""

    def test_a_node_is_known_by_what_it_says(self, s: Scene) -> None:
        node = s.do(s.plans.enter, NodeEntry("w1", "box", 77, {"slots": 4}))
        (info,) = s.do(s.plans.nodes)
        assert (info.id, info.name, info.host, info.pid, info.info) == (node, "w1", "box", 77, {"slots": 4})
        assert (info.alive, info.stopping, info.running, info.entered) == (True, False, 0, s.clock.wall())
        s.add(2)
        s.claim(node)
        s.do(s.plans.stopping, node)
        (info,) = s.do(s.plans.nodes)
        assert (info.running, info.stopping, info.claimed) == (2, True, s.clock.wall())

    def test_ids_are_never_used_again(self, s: Scene) -> None:
        first = s.enter()
        s.do(s.plans.leave, first)
        assert s.enter() > first

    def test_a_node_lives_as_long_as_it_renews(self, s: Scene) -> None:
        s.add(1)
        node = s.enter()
        s.claim_one(node)
        for _ in range(20):
            s.clock.advance(10)
            assert s.do(s.plans.extend, {node: 0.0}).expelled == frozenset()
            assert s.do(s.plans.rescue) == []
        assert not s.catch(node).expelled

    def test_a_lease_that_ran_out_is_renewed_as_long_as_nobody_acted_on_it(self, s: Scene) -> None:
        s.add(2)
        late, good = s.enter(), s.enter()
        mine = s.claim_one(late)
        s.clock.advance(16)
        assert s.do(s.plans.extend, {late: 0.0, good: 0.0}).expelled == frozenset()
        assert s.do(s.plans.rescue) == []
        assert s.do(s.plans.own, mine.seq, mine.claim)
        s.clock.advance(16)
        assert [move.word for move in s.do(s.plans.rescue)] == ["lost"]
        assert s.do(s.plans.extend, {late: 0.0, good: 0.0}).expelled == {late, good}
        assert not s.do(s.plans.own, mine.seq, mine.claim)

    def test_a_renewal_tells_what_is_to_be_cancelled(self, s: Scene) -> None:
        ids = s.add(2)
        one, other = s.enter(), s.enter()
        (mine,), _ = s.claim(one, 1), s.claim(other, 1)
        s.do(s.plans.cancel, [mine.id], "enough")
        orders = s.do(s.plans.extend, {one: 0.0, other: 0.0})
        assert {n: [(o.seq, o.claim, o.reason) for o in found] for n, found in orders.cancels.items()} == {
            one: [(mine.seq, mine.claim, "enough")]
        }
        assert s.states(ids) == [State.RUNNING, State.RUNNING]

    def test_a_renewal_says_when_the_node_last_looked(self, s: Scene) -> None:
        node = s.enter()
        s.clock.advance(10)
        s.do(s.plans.extend, {node: 4.0})
        (info,) = s.do(s.plans.nodes)
        assert (info.renewed, info.claimed) == (s.clock.wall(), s.clock.wall() - 4_000_000)

    @pytest.mark.parametrize("step", [3600.0, -3600.0, 10 * 365 * 86_400.0, -10 * 365 * 86_400.0])
    def test_a_step_of_the_wall_clock_neither_ends_a_lease_nor_makes_it_immortal(self, s: Scene, step: float) -> None:
        s.add(1)
        node = s.enter()
        s.claim_one(node)
        s.clock.step(step)
        assert s.do(s.plans.rescue) == []
        assert not s.catch(node).expelled
        s.clock.advance(14)
        assert s.do(s.plans.extend, {node: 0.0}).expelled == frozenset()
        s.clock.step(-step)
        assert s.do(s.plans.rescue) == []
        s.clock.advance(15.1)
        assert len(s.do(s.plans.rescue)) == 1

    def test_leases_of_another_boot_mean_nothing(self, s: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        id_ = s.add_one()
        node = s.enter()
        s.claim_one(node)
        monkeypatch.setattr(ManualClock, "boot", "the next")
        assert s.catch(node).expelled
        assert s.do(s.plans.extend, {node: 0.0}).expelled == {node}
        assert [info.alive for info in s.do(s.plans.nodes)] == [False]
        assert [move.word for move in s.do(s.plans.rescue)] == ["lost"]
        assert s.state(id_) is State.READY
        assert s.do(s.plans.nodes) == []

    def test_leaving_gives_back_what_is_held_uncounted(self, s: Scene) -> None:
        id_ = s.add_one()
        node = s.enter()
        s.claim_one(node)
        s.do(s.plans.leave, node)
        info = s.info(id_)
        assert (info.state, info.attempt, info.losses) == (State.READY, 0, 0)
        assert s.do(s.plans.nodes) == []


class Rescue(Themed):
    """I4: losses are counted apart from attempts; the budget is three."""

    def test_only_the_dead_are_rescued(self, s: Scene) -> None:
        s.add(2)
        dead, alive = s.enter("dead"), s.enter("alive")
        (lost,), (kept,) = s.claim(dead, 1), s.claim(alive, 1)
        s.clock.advance(10)
        s.do(s.plans.extend, {alive: 0.0})
        s.clock.advance(6)
        moves = s.do(s.plans.rescue)
        assert [(move.seq, move.claim, move.word) for move in moves] == [(lost.seq, lost.claim, "lost")]
        assert s.info(lost.id).state is State.READY
        assert s.info(kept.id).state is State.RUNNING
        assert [node.id for node in s.do(s.plans.nodes)] == [alive]
        assert s.do(s.plans.rescue) == []

    def test_the_rescued_run_can_change_nothing_more(self, s: Scene) -> None:
        id_ = s.add_one()
        node = s.enter()
        job = s.claim_one(node)
        s.clock.advance(16)
        s.do(s.plans.rescue)
        assert s.end(job, DONE) == [job.seq]
        again = s.claim_one(s.enter())
        assert (again.id, again.claim, again.attempt, again.losses) == (id_, 2, 1, 1)
        assert s.end(job, DONE) == [job.seq]
        assert s.end(again, DONE) == []

    def test_the_third_loss_fails_the_job_with_the_reason(self, s: Scene) -> None:
        id_ = s.add_one(max_attempts=1)
        for n in range(3):
            node = s.enter(f"w{n}")
            s.claim_one(node)
            s.clock.advance(60)
            assert len(s.do(s.plans.rescue)) == 1
            s.clock.advance(60)
        info = s.info(id_)
        assert (info.state, info.losses, info.attempt) == (State.FAILED, 3, 0)
        assert "w2" in info.error["message"]
        assert "crash budget" in info.error["message"]
        assert "w2" in info.error["cause"]
        assert [(r.word, r.attempt) for r in s.history(id_)] == [("lost", 1)] * 3

    def test_attempts_and_losses_do_not_add_up(self, s: Scene) -> None:
        id_ = s.add_one(max_attempts=2)
        for outcome in ("lost", "raised", "lost"):
            node = s.enter()
            job = s.claim_one(node)
            if outcome == "lost":
                s.do(s.plans.bury, node, "signal 9", None)
            else:
                s.end(job, raised(delay=0.0))
            s.clock.advance(60)
        info = s.info(id_)
        assert (info.attempt, info.losses) == (1, 2)
        assert info.state in (State.READY, State.SCHEDULED)

    def test_many_jobs_of_one_node(self, s: Scene) -> None:
        s.add(1234)
        node = s.enter()
        assert len(s.claim(node, 2000)) == 1234
        s.clock.advance(16)
        assert len(s.do(s.plans.rescue)) == 1234
        assert s.do(s.plans.counts) == {"default": {"ready": 1234}}

    def test_what_was_asked_to_be_cancelled_is_cancelled_by_the_rescue(self, s: Scene) -> None:
        id_ = s.add_one()
        s.claim_one(s.enter())
        s.do(s.plans.cancel, [id_], "enough")
        s.clock.advance(16)
        s.do(s.plans.rescue)
        info = s.info(id_)
        assert (info.state, info.reason, info.losses) == (State.CANCELLED, "enough", 1)


class Bury(Themed):
    """The supervisor knows that a node is dead before its lease runs out."""

    def test_only_what_had_started_is_lost(self, s: Scene) -> None:
        ids = s.add(3)
        node = s.enter()
        jobs = s.claim(node)
        moves = s.do(s.plans.bury, node, "signal 11", {(jobs[0].seq, jobs[0].claim)})
        assert [move.seq for move in moves] == [jobs[0].seq]
        assert [s.info(id_).losses for id_ in ids] == [1, 0, 0]
        assert [s.info(id_).attempt for id_ in ids] == [0, 0, 0]
        assert set(s.states(ids)) == {State.READY}
        assert [r.error["cause"] for r in s.history(ids[0])] == ["signal 11"]
        assert s.history(ids[1]) == []
        assert s.do(s.plans.nodes) == []

    def test_if_nobody_knows_what_had_started_all_is_lost(self, s: Scene) -> None:
        ids = s.add(3)
        node = s.enter()
        s.claim(node)
        assert len(s.do(s.plans.bury, node, "signal 9", None)) == 3
        assert [s.info(id_).losses for id_ in ids] == [1, 1, 1]

    def test_what_had_been_settled_before_is_left_alone(self, s: Scene) -> None:
        ids = s.add(2)
        node = s.enter()
        jobs = s.claim(node)
        s.end(jobs[0], DONE)
        s.do(s.plans.bury, node, "signal 9", {(job.seq, job.claim) for job in jobs})
        assert s.states(ids) == [State.SUCCEEDED, State.READY]

    def test_a_claim_of_an_earlier_run_does_not_make_a_later_one_started(self, s: Scene) -> None:
        id_ = s.add_one()
        node = s.enter()
        old = s.claim_one(node)
        s.do(s.plans.release, [old])
        s.claim_one(node)
        assert s.do(s.plans.bury, node, "signal 9", {(old.seq, old.claim)}) == []
        assert s.info(id_).losses == 0

    def test_burying_twice_is_nothing(self, s: Scene) -> None:
        s.add(1)
        node = s.enter()
        s.claim_one(node)
        assert len(s.do(s.plans.bury, node, "signal 9", None)) == 1
        assert s.do(s.plans.bury, node, "signal 9", None) == []

    def test_the_node_itself_is_expelled(self, s: Scene) -> None:
        node = s.enter()
        s.do(s.plans.bury, node, "signal 9", None)
        assert s.catch(node).expelled
        assert s.do(s.plans.extend, {node: 0.0}).expelled == {node}
