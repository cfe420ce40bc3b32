"""Looking at jobs."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from cli_hands import Hands

from dray.model.job import State

KEYS = {
    "id", "task", "queue", "state", "priority", "executor", "attempt", "max_attempts", "losses", "args", "tags", "options", "due",
    "enqueued", "started", "finished", "expires", "kept_until", "node", "result", "error", "reason", "hold", "progress",
    "schedule", "parent",
}  # fmt: skip


def lines(result) -> list[list[str]]:
    return [line.split("\t") for line in result.stdout.splitlines()]


def test_a_pipe_gets_tab_separated_values(run, app) -> None:
    app.task_named("add").enqueue(1)
    app.task_named("send").enqueue(2)
    header, send, add = lines(run("jobs"))
    assert header == ["ID", "TASK", "QUEUE", "STATE", "TRIES", "WHEN", "NOTE"]
    assert send[1:5] == ["shop.send", "mail", "ready", "0/3"]
    assert add[1:5] == ["shop.add", "default", "ready", "0/20"]


def test_json_has_stable_keys_and_times_with_a_zone(run, app) -> None:
    handle = app.task_named("send").using(delay="1h").enqueue(2)
    page = json.loads(run("jobs", "--json").stdout)
    assert set(page) == {"jobs", "next", "searched"}
    (job,) = page["jobs"]
    assert set(job) == KEYS
    assert (job["id"], job["args"], job["tags"], job["state"]) == (handle.id, {"user_id": 2}, ["vip"], "scheduled")
    assert (datetime.fromisoformat(job["due"]) - datetime.fromisoformat(job["enqueued"])).total_seconds() == 3600


@pytest.mark.parametrize(
    ("args", "count"),
    [
        ((), 4),
        (("queue:mail",), 1),
        (("--queue", "mail"), 1),
        (("--state", "failed"), 1),
        (("state:ready,failed",), 4),
        (("task:shop.a*",), 3),
        (("--task", "shop.a*", "state:failed"), 1),
        (("--tag", "vip"), 1),
        (("no such user",), 1),
        (("--limit", "2"), 2),
        (("queue:nowhere",), 0),
    ],
)
def test_filters(run, app, args: tuple[str, ...], count: int) -> None:
    app.task_named("add").enqueue(1)
    hands = Hands(app)
    hands.end_all(State.FAILED)
    app.enqueue_many([app.task_named("add").call(n) for n in range(2)])
    app.task_named("send").enqueue(7)
    assert len(json.loads(run("jobs", *args, "--json").stdout)["jobs"]) == count


def test_pages_follow_one_another(run, app) -> None:
    handles = app.enqueue_many([app.task_named("add").call(n) for n in range(5)])
    seen: list[str] = []
    before: list[str] = []
    while True:
        page = json.loads(run("jobs", "--limit", "2", "--json", *before).stdout)
        seen += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        before = ["--before", str(page["next"])]
    assert seen == [handle.id for handle in reversed(handles)]


def test_an_unknown_state_is_a_usage_error(run, app) -> None:
    assert "the states are scheduled, ready" in run("jobs", "state:done", code=2).stderr


def test_short_ids_are_unique_and_accepted(run, app) -> None:
    app.enqueue_many([app.task_named("add").call(n) for n in range(50)])
    shown = [row[0] for row in lines(run("jobs", "--limit", "100"))[1:]]
    assert len(set(shown)) == 50
    assert len(shown[0]) < 36
    for short in shown[:5]:
        assert json.loads(run("show", short, "--json").stdout)["id"].startswith(short)


def test_a_short_id_that_means_several_jobs_is_refused(run, app) -> None:
    first, _ = app.enqueue_many([app.task_named("add").call(n) for n in range(2)])
    assert "several jobs" in run("show", first.id[:8], code=3).stderr


@pytest.mark.parametrize("command", ["show", "explain", "retry", "cancel", "delete"])
@pytest.mark.parametrize("id", ["ffffffff", "not-an-id", "01234567-0000-7000-8000-000000000000"])
def test_a_job_that_is_not_there_is_code_3(run, app, command: str, id: str) -> None:
    assert id in run(command, id, code=3).stderr


def test_show_tells_the_whole_story(run, app) -> None:
    handle = app.task_named("add").using(max_attempts=2).enqueue(1, b=2)
    hands = Hands(app)
    (job,) = hands.claim()
    progress = (b'{"done":3,"total":12,"note":"adding"}', job.seq, job.claim)
    app.store.run(app.store.plans.note, [progress], [(1, "warning", "careful", job.seq, job.claim)], 100)
    running = run("show", handle.id).stdout
    assert "3 of 12 (25 %) adding" in running
    assert "warning careful" in running
    hands.end(job, State.SCHEDULED)
    (again,) = hands.claim()
    hands.end(again, State.FAILED)
    text = run("show", handle.id).stdout
    assert text.count("raised") == 2
    assert "attempt 1 after" in text
    assert "on hands: ValueError: no such user" in text
    assert "failed" in text
    assert '"b": 2' in text
    assert "Traceback (the user's own)" in text
    story = json.loads(run("show", handle.id, "--json").stdout)
    assert [past["outcome"] for past in story["history"]] == ["raised", "raised"]
    assert story["logs"][0]["text"] == "careful"
    assert set(story) == KEYS | {"history", "logs"}


def test_show_tells_the_result(run, app) -> None:
    handle = app.task_named("add").enqueue(1)
    hands = Hands(app)
    (job,) = hands.claim()
    hands.end(job, result=b'{"sum":1}')
    text = run("show", handle.id).stdout
    assert '"sum": 1' in text
    assert "attempt 1 after" in text


@pytest.mark.parametrize(("state", "code"), [(State.SUCCEEDED, 0), (State.FAILED, 1)])
def test_follow_ends_with_the_job(run, app, state: State, code: int) -> None:
    handle = app.task_named("add").enqueue(1)
    hands = Hands(app)
    (job,) = hands.claim()
    app.store.run(app.store.plans.note, [], [(1, "info", "a line", job.seq, job.claim)], 100)
    hands.end(job, state)
    result = run("show", handle.id, "--follow", code=code)
    assert "a line" in result.stdout
    assert str(state) in result.stdout.splitlines()[-1]
    told = [json.loads(line) for line in run("show", handle.id, "--follow", "--json", code=code).stdout.splitlines()]
    assert told[0]["log"]["text"] == "a line"
    assert told[-1]["job"]["state"] == state


def test_explain_says_why_and_what_to_do(run, app) -> None:
    handle = app.task_named("send").enqueue(1)
    text = run("explain", handle.id).stdout
    assert "No worker is alive" in text
    assert "dray worker TARGET" in text
    told = json.loads(run("explain", handle.id, "--json").stdout)
    assert set(told) == {"id", "task", "queue", "state", "code", "why", "do", "command", "also"}
    assert (told["code"], told["command"]) == ("no-worker", "dray worker TARGET")


def test_a_search_that_stops_at_its_bound_says_so_and_goes_on(run, app, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dray.store.sql.find.FindPlans.looks_at", (5, 5, 5))
    monkeypatch.setattr("dray.store.sql.find.GLANCE", 5)
    monkeypatch.setattr("dray.store.sql.find.ALIKE", 5)
    app.enqueue_many([app.task_named("add").call(n) for n in range(12)])
    stopped = run("jobs", "args.a:1")
    assert lines(stopped)[1:] == []
    assert "Searched the newest 5 jobs; --all goes on (or --before " in stopped.stderr
    assert "No jobs match" not in stopped.stderr
    page = json.loads(run("jobs", "args.a:1", "--json").stdout)
    assert (page["jobs"], page["searched"]) == ([], 5)
    assert "Searched the next 5 jobs" in run("jobs", "args.a:1", "--before", page["next"]).stderr
    (found,) = json.loads(run("jobs", "args.a:1", "--all", "--json").stdout)["jobs"]
    assert found["args"]["a"] == 1
    assert "No jobs match." in run("jobs", "args.a:99", "--all").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("age:5m",), "write age:>5m or age:<5m"),
        (("--before", "x"), "where a page of jobs ended"),
        (("tenant:acme",), "no tenant is kept"),
    ],
)
def test_a_search_that_says_nothing_is_a_usage_error(run, app, words: tuple[str, ...], said: str) -> None:
    assert said in run("jobs", *words, code=2).stderr


def test_options_may_have_blanks(run, app) -> None:
    app.task_named("add").using(tags=["very important"], queue="my mail").enqueue(1)
    app.task_named("add").enqueue(1)
    for words in (("--tag", "very important"), ("--queue", "my mail"), ('tag:"very important"',)):
        assert len(json.loads(run("jobs", *words, "--json").stdout)["jobs"]) == 1
