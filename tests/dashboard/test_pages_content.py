"""The pages Queues, Tasks, Schedules, Errors, Workers, System and Audit: what they show, what their forms do, who may."""

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

WAITING = "Asked; waiting"  # a constant, because the stack of the test itself is in the dump

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


# -- all of them


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_a_heading_and_nothing_that_the_policy_forbids(web: TestClient, page: str) -> None:
    text = web.get(f"/{page}").text
    assert f"<h1>{page.capitalize()}</h1>" in text
    assert f'aria-current="page" data-go="{ {"tasks": "t", "system": "y"}.get(page, page[0]) }"' in text
    assert not re.search(r"\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)
    assert EVIL not in text
    assert "\u202e" not in re.sub(r'<input type="hidden"[^>]*>', "", text)  # there it is a value, not a text to read


def test_a_page_that_fetches_itself_is_given_its_changing_part(web: TestClient) -> None:
    for page in PAGES:
        answer = web.get(f"/{page}", headers={"dray-live": "1"})
        assert "<html" not in answer.text, page
        assert '<div id="page"' in answer.text, page


def test_every_table_has_a_name_and_headers(web: TestClient) -> None:
    for page in PAGES:
        text = web.get(f"/{page}").text
        assert text.count("<table") == text.count('role="region"'), page
        assert len(re.findall(r"<thead><tr>\s*<th scope", text)) == text.count("<table"), page


# -- queues


def test_queues_show_how_much_is_in_them(web: TestClient) -> None:
    text = seen(web, "queues")
    assert "3 queues" in text
    assert re.search(r"money .* 4 failed", text)
    assert "we/ird <b>q & U+202E q" in text


def test_one_queue(web: TestClient) -> None:
    text = seen(web, "queues/one", name=HOSTILE)
    assert "page.hold" in text
    assert "Ready 0 nothing waits" in text
    assert "running" in text
    assert "There is no queue 'nope'" in seen(web, "queues/one", 404, name="nope")


def test_a_queue_is_paused_once_somebody_is_sure_and_resumed(web: TestClient, app: Dray) -> None:
    asked = sent(web, "queues/pause", 200, name="money", next="/queues")
    assert "Pause the queue money?" in asked.text
    assert next(one for one in app.insight.queues() if one.name == "money").paused is None
    answer = sent(web, "queues/pause", name="money", next="/queues", sure="1")
    assert answer.headers["location"] == "/queues"
    assert "Queue money is paused" in seen(web, "queues")
    assert re.search(r"money paused [\d: UTC-]+by local", seen(web, "queues"))
    assert audited(app, "pause queue", "money")
    sent(web, "queues/resume", name="money")
    assert next(one for one in app.insight.queues() if one.name == "money").paused is None
    assert "queue" in sent(web, "queues/pause", 400, name="", sure="1").text


# -- tasks


def test_tasks_show_how_they_do(web: TestClient) -> None:
    text = seen(web, "tasks")
    assert re.search(r"page\.add default 3 0 % 0 ", text)
    assert re.search(r"page\.bad money 4 .*100 %", text)
    assert f"odd {EVIL}" in text
    first = seen(web, "tasks", by="failing")
    assert first.index("page.bad") < first.index("page.add")


def test_one_task(web: TestClient) -> None:
    text = seen(web, "tasks/one", name="page.add")
    assert "def add(a: int, b: int = 2, *, password: str = •••)" in text
    assert "Add two numbers." in text
    assert '"required": [ "a" ]' in text
    assert "pa55word" not in text
    assert "Finished 3" in text
    assert "ValueError" in seen(web, "tasks/one", name="page.bad")
    assert "no task 'nope'" in seen(web, "tasks/one", 404, name="nope")


def test_a_task_is_run_with_checked_arguments(web: TestClient, app: Dray) -> None:
    assert "needed" in seen(web, "tasks/run", name="page.add")
    typed = {"arg.a": "one", "arg.b": "5", "arg.password": "s3cret", "priority": "999"}
    wrong = sent(web, "tasks/run", 422, name="page.add", **typed)
    text = html.unescape(wrong.text)
    assert "'one' is no whole number." in text
    assert "-100 to 100" in text
    assert 'name="arg.b" value="5"' in text
    assert "s3cret" not in text
    typed = {"arg.a": "40", "arg.password": "s3cret", "delay": "1h", "priority": "7", "queue": "money"}
    answer = sent(web, "tasks/run", name="page.add", **typed)
    id_ = answer.headers["location"].rpartition("/")[2]
    job = app.insight.job(id_)
    assert (job.task, job.args, job.queue, job.priority, job.state) == (
        "page.add", {"a": 40, "password": "s3cret"}, "money", 7, State.SCHEDULED,
    )  # fmt: skip
    assert audited(app, "enqueue", "page.add")


def test_without_the_code_arguments_are_not_checked_and_that_is_said(app: Dray) -> None:
    web = of(Insight(app.store))
    text = seen(web, "tasks/run", name="page.add")
    assert "Nobody checks these arguments." in text
    assert "Its code is not known here" in seen(web, "tasks/one", name="page.add")
    for typed, told in (("{", "no JSON"), ("[1]", "an object by parameter name")):
        assert told in html.unescape(sent(web, "tasks/run", 422, name="page.add", args=typed).text)
    answer = sent(web, "tasks/run", name="page.add", args='{"a": 1, "b": 1}')
    assert app.insight.job(answer.headers["location"].rpartition("/")[2]).args == {"a": 1, "b": 1}
    assert "no job of it is kept" in seen(web, "tasks/run", 400, name=f"odd {EVIL}\u202e")


# -- schedules


def test_schedules_show_their_next_times_and_a_week(web: TestClient) -> None:
    text = seen(web, "schedules", tz="Europe/Berlin")
    assert "At 02:30 every day" in text
    assert text.count("next 10") == 2
    assert "times in each hour, in Europe/Berlin" in text
    assert text.count(", 02:30 ") >= 9  # all but perhaps one, whose clock was changed
    assert "in UTC" in seen(web, "schedules", tz="Mars/Olympus")


def test_one_schedule_hides_what_is_secret(web: TestClient) -> None:
    text = seen(web, "schedules/one", name="nightly")
    assert "hunter2" not in text
    assert "password “ ••• ”" in text
    assert "one : of the times that were missed, the newest is made up for, within 24h" in text
    assert "no schedule 'nope'" in seen(web, "schedules/one", 404, name="nope")


def test_a_schedule_is_run_paused_and_resumed(web: TestClient, app: Dray) -> None:
    assert "Run nightly now?" in sent(web, "schedules/run", 200, name="nightly").text
    answer = sent(web, "schedules/run", name="nightly", sure="1")
    assert app.insight.job(answer.headers["location"].rpartition("/")[2]).schedule == "nightly"
    sent(web, "schedules/pause", name="nightly", sure="1")
    assert "if it were resumed" in seen(web, "schedules")
    sent(web, "schedules/resume", name="nightly")
    assert app.insight.schedule("nightly").paused is None
    assert audited(app, "pause schedule", "nightly")


def test_a_schedule_is_removed_by_who_may_do_all(app: Dray) -> None:
    operator = of(app, access=lambda request: ("operate", "olga"))
    assert "needs the role all" in sent(operator, "schedules/remove", 403, name="nightly", sure="1").text
    assert "Remove" not in seen(operator, "schedules/one", name="nightly")
    add = app.task_named("page.add")
    app.schedules.put("extra", add.call(1), "every 1h")
    boss = of(app, access=lambda request: ("all", "ann"))
    assert "Remove the schedule extra?" in sent(boss, "schedules/remove", 200, name="extra").text
    assert sent(boss, "schedules/remove", name="extra", sure="1").headers["location"] == "/schedules"
    assert "extra" not in [one.name for one in app.insight.schedules()]
    assert app.insight.audits(limit=1)[0].by == "ann"


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
    what = the_error(app)
    asked = sent(web, "errors/retry", 200, **what)
    assert "Retry 4 jobs?" in asked.text
    assert app.insight.count("state:failed").n == 4
    answer = sent(web, "errors/retry", sure="1", **what)
    there = answer.headers["location"].lstrip("/")
    until(lambda: "Retried in" in seen(web, there), "the end of the retry")
    assert "4 ready" in seen(web, there)
    assert any(one.action == "retry" and one.by == "local" for one in app.insight.audits(limit=5))
    until(lambda: app.insight.count("state:failed").n == 4, "the second failures")


def test_nothing_to_cancel_is_said(web: TestClient, app: Dray) -> None:
    sent(web, "errors/cancel", **the_error(app))
    assert "There is no job to cancel any more." in seen(web, "errors/one", **the_error(app))


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
    for path in ("queues/pause", "tasks/run", "schedules/run", "errors/retry", "workers/dump"):
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


