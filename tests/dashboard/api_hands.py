"""What the tests of the API share: an app with jobs in every state and a worker, and the API over it."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware

from dray import Dray, current_job
from dray.dashboard import api
from dray.dashboard.house import House
from dray.dashboard.security import Guard
from dray.dashboard.settings import Settings
from dray.insight import Insight
from dray.model.job import State

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have another client
    from starlette.testclient import TestClient

PATIENCE = 20.0  # seconds


def until(ready: Callable[[], Any], what: str) -> Any:
    """Wait for something; what it was, when it has come."""
    deadline = time.monotonic() + PATIENCE
    while not (found := ready()):
        assert time.monotonic() < deadline, f"{what} has not come within {PATIENCE:.0f} s"
        time.sleep(0.02)
    return found


def served(source: Dray | Insight, **options: Any) -> Starlette:
    """The API alone, behind the guard."""
    house = House(source, Settings(**options))
    made = Starlette(routes=api.routes(house, "/api/v1"), middleware=[Middleware(Guard, house=house)])
    made.state.house = house
    return made


def client(app: Starlette, **headers: str) -> TestClient:
    """Somebody on this machine."""
    return TestClient(
        app, base_url="http://localhost", client=("127.0.0.1", 50_000), headers=headers, raise_server_exceptions=False,
        follow_redirects=False,
    )  # fmt: skip


class Scene:
    """An app with tasks, jobs in many states, and a worker that runs; on SQLite, if no URL of another store is given."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.app = Dray(url or f"sqlite:///{folder}/jobs.db")
        self.go_on = threading.Event()
        self._tasks()
        self.ids: dict[str, str] = {}

    def _tasks(self) -> None:
        app = self.app

        @app.task(name="shop.add")
        def add(a: int, b: int = 2, *, note: str = "") -> int:
            return a + b

        @app.task(name="shop.charge", queue="money", max_attempts=1)
        def charge(card: dict[str, str], amount: float) -> None:
            job = current_job()
            job.log(f"charging with token={card['token']}")
            raise ValueError("declined: password=hunter2")

        @app.task(name="shop.wait", queue="slow/er")
        def wait() -> None:
            current_job().progress(3, 10, "waiting")
            self.go_on.wait(PATIENCE * 5)

        @app.schedule("0 7 * * *", name="nightly/sum", args={"a": 1})
        @app.task(name="shop.sum")
        def total(a: int) -> int:
            return a

        self.add, self.charge, self.wait = add, charge, wait

    @contextlib.contextmanager
    def at_work(self) -> Iterator[Scene]:
        """With a worker, until all jobs are where they shall be."""
        card = {"number": "4111", "token": "tok_secret", "name": "Ann"}
        with self.app.worker(concurrency=4, process_slots=1):
            self.app.schedules.put_declared()
            self.ids = {
                "succeeded": self.add.enqueue(1, 2).id,
                "failed": self.charge.enqueue(card, 9.5).id,
                "running": self.wait.enqueue().id,
                "scheduled": self.add.using(delay="2h", tags=["later"]).enqueue(5).id,
            }
            cancelled = self.add.using(delay="2h").enqueue(6)
            self.app.insight.cancel([cancelled.id], "not needed")
            self.ids["cancelled"] = cancelled.id
            for state, id_ in self.ids.items():
                until(lambda id_=id_, state=state: self.app.insight.job(id_).state is State(state), f"{state} job")
            try:
                yield self
            finally:
                self.go_on.set()
        self.app.close()
