"""A worker process, as its supervisor sees it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from dray.observe.counted import Counted, brought_up
from dray.worker.board import Board
from dray.worker.line import Line
from dray.worker.settings import WorkerSettings


class Child:
    """One worker process, as the supervisor sees it."""

    def __init__(self, number: int, settings: WorkerSettings) -> None:
        self.number = number
        ours, theirs = socket.socketpair()
        self.board = Board()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dray.worker.process", str(theirs.fileno()), str(self.board.fd)],
            pass_fds=[theirs.fileno(), self.board.fd], stdin=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        self.line = Line(ours)
        self.line.say(settings=msgspec.to_builtins(settings))
        ours.setblocking(False)
        self.born = time.monotonic()
        self.node: int | None = None
        self.url: str | None = None  # where its store is
        self.hung_up = False
        self.look_age = 0.0
        self.heard = self.born  # when it last said something
        self.busy = 0
        self.counted = Counted()
        self.started = False
        self.left = False
        self.cannot: str | None = None
        self.leave_by: float | None = None  # told to stop: when it has to be over, by the steady clock
        self.stopped_since: float | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def stopped(self) -> bool:
        """Whether it has been stopped (SIGSTOP, a debugger): it lives, but does nothing. Linux only."""
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return False
        return text.rpartition(")")[2].split()[0] in ("T", "t")

    @property
    def leaving(self) -> bool:
        """Whether it has been told to stop."""
        return self.leave_by is not None

    def stop(self, within: float) -> None:
        """Tell it to stop; it is killed if it has not ended `within` so many seconds."""
        if self.leave_by is None:
            self.leave_by = time.monotonic() + within
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)

    def hear(self) -> bool:
        """Take in what it says of itself; whether there was something."""
        messages = self.line.hear()
        for message in messages or ():
            self.url = message.get("hello", self.url)
            self.node = message.get("node", self.node)
            self.look_age = message.get("pulse", self.look_age)
            self.busy = message.get("busy", self.busy)
            if "counted" in message:
                self.counted = brought_up(self.counted, message["counted"])
            self.started = self.started or "started" in message
            self.left = self.left or "left" in message
            self.cannot = message.get("cannot", self.cannot)
        if messages:
            self.heard = time.monotonic()
        self.hung_up = messages is None
        return bool(messages)

    def signal(self, number: int) -> None:
        """Send a signal, if it still lives."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def close(self) -> None:
        """Free what belonged to it."""
        self.line.close()
        self.board.close()
