"""How things are: status, queues, workers; and pausing."""

from __future__ import annotations

import json

from cli_hands import Hands


def test_status_of_an_empty_store(run, app) -> None:
    assert "At rest" in run("status").stdout


def test_status_says_that_nobody_works(run, app) -> None:
    app.task_named("send").enqueue(1)
    assert "Nobody works: 1 job waits" in run("status").stdout


def test_status_as_json(run, app) -> None:
    app.task_named("send").enqueue(1)
    Hands(app).claim()
    told = json.loads(run("status", "--json").stdout)
    assert set(told) == {"store", "health", "counts", "queues", "workers", "schedules"}
    assert told["counts"]["running"] == 1
    assert told["workers"] == {"alive": 1, "gone": 0, "running": 1}
    assert told["health"].startswith("All well")


def test_pause_and_resume(run, app) -> None:
    handle = app.task_named("send").enqueue(1)
    assert "with 1 ready job" in run("pause", "mail").stdout
    hands = Hands(app)
    assert hands.claim() == []
    assert "Paused: mail" in run("status").stdout
    (queue,) = json.loads(run("queues", "--json").stdout)
    assert queue["paused_by"].count("@") == 1
    assert queue["counts"]["ready"] == 1
    assert "goes on" in run("resume", "mail").stdout
    assert "was not paused" in run("resume", "mail").stdout
    (job,) = hands.claim()
    assert job.id == handle.raw


def test_pausing_an_unknown_queue_is_said(run, app) -> None:
    assert "No job has named this queue yet" in run("pause", "maill").stderr


def test_workers(run, app) -> None:
    assert "No worker is alive" in run("workers").stderr
    Hands(app, queues=["mail"])
    header, worker = (line.split("\t") for line in run("workers").stdout.splitlines())
    assert header[:4] == ["WORKER", "HOST", "PID", "STATE"]
    assert worker[:7] == ["hands", "here", "4711", "alive", "0", "2 async, 2 thread, 1 process", "mail"]
    (told,) = json.loads(run("workers", "--json").stdout)
    assert set(told) == {
        "id", "name", "host", "pid", "alive", "stopping", "running", "entered", "renewed", "claimed", "info"
    }  # fmt: skip
