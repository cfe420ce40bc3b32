"""The pages of the dashboard: each is there, says what is so, and does what it offers."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dray import Dray
from dray.dashboard.pages import doors

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.testclient import TestClient

HOSTILE = "<script>alert(1)</script>\u202e"
TOKEN = "a token that is long"


class Shown:
    """An app with jobs of all kinds, and its dashboard."""

    def __init__(self, folder: Path) -> None:
        self.app = Dray(f"sqlite:///{folder / 'jobs.db'}")

        @self.app.schedule("0 7 * * mon", name="nightly")
        @self.app.task(name="good")
        async def good(text: str = "", password: str = "") -> str:
            return text

        @self.app.task(name="bad", max_attempts=1, queue="mail")
        async def bad(n: int) -> None:
            raise ValueError(f"no luck with {n} {HOSTILE}")

        self.good, self.bad = good, bad
        with self.app.worker():
            self.done = good.enqueue(HOSTILE, password="hunter2")
            self.failed = bad.enqueue(7)
            self.done.result(timeout=10)
            deadline = time.monotonic() + 10
            while not self.failed.refresh().state.final and time.monotonic() < deadline:
                time.sleep(0.01)
        self.waiting = good.using(delay="1h").enqueue("later")

    def web(self, prefix: str = "", client: str = "127.0.0.1", **options: Any) -> TestClient:
        app: Any = self.app.dashboard(**options)
        if prefix:
            app = Starlette(routes=[Mount(prefix, app)])
        return TestClient(app, base_url="http://localhost", client=(client, 50_000), follow_redirects=False)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    shown = Shown(tmp_path_factory.mktemp("dashboard"))
    yield shown
    shown.app.close()


def paths(shown: Shown) -> list[str]:
    plain = [door.path for door in doors() if door.method == "GET" and "one" not in door.path and "{" not in door.path]
    return [
        *(path for path in plain if path not in ("/sign-in", "/tasks/run", "/bulk", "/complete", "/palette")),
        f"/jobs/{shown.failed.id}", f"/jobs/{shown.done.id}",
        f"/jobs/{shown.waiting.id}", "/jobs?q=state:failed", "/queues/one?name=mail", "/tasks/one?name=bad", "/tasks/run?name=good",
        "/schedules/one?name=nightly", "/?hours=24",
    ]  # fmt: skip


def test_each_page_is_there_and_harmless(shown: Shown) -> None:
    web = shown.web()
    seen = paths(shown)
    assert len(seen) > 14
    for path in seen:
        answer = web.get(path)
        assert answer.status_code == 200, path
        for secret in ("<script>alert", "hunter2", "\u202e"):
            assert secret not in answer.text, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"\s(?:style|on\w+)=", re.sub(r"<pre.*?</pre>", "", answer.text, flags=re.DOTALL)), path
        assert f"/jobs/{shown.failed.id}" in answer.text or not path.endswith("q=state:failed")


def test_every_link_leads_somewhere_under_a_prefix(shown: Shown) -> None:
    web = shown.web(prefix="/background/jobs")
    todo, seen = ["/background/jobs/"], set()
    while todo and len(seen) < 150:
        path = todo.pop()
        answer = web.get(path)
        assert answer.status_code == 200 or "workers/one" in path, path  # a worker that has left is known no more
        seen.add(path)
        if "text/html" not in answer.headers["content-type"]:
            continue
        for link in re.findall(r'(?:href|src)="([^"#]+)"', answer.text):
            link = link.replace("&amp;", "&")
            assert link.startswith("/background/jobs"), f"{link} on {path}"
            if link not in seen and link not in todo:
                todo.append(link)
    assert len(seen) > 30


def test_what_is_asked_for_by_a_script_is_only_the_changing_part(shown: Shown) -> None:
    web = shown.web()
    answer = web.get("/queues", headers={"dray-live": "1"})
    assert "<nav" not in answer.text.partition('id="page"')[0]
    again = web.get("/queues", headers={"dray-live": "1", "if-none-match": answer.headers["etag"]})
    assert again.status_code in (200, 304)


def test_wrong_searches_and_unknown_things_are_told_in_a_sentence(shown: Shown) -> None:
    web = shown.web()
    answer = web.get("/jobs?q=state:nope")
    assert answer.status_code == 400
    assert "the states are" in answer.text
    for path in ("/jobs/0193a5f2-0000-7000-8000-000000000000", "/queues/one?name=nope", "/nowhere"):
        assert web.get(path).status_code == 404, path


def test_jobs_are_acted_on_and_it_is_written_down(shown: Shown) -> None:
    web = shown.web()
    job = shown.good.using(delay="2h").enqueue("x")
    asked = web.post("/job/cancel", data={"id": job.id})
    assert asked.status_code == 200
    assert "Cancel this job?" in asked.text
    assert job.refresh().state == "scheduled", "not before somebody is sure"
    done = web.post("/job/cancel", data={"id": job.id, "sure": "1", "next": f"/jobs/{job.id}"})
    assert done.headers["location"] == f"/jobs/{job.id}"
    assert job.refresh().state == "cancelled"
    assert web.post("/job/retry", data={"id": job.id, "next": "https://elsewhere/"}).headers["location"].startswith("/jobs")
    assert job.refresh().state == "ready"
    again = web.post("/job/again", data={"id": job.id}).headers["location"]
    assert shown.app.job(again.rpartition("/")[2]).info.args == {"text": "x"}
    assert web.post("/job/delete", data={"id": job.id, "sure": "1"}).status_code == 303
    assert web.get(f"/jobs/{job.id}").status_code == 404
    actions = [entry.action for entry in shown.app.insight.audits()]
    assert actions[:4] == ["delete", "run again", "retry", "cancel"]
    assert {entry.by for entry in shown.app.insight.audits()} == {"local"}


def test_who_may_and_who_may_not(shown: Shown) -> None:
    job = {"id": shown.waiting.id}
    assert shown.web(client="203.0.113.5").get("/").status_code == 403
    assert shown.web(read_only=True).post("/job/retry", data=job).status_code == 403
    assert shown.web().post("/job/retry", data=job, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert shown.web().post("/job/retry", data=job, headers={"origin": "https://elsewhere"}).status_code == 403
    web = shown.web(client="203.0.113.5", token=TOKEN)
    there = web.get("/jobs?q=x", headers={"accept": "text/html"}).headers["location"]
    assert there == "/sign-in?next=%2Fjobs%3Fq%3Dx"
    assert web.get(there).status_code == 200
    assert web.post("/sign-in", data={"token": "another one"}).status_code == 403
    assert web.get("/").status_code == 401
    assert web.get("/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert web.post("/sign-in", data={"token": TOKEN, "next": "/jobs"}).headers["location"] == "/jobs"
    assert web.get("/").status_code == 200
    assert shown.waiting.refresh().state == "scheduled"


def test_the_scripts_are_small(shown: Shown) -> None:
    import gzip

    from dray.dashboard import static

    scripts = {name: len(gzip.compress(body, 9)) for name, body in static.files().items() if name.endswith(".js")}
    assert sum(scripts.values()) <= 90 * 1024, scripts
