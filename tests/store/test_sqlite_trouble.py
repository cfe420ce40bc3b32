"""Files that are not what they should be, and disks that do not do what they should: one clear sentence each, nothing
half-written, and work goes on once the cause is gone."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path

import pytest
from on_file import Child, add_one, ready, said

from dray.errors import ConfigurationError, NotAStore, SchemaMismatch, StoreError, StoreUnavailable
from dray.model import ids
from dray.model.job import Executor
from dray.store.open import open_store
from dray.store.sqlite import schema
from dray.store.sqlite.store import SqliteStore
from dray.store.values import Filter, NodeEntry, Want
from dray.testing.suite.scene import new_jobs


def test_a_file_that_is_no_database(url: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("Dear diary, " * 1000)
    with pytest.raises(NotAStore, match="is not an SQLite database"):
        open_store(url)
    assert (tmp_path / "jobs.db").read_text() == "Dear diary, " * 1000


def test_an_empty_file_is_a_new_store(url: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.db").touch()
    store = open_store(url)
    add_one(store)
    store.close()


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="names a folder"):
        open_store(f"sqlite:///{tmp_path}")


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"the folder .* does not exist; make it first"):
        open_store(f"sqlite:///{tmp_path}/nowhere/jobs.db")


def test_a_store_of_a_newer_version(store: SqliteStore, url: str) -> None:
    store.session.writer.execute("update dray_meta set value = '999' where key in ('schema', 'oldest')")
    with pytest.raises(SchemaMismatch, match=f"has schema 999, this version of Dray knows schemas up to {schema.newest()}"):
        open_store(url)


def test_a_database_without_a_schema_when_it_must_not_be_migrated(url: str, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "jobs.db").close()
    with pytest.raises(SchemaMismatch, match=r"has no Dray schema; run `dray migrate` on it"):
        open_store(url, migrate=False)


def test_a_store_beside_the_tables_of_an_application(url: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "jobs.db") as mine:
        mine.execute("create table users (id integer primary key)")
        mine.execute("insert into users values (7)")
    store = open_store(url)
    add_one(store)
    assert store.session.writer.execute("select id from users").fetchall() == [(7,)]
    store.close()


def test_a_migration_that_fails_leaves_nothing(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: [(1, "bad", good[0][2] + "\ncreate table dray_job (twice integer);")])
    with pytest.raises(StoreError):
        open_store(url)
    monkeypatch.undo()
    with sqlite3.connect(tmp_path / "jobs.db") as found:
        assert found.execute("select * from sqlite_master").fetchall() == []
    store = open_store(url)
    add_one(store)
    store.close()


def open_and_add(url: str) -> None:
    store = open_store(url)
    try:
        add_one(store)
    finally:
        store.close()


def test_a_damaged_file(store: SqliteStore, url: str, tmp_path: Path) -> None:
    for _ in range(30):
        store.run(store.plans.add, new_jobs(100))
    store.close()
    size = (tmp_path / "jobs.db").stat().st_size
    with (tmp_path / "jobs.db").open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(size - 8192))
    with pytest.raises(StoreUnavailable, match="is damaged"):
        open_and_add(url)


# -- not allowed to write. Permissions do not bind the superuser: a child gives up its rights first.

AS_NOBODY = """
import asyncio, dray.store.sqlite.store, sqlite3
open_store("sqlite://").close()  # so that everything is imported before
if os.getuid() == 0:
    # Nobody may be unable to read the sources: what is loaded late is loaded now.
    from dray.store.sqlite import schema, session, store as _
    schema.migrations(), _.sentences()
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
try:
    store = open_store(url)
    print("opened", store.run(store.plans.counts))
    store.run(store.plans.add, new_jobs(1))
    print("written")
except StoreUnavailable as error:
    print(error)
"""


@pytest.fixture
def open_folder() -> Path:
    """A folder that everybody may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="dray-"))
    folder.chmod(0o755)
    yield folder
    for _ in range(2):
        for file in folder.rglob("*"):
            file.rmdir() if file.is_dir() and not any(file.iterdir()) else None
            file.unlink() if file.is_file() else None
    folder.rmdir()


@pytest.mark.parametrize("what", ["no file", "file and folder", "file"])
def test_read_only(child: Child, open_folder: Path, what: str) -> None:
    path = open_folder / "jobs.db"
    if what != "no file":
        store = open_store(f"sqlite:///{path}")
        add_one(store)
        store.close()
        path.chmod(0o444)
    if what == "file":
        open_folder.chmod(0o777)
        for side in open_folder.iterdir():
            side.chmod(0o777 if side != path else 0o444)
    code = f"url = 'sqlite:///{path}'\n" + AS_NOBODY
    out = said(child(code))
    assert "written" not in out.splitlines()
    assert str(path) in out
    assert "permissions" in out, out
    assert "Traceback" not in out


# -- a full disk


def test_a_full_database_says_so_writes_nothing_and_recovers(store: SqliteStore) -> None:
    writer = store.session.writer
    store.run(store.plans.add, new_jobs(10))
    (pages,) = writer.execute("pragma page_count").fetchone()
    writer.execute(f"pragma max_page_count = {pages + 2}")
    with pytest.raises(StoreUnavailable, match=r"The disk of the store .* is full; nothing was written"):
        store.run(store.plans.add, new_jobs(5000))
    assert ready(store) == 10
    writer.execute("pragma max_page_count = 1000000")
    store.run(store.plans.add, new_jobs(5000))
    assert ready(store) == 5010


def test_a_disk_that_takes_no_more(child: Child, store: SqliteStore) -> None:
    code = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = open_store(url)
    store.run(store.plans.add, new_jobs(10))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    size = max(os.stat(f.path).st_size for f in os.scandir(os.path.dirname(arguments[0])) if f.is_file())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, hard))
    for n in (5000, 5000):
        try:
            store.run(store.plans.add, new_jobs(n))
            print("written")
        except StoreUnavailable as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    store.run(store.plans.add, new_jobs(5000))
    """
    lines = said(child(code, store.session.path)).splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "The disk of the store" in line
        assert "nothing was written" in line
    assert ready(store) == 5010
    assert store.session.writer.execute("pragma integrity_check").fetchall() == [("ok",)]


# -- rows that somebody else wrote into


def test_rows_with_nonsense_in_them_can_be_looked_at_claimed_and_ended(store: SqliteStore) -> None:
    jobs = new_jobs(6)
    store.run(store.plans.add, jobs)
    writer = store.session.writer
    for n, (column, value) in enumerate([
        ("args", b"\xff\x00{"), ("tags", "5"), ("tags", "nonsense"), ("options", b"\xfe"), ("error", b"{"), ("progress", "[1"),
    ]):  # fmt: skip
        writer.execute(f"update dray_job set {column} = ? where id = ?", (value, jobs[n].id))
    for job in jobs:
        found = store.run(store.plans.get, job.id)
        assert found is not None
        assert found.id == ids.to_text(job.id)
        assert found.tags == ()
    assert len(store.run(store.plans.find, Filter()).jobs) == 6
    assert store.run(store.plans.find, Filter(tag="x")).jobs == []
    assert store.run(store.plans.find, Filter(text="zzz")).jobs == []
    node = store.run(store.plans.enter, NodeEntry("n", "h", 1))
    catch = store.run(store.plans.claim, Want({Executor.ASYNC: 10}, None, frozenset({"t"})), node)
    assert len(catch.jobs) == 6
    moves = store.run(store.plans.bury, node, "signal 9", None)
    assert len(moves) == 6
    assert store.run(store.plans.cancel, [job.id for job in jobs]) == {job.id: "cancelled" for job in jobs}
