"""Admin: questions about jobs, and what an operator may do in each state."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dray.model import ids
from dray.model.job import State
from dray.model.outcome import Cancelled, Suspended
from dray.store.values import Filter
from dray.testing.suite.scene import DONE, Scene, Themed, raised
from dray.testing.suite.schedules import row


def blocked(s: Scene) -> bytes:
    """A job that waits for an earlier run of its schedule."""
    s.do(s.plans.put_schedule, row("b", overlap="queue", queue="b"))
    for _ in range(2):
        s.clock.advance(60)
        s.do(s.plans.tick)
    (job,) = s.do(s.plans.find, Filter(states=frozenset({State.BLOCKED}))).jobs
    return ids.from_text(job.id)


def parked(s: Scene) -> bytes:
    """A job of a task that no node knows."""
    id_ = s.add_one(task="other", queue="x")
    s.claim(s.enter(), queues=["x"])
    return id_


def ended(outcome: object) -> Callable[[Scene], bytes]:
    """A job whose run came to `outcome`."""

    def make(s: Scene) -> bytes:
        id_ = s.add_one(queue="x")
        s.end(s.claim_one(s.enter(), queues=["x"]), outcome)  # type: ignore[arg-type]
        return id_

    return make


def running(s: Scene) -> bytes:
    """A job that runs."""
    id_ = s.add_one(queue="x")
    s.claim_one(s.enter(), queues=["x"])
    return id_


WAYS: dict[str, Callable[[Scene], bytes]] = {
    "scheduled": lambda s: s.add_one(delay=600.0), "ready": lambda s: s.add_one(), "parked": parked, "running": running,
    "blocked": blocked, "sleeping": ended(Suspended(60.0)), "succeeded": ended(DONE), "failed": ended(raised(final=True)),
    "cancelled": ended(Cancelled("by itself")),
}  # fmt: skip
FINAL = ("succeeded", "failed", "cancelled")


class Operators(Themed):
    """Each verb in every state."""

    @pytest.mark.parametrize("way", WAYS)
    def test_cancel(self, s: Scene, way: str) -> None:
        id_ = WAYS[way](s)
        before = s.info(id_)
        answer = s.do(s.plans.cancel, [id_], "by hand")[id_]
        info = s.info(id_)
        if way == "running":
            assert (answer, info.state) == ("asked", State.RUNNING)
        elif way in FINAL:
            assert (answer, info) == ("final", before)
        else:
            assert (answer, info.state, info.reason, info.finished) == ("cancelled", State.CANCELLED, "by hand", s.clock.wall())
            assert info.hold is None
            s.clock.advance(3600)
            assert s.claim(s.enter(), queues=[info.queue], tasks={"t", "other"}) == [] or way == "blocked"
            assert s.state(id_) is State.CANCELLED

    @pytest.mark.parametrize("way", WAYS)
    def test_retry(self, s: Scene, way: str) -> None:
        id_ = WAYS[way](s)
        before = s.info(id_)
        answer = s.do(s.plans.retry, [id_])[id_]
        info = s.info(id_)
        if way in FINAL:
            assert (answer, info.state, info.due) == ("ready", State.READY, s.clock.wall())
            assert (info.attempt, info.losses, info.result, info.error, info.reason) == (0, 0, None, None, None)
            assert (info.finished, info.prune_after, info.node, info.started) == (None,) * 4
            assert info.claim == before.claim, "the fencing token only ever grows"
            assert len(s.history(id_)) == 1, "the earlier life is kept"
            job = s.claim_one(s.enter(), queues=[info.queue])
            assert (job.attempt, job.claim) == (1, before.claim + 1)
        elif way == "scheduled":
            assert (answer, info.state, info.due) == ("ready", State.READY, s.clock.wall())
        else:
            assert (answer, info) == (str(before.state), before)

    @pytest.mark.parametrize("way", WAYS)
    def test_delete(self, s: Scene, way: str) -> None:
        id_ = WAYS[way](s)
        answer = s.do(s.plans.delete, [id_])[id_]
        if way == "running":
            assert (answer, s.state(id_)) == ("running", State.RUNNING)
        else:
            assert answer == "deleted"
            assert s.do(s.plans.get, id_) is None
            assert s.do(s.plans.ending, id_) is None
            assert s.history(id_) == []

    @pytest.mark.parametrize("way", WAYS)
    def test_edit(self, s: Scene, way: str) -> None:
        id_ = WAYS[way](s)
        before = s.info(id_)
        done = s.do(s.plans.edit, id_, args=b'{"n":2}', priority=9, max_attempts=2)
        info = s.info(id_)
        assert done is (way in ("scheduled", "ready", "parked"))
        if done:
            assert (info.args, info.priority, info.max_attempts, info.state) == ({"n": 2}, 9, 2, before.state)
            s.do(s.plans.edit, id_, priority=-9)
            assert (s.info(id_).args, s.info(id_).priority) == ({"n": 2}, -9)
        else:
            assert info == before

    def test_what_is_unknown(self, s: Scene) -> None:
        (id_,) = ids.new_ids(1)
        for verb in (s.plans.cancel, s.plans.retry, s.plans.delete):
            assert s.do(verb, [id_]) == {id_: "unknown"}
        assert s.do(s.plans.edit, id_, priority=1) is False
        assert s.do(s.plans.get, id_) is None
        assert s.do(s.plans.ending, id_) is None
        assert s.history(id_) == []
        assert s.do(s.plans.logs, id_) == []

    def test_many_at_once(self, s: Scene) -> None:
        waiting, final = s.add(3, queue="a"), ended(DONE)(s)
        answers = s.do(s.plans.cancel, [*waiting, final])
        assert answers == {**dict.fromkeys(waiting, "cancelled"), final: "final"}
        assert s.do(s.plans.retry, waiting) == dict.fromkeys(waiting, "ready")
        assert s.do(s.plans.delete, [*waiting, final]) == dict.fromkeys([*waiting, final], "deleted")
        assert s.do(s.plans.counts) == {}

    def test_a_new_life_has_all_its_attempts_and_keeps_the_history(self, s: Scene) -> None:
        id_ = s.add_one(max_attempts=2)
        node = s.enter()
        for _ in range(2):
            for _ in range(2):
                s.end(s.claim_one(node), raised(delay=0.0))
            assert s.state(id_) is State.FAILED
            s.do(s.plans.retry, [id_])
        assert [(r.claim, r.attempt) for r in s.history(id_)] == [(1, 1), (2, 2), (3, 1), (4, 2)]

    def test_a_retried_job_does_not_expire_again(self, s: Scene) -> None:
        id_ = s.add_one(expires_in=5.0)
        s.clock.advance(6)
        s.do(s.plans.expire)
        s.do(s.plans.retry, [id_])
        assert s.do(s.plans.expire) == 0
        assert s.claim_one(s.enter()).id == id_


class Questions(Themed):
    """Looking."""

    def test_find_newest_first_and_in_pages(self, s: Scene) -> None:
        found, before = [], None
        all_ = s.add(25)
        for _ in range(10):
            page = s.do(s.plans.find, Filter(), 10, before)
            assert len(page.jobs) <= 10
            found += [ids.from_text(job.id) for job in page.jobs]
            before = page.next
            if before is None:
                break
        assert found == all_[::-1]

    def test_find_by_each_field_and_by_several(self, s: Scene) -> None:
        def found(**fields: object) -> set[bytes]:
            return {ids.from_text(job.id) for job in s.do(s.plans.find, Filter(**fields)).jobs}  # type: ignore[arg-type]

        mail = s.add_one(task="send_mail", queue="mail", tags='["vip","b"]', args=b'{"to":"ann@example.org"}')
        note = s.add_one(task="send_note", queue="mail", tags='["b"]')
        bill = s.add_one(task="bill", schedule="monthly")
        assert found() == {mail, note, bill}
        assert found(queue="mail") == {mail, note}
        assert found(task="send_mail") == {mail}
        assert found(task="send_*") == {mail, note}
        assert found(task="?ill?") == set()
        assert found(task="bil?") == {bill}
        assert found(tag="vip") == {mail}
        assert found(tag="vi") == set()
        assert found(schedule="monthly") == {bill}
        assert found(text="ann@") == {mail}
        assert found(queue="mail", tag="b", task="send_n*") == {note}
        assert found(queue="nobody") == set()

    def test_find_by_text_of_the_error(self, s: Scene) -> None:
        one, other = s.add(2)
        for job, text in zip(s.claim(s.enter()), ("connection refused", "division by zero"), strict=True):
            s.end(job, raised(text, final=True))
        page = s.do(s.plans.find, Filter(text="refused"))
        assert [ids.from_text(job.id) for job in page.jobs] == [one]
        page = s.do(s.plans.find, Filter(states=frozenset({State.FAILED}), text="by zero"))
        assert [ids.from_text(job.id) for job in page.jobs] == [other]

    @pytest.mark.parametrize("way", WAYS)
    def test_find_by_state(self, s: Scene, way: str) -> None:
        id_ = WAYS[way](s)
        state = s.state(id_)
        for states in ({state}, {state, State.SUCCEEDED}, {State.FAILED, State.CANCELLED, state}, set(State)):
            page = s.do(s.plans.find, Filter(states=frozenset(states)))
            assert ids.to_text(id_) in [job.id for job in page.jobs], states
        page = s.do(s.plans.find, Filter(states=frozenset(set(State) - {state})))
        assert ids.to_text(id_) not in [job.id for job in page.jobs]
        assert s.do(s.plans.find, Filter(states=frozenset())).jobs == []

    def test_find_ended_in_pages(self, s: Scene) -> None:
        all_ = s.add(7)
        s.do(s.plans.cancel, all_)
        what = Filter(states=frozenset({State.CANCELLED}))
        first = s.do(s.plans.find, what, 4)
        second = s.do(s.plans.find, what, 4, first.next)
        assert [job.id for job in first.jobs + second.jobs] == [ids.to_text(id_) for id_ in all_[::-1]]
        assert second.next is None

    def test_counts_by_queue_and_state(self, s: Scene) -> None:
        for way in WAYS.values():
            way(s)
        total: dict[str, int] = {}
        for states in s.do(s.plans.counts).values():
            for state, n in states.items():
                total[state] = total.get(state, 0) + n
        assert total == {
            "scheduled": 1, "ready": 3, "running": 1, "blocked": 1, "sleeping": 1, "succeeded": 1, "failed": 1, "cancelled": 1,
        }  # fmt: skip

    def test_queues(self, s: Scene) -> None:
        s.add(2, queue="a")
        s.add(1, queue="b", delay=60.0)
        s.do(s.plans.pause, "b", "ann")
        s.do(s.plans.pause, "empty")
        paused = s.clock.wall()
        s.clock.advance(5)
        s.do(s.plans.pause, "b", "bob")
        found = {queue.name: queue for queue in s.do(s.plans.queues)}
        assert set(found) == {"a", "b", "empty"}
        assert (found["a"].counts, found["a"].paused, found["a"].oldest_ready) == ({"ready": 2}, None, paused)
        assert (found["b"].counts, found["b"].paused, found["b"].oldest_ready) == ({"scheduled": 1}, paused, None)
        assert s.do(s.plans.resume, "b") is True
        assert s.do(s.plans.resume, "b") is False
        assert s.do(s.plans.resume, "never heard of") is False
        assert {queue.name: queue.paused for queue in s.do(s.plans.queues)}["b"] is None

    def test_by_prefix(self, s: Scene) -> None:
        one, other = s.add(2)
        text = ids.to_text(one)

        def matching(prefix: str) -> list[str]:
            bounds = ids.prefix_range(prefix)
            assert bounds is not None
            return s.do(s.plans.by_prefix, *bounds)

        assert matching(text) == [text]
        assert matching(text[:4]) == [text, ids.to_text(other)]
        assert matching("ffffffff") == []
