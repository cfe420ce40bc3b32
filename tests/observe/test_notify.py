"""What systemd is told."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Place, eventually

from dray.observe.notify import Notifier, address, interval


class Ear:
    """The socket of systemd."""

    def __init__(self, name: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address(name) or "")
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def lines(self) -> list[str]:
        """All that has been told so far."""
        while True:
            try:
                self.heard += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.heard


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def ear(path: str) -> Iterator[Ear]:
    found = Ear(path)
    yield found
    found.socket.close()


def test_each_thing_is_told_as_often_as_it_should_be(ear: Ear, path: str) -> None:
    environ = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier(environ)
    assert environ == {}, "child processes must not speak for the service"
    assert notifier.wanted
    for _ in range(3):
        notifier.ready("two\nlines")
        notifier.alive("1 ready")
        notifier.alive("1 ready")
    notifier.alive("2 ready")  # too soon after the last text
    notifier.stopping(2.5)
    assert ear.lines() == [
        "READY=1", "STATUS=two lines", "WATCHDOG=1", "STATUS=1 ready", "STOPPING=1", "EXTEND_TIMEOUT_USEC=2500000",
        "STATUS=stopping",
    ]  # fmt: skip


def test_a_name_in_the_abstract_namespace() -> None:
    name = f"@dray-test-{os.getpid()}"
    ear = Ear(name)
    Notifier({"NOTIFY_SOCKET": name}).ready("well")
    assert ear.lines() == ["READY=1", "STATUS=well"]
    ear.socket.close()


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    silent = Notifier({})
    assert not silent.wanted
    silent.ready("well")
    silent.alive("well")
    silent.stopping(1)
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    gone.ready("well")  # says so in the log, and no more
    assert Notifier({"NOTIFY_SOCKET": "vsock:2:1234"}).wanted is False


def test_whose_watchdog_it_is() -> None:
    assert interval("30000000", "") == 30.0
    assert interval("30000000", str(os.getpid())) == 30.0
    assert interval("30000000", "1") is None
    assert interval("", "") is None
    assert interval("soon", "") is None
    assert interval("0", "") is None


def test_a_worker_tells(place: Place, ear: Ear, path: str) -> None:
    place.code(
        """
@app.task
def look() -> str:
    return os.environ.get("NOTIFY_SOCKET", "nothing")

@app.on_start
def slow() -> None:
    while not os.path.exists("go"):
        time.sleep(0.01)
"""
    )
    worker = place.start(ready=False, NOTIFY_SOCKET=path, WATCHDOG_USEC="600000")
    eventually(lambda: "WATCHDOG=1" in ear.lines(), what="the watchdog")
    assert "READY=1" not in ear.lines(), "no process takes jobs yet"
    assert "STATUS=0 of 1 worker processes ready, 0 jobs here" in ear.lines()
    (place.folder / "go").touch()
    eventually(lambda: "READY=1" in ear.lines(), what="READY")
    assert "STATUS=1 of 1 worker processes ready, 0 jobs here" in ear.lines()
    before = ear.lines().count("WATCHDOG=1")
    eventually(lambda: ear.lines().count("WATCHDOG=1") > before + 1, what="it goes on")
    job = place.enqueue("look")
    assert job.result(timeout=20) == "nothing"
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert ear.lines().index("STOPPING=1") > ear.lines().index("READY=1")
    assert "EXTEND_TIMEOUT_USEC=40000000" in ear.lines(), "the grace, and ten seconds"
