"""Short jobs that were sent to a child process in which a long one then runs: they are recalled, and run elsewhere."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from harness import Place, alive, eventually, kill

from dray.model.job import Claimed
from dray.model.job import Executor as Kind
from dray.model.outcome import Lost, Outcome, Raised, Returned
from dray.task import Task
from dray.worker.executors import pooled
from dray.worker.executors.inbox import Inbox
from dray.worker.executors.pooled import PooledChild
from dray.worker.executors.processes import ProcessExecutor
from dray.worker.executors.wire import Done, FromChild, Hello, Recalled, Run

CODE = """
import signal, threading

def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.002)

@app.task(executor="process")
def short(n):
    mark("short", n)
    time.sleep(0.005)
    return n

@app.task(executor="process")
def instant(n):
    mark("instant", n)
    return n

@app.task(executor="process")
def held(path):
    mark("held")
    wait_for(path)

@app.task(executor="process", timeout=0.4)
def limited(path):
    mark("held")
    wait_for(path)

@app.task(executor="process")
def stands_still(path):
    mark("held")
    os.kill(os.getpid(), signal.SIGSTOP)
    wait_for(path)

@app.task(executor="process")
def kills_itself(seconds):
    mark("held")
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Pool:
    """A pool of its own, and what it says to its corridor."""

    def __init__(self, place: Place, slots: int, taken: list[int]) -> None:
        self.place = place
        self.taken = taken  # what has been recalled
        self.event = place.folder / "event"
        self.running: set[int] = set()
        self.outcomes: dict[int, Outcome] = {}
        self.order: list[int] = []  # in which they ended
        self.back: list[int] = []
        self.wrong: list[str] = []
        self._numbers = itertools.count(1)
        self.executor = ProcessExecutor(slots, self.hello, self, self)

    def hello(self) -> Hello:
        return Hello("tasks:app", self.place.url, ["tasks"], [str(self.place.folder), *sys.path])

    def job(self, name: str, *args: Any) -> Claimed:
        task: Any = self.place.app.task_named(name)
        seq = next(self._numbers)
        args = args or (seq,)
        payload = task.encode(args, {})
        return Claimed(seq, seq.to_bytes(16, "big"), task.name, payload, "default", Kind.PROCESS, 1, 1, 0, 3, 0, 0)

    def give(self, name: str, *args: Any, n: int = 1, behind: str | None = None) -> list[int]:
        """Jobs of a task, and `n` of another `behind` them; their numbers."""
        jobs = [self.job(name, *args)] if behind else [self.job(name, *args) for _ in range(n)]
        if behind:
            jobs += [self.job(behind) for _ in range(n)]
        self.executor.give(jobs)
        return [job.seq for job in jobs]

    def wait(self, jobs: Sequence[int]) -> list[Outcome]:
        """Wait until these have ended."""
        eventually(lambda: self.outcomes.keys() >= set(jobs), what=f"the ends of {jobs}")
        return [self.outcomes[job] for job in jobs]

    def warm_up(self, task: str, depth: int) -> None:
        """Until the jobs have been so short that a child is given `depth` at once."""

        def look() -> bool:
            self.wait(self.give(task, n=30))
            return self.executor.pace.ahead(1) >= depth

        eventually(look, what="a short pace")

    def ran(self, task: str) -> Counter[int]:
        """How often each job of a task has run, by its number."""
        return Counter(int(found[3]) for found in self.place.marks(task))

    # -- what the pool asks for, and says

    def task(self, job: Claimed) -> Task[..., Any] | None:
        return self.place.app.tasks[job.task]

    def started(self, job: Claimed) -> int:
        self.check(job.seq not in self.running and job.seq not in self.outcomes, f"{job.seq} started twice")
        self.running.add(job.seq)
        return 0

    def ended(self, job: Claimed, place: int, outcome: Outcome, task: Task[..., Any] | None, took: float) -> None:
        self.check(job.seq in self.running and job.seq not in self.outcomes, f"{job.seq} ended without a start, or twice")
        self.running.discard(job.seq)
        self.order.append(job.seq)
        self.outcomes[job.seq] = outcome

    def give_back(self, jobs: list[Claimed]) -> None:
        for job in jobs:
            self.check(job.seq not in self.running and job.seq not in self.outcomes, f"{job.seq} given back, but started")
        self.back += [job.seq for job in jobs]

    def leave_if_copy(self) -> None:
        """Of the protocol `Corridor`."""

    def check(self, true: bool, text: str) -> None:
        if not true:
            self.wrong.append(text)


@pytest.fixture
def pool(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Pool]]:
    """Makes pools with that many slots; in the end they were free, and nothing was said that cannot be."""
    place.code(CODE)
    monkeypatch.setenv("MARKS", str(place.folder / "marks"))
    taken: list[int] = []
    real = PooledChild.take

    def take(self: PooledChild, jobs: Sequence[tuple[int, int]]) -> list[Claimed]:
        found = real(self, jobs)
        taken.extend(job.seq for job in found)
        return found

    monkeypatch.setattr(PooledChild, "take", take)
    pools: list[Pool] = []

    def make(slots: int) -> Pool:
        pools.append(Pool(place, slots, taken))
        return pools[-1]

    yield make
    for made in pools:
        made.event.touch()
        busy = made.executor.busy
        eventually(lambda busy=busy: busy() == 0, what="a free pool")  # type: ignore[misc]
        made.executor.stop()
        assert made.wrong == []


def test_short_jobs_do_not_wait_behind_a_long_one(pool: Callable[[int], Pool]) -> None:
    two = pool(2)
    two.warm_up("short", 2)
    long, *shorts = two.give("held", str(two.event), n=20, behind="short")
    assert all(isinstance(outcome, Returned) for outcome in two.wait(shorts))
    assert long not in two.outcomes, "it still runs"
    assert two.taken, "some had been sent to the child of the long one"
    assert {short: two.ran("short")[short] for short in shorts} == dict.fromkeys(shorts, 1)
    two.event.touch()
    assert isinstance(two.wait([long])[0], Returned)
    assert len(two.place.marks("held")) == 1


def test_a_child_is_started_for_them_if_there_is_a_slot(pool: Callable[[int], Pool]) -> None:
    two = pool(2)
    two.warm_up("instant", 15)
    for child in list(two.executor._children)[1:]:  # as if it had been idle for too long
        kill(child.process.pid)
    eventually(lambda: len(two.executor._children) == 1, what="only one child")
    long, *others = two.give("held", str(two.event), n=5, behind="instant")
    two.wait(others)
    assert long not in two.outcomes
    assert two.taken == others
    assert len(two.executor._children) == 2


def test_without_a_free_child_they_wait_in_their_order_and_can_be_cancelled(pool: Callable[[int], Pool]) -> None:
    one = pool(1)
    one.warm_up("instant", 25)
    long, *others = one.give("held", str(one.event), n=10, behind="instant")
    eventually(lambda: len(one.executor._queue) == 10, what="ten in the pool's queue")
    others += one.give("instant", n=5)
    one.executor.cancel(others[3], 1, "")
    eventually(lambda: one.back == [others[3]], what="one given back")
    del others[3]
    assert one.taken == [*others[:3], one.back[0], *others[3:9]], "recalled once, and never sent to the busy child again"
    assert [waiting.job.seq for waiting in one.executor._children[0].queue] == [long]
    one.event.touch()
    one.wait(others)
    assert one.order[-15:] == [long, *others]
    assert {other: one.ran("instant")[other] for other in others} == dict.fromkeys(others, 1)


def test_the_timeout_of_the_long_job_goes_on(pool: Callable[[int], Pool]) -> None:
    one = pool(1)
    one.warm_up("instant", 25)
    long, *others = one.give("limited", str(one.event), n=10, behind="instant")
    (outcome,) = one.wait([long])
    assert isinstance(outcome, Raised)
    assert outcome.error.type == "TimeoutError"
    assert one.taken == others
    assert all(isinstance(outcome, Returned) for outcome in one.wait(others))


def test_what_was_recalled_goes_back_if_the_worker_stops(pool: Callable[[int], Pool]) -> None:
    one = pool(1)
    one.warm_up("instant", 25)
    long, *others = one.give("held", str(one.event), n=10, behind="instant")
    eventually(lambda: one.taken == others, what="all recalled")
    one.executor.interrupt()
    one.wait([long])
    eventually(lambda: one.back == others, what="all given back")


@pytest.mark.parametrize("answered", [False, True])
def test_a_child_that_is_killed_during_a_recall_takes_nothing_along(pool: Callable[[int], Pool], answered: bool) -> None:
    two = pool(2)
    two.warm_up("instant", 15)
    long, *others = two.give("held" if answered else "stands_still", str(two.event), n=20, behind="instant")
    (mark,) = two.place.wait_mark("held")
    if answered:
        eventually(lambda: two.taken, what="recalled jobs")
    else:  # it stands still, and cannot answer
        eventually(lambda: any(child.recalling and len(child.queue) > 1 for child in list(two.executor._children)), what="a recall")
        assert not two.taken
    kill(int(mark[1]), signal.SIGKILL)
    (outcome,) = two.wait([long])
    assert outcome == Lost("exit signal 9 (SIGKILL)")
    assert all(isinstance(outcome, Returned) for outcome in two.wait(others))
    assert {other: two.ran("instant")[other] for other in others} == dict.fromkeys(others, 1)


def test_a_child_that_dies_at_any_moment_of_a_recall_takes_nothing_along(pool: Callable[[int], Pool]) -> None:
    two = pool(2)
    two.warm_up("instant", 15)
    for step in range(16):  # from before the recall until after its answer
        seconds = pooled.RECALL_AFTER - 0.002 + step * 0.0004
        long, *others = two.give("kills_itself", seconds, n=20, behind="instant")
        assert isinstance(two.wait([long])[0], Lost)
        assert all(isinstance(outcome, Returned) for outcome in two.wait(others))
        assert {other: two.ran("instant")[other] for other in others} == dict.fromkeys(others, 1)


def test_each_job_runs_once_however_often_it_is_recalled(pool: Callable[[int], Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    two = pool(2)
    two.warm_up("instant", 15)
    monkeypatch.setattr(pooled, "RECALL_AFTER", 0.0)  # at every look
    jobs: list[int] = []
    for _ in range(40):
        jobs += two.give("instant", n=50)
    two.wait(jobs)
    assert len(two.taken) > 100
    assert {job: two.ran("instant")[job] for job in jobs} == dict.fromkeys(jobs, 1)


def test_the_inbox_and_the_parent_agree_at_every_message(place: Place) -> None:
    place.code(CODE)
    maker = Pool(place, 0, [])
    jobs = [maker.job("instant") for _ in range(20_000)]
    said: list[FromChild] = []
    inbox = Inbox(said.append)

    def parent() -> None:
        for batch in range(0, len(jobs), 5):
            inbox.add(jobs[batch : batch + 5])
            inbox.recall()
        inbox.close()

    thread = threading.Thread(target=parent)
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        thread.start()
        while (job := inbox.first()) is not None:
            inbox.done(Done(job.seq, job.claim, 0.0, None))
        thread.join()
    finally:
        sys.setswitchinterval(switch)
    order, recalled = deque(job.seq for job in jobs), set[int]()
    for message in said:
        while order[0] in recalled:
            order.popleft()
        if isinstance(message, Done):
            assert message.seq == order.popleft()
        else:
            assert isinstance(message, Recalled)
            found = [seq for seq, _ in message.jobs]
            assert order[0] not in found
            assert found == sorted(set(found) - recalled)
            recalled |= set(found)
    assert recalled.issuperset(order)
    assert recalled
    maker.executor.stop()


def test_a_child_ends_in_the_middle_of_a_job_if_nobody_hears_it_any_more(pool: Callable[[int], Pool]) -> None:
    place = pool(0)
    child = PooledChild(place.hello())
    try:
        eventually(child.hear, what="that it is ready")
        child.say([Run([place.job("held", str(place.event))])])
        (mark,) = place.place.wait_mark("held")
        assert int(mark[1]) == child.process.pid
        child.connection.close()
        eventually(lambda: not alive(child.process.pid), what="its end")
        assert not os.path.exists(place.event)
    finally:
        child.kill_group()
        child.process.wait()
        child.close()
