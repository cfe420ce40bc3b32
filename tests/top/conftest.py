"""A store with jobs in all states, made once and copied for each test; and a window over it without a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from cli.cli_hands import Hands
from dray import Dray
from dray.errors import StoreUnavailable
from dray.facts import store_now
from dray.insight import Insight
from dray.model.figures import Depth, Failures, Use, Work, bucket
from dray.model.job import State
from dray.model.lifecycle import Move
from dray.model.outcome import ErrorRecord
from dray.store.open import open_store
from dray.store.protocol import Store
from dray.store.values import Figure
from dray.top.app import Top

MINUTE = 60_000_000
FINGERPRINT = "ab12cd34ef56"
EVIL = "\x1b[2J\x1b]0;gone\x07 <script>[red]alert(1)[/red] \u202eabc \U0001f600 \r\n\ttail"


def make_app(path: Path) -> Dray:
    """The app; its tasks have names of one word, two queues, and a schedule."""
    app = Dray(f"sqlite:///{path}")

    @app.task(name="shop.add")
    def add(a: int = 0, b: int = 0) -> int:
        return a + b

    @app.task(name="shop.send", queue="mail", max_attempts=3, tags=["vip"])
    async def send(user_id: int, note: str = "") -> None: ...

    return app


def seed(path: Path) -> None:
    """120 ready jobs in `mail`, and in `default` at least one in every other state; a worker; two schedules; an hour of figures."""
    app = make_app(path)
    hands = Hands(app)
    add, send = app.task_named("shop.add"), app.task_named("shop.send")
    app.enqueue_many(add.call(a=n) for n in range(7))
    first, second, third, fourth, sleepy, *_ = hands.claim(7)
    hands.end(first, result=b'{"sum": 3}')
    for job in (second, third):
        error = ErrorRecord("ValueError", "no such user", "Traceback (most recent call last):\n  boom", fingerprint=FINGERPRINT)
        app.store.run(app.store.plans.settle, [Move(job.seq, job.claim, job.queue, State.FAILED, "raised", error=error)])
    hands.end(fourth, State.SCHEDULED, delay=600)
    hands.end(sleepy, State.SLEEPING)
    cancelled = add.using(delay="1h").enqueue(a=51)
    Insight(app.store).cancel([cancelled.id], "not wanted")
    app.schedules.put("hourly", add.call(a=1), "every 1h")
    app.schedules.put("nightly", send.call(user_id=1), "0 3 * * *", tz="Europe/Berlin")
    app.enqueue_many(send.call(user_id=n, note=EVIL if n == 119 else "") for n in range(120))
    app.store.run(app.store.plans.put_figures, figures(store_now(app.store), hands.node))
    app.close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        # However slow the tests are: the worker is alive, looks for jobs, and is not behind.
        connection.execute("update dray_node set until = until + 3600000000, claimed = claimed + 3600000000")
        connection.execute("update dray_job set due = due + 3600000000 where state = 1")


def figures(now: int, node: int) -> list[Figure]:
    """Of an hour in which each minute is like the others."""
    enc = msgspec.msgpack.encode
    spent = {bucket(12_000): 102}
    work = Work(succeeded=100, failed=2, retried=1, run=spent, run_sum=102 * 12_000, wait=spent, wait_sum=102 * 12_000)
    rows = []
    for minute in range(60):
        at = (now // MINUTE - minute) * MINUTE
        rows += [
            Figure("work", at, 60, "", enc(work)), Figure("work", at, 60, "mail\tshop.send", enc(work)),
            Figure("depth", at, 60, "", enc(Depth(ready=120))), Figure("depth", at, 60, "mail", enc(Depth(ready=120))),
            Figure("failures", at, 60, f"shop.add\t{FINGERPRINT}", enc(Failures(3, 2, "ValueError", "no such user", "", at))),
            Figure("use", at, 60, str(node), enc(Use(30.0, 50 << 20, 2.0, 5, 60.0))),
        ]  # fmt: skip
    return rows


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that is copied."""
    path = tmp_path_factory.mktemp("top") / "seeded.db"
    seed(path)
    return path


class Flaky:
    """A store that can be lost, and that can hang; else the one that it stands for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lost = False
        self.open = threading.Event()
        self.open.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def run(self, verb: Any, *args: Any) -> Any:
        self.open.wait(30)
        if self.lost:
            raise StoreUnavailable("The server at db:5432 cannot be reached.")
        return self._store.run(verb, *args)


@pytest.fixture
def store(seeded: Path, tmp_path: Path) -> Iterator[Flaky]:
    """A copy of the seeded store, with a live worker."""
    path = tmp_path / "dray.db"
    shutil.copy(seeded, path)
    made = open_store(f"sqlite:///{path}")
    flaky = Flaky(made)
    yield flaky
    flaky.open.set()
    made.close()


class Window:
    """`dray top` without a terminal."""

    def __init__(self, app: Top, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def text(self) -> str:
        """What is on the screen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        for char in text:
            await self.pilot.press({" ": "space", ":": "colon", "_": "underscore", "*": "asterisk"}.get(char, char))

    async def until(self, sure: Callable[[], Any], what: str = "") -> Any:
        """Wait for something to be so, 10 seconds at most."""
        deadline = time.monotonic() + 10
        while not (found := sure()):
            assert time.monotonic() < deadline, f"not so in time: {what}\n{self.text}"
            await asyncio.sleep(0.03)
        return found

    async def shows(self, *texts: str) -> None:
        """Wait for texts to be on the screen."""
        for text in texts:
            await self.until(lambda text=text: text in self.text, text)

    async def lacks(self, *texts: str) -> None:
        """Wait for texts to be gone."""
        for text in texts:
            await self.until(lambda text=text: text not in self.text, f"no {text}")

    async def tab(self, number: int, *texts: str) -> None:
        """Open a tab, and wait for what is to be there."""
        await self.press(str(number))
        await self.shows(*texts)


Story = Callable[[Window], Awaitable[None]]


@pytest.fixture
def play(store: Flaky) -> Callable[..., None]:
    """Runs a coroutine with an open window in which the overview is to be seen."""

    def run(story: Story, size: tuple[int, int] = (120, 32), interval: float = 0.3) -> None:
        async def go() -> None:
            app = Top(Insight(store, "ann@here", "top"), interval)  # type: ignore[arg-type]
            async with app.run_test(size=size) as pilot:
                window = Window(app, pilot)
                await window.shows("Throughput")
                await story(window)

        asyncio.run(go())

    return run
