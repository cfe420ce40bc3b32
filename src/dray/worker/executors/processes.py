"""Functions in child processes that are kept warm, and killed when a job is over its time or memory, or cancelled."""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Callable

import msgspec

from dray.model.duration import human
from dray.model.job import Claimed, JobOptions
from dray.model.outcome import Cancelled, Interrupted, Lost, Outcome
from dray.observe.log import get_logger
from dray.worker.attempt import timed_out
from dray.worker.executors.base import Corridor, Pace
from dray.worker.executors.pooled import PooledChild, Recycling, Waiting
from dray.worker.executors.reactor import Reactor
from dray.worker.executors.wire import Done, Enqueued, Hello, Log, Progress, Ready, Recalled, Run, Unfit, from_child
from dray.worker.exits import how_it_ended

log = get_logger("processes")

LOOK_AT_MEMORY = 0.05  # seconds between looks at a job with a memory limit
HUNG_UP = 1.0  # seconds that a child may live after it has closed its connection
LOOK_FOR_DEATH = 0.5  # seconds, where the system does not tell
BATCH = 100  # jobs that may wait in one child, if they are short


class ProcessExecutor:
    """A pool of up to `slots` child processes, driven by one thread."""

    def __init__(
        self, slots: int, hello: Callable[[], Hello], corridor: Corridor, notes: object, *, recycling: Recycling | None = None,
        prewarm: bool = False, node: Callable[[], int | None] = lambda: None,
        enqueued: Callable[[dict[str, int]], None] = lambda _: None,
    ) -> None:
        self.slots = slots
        self._hello = hello
        self._corridor = corridor
        self._notes = notes
        self._recycling = recycling or Recycling()
        self._prewarm = prewarm
        self._node = node
        self._enqueued = enqueued
        self.pace = Pace()
        self._children: list[PooledChild] = []
        self._queue: deque[Claimed] = deque()
        self._given = 0
        self._done = 0
        self._reactor: Reactor[PooledChild] = Reactor("dray-pool", self._timeout, self._ready, self._between)
        self._not_before = 0.0  # after a child that could not start
        self._failures = 0

    # -- called by other threads

    def start(self) -> None:
        """Start the pool's thread where a child is wanted from the beginning; otherwise the first job does."""
        if self._prewarm:
            self._reactor.call(self._spawn)

    def give(self, jobs: list[Claimed]) -> None:
        """Run these, in this order."""
        self._given += len(jobs)
        self.pace.given()
        self._reactor.call(lambda: self._queue.extend(jobs))

    def room(self) -> int:
        """How many more jobs it would like to have; none while no child process can be started."""
        if self._failures and time.monotonic() < self._not_before:
            return 0
        return self.slots + self.pace.ahead(self.slots) - self.busy()

    def busy(self) -> int:
        """How many jobs are here."""
        return self._given - self._done

    def running(self) -> list[Claimed]:
        """The jobs that run."""
        return [child.queue[0].job for child in list(self._children) if child.queue]

    def cancel(self, seq: int, claim: int, reason: str) -> None:
        """Kill the child that runs it; one that waits is given back, and the store knows that it is to be cancelled."""
        self._reactor.call(lambda: self._cancel(seq, claim, reason))

    def interrupt(self) -> None:
        """Kill everything that runs, because the worker stops."""

        def kill_all() -> None:
            for child in self._children:
                if child.queue:
                    child.interrupted = True
                    child.kill(Interrupted())

        self._reactor.call(kill_all)

    def take_back(self) -> list[Claimed]:
        """Give back what has not started; the pool's thread does it."""
        self._reactor.call(self._take_back)
        return []

    def stop(self) -> None:
        """End the children and the thread."""
        self._reactor.stop(self._end_all, within=10)

    # -- the pool's thread

    def _ready(self, child: PooledChild, file: object, events: int) -> None:
        if child not in self._children:
            return  # it has gone in this very turn
        if file == child.death:
            self._died(child)
            return
        if events & selectors.EVENT_WRITE:
            child.flush()
            self._watch_connection(child)
        if events & selectors.EVENT_READ:
            self._hear(child)

    def _between(self) -> None:
        self._watch()
        self._distribute()

    def _end_all(self) -> None:
        for child in list(self._children):
            if child.queue:
                child.kill_group()
            self._end(child)

    def _timeout(self) -> float | None:
        now = time.monotonic()
        times = [at - now for child in self._children for at in (child.deadline, child.recall_at()) if at is not None]
        if any(child.queue and child.queue[0].memory_limit for child in self._children):
            times.append(LOOK_AT_MEMORY)
        if self._queue and now < self._not_before:
            times.append(self._not_before - now)
        for child in self._children:
            times.append(LOOK_FOR_DEATH if child.death < 0 or child.hung_up is not None else self._recycling.idle / 4)
        return max(0.0, min(times)) if times else None

    def _watch(self) -> None:
        now = time.monotonic()
        for child in list(self._children):
            if child.death < 0 and child.process.poll() is not None:
                self._died(child)
                continue
            if child.hung_up is not None and now - child.hung_up > HUNG_UP:
                child.kill_group()
                continue
            if not child.queue:
                if now - child.idle_since > self._recycling.idle:
                    self._end(child)
                continue
            head = child.queue[0]
            if child.deadline is not None and now >= child.deadline and head.timeout is not None:
                child.kill(timed_out(head.task, head.timeout))
            elif head.memory_limit and (used := child.memory()) > head.memory_limit:
                child.kill(Lost(f"memory: {used >> 20} MiB, the limit is {head.memory_limit >> 20} MiB"))
            elif (at := child.recall_at()) is not None and now >= at:
                child.recall()
                self._watch_connection(child)

    def _distribute(self) -> None:
        if not self._queue:
            return
        depth = max(1, min(BATCH, self.pace.ahead(1)))
        now = time.monotonic()
        fit = [child for child in self._children if child.fit and not child.held_up(now)]
        starting = sum(not child.ready for child in self._children)
        batches: dict[PooledChild, list[Waiting]] = {}
        while self._queue and fit:
            child = min(fit, key=lambda child: len(child.queue))
            if len(child.queue) >= depth:
                break
            waiting = self._prepare(self._queue.popleft())
            if waiting is None:
                continue
            child.queue.append(waiting)
            batches.setdefault(child, []).append(waiting)
        for child, batch in batches.items():
            self._send(child, batch)
        missing = min(len(self._queue) - starting, self.slots - len(self._children))
        if missing > 0 and now >= self._not_before:
            for _ in range(missing):
                self._spawn()

    def _prepare(self, job: Claimed) -> Waiting | None:
        task = self._corridor.task(job)
        if task is None:
            self._done += 1
            self._corridor.give_back([job])
            return None
        try:
            options = task.job_options(job.options)
        except msgspec.DecodeError:  # the child will find that too, and say so
            options = JobOptions()
        return Waiting(job, task, options.timeout, options.memory_limit)

    def pids(self) -> list[int]:
        """The ids of its child processes."""
        return [child.process.pid for child in list(self._children)]

    def _send(self, child: PooledChild, batch: list[Waiting]) -> None:
        if child.queue[0] is batch[0]:
            self._head_starts(child)
        child.say([Run([waiting.job for waiting in batch], self._node())])
        self._watch_connection(child)

    def _head_starts(self, child: PooledChild) -> None:
        head = child.queue[0]
        head.place = self._corridor.started(head.job)
        child.began, child.recalling = time.monotonic(), False
        child.deadline = None if head.timeout is None else child.began + head.timeout

    def _spawn(self) -> None:
        if len(self._children) >= self.slots:
            return
        try:
            child = PooledChild(self._hello())
        except OSError as error:
            self._failed(f"a child process could not be started: {error}")
            return
        self._children.append(child)
        if child.death >= 0:
            self._reactor.watch(child.death, child)
        self._watch_connection(child)

    def _watch_connection(self, child: PooledChild) -> None:
        if child.hung_up is None:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.out else 0)
            self._reactor.watch(child.connection, child, wanted)

    def _failed(self, reason: str) -> None:
        self._failures += 1
        delay = min(30.0, 0.5 * 2**self._failures)
        self._not_before = time.monotonic() + delay
        log.error("%s; trying again in %s", reason, human(delay))
        if not any(child.fit for child in self._children):
            self._take_back()  # another worker may be able to run them

    def _hear(self, child: PooledChild) -> bool:
        """Whether there was something."""
        data = child.hear()
        if data is None:
            return False
        if not data:  # it is about to die, or its function has closed what is not its own
            self._reactor.forget(child.connection)
            child.hung_up = time.monotonic()
            return False
        try:
            for body in child.frames.feed(data):
                for message in from_child(body):
                    self._message(child, message)
        except msgspec.DecodeError as error:
            log.error("child process %d does not speak our language any more (%s); killing it", child.process.pid, error)
            self._reactor.forget(child.connection)
            child.hung_up = time.monotonic()
            child.kill_group()
        return True

    def _message(self, child: PooledChild, message: object) -> None:
        match message:
            case Ready():
                child.ready = True
                self._failures = 0
            case Unfit(reason):
                child.unfit = reason
            case Done():
                self._job_done(child, message)
            case Recalled(jobs):
                self._again(child, child.take(jobs))
            case Progress(data) if child.queue:
                self._notes.progress(child.queue[0].job, data)  # type: ignore[attr-defined]
            case Log(level, text) if child.queue:
                self._notes.log(child.queue[0].job, level, text)  # type: ignore[attr-defined]
            case Enqueued(counts):
                self._enqueued(counts)
            case _:
                pass

    def _job_done(self, child: PooledChild, done: Done) -> None:
        head = child.queue.popleft()
        child.served += 1
        child.deadline = None
        self.pace.saw(done.took)
        self._done += 1
        if done.outcome is None:
            self._corridor.ended(head.job, head.place, Interrupted(), head.task, done.took)
        else:
            self._corridor.ended(head.job, head.place, done.outcome, head.task, done.took)
        if child.queue:
            self._head_starts(child)
            return
        child.idle_since = time.monotonic()
        if child.worn(self._recycling):
            self._end(child)

    def _end(self, child: PooledChild) -> None:
        """Let a child go that has nothing to do: it ends when its connection does."""
        self._forget(child)
        child.end()

    def _forget(self, child: PooledChild) -> None:
        self._children.remove(child)
        self._reactor.forget(child.connection)
        self._reactor.forget(child.death)

    def _died(self, child: PooledChild) -> None:
        while child.hung_up is None and self._hear(child):
            pass  # what it said last
        if child not in self._children:
            return  # it was worn, and has ended as it was meant to
        self._forget(child)
        child.kill_group()  # what its function had started would run beside the next attempt
        code = child.process.wait()
        child.close()
        waiting = list(child.queue)
        child.queue.clear()
        if not child.ready:
            self._failed(f"a child process could not start: {child.unfit or how_it_ended(code)}")
        if not waiting:
            return
        head, *others = waiting
        if child.verdict is None:
            outcome: Outcome = Lost(how_it_ended(code))
        elif child.condemned == (head.job.seq, head.job.claim):
            outcome = child.verdict
        else:  # the condemned job had just ended by itself, and this one was hit in its place
            outcome = Interrupted()
        self._done += 1
        self._corridor.ended(head.job, head.place, outcome, head.task, time.monotonic() - child.began)
        self._again(child, [other.job for other in others])

    def _again(self, child: PooledChild, jobs: list[Claimed]) -> None:
        """Others are to run what this child had and has not started."""
        self._queue.extendleft(reversed(jobs))
        if child.interrupted:
            self._take_back()

    def _cancel(self, seq: int, claim: int, reason: str) -> None:
        for child in self._children:
            if child.queue and (child.queue[0].job.seq, child.queue[0].job.claim) == (seq, claim):
                child.kill(Cancelled(reason))
                return
        for job in list(self._queue):
            if (job.seq, job.claim) == (seq, claim):
                self._queue.remove(job)
                self._done += 1
                self._corridor.give_back([job])

    def _take_back(self) -> None:
        jobs = list(self._queue)
        self._queue.clear()
        self._done += len(jobs)
        if jobs:
            self._corridor.give_back(jobs)
