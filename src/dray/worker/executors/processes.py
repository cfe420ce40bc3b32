"""Functions in child processes that are kept warm, and killed when a job is over its time or memory, or cancelled."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from dray.model.duration import human
from dray.model.job import Claimed
from dray.model.outcome import Cancelled, Interrupted, Lost, Outcome
from dray.observe.log import get_logger
from dray.task import Task
from dray.worker.attempt import timed_out
from dray.worker.executors.base import Corridor, Pace
from dray.worker.executors.wire import Done, Frames, Hello, Log, Progress, Ready, Run, Unfit, frame, from_child
from dray.worker.exits import how_it_ended

log = get_logger("processes")

LOOK_AT_MEMORY = 0.05  # seconds between looks at a job with a memory limit
PAGE = os.sysconf("SC_PAGE_SIZE")
BATCH = 100  # jobs that may wait in one child, if they are short


class Recycling(Struct, frozen=True):
    """When a child is replaced by a fresh one, between two jobs."""

    jobs: int = 10_000
    age: float = 3600.0  # seconds
    memory: int = 1 << 30  # bytes
    idle: float = 300.0  # seconds without work after which it ends


class Waiting(Struct):
    """A job in a child's hands."""

    job: Claimed
    task: Task[..., object]
    timeout: float | None
    memory_limit: int | None
    place: int = -2


class Child:
    """One child process, as its parent sees it. Touched by the pool's thread only."""

    def __init__(self, hello: Hello) -> None:
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dray.worker.executors.child", str(theirs.fileno())],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        self.connection = ours
        self.frames = Frames()
        self.ready = False
        self.unfit: str | None = None
        self.queue: deque[Waiting] = deque()  # the first one runs
        self.deadline: float | None = None
        self.born = time.monotonic()
        self.idle_since = self.born
        self.served = 0
        self.retiring = False
        self.verdict: Outcome | None = None  # why we killed it: what the job `condemned` came to
        self.condemned: tuple[int, int] | None = None
        ours.sendall(frame([hello]))

    def memory(self) -> int:
        """Resident bytes; 0 where they cannot be read."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(Path(f"/proc/{self.process.pid}/statm").read_bytes().split()[1]) * PAGE
        return 0

    def kill(self, verdict: Outcome) -> None:
        """End it now; its job comes to `verdict` unless its own outcome was on the way."""
        if self.verdict is None:
            head = self.queue[0].job
            self.verdict, self.condemned = verdict, (head.seq, head.claim)
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()


class ProcessExecutor:
    """A pool of up to `slots` child processes, driven by one thread."""

    def __init__(
        self, slots: int, hello: Callable[[], Hello], corridor: Corridor, notes: object, *, recycling: Recycling | None = None,
        prewarm: bool = False,
    ) -> None:
        self.slots = slots
        self._hello = hello
        self._corridor = corridor
        self._notes = notes
        self._recycling = recycling or Recycling()
        self._prewarm = prewarm
        self._pace = Pace()
        self._children: list[Child] = []
        self._queue: deque[Claimed] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._given = 0
        self._done = 0
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._not_before = 0.0  # after a child that could not start
        self._failures = 0

    # -- called by other threads

    def start(self) -> None:
        """Start the pool's thread where a child is wanted from the beginning; otherwise the first job does."""
        if self._prewarm:
            self._call(self._spawn)

    def give(self, jobs: list[Claimed]) -> None:
        """Run these, in this order."""
        self._given += len(jobs)
        self._call(lambda: self._queue.extend(jobs))

    def room(self) -> int:
        """How many more jobs it would like to have."""
        return self.slots + self._pace.ahead(self.slots) - self.busy()

    def busy(self) -> int:
        """How many jobs are here."""
        return self._given - self._done

    def running(self) -> list[Claimed]:
        """The jobs that run."""
        return [child.queue[0].job for child in list(self._children) if child.queue]

    def cancel(self, seq: int, claim: int, reason: str) -> None:
        """Kill the child that runs it; one that waits is given back, and the store knows that it is to be cancelled."""
        self._call(lambda: self._cancel(seq, claim, reason))

    def interrupt(self) -> None:
        """Kill everything that runs, because the worker stops."""

        def kill_all() -> None:
            for child in self._children:
                if child.queue:
                    child.kill(Interrupted())

        self._call(kill_all)

    def take_back(self) -> list[Claimed]:
        """Give back what has not started; the pool's thread does it."""
        self._call(self._take_back)
        return []

    def stop(self) -> None:
        """End the children and the thread."""
        if self._thread is None:
            return

        def end() -> None:
            self._stopping = True

        self._call(end)
        self._thread.join(10)

    def _call(self, what: Callable[[], object]) -> None:
        self._calls.append(what)  # type: ignore[arg-type]
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="dray-pool", daemon=True)
            self._thread.start()
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"!")

    # -- the pool's thread

    def _work(self) -> None:
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        while not self._stopping:
            for key, _ in self._selector.select(self._timeout()):
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, 4096)
                else:
                    self._hear(key.data)
            while self._calls:
                self._calls.popleft()()
            self._watch()
            self._distribute()
        for child in list(self._children):
            self._end(child)

    def _timeout(self) -> float | None:
        now = time.monotonic()
        times = [child.deadline - now for child in self._children if child.deadline is not None]
        if any(child.queue and child.queue[0].memory_limit for child in self._children):
            times.append(LOOK_AT_MEMORY)
        if self._queue and now < self._not_before:
            times.append(self._not_before - now)
        if self._children:
            times.append(self._recycling.idle / 4)
        return max(0.0, min(times)) if times else None

    def _watch(self) -> None:
        now = time.monotonic()
        for child in list(self._children):
            if not child.queue:
                if now - child.idle_since > self._recycling.idle:
                    self._end(child)
                continue
            head = child.queue[0]
            if child.deadline is not None and now >= child.deadline and head.timeout is not None:
                child.kill(timed_out(head.task, head.timeout))
            elif head.memory_limit and (used := child.memory()) > head.memory_limit:
                child.kill(Lost(f"memory: {used >> 20} MiB, the limit is {head.memory_limit >> 20} MiB"))

    def _distribute(self) -> None:
        if not self._queue:
            return
        depth = max(1, min(BATCH, self._pace.ahead(1)))
        fit = [child for child in self._children if child.ready and child.verdict is None and not child.retiring]
        starting = sum(not child.ready for child in self._children)
        batches: dict[Child, list[Waiting]] = {}
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
        missing = min(len(self._queue), self.slots - len(self._children)) - starting
        if missing > 0 and time.monotonic() >= self._not_before:
            for _ in range(missing):
                self._spawn()

    def _prepare(self, job: Claimed) -> Waiting | None:
        task = self._corridor.task(job)
        if task is None:
            self._done += 1
            self._corridor.give_back([job])
            return None
        options = task.job_options(job.options)
        return Waiting(job, task, options.timeout, options.memory_limit)

    def _send(self, child: Child, batch: list[Waiting]) -> None:
        if child.queue[0] is batch[0]:
            self._head_starts(child)
        data = frame([Run([waiting.job for waiting in batch])])
        try:
            child.connection.sendall(data)
        except OSError:
            pass  # it has died: its end of the connection tells us, and what becomes of the jobs is decided then

    def _head_starts(self, child: Child) -> None:
        head = child.queue[0]
        head.place = self._corridor.started(head.job)
        child.deadline = None if head.timeout is None else time.monotonic() + head.timeout

    def _spawn(self) -> None:
        if len(self._children) >= self.slots:
            return
        try:
            child = Child(self._hello())
        except OSError as error:
            self._failed(f"a child process could not be started: {error}")
            return
        child.connection.setblocking(True)
        self._children.append(child)
        self._selector.register(child.connection, selectors.EVENT_READ, child)

    def _failed(self, reason: str) -> None:
        self._failures += 1
        delay = min(30.0, 0.5 * 2**self._failures)
        self._not_before = time.monotonic() + delay
        log.error("%s; trying again in %s", reason, human(delay))

    def _hear(self, child: Child) -> None:
        try:
            data = child.connection.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self._died(child)
            return
        for body in child.frames.feed(data):
            for message in from_child(body):
                self._message(child, message)

    def _message(self, child: Child, message: object) -> None:
        match message:
            case Ready():
                child.ready = True
                self._failures = 0
            case Unfit(reason):
                child.unfit = reason
            case Done():
                self._job_done(child, message)
            case Progress(data) if child.queue:
                self._notes.progress(child.queue[0].job, data)  # type: ignore[attr-defined]
            case Log(level, text) if child.queue:
                self._notes.log(child.queue[0].job, level, text)  # type: ignore[attr-defined]
            case _:
                pass

    def _job_done(self, child: Child, done: Done) -> None:
        head = child.queue.popleft()
        child.served += 1
        child.deadline = None
        self._pace.saw(done.took)
        self._done += 1
        if done.outcome is None:
            self._corridor.ended(head.job, head.place, Interrupted(), head.task)
        else:
            self._corridor.ended(head.job, head.place, done.outcome, head.task)
        if child.queue:
            self._head_starts(child)
            return
        child.idle_since = time.monotonic()
        rules = self._recycling
        worn = child.served >= rules.jobs or child.idle_since - child.born > rules.age
        if worn or (child.served % 16 == 0 and child.memory() > rules.memory):
            self._end(child)

    def _end(self, child: Child) -> None:
        """Let a child go that has nothing to do: it ends when its connection does."""
        self._forget(child)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(1.0)
            return
        child.process.kill()
        child.process.wait()

    def _forget(self, child: Child) -> None:
        if child in self._children:
            self._children.remove(child)
            self._selector.unregister(child.connection)
            child.connection.close()

    def _died(self, child: Child) -> None:
        self._forget(child)
        code = child.process.wait()
        waiting = list(child.queue)
        child.queue.clear()
        if not child.ready:
            self._failed(f"a child process could not start: {child.unfit or how_it_ended(code)}")
        if waiting:
            head, *others = waiting
            if child.verdict is None:
                outcome: Outcome = Lost(how_it_ended(code))
            elif child.condemned == (head.job.seq, head.job.claim):
                outcome = child.verdict
            else:  # the condemned job had just ended by itself, and this one was hit in its place
                outcome = Interrupted()
            self._done += 1
            self._corridor.ended(head.job, head.place, outcome, head.task)
            self._queue.extendleft(other.job for other in reversed(others))

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
