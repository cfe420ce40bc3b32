"""The pages Errors, Workers, System and Audit: what they show, what their forms do; and who may do what."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from api_hands import TestClient, client, until
from pages_hands import EVIL, PAGES, app, audited, made_app, of, seen, sent, the_error, web
from starlette.applications import Starlette

from dray import Dray
from dray.dashboard import Settings, make
from dray.insight import Insight

__all__ = ["app", "web"]  # fixtures

WAITING = "Asked; waiting"  # a constant, because the stack of the test itself is in the dump


# -- errors


def test_errors_stand_together_and_secrets_are_hidden(web: TestClient, app: Dray) -> None:
    text = seen(web, "errors")
    assert re.search(r"ValueError <script>alert\('x'\)</script> no luck, password=••• page\.bad 4 4", text)
    one = seen(web, "errors/one", **the_error(app))
    assert "in bad" in one
    assert "hunter2" not in one
    assert "Retry all that failed (4)" in one
    assert "no job that failed of it is kept" in seen(web, "errors/one", 404, fingerprint="abcdefabcdef")
    assert "No function of any task raised" in seen(web, "errors", task="page.add")


def test_all_that_failed_of_an_error_are_retried_with_their_number_first(web: TestClient, app: Dray) -> None:
    text = web.get("/errors/one", params=the_error(app)).text
    form = next(form for form in re.findall(r"<form.*?</form>", text, re.DOTALL) if "Retry all" in form)
    assert 'action="/bulk"' in form
    assert 'data-confirm="Retry 4 jobs?"' in form
    fields = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form)}
    assert "Retry 4 jobs?" in sent(web, "bulk", 200, **fields).text
    assert app.insight.count("state:failed").n == 4
    there = sent(web, "bulk", **fields, sure="1").headers["location"].lstrip("/")
    until(lambda: re.search("4 (jobs )?to run again", seen(web, there)), "the end of the retry")
    until(lambda: app.insight.count("state:failed").n == 4, "the second failures")
    assert "Cancel what waits" not in text


# -- workers


def test_workers_show_what_runs_where(web: TestClient, app: Dray) -> None:
    [node] = app.insight.workers()
    text = seen(web, "workers")
    assert "1 process alive" in text
    assert re.search(rf"{re.escape(node.name)} process {node.pid} alive", text)
    assert "page.hold" in text
    one = seen(web, "workers/one", id=str(node.id))
    assert "page.hold" in one
    assert "no worker 12345" in seen(web, "workers/one", 404, id="12345")


def test_a_worker_tells_where_it_is(web: TestClient, app: Dray) -> None:
    [node] = app.insight.workers()
    there = sent(web, "workers/dump", id=str(node.id)).headers["location"].lstrip("/")
    text = until(lambda: (page := seen(web, there)) and "It said" in page and WAITING not in page and page, "the answer")
    assert "in hold" in text  # the function that waits in a thread
    assert audited(app, "ask worker to dump", str(node.id))


def test_a_stop_is_asked_for_first_and_is_not_for_all(web: TestClient, app: Dray) -> None:
    [node] = app.insight.workers()
    assert "Stop the worker" in sent(web, "workers/stop", 200, id=str(node.id)).text
    operator = of(app, access=lambda request: "operate")
    sent(operator, "workers/stop", 403, id=str(node.id), sure="1")
    assert not app.insight.workers()[0].stopping


def test_a_worker_is_stopped(tmp_path: Any) -> None:
    app = made_app(f"sqlite:///{tmp_path}/jobs.db")
    web = of(app)
    assert "No worker is alive" in seen(web, "workers")
    with app.worker(concurrency=1, process_slots=1):
        [node] = app.insight.workers()
        sent(web, "workers/stop", id=str(node.id), sure="1")
        until(lambda: (said := app.insight.worker_said(node.id)) and said[1] == "stopping", "the worker's answer")
    app.close()


# -- system and audit


def test_the_doctor_looks_when_asked(web: TestClient) -> None:
    assert "The doctor has not looked yet" in seen(web, "system")
    there = sent(web, "system/examine").headers["location"].lstrip("/")
    text = until(lambda: (page := seen(web, there)) and "checks in order" in page and page, "the doctor")
    assert re.search(r"Nothing is wrong; \d+ notes?, \d+ checks\.", text)
    assert "dray_job" in text


def test_settings_are_told_with_their_origin_and_without_passwords(web: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_URL", "postgresql://dray:hunter2@db/jobs")
    monkeypatch.setenv("DRAY_CONCURRENCY", "33")
    text = seen(web, "system")
    assert "url postgresql://dray:***@db/jobs DRAY_URL" in text
    assert "concurrency 33 DRAY_CONCURRENCY" in text
    monkeypatch.setenv("DRAY_CONCURRENCY", "many")
    assert "concurrency is 'many' (from DRAY_CONCURRENCY)" in seen(web, "system")


def test_the_audit_tells_who_did_what(web: TestClient, app: Dray) -> None:
    insight = Insight(app.store, f"eve {EVIL}", "api")
    insight.pause("audited")
    insight.resume("audited")
    text = seen(web, "audit", by="EVE")
    assert re.search(r"eve <script>.*api resume queue audited", text)
    assert "pause queue" not in seen(web, "audit", by="eve", action="resume")
    assert "Nobody did that" in seen(web, "audit", by="nobody at all")
    [newest] = app.insight.audits(limit=1)
    assert "resume queue audited" not in seen(web, "audit", by="eve", before=str(newest.number))


# -- who may


def test_read_only_shows_all_and_does_nothing(app: Dray) -> None:
    web = of(app, read_only=True)
    for page in (*PAGES, "queues/one?name=money", "tasks/one?name=page.add", "schedules/one?name=nightly"):
        text = web.get(f"/{page}").text.partition("<main")[2]
        forms = re.findall(r'<form class="act"[^>]*action="([^"]*)"', text)
        assert forms == (["/system/examine"] if page == "system" else []), page
        assert ">Run<" not in text, page
    for path in ("queues/pause", "tasks/run", "schedules/run", "bulk", "workers/dump"):
        assert "read-only" in sent(web, path, 403, name="money", sure="1").text
    assert "needs the role operate" in seen(web, "tasks/run", 403, name="page.add")


def test_pages_lie_where_they_are_mounted(app: Dray) -> None:
    outer = Starlette()
    outer.mount("/some/jobs", make(app, Settings()))
    web = client(outer)
    for page in PAGES:
        links = re.findall(r'(?:href|action|data-row)="(/[^"]*)"', web.get(f"/some/jobs/{page}").text)
        assert links
        assert all(link.startswith("/some/jobs/") for link in links), page


