"""What the tests of the dashboard's house share: an app with jobs of all kinds, served in a thread or asked straight."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from dray import Dray, current_job

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have another client
    from starlette.testclient import TestClient

PATIENCE = 15.0  # seconds
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
TURNED = "abc \u202egnp.exe\u202c"
CONTROLS = "bell \x07 escape \x1b[31m"
ARABIC = "مرحبا بالعالم 🎉"


def until(ready: Callable[[], Any], what: str) -> Any:
    """Wait for something; what it was, when it has come."""
    deadline = time.monotonic() + PATIENCE
    while not (found := ready()):
        assert time.monotonic() < deadline, f"{what} has not come within {PATIENCE:.0f} s"
        time.sleep(0.02)
    return found


class Shop:
    """An app whose jobs succeed, fail, run on, wait and have hostile contents."""

    def __init__(self, folder: Path) -> None:
        self.app = Dray(f"sqlite:///{folder / 'jobs.db'}", size_limit="8MiB")
        self.go_on = threading.Event()
        app, go_on = self.app, self.go_on

        @app.task(name="shop.add")
        async def add(a: int, b: int = 2) -> int:
            return a + b

        @app.task(name="shop.charge", queue="money", max_attempts=1, tags=["vip"])
        def charge(order: dict[str, Any], amount: float) -> None:
            current_job().log("declined, token=tok_in_the_log", level="error")
            raise ValueError("declined: password=hunter2")

        @app.task(name="shop.film", queue="media")
        def film(name: str) -> None:
            job = current_job()
            job.progress(3, 10, "frames")
            job.log("the first line")
            go_on.wait(PATIENCE * 10)

        @app.task(name="shop.hostile", queue=HOSTILE, max_attempts=1)
        async def hostile(text: str, big: str = "") -> None:
            raise RuntimeError(f"{HOSTILE} {CONTROLS} {text}")

        @app.schedule("0 7 * * mon", name="nightly")
        @app.task(name="shop.report")
        async def report() -> str:
            return HOSTILE

        self.add, self.charge, self.film, self.hostile, self.report = add, charge, film, hostile, report
        self.ids: dict[str, str] = {}

    @contextlib.contextmanager
    def at_work(self) -> Iterator[Shop]:
        """With a worker, until all jobs are where they shall be."""
        with self.app.worker(concurrency=4, process_slots=1):
            self.app.schedules.put_declared()
            self.ids = {
                "failed": self.charge.enqueue({"id": 7, "card": {"number": "4111222233334444", "owner": "Ann"}}, 9.5).id,
                "hostile": self.hostile.enqueue(f"{TURNED} {ARABIC}", big="x" * 5_000_000).id,
                "running": self.film.enqueue("cats").id,
                "succeeded": self.add.enqueue(40).id,
                "report": self.report.enqueue().id,
                "scheduled": self.add.using(delay="2h", tags=["later"]).enqueue(1).id,
            }
            wanted = {"hostile": "failed", "report": "succeeded"}
            for name, id_ in self.ids.items():
                state = wanted.get(name, name)
                until(lambda id_=id_, state=state: self.app.insight.job(id_).state == state, f"the {name} job")
            try:
                yield self
            finally:
                self.go_on.set()
        self.app.close()


def web(app: Dray, client: str = "127.0.0.1", host: str = "localhost", **options: Any) -> TestClient:
    """Somebody who asks, from this machine if nothing else is said."""
    return TestClient(
        app.dashboard(**options), base_url=f"http://{host}", client=(client, 50_000), follow_redirects=False,
        headers={"accept": "text/html"},
    )  # fmt: skip


class Served:
    """An ASGI application, really served by a thread. It may be stopped and started again at the same port."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        place = socket.socket()
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        until(lambda: self._bound(place), "the port")
        self.port = place.getsockname()[1]
        config = uvicorn.Config(self.app, log_level="critical", timeout_graceful_shutdown=1, lifespan="off")
        self.server = uvicorn.Server(config)
        self.server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve(sockets=[place])), daemon=True)
        self.thread.start()
        until(lambda: self.server.started, "the server")

    def _bound(self, place: socket.socket) -> bool:
        with contextlib.suppress(OSError):
            place.bind(("127.0.0.1", self.port))
            return True
        return False

    def stop(self) -> None:
        self.server.force_exit = self.server.should_exit = True
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
