"""Plain functions, in threads."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

from dray.context import JobContext
from dray.model.job import Claimed
from dray.model.outcome import Cancelled, Interrupted, Outcome, Raised, Returned
from dray.observe.log import get_logger
from dray.task import Task
from dray.worker.attempt import INTERRUPT, Attempts, record, timed_out
from dray.worker.executors.base import Corridor, Pace, Running

log = get_logger("threads")


class ThreadExecutor:
    """Runs up to `slots` plain functions at once. A thread cannot be ended from outside: a function that is cancelled or over its
    time is told through `current_job().cancelled`, and keeps its slot and its claim until it really ends, so that a second copy
    never starts beside it."""

    def __init__(self, slots: int, attempts: Attempts, corridor: Corridor) -> None:
        self.slots = slots
        self._attempts = attempts
        self._corridor = corridor
        self.pace = Pace()
        self._queue: queue.SimpleQueue[Claimed | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running = Running()
        self._given = 0  # written by the pump
        self._done = 0  # under _lock
        self._lock = threading.Lock()
        self._unwanted: set[tuple[int, int]] = set()  # cancelled while they waited here

    def start(self) -> None:
        """Threads are started when there is work for them."""

    def give(self, jobs: list[Claimed]) -> None:
        """Run these, in this order."""
        if self._unwanted and not self.busy():
            self._unwanted.clear()  # they ran elsewhere
        self._given += len(jobs)
        self.pace.given()
        try:
            while len(self._threads) < min(self.slots, self.busy()):
                thread = threading.Thread(target=self._work, name=f"dray-thread-{len(self._threads) + 1}", daemon=True)
                thread.start()
                self._threads.append(thread)
        except RuntimeError as error:  # the system has no more threads for us
            log.error("only %d of %d threads could be started: %s", len(self._threads), self.slots, error)
            self.slots = max(1, len(self._threads))
        for job in jobs:
            self._queue.put(job)
        if not self._threads:
            self._corridor.give_back(self.take_back())

    def room(self) -> int:
        """How many more jobs it would like to have."""
        return self.slots + self.pace.ahead(self.slots) - self.busy()

    def busy(self) -> int:
        """How many jobs are here."""
        return self._given - self._done

    def running(self) -> list[Claimed]:
        """The jobs that run."""
        return [context.claimed for context in self._running.all()]

    def cancel(self, seq: int, claim: int, reason: str) -> None:
        """Tell the function; a job that still waits here is given back, and the store knows that it is to be cancelled."""
        context = self._running.find(seq, claim)
        if context is not None:
            context.ask_to_stop(reason)
        else:
            self._unwanted.add((seq, claim))

    def interrupt(self) -> None:
        """Tell every function that the worker stops."""
        for context in self._running.all():
            if context.cancel_reason is None:
                context.ask_to_stop(INTERRUPT)

    def take_back(self) -> list[Claimed]:
        """The jobs that have not started, which are then no longer here."""
        found = []
        while True:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is not None:
                found.append(job)
        with self._lock:
            self._done += len(found)
        return found

    def stop(self) -> None:
        """Let the threads end when they are through, and wait for those that only have to say what became of their job."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            while thread.is_alive() and sum(other.is_alive() for other in self._threads) > len(self._running.all()):
                thread.join(0.01)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            if self._unwanted and (job.seq, job.claim) in self._unwanted:
                self._unwanted.discard((job.seq, job.claim))
                with self._lock:
                    self._done += 1
                self._corridor.give_back([job])
                continue
            self._run(job)

    def _run(self, job: Claimed) -> None:
        task = self._corridor.task(job)
        if task is None:
            with self._lock:
                self._done += 1
            self._corridor.give_back([job])
            return
        context, timeout = self._attempts.context(job, task)
        self._running.add(context)
        place = self._corridor.started(job)
        began = time.perf_counter()
        outcome: Outcome
        try:
            outcome = self._attempts.run(task, context)
        except BaseException as error:  # run does not raise; whatever does must not lose the job
            outcome = Raised(record(error))
        self._corridor.leave_if_copy()
        took = time.perf_counter() - began
        outcome = self._as_told(task, context, outcome, timeout, took)
        self._running.remove(context)
        self.pace.saw(took)
        with self._lock:
            self._done += 1
        self._corridor.ended(job, place, outcome, task, took)

    @staticmethod
    def _as_told(
        task: Task[..., Any], context: JobContext, outcome: Outcome, timeout: float | None, took: float
    ) -> Outcome:
        """What a run came to that was told to stop: if it raised, or returned after it had seen that, then it did stop."""
        raised = isinstance(outcome, Raised)
        if not raised and not (context.saw_cancelled and isinstance(outcome, Returned) and not outcome.settled):
            return outcome
        if context.cancel_reason == INTERRUPT:
            return Interrupted()
        if context.cancel_reason is not None and context.saw_cancelled:
            return Cancelled(context.cancel_reason)
        if timeout is not None and took > timeout:
            return timed_out(task, timeout)
        return outcome
