"""A store that cannot be reached, that hangs, that comes back."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time

from dray.top import watch


def test_a_lost_store_is_said_and_comes_back_by_itself(play, store) -> None:
    async def story(window) -> None:
        await window.tab(2, "mail")
        store.lost = True
        await window.shows("✗ The server at db:5432 cannot be reached.", "looking again every 0.3s", "mail")
        await window.press("p")
        await window.shows("mail")  # what was seen last stays, keys go on
        await window.press("7", "2")
        store.lost = False
        await window.shows("The store is back.")
        await window.lacks("cannot be reached")

    play(story)


def test_a_job_of_a_lost_store(play, store) -> None:
    async def story(window) -> None:
        await window.tab(3, "user_id=119")
        await window.press("enter")
        await window.shows("Arguments")
        store.lost = True
        await window.shows("✗ The server at db:5432 cannot be reached.", "Arguments")
        await window.press("r")
        await window.pilot.pause()
        store.lost = False
        await window.lacks("cannot be reached")

    play(story)


def test_a_store_that_hangs_does_not_block_the_window(play, store, monkeypatch) -> None:
    monkeypatch.setattr(watch, "SLOW", 0.1)

    async def story(window) -> None:
        await window.tab(2, "mail")
        store.open.clear()
        await window.shows("The store has not answered for")
        await window.press("question_mark")
        await window.shows("ctrl+d ctrl+u")
        await window.press("escape")
        store.open.set()
        await window.lacks("has not answered")

    play(story)


def test_in_a_real_terminal(store) -> None:
    """`dray top` as it is run: it draws itself, and `q` ends it with 0."""
    store.run(store.plans.queues)
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "dray", "top", "--url", store.url, "--interval", "100ms"]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm-256color"})
    os.close(slave)
    try:
        wait_for(master, "All is well")
        os.write(master, b"2")
        wait_for(master, "default")
        os.write(master, b"q")
        drain(master, process)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


def readable(terminal: int) -> bool:
    """Whether it says something within a tenth of a second. (`select` knows no more than 1024 files.)"""
    poll = select.poll()
    poll.register(terminal, select.POLLIN)
    return bool(poll.poll(100))


def wait_for(terminal: int, text: str) -> None:
    seen, deadline = "", time.monotonic() + 20
    while text not in seen:
        assert time.monotonic() < deadline, f"{text!r} is not in {seen[-2000:]!r}"
        if readable(terminal):
            seen += os.read(terminal, 65536).decode("utf-8", "replace")


def drain(terminal: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        if readable(terminal):
            try:
                os.read(terminal, 65536)
            except OSError:  # the other end is closed
                return
