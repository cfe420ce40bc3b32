"""Stores that are not there, not ours or not up to date; settings."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

LOOKING = (
    ("status",), ("jobs",), ("show", "01"), ("explain", "01"), ("retry", "01"), ("cancel", "01"), ("delete", "01"), ("queues",),
    ("pause", "q"), ("resume", "q"), ("workers",), ("schedules",), ("schedules", "run", "x"), ("doctor",),
)  # fmt: skip


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_looking_never_makes_a_store(run, here: Path, command: tuple[str, ...]) -> None:
    assert "There is no store at" in run(*command, code=4).stderr
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("command", [c for c in LOOKING if c != ("doctor",)], ids=" ".join)
def test_another_database_is_left_alone(run, here: Path, command: tuple[str, ...]) -> None:
    with sqlite3.connect(here / "dray.db") as connection:
        connection.execute("create table theirs (a)")
    connection.close()
    before = (here / "dray.db").read_bytes()
    assert "has no Dray schema; run `dray migrate` on it." in run(*command, code=4).stderr
    assert (here / "dray.db").read_bytes() == before
    assert [file.name for file in here.iterdir()] == ["dray.db"]


@pytest.mark.parametrize("command", [("status",), ("migrate",), ("migrate", "--status")], ids=" ".join)
def test_a_file_that_is_no_database(run, here: Path, command: tuple[str, ...]) -> None:
    (here / "dray.db").write_text("this is a text, and a long enough one to be taken for a header " * 10)
    assert "is not an SQLite database" in run(*command, code=4).stderr
    assert [file.name for file in here.iterdir()] == ["dray.db"]


def test_a_newer_store(run, app) -> None:
    app.close()
    with sqlite3.connect("dray.db") as connection:
        connection.execute("update dray_meta set value = '999' where key in ('schema', 'oldest')")
    connection.close()
    assert "has schema 999" in run("status", code=4).stderr


@pytest.mark.parametrize(
    ("url", "said", "code"),
    [
        ("sqlite://", "is a store in memory", 2),
        ("mysql://x", "is not the URL of a store", 2),
        ("redis://u:secret@127.0.0.1:1/0", "cannot be reached", 4),
        ("redis://u:secret@h:port/0", "The port", 2),
        ("postgresql://u:secret@127.0.0.1:1/x", "cannot be reached", 4),
        ("postgresql://u:secret@h:port/x", "The port", 2),
        ("sqlite://x.db", "one slash too few", 2),
        ("sqlite:///no/such/folder/x.db", "There is no store", 4),
    ],
)
def test_urls(run, url: str, said: str, code: int) -> None:
    result = run("status", "--url", url, code=code)
    assert said in result.stderr
    assert "secret" not in result.stderr


def test_migrate_makes_the_store_and_says_so_first(run, here: Path) -> None:
    assert "there is no store yet" in run("migrate", "--status", code=1).stdout
    assert run("migrate", "--dry-run").stdout == "would apply 0001 start\nwould apply 0002 insight\n"
    assert "create table dray_job" in run("migrate", "--sql").stdout
    assert list(here.iterdir()) == []
    assert "applied 0001 start" in run("migrate").stdout
    assert "is up to date" in run("migrate").stdout
    assert "schema 2 of 2 since 20" in run("migrate", "--status").stdout
    assert run("migrate", "--sql").stdout == "-- up to date\n"
    told = json.loads(run("migrate", "--status", "--json").stdout)
    assert (told["schema"], told["pending"]) == (told["newest"], [])
    run("status")


def test_migrate_in_a_folder_that_is_not_there(run) -> None:
    assert "the folder" in run("migrate", "--url", "sqlite:///nowhere/x.db", code=4).stderr


def test_config_shows_values_with_their_origin(run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "dray.toml").write_text("concurrency = 3\nqueues = 'mail'\n")
    monkeypatch.setenv("DRAY_QUEUES", "fast")
    monkeypatch.setenv("DRAY_URL", "postgresql://u:secret@h/x")
    told = json.loads(run("config", "--json").stdout)
    assert told["concurrency"] == {"value": 3, "origin": "dray.toml"}
    assert told["queues"] == {"value": "fast", "origin": "DRAY_QUEUES"}
    assert told["grace"]["origin"] == "default"
    assert "secret" not in run("config").stdout


def test_a_wrong_setting_is_one_sentence(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_CONCURRENCY", "many")
    assert "concurrency is 'many' (from DRAY_CONCURRENCY)" in run("config", code=2).stderr


def test_the_flag_wins_over_the_environment(run, app, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_URL", "sqlite:///elsewhere.db")
    run("status", code=4)
    run("status", "--url", "sqlite:///dray.db")


def test_the_apps_own_url_is_asked_last(run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "own_url_app.py").write_text("from dray import Dray\napp = Dray('sqlite:///own.db')\n")
    monkeypatch.setenv("DRAY_APP", "own_url_app.py")
    monkeypatch.syspath_prepend(str(here))
    assert "own.db" in run("status", code=4).stderr
    assert "other.db" in run("status", "--url", "sqlite:///other.db", code=4).stderr


def test_bench_measures_and_leaves_nothing(run, here: Path) -> None:
    told = json.loads(run("bench", "--jobs", "500", "--synchronous", "normal", "--json").stdout)
    assert set(told["results"]) == {"single_enqueue", "bulk_enqueue", "claim_settle", "claim_settle_single"}
    for figure in told["results"].values():
        assert figure["per_second"] > 0
        assert figure["ratio"] > 0
    assert list(here.iterdir()) == []
