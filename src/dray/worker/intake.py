"""What a node would like to have: as much as fits its free slots, and a little ahead where jobs are short."""

from __future__ import annotations

from collections.abc import Mapping

from dray.model.job import Claimed
from dray.model.job import Executor as Kind
from dray.store.values import Want
from dray.worker.executors.base import Executor
from dray.worker.queues import QueueOrder

AT_ONCE = 500  # more in one claim gains little and makes the write lock's holder slow


class Intake:
    """Decides how many jobs to ask for. Used by the pump's thread."""

    def __init__(self, executors: Mapping[Kind, Executor], queues: QueueOrder, tasks: frozenset[str]) -> None:
        self._executors = executors
        self._queues = queues
        self.tasks = tasks
        self._turn = 0

    def want(self) -> Want | None:
        """What to ask for now; None if there is no room."""
        slots = {}
        for kind, executor in self._executors.items():
            room = executor.room()
            # Asking for each place as it becomes free would be one transaction for each: wait until a quarter is free, or
            # everything that is claimed ahead has been started.
            if room > 0 and (room * 4 >= executor.slots or executor.busy() <= executor.slots):
                slots[kind] = min(room, AT_ONCE)
        if not slots:
            return None
        self._turn += 1
        return Want(slots, self._queues.next(), self.tasks, self._turn)

    def relieve(self) -> list[Claimed]:
        """Jobs that were claimed ahead because jobs had been short, and now wait behind long ones: to be given back, for workers
        that have room. (Some executors give them back by themselves.)"""
        found: list[Claimed] = []
        for executor in self._executors.values():
            if executor.busy() > executor.slots and executor.pace.stands():
                executor.pace.slow()
                found += executor.take_back()
        return found

    def anything(self) -> Want:
        """For a look at whether there is anything at all."""
        slots = {kind: 1 for kind, executor in self._executors.items() if executor.room() > 0}
        return Want(slots, None if self._queues.weights is None else tuple(self._queues.weights), self.tasks)
