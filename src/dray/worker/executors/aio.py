"""Coroutine functions, on an event loop: the worker's own, or the caller's in an embedded worker."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from dray.context import JobContext
from dray.model.job import Claimed
from dray.model.outcome import Outcome, Raised
from dray.worker.attempt import INTERRUPT, Attempts, outcome_of, record
from dray.worker.executors.base import Corridor, Pace


class AsyncExecutor:
    """Runs up to `slots` coroutines at once, each in an asyncio task and a context of its own.

    `give`, `cancel` and the like are called by other threads and go over to the loop; everything else happens on it.
    """

    def __init__(self, slots: int, loop: asyncio.AbstractEventLoop, attempts: Attempts, corridor: Corridor) -> None:
        self.slots = slots
        self.loop = loop
        self._attempts = attempts
        self._corridor = corridor
        self.pace = Pace()
        self._queue: deque[Claimed] = deque()
        self._tasks: dict[tuple[int, int], tuple[asyncio.Task[None], JobContext]] = {}
        # An asyncio task that is cancelled before its first step never takes it, and could not say what became of its job.
        self._begun: set[JobContext] = set()
        self._given = 0  # jobs here, queued or running; written by the pump and the loop, read by the pump as a hint
        self._done = 0

    def start(self) -> None:
        """Nothing to start: the loop runs already."""

    # -- called by the pump

    def give(self, jobs: list[Claimed]) -> None:
        """Run these, in this order."""
        self._given += len(jobs)
        self.pace.given()
        self.loop.call_soon_threadsafe(self._accept, jobs)

    def room(self) -> int:
        """How many more jobs it would like to have."""
        return self.slots + self.pace.ahead(self.slots) - self.busy()

    def busy(self) -> int:
        """How many jobs are here."""
        return self._given - self._done

    def running(self) -> list[Claimed]:
        """The jobs that run."""
        return [context.claimed for _, context in list(self._tasks.values())]

    def find(self, task: asyncio.Task[object]) -> JobContext | None:
        """The job that an asyncio task runs, if it runs one."""
        return next((context for running, context in list(self._tasks.values()) if running is task), None)

    def cancel(self, seq: int, claim: int, reason: str) -> None:
        """Cancel a job, whether it runs or still waits here."""
        self.loop.call_soon_threadsafe(self._cancel, seq, claim, reason)

    def interrupt(self) -> None:
        """End everything that runs, because the worker stops."""
        self.loop.call_soon_threadsafe(self._interrupt)

    def take_back(self) -> list[Claimed]:
        """Let the jobs that wait here be given back. The answer is always empty: they belong to the loop, which does it."""
        self.loop.call_soon_threadsafe(self._take_back)
        return []

    def stop(self) -> None:
        """Nothing to stop: the loop belongs to others."""

    # -- on the loop

    def _accept(self, jobs: list[Claimed]) -> None:
        self._queue.extend(jobs)
        while self._queue and len(self._tasks) < self.slots:
            self._launch(self._queue.popleft())

    def _launch(self, job: Claimed) -> None:
        task = self._corridor.task(job)
        if task is None:
            # Claimed for a task that this process had when it asked, and has no more: given back, for one that knows it.
            self._give_back([job])
            return
        context, timeout = self._attempts.context(job, task)
        running = self.loop.create_task(self._run(job, context, timeout), name=f"dray job {job.seq}")
        self._tasks[job.seq, job.claim] = (running, context)

    async def _run(self, job: Claimed, context: JobContext, timeout: float | None) -> None:
        corridor = self._corridor
        task = corridor.task(job)
        assert task is not None
        self._begun.add(context)
        place = corridor.started(job)
        began = time.perf_counter()
        outcome: Outcome
        try:
            if context.cancel_reason is not None:
                outcome = outcome_of(asyncio.CancelledError(), task, context)
            else:
                outcome = await self._attempts.arun(task, context, timeout)
        except BaseException as error:  # arun does not raise; whatever does must not lose the job
            outcome = Raised(record(error))
        corridor.leave_if_copy()
        self._begun.discard(context)
        took = time.perf_counter() - began
        self.pace.saw(took)
        self._done += 1
        del self._tasks[job.seq, job.claim]
        corridor.ended(job, place, outcome, task, took)
        if self._queue and len(self._tasks) < self.slots:
            self._launch(self._queue.popleft())

    def _cancel(self, seq: int, claim: int, reason: str) -> None:
        found = self._tasks.get((seq, claim))
        if found is not None:
            running, context = found
            if context.cancel_reason is None:
                context.ask_to_stop(reason)
                if context in self._begun:
                    running.cancel()
            return
        for job in self._queue:
            if (job.seq, job.claim) == (seq, claim):
                self._queue.remove(job)
                self._give_back([job])  # the store knows that it is to be cancelled
                return

    def _interrupt(self) -> None:
        for running, context in list(self._tasks.values()):
            if context.cancel_reason is None:
                context.ask_to_stop(INTERRUPT)
            if context in self._begun:
                running.cancel()

    def _take_back(self) -> None:
        jobs = list(self._queue)
        self._queue.clear()
        self._give_back(jobs)

    def _give_back(self, jobs: list[Claimed]) -> None:
        self._done += len(jobs)
        if jobs:
            self._corridor.give_back(jobs)
