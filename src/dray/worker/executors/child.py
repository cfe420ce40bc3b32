"""The child process that runs functions one after the other, and may be killed at any moment.

Started as `python -m dray.worker.executors.child FD PARENT_PID`; it ends when its parent does.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections import deque

from dray.app import Dray
from dray.errors import DrayError
from dray.model.job import Claimed
from dray.model.outcome import Interrupted, Outcome, Raised
from dray.observe import sending
from dray.observe.log import set_up
from dray.worker.attempt import Attempts, record
from dray.worker.executors.inbox import Inbox, listen
from dray.worker.executors.wire import (
    Done,
    Enqueued,
    Frames,
    FromChild,
    Hello,
    Log,
    Progress,
    Ready,
    Unfit,
    frame,
    receive,
)
from dray.worker.resources import Resources

FLUSH = 0.7  # seconds to send what observers have gathered: a child that has not ended after a second is killed
SWITCH = 0.001  # seconds: how soon the sender may speak, and the parent be heard, while a function computes


class Sender:
    """Sends from a thread of its own, whatever there is at once: results of short jobs travel together, and the result of a job
    does not wait for the end of the next."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._waiting: deque[FromChild] = deque()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="dray-sender", daemon=True)
        self._thread.start()

    def say(self, message: FromChild) -> None:
        """Send it soon."""
        self._waiting.append(message)
        self._wake.put(True)

    def progress(self, job: Claimed, data: bytes) -> None:
        """Of the protocol `Notes`."""
        self.say(Progress(data))

    def log(self, job: Claimed, level: str, text: str) -> None:
        """Of the protocol `Notes`."""
        self.say(Log(level, text))

    def close(self) -> None:
        """Send what is left."""
        self._wake.put(False)
        self._thread.join(5)

    def _work(self) -> None:
        going = True
        while going or self._waiting:
            if going and not self._waiting:
                going = self._wake.get()
            while not self._wake.empty():
                going = self._wake.get() and going
            messages: list[FromChild] = []
            while self._waiting and len(messages) < 500:
                messages.append(self._waiting.popleft())
            if messages:
                try:
                    self._connection.sendall(frame(messages))
                except OSError:
                    os._exit(0)  # the parent is gone: nobody could hear what we do


def main(fd: int, parent: int) -> int:
    """Run what the parent sends."""
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    connection = socket.socket(fileno=fd)
    frames = Frames()
    sender = Sender(connection)
    messages = receive(connection, frames)
    if not messages or not isinstance(messages[0], Hello):
        return 0
    try:
        app = load(messages[0])
    except BaseException as error:
        sender.say(Unfit(f"{type(error).__name__}: {error}"))
        sender.close()
        return 1
    sys.setswitchinterval(SWITCH)
    resources = Resources(app.resources)
    inbox = Inbox(sender.say)
    attempts = Attempts(app, resources, sender, lambda: inbox.node)
    counter = sending.count(app) if messages[0].counting else None
    listen(connection, frames, inbox)
    sender.say(Ready())
    pid = os.getpid()
    while (job := inbox.first()) is not None:
        done = run(app, attempts, job)
        if os.getpid() != pid:
            os._exit(0)  # the function forked, and this is the copy: it must not speak for the job
        if counter is not None and (counts := counter.take()):
            sender.say(Enqueued(counts))
        inbox.done(done)
    for observer in app.observers:
        observer.flush(FLUSH)
    with contextlib.suppress(Exception):
        resources.close()
    app.close()
    return 0


def run(app: Dray, attempts: Attempts, job: Claimed) -> Done:
    """Run one job."""
    task = app.tasks.get(job.task)
    if task is None:
        return Done(job.seq, job.claim, 0.0, None)
    began = time.perf_counter()
    outcome: Outcome
    try:
        context, _ = attempts.context(job, task)
        outcome = attempts.run(task, context)
    except KeyboardInterrupt:
        outcome = Interrupted()
    except BaseException as error:
        outcome = Raised(record(error))
    return Done(job.seq, job.claim, time.perf_counter() - began, outcome)


def load(hello: Hello) -> Dray:
    """The app, with all modules that have tasks. Raises whatever their import raises."""
    from dray.target import load_app

    if hello.log is not None:
        set_up(*hello.log)
    sys.path[:] = hello.path
    app = load_app(hello.target)
    app.configure(url=hello.url, migrate=False)
    app.observe()
    for module in hello.modules:
        if module not in sys.modules and module != "__main__":
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(module)
    return app


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when the thread that started it ends; elsewhere the closed connection ends it."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it ended before it could be told
            os._exit(0)


if __name__ == "__main__":
    try:
        code = main(int(sys.argv[1]), int(sys.argv[2]))
    except (KeyboardInterrupt, BrokenPipeError, DrayError):
        code = 0
    os._exit(code)  # threads that a function left behind do not keep the process
