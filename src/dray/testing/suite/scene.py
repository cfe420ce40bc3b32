"""What the tests of the suite stand on: a store with a clock that the test turns, driven in one of the two colours."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, TypeVar

import pytest

from dray.model import ids
from dray.model.clock import ManualClock
from dray.model.job import Claimed, Executor, JobInfo, NewJob, State
from dray.model.lifecycle import DEFAULT_RULES, Move, Rules, decide
from dray.model.outcome import ErrorRecord, Outcome, Raised, Returned
from dray.store.plan import Plan
from dray.store.protocol import Store, Verbs
from dray.store.values import Catch, NodeEntry, RunRecord, Want

T = TypeVar("T")

MakeStore = Callable[[ManualClock], Store]
TASK = "t"
SLOTS = 10


class Driver:
    """Carries out verbs, blocking or as a coroutine: a test is written once and run in both colours."""

    def __init__(self, store: Store, colour: str) -> None:
        self._store = store
        self._runner = asyncio.Runner() if colour == "async" else None

    def do(self, verb: Callable[..., Plan[T]], *args: Any, **named: Any) -> T:
        """The answer of one verb."""
        call = functools.partial(verb, **named) if named else verb
        if self._runner is None:
            return self._store.run(call, *args)
        return self._runner.run(self._store.arun(call, *args))

    def close(self) -> None:
        """End the event loop, if there is one."""
        if self._runner is not None:
            self._runner.close()


class Scene:
    """A store, its clock, and short words for what tests do all the time."""

    def __init__(self, store: Store, clock: ManualClock, colour: str) -> None:
        self.store = store
        self.clock = clock
        self.plans: Verbs = store.plans
        self.driver = Driver(store, colour)
        self.do = self.driver.do

    def add(self, n: int = 1, **fields: Any) -> list[bytes]:
        """Enqueue `n` like jobs; their ids."""
        jobs = new_jobs(n, **fields)
        self.do(self.plans.add, jobs)
        return [job.id for job in jobs]

    def add_one(self, **fields: Any) -> bytes:
        """Enqueue one job; its id."""
        return self.add(1, **fields)[0]

    def enter(self, name: str = "node") -> int:
        """A new node."""
        return self.do(self.plans.enter, NodeEntry(name, "host", 1))

    def catch(
        self, node: int, n: int = SLOTS, *, queues: Sequence[str] | None = None, tasks: Collection[str] = (TASK,),
        slots: dict[Executor, int] | None = None, order: int = 0,
    ) -> Catch:
        """Claim up to `n` async jobs, or as `slots` says."""
        want = Want(
            slots if slots is not None else {Executor.ASYNC: n}, None if queues is None else tuple(queues), frozenset(tasks), order
        )
        return self.do(self.plans.claim, want, node)

    def claim(self, node: int, n: int = SLOTS, **more: Any) -> list[Claimed]:
        """The jobs that `catch` got, from a node that must be alive."""
        got = self.catch(node, n, **more)
        assert not got.expelled, f"node {node} should be alive"
        return got.jobs

    def claim_one(self, node: int, **more: Any) -> Claimed:
        """The one job that is there to be claimed."""
        (job,) = self.claim(node, 1, **more)
        return job

    def end(self, job: Claimed, outcome: Outcome, rules: Rules = DEFAULT_RULES) -> list[int]:
        """Settle a run as a worker does; the stale ones."""
        return self.do(self.plans.settle, [self.decided(job, outcome, rules)])

    def decided(self, job: Claimed, outcome: Outcome, rules: Rules = DEFAULT_RULES) -> Move:
        """What becomes of a job."""
        return decide(job, outcome, self.clock.wall(), rules)

    def info(self, id: bytes) -> JobInfo:
        """What the store knows of a job that it must know."""
        found = self.do(self.plans.get, id)
        assert found is not None, f"the store should know job {id.hex()}"
        return found

    def state(self, id: bytes) -> State:
        """In which state a job is."""
        return self.info(id).state

    def states(self, ids_: Sequence[bytes]) -> list[State]:
        """In which states jobs are."""
        return [self.state(id_) for id_ in ids_]

    def history(self, id: bytes) -> list[RunRecord]:
        """The past runs of a job."""
        return self.do(self.plans.history, id)

    def check_counts(self) -> None:
        """I10: the kept counters say what a recount says."""
        assert self.do(self.plans.counts) == self.do(self.plans.recount)


def new_jobs(n: int = 1, **fields: Any) -> list[NewJob]:
    """`n` like jobs that have not been written yet."""
    fields = {"task": TASK, "args": b"{}", **fields}
    return [NewJob(id=id_, **fields) for id_ in ids.new_ids(n)]


def raised(message: str = "no luck", **more: Any) -> Raised:
    """The outcome of a run that raised."""
    return Raised(ErrorRecord("ValueError", message), **more)


DONE = Returned(b"1")


class Themed:
    """The base of every theme. The module (or conftest) that imports a theme gives a fixture `make_store`: a function that makes
    an empty store on the clock given to it. The suite closes the store."""

    @pytest.fixture(params=["sync", "async"])
    def s(self, request: pytest.FixtureRequest, make_store: MakeStore) -> Iterator[Scene]:
        """The scene, once in each colour. After every test the counters must be right (I10)."""
        clock = ManualClock()
        store = make_store(clock)
        scene = Scene(store, clock, request.param)
        try:
            yield scene
            scene.check_counts()
        finally:
            scene.driver.close()
            store.close()
