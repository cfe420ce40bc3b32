"""Acting on jobs."""

from __future__ import annotations

import json
import sys

import pytest
from cli_hands import Hands

from dray.model.job import State


def test_by_id(run, app) -> None:
    handle = app.task_named("add").using(delay="1h").enqueue(1)
    short = handle.id[:13]
    assert "retried" in run("retry", short).stdout
    assert handle.refresh().state == "ready"
    assert "cancelled" in run("cancel", short, "--reason", "not needed").stdout
    assert (handle.refresh().state, handle.info.reason) == ("cancelled", "not needed")
    assert "it has ended already" in run("cancel", short, code=1).stdout
    assert "deleted" in run("delete", short).stdout
    run("show", short, code=3)


def test_a_running_job_is_asked(run, app) -> None:
    handle = app.task_named("add").enqueue(1)
    Hands(app).claim()
    assert json.loads(run("cancel", handle.id, "--json").stdout) == {"matched": 1, "answers": {handle.id: "asked"}}
    assert "cancel it first" in run("delete", handle.id, code=1).stdout
    assert "because it is running" in run("retry", handle.id, code=1).stdout


def test_a_filter_says_how_many_and_needs_yes(run, app) -> None:
    for n in range(3):
        app.task_named("send").enqueue(n)
    Hands(app).end_all(State.FAILED)
    app.task_named("add").enqueue(1)
    assert "3 jobs (3 failed) would be asked to retry" in run("retry", "--filter", "queue:mail", "--dry-run").stdout
    assert "--yes" in run("retry", "--filter", "queue:mail", code=2).stderr
    assert app.insight.counts()["mail"] == {"failed": 3}
    assert run("retry", "--filter", "queue:mail", "--yes").stdout == "3 jobs retried.\n"
    assert app.insight.counts()["mail"] == {"ready": 3}


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, {}), ("n\n", 1, {"failed": 1})])
def test_a_person_is_asked(run, app, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: dict[str, int]) -> None:
    app.task_named("send").enqueue(1)
    Hands(app).end_all(State.FAILED)
    monkeypatch.setattr("dray.cli.output.sys", _WithTerminal())
    result = run("delete", "--filter", "state:failed", code=code, input=answer)
    assert "1 job matches (1 failed). Delete them?" in result.stderr
    assert app.insight.counts().get("mail", {}) == left


class _WithTerminal:
    """`sys`, with somebody at the keyboard."""

    class stdin:
        @staticmethod
        def isatty() -> bool:
            return True

    def __getattr__(self, name: str) -> object:
        return getattr(sys, name)


def test_a_filter_without_a_state_means_what_the_verb_is_for(run, app) -> None:
    """A careless filter must neither run again what has succeeded nor delete what waits."""
    add = app.task_named("add")
    add.enqueue(1)
    Hands(app).end_all(State.SUCCEEDED)
    add.enqueue(2)
    Hands(app).end_all(State.FAILED)
    add.enqueue(3)
    for verb, states in (("retry", {"failed": 1}), ("cancel", {"ready": 1}), ("delete", {"succeeded": 1, "failed": 1})):
        assert json.loads(run(verb, "--filter", "task:shop.add", "--dry-run", "--json").stdout)["states"] == states


def test_many_jobs_go_in_batches(run, app) -> None:
    app.enqueue_many([app.task_named("add").call(n) for n in range(1203)])
    told = json.loads(run("cancel", "--filter", "", "--yes", "--json", "--reason", "all of them").stdout)
    assert told == {"matched": 1203, "answers": {"cancelled": 1203}}
    assert app.insight.counts() == {"default": {"cancelled": 1203}}
    assert app.insight.jobs(limit=1).jobs[0].reason == "all of them"


@pytest.mark.parametrize("args", [(), ("0123", "--filter", "state:failed")])
def test_ids_or_a_filter(run, app, args: tuple[str, ...]) -> None:
    assert "give their ids, or --filter" in run("retry", *args, code=2).stderr


def test_nothing_matches(run, app) -> None:
    assert run("retry", "--filter", "queue:none", "--yes").stdout == "No jobs match.\n"


def test_the_whole_grammar_serves_a_filter(run, app) -> None:
    app.enqueue_many([app.task_named("add").call(n) for n in (41, 42, 421)])
    told = json.loads(run("cancel", "--filter", "args.a:42 -queue:mail age:<1h", "--yes", "--json").stdout)
    assert told == {"matched": 1, "answers": {"cancelled": 1}}
    (job,) = app.insight.jobs("state:cancelled").jobs
    assert job.args == {"a": 42}
    assert "write age:>5m" in run("cancel", "--filter", "age:5m", "--yes", code=2).stderr


def test_who_did_it_is_written_down(run, app) -> None:
    handle = app.task_named("add").enqueue(1)
    run("cancel", handle.id)
    run("delete", "--filter", "task:shop.*", "--yes")
    bulk, one = app.insight.audits()
    assert (one.action, one.target, one.detail, one.via) == ("cancel", handle.id, "1 cancelled", "cli")
    assert (bulk.action, bulk.detail) == ("delete", "1 deleted")
    assert "task:shop.*" in bulk.target
    assert "@" in one.by
