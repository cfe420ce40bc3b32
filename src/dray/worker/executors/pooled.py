"""A child process of the pool, as its parent sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from dray.model.job import Claimed
from dray.model.outcome import Outcome
from dray.task import Task
from dray.worker import usage
from dray.worker.executors.wire import Frames, Hello, Recall, ToChild, frame

#: Seconds a job may run before those that wait behind it in the same child are recalled. More than the 20 ms within which what is
#: claimed ahead should start, so that jobs that are merely uneven are left in peace; too little for a person to notice.
RECALL_AFTER = 0.05


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


class PooledChild:
    """Touched by the pool's thread only. Nothing here but `end` waits for the child: it may be computing, or stopped."""

    def __init__(self, hello: Hello) -> None:
        ours, theirs = socket.socketpair()
        # A group of its own, so that what a function has started is ended together with it.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dray.worker.executors.child", str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip
        theirs.close()
        ours.setblocking(False)
        self.connection = ours
        self.frames = Frames()
        self.out = bytearray()  # what the child has not taken yet
        #: readable once the process has died. Its end of the connection does not tell: a function may have forked, and the copy
        #: keeps it open. -1 where the system has no such thing.
        self.death = -1
        with contextlib.suppress(AttributeError, OSError):
            self.death = os.pidfd_open(self.process.pid)
        self.ready = False
        self.unfit: str | None = None
        self.queue: deque[Waiting] = deque()  # the first one runs
        self.began = 0.0  # when the first one started, as far as we know
        self.recalling = False  # what waits behind it has been asked for
        self.deadline: float | None = None
        self.born = time.monotonic()
        self.idle_since = self.born
        self.served = 0
        self.hung_up: float | None = None  # since when it lives and cannot be heard any more
        self.verdict: Outcome | None = None  # why we killed it: what the job `condemned` came to
        self.condemned: tuple[int, int] | None = None
        self.interrupted = False  # killed because the worker stops: what waited behind its job is given back
        self.say([hello])

    @property
    def fit(self) -> bool:
        """Whether it can be given jobs."""
        return self.ready and self.verdict is None and self.hung_up is None

    def held_up(self, now: float) -> bool:
        """Whether its job is a long one, behind which no other should wait."""
        return bool(self.queue) and now - self.began >= RECALL_AFTER

    def recall_at(self) -> float | None:
        """When what waits behind its job is to be recalled; None if nothing is."""
        return self.began + RECALL_AFTER if len(self.queue) > 1 and not self.recalling and self.fit else None

    def recall(self) -> None:
        """Ask for what has not started."""
        self.recalling = True
        self.say([Recall()])

    def take(self, jobs: Sequence[tuple[int, int]]) -> list[Claimed]:
        """Remove these from its queue, by (seq, claim): the child has given them back."""
        gone = set(jobs)
        kept: deque[Waiting] = deque()
        taken: list[Claimed] = []
        for waiting in self.queue:
            if (waiting.job.seq, waiting.job.claim) in gone:
                taken.append(waiting.job)
            else:
                kept.append(waiting)
        self.queue = kept
        return taken

    def say(self, messages: Sequence[ToChild]) -> None:
        """Send, as far as the child takes it; the rest waits in `out`."""
        self.out += frame(messages)
        self.flush()

    def flush(self) -> None:
        """Send what waits."""
        try:
            while self.out:
                del self.out[: self.connection.send(self.out)]
        except BlockingIOError:
            pass
        except OSError:
            self.out.clear()  # it has died: that is noticed, and what becomes of its jobs is decided then

    def hear(self) -> bytes | None:
        """What has arrived; None if nothing has, b"" at the end."""
        try:
            return self.connection.recv(1 << 18)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def worn(self, rules: Recycling) -> bool:
        """Whether it is to be replaced; asked between two jobs."""
        if self.served >= rules.jobs or time.monotonic() - self.born > rules.age:
            return True
        return self.served % 16 == 0 and self.memory() > rules.memory

    def memory(self) -> int:
        """Resident bytes; 0 where they cannot be read."""
        return usage.memory(self.process.pid) or 0

    def kill(self, verdict: Outcome) -> None:
        """End it now; its job comes to `verdict` unless its own outcome was on the way."""
        if self.verdict is None:
            head = self.queue[0].job
            self.verdict, self.condemned = verdict, (head.seq, head.claim)
            self.kill_group()

    def kill_group(self) -> None:
        """End it and what its functions have started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Let it go that has nothing to do: it ends when its connection does, and is killed if that takes over a second."""
        self.close()
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill_group()
            self.process.wait()

    def close(self) -> None:
        """Free what belonged to it."""
        self.connection.close()
        if self.death >= 0:
            os.close(self.death)
            self.death = -1
