"""Schedules from the command line."""

from __future__ import annotations

import json
from datetime import datetime

import pytest


@pytest.fixture
def weekly(app):
    app.schedules.put("weekly", app.task_named("add").call(1), "0 7 * * mon", tz="Europe/Berlin")
    return app


def test_list_is_the_default(run, weekly) -> None:
    plain = run("schedules").stdout
    assert plain == run("schedules", "list").stdout
    assert plain.splitlines()[1].split("\t")[:4] == ["weekly", "shop.add", "0 7 * * mon", "Europe/Berlin"]
    (told,) = json.loads(run("schedules", "--json").stdout)
    assert told["args"] == {"a": 1}
    assert datetime.fromisoformat(told["next"]).utcoffset() is not None


def test_no_schedules(run, app) -> None:
    assert "There are no schedules" in run("schedules").stderr


def test_show_tells_the_next_times(run, weekly) -> None:
    told = json.loads(run("schedules", "show", "weekly", "--next", "3", "--json").stdout)
    days = [datetime.fromisoformat(time) for time in told["upcoming"]]
    assert len(days) == 3
    assert {day.weekday() for day in days} == {0}
    text = run("schedules", "show", "weekly").stdout
    assert text.count("Mon ") == 5
    assert "07:00:00" in text


def test_pause_resume_run_remove(run, weekly) -> None:
    run("schedules", "pause", "weekly")
    assert json.loads(run("schedules", "--json").stdout)[0]["next"] is None
    assert "paused" in run("schedules").stdout
    assert "goes on" in run("schedules", "resume", "weekly").stdout
    id = run("schedules", "run", "weekly").stdout.strip()
    assert weekly.insight.job(id).schedule == "weekly"
    assert json.loads(run("schedules", "run", "weekly", "--json").stdout)["schedule"] == "weekly"
    run("schedules", "remove", "weekly")
    assert weekly.schedules.all() == []


@pytest.mark.parametrize("verb", ["show", "pause", "resume", "remove", "run"])
def test_an_unknown_schedule_is_code_3(run, app, verb: str) -> None:
    assert "There is no schedule 'nope'" in run("schedules", verb, "nope", code=3).stderr


def test_a_schedule_of_the_code_comes_back(run, app) -> None:
    @app.schedule("every 15m")
    @app.task(name="shop.tick")
    def tick() -> None: ...

    app.schedules.put_declared()
    assert "comes back" in run("schedules", "remove", "shop.tick").stderr


def test_explain_a_line(run) -> None:
    told = json.loads(run("schedules", "explain", "30 2 * * *", "--tz", "Europe/Berlin", "--next", "400", "--json").stdout)
    offsets = {datetime.fromisoformat(time).hour for time in told["upcoming"]}
    assert offsets >= {0, 1}  # half past two of winter and of summer, in UTC
    assert "the clocks have changed" in run("schedules", "explain", "30 2 * * *", "--tz", "Europe/Berlin", "--next", "400").stdout
    assert "Every 15m" in run("schedules", "explain", "every 15m").stdout


def test_a_wrong_line_is_one_sentence(run) -> None:
    assert "its minute field '61' is wrong" in run("schedules", "explain", "61 * * * *", code=2).stderr
    assert "did you mean 'Europe/Berlin'?" in run("schedules", "explain", "@daily", "--tz", "Europe/Berln", code=2).stderr
