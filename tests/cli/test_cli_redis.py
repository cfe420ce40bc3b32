"""The command line over a Redis server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli_hands import Hands

from dray import Dray
from dray.model.job import State

if TYPE_CHECKING:
    from servers.redis import Server


@pytest.fixture
def empty(here: Path, valkey: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A namespace with nothing in it, to which the command line is pointed."""
    with valkey.fresh() as url:
        url += "&risk=persistence"
        monkeypatch.setenv("DRAY_URL", url)
        yield url


@pytest.fixture
def shop(empty: str) -> Iterator[Dray]:
    """An app with a store there."""
    made = Dray(empty)

    @made.task(name="shop.add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    @made.task(name="shop.send", queue="mail", max_attempts=3, tags=["vip"])
    async def send(user_id: int) -> None: ...

    yield made
    made.close()


@pytest.mark.parametrize("mode", [(), ("--status",), ("--sql",), ("--dry-run",)], ids=" ".join)
def test_there_is_nothing_to_migrate(run, empty: str, mode: tuple[str, ...]) -> None:
    said = run("migrate", *mode).stdout
    assert said.count("\n") == 1
    assert said.endswith(" has no schema, so there is nothing to migrate.\n")
    assert said.startswith("-- ") == (mode == ("--sql",))
    assert empty.partition("?")[0] in said
    told = json.loads(run("migrate", *mode, "--json").stdout)
    assert [told[name] for name in (("pending" if mode else "applied"), "schema", "newest")] == [[], None, None]


def test_migrate_where_no_server_is(run) -> None:
    assert "cannot be reached" in run("migrate", "--url", "redis://:secret@127.0.0.1:1/0", code=4).stderr


@pytest.mark.parametrize(
    ("url", "said", "code"),
    [
        ("redis://:secret@127.0.0.1:1/0", "start the server, or correct host and port", 4),
        ("redis://:secret@a,b/0", "names several servers", 2),
        ("redis://:secret@a/zero", "is not the number of a database", 2),
        ("redis://:secret@a/0?namspace=x", "did you mean namespace?", 2),
        ("redis:x", "lacks the slashes", 2),
        ("reddis://:secret@a/0", "is not the URL of a store", 2),
    ],
)
@pytest.mark.parametrize("command", ["status", "jobs", "doctor"])
def test_urls(run, command: str, url: str, said: str, code: int) -> None:
    result = run(command, "--url", url, code=1 if (command, code) == ("doctor", 4) else code)
    told = result.stdout if result.exit_code == 1 else result.stderr
    assert said in " ".join(told.split())
    assert "secret" not in result.output


@pytest.mark.parametrize("command", ["status", "jobs", "queues", "workers", "schedules"])
def test_nothing_is_there_yet(run, empty: str, command: str) -> None:
    assert run(command).stdout
    assert json.loads(run(command, "--json").stdout) is not None


def test_every_command_works(run, shop: Dray, here: Path) -> None:
    first, second, third = (shop.tasks["shop.add"].enqueue(n) for n in range(3))
    shop.tasks["shop.send"].enqueue(7)
    shop.schedules.put("weekly", shop.tasks["shop.add"].call(1), "0 7 * * mon")
    hands = Hands(shop)
    jobs = {job.id.hex(): job for job in hands.claim(2)}
    hands.end(jobs[first.id.replace("-", "")], result=b"1")
    hands.end(jobs[second.id.replace("-", "")], State.FAILED)
    assert "1 failed" in run("status").stdout
    for command in (
        ("status",), ("jobs",), ("queues",), ("workers",), ("schedules",), ("show", first.id), ("explain", second.id), ("doctor",),
    ):  # fmt: skip
        plain = run(*command)
        assert plain.stdout
        assert json.loads(run(*command, "--json").stdout) is not None
    assert "shop.send" in run("jobs", "tag:vip", "task:shop.*", "queue:mail").stdout
    assert second.id[:8] in run("jobs", "no such user").stdout
    assert "retried" in run("retry", second.id).stdout
    assert "cancelled" in run("cancel", third.id, "--reason", "not needed").stdout
    assert "not needed" in run("explain", third.id).stdout
    assert "deleted" in run("delete", third.id, "--yes").stdout
    assert "is paused" in run("pause", "mail").stdout
    assert "goes on" in run("resume", "mail").stdout
    for verb in ("show", "pause", "resume", "run", "remove"):
        run("schedules", verb, "weekly")


def test_enqueue_from_the_shell(run, shop: Dray, here: Path) -> None:
    (here / "shell_jobs.py").write_text("from dray import Dray\napp = Dray()\n@app.task\ndef add(a: int): ...\n")
    run("enqueue", "--app", "shell_jobs.py", "shell_jobs.add", "--args", '{"a": 1}')
    (job,) = shop.insight.jobs().jobs
    assert (job.task, job.state) == ("shell_jobs.add", "ready")


def test_a_worker_with_a_transactional_task_does_not_start(here: Path, empty: str) -> None:
    """One sentence, and the status of a wrong configuration."""
    (here / "moving_jobs.py").write_text(
        "import sqlite3\nfrom dray import Dray\napp = Dray()\n"
        "@app.task(transactional=True)\ndef move(n: int, connection: sqlite3.Connection): ...\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "dray", "worker", "moving_jobs.py", "--log-format", "text"], capture_output=True, text=True,
        timeout=60, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("Task 'moving_jobs.move' is transactional, and the store redis://") == 1, done.stderr
    assert "Traceback" not in done.stderr
