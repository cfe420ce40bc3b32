"""Maintenance: electing who does it, ending what expired, removing what is old."""

from __future__ import annotations

import pytest

from dray.model.clock import ManualClock
from dray.model.job import State
from dray.model.lifecycle import Rules
from dray.model.outcome import Interrupted
from dray.testing.suite.scene import DONE, Scene, Themed, raised


class Election(Themed):
    """One leads, for 15 seconds at a time."""

    def test_one_leads_until_it_stops_renewing(self, s: Scene) -> None:
        assert s.do(s.plans.elect, "maintenance", "a") is True
        assert s.do(s.plans.elect, "maintenance", "b") is False
        s.clock.advance(10)
        assert s.do(s.plans.elect, "maintenance", "a") is True
        s.clock.advance(10)
        assert s.do(s.plans.elect, "maintenance", "b") is False
        s.clock.advance(5.1)
        assert s.do(s.plans.elect, "maintenance", "b") is True
        assert s.do(s.plans.elect, "maintenance", "a") is False

    def test_who_resigns_makes_room_at_once_and_others_cannot_do_it_for_him(self, s: Scene) -> None:
        s.do(s.plans.elect, "maintenance", "a")
        s.do(s.plans.resign, "maintenance", "b")
        assert s.do(s.plans.elect, "maintenance", "b") is False
        s.do(s.plans.resign, "maintenance", "a")
        assert s.do(s.plans.elect, "maintenance", "b") is True

    def test_roles_are_apart(self, s: Scene) -> None:
        assert s.do(s.plans.elect, "maintenance", "a") is True
        assert s.do(s.plans.elect, "other", "b") is True

    def test_steps_of_the_wall_clock_and_boots(self, s: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        s.do(s.plans.elect, "maintenance", "a")
        for step in (86_400.0, -200_000.0):
            s.clock.step(step)
            assert s.do(s.plans.elect, "maintenance", "b") is False
        monkeypatch.setattr(ManualClock, "boot", "the next")
        assert s.do(s.plans.elect, "maintenance", "b") is True


class Retention(Themed):
    """Expire and prune."""

    def test_waiting_jobs_that_expired_are_cancelled_wherever_they_wait(self, s: Scene) -> None:
        ready, scheduled = s.add_one(expires_in=5.0), s.add_one(expires_in=5.0, delay=60.0)
        parked = s.add_one(expires_in=5.0, task="other", queue="p")
        s.claim(s.enter(), queues=["p"])
        kept = s.add_one(expires_in=5.1)
        assert s.do(s.plans.expire) == 0
        s.clock.advance(5)
        assert s.do(s.plans.expire, 2) == 2
        assert s.do(s.plans.expire, 2) == 1
        assert s.states([ready, scheduled, parked, kept]) == [State.CANCELLED] * 3 + [State.READY]
        assert "expired" in (s.info(ready).reason or "")
        assert s.info(ready).prune_after is not None

    def test_a_running_job_does_not_expire(self, s: Scene) -> None:
        id_ = s.add_one(expires_in=5.0)
        node = s.enter()
        job = s.claim_one(node)
        s.clock.advance(6)
        assert s.do(s.plans.expire) == 0
        assert s.end(job, DONE) == []
        assert s.state(id_) is State.SUCCEEDED

    def test_each_final_state_is_kept_for_its_own_time(self, s: Scene) -> None:
        node = s.enter()
        rules = Rules(keep_succeeded=10.0, keep_failed=30.0)
        good, bad = s.add(2)
        one, other = s.claim(node)
        s.end(one, DONE, rules)
        s.end(other, raised(final=True), rules)
        gone = s.add_one()
        s.do(s.plans.cancel, [gone])
        assert s.do(s.plans.prune) == 0
        s.clock.advance(9.9)
        assert s.do(s.plans.prune) == 0
        s.clock.advance(0.1)
        assert s.do(s.plans.prune) == 1
        assert s.do(s.plans.get, good) is None
        s.clock.advance(20)
        assert s.do(s.plans.prune) == 1
        assert s.do(s.plans.get, bad) is None
        s.clock.advance(7 * 86_400.0 - 30)
        assert s.do(s.plans.prune) == 1
        assert s.do(s.plans.get, gone) is None
        assert s.do(s.plans.counts) == {}

    def test_a_jobs_own_time_to_be_kept_holds_whoever_ends_it(self, s: Scene) -> None:
        waiting, asked, lost = s.add(3, options=b'{"result_ttl":60.0}')
        s.do(s.plans.cancel, [waiting])
        node = s.enter()
        first, _ = s.claim(node)
        s.do(s.plans.cancel, [asked])
        s.end(first, Interrupted())
        for _ in range(3):
            s.do(s.plans.bury, node, "signal 9", None)
            s.clock.advance(60)
            node = s.enter()
            s.claim(node)
        assert s.state(lost) is State.FAILED
        for id_, state in ((waiting, State.CANCELLED), (asked, State.CANCELLED), (lost, State.FAILED)):
            info = s.info(id_)
            assert (info.state, info.finished is not None) == (state, True)
            assert info.prune_after == (info.finished or 0) + 60_000_000

    def test_history_and_logs_go_with_the_job(self, s: Scene) -> None:
        (id_,) = s.add(1)
        node = s.enter()
        job = s.claim_one(node)
        s.do(s.plans.note, [], [(0, "info", "hello", job.seq, job.claim)], 10)
        s.end(job, raised(final=True), Rules(keep_failed=1.0))
        assert len(s.history(id_)) == 1
        s.clock.advance(1)
        assert s.do(s.plans.prune) == 1
        assert s.history(id_) == []
        assert s.do(s.plans.logs, id_) == []

    def test_what_lives_is_never_pruned(self, s: Scene) -> None:
        s.add(2)
        s.add(1, delay=1e7)
        s.add(1, task="other")
        node = s.enter()
        s.claim(node, 1)
        s.claim(node, 0)
        retried = s.add_one()
        s.do(s.plans.cancel, [retried])
        s.do(s.plans.retry, [retried])
        s.clock.step(365 * 86_400.0)
        assert s.do(s.plans.prune) == 0
        assert s.do(s.plans.get, retried) is not None

    def test_pruning_goes_in_steps(self, s: Scene) -> None:
        s.do(s.plans.cancel, s.add(25))
        s.clock.advance(8 * 86_400.0)
        assert [s.do(s.plans.prune, 10) for _ in range(4)] == [10, 10, 5, 0]
