"""The command line over a PostgreSQL server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from cli_hands import Hands

from dray import Dray
from dray.model.job import State
from dray.store.postgres import schema

if TYPE_CHECKING:
    from servers.postgres import Cluster


@pytest.fixture
def empty(here: Path, postgres: Cluster, database: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database, to which the command line is pointed."""
    url = str(database(postgres))
    monkeypatch.setenv("DRAY_URL", url)
    return url


@pytest.fixture
def shop(empty: str) -> Iterator[Dray]:
    """An app with a store there."""
    made = Dray(empty)

    @made.task(name="shop.add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    @made.task(name="shop.send", queue="mail", max_attempts=3, tags=["vip"])
    async def send(user_id: int) -> None: ...

    assert made.store.where
    yield made
    made.close()


def tables(url: str) -> int:
    with psycopg.connect(url) as connection:
        return len(connection.execute("select 1 from pg_tables where tablename like 'dray%'").fetchall())


def test_migrate(run, empty: str) -> None:
    assert "there is no store yet: dray migrate" in run("migrate", "--status", code=1).stdout
    assert run("migrate", "--dry-run").stdout == "would apply 0001 start\nwould apply 0002 insight\n"
    script = run("migrate", "--sql").stdout
    assert 'create table "dray".dray_job' in script
    assert tables(empty) == 0
    assert "applied 0001 start" in run("migrate").stdout
    assert "is up to date (schema 2)" in run("migrate").stdout
    assert "schema 2 of 2 since 20" in run("migrate", "--status").stdout
    told = json.loads(run("migrate", "--status", "--json").stdout)
    assert (told["schema"], told["oldest"], told["pending"], list(told["applied"])) == (2, 1, [], ["1", "2"])
    assert run("migrate", "--sql").stdout == "-- up to date\n"
    assert json.loads(run("migrate", "--json").stdout)["applied"] == []
    for other in ("?schema=other", "?schema=other"):
        with psycopg.connect(empty) as connection:
            connection.execute(run("migrate", "--sql", "--url", empty + other).stdout)
        assert "up to date" in run("migrate", "--status", "--url", empty + other).stdout
    assert tables(empty) > 10


def test_migrate_of_what_is_newer(run, shop: Dray, empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = list(schema.migrations())
    monkeypatch.setattr(schema, "migrations", lambda: [*first, (3, "fake", "-- oldest: 3\nselect 1;")])
    assert "  pending 0003 fake" in run("migrate", "--status", code=1).stdout
    run("migrate")
    monkeypatch.undo()
    monkeypatch.setenv("DRAY_URL", empty)
    assert "it serves code from schema 3 on: upgrade Dray" in run("migrate", "--status", code=1).stdout
    for command in ("migrate", "status"):
        assert "install the newer Dray" in run(command, code=4).stderr
    assert "Upgrade Dray." in run("doctor", code=1).stdout


def test_a_dry_run_shows_a_missing_right(run, empty: str, postgres: Cluster) -> None:
    postgres.execute("drop role if exists guest")
    postgres.execute("create role guest login")
    url = empty.replace("//dray@", "//guest@")
    assert "permission denied for database" in run("migrate", "--dry-run", "--url", url, code=4).stderr
    postgres.execute("drop role guest")


@pytest.mark.parametrize("command", ["status", "jobs", "queues", "workers", "schedules"])
def test_looking_makes_nothing(run, empty: str, command: str) -> None:
    assert "has no Dray schema; run `dray migrate` on it." in run(command, code=4).stderr
    assert tables(empty) == 0


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
        plain = run(*command, code=1 if command == ("doctor",) else 0)
        assert plain.stdout
        assert json.loads(run(*command, "--json", code=plain.exit_code).stdout) is not None
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


def test_a_worker_that_must_not_migrate(here: Path, empty: str) -> None:
    (here / "never_jobs.py").write_text("from dray import Dray\napp = Dray()\n")
    done = subprocess.run(
        [sys.executable, "-m", "dray", "worker", "never_jobs.py", "--migrate", "never"], capture_output=True, text=True, timeout=60,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stderr.count("has no Dray schema; run `dray migrate` on it.") == 1
    assert "Traceback" not in done.stderr
    assert tables(empty) == 0
