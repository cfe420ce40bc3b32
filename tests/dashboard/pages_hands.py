"""What the tests of the pages share: an app with jobs in several states, a worker and a schedule, and the dashboard over it."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from api_hands import TestClient, client, until
from starlette.applications import Starlette

from dray import Dray
from dray.dashboard import Settings, make
from dray.insight import Insight
from dray.model.job import State
from dray.worker import tally

HOSTILE = "we/ird <b>q & \u202eq"
EVIL = "<script>alert('x')</script>"
PAGES = ("queues", "tasks", "schedules", "errors", "workers", "system", "audit")

go_on = threading.Event()


def made_app(url: str) -> Dray:
    app = Dray(url)

    @app.task(name="page.add")
    def add(a: int, b: int = 2, *, password: str = "pa55word") -> int:
        """Add two numbers."""
        return a + b

    @app.task(name="page.bad", queue="money", max_attempts=1)
    def bad(n: int) -> None:
        raise ValueError(f"{EVIL} no luck, password=hunter2")

    @app.task(name="page.hold", queue=HOSTILE)
    def hold() -> None:
        go_on.wait(60)

    @app.task(name=f"odd {EVIL}\u202e")
    def odd(x: Any = None) -> None: ...

    app.schedule("30 2 * * *", name="nightly", tz="Europe/Berlin", args={"a": 1, "password": "hunter2"})(add)
    app.schedule("every 7m", name=f"evil {EVIL}", args={"a": 2})(add)
    return app


def of(app: Dray | Insight, **options: Any) -> TestClient:
    web: Starlette = make(app, Settings(**options))
    return client(web)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dray]:
    """With a worker, jobs in several states, and figures of them."""
    app = made_app(f"sqlite:///{tmp_path_factory.mktemp('pages')}/jobs.db")
    task, patch = app.task_named, pytest.MonkeyPatch()
    patch.setattr(tally, "EVERY", 0.2)
    go_on.clear()
    with app.worker(concurrency=4, process_slots=1):
        app.schedules.put_declared()
        held = task("page.hold").enqueue()
        done = [task("page.add").enqueue(n) for n in range(3)]
        failed = [task("page.bad").enqueue(n) for n in range(4)]
        task("page.add").using(delay="2h").enqueue(9)
        for job in done:
            job.result(20)
        until(lambda: all(job.refresh().state is State.FAILED for job in failed), "the failures")
        until(lambda: held.refresh().state is State.RUNNING, "the running job")
        until(lambda: app.insight.errors() and app.insight.errors()[0].times == 4, "figures of errors")
        until(lambda: [one for one in app.insight.tasks() if one.work.succeeded == 3], "figures of tasks")
        try:
            yield app
        finally:
            go_on.set()
            patch.undo()
    app.close()


@pytest.fixture(scope="module")
def web(app: Dray) -> TestClient:
    return of(app, bulk_per_minute=1e6)


def seen(web: TestClient, path: str, status: int = 200, **query: Any) -> str:
    """The text of a page, as people read it."""
    answer = web.get(f"/{path}", params=query or None)
    main = answer.text.partition("<main")[2].partition("</main>")[0]
    assert answer.status_code == status, main
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def sent(web: TestClient, path: str, status: int = 303, **fields: str) -> Any:
    answer = web.post(f"/{path}", data=fields)
    assert answer.status_code == status, answer.text.partition("<main")[2].partition("</main>")[0]
    return answer


def audited(app: Dray, action: str, target: str) -> bool:
    newest = app.insight.audits(limit=5)
    return any((one.action, one.target, one.by, one.via) == (action, target, "local", "dashboard") for one in newest)


def the_error(app: Dray) -> dict[str, str]:
    [group] = [one for one in app.insight.errors() if one.task == "page.bad"]
    return {"fingerprint": group.fingerprint, "task": group.task}
