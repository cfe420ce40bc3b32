"""What a child process has been given by its parent and has not ended yet."""

from __future__ import annotations

import os
import selectors
import socket
import threading
import traceback
from collections import deque
from collections.abc import Callable

from dray.model.job import Claimed
from dray.worker.executors.wire import Done, Frames, FromChild, Recall, Recalled, Run, to_child


class Inbox:
    """The first job runs, or is just about to; those behind it wait, and can be recalled.

    The parent keeps the same queue. What it is told about it is said under the lock under which it changes: so both agree at every
    message on which job is the first, and a job is either started or recalled, never both.
    """

    def __init__(self, say: Callable[[FromChild], None]) -> None:
        self._say = say
        self._jobs: deque[Claimed] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._closed = False
        self.node: int | None = None  # the worker that they were given to

    def add(self, jobs: list[Claimed], node: int | None = None) -> None:
        """They are to be run, in this order."""
        with self._changed:
            self.node = node
            self._jobs.extend(jobs)
            self._changed.notify()

    def first(self) -> Claimed | None:
        """Wait for the job to run now; None at the end."""
        with self._changed:
            while not self._jobs:
                if self._closed:
                    return None
                self._changed.wait()
            return self._jobs[0]

    def done(self, done: Done) -> None:
        """The first has come to this."""
        with self._changed:
            self._jobs.popleft()
            self._say(done)

    def recall(self) -> None:
        """Give all back but the first."""
        with self._changed:
            if len(self._jobs) > 1:
                first, *others = self._jobs
                self._jobs = deque([first])
                self._say(Recalled([(job.seq, job.claim) for job in others]))

    def close(self) -> bool:
        """There will be no more. Whether there were none left."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            return not self._jobs


def listen(connection: socket.socket, frames: Frames, inbox: Inbox) -> None:
    """Fill the inbox from a thread of its own, until the parent closes the connection. What still runs then ends with the whole
    process: nobody could hear what it comes to."""
    threading.Thread(target=_listen, args=(connection, frames, inbox), name="dray-listener", daemon=True).start()


def _listen(connection: socket.socket, frames: Frames, inbox: Inbox) -> None:
    # Not simply in recv(), which keeps the connection open as long as it waits: if a function closes what is not its own, the
    # parent must notice. (For the same reason no poll(): epoll and kqueue do not hold the file.)
    selector = selectors.DefaultSelector()
    try:
        selector.register(connection, selectors.EVENT_READ)
        while True:
            selector.select()
            data = connection.recv(1 << 16)
            if not data:
                break
            for body in frames.feed(data):
                for message in to_child(body):
                    match message:
                        case Run(jobs, node):
                            inbox.add(jobs, node)
                        case Recall():
                            inbox.recall()
                        case _:
                            pass
    except OSError:
        pass  # the connection has gone in another way
    except BaseException:  # without this thread the process would wait for ever
        traceback.print_exc()
        os._exit(1)
    if not inbox.close():
        os._exit(0)
