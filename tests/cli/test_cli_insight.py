"""How things go and who did what: errors, tasks, audit, workers, live tables, top."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest
from cli_hands import Hands

from dray.facts import store_now
from dray.model.figures import Failures, Work, bucket
from dray.store.values import Figure

MINUTE = 60_000_000
FINGERPRINT = "ab12cd34ef56"


def write_figures(app) -> None:
    enc = msgspec.msgpack.encode
    now = store_now(app.store)
    at = now // MINUTE * MINUTE
    work = Work(succeeded=8, failed=2, run={bucket(12_000): 10}, run_sum=120_000, wait={bucket(3000): 10}, wait_sum=30_000)
    app.store.run(app.store.plans.put_figures, [
        Figure("work", at, 60, "", enc(work)), Figure("work", at, 60, "mail\tshop.send", enc(work)),
        Figure("failures", at, 60, f"shop.send\t{FINGERPRINT}", enc(Failures(5, 2, "ValueError", "no such user", "a-job", now))),
    ])  # fmt: skip


def test_errors(run, app) -> None:
    assert "Nothing was raised in the last 1d" in run("errors").stderr
    write_figures(app)
    header, group = (line.split("\t") for line in run("errors").stdout.splitlines())
    assert header == ["FINGERPRINT", "TASK", "RUNS", "FAILED", "LAST", "ERROR"]
    assert group == [FINGERPRINT, "shop.send", "5", "2", "just now", "ValueError: no such user"]
    (told,) = json.loads(run("errors", "--json", "--task", "shop.send").stdout)
    assert set(told) == {"fingerprint", "task", "type", "message", "runs", "failed", "first", "last", "job", "trend"}
    assert (told["runs"], told["failed"], told["job"], sum(told["trend"])) == (5, 2, "a-job", 5)
    assert json.loads(run("errors", "--json", "--task", "shop.add").stdout) == []


def test_tasks(run, app) -> None:
    assert "No task has run in the last 1h" in run("tasks").stderr
    write_figures(app)
    Hands(app)
    header, *rows = (line.split("\t") for line in run("tasks").stdout.splitlines())
    assert header[:4] == ["TASK", "DONE", "FAILING", "RUN P50"]
    assert [row[:3] for row in rows] == [["shop.add", "0", "0 %"], ["shop.send", "10", "20 %"]]
    send = json.loads(run("tasks", "--json", "--since", "2h").stdout)[1]
    assert (send["task"], send["succeeded"], send["failed"], send["failing"], send["workers"]) == ("shop.send", 8, 2, 0.2, 1)
    assert send["run"]["p50"] == pytest.approx(0.012, rel=0.15)
    assert send["queues"] == ["mail"]


def test_a_length_of_time_that_is_none(run, app) -> None:
    assert "no length of time" in run("tasks", "--since", "soon", code=2).stderr
    assert "is too often" in run("top", "--interval", "0s", code=2).stderr


def test_audit_of_all_that_commands_do(run, app) -> None:
    assert "Nobody has done anything yet" in run("audit").stderr
    app.schedules.put("hourly", app.task_named("shop.add").call(a=1), "every 1h")
    handle = app.task_named("send").enqueue(1)
    run("pause", "mail")
    run("resume", "mail")
    run("cancel", handle.id)
    run("retry", "--filter", "state:cancelled", "--yes")
    run("delete", "--filter", "queue:mail state:ready", "--yes")
    run("schedules", "pause", "hourly")
    run("schedules", "resume", "hourly")
    run("schedules", "run", "hourly")
    run("schedules", "remove", "hourly")
    told = json.loads(run("audit", "--json").stdout)
    assert [entry["action"] for entry in reversed(told["entries"])] == [
        "pause queue", "resume queue", "cancel", "retry", "delete",
        "pause schedule", "resume schedule", "run schedule", "remove schedule",
    ]  # fmt: skip
    assert {entry["via"] for entry in told["entries"]} == {"cli"}
    assert all(entry["by"].count("@") == 1 for entry in told["entries"])
    assert told["next"] is None


def test_audit_by_pages(run, app) -> None:
    for queue in ("one", "two", "three"):
        run("pause", queue)
    page = run("audit", "--limit", "2")
    rows = [line.split("\t") for line in page.stdout.splitlines()]
    assert rows[0] == ["WHEN", "WHO", "BY WAY OF", "DID", "TO", "AND"]
    assert [row[3:5] for row in rows[1:]] == [["pause queue", "three"], ["pause queue", "two"]]
    following = json.loads(run("audit", "--limit", "2", "--json").stdout)["next"]
    assert f"--before {following}" in page.stderr
    assert "one" in run("audit", "--limit", "2", "--before", str(following)).stdout


def test_stop_a_worker(run, app) -> None:
    hands = Hands(app)
    assert "Nobody is there to be asked" in run("workers", "stop", "hands", code=2).stderr
    assert "asked to stop" in run("workers", "stop", "hands", "--yes").stdout
    assert json.loads(run("workers", "stop", str(hands.node), "--yes", "--json").stdout) == {
        "id": hands.node, "name": "hands", "asked": "stop",
    }  # fmt: skip
    assert {ask.what for ask in app.store.run(app.store.plans.asked, hands.node)} == {"stop"}


def test_which_worker_is_meant(run, app) -> None:
    assert "There is no worker 'nobody'" in run("workers", "stop", "nobody", "--yes", code=3).stderr
    first, second = Hands(app), Hands(app)
    assert f"give an id ({first.node} and {second.node})" in run("workers", "stop", "hands", "--yes", code=3).stderr
    app.store.run(app.store.plans.leave, first.node)
    run("workers", "stop", "hands", "--yes")


@pytest.fixture
def answering(app) -> Iterator[Hands]:
    """A worker that answers what it is asked."""
    hands, over = Hands(app), threading.Event()

    def answer() -> None:
        while not over.wait(0.02):
            for ask in app.store.run(app.store.plans.asked, hands.node):
                app.store.run(app.store.plans.answer, hands.node, ask.number, f"MainThread: in sleep, ask {ask.number}")

    thread = threading.Thread(target=answer)
    thread.start()
    yield hands
    over.set()
    thread.join()


def test_dump_of_a_worker(run, answering) -> None:
    first = run("workers", "dump", "hands").stdout
    assert "MainThread: in sleep" in first
    told = json.loads(run("workers", "dump", str(answering.node), "--json").stdout)
    assert told["name"] == "hands"
    assert told["dump"] != first  # a new answer to a new question


def test_dump_of_a_worker_that_does_not_answer(run, app, monkeypatch) -> None:
    monkeypatch.setattr("dray.top.acts.PATIENCE", 0.1)
    Hands(app)
    assert "has not answered" in run("workers", "dump", "hands", code=1).stderr


def test_watch_needs_a_terminal(run, app) -> None:
    for command in ("status", "queues", "workers"):
        assert "--watch needs a terminal" in run(command, "--watch", code=2).stderr
        assert "--watch is for people" in run(command, "--watch", "--json", code=2).stderr


def test_top_needs_a_terminal_and_textual(run, app, monkeypatch) -> None:
    assert "needs a terminal" in run("top", code=2).stderr
    for name in [name for name in sys.modules if name.startswith(("textual", "dray.top"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "textual", None)
    told = run("top", code=2).stderr
    assert told.strip() == "dray: `dray top` needs textual, which is not installed: pip install 'dray[top]'"


@pytest.mark.parametrize("command", ["status", "queues", "workers"])
def test_watching(app, command) -> None:
    """In a real terminal: what happens is seen, and Ctrl-C ends it well."""
    app.task_named("shop.add").enqueue(1)
    Hands(app, queues=["default", "first"])
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dray", command, "--watch", "100ms"], stdin=slave, stdout=slave, stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", "LINES": "40"}, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    try:
        wait_for(master, "hands" if command == "workers" else "default")
        app.task_named("send").enqueue(1)
        Hands(app, queues=["another"])
        wait_for(master, "another" if command == "workers" else "mail")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


def wait_for(terminal: int, text: str) -> None:
    seen, deadline = "", time.monotonic() + 20
    while text not in seen:
        assert time.monotonic() < deadline, f"{text!r} is not in {seen[-2000:]!r}"
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 65536).decode("utf-8", "replace")
