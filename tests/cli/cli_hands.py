"""Does by hand, and at once, what a worker does."""

from __future__ import annotations

from dray import Dray
from dray.model.job import Claimed, Executor, State
from dray.model.lifecycle import Move
from dray.model.outcome import ErrorRecord
from dray.store.values import NodeEntry, Want


class Hands:
    """A node without a process."""

    def __init__(self, app: Dray, **info: object) -> None:
        self.store = app.store
        self.tasks = frozenset(app.tasks)
        said = {"queues": None, "tasks": sorted(app.tasks), "slots": {"async": 2, "thread": 2, "process": 1}, "version": "1"}
        self.node = self.store.run(self.store.plans.enter, NodeEntry("hands", "here", 4711, {**said, **info}))

    def claim(self, n: int = 100) -> list[Claimed]:
        want = Want(dict.fromkeys(Executor, n), None, self.tasks)
        return self.store.run(self.store.plans.claim, want, self.node).jobs

    def end(self, job: Claimed, state: State = State.SUCCEEDED, *, result: bytes | None = None, delay: float = 0.0) -> None:
        error = None
        if state in (State.FAILED, State.SCHEDULED):
            error = ErrorRecord("ValueError", "no such user", "Traceback (the user's own)\nValueError: no such user")
        word = "returned" if state is State.SUCCEEDED else "raised"
        move = Move(job.seq, job.claim, job.queue, state, word, result=result, error=error, delay=delay)
        assert self.store.run(self.store.plans.settle, [move]) == []

    def end_all(self, state: State = State.SUCCEEDED) -> None:
        for job in self.claim():
            self.end(job, state)
