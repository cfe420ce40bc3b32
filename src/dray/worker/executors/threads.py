"""Plain functions, in threads."""

from __future__ import annotations

import queue
import threading
import time

from dray.model.job import Claimed
from dray.model.outcome import ErrorRecord, Interrupted, Outcome, Raised
from dray.worker.attempt import INTERRUPT, Attempts, timed_out
from dray.worker.executors.base import Corridor, Pace, Running


class ThreadExecutor:
    """Runs up to `slots` plain functions at once. A thread cannot be ended from outside: a function that is cancelled or over its
    time is told through `current_job().cancelled`, and keeps its slot and its claim until it really ends, so that a second copy
    never starts beside it."""

    def __init__(self, slots: int, attempts: Attempts, corridor: Corridor) -> None:
        self.slots = slots
        self._attempts = attempts
        self._corridor = corridor
        self._pace = Pace()
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
        self._given += len(jobs)
        while len(self._threads) < min(self.slots, self.busy()):
            thread = threading.Thread(target=self._work, name=f"dray-thread-{len(self._threads) + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()
        for job in jobs:
            self._queue.put(job)

    def room(self) -> int:
        """How many more jobs it would like to have."""
        return self.slots + self._pace.ahead(self.slots) - self.busy()

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
            if not context.cancelled:
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
        """Let the threads end when they are through."""
        for _ in self._threads:
            self._queue.put(None)

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
            outcome = Raised(ErrorRecord(type(error).__name__, str(error)))
        took = time.perf_counter() - began
        self._running.remove(context)
        if timeout is not None and took > timeout and isinstance(outcome, Raised):
            outcome = timed_out(task, timeout)
        if context.cancel_reason == INTERRUPT and isinstance(outcome, Raised):
            outcome = Interrupted()
        self._pace.saw(took)
        with self._lock:
            self._done += 1
        self._corridor.ended(job, place, outcome, task)
