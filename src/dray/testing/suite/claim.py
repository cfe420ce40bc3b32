"""Claim: who gets which jobs, in which order."""

from __future__ import annotations

import pytest

from dray.model.clock import SECOND
from dray.model.job import Executor, State
from dray.store.values import Want
from dray.testing.suite.scene import DONE, TASK, Scene, Themed, new_jobs

ASYNC, THREAD, PROCESS = Executor.ASYNC, Executor.THREAD, Executor.PROCESS


class Claim(Themed):
    """The order of claiming, the lanes, and time."""

    def test_a_claim_counts_the_attempt_and_the_claim_and_tells_everything(self, s: Scene) -> None:
        id_ = s.add_one(args=b'{"n":1}', max_attempts=4, options=b"{}", tags='["x"]')
        node = s.enter()
        job = s.claim_one(node)
        assert (job.id, job.task, job.args, job.queue, job.executor) == (id_, TASK, b'{"n":1}', "default", 0)
        assert (job.claim, job.attempt, job.losses, job.max_attempts) == (1, 1, 0, 4)
        assert (job.options, job.tags, job.started, job.enqueued) == (b"{}", '["x"]', s.clock.wall(), s.clock.wall())
        info = s.info(id_)
        assert (info.state, info.node, info.claim, info.attempt, info.started) == (State.RUNNING, node, 1, 1, s.clock.wall())

    def test_what_is_claimed_is_not_claimed_again(self, s: Scene) -> None:
        s.add(3)
        one, other = s.enter(), s.enter()
        assert len(s.claim(one, 2)) == 2
        assert len(s.claim(other)) == 1
        assert s.claim(one) == []

    def test_higher_priority_first_then_due_then_order_of_enqueueing(self, s: Scene) -> None:
        now = s.clock.wall()
        late = s.add_one(priority=1, at=now - 1)
        early = s.add_one(priority=1, at=now - 2)
        first, second = s.add_one(priority=1, at=now - 2), s.add_one(priority=-5, at=now - 99)
        top = s.add_one(priority=100)
        assert [job.id for job in s.claim(s.enter())] == [top, early, first, late, second]

    def test_the_order_holds_across_claims(self, s: Scene) -> None:
        ids = [s.add_one(priority=n % 3) for n in range(9)]
        node = s.enter()
        got = [job.id for _ in range(3) for job in s.claim(node, 3)]
        assert got == sorted(ids, key=lambda id_: (-(ids.index(id_) % 3), ids.index(id_)))

    def test_each_kind_of_slot_gets_its_own_jobs(self, s: Scene) -> None:
        s.add(3, executor=ASYNC)
        s.add(3, executor=THREAD)
        s.add(3, executor=PROCESS)
        got = s.claim(s.enter(), slots={ASYNC: 2, THREAD: 1, PROCESS: 0})
        assert sorted(job.executor for job in got) == [ASYNC, ASYNC, THREAD]

    def test_no_slots_no_jobs(self, s: Scene) -> None:
        s.add(3)
        assert s.claim(s.enter(), 0) == []

    def test_only_the_queues_asked_for(self, s: Scene) -> None:
        s.add(1, queue="a")
        b = s.add_one(queue="b")
        node = s.enter()
        assert [job.id for job in s.claim(node, queues=["b"])] == [b]
        assert s.claim(node, queues=["nobody"]) == []
        assert s.claim(node, queues=[]) == []

    def test_queues_are_looked_at_in_the_order_given(self, s: Scene) -> None:
        low = s.add(2, queue="low", priority=100)
        high = s.add(2, queue="high", priority=-100)
        node = s.enter()
        assert [job.id for job in s.claim(node, 3, queues=["high", "low"])] == [*high, low[0]]

    def test_without_queues_every_queue_is_served_and_each_has_its_turn(self, s: Scene) -> None:
        for queue in ("a", "b", "c"):
            s.add(5, queue=queue)
        node = s.enter()
        first = [s.claim(node, 1, order=order)[0].queue for order in range(3)]
        assert sorted(first) == ["a", "b", "c"]

    def test_a_paused_queue_gives_nothing_until_it_is_resumed(self, s: Scene) -> None:
        s.add(1, queue="a")
        b = s.add_one(queue="b")
        node = s.enter()
        s.do(s.plans.pause, "a")
        assert [job.id for job in s.claim(node)] == [b]
        assert s.claim(node, queues=["a"]) == []
        assert s.do(s.plans.resume, "a") is True
        assert len(s.claim(node, queues=["a"])) == 1

    def test_what_becomes_due_is_claimed_then_and_not_before(self, s: Scene) -> None:
        id_ = s.add_one(delay=10.0)
        node = s.enter()
        catch = s.catch(node)
        assert (catch.jobs, catch.next_due, catch.now) == ([], 10.0, s.clock.wall())
        s.clock.advance(9.999_999)
        assert s.claim(node) == []
        s.clock.advance(0.000_001)
        catch = s.catch(node)
        assert ([job.id for job in catch.jobs], catch.next_due) == ([id_], None)

    def test_promote_makes_ready_what_is_due(self, s: Scene) -> None:
        due, later = s.add(3, delay=10.0), s.add(2, delay=20.0)
        assert s.do(s.plans.promote) == 0
        s.clock.advance(10)
        assert s.do(s.plans.promote) == 3
        assert s.do(s.plans.promote) == 0
        assert set(s.states(due)) == {State.READY}
        assert set(s.states(later)) == {State.SCHEDULED}

    def test_more_than_a_thousand_due_at_once_all_come(self, s: Scene) -> None:
        s.add(2500, delay=1.0)
        s.clock.advance(1)
        node = s.enter()
        catch = s.catch(node, 1)
        assert catch.next_due == 0.0, "some that are due are still to be promoted"
        assert 1 + sum(len(s.claim(node, 1000)) for _ in range(4)) == 2500

    def test_a_job_that_expired_is_cancelled_and_not_given(self, s: Scene) -> None:
        old, good = s.add_one(expires_in=5.0), s.add_one(expires_in=6.0)
        s.clock.advance(5)
        assert [job.id for job in s.claim(s.enter())] == [good]
        info = s.info(old)
        assert (info.state, info.attempt, info.finished) == (State.CANCELLED, 0, s.clock.wall())
        assert "expired" in (info.reason or "")

    def test_expired_jobs_do_not_use_up_the_slots(self, s: Scene) -> None:
        s.add(5, expires_in=1.0)
        s.clock.advance(2)
        good = s.add(2)
        assert [job.id for job in s.claim(s.enter(), 2)] == good

    def test_a_node_that_never_entered_or_has_left_gets_nothing(self, s: Scene) -> None:
        (id_,) = s.add(1)
        node = s.enter()
        s.do(s.plans.leave, node)
        for stranger in (node, 12345):
            catch = s.catch(stranger)
            assert (catch.expelled, catch.jobs) == (True, [])
        assert s.state(id_) is State.READY

    def test_a_node_whose_lease_ran_out_gets_nothing_once_somebody_acted_on_it(self, s: Scene) -> None:
        s.add(2)
        node = s.enter()
        s.clock.advance(15.1)
        assert len(s.claim(node, 1)) == 1, "nobody has: and who claims lives"
        assert s.do(s.plans.rescue) == []
        s.clock.advance(15.1)
        s.do(s.plans.rescue)
        catch = s.catch(node)
        assert (catch.expelled, catch.jobs) == (True, [])

    def test_waiting_says_whether_a_claim_would_get_something(self, s: Scene) -> None:
        def waiting(queues: tuple[str, ...] | None = None, executor: Executor = ASYNC) -> tuple[bool, float | None]:
            return s.do(s.plans.waiting, Want({executor: 1}, queues, frozenset({TASK})))

        assert waiting() == (False, None)
        s.add_one(queue="a", delay=4.0)
        assert waiting() == (False, 4.0)
        s.clock.advance(4)
        assert waiting()[0] is True, "something is due"
        s.do(s.plans.promote)
        assert waiting()[0] is True
        assert waiting(("a",))[0] is True
        assert waiting(("b",))[0] is False
        assert waiting(None, THREAD)[0] is False
        s.do(s.plans.pause, "a")
        assert waiting()[0] is False
        assert waiting(("a",))[0] is False


class Unknown(Themed):
    """I12: a job of a task that a node does not know is left for one that does."""

    def test_an_unknown_task_is_left_for_a_node_that_knows_it(self, s: Scene) -> None:
        id_ = s.add_one(task="other", max_attempts=1)
        node = s.enter()
        for _ in range(3):
            assert s.claim(node) == []
        info = s.info(id_)
        assert (info.state, info.attempt, info.hold, info.node, info.started) == (State.READY, 0, "task:other", None, None)
        job = s.claim_one(s.enter(), tasks={"other"})
        assert (job.id, job.attempt) == (id_, 1)
        assert s.info(id_).hold is None

    def test_unknown_tasks_do_not_stand_in_the_way(self, s: Scene) -> None:
        s.add(50, task="other", priority=9)
        good = s.add(2)
        assert [job.id for job in s.claim(s.enter(), 2)] == good

    def test_no_more_than_the_slots_when_there_are_ready_and_parked_jobs(self, s: Scene) -> None:
        s.add(5, task="other")
        ignorant, both = s.enter(), s.enter()
        assert s.claim(ignorant) == []
        s.add(5)
        assert len(s.claim(both, 4, tasks={TASK, "other"})) == 4
        assert len(s.claim(both, 100, tasks={TASK, "other"})) == 6

    def test_parked_jobs_of_a_queue_not_served_do_not_hide_those_of_one_that_is(self, s: Scene) -> None:
        s.add(20, task="other", queue="elsewhere", priority=5)
        mine = s.add_one(task="other", queue="here")
        s.claim(s.enter(), 50)
        got = s.claim(s.enter(), 1, queues=["here"], tasks={"other"})
        assert [job.id for job in got] == [mine]

    def test_parked_jobs_for_other_slots_do_not_hide_those_for_free_ones(self, s: Scene) -> None:
        s.add(20, task="other", executor=PROCESS, priority=5)
        mine = s.add_one(task="other", executor=THREAD)
        s.claim(s.enter(), slots={PROCESS: 50, THREAD: 50})
        got = s.claim(s.enter(), slots={THREAD: 1}, tasks={"other"})
        assert [job.id for job in got] == [mine]

    def test_a_paused_queue_keeps_its_parked_jobs(self, s: Scene) -> None:
        s.add(1, task="other", queue="a")
        node = s.enter()
        s.claim(node)
        s.do(s.plans.pause, "a")
        assert s.claim(node, tasks={"other"}) == []
        s.do(s.plans.resume, "a")
        assert len(s.claim(node, tasks={"other"})) == 1

    def test_the_order_among_parked_jobs(self, s: Scene) -> None:
        low, high = s.add_one(task="other", priority=1), s.add_one(task="other", priority=2)
        node = s.enter()
        s.claim(node)
        assert [job.id for job in s.claim(node, 2, tasks={"other"})] == [high, low]

    def test_waiting_looks_at_parked_jobs_as_a_claim_would(self, s: Scene) -> None:
        s.add(1, task="other", queue="a", executor=THREAD)
        s.claim(s.enter(), slots={THREAD: 1})

        def waiting(queues: tuple[str, ...] | None, executor: Executor, task: str) -> bool:
            return s.do(s.plans.waiting, Want({executor: 1}, queues, frozenset({task})))[0]

        assert waiting(None, THREAD, "other")
        assert waiting(("a",), THREAD, "other")
        assert not waiting(None, THREAD, TASK)
        assert not waiting(("b",), THREAD, "other"), "a node must not be woken again and again for what it cannot take"
        assert not waiting(None, ASYNC, "other")
        s.do(s.plans.pause, "a")
        assert not waiting(None, THREAD, "other")

    def test_a_parked_job_that_expired_is_cancelled(self, s: Scene) -> None:
        one, two = s.add_one(task="other", expires_in=5.0), s.add_one(task="other", expires_in=5.0)
        node = s.enter()
        s.claim(node)
        s.clock.advance(5)
        assert s.claim(node, 1, tasks={"other"}) == []
        assert s.do(s.plans.expire) == 0, "both went in the claim"
        assert set(s.states([one, two])) == {State.CANCELLED}

    @pytest.mark.parametrize("verb", ["cancel", "delete"])
    def test_operators_reach_parked_jobs(self, s: Scene, verb: str) -> None:
        id_ = s.add_one(task="other")
        node = s.enter()
        s.claim(node)
        s.do(getattr(s.plans, verb), [id_])
        assert s.claim(node, tasks={"other"}) == []

    def test_a_thousand_unknown_jobs_in_one_claim(self, s: Scene) -> None:
        s.do(s.plans.add, new_jobs(1000, task="other"))
        id_ = s.add_one()
        node = s.enter()
        job = s.claim_one(node)
        assert job.id == id_
        s.end(job, DONE)
        assert sum(len(s.claim(node, 300, tasks={"other"})) for _ in range(4)) == 1000

    def test_a_scheduled_job_of_an_unknown_task_parks_when_due(self, s: Scene) -> None:
        id_ = s.add_one(task="other", at=s.clock.wall() + SECOND)
        s.clock.advance(1)
        node = s.enter()
        assert s.claim(node) == []
        assert s.info(id_).hold == "task:other"
