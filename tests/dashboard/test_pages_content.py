"""The pages Queues, Tasks and Schedules: what they show, what their forms do; and what all pages have in common."""

from __future__ import annotations

import html
import re

import pytest
from api_hands import TestClient
from pages_hands import EVIL, HOSTILE, PAGES, app, audited, of, seen, sent, web

from dray import Dray
from dray.insight import Insight
from dray.model.job import State

__all__ = ["app", "web"]  # fixtures


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
