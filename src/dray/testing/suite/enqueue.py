"""Enqueue: what `add` writes, and that it may be sent again."""

from __future__ import annotations

from dray.model import ids
from dray.model.clock import SECOND
from dray.model.job import Executor, State
from dray.testing.suite.scene import DONE, Scene, Themed, new_jobs


class Enqueue(Themed):
    """The Enqueue protocol."""

    def test_a_new_job_is_ready_and_keeps_everything_it_was_given(self, s: Scene) -> None:
        parent = ids.new_ids(1)[0]
        id_ = s.add_one(
            args=b'{"n":1}', queue="mail", executor=Executor.PROCESS, priority=7, max_attempts=3, tags='["a","b"]',
            options=b'{"timeout":5}', schedule="daily", parent=parent,
        )  # fmt: skip
        job = s.info(id_)
        assert (job.id, job.task, job.queue, job.state) == (ids.to_text(id_), "t", "mail", State.READY)
        assert (job.priority, job.executor, job.max_attempts, job.attempt, job.losses, job.claim) == (7, "process", 3, 0, 0, 0)
        assert (job.args, job.tags, job.options) == ({"n": 1}, ("a", "b"), {"timeout": 5})
        assert (job.schedule, job.parent) == ("daily", ids.to_text(parent))
        assert (job.enqueued, job.due) == (s.clock.wall(), s.clock.wall())
        assert (job.started, job.finished, job.expires, job.node, job.result, job.error) == (None,) * 6

    def test_an_add_sent_again_changes_nothing(self, s: Scene) -> None:
        jobs = new_jobs(3)
        s.do(s.plans.add, jobs)
        s.do(s.plans.add, jobs)
        assert s.do(s.plans.counts) == {"default": {"ready": 3}}

    def test_an_add_sent_again_leaves_a_job_that_went_on_as_it_is(self, s: Scene) -> None:
        jobs = new_jobs(1)
        s.do(s.plans.add, jobs)
        s.end(s.claim_one(s.enter()), DONE)
        s.do(s.plans.add, jobs)
        assert s.state(jobs[0].id) is State.SUCCEEDED

    def test_an_add_of_known_and_new_jobs_counts_the_new_ones(self, s: Scene) -> None:
        jobs = new_jobs(4, queue="a") + new_jobs(2, queue="b", delay=60.0)
        s.do(s.plans.add, [jobs[0], jobs[4]])
        s.do(s.plans.add, jobs)
        assert s.do(s.plans.counts) == {"a": {"ready": 4}, "b": {"scheduled": 2}}

    def test_one_id_twice_in_an_add_is_one_job(self, s: Scene) -> None:
        (job,) = new_jobs(1)
        s.do(s.plans.add, [job, job])
        assert s.do(s.plans.counts) == {"default": {"ready": 1}}

    def test_an_empty_add_is_nothing(self, s: Scene) -> None:
        s.do(s.plans.add, [])
        assert s.do(s.plans.counts) == {}

    def test_a_delay_counts_from_the_stores_now(self, s: Scene) -> None:
        id_ = s.add_one(delay=1.5)
        assert s.state(id_) is State.SCHEDULED
        assert s.info(id_).due == s.clock.wall() + 1_500_000

    def test_a_time_in_the_future_is_scheduled_and_one_in_the_past_is_ready(self, s: Scene) -> None:
        now = s.clock.wall()
        assert s.state(s.add_one(at=now + 1)) is State.SCHEDULED
        assert s.state(s.add_one(at=now)) is State.READY
        past = s.add_one(at=now - 60 * SECOND)
        assert (s.state(past), s.info(past).due) == (State.READY, now - 60 * SECOND)

    def test_expiry_is_a_time_or_counts_from_the_stores_now(self, s: Scene) -> None:
        now = s.clock.wall()
        assert s.info(s.add_one(expires_in=30.0)).expires == now + 30 * SECOND
        assert s.info(s.add_one(expires_at=now + 5)).expires == now + 5
        assert s.info(s.add_one(expires_at=now + 5, expires_in=30.0)).expires == now + 5

    def test_ten_thousand_at_once(self, s: Scene) -> None:
        s.add(10_000)
        assert s.do(s.plans.counts) == {"default": {"ready": 10_000}}

    def test_a_run_enqueues_while_its_claim_is_valid(self, s: Scene) -> None:
        s.add_one()
        job = s.claim_one(s.enter())
        (child,) = new_jobs(1, parent=job.id)
        assert s.do(s.plans.add_child, [child], job.seq, job.claim) is True
        assert s.state(child.id) is State.READY

    def test_a_run_whose_claim_is_stale_enqueues_nothing(self, s: Scene) -> None:
        s.add_one()
        job = s.claim_one(s.enter())
        s.do(s.plans.release, [job])
        children = new_jobs(2)
        assert s.do(s.plans.add_child, children, job.seq, job.claim) is False
        assert all(s.do(s.plans.get, child.id) is None for child in children)
