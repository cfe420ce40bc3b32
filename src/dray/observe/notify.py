"""Tells systemd how a service is (sd_notify(3)), without its library: READY, STOPPING, STATUS, WATCHDOG."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

from dray.observe.log import get_logger

log = get_logger("notify")

STATUS_EVERY = 5.0  # seconds between two texts of STATUS, unless something else is told


class Notifier:
    """Takes NOTIFY_SOCKET and the watchdog's interval out of the environment, so that no child process speaks for the service. Does
    nothing where there is no systemd, or where the service is not of Type=notify."""

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._address = address(environ.pop("NOTIFY_SOCKET", ""))
        self.watchdog = interval(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""))
        self._ready = False
        self._status = ""
        self._status_at = 0.0
        self._alive_at = 0.0

    @property
    def wanted(self) -> bool:
        """Whether anybody wants to know."""
        return self._address is not None

    def ready(self, status: str) -> None:
        """The service has started; told once."""
        if not self._ready:
            self._ready = self._say("READY=1", f"STATUS={line(status)}")

    def stopping(self, within: float) -> None:
        """It is about to end, and needs up to `within` seconds for that."""
        self._say("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(within * 1e6)}", "STATUS=stopping")

    def alive(self, status: str) -> None:
        """Called often by the part that must not stand still: tells the watchdog, and how things are if that has changed."""
        now = time.monotonic()
        said: list[str] = []
        if self.watchdog is not None and now >= self._alive_at:
            self._alive_at = now + self.watchdog / 3
            said.append("WATCHDOG=1")
        if status != self._status and now >= self._status_at:
            self._status, self._status_at = status, now + STATUS_EVERY
            said.append(f"STATUS={line(status)}")
        if said:
            self._say(*said)

    def _say(self, *lines: str) -> bool:
        if self._address is None:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.settimeout(1.0)
                out.connect(self._address)
                out.send("\n".join(lines).encode())
        except OSError as error:
            log.warning("systemd could not be told %s: %s", lines[0], error)
            return False
        return True


def address(text: str) -> str | None:
    """Where to tell it: a path, or with "@" in front a name in the abstract namespace. None if there is nothing of that kind."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def interval(micros: str, pid: str) -> float | None:
    """Seconds within which the watchdog must hear of us; None if there is none, or one for another process."""
    if pid and pid != str(os.getpid()):
        return None
    return int(micros) / 1e6 if micros.isdigit() and int(micros) > 0 else None


def line(text: str) -> str:
    """Text that stays in one line."""
    return " ".join(text.split())
