"""Schedules: each tick once (I8), whoever asks and whatever the clock does."""

from __future__ import annotations

from typing import Any

import pytest

from dray.model.clock import SECOND
from dray.model.job import JobInfo, State
from dray.store.values import Filter, ScheduleRow
from dray.testing.suite.scene import DONE, Scene, Themed

MINUTE = 60 * SECOND


def row(name: str = "s", spec: str = "* * * * *", **more: Any) -> ScheduleRow:
    """A schedule, every minute unless said otherwise."""
    fields: dict[str, Any] = {
        "task": "t", "queue": "default", "executor": 0, "priority": 0, "max_attempts": 5, "tz": "UTC", "args": b'{"n":1}',
        "options": None, "tags": None, "catch_up": "one", "window": 86_400.0, "overlap": "allow", "origin": "code", **more,
    }  # fmt: skip
    return ScheduleRow(name=name, spec=spec, **fields)


def jobs_of(s: Scene, name: str = "s") -> list[JobInfo]:
    """The jobs that a schedule fired, oldest first."""
    return s.do(s.plans.find, Filter(schedule=name), 1000).jobs[::-1]


class Ticks(Themed):
    """Firing."""

    def test_a_tick_is_fired_when_it_is_due_and_once_whoever_asks(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row(priority=3, tags='["x"]', options=b'{"timeout":1}'))
        assert s.do(s.plans.tick) == []
        assert s.do(s.plans.chores).next_tick == 60.0
        s.clock.advance(60)
        tick = s.clock.wall()
        assert s.do(s.plans.chores).next_tick == 0.0
        assert s.do(s.plans.tick) == [("s", tick)]
        assert s.do(s.plans.tick) == []
        (job,) = jobs_of(s)
        assert (job.task, job.args, job.priority, job.tags, job.max_attempts) == ("t", {"n": 1}, 3, ("x",), 5)
        assert (job.due, job.state, job.schedule, job.options) == (tick, State.READY, "s", {"timeout": 1})
        assert s.do(s.plans.chores).next_tick == 60.0

    def test_every_tick_of_an_hour_exactly_once(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row())
        start, fired = s.clock.wall(), []
        for _ in range(400):
            s.clock.advance(9)
            fired += s.do(s.plans.tick) + s.do(s.plans.tick)
        assert [at for _, at in fired] == [start + n * MINUTE for n in range(1, 61)]

    @pytest.mark.parametrize(("catch_up", "expected"), [("skip", [9, 10]), ("one", [9, 10]), ("all", list(range(1, 11)))])
    def test_after_an_outage_ending_on_a_tick(self, s: Scene, catch_up: str, expected: list[int]) -> None:
        s.do(s.plans.put_schedule, row(catch_up=catch_up))
        start = s.clock.wall()
        s.clock.advance(600)
        assert s.do(s.plans.tick) == [("s", start + n * MINUTE) for n in expected]
        found = s.do(s.plans.schedule, "s")
        assert found is not None
        assert (found.fired, found.missed) == (start + 10 * MINUTE, 8), "a tick that is just 60 s old is still on time"

    @pytest.mark.parametrize(("catch_up", "fired"), [("skip", 0), ("one", 1), ("all", 3)])
    def test_after_an_outage_of_a_schedule_by_the_hour(self, s: Scene, catch_up: str, fired: int) -> None:
        s.do(s.plans.put_schedule, row(spec="every 1h", catch_up=catch_up))
        s.clock.advance(3 * 3600 + 1800)
        assert len(s.do(s.plans.tick)) == fired
        assert s.do(s.plans.tick) == []

    def test_catching_up_goes_no_further_back_than_the_window(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row(catch_up="all", window=300.0))
        s.clock.advance(3600)
        assert len(s.do(s.plans.tick)) == 6, "from 300 s ago until now, both included"

    def test_a_clock_that_steps_back_fires_nothing_twice(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row())
        fired = []
        for turn in range(60):
            s.clock.advance(30)
            fired += s.do(s.plans.tick)
            if turn % 10 == 9:
                s.clock.step(-240)
        times = [at for _, at in fired]
        assert len(times) == len(set(times)) > 5
        assert times == sorted(times)

    def test_a_clock_that_steps_back_does_not_make_an_edited_schedule_fire_twice(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row())
        s.clock.advance(120)
        (first,) = s.do(s.plans.tick)[-1:]
        s.clock.step(-300)
        s.do(s.plans.put_schedule, row(spec="*/2 * * * *"))
        s.do(s.plans.pause_schedule, "s")
        s.do(s.plans.resume_schedule, "s")
        times = []
        for _ in range(30):
            s.clock.advance(30)
            times += [at for _, at in s.do(s.plans.tick)]
        assert times
        assert min(times) > first[1]
        assert len(times) == len(set(times))

    def test_several_schedules_at_once(self, s: Scene) -> None:
        for n in range(150):
            s.do(s.plans.put_schedule, row(f"s{n:03}"))
        s.clock.advance(60)
        fired = [name for _ in range(3) for name, _ in s.do(s.plans.tick)]
        assert sorted(fired) == [f"s{n:03}" for n in range(150)]


class Overlap(Themed):
    """What if an earlier job is unfinished."""

    def fire(self, s: Scene) -> int:
        """Go on to the next tick; how many were fired."""
        s.clock.advance(60)
        return len(s.do(s.plans.tick))

    def test_allow(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row(overlap="allow"))
        assert [self.fire(s) for _ in range(3)] == [1, 1, 1]

    def test_skip(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row(overlap="skip"))
        assert [self.fire(s) for _ in range(3)] == [1, 0, 0]
        s.end(s.claim_one(s.enter()), DONE)
        assert self.fire(s) == 1

    def test_skip_also_while_the_earlier_one_runs_or_waits_for_a_retry_or_is_parked(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row(overlap="skip"))
        self.fire(s)
        node = s.enter()
        job = s.claim_one(node)
        assert self.fire(s) == 0
        s.do(s.plans.release, [job])
        s.claim(s.enter(), tasks={"another"})
        assert self.fire(s) == 0

    def test_queue_lets_one_wait_until_the_earlier_one_is_over(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row(overlap="queue"))
        assert [self.fire(s) for _ in range(3)] == [1, 1, 0]
        assert [job.state for job in jobs_of(s)] == [State.READY, State.BLOCKED]
        node = s.enter()
        job = s.claim_one(node)
        assert s.claim(node) == []
        s.do(s.plans.tick)
        assert s.claim(node) == [], "the earlier one still runs"
        s.end(job, DONE)
        s.do(s.plans.tick)
        assert len(s.claim(node)) == 1

    def test_a_waiting_one_can_be_cancelled_and_the_next_one_waits_in_its_place(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row(overlap="queue"))
        self.fire(s), self.fire(s)
        waiting = s.do(s.plans.find, Filter(states=frozenset({State.BLOCKED}))).jobs[0]
        assert s.do(s.plans.cancel, [bytes.fromhex(waiting.id.replace("-", ""))]) != {}
        assert self.fire(s) == 1
        assert [job.state for job in jobs_of(s)] == [State.READY, State.CANCELLED, State.BLOCKED]

    def test_cancel_ends_the_earlier_ones_and_fires(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row(overlap="cancel"))
        self.fire(s)
        assert self.fire(s) == 1
        assert [job.state for job in jobs_of(s)] == [State.CANCELLED, State.READY]
        node = s.enter()
        running = s.claim_one(node)
        assert self.fire(s) == 1
        assert [o.seq for o in s.do(s.plans.orders, node)] == [running.seq]

    def test_the_jobs_of_others_do_not_count(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row(overlap="skip"))
        s.do(s.plans.put_schedule, row("other", overlap="skip"))
        s.add(3)
        assert self.fire(s) == 2


class Kept(Themed):
    """Putting, pausing, resuming, removing, running by hand."""

    def test_what_is_put_is_kept(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row("b"))
        s.do(s.plans.put_schedule, row("a", spec="every 5m", overlap="skip", origin="api"))
        first, second = s.do(s.plans.schedules)
        assert (first.name, first.spec, first.overlap, first.origin) == ("a", "every 5m", "skip", "api")
        assert (second.name, second.last, second.next) == ("b", s.clock.wall(), s.clock.wall() + MINUTE)
        assert (second.paused, second.fired, second.missed) == (None, None, 0)
        assert s.do(s.plans.schedule, "c") is None

    def test_put_again_keeps_its_place_in_time(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row())
        s.clock.advance(600)
        s.do(s.plans.put_schedule, row(catch_up="all", args=b'{"n":2}'))
        assert len(s.do(s.plans.tick)) == 10, "a worker that restarts after an outage declares its schedules first"
        assert {job.args["n"] for job in jobs_of(s)} == {2}

    def test_new_times_begin_now(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row(catch_up="all"))
        s.clock.advance(600)
        s.do(s.plans.put_schedule, row(spec="*/5 * * * *", catch_up="all"))
        assert s.do(s.plans.tick) == []
        s.clock.advance(300)
        assert len(s.do(s.plans.tick)) == 1

    def test_paused_it_does_not_fire_and_a_pause_is_not_caught_up_with(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row(catch_up="all"))
        assert s.do(s.plans.pause_schedule, "s") is True
        s.clock.advance(600)
        assert s.do(s.plans.tick) == []
        assert s.do(s.plans.chores).next_tick is None
        s.do(s.plans.put_schedule, row(catch_up="all"))
        assert s.do(s.plans.tick) == [], "a deployment does not end a pause"
        assert s.do(s.plans.resume_schedule, "s") is True
        assert s.do(s.plans.tick) == []
        s.clock.advance(60)
        assert len(s.do(s.plans.tick)) == 1

    def test_resuming_what_is_not_paused_loses_no_tick(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row())
        s.clock.advance(60)
        assert s.do(s.plans.resume_schedule, "s") is True
        assert len(s.do(s.plans.tick)) == 1

    def test_removed_it_is_gone_and_its_jobs_stay(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row())
        s.clock.advance(60)
        s.do(s.plans.tick)
        assert s.do(s.plans.remove_schedule, "s") is True
        s.clock.advance(60)
        assert s.do(s.plans.tick) == []
        assert len(jobs_of(s)) == 1

    def test_run_by_hand_is_beside_the_ticks(self, s: Scene) -> None:
        s.do(s.plans.put_schedule, row(overlap="allow"))
        s.clock.advance(30)
        id_ = s.do(s.plans.run_schedule, "s")
        assert id_ is not None
        assert (s.state(id_), s.info(id_).schedule, s.info(id_).due) == (State.READY, "s", s.clock.wall())
        s.clock.advance(30)
        assert len(s.do(s.plans.tick)) == 1

    def test_what_is_not_there(self, s: Scene) -> None:
        for verb in (s.plans.pause_schedule, s.plans.resume_schedule, s.plans.remove_schedule):
            assert s.do(verb, "nothing") is False
        assert s.do(s.plans.run_schedule, "nothing") is None
        assert s.do(s.plans.chores).next_tick is None
        assert s.do(s.plans.tick) == []
