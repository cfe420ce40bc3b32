"""What doctor finds: each check, made to find something, and all of them on a healthy store."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dray import Dray
from dray.doctor import Finding, examine
from dray.doctor import sqlite as file_checks
from dray.doctor.work import examine_work
from dray.model.clock import ManualClock
from dray.model.job import Executor, State
from dray.model.lifecycle import Move
from dray.model.outcome import ErrorRecord
from dray.store.open import open_store
from dray.store.values import NodeEntry, Want

INFO = {
    "queues": None, "tasks": ["shop.add", "shop.send"], "slots": {"async": 1, "thread": 1, "process": 1}, "version": "1",
}  # fmt: skip


class Shop:
    """A store with a clock that can be turned, and what it takes to bring it into every state."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.path = Path(url.removeprefix("sqlite:///"))
        self.clock = ManualClock()
        self.app = Dray(self.url)
        self.store = self.app._store = open_store(self.url, clock=self.clock)

        @self.app.task(name="shop.add")
        def add(a: int) -> int:
            return a

        @self.app.task(name="shop.send", queue="mail")
        def send(a: int) -> int:
            return a

        self.add, self.send = add, send

    def enter(self, **info: Any) -> int:
        return self.store.run(self.store.plans.enter, NodeEntry("w", "here", 1, {**INFO, **info}))

    def claim(self, node: int, **more: Any) -> list[Any]:
        want = Want({Executor.THREAD: 10}, None, more.get("tasks", frozenset(INFO["tasks"])))
        return self.store.run(self.store.plans.claim, want, node).jobs

    def renew(self, node: int, age: float = 0.0) -> None:
        assert not self.store.run(self.store.plans.extend, {node: age}).expelled

    def look(self, **more: Any) -> dict[str, Finding]:
        return {finding.check: finding for finding in examine_work(self.app.insight, **more)}


@pytest.fixture
def filed(tmp_path: Path) -> Iterator[Shop]:
    """Over a file."""
    made = Shop(f"sqlite:///{tmp_path / 'dray.db'}")
    yield made
    made.app.close()


@pytest.fixture(params=["sqlite", "redis"])
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Over each kind of store that can be given a clock."""
    if request.param == "sqlite":
        yield request.getfixturevalue("filed")
        return
    with request.getfixturevalue("valkey").fresh() as url:
        made = Shop(f"{url}&risk=persistence")
        yield made
        made.app.close()


def bad(findings: dict[str, Finding]) -> set[str]:
    return {check for check, finding in findings.items() if finding.level == "wrong"}


# -- the work


def test_a_healthy_store(shop: Shop) -> None:
    shop.add.enqueue(1)
    shop.app.schedules.put("weekly", shop.add.call(1), "0 7 * * mon")
    shop.enter()
    found = shop.look(deep=True)
    assert bad(found) == set()
    assert {"workers", "queues", "tasks", "oldest-ready", "failed", "clock", "schedules", "counters"} == set(found)
    assert {finding.level for finding in found.values()} == {"ok"}


def test_no_worker(shop: Shop) -> None:
    assert shop.look()["workers"].level == "note"
    shop.add.enqueue(1)
    found = shop.look()["workers"]
    assert (found.level, found.command) == ("wrong", "dray worker TARGET")
    assert "1 job waiting" in found.message


def test_a_worker_that_is_gone(shop: Shop) -> None:
    shop.add.enqueue(1)
    shop.claim(shop.enter())
    shop.clock.advance(30)
    found = shop.look()["worker-expired"]
    assert found.level == "wrong"
    assert "with 1 running job: last heard of 30s ago" in found.message
    other = shop.enter()
    assert shop.look()["worker-expired"].level == "note"
    for _ in range(5):
        shop.clock.advance(10)
        shop.renew(other)
    assert "worker-expired" in bad(shop.look())
    shop.store.run(shop.store.plans.rescue)
    assert "worker-expired" not in shop.look()


def test_a_deaf_worker(shop: Shop) -> None:
    node = shop.enter()
    for _ in range(5):
        shop.clock.advance(10)
        shop.renew(node, age=0.0)
    assert "worker-deaf" not in shop.look()
    for n in range(1, 6):
        shop.clock.advance(10)
        shop.renew(node, age=10.0 * n)
    assert "last looked for jobs 50s ago" in shop.look()["worker-deaf"].message
    assert bad(shop.look()) == {"worker-deaf"}


def test_a_full_worker_is_not_deaf(shop: Shop) -> None:
    for n in range(3):
        shop.add.enqueue(n)
    node = shop.enter()
    assert len(shop.claim(node)) == 3
    for n in range(1, 6):
        shop.clock.advance(10)
        shop.renew(node, age=10.0 * n)
    assert "worker-deaf" not in shop.look()


def test_a_queue_that_nobody_serves(shop: Shop) -> None:
    shop.send.enqueue(1)
    shop.enter(queues=["default"])
    found = shop.look()["queue-not-served"]
    assert "Queue mail has 1 ready job and no live worker serves it" in found.message
    assert found.command == "dray worker TARGET --queues mail"
    shop.enter(queues=["mail"])
    assert "queue-not-served" not in shop.look()


def test_a_task_that_nobody_knows(shop: Shop) -> None:
    shop.send.enqueue(1)
    node = shop.enter(tasks=["shop.add"])
    assert bad(shop.look()) == {"tasks"}
    assert shop.claim(node, tasks=frozenset({"shop.add"})) == []  # now it is parked, and still waits
    found = shop.look()["tasks"]
    assert "shop.send (1 job)" in found.message
    assert found.command == "dray cancel --filter 'task:shop.send'"
    assert shop.look(app_tasks={"shop.send"})["tasks"].level == "wrong"
    shop.enter()
    assert shop.look()["tasks"].level == "ok"
    assert shop.look(app_tasks={"shop.add"})["tasks"].level == "wrong"


def test_a_paused_queue(shop: Shop) -> None:
    shop.send.enqueue(1)
    shop.enter()
    shop.app.insight.pause("mail", "ann@x")
    shop.clock.advance(5)
    found = shop.look()["queue-paused"]
    assert found.level == "note"
    assert "by ann@x" in found.message
    assert found.command == "dray resume mail"


@pytest.mark.parametrize(("age", "level"), [(30, "ok"), (90, "note"), (900, "wrong")])
def test_the_oldest_ready_job(shop: Shop, age: float, level: str) -> None:
    shop.send.enqueue(1)
    shop.clock.advance(age)
    shop.enter()
    assert shop.look()["oldest-ready"].level == level
    shop.app.insight.pause("mail")
    assert shop.look()["oldest-ready"].level == "ok"


def test_failed_jobs(shop: Shop) -> None:
    shop.add.enqueue(1)
    (job,) = shop.claim(shop.enter())
    move = Move(job.seq, job.claim, job.queue, State.FAILED, "raised", error=ErrorRecord("E", "x"))
    shop.store.run(shop.store.plans.settle, [move])
    found = shop.look()["failed"]
    assert (found.level, found.message) == ("note", "1 failed job is kept.")


def test_worker_versions(shop: Shop) -> None:
    shop.enter()
    shop.enter(version="2")
    assert "1 and 2" in shop.look()["worker-versions"].message


def test_the_clock_was_set_back(shop: Shop) -> None:
    shop.add.enqueue(1)
    shop.enter()
    shop.app.schedules.put("weekly", shop.add.call(1), "0 7 * * mon")
    shop.clock.step(-3600)
    found = shop.look()
    assert bad(found) == {"clock", "schedule-clock"}
    assert "1h" in found["clock"].message
    assert "It fires again in 1h" in found["schedule-clock"].fix
    shop.app.schedules.remove("weekly")
    shop.app.schedules.put("weekly", shop.add.call(1), "0 7 * * mon")
    assert "schedule-clock" not in shop.look()


def test_an_overdue_schedule(shop: Shop) -> None:
    shop.app.schedules.put("often", shop.add.call(1), "every 1m")
    shop.clock.advance(200)
    found = shop.look()["schedule-overdue"]
    assert "has never fired" in found.message
    assert found.command == "dray worker TARGET"
    shop.enter()
    shop.store.run(shop.store.plans.tick)
    found = shop.look()
    assert "schedule-overdue" not in found
    assert found["schedule-missed"].level == "note"


def test_a_paused_schedule_is_only_noted(shop: Shop) -> None:
    shop.app.schedules.put("often", shop.add.call(1), "every 1m")
    shop.app.schedules.pause("often")
    shop.clock.advance(300)
    shop.enter()
    found = shop.look()
    assert bad(found) == set()
    assert found["schedule-paused"].command == "dray schedules resume often"


def test_a_schedule_of_a_task_that_nobody_knows(shop: Shop) -> None:
    shop.app.schedules.put("weekly", shop.send.call(1), "0 7 * * mon")
    shop.enter(tasks=["shop.add"])
    assert "no live worker knows" in shop.look()["schedule-task"].message
    shop.enter()
    assert "schedule-task" not in shop.look()
    assert "the app knows" in shop.look(app_tasks={"other"})["schedule-task"].message


def test_a_schedule_that_cannot_be_read(filed: Shop) -> None:
    filed.app.schedules.put("weekly", filed.send.call(1), "0 7 * * mon")
    filed.store.session.writer.execute("update dray_schedule set tz = 'Mars/Base'")
    assert "Mars/Base" in filed.look()["schedule-unreadable"].message


def test_counters_that_differ_from_a_recount(filed: Shop) -> None:
    filed.add.enqueue(1)
    filed.store.session.writer.execute("update dray_tally set n = 7")
    assert "counters" not in filed.look()
    assert "default differ from a recount" in filed.look(deep=True)["counters"].message


# -- the file


def file_findings(path: Path, url: str = "", deep: bool = False) -> dict[str, Finding]:
    found, _ = file_checks.examine_file(path, url or f"sqlite:///{path}", deep=deep)
    assert all(finding.fix for finding in found if finding.level == "wrong")
    return {finding.check: finding for finding in found}


def test_a_healthy_file(filed: Shop) -> None:
    found = file_findings(filed.path, deep=True)
    assert bad(found) == set()
    assert {
        "file-writable", "bell", "network", "sqlite-version", "synchronous", "disk", "schema", "journal-mode", "wal-size",
        "free-pages", "integrity",
    } == set(found)  # fmt: skip


def test_examine_does_both(filed: Shop) -> None:
    checks = {finding.check for finding in examine(filed.path, filed.url, deep=True)}
    assert {"integrity", "workers", "counters"} <= checks


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"no database " * 100)
    findings = examine(path, f"sqlite:///{path}")
    assert findings[-1].check == "file-readable"
    assert "it is no SQLite database" in findings[-1].message
    assert sorted(os.listdir(tmp_path)) == ["x.db"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_that_cannot_be_written(filed: Shop) -> None:
    filed.path.chmod(0o444)
    assert "not writable" in file_findings(filed.path)["file-writable"].message


def test_what_may_not_be_written_is_named(filed: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = filed.path.with_name("dray.db-gate")
    monkeypatch.setattr(file_checks.os, "access", lambda place, mode: place != gate)
    found = file_findings(filed.path)["file-writable"]
    assert found.level == "wrong"
    assert str(gate) in found.message


def test_a_bell_folder_that_is_none(filed: Shop) -> None:
    bell = filed.path.with_name("dray.db-bell")
    shutil.rmtree(bell)
    assert file_findings(filed.path)["bell"].level == "ok"
    bell.write_text("")
    assert file_findings(filed.path)["bell"].level == "wrong"


@pytest.mark.parametrize(
    ("mounts", "level"),
    [
        ("/dev/sda / ext4 rw 0 0\n", "ok"),
        ("/dev/sda / ext4 rw 0 0\nsrv:/x /data nfs4 rw 0 0\n", "wrong"),
        ("/dev/sda / ext4 rw 0 0\nsrv:/x /data nfs4 rw 0 0\n/dev/sdb /data/local xfs rw 0 0\n", "ok"),
        ("/dev/sda / ext4 rw 0 0\nsrv:/x /dat nfs4 rw 0 0\n", "ok"),
        ("//srv/x / cifs rw 0 0\n", "wrong"),
        ("me@srv: /data/local fuse.sshfs rw 0 0\n/dev/sda / ext4 rw 0 0\n", "wrong"),
    ],
)
def test_network_file_systems(tmp_path: Path, mounts: str, level: str) -> None:
    (tmp_path / "mounts").write_text(mounts)
    assert file_checks.network(Path("/data/local/dray.db"), tmp_path / "mounts").level == level


def test_where_the_mounts_are_not_known(tmp_path: Path) -> None:
    assert file_checks.network(Path("/x"), tmp_path / "none").level == "note"


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ((3, 34, 1), "wrong"), ((3, 40, 1), "note"), ((3, 44, 5), "note"), ((3, 44, 6), "ok"), ((3, 45, 0), "note"),
        ((3, 50, 6), "note"), ((3, 50, 7), "ok"), ((3, 51, 2), "note"), ((3, 51, 3), "ok"), ((3, 53, 0), "ok"),
    ],
)  # fmt: skip
def test_versions_of_sqlite(version: tuple[int, ...], level: str) -> None:
    assert file_checks._library(version).level == level


def test_synchronous_normal_says_what_it_risks(filed: Shop) -> None:
    found = file_findings(filed.path, f"{filed.url}?synchronous=normal")["synchronous"]
    assert found.level == "note"
    assert "power cut" in found.message


@pytest.mark.parametrize(("free", "level"), [(10**6, "wrong"), (200 * 1024**2, "note"), (10**10, "ok")])
def test_the_disk(filed: Shop, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    monkeypatch.setattr(file_checks.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**11, 0, free))
    monkeypatch.setattr(file_checks, "_size", lambda path: 300 * 1024**2)
    assert file_checks._disk(filed.path).level == level


def test_the_schema(filed: Shop) -> None:
    filed.app.close()
    with sqlite3.connect(filed.path) as connection:
        connection.execute("update dray_meta set value = '999' where key in ('schema', 'oldest')")
    connection.close()
    findings, readable = file_checks.examine_file(filed.path, filed.url)
    assert not readable
    assert next(f for f in findings if f.check == "schema").level == "wrong"


def test_another_database(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (a)")
    connection.close()
    found = file_findings(path)
    assert found["schema"].command == "dray migrate"
    assert "delete" in found["journal-mode"].message
    assert bad(found) == {"schema", "journal-mode"}


def test_a_log_that_a_reader_holds_back(filed: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_checks, "LARGE_WAL", 64 * 1024)
    monkeypatch.setattr(file_checks, "_size", lambda path: path.stat().st_size if str(path).endswith("-wal") else 0)
    reader = sqlite3.connect(filed.path, isolation_level=None)
    reader.execute("begin")
    reader.execute("select * from dray_job").fetchall()
    filed.app.enqueue_many([filed.add.call(n) for n in range(2000)])
    assert file_findings(filed.path)["wal-size"].level == "wrong"
    reader.close()


def test_much_free_space(filed: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_checks, "WASTE", 64 * 1024)
    handles = filed.app.enqueue_many([filed.add.call(n) for n in range(5000)])
    assert file_findings(filed.path)["free-pages"].level == "ok"
    filed.app.insight.delete([handle.id for handle in handles])
    found = file_findings(filed.path)["free-pages"]
    assert found.level == "note"
    assert str(found.command).endswith(" vacuum")


def test_a_damaged_file(filed: Shop) -> None:
    filed.app.enqueue_many([filed.add.call(n) for n in range(5000)])
    filed.app.close()
    with filed.path.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xff" * 4096 * 4)
    found = file_findings(filed.path, deep=True)
    assert "damaged" in found["integrity"].message
